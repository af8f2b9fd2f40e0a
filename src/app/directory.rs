//! Tells the operator's routes which threads there are: the rooms meet here.

use futures::future::BoxFuture;

use crate::admin::replies::Failed;
use crate::admin::threads::ThreadDirectory;
use crate::channels::{Channels, KnownThreads};
use crate::queue::DocumentCursor;
use crate::thread::{Thread, ThreadId};

/// The channels, as who knows threads.
pub struct ChannelDirectory(pub Channels);

impl ThreadDirectory for ChannelDirectory {
    fn thread(&self, id: ThreadId) -> BoxFuture<'_, Result<Option<Thread>, Failed>> {
        Box::pin(async move {
            // A conversation's name says all of it, and Twilio need not be asked.
            if let Some(thread) = Thread::named(id) {
                return Ok(Some(thread));
            }
            self.0.thread(id).await.map_err(|error| Failed(Box::new(error)))
        })
    }

    fn ending<'a>(
        &'a self,
        digits: &'a str,
        after: Option<DocumentCursor>,
    ) -> BoxFuture<'a, Result<KnownThreads, Failed>> {
        Box::pin(async move {
            self.0.ending(digits, after).await.map_err(|error| Failed(Box::new(error)))
        })
    }
}
