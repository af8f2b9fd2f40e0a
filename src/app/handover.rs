//! Brings the word of an operator or a bot to the handoff: the rooms meet here.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::channels::handover::{Handover, NotHandedOver, TakenThread};
use crate::pipeline::handoff::{Error, Handoff};
use crate::thread::ThreadId;

/// The pipeline's handoff as the routes see it.
pub struct OperatorHands(pub Arc<Handoff>);

impl Handover for OperatorHands {
    fn set(&self, thread: ThreadId, is_paused: bool) -> BoxFuture<'_, Result<(), NotHandedOver>> {
        Box::pin(async move { self.0.set(thread, is_paused).await.map_err(told) })
    }

    fn taken_back(&self, thread: ThreadId) -> BoxFuture<'_, Result<u64, NotHandedOver>> {
        let count = self.0.taken_back(thread);
        Box::pin(async { count.await.map_err(|error| NotHandedOver::Failed(Box::new(error))) })
    }

    fn take_back(&self, thread: ThreadId) -> BoxFuture<'_, Result<(), NotHandedOver>> {
        Box::pin(async move { self.0.take_back(thread).await.map_err(told) })
    }

    fn paused(&self, count: usize) -> BoxFuture<'_, Vec<TakenThread>> {
        Box::pin(self.0.paused(count))
    }
}

fn told(error: Error) -> NotHandedOver {
    match error {
        Error::Unknown(_) => NotHandedOver::Unknown,
        Error::Attributes(_) => NotHandedOver::Attributes,
        Error::Channel(_) | Error::Store(_) => NotHandedOver::Failed(Box::new(error)),
    }
}
