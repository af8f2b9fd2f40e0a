//! What Twilio says by REST: whether it can be reached, the clock, the credentials, the webhooks.
//!
//! Reads only. One request without credentials for the `Date` of its answer, one for the account, one
//! for the service's webhooks with each of token and API key, and the account's addresses. Time is read to compare it with that date.

use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::DATE;
use url::Url;

use super::{Error, addresses};
use crate::app;
use crate::clock::{Clock, Timestamp};
use crate::config::Settings;
use crate::config::kinds::RestAuth;
use crate::config::settings::{ConversationsAccount, Twilio, Webhook};
use crate::finding::{Finding, Verdict};
use crate::net::place::place_of;
use crate::net::{self, proxies::Proxies, tls};
use crate::pii::Pii;
use crate::telemetry::chain::Chain;
use crate::twilio::rest::{self, Webhooks};
use crate::twilio::signature::is_signed_as;
use crate::webhook::{self, PublicBase};

/// How far the clock may be off before it is worth a word; well within what tokens and signatures
/// stand.
const SKEW_NOTED: Duration = Duration::from_secs(5);

/// How far it may be off before access tokens can be refused as not yet valid, or as over: assumed,
/// Twilio does not say how much it stands.
const SKEW_MAX: Duration = Duration::from_secs(60);

/// How many of the account's addresses are looked at.
const ADDRESSES_MAX: usize = 1_000;

/// The events without which the bot learns of conversations by its sweep alone.
/// Source: Conversations webhooks, post-action events, read 2026-11-21.
const EVENTS_NEEDED: [&str; 2] = ["onConversationAdded", "onMessageAdded"];

/// The event that tells how replies fare; the bot answers without it.
const DELIVERIES: &str = "onDeliveryUpdated";

/// Asks and judges, one after the other; stops where the next question makes no sense.
pub(super) async fn examine(
    all: &Settings,
    twilio: &Twilio,
    clock: Clock,
) -> Result<Vec<Finding>, Error> {
    let proxies = all.proxy.proxies();
    let options = app::rest_options(twilio, proxies.clone());
    let base = options.conversations_base_url.clone();
    let (tls, _) = tls::client_config()?;
    let rest = rest::Client::new(options, tls.clone(), clock, None)?;
    let mut findings = Vec::new();
    match date(&base, tls.clone(), &proxies, twilio.account.request_timeout).await? {
        Ok(date) => {
            findings.push(Finding::ok("twilio.reach", format!("{} answers", place_of(&base))));
            findings.push(skew(date, clock.wall()));
        }
        Err(error) => {
            findings.push(unreachable(&base, &error));
            return Ok(findings);
        }
    }
    let key = match &twilio.conversations {
        Some(conversations) => {
            let options = with_key(twilio, conversations, &proxies);
            let client = rest::Client::new(options, tls.clone(), clock, None)?;
            Some(api_key(client.fetch_webhooks().await.map(drop)))
        }
        None => None,
    };
    let are_right = match (twilio.account.rest_auth, &key) {
        // A standard key may not ask for the account.
        // Source: API keys overview, "Standard API keys", read 2026-11-21.
        (RestAuth::Key, Some(key)) => key.verdict == Verdict::Ok,
        (RestAuth::Token, _) | (RestAuth::Key, None) => {
            let credentials = credentials(rest.check_credentials().await);
            let are_right = credentials.verdict == Verdict::Ok;
            findings.push(credentials);
            are_right
        }
    };
    findings.extend(key);
    if let Some(conversations) = twilio.conversations.as_ref().filter(|_| are_right) {
        findings.extend(webhooks(rest.fetch_webhooks().await, &all.webhook));
        let configured = rest.list_addresses().all(ADDRESSES_MAX).await;
        findings.extend(addresses::judge(
            configured,
            conversations.chat_service_sid,
            &addresses::plain(&all.messaging),
        ));
    }
    Ok(findings)
}

/// Asks for the date; any answer will do.
async fn date(
    base: &Url,
    tls: rustls::ClientConfig,
    proxies: &Proxies,
    timeout: Duration,
) -> Result<Result<Option<Timestamp>, reqwest::Error>, Error> {
    let http = net::http::builder(tls, proxies).timeout(timeout).build().map_err(Error::Client)?;
    Ok(match http.get(base.clone()).send().await {
        Ok(answer) => {
            let text = answer.headers().get(DATE).and_then(|date| date.to_str().ok());
            Ok(text.and_then(timestamp))
        }
        Err(error) => Err(error.without_url()),
    })
}

fn timestamp(text: &str) -> Option<Timestamp> {
    let since = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(Timestamp::from_millis)
}

fn unreachable(base: &Url, error: &reqwest::Error) -> Finding {
    let found = format!("{} does not answer: {}", place_of(base), Chain(error));
    let remedy = "check network, DNS, proxy and firewall; HTTPS_PROXY and SSL_CERT_FILE are heeded";
    Finding::fail("twilio.reach", found, remedy)
}

fn skew(theirs: Option<Timestamp>, ours: Timestamp) -> Finding {
    const CHECK: &str = "clock";
    const REMEDY: &str = "let the machine's clock be set by NTP";
    let Some(theirs) = theirs else {
        return Finding::warn(CHECK, "the answer has no date to compare with".to_owned(), REMEDY);
    };
    let (behind, ahead) = (theirs.since(ours), ours.since(theirs));
    let (skew, word) = if behind > ahead { (behind, "behind") } else { (ahead, "ahead of") };
    let found = format!("{} s {word} Twilio's", skew.as_secs());
    if skew > SKEW_MAX {
        Finding::fail(CHECK, found, REMEDY)
    } else if skew > SKEW_NOTED {
        Finding::warn(CHECK, found, REMEDY)
    } else {
        Finding::ok(CHECK, "agrees with Twilio's".to_owned())
    }
}

/// The settings of the account, but that the API key signs in.
fn with_key(twilio: &Twilio, key: &ConversationsAccount, proxies: &Proxies) -> rest::Options {
    let credentials =
        rest::Credentials::ApiKey { sid: key.api_key, secret: key.api_secret.clone() };
    rest::Options { credentials, ..app::rest_options(twilio, proxies.clone()) }
}

/// Judges the answer to the question for the account.
fn credentials(asked: Result<(), rest::Error>) -> Finding {
    const CHECK: &str = "twilio.credentials";
    let error = match asked {
        Ok(()) => return Finding::ok(CHECK, "the account takes them".to_owned()),
        Err(error) => error,
    };
    let remedy = match error.status() {
        Some(401 | 403) => {
            "check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, and that TWILIO_REGION is the account's"
        }
        Some(404) => "check TWILIO_ACCOUNT_SID and TWILIO_API_BASE_URL",
        Some(_) | None => "try again; status.twilio.com says whether Twilio is well",
    };
    Finding::fail(CHECK, Chain(&error).to_string(), remedy)
}

/// Judges whether the API key signs in, by the answer to a question that it may ask: whoever signs in
/// with key and secret signs the socket's tokens with them too.
fn api_key(asked: Result<(), rest::Error>) -> Finding {
    const CHECK: &str = "twilio.api_key";
    let error = match asked {
        Ok(()) => return Finding::ok(CHECK, "it signs in with its secret".to_owned()),
        Err(error) => error,
    };
    let remedy = match error.status() {
        Some(401) => {
            "check TWILIO_API_KEY and TWILIO_API_SECRET, and that the key is of this account and of \
             TWILIO_REGION; a secret that is lost is replaced by a new key. Without it the socket is \
             refused"
        }
        // Source: Restricted API keys, "Access tokens", read 2026-11-21.
        Some(403) => "take a standard key: a restricted one signs no tokens for the socket",
        Some(_) | None => "try again; status.twilio.com says whether Twilio is well",
    };
    Finding::fail(CHECK, Chain(&error).to_string(), remedy)
}

/// Judges where the service's webhooks go.
fn webhooks(asked: Result<Option<Webhooks>, rest::Error>, settings: &Webhook) -> Vec<Finding> {
    const SERVICE: &str = "twilio.chat_service_sid";
    match asked {
        Ok(Some(webhooks)) => {
            let service = Finding::ok(SERVICE, "the account has it".to_owned());
            let mut findings = vec![service, target(&webhooks, settings)];
            findings.extend(filters(&webhooks));
            findings
        }
        Ok(None) => vec![Finding::fail(
            SERVICE,
            "the account has no such service".to_owned(),
            "set TWILIO_CHAT_SERVICE_SID to an IS… sid of this account and region",
        )],
        Err(error) => vec![Finding::fail(
            SERVICE,
            Chain(&error).to_string(),
            "try again; an API key needs the right to read Conversations",
        )],
    }
}

fn target(webhooks: &Webhooks, settings: &Webhook) -> Finding {
    const CHECK: &str = "webhooks.url";
    let own = settings
        .public_url
        .as_ref()
        .map(|base| PublicBase::new(base.as_typed()).called(webhook::ROUTE));
    let wanted = own.as_deref().unwrap_or("https://…/webhooks/twilio");
    let remedy = format!("let the service's post-webhook URL be {wanted}");
    let set = webhooks.post_webhook_url.as_ref().map(Pii::reveal).filter(|url| !url.is_empty());
    let Some(set) = set else {
        let found = "none is set: new conversations are found by the sweep alone".to_owned();
        return Finding::warn(CHECK, found, remedy);
    };
    // The query comes with each request.
    let (typed, _) = set.split_once(['?', '#']).unwrap_or((set, ""));
    let Ok(set) = Url::parse(typed) else {
        return Finding::fail(CHECK, "what is set is no URL".to_owned(), remedy);
    };
    let shown = place_of(&set);
    match &own {
        Some(own) if is_signed_as(typed, own) => Finding::ok(CHECK, shown),
        Some(own) if Url::parse(own).is_ok_and(|own| place_of(&own) == shown) => {
            let found =
                format!("{shown} is written in other letters there, and signatures cover each");
            Finding::fail(CHECK, found, remedy)
        }
        Some(_) => Finding::fail(CHECK, format!("{shown} is not this service"), remedy),
        None if set.path().ends_with(webhook::ROUTE) => Finding::ok(CHECK, shown),
        None => Finding::fail(CHECK, format!("{shown} is no path of this service"), remedy),
    }
}

fn filters(webhooks: &Webhooks) -> Option<Finding> {
    webhooks.post_webhook_url.as_ref().filter(|url| !url.is_empty())?;
    let has =
        |event: &&str| webhooks.filters.iter().any(|filter| filter.eq_ignore_ascii_case(event));
    let missing: Vec<&str> = EVENTS_NEEDED.into_iter().filter(|event| !has(event)).collect();
    let wished = if has(&DELIVERIES) {
        ""
    } else {
        "; without onDeliveryUpdated nobody tells how \
         replies fare on their way to phones"
    };
    Some(if missing.is_empty() {
        Finding::ok("webhooks.filters", format!("{}{wished}", EVENTS_NEEDED.join(", ")))
    } else {
        let missing = missing.join(", ");
        let found = format!("not sent: {missing}");
        Finding::warn("webhooks.filters", found, format!("add {missing} to the filters"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_judged_by_its_distance() {
        let now = Timestamp::from_millis(1_795_000_000_000);
        for (theirs, row) in [
            (now, "ok"),
            (now + Duration::from_secs(5), "ok"),
            (now + Duration::from_secs(6), "warn"),
            (now.before(Duration::from_secs(60)), "warn"),
            (now.before(Duration::from_secs(61)), "FAIL"),
            (now + Duration::from_secs(7200), "FAIL"),
        ] {
            assert_eq!(skew(Some(theirs), now).row()[0], row, "{theirs}");
        }
        assert_eq!(skew(None, now).row()[0], "warn");
        assert_eq!(timestamp("Sat, 21 Nov 2026 04:00:00 GMT").unwrap().as_secs() % 3600, 0);
        assert_eq!(timestamp("soon"), None);
    }
}
