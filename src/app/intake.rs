//! Brings webhook events to the channel of conversations: the two rooms meet here.

use futures::future::BoxFuture;

use crate::channels::conversations::arrivals::Arrivals;
use crate::twilio::events::Envelope;
use crate::webhook::{Intake, Meta, Unavailable};

/// Stores first; the webhook answers after it.
pub struct StoreFirst(pub Arrivals);

impl Intake for StoreFirst {
    fn take(&self, event: Envelope, meta: Meta) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            self.0.event_heard(event, meta.received_at).await.map_err(Unavailable::new)
        })
    }
}
