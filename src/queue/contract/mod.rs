//! The room's contract as tests, written against the public handles only.
//!
//! Every engine brings a [`Harness`] and runs all of it. Waits are bounded and on observables.

use std::future::Future;
use std::time::Duration;

use super::{Append, Appended, Cause, Delivery, Error, JobId, Key, Queue, QueueName, Store};
use crate::clock::{Clock, Timestamp};

mod absorb;
mod delivery;
mod embedded;
mod letters;
mod model;

/// A lease for claims about its end; long enough that a busy machine does not end it by itself.
const SHORT_LEASE: Duration = Duration::from_millis(600);

/// A lease that no test outlives.
const LONG_LEASE: Duration = Duration::from_secs(60);

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long nothing must happen for a test to believe that nothing does.
const QUIET: Duration = Duration::from_millis(50);

/// Opens stores of one engine. One harness is one place: opening again finds what was stored.
pub(super) trait Harness {
    /// Makes an empty place.
    fn empty() -> Self;

    /// Opens the store there, with such leases.
    fn open_leasing(&self, lease: Duration) -> impl Future<Output = Store>;

    /// Opens the store there.
    fn open(&self) -> impl Future<Output = Store> {
        self.open_leasing(LONG_LEASE)
    }
}

/// Runs every claim of the contract on an engine.
macro_rules! contract {
    ($harness:ty: $($room:ident::{$($claim:ident),* $(,)?}),* $(,)?) => {$($(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $claim() {
            super::$room::$claim(<$harness as super::Harness>::empty()).await;
        }
    )*)*};
}
use contract;

fn id(name: &str) -> JobId {
    JobId::digest("test", &[name.as_bytes()])
}

/// A job named by its payload.
fn job(key: &str, name: &str) -> Append {
    Append {
        id: id(name),
        key: Key::new(key).unwrap(),
        position: None,
        not_before: None,
        payload: name.as_bytes().to_vec(),
    }
}

fn cause(class: &'static str, code: u32) -> Cause {
    Cause::new(class).with_code(code).with_detail("told by the test")
}

fn name(delivery: &Delivery) -> &str {
    std::str::from_utf8(delivery.payload()).unwrap()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it never happened")
}

async fn next(queue: &Queue) -> Delivery {
    soon(queue.next()).await.unwrap()
}

/// Takes the next delivery, which must be this one.
async fn next_is(queue: &Queue, wanted: &str) -> Delivery {
    let delivery = next(queue).await;
    assert_eq!(name(&delivery), wanted);
    delivery
}

async fn nothing_is_due(queue: &Queue) {
    if let Ok(delivery) = tokio::time::timeout(QUIET, queue.next()).await {
        panic!("{} came", name(&delivery.unwrap()));
    }
}

async fn append(queue: &Queue, job: Append) -> Appended {
    queue.append(vec![job]).await.unwrap()[0]
}

fn inbox(store: &Store) -> Queue {
    store.queue(QueueName::Inbox)
}
