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
mod refused;
mod url;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use futures::future::BoxFuture;

use crate::clock::{Clock, Timestamp};
use crate::net::authority::Hosts;
use crate::telemetry::metrics::Metrics;
use crate::twilio::events::Envelope;
use crate::twilio::sid::{AccountSid, ChatServiceSid};
use crate::twilio::signature::Keys;

pub use self::url::{Nameable, PublicBase, Scheme};

/// Where Twilio's requests arrive.
pub const ROUTE: &str = "/webhooks/twilio";

/// Whose requests are taken, how they are checked, and the bounds.
#[derive(Clone, Debug)]
pub struct Options {
    /// The account whose events are taken.
    pub account_sid: AccountSid,
    /// The chat service whose events are taken; every one if there is none.
    pub chat_service_sid: Option<ChatServiceSid>,
    /// The secrets that may have signed.
    pub keys: Keys,
    /// How Twilio reaches this service; nothing of the request is trusted for it.
    pub public_base: Option<PublicBase>,
    /// Which hosts requests may say that they called, where there is no public base.
    pub nameable: Nameable,
    /// Whether forwarded headers may say what Twilio called, where there is no public base.
    pub trust_forwarded: bool,
    /// The scheme that the listener speaks, where neither of these says.
    pub listener_scheme: Scheme,
    /// How many bytes a body may have.
    pub body_bytes_max: usize,
    /// How long a body may take to arrive.
    pub read_timeout: Duration,
    /// How long a request may take until it is answered, storing included; under the 5 s that Twilio
    /// waits, and hardly so, because an event that is refused does not come again.
    pub answer_within: Duration,
}

impl Options {
    /// Fills in the bounds: 64 KiB, 3 s to read, 4.5 s in all; no public base, no host that may
    /// be named instead, so nothing is taken before one of the two is given; no forwarded headers.
    #[must_use]
    pub fn new(account_sid: AccountSid, keys: Keys) -> Self {
        Self {
            account_sid,
            chat_service_sid: None,
            keys,
            public_base: None,
            nameable: Nameable::Listed(Hosts::default()),
            trust_forwarded: false,
            listener_scheme: Scheme::Http,
            body_bytes_max: 64 * 1024,
            read_timeout: Duration::from_secs(3),
            answer_within: Duration::from_millis(4_500),
        }
    }
}

/// What is known of a request besides its event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Meta {
    /// When it had arrived.
    pub received_at: Timestamp,
    /// Twilio's token, the same on a retry of this request; a hint and never a guarantee.
    pub idempotency_token: Option<String>,
}

/// Takes events that are verified, decoded and ours.
pub trait Intake: Send + Sync {
    /// Stores what an event asks for; `Ok` promises that it outlives this process.
    ///
    /// Gets post-action events of known types only. The same event may come again.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] where it could not be stored; the sender is told so.
    ///
    /// # Cancel safety
    ///
    /// It is dropped where storing takes too long; it may then have stored the event all the same.
    fn take(&self, event: Envelope, meta: Meta) -> BoxFuture<'_, Result<(), Unavailable>>;
}

/// Says that an event was not stored.
#[derive(Debug, thiserror::Error)]
#[error("the event was not stored")]
pub struct Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>);

impl Unavailable {
    /// Keeps the cause for the log.
    #[must_use]
    pub fn new(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(Box::new(cause))
    }
}

/// Builds the router of [`ROUTE`].
pub fn router(options: Options, intake: Arc<dyn Intake>, metrics: Metrics, clock: Clock) -> Router {
    let refused = refused::Refused::new(clock);
    let room = Arc::new(handler::Room { options, intake, metrics, clock, refused });
    Router::new().route(ROUTE, any(handler::handle)).with_state(room)
}

#[cfg(test)]
mod tests;
