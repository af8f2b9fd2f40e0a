//! What all who work on a queue have in common: the [loop](worker) that takes deliveries, how one is
//! [settled](settle), what a failure [means](outcome) and when it is [tried again](schedule), and what
//! is known of [that which jobs need](dependency).

pub mod dependency;
pub mod outage;
pub mod outcome;
pub mod pace;
pub mod recorder;
pub mod refusal;
pub mod schedule;
pub mod settle;
pub mod status;
pub mod worker;

use crate::queue::Key;
use crate::thread::ThreadId;

/// The key that keeps a thread's jobs in order.
#[must_use]
pub fn lane(thread: impl Into<ThreadId>) -> Key {
    Key::new(thread.into().to_string()).expect("a thread's name is short and not empty")
}

/// Writes a record as the queues store it.
#[must_use]
pub fn encode<T: serde::Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(record).expect("records are always JSON")
}
