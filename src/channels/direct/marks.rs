//! How a direct thread is marked as a person's: in our own store, since Twilio keeps nothing of it.

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::channels::documents::{read, update};
use crate::channels::{Error, Marking, ThreadMarks};
use crate::clock::{Clock, Timestamp};
use crate::pii::Pii;
use crate::queue::Documents;
use crate::thread::ThreadId;

/// The marks of direct threads.
#[derive(Debug)]
pub struct DirectMarks {
    /// Where they are kept.
    pub documents: Documents,
    /// Dates them.
    pub clock: Clock,
}

/// What is kept.
#[derive(Clone, Deserialize, Serialize)]
struct Marked {
    attributes: Pii,
    updated: Timestamp,
}

impl Marking for DirectMarks {
    /// Every pair of addresses is a thread, whether or not anything was said in it.
    fn marks(&self, thread: ThreadId) -> BoxFuture<'_, Result<Option<ThreadMarks>, Error>> {
        Box::pin(async move {
            let marked: Option<Marked> = read(&self.documents, &name(thread)).await?;
            let marks = marked.map(|Marked { attributes, updated }| ThreadMarks {
                attributes: Some(attributes),
                updated: Some(updated),
            });
            Ok(Some(marks.unwrap_or_default()))
        })
    }

    fn set_marks<'a>(
        &'a self,
        thread: ThreadId,
        attributes: &'a str,
    ) -> BoxFuture<'a, Result<Option<Timestamp>, Error>> {
        Box::pin(async move {
            let updated = self.clock.wall();
            let change = |_| Some(Marked { attributes: attributes.into(), updated });
            update(&self.documents, &name(thread), change).await?;
            Ok(Some(updated))
        })
    }

    fn tells(&self, _: ThreadId) -> bool {
        false
    }
}

/// What a thread's marks are called.
pub(super) fn name(thread: ThreadId) -> String {
    format!("marks/{thread}")
}
