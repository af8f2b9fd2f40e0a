//! Twilio's requests: limit, verify, decode, store, answer.
//!
//! [`ROUTE`] takes every Conversations event, [`TEXT_ROUTES`] and [`Options::text_paths`] the messages
//! that belong to none, [`TEXT_STATUS_ROUTE`] how such messages fare that were sent; each by POST or GET.
//! One gate is before all of these doors, in this order: the body is
//! read within its bounds; the signature is checked over the raw bytes and the public URL; only then
//! are the fields read. What they tell is acknowledged after an intake has stored it and
//! never before: Twilio does not send it again, so a 2xx is a promise. (Of messages it does where
//! the URL ends in `#rc=3&rp=5xx,ct,rt`.) A pre-action event is always let through, because refusing one
//! drops a customer's message.
//!
//! | case | answer |
//! | --- | --- |
//! | neither GET nor POST | 405 `{"error":"method_not_allowed"}` |
//! | body above the limit, or a form of more than 1,000 fields | 413 `{"error":"too_large"}` |
//! | body slower than the limit | 408 `{"error":"too_slow"}` |
//! | signature missing, repeated or wrong, or the host that was called unknown | 403 `{"error":"invalid_signature"}` |
//! | pre-action event | 200 `{}` |
//! | signed, but for conversations or numbers where none are set up | 404 `{"error":"not_configured","needs":"TWILIO_PHONE_NUMBER"}` |
//! | signed, but unreadable | 400 `{"error":"malformed","field":"MessageSid"}` |
//! | another account's | 403 `{"error":"wrong_account"}` |
//! | another chat service's, or an unknown type | 200 `{"ok":true}`, counted as ignored |
//! | an event, stored | 200 `{"ok":true}` |
//! | a message or a state, stored | 200 `<?xml version="1.0" encoding="UTF-8"?><Response></Response>`, `text/xml; charset=utf-8` |
//! | not stored, or too many others send large bodies | 503 `{"error":"unavailable"}` |
//!
//! No answer is plain text, which Twilio would send to the writer of a message, and each has its length.
//! Source: Conversations webhooks, "What to answer", and TwiML for messaging, read 2026-11-21; shapes of the error bodies:
//! BitBrat, `integration-bit.ts`. The same event may come twice, from two scopes or as a retry: the
//! intake tells them apart by sid, nothing here does.
//!
//! Time enters through the [`Clock`] and timers, secrets with [`Options::keys`]. What is logged of a
//! request: the reason of a refusal, and the URLs tried, without their queries and cut. Of each kind of
//! refusal some lines a minute are logged; see [`crate::telemetry::refusals`].

mod answer;
mod conversations;
mod gate;
mod intake;
mod options;
mod refused;
mod texts;
mod url;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::{MethodRouter, any};

use self::conversations::ConversationRoute;
use self::gate::{Gate, GateDoor};
pub use self::intake::{Intake, Intakes, Meta, TextIntake, Unavailable};
pub use self::options::Options;
use self::texts::{Texts, ToldText};
pub use self::url::{Nameable, PublicBase, ROUTE, Scheme, TEXT_ROUTES, TEXT_STATUS_ROUTE};
use crate::clock::Clock;
use crate::telemetry::metrics::Metrics;

/// Builds the router of all doors.
///
/// # Panics
///
/// If a further path is none, or has braces.
pub fn router(options: Options, intakes: Intakes, metrics: Metrics, clock: Clock) -> Router {
    let refused = refused::Refused::new(clock);
    let further = options.text_paths.clone();
    let gate = Arc::new(Gate { options, metrics, clock, refused });
    let Intakes { conversations, texts } = intakes;
    let text = Arc::new(Texts { intake: texts.clone(), otherwise: ToldText::Text });
    let status = Texts { intake: texts, otherwise: ToldText::Status };
    let mut router = Router::new()
        .route(ROUTE, at(&gate, Arc::new(ConversationRoute { intake: conversations })))
        .route(TEXT_STATUS_ROUTE, at(&gate, Arc::new(status)));
    let paths: BTreeSet<&str> =
        TEXT_ROUTES.into_iter().chain(further.iter().map(String::as_str)).collect();
    for path in paths.into_iter().filter(|path| ![ROUTE, TEXT_STATUS_ROUTE].contains(path)) {
        router = router.route(path, at(&gate, Arc::clone(&text)));
    }
    router
}

/// Puts a door behind the gate.
fn at<D: GateDoor + 'static>(gate: &Arc<Gate>, door: Arc<D>) -> MethodRouter {
    let gate = Arc::clone(gate);
    any(move |request: Request| {
        let (gate, door) = (Arc::clone(&gate), Arc::clone(&door));
        async move { gate.handle(request, &*door).await }
    })
}

#[cfg(test)]
mod tests;
