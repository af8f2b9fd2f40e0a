//! Whether the agent can be reached: its server, or the bus that it is on.
//!
//! One `GET` without credentials and without a turn in it, so that nothing is thought or said: an
//! agent takes `POST` only, and any answer of its server shows that name, network and TLS are right.

use std::time::Duration;

use super::Error;
#[cfg(feature = "nats")]
use super::bus;
use super::finding::Finding;
use super::local::{is_private, place_of};
#[cfg(feature = "nats")]
use crate::app;
use crate::config::Settings;
use crate::config::kinds::AgentKind;
use crate::telemetry::chain::Chain;
use crate::twilio::tls;

const CHECK: &str = "agent";

/// How long the agent's server may take; a turn may take minutes, a refusal does not.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the agent's server and judges its answer.
pub(super) async fn examine(all: &Settings) -> Result<Vec<Finding>, Error> {
    let settings = &all.agent;
    let url = match (settings.kind, &settings.url) {
        (AgentKind::Http, Some(url)) => url.url(),
        (AgentKind::Echo, _) => {
            return Ok(vec![Finding::warn(
                CHECK,
                "echo: the bot repeats what people say".to_owned(),
                "set CHIMEIN_AGENT_KIND and CHIMEIN_AGENT_URL once there is an agent",
            )]);
        }
        #[cfg(feature = "nats")]
        (AgentKind::BitBrat, _) => {
            let (tls, _) = tls::client_config()?;
            let options = app::nats_options(&all.nats, "chimein-doctor", &tls);
            return Ok(bus::examine(options, &app::names(&all.bitbrat)).await);
        }
        // The settings refuse kind http without a URL, and bitbrat where it is not built in.
        #[cfg(not(feature = "nats"))]
        (AgentKind::BitBrat, _) => return Ok(Vec::new()),
        (AgentKind::Http, None) => return Ok(Vec::new()),
    };
    let (tls, _) = tls::client_config()?;
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .build()
        .map_err(Error::Client)?;
    let place = place_of(url);
    let mut findings = match http.get(url.clone()).send().await {
        Ok(answer) => vec![judge(&place, answer.status().as_u16())],
        Err(error) => vec![unreachable(&place, error)],
    };
    if url.scheme() == "http" && !is_private(url) {
        let found = format!("{place} is asked without encryption, with what people wrote");
        findings.push(Finding::warn(CHECK, found, "let CHIMEIN_AGENT_URL be an https URL"));
    }
    if settings.secret.is_none() {
        findings.push(Finding::warn(
            "agent.secret",
            "none: turns go unsigned, and late replies are not taken".to_owned(),
            "set CHIMEIN_AGENT_SECRET to whsec_ and 24 to 64 random bytes in base64, here and there",
        ));
    }
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

/// Judges a status that was given to a `GET`.
fn judge(place: &str, status: u16) -> Finding {
    let found = format!("{place} answers {status}");
    match status {
        300..=399 => Finding::fail(
            CHECK,
            format!("{found}, a redirect, and redirects are not followed"),
            "let CHIMEIN_AGENT_URL be the place itself",
        ),
        401 | 403 | 407 => Finding::warn(
            CHECK,
            found,
            "see that it takes requests signed with CHIMEIN_AGENT_SECRET; it refuses others",
        ),
        404 | 410 => Finding::warn(
            CHECK,
            found,
            "check the path of CHIMEIN_AGENT_URL, unless it has a route for POST only",
        ),
        500..=599 => Finding::warn(CHECK, found, "look into the agent's log"),
        _ => Finding::ok(CHECK, found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_answer_but_a_redirect_shows_that_the_agent_is_there() {
        for (status, verdict) in [
            (200, "ok"),
            (204, "ok"),
            (405, "ok"),
            (400, "ok"),
            (401, "warn"),
            (404, "warn"),
            (502, "warn"),
            (301, "FAIL"),
        ] {
            assert_eq!(judge("https://agent.example.com", status).row()[0], verdict, "{status}");
        }
    }
}
