//! Twilio's requests: limit, verify, decode, store, answer.
//!
//! One route, [`ROUTE`], for every Conversations event, by POST or GET. In this order: the body is
//! read within its bounds; the signature is checked over the raw bytes and the public URL; only then
//! are the fields read. A post-action event is acknowledged after [`Intake::take`] has stored it and
//! never before: Twilio does not send it again, so a 2xx is a promise. A pre-action event is always
//! let through, because refusing one drops a customer's message.
//!
//! | case | answer |
//! | --- | --- |
//! | neither GET nor POST | 405 `{"error":"method_not_allowed"}` |
//! | body above the limit, or a form of more than 1,000 fields | 413 `{"error":"too_large"}` |
//! | body slower than the limit | 408 `{"error":"too_slow"}` |
//! | signature missing, repeated or wrong, or the host that was called unknown | 403 `{"error":"invalid_signature"}` |
//! | pre-action event | 200 `{}` |
//! | signed, but unreadable | 400 `{"error":"malformed","field":"MessageSid"}` |
//! | another account's | 403 `{"error":"wrong_account"}` |
//! | another chat service's, or an unknown type | 200 `{"ok":true}`, counted as ignored |
//! | stored | 200 `{"ok":true}` |
//! | not stored, or too many others send large bodies | 503 `{"error":"unavailable"}` |
//!
//! Source: Conversations webhooks, "What to answer", read 2026-11-21; shapes of the error bodies:
//! BitBrat, `integration-bit.ts`. The same event may come twice, from two scopes or as a retry: the
//! intake tells them apart by sid, nothing here does.
//!
//! Time enters through the [`Clock`] and timers, secrets with [`Options::keys`]. What is logged of a
//! request: the reason of a refusal, and the URLs tried, without their queries and cut. Of each kind of
//! refusal some lines a minute are logged; see [`crate::telemetry::refusals`].

mod answer;
mod handler;
mod intake;
mod options;
mod refused;
mod url;

use std::sync::Arc;

use axum::Router;
use axum::routing::any;

pub use self::intake::{Intake, Meta, Unavailable};
pub use self::options::Options;
pub use self::url::{Nameable, PublicBase, ROUTE, Scheme};
use crate::clock::Clock;
use crate::telemetry::metrics::Metrics;

/// Builds the router of [`ROUTE`].
pub fn router(options: Options, intake: Arc<dyn Intake>, metrics: Metrics, clock: Clock) -> Router {
    let refused = refused::Refused::new(clock);
    let room = Arc::new(handler::Room { options, intake, metrics, clock, refused });
    Router::new().route(ROUTE, any(handler::handle)).with_state(room)
}

#[cfg(test)]
mod tests;
