//! Brings webhooks to their channels: the rooms meet here.

use futures::future::BoxFuture;
use uuid::Uuid;

use crate::channels::conversations::arrivals::Arrivals;
use crate::channels::direct::intake::TextIntake;
use crate::twilio::events::Envelope;
use crate::twilio::messaging::{Inbound, StatusUpdate};
use crate::webhook::{self, Intake, Meta, Unavailable};

/// Stores first; the webhook answers after it.
pub struct StoreFirst(pub Arrivals);

impl Intake for StoreFirst {
    fn take(&self, event: Envelope, meta: Meta) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            self.0.event_heard(event, meta.received_at).await.map_err(Unavailable::new)
        })
    }
}

/// As [`StoreFirst`], for messages by plain numbers.
pub struct TextsFirst(pub TextIntake);

impl webhook::TextIntake for TextsFirst {
    fn text(&self, inbound: Inbound, meta: Meta) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            self.0.text_heard(inbound, meta.received_at).await.map_err(Unavailable::new)
        })
    }

    fn status(
        &self,
        update: StatusUpdate,
        reply: Option<Uuid>,
        meta: Meta,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            let heard = self.0.status_heard(update, reply, meta.received_at).await;
            heard.map_err(Unavailable::new)
        })
    }
}
