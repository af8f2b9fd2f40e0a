//! Whether the model server takes our key and knows our model, without a word said to the model.

use super::health::Health;
use super::options::Options;
use super::settings::OpenAiSettings;
use crate::agent::kind::{self, CHECK, Error};
use crate::config::Settings;
use crate::finding::Finding;
use crate::net::place::place_of;
use crate::telemetry::chain::Chain;

/// Asks the server and judges its answer.
pub(super) async fn examine(all: &Settings) -> Result<Vec<Finding>, Error> {
    let own: &OpenAiSettings = kind::own(all)?;
    let options = match Options::of(all, own) {
        Ok(options) => options,
        Err(error) => {
            let remedy = "let the file be text that this user may read, or leave the setting out";
            return Ok(vec![Finding::fail(CHECK, Chain(&error).to_string(), remedy)]);
        }
    };
    let client = kind::examiner(all)?;
    let url = own.base_url.url();
    let place = place_of(url);
    let mut findings = vec![match options.health(&client).await {
        Ok(health) => judge(&place, options.model(), health),
        Err(error) => {
            let found = format!("{place} does not answer: {}", Chain(&error));
            let remedy =
                "start the model server, and check OPENAI_BASE_URL, DNS, proxy and firewall";
            Finding::fail(CHECK, found, remedy)
        }
    }];
    if own.fallback.is_none() && !own.handoff {
        findings.push(Finding::warn(
            CHECK,
            "no fallback: where the model has no words, the message is a dead letter".to_owned(),
            "set CHIMEIN_OPENAI_FALLBACK to what is said then, or CHIMEIN_OPENAI_HANDOFF to true",
        ));
    }
    findings.extend(kind::unencrypted(url, "OPENAI_BASE_URL"));
    Ok(findings)
}

fn judge(place: &str, model: &str, health: Health) -> Finding {
    match health {
        Health::Ready => Finding::ok(CHECK, format!("{place} lets us in and has {model}")),
        Health::Unlisted => Finding::warn(
            CHECK,
            format!("{place} lets us in and does not list {model}"),
            "check CHIMEIN_OPENAI_MODEL; a gateway may know more names than it lists",
        ),
        Health::Refused { status, remedy } => {
            Finding::fail(CHECK, format!("{place} refuses us with {status}"), remedy)
        }
        Health::NotChecked { status } => Finding::warn(
            CHECK,
            format!("not checked: {place} lists no models and answers {status}"),
            "write to the bot; a wrong key or model is told in the log then",
        ),
        Health::Ill { status } => Finding::warn(
            CHECK,
            format!("{place} answers with {status}"),
            "look into the model server's log",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_key_fails_and_what_was_not_checked_is_told_so() {
        for (health, verdict, words) in [
            (Health::Ready, "ok", "has m"),
            (Health::Unlisted, "warn", "does not list m"),
            (Health::Refused { status: 401, remedy: "set it" }, "FAIL", "refuses us with 401"),
            (Health::NotChecked { status: 404 }, "warn", "not checked"),
            (Health::Ill { status: 500 }, "warn", "answers with 500"),
        ] {
            let row = judge("https://models.example.com", "m", health).row();
            assert_eq!(row[0], verdict, "{health:?}");
            assert!(row[2].contains(words), "{row:?}");
        }
    }
}
