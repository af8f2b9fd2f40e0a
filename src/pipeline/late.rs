//! Brings replies that come after their turn into the outbox.

use futures::future::BoxFuture;

use crate::agent::later::{Batch, Outbox, OutboxError};
use crate::clock::Clock;
use crate::pipeline::outbound;
use crate::queue::{Appended, Queue};

/// The outbox as the door for late replies sees it.
#[derive(Clone)]
pub struct Late {
    /// The queue of replies.
    pub outbox: Queue,
    /// Reads the time.
    pub clock: Clock,
}

impl Outbox for Late {
    fn put(&self, batch: Batch) -> BoxFuture<'_, Result<usize, OutboxError>> {
        Box::pin(async move {
            let appends = outbound::of_key(batch, self.clock.wall());
            if appends.is_empty() {
                return Ok(0);
            }
            let appended =
                self.outbox.append(appends).await.map_err(|error| OutboxError(Box::new(error)))?;
            Ok(appended.into_iter().filter(|appended| *appended == Appended::Added).count())
        })
    }
}
