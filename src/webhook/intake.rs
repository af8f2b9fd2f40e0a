//! Where a request's event goes once it is verified, decoded and ours.

use std::sync::Arc;

use futures::future::BoxFuture;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::twilio::events::Envelope;
use crate::twilio::messaging::{Inbound, StatusUpdate};

/// What is known of a request besides its event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Meta {
    /// When it had arrived.
    pub received_at: Timestamp,
    /// Twilio's token, the same on a retry of this request; a hint and never a guarantee.
    pub idempotency_token: Option<String>,
}

/// Takes events that are verified, decoded and ours.
///
/// `app` joins the two: webhooks and channels know each other only by this.
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

/// Takes messages that belong to no conversation, and how those fare that were sent.
///
/// `app` joins the two: webhooks and channels know each other only by this.
pub trait TextIntake: Send + Sync {
    /// Stores a message that came in; `Ok` promises that it outlives this process.
    ///
    /// It may have come to an address that is none of ours. The same one may come again.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] where it could not be stored; the sender is told so.
    ///
    /// # Cancel safety
    ///
    /// It is dropped where storing takes too long; it may then have stored the message all the same.
    fn text(&self, inbound: Inbound, meta: Meta) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// Stores how a message fares that was sent, and which reply it is if the callback says so. What is
    /// told of one message comes in any order, and may come again.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] where it could not be stored; the sender is told so.
    ///
    /// # Cancel safety
    ///
    /// It is dropped where storing takes too long; it may then have stored the state all the same.
    fn status(
        &self,
        update: StatusUpdate,
        reply: Option<Uuid>,
        meta: Meta,
    ) -> BoxFuture<'_, Result<(), Unavailable>>;
}

/// Who takes what comes. What nobody takes is answered 404.
#[derive(Clone, Default)]
pub struct Intakes {
    /// Takes events of Conversations.
    pub conversations: Option<Arc<dyn Intake>>,
    /// Takes messages that belong to no conversation.
    pub texts: Option<Arc<dyn TextIntake>>,
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
