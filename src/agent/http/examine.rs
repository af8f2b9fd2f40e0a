//! Whether the agent's server is there and takes what we sign.
//!
//! Pings it as turns come, by `POST` and signed, and once more with a secret that nobody has. A ping has
//! no message in it, so nothing is thought or said. Time is read for the signature.

use super::ping;
use crate::agent::kind::{self, CHECK, Error};
use crate::clock::Clock;
use crate::config::Settings;
use crate::finding::Finding;
use crate::net::place::place_of;
use crate::standard_webhooks::Secret;
use crate::telemetry::chain::Chain;

const SECRET: &str = "agent-secret";

/// Asks the agent's server and judges its answer.
pub(super) async fn server(
    all: &Settings,
    url: &url::Url,
    clock: Clock,
) -> Result<Vec<Finding>, Error> {
    let http = kind::examiner(all)?;
    let place = place_of(url);
    let secret = kind::secret(&all.agent)?;
    let ping = async |secret: Option<&Secret>| {
        let answer = ping::request(&http, url, secret, clock.wall()).send().await;
        answer.map(|answer| answer.status().as_u16())
    };
    let mut findings = Vec::new();
    match (ping(secret.as_ref()).await, &secret) {
        (Err(error), _) => findings.push(unreachable(&place, error)),
        (Ok(status), None) => findings.extend([judge(&place, status), without_secret(status)]),
        (Ok(status), Some(_)) => {
            findings.push(judge(&place, status));
            if is_there(status) {
                let forged = ping(Some(&Secret::random())).await;
                findings.push(judge_secret(status, forged.ok()));
            }
        }
    }
    findings.extend(kind::unencrypted(url, "CHIMEIN_AGENT_URL"));
    Ok(findings)
}

fn unreachable(place: &str, error: reqwest::Error) -> Finding {
    let error = error.without_url();
    let found = format!("{place} does not answer: {}", Chain(&error));
    let remedy = if found.contains("certificate") {
        "let the agent's certificate be one that this machine trusts; SSL_CERT_FILE is heeded"
    } else {
        "start the agent, and check CHIMEIN_AGENT_URL, DNS, proxy and firewall"
    };
    Finding::fail(CHECK, found, remedy)
}

/// Judges the status that a ping was answered with, but for what it says of the signature.
fn judge(place: &str, status: u16) -> Finding {
    let found = format!("{place} answers a ping with {status}");
    match status {
        300..=399 => Finding::fail(
            CHECK,
            format!("{found}, a redirect, and redirects are not followed"),
            "let CHIMEIN_AGENT_URL be the place itself",
        ),
        404 | 405 | 410 => Finding::fail(
            CHECK,
            format!("{found}: nothing takes POST there"),
            "check the path of CHIMEIN_AGENT_URL, and that the agent takes turns there by POST",
        ),
        407 => Finding::fail(
            CHECK,
            format!("{found}: a proxy on the way wants to be signed in to"),
            "put user and password into HTTPS_PROXY, or the agent's host into NO_PROXY",
        ),
        408 | 425 | 429 | 500..=599 => Finding::warn(CHECK, found, "look into the agent's log"),
        _ => Finding::ok(CHECK, found),
    }
}

/// Whether somebody answered who may have looked at the signature.
const fn is_there(status: u16) -> bool {
    matches!(status, 200..=299 | 400 | 401 | 403 | 409 | 415 | 422)
}

/// Judges that there is no secret, by what an unsigned ping was answered.
fn without_secret(status: u16) -> Finding {
    let remedy =
        "set CHIMEIN_AGENT_SECRET to whsec_ and 24 to 64 random bytes in base64, here and there";
    match status {
        401 | 403 => {
            Finding::fail(SECRET, format!("none, and what is unsigned is refused {status}"), remedy)
        }
        _ => Finding::warn(
            SECRET,
            "none: turns go unsigned, and late replies are not taken".to_owned(),
            remedy,
        ),
    }
}

/// Judges the secret by what a ping signed with it was answered, and one with another signature.
/// Many agents answer a bad signature 400, as the scheme's own examples do, so a ping that is merely
/// not known looks the same there.
fn judge_secret(signed: u16, forged: Option<u16>) -> Finding {
    let is_taken = |status| matches!(status, 200..=299);
    let Some(forged) = forged else {
        let found = "a forged ping got no answer, so nothing is known of it".to_owned();
        return Finding::warn(SECRET, found, "try again");
    };
    match signed {
        401 | 403 => Finding::fail(
            SECRET,
            format!("what is signed with it is refused with {signed}"),
            "let CHIMEIN_AGENT_SECRET be the secret that the agent checks with, and let both clocks \
             be set by NTP: a signature is good for five minutes",
        ),
        _ if is_taken(signed) && is_taken(forged) => Finding::warn(
            SECRET,
            format!("a forged ping is answered {forged} too: the agent checks no signatures"),
            "let the agent check webhook-signature, or anybody who finds its URL can talk to it",
        ),
        _ if forged == signed => Finding::warn(
            SECRET,
            format!(
                "pings are answered {signed}, well signed or forged, so nothing is known of it"
            ),
            "let the agent answer {\"type\":\"ping\"} with 204, and see that both secrets are the same",
        ),
        _ => Finding::ok(SECRET, format!("the agent takes it and refuses forgeries with {forged}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_there_if_its_answer_to_post_is_no_miss() {
        for (status, verdict) in [
            (200, "ok"),
            (204, "ok"),
            (400, "ok"),
            (422, "ok"),
            (401, "ok"),
            (404, "FAIL"),
            (405, "FAIL"),
            (407, "FAIL"),
            (502, "warn"),
            (301, "FAIL"),
        ] {
            assert_eq!(judge("https://agent.example.com", status).row()[0], verdict, "{status}");
        }
    }

    #[test]
    fn an_agent_that_refuses_what_is_unsigned_needs_a_secret() {
        for (status, verdict) in [(204, "warn"), (400, "warn"), (401, "FAIL"), (403, "FAIL")] {
            assert_eq!(without_secret(status).row()[0], verdict, "{status}");
        }
    }

    #[test]
    fn a_secret_is_judged_by_a_good_and_a_forged_signature() {
        for (signed, forged, verdict) in [
            (204, Some(401), "ok"),
            (200, Some(400), "ok"),
            (400, Some(401), "ok"),
            (401, Some(401), "FAIL"),
            (403, Some(403), "FAIL"),
            (204, Some(204), "warn"),
            (200, Some(202), "warn"),
            (400, Some(400), "warn"),
            (204, None, "warn"),
        ] {
            let row = judge_secret(signed, forged).row();
            assert_eq!(row[0], verdict, "{signed} {forged:?}");
        }
    }
}
