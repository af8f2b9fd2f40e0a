//! Where a request's event goes once it is verified, decoded and ours.

use futures::future::BoxFuture;

use crate::clock::Timestamp;
use crate::twilio::events::Envelope;

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
