//! The operator's routes around a person: which threads are of an address, and to forget them.
//!
//! Decides how it is asked and answered; the work is [`Forget`]'s. Addresses come in bodies, never in paths,
//! which end in logs. It checks nobody: [`super::operate`] mounts it behind its own guard.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::channels::TheirThreads;
use crate::http::problem::problem;
use crate::json;
use crate::pii::Pii;
use crate::pipeline::forget::{Error, Forget, ForgetScope, Forgotten, ForgottenThread};
use crate::telemetry::chain::Chain;
use crate::thread::{MessageId, ThreadId};

/// What stays here, and why: said with every answer.
pub const KEPT: [&str; 2] = [
    "ids of what is done, so that nothing is done twice: sids, and of two addresses a digest, until \
     queue.retention is over; no text and no address",
    "that somebody wants to hear nothing more (STOP): a digest and a time, until the person writes START",
];

/// What this service cannot reach, and what helps: said with every answer.
pub const NOT_REACHED: [(&str, &str); 5] = [
    (
        "what Twilio keeps of a conversation",
        "DELETE https://conversations.twilio.com/v1/Services/IS…/Conversations/CH…",
    ),
    (
        "what Twilio keeps of texts to and from a number",
        "GET https://api.twilio.com/2010-04-01/Accounts/AC…/Messages.json?To=…, and with From=…; then \
         DELETE …/Messages/SM….json for each",
    ),
    ("what the agent keeps", "its own matter; it is not told"),
    ("logs, backups, and copies that an upgrade made of the store", "delete them by hand"),
    (
        "with NATS: blocks of the server's store that it has not compacted yet",
        "a new stream; or encrypt the server's store",
    ),
];

/// Makes the routes.
pub fn router(forget: Forget) -> Router {
    Router::new()
        .route("/v1/threads/search", post(search))
        .route("/v1/forget", post(take))
        .with_state(forget)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchBody {
    address: Pii,
}

async fn search(State(forget): State<Forget>, body: Bytes) -> Response {
    let Ok(SearchBody { address }) = json::from_slice(&body) else {
        return problem(StatusCode::BAD_REQUEST, "invalid_body", r#"wanted {"address":"+1555…"}"#);
    };
    match forget.channels.threads_of(&address).await {
        Ok(found) => {
            let threads: Vec<_> = found.threads.iter().map(ToString::to_string).collect();
            Json(json!({ "threads": threads })).into_response()
        }
        Err(error) => unavailable(&Error::from(error)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForgetBody {
    who: Pii,
    #[serde(default, deserialize_with = "json::null_as_default")]
    act: bool,
}

/// What was forgotten, or is there to be.
#[derive(Serialize)]
struct ForgetAnswer {
    /// Whether all was done.
    done: bool,
    /// How it stands, in a sentence.
    detail: &'static str,
    threads: Vec<ForgottenThread>,
    /// Threads for which there was no time.
    left: Vec<String>,
    /// Whether the address has more threads than were found.
    more: bool,
    kept: [&'static str; 2],
    not_reached: Vec<NotReached>,
}

#[derive(Serialize)]
struct NotReached {
    what: &'static str,
    how: &'static str,
}

async fn take(State(forget): State<Forget>, body: Bytes) -> Response {
    let Ok(ForgetBody { who, act }) = json::from_slice(&body) else {
        let detail =
            r#"wanted {"who":"+1555…","act":false}; who is an address, or CH…, TH… or IM…"#;
        return problem(StatusCode::BAD_REQUEST, "invalid_body", detail);
    };
    let (wanted, more) = match named(&forget, &who).await {
        Ok(Some(named)) => named,
        Ok(None) => {
            let detail = "wanted an address such as +15555550123 or whatsapp:+15555550123, a thread \
                          (CH… or TH…), or a message (IM…, SM… or MM…) whose thread the timeline knows";
            return problem(StatusCode::NOT_FOUND, "unknown_person", detail);
        }
        Err(error) => return unavailable(&error),
    };
    let found = if act { forget.act(&wanted).await } else { forget.look(&wanted).await };
    let Forgotten { threads, left } = match found {
        Ok(found) => found,
        Err(error) => return unavailable(&error),
    };
    let not_reached = NOT_REACHED.map(|(what, how)| NotReached { what, how }).into();
    let (done, detail) = outcome(&threads, act, !left.is_empty() || more);
    let left = left.iter().map(ToString::to_string).collect();
    Json(ForgetAnswer { done, detail, threads, left, more, kept: KEPT, not_reached })
        .into_response()
}

/// Whether all was done, and how it stands in a sentence.
fn outcome(threads: &[ForgottenThread], act: bool, is_cut: bool) -> (bool, &'static str) {
    let goes_on = |one: &ForgottenThread| !one.of_several && !one.is_over(true);
    let is_spared = |one: &ForgottenThread| one.of_several && !one.is_over(true);
    match () {
        () if threads.is_empty() && !is_cut => (false, "nothing is kept of it: no thread is known"),
        () if !act => (false, "nothing was changed"),
        () if threads.iter().any(goes_on) => (
            false,
            "not all is forgotten: some of it is under way, or another instance's; ask again",
        ),
        () if is_cut => (false, "not all is forgotten: there are more threads; ask again"),
        () if threads.iter().any(is_spared) => (
            false,
            "forgotten but for threads in which others write too: each is forgotten if it is named itself",
        ),
        () => (true, "forgotten, and written over in the files"),
    }
}

/// The threads that are meant, and whether there are more; none if nothing is understood.
async fn named(forget: &Forget, who: &Pii) -> Result<Option<(ForgetScope, bool)>, Error> {
    let one = |thread| (ForgetScope { threads: vec![thread], spares_others: false }, false);
    let text = who.reveal().trim();
    if let Ok(thread) = text.parse::<ThreadId>() {
        return Ok(Some(one(thread)));
    }
    if let Ok(message) = text.parse::<MessageId>() {
        let Some(timeline) = &forget.timeline else { return Ok(None) };
        return Ok(timeline.thread_of(message).await?.map(one));
    }
    if !text.starts_with('+') && !text.contains(':') {
        return Ok(None);
    }
    let TheirThreads { threads, is_cut } = forget.channels.threads_of(&Pii::from(text)).await?;
    Ok(Some((ForgetScope { threads, spares_others: true }, is_cut)))
}

fn unavailable(error: &Error) -> Response {
    tracing::error!(error = %Chain(error), "what was asked about a person could not be done");
    problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_done_only_if_something_was_and_nothing_is_left() {
        let whole = ForgottenThread { jobs: 2, ..ForgottenThread::default() };
        let out = ForgottenThread { under_way: vec!["inbox".to_owned()], ..whole.clone() };
        let group = ForgottenThread { of_several: true, ..whole.clone() };
        let empty_group = ForgottenThread { jobs: 0, ..group.clone() };
        let told = |threads: &[ForgottenThread], is_cut| outcome(threads, true, is_cut);
        assert!(told(std::slice::from_ref(&whole), false).0);
        assert!(told(&[whole.clone(), empty_group], false).0, "nothing is kept of the group");
        for (threads, is_cut, part) in [
            (&[][..], false, "nothing is kept"),
            (&[whole.clone(), out], false, "ask again"),
            (std::slice::from_ref(&whole), true, "more threads"),
            (&[whole.clone(), group], false, "named itself"),
        ] {
            let (done, detail) = told(threads, is_cut);
            assert!(!done && detail.contains(part), "{detail}");
        }
        assert_eq!(outcome(&[whole], false, false), (false, "nothing was changed"));
    }
}
