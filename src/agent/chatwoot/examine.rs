//! Whether the bot's server is there and takes what we sign.
//!
//! Posts an event that no bot acts on, by Chatwoot's rule that a bot looks at `event` first. Time is read
//! for the signature.

use serde_json::json;

use super::settings::ChatwootSettings;
use super::{Posting, payload};
use crate::agent::kind::{self, CHECK, Error};
use crate::clock::Clock;
use crate::config::Settings;
use crate::finding::Finding;
use crate::net::place::place_of;
use crate::telemetry::chain::Chain;

/// The name of the event that is posted to look.
const EVENT: &str = "chimein_ping";

/// Posts to the bot and judges its answer.
pub(super) async fn bot(all: &Settings, clock: Clock) -> Result<Vec<Finding>, Error> {
    let settings: &ChatwootSettings = kind::own(all)?;
    let Some(url) = &settings.url else { return Ok(Vec::new()) };
    let url = url.url();
    let (http, place) = (kind::examiner(all)?, place_of(url));
    let event = json!({ "event": EVENT, "account": { "id": payload::ACCOUNT } });
    let delivery = uuid::Uuid::new_v4().to_string();
    let posting = Posting { url, secret: settings.secret.as_ref(), delivery: &delivery };
    let answer = posting.request(&http, &event, clock).send().await;
    let mut findings = vec![match answer {
        Ok(answer) => judge(&place, answer.status().as_u16()),
        Err(error) => {
            let found = format!("{place} does not answer: {}", Chain(&error.without_url()));
            let remedy = "start the bot, and check CHIMEIN_CHATWOOT_URL, DNS, proxy and firewall";
            Finding::fail(CHECK, found, remedy)
        }
    }];
    if settings.secret.is_none() {
        let found = "no CHIMEIN_CHATWOOT_SECRET: messages are posted unsigned".to_owned();
        let remedy = "set it here and at the bot, if the bot checks X-Chatwoot-Signature";
        findings.push(Finding::warn(CHECK, found, remedy));
    }
    findings.extend(kind::unencrypted(url, "CHIMEIN_CHATWOOT_URL"));
    Ok(findings)
}

/// Judges the status that the event was answered with.
fn judge(place: &str, status: u16) -> Finding {
    let found = format!("{place} answers an event that it does not know with {status}");
    match status {
        200..=299 => Finding::ok(CHECK, found),
        401 | 403 => Finding::fail(
            CHECK,
            found,
            "let CHIMEIN_CHATWOOT_SECRET be the secret that the bot checks with, and let both clocks \
             be set by NTP",
        ),
        300..=399 | 404 | 405 | 410 => Finding::fail(
            CHECK,
            found,
            "check the path of CHIMEIN_CHATWOOT_URL: it is where the bot takes Chatwoot's webhooks by \
             POST, and redirects are not followed",
        ),
        // Many a bot looks for a message before it looks for the event.
        _ => Finding::warn(CHECK, found, "look into the bot's log; it may want a message in it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bot_is_judged_by_how_it_takes_what_it_does_not_know() {
        for (status, verdict) in [
            (200, "ok"),
            (204, "ok"),
            (301, "FAIL"),
            (401, "FAIL"),
            (404, "FAIL"),
            (422, "warn"),
            (500, "warn"),
        ] {
            assert_eq!(judge("http://bot", status).row()[0], verdict, "{status}");
        }
    }
}
