//! What callers and the writer have in common.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::dispatch::Dispatch;
use super::fault::Fault;
use super::fresh::Fresh;
use super::marks::DirtyMarks;
use crate::queue::QueueName;
use crate::queue::engine::Trouble;

/// What callers and the writer have in common.
pub(super) struct Shared {
    pub(super) dispatch: [Dispatch; QueueName::ALL.len()],
    pub(super) fresh: Fresh,
    pub(super) marks: DirtyMarks,
    pub(super) fault: Fault,
    pub(super) closed: CancellationToken,
    /// Whether what is written is kept.
    pub(super) trouble: watch::Sender<Trouble>,
}

impl Shared {
    /// One queue's lanes.
    pub(super) const fn dispatch(&self, queue: QueueName) -> &Dispatch {
        let [joins, inbox, outbox, reports] = &self.dispatch;
        match queue {
            QueueName::Joins => joins,
            QueueName::Inbox => inbox,
            QueueName::Outbox => outbox,
            QueueName::Reports => reports,
        }
    }
}
