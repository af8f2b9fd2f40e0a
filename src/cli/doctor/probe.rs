//! Whether our public URL leads to a service that takes what Twilio signs, and nothing else.
//!
//! Sends two events of a type that nobody has, one signed with the auth token and one with a token that nobody
//! has: what is signed well is counted as ignored, so nothing is stored or said. Time is read to see how long
//! the answer takes.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use secrecy::SecretString;
use url::Url;

use super::Error;
use super::asking::Asking;
use crate::finding::Finding;
use crate::net::{self, tls};
use crate::telemetry::chain::Chain;
use crate::twilio::form::Form;
use crate::twilio::signature::{self, Algorithm, Body};

const REACH: &str = "url-reach";
const SIGNED: &str = "url-signed";
const FORGED: &str = "url-forged";

/// An answer that takes longer than this is worth a word; Twilio waits five seconds.
const ANSWER_EXPECTED: Duration = Duration::from_secs(1);

/// How long an answer may take before the probe gives up; what is measured above is well below.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// What a form is. Source: Conversations webhooks, request headers, read 2026-11-21.
const FORM: &str = "application/x-www-form-urlencoded; charset=UTF-8";

/// An event that Twilio does not have.
const EVENT: &str = "onDoctorProbe";

/// Probes the URL, if it is known; `place` is where it is for tests.
pub(super) async fn examine(
    asking: &Asking<'_>,
    place: Option<&Url>,
    is_running: bool,
) -> Result<Vec<Finding>, Error> {
    let Some(called) = asking.doors.conversations() else { return Ok(Vec::new()) };
    let (tls, _) = tls::client_config()?;
    let proxies = asking.all.proxy.proxies();
    let http = net::http::builder(tls, &proxies).timeout(PROBE_TIMEOUT).build();
    let probe = Probe { http: http.map_err(Error::Client)?, asking, called: &called, place };
    let started = asking.clock.now();
    let signed = async {
        let status = probe.send(&asking.twilio.account.auth_token).await;
        (status, asking.clock.now().since(started))
    };
    let nobody = signature_of_nobody();
    let ((signed, took), forged) = tokio::join!(signed, probe.send(&nobody));
    let status = match signed {
        Ok(status) => status,
        Err(error) => return Ok(vec![unreachable(&error.without_url(), is_running)]),
    };
    let reach = Finding::ok(REACH, format!("it answers {status} in {} ms", took.as_millis()));
    Ok(vec![reach, judge_signed(status, took), judge_forged(forged.ok())])
}

/// A token that nobody has.
fn signature_of_nobody() -> SecretString {
    SecretString::from(uuid::Uuid::new_v4().simple().to_string())
}

struct Probe<'a> {
    http: reqwest::Client,
    asking: &'a Asking<'a>,
    called: &'a str,
    place: Option<&'a Url>,
}

impl Probe<'_> {
    async fn send(&self, token: &SecretString) -> Result<u16, reqwest::Error> {
        let twilio = self.asking.twilio;
        let mut form = Form::default();
        form.push("EventType", EVENT);
        form.push("AccountSid", twilio.account.account_sid.to_string());
        if let Some(conversations) = &twilio.conversations {
            form.push("ChatServiceSid", conversations.chat_service_sid.to_string());
        }
        let body = form.encode();
        let algorithm = Algorithm::HmacSha1;
        let signed = signature::sign(token, algorithm, self.called, Body::Form(body.as_bytes()));
        let place = self.place.map_or(self.called, Url::as_str);
        let request = self.http.post(place).header(CONTENT_TYPE, FORM);
        let answer = request.header(signature::HEADER, signed).body(body).send().await?;
        Ok(answer.status().as_u16())
    }
}

fn unreachable(error: &reqwest::Error, is_running: bool) -> Finding {
    let found = format!("it does not answer: {}", Chain(error));
    if is_running {
        let remedy = "check DNS, certificate, tunnel and firewall of CHIMEIN_WEBHOOK_PUBLIC_URL";
        return Finding::fail(REACH, found, remedy);
    }
    let remedy = "start the service, then look again";
    Finding::unchecked(REACH, format!("{found}, and no service is known to run here"), remedy)
}

fn judge_signed(status: u16, took: Duration) -> Finding {
    match status {
        200..=299 if took > ANSWER_EXPECTED => Finding::warn(
            SIGNED,
            format!("{status}, but only after {} ms; Twilio gives up after 5 s", took.as_millis()),
            "look at what lies between, and at the disk",
        ),
        200..=299 => Finding::ok(SIGNED, format!("{status}")),
        403 => Finding::fail(
            SIGNED,
            "what our own token signs is refused with 403".to_owned(),
            "let proxies pass host, path and query as they come; the service has to have this TWILIO_AUTH_TOKEN and \
             CHIMEIN_WEBHOOK_PUBLIC_URL",
        ),
        404 | 405 => Finding::fail(
            SIGNED,
            format!("{status}: nothing takes webhooks there"),
            "let the URL lead to this service; a path before /webhooks/twilio is part of it",
        ),
        300..=399 => Finding::fail(
            SIGNED,
            format!("{status}: it leads elsewhere, and Twilio signs the first URL"),
            "let CHIMEIN_WEBHOOK_PUBLIC_URL be the place itself",
        ),
        502..=504 => Finding::fail(
            SIGNED,
            format!("{status}: what lies before the service does not reach it, or its store fails"),
            "start the service, and see where the proxy or tunnel leads",
        ),
        _ => Finding::fail(SIGNED, format!("it is answered {status}"), "look at the service's log"),
    }
}

fn judge_forged(status: Option<u16>) -> Finding {
    match status {
        Some(200..=299) => Finding::fail(
            FORGED,
            "what nobody signed is taken".to_owned(),
            "let nothing answer before the service: anybody could write in people's names",
        ),
        Some(status) => Finding::ok(FORGED, format!("it is refused with {status}")),
        None => Finding::unchecked(FORGED, "it got no answer".to_owned(), "look again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Verdict;

    #[test]
    fn answers_are_judged_by_what_twilio_would_make_of_them() {
        let quick = Duration::from_millis(20);
        for (status, took, verdict) in [
            (200, quick, Verdict::Ok),
            (200, Duration::from_millis(1_001), Verdict::Warn),
            (301, quick, Verdict::Fail),
            (403, quick, Verdict::Fail),
            (404, quick, Verdict::Fail),
            (502, quick, Verdict::Fail),
        ] {
            assert_eq!(judge_signed(status, took).verdict, verdict, "{status}");
        }
        assert_eq!(judge_forged(Some(200)).verdict, Verdict::Fail);
        assert_eq!(judge_forged(Some(403)).verdict, Verdict::Ok);
        assert_eq!(judge_forged(None).verdict, Verdict::Unchecked);
    }
}
