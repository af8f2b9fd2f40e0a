//! What Twilio says by REST: whether it can be reached, the clock, the credentials, and then all the rest.
//!
//! Reads only, four requests at most at a time. One request without credentials for the `Date` of its answer,
//! one for the account, one with the API key; what they show decides what else is asked. Each group of questions
//! has its time, and what is not answered in it counts as not checked. Time is read to compare it with that date.

use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::DATE;
use url::Url;

use super::asking::{Asking, gentle};
use super::{Error, account, addresses, conversations, numbers, probe, seats, socket};
use crate::app;
use crate::clock::{Clock, Timestamp};
use crate::config::Settings;
use crate::config::kinds::RestAuth;
use crate::config::settings::{ConversationsAccount, Twilio};
use crate::finding::{Finding, Verdict};
use crate::net::place::place_of;
use crate::net::{self, proxies::Proxies, tls};
use crate::telemetry::chain::Chain;
use crate::twilio::rest;

/// How far the clock may be off before it is worth a word; well within what tokens and signatures
/// stand.
const SKEW_NOTED: Duration = Duration::from_secs(5);

/// How far it may be off before access tokens can be refused as not yet valid, or as over: assumed,
/// Twilio does not say how much it stands.
const SKEW_MAX: Duration = Duration::from_secs(60);

/// How many of the account's addresses are looked at.
const ADDRESSES_MAX: usize = 1_000;

/// How long a group of questions may take.
const GROUP_TIMEOUT: Duration = Duration::from_secs(4);

/// What an examination is told besides the settings.
pub(super) struct Circumstances<'a> {
    /// Where our public URL is, for tests; at its own place without.
    pub(super) place: Option<&'a Url>,
    /// Whether a service is known to run.
    pub(super) is_running: bool,
    pub(super) clock: Clock,
}

/// Asks and judges; stops where the next question makes no sense.
pub(super) async fn examine(
    all: &Settings,
    twilio: &Twilio,
    around: &Circumstances<'_>,
) -> Result<Vec<Finding>, Error> {
    let clock = around.clock;
    let proxies = all.proxy.proxies();
    let options = gentle(app::rest_options(twilio, proxies.clone()));
    let base = options.conversations_base_url.clone();
    let timeout = options.request_timeout;
    let (tls, _) = tls::client_config()?;
    let asking = Asking::of(all, twilio, tls.clone(), clock)?;
    let mut findings = Vec::new();
    match date(&base, tls.clone(), &proxies, timeout).await? {
        Ok(date) => {
            findings.push(Finding::ok("twilio-reach", format!("{} answers", place_of(&base))));
            findings.push(skew(date, clock.wall()));
        }
        Err(error) => {
            findings.push(unreachable(&base, &error));
            return Ok(findings);
        }
    }
    let key = match &twilio.conversations {
        Some(conversations) => {
            let options = gentle(with_key(twilio, conversations, &proxies));
            let client = rest::Client::new(options, tls, clock, None)?;
            Some(client)
        }
        None => None,
    };
    let (signed_in, key) = tokio::join!(asking.rest.fetch_account(), signs_in(key.as_ref()));
    let are_right = match (twilio.account.rest_auth, &key) {
        // A standard key may not ask for the account.
        // Source: API keys overview, "Standard API keys", read 2026-11-21.
        (RestAuth::Key, Some(key)) => key.verdict == Verdict::Ok,
        (RestAuth::Token, _) | (RestAuth::Key, None) => {
            let credentials = credentials(&signed_in);
            let are_right = credentials.verdict == Verdict::Ok;
            findings.push(credentials);
            are_right
        }
    };
    let signs = key.as_ref().is_some_and(|key| key.verdict == Verdict::Ok);
    findings.extend(key);
    if are_right {
        findings.extend(account::state(&signed_in));
        findings.extend(the_rest(&asking, around, signs).await?);
    }
    Ok(findings)
}

/// Asks the few things that a running service looks at by itself: five reads.
pub(super) async fn glance(
    all: &Settings,
    twilio: &Twilio,
    clock: Clock,
) -> Result<Vec<Finding>, Error> {
    let (tls, _) = tls::client_config()?;
    let asking = Asking::of(all, twilio, tls, clock)?;
    let signed_in = asking.rest.fetch_account().await;
    let mut findings = account::state(&signed_in);
    findings.extend(account::examine(&asking).await);
    if twilio.conversations.is_some() {
        findings.extend(conversations::service(&asking).await.0);
    }
    Ok(findings)
}

/// Asks everything that right credentials may ask, one group beside the other.
async fn the_rest(
    asking: &Asking<'_>,
    around: &Circumstances<'_>,
    signs: bool,
) -> Result<Vec<Finding>, Error> {
    let service = asking.twilio.conversations.as_ref().map(|set| set.chat_service_sid);
    let of_conversations = async {
        match service {
            Some(service) => conversations::examine(asking, service).await,
            None => Vec::new(),
        }
    };
    let of_addresses = async {
        let Some(service) = service else { return Vec::new() };
        let configured = asking.rest.list_addresses().all(ADDRESSES_MAX).await;
        addresses::judge(configured, service, &addresses::WantedAddresses::of(asking.all))
    };
    let of_seats =
        async { if service.is_some() { seats::examine(asking).await } else { Vec::new() } };
    let of_socket = async { if signs { socket::token(asking).await } else { Vec::new() } };
    let (money, talks, seats, addresses, numbers, socket, probed) = tokio::join!(
        in_time("balance", account::examine(asking)),
        in_time("chat-service", of_conversations),
        in_time("seats", of_seats),
        in_time("address-missing", of_addresses),
        in_time("number-missing", numbers::examine(asking)),
        in_time("socket-token", of_socket),
        probe::examine(asking, around.place, around.is_running),
    );
    // Without the service there is nothing to say of what belongs to it, and no token for it.
    let is_there =
        talks.iter().all(|one| one.check != "chat-service" || one.verdict != Verdict::Fail);
    let of_service = if is_there { [seats, addresses, socket].concat() } else { Vec::new() };
    let all = [money, talks, of_service, numbers, probed?];
    Ok(all.into_iter().flatten().collect())
}

/// Ends a group that takes too long, and says so under its first check's name.
async fn in_time(first: &'static str, group: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    tokio::time::timeout(GROUP_TIMEOUT, group).await.unwrap_or_else(|_| {
        let found =
            format!("this and what follows it had no answer in {} s", GROUP_TIMEOUT.as_secs());
        vec![Finding::unchecked(
            first,
            found,
            "try again; status.twilio.com says whether Twilio is well",
        )]
    })
}

/// Asks what the API key may ask, where there is one.
async fn signs_in(key: Option<&rest::Client>) -> Option<Finding> {
    Some(api_key(key?.fetch_webhooks().await.map(drop)))
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
    Finding::fail("twilio-reach", found, remedy)
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
fn credentials<T>(asked: &Result<T, rest::Error>) -> Finding {
    const CHECK: &str = "credentials";
    let error = match asked {
        Ok(_) => return Finding::ok(CHECK, "the account takes them".to_owned()),
        Err(error) => error,
    };
    let remedy = match error.status() {
        Some(401 | 403) => {
            "check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, and that TWILIO_REGION is the account's"
        }
        Some(404) => "check TWILIO_ACCOUNT_SID and TWILIO_API_BASE_URL",
        Some(_) | None => "try again; status.twilio.com says whether Twilio is well",
    };
    Finding::fail(CHECK, Chain(error).to_string(), remedy)
}

/// Judges whether the API key signs in, by the answer to a question that it may ask: whoever signs in
/// with key and secret signs the socket's tokens with them too.
fn api_key(asked: Result<(), rest::Error>) -> Finding {
    const CHECK: &str = "api-key";
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
