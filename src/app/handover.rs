//! Brings the operator's word to the handoff: the two rooms meet here.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::admin::handoff::{Handover, NotHandedOver};
use crate::agent::kind::{Handing, NotHanded};
use crate::pipeline::handoff::{Error, Handoff};
use crate::thread::ThreadId;

/// The pipeline's handoff as the operator's routes see it.
pub struct OperatorHands(pub Arc<Handoff>);

impl Handover for OperatorHands {
    fn set(&self, thread: ThreadId, is_paused: bool) -> BoxFuture<'_, Result<(), NotHandedOver>> {
        Box::pin(async move {
            self.0.set(thread, is_paused).await.map_err(|error| match error {
                Error::Unknown(_) => NotHandedOver::Unknown,
                Error::Attributes(_) => NotHandedOver::Attributes,
                Error::Channel(_) | Error::Store(_) => NotHandedOver::Failed(Box::new(error)),
            })
        })
    }

    fn paused(&self, count: usize) -> BoxFuture<'_, Vec<ThreadId>> {
        Box::pin(self.0.paused(count))
    }
}

impl Handing for OperatorHands {
    fn set(&self, thread: ThreadId, is_paused: bool) -> BoxFuture<'_, Result<(), NotHanded>> {
        Box::pin(async move {
            self.0.set(thread, is_paused).await.map_err(|error| match error {
                Error::Unknown(_) => NotHanded::Unknown,
                Error::Attributes(_) => NotHanded::Attributes,
                Error::Channel(_) | Error::Store(_) => NotHanded::Failed(Box::new(error)),
            })
        })
    }
}
