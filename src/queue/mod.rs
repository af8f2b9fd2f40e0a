//! The keyed durable queue: joins, inbox, outbox and reports are the same thing.
//!
//! This page is the contract; `contract/` holds every engine to it, sentence by sentence. The room
//! knows nothing of Twilio. It decides which job is delivered next, never what a job means. Time
//! enters through [`Clock`](crate::clock::Clock) in the engines, disk I/O in `embedded/`, the network in
//! `jetstream/`, and no secret enters at all; payloads and keys may be personal and are never logged.
//!
//! What follows is the embedded engine's promise to the letter. The engine on NATS is held to the same
//! claims; where several processes and a server between them weaken a sentence, its own page says how.
//!
//! # What is promised
//!
//! **Durability.** When [`Queue::append`] answers, the jobs are on disk (`fsync`, shared by all who
//! append at that time). An append is all or nothing. An error means "not promised": append again
//! with the same ids.
//!
//! **Identity.** An id is taken once a queue. A second append of it answers
//! [`Appended::Duplicate`] and changes nothing but this: if it asks for an earlier `not_before` than
//! a job that was never delivered, that job is brought forward. Ids are remembered from the append
//! until the retention time after the job was acknowledged or dropped, across restarts.
//!
//! **Order.** Jobs of one key are a *lane*. One job of a lane is out at a time, and the next one goes
//! out only when that one is settled. Inside a lane the waiting job with the lowest `position` goes
//! first; jobs without a position keep the order of their appends, among themselves and behind
//! everything that waited when they came. The head of a lane that must wait (`not_before`,
//! [`Delivery::retry_in`]) holds back what is behind it. Lanes do not hold up each other, and are
//! served in the order in which they became ready. [`Delivery::lane_grew`] tells the holder of a job
//! that the next one of its lane is due, [`Delivery::overtaken`] that one came in which goes before
//! its own; given back, its own comes after it.
//!
//! **Absorbing.** [`Delivery::absorb`] takes the next due jobs of the lane along: they are out under
//! the same lease and end with it, in one transaction. An acknowledgement settles all of them, a retry
//! holds all, each with an attempt more, a dead letter is made of the first alone and the others come
//! again; so they do when the delivery is dropped, its lease lost or the process killed.
//! [`Delivery::leave`] lets some of them wait again, as if nobody had seen them.
//!
//! **Taking by key.** [`Queue::take`] leases the first job of one lane, due or not, to whoever has to do
//! with that lane alone; it ends as any delivery does.
//!
//! **Putting off.** [`Delivery::put_off`] gives all back as if nobody had seen them: no attempt is
//! counted, nothing is recorded, and they hold back their lane until then or until [`Queue::wake`]. It
//! is not on disk: after a restart they are due. [`Delivery::park`] does the same for a consumer that
//! may have done something, so that the next one is told: what the job needs is away, and an outage
//! is no failure of the jobs that meet it.
//!
//! **Leases.** A delivery is leased for [`embedded::Options::lease`] and no other consumer sees it in
//! that time. [`Delivery::extend`] starts the time anew; [`Delivery::keep_alive`] does it for as long
//! as the work goes on. A delivery dropped without settling is given back at once. A lease that ran
//! out is delivered again.
//!
//! **Fencing.** Who lost the lease cannot settle: the call answers [`Error::LeaseLost`] and changes
//! nothing.
//!
//! **At least once, and it says so.** Every append is delivered until it is settled.
//! [`Delivery::redelivered`] is true whenever an earlier delivery may have had effects: the attempt
//! is not the first, a lease was lost, the job was redriven, or it was open when the store was
//! opened. When it is false, nobody has seen the job.
//!
//! **Settling.** [`Delivery::ack`] forgets the payload and keeps the id.
//! [`Delivery::ack_and_append`] does that and appends to any queues in one transaction.
//! [`Delivery::retry_in`] and [`Delivery::dead`] record the [`Cause`] in the job's history, of which
//! the first 5 and the last 45 attempts are kept. If settling fails (a full disk), the job comes
//! again about a second later.
//!
//! **Dead letters** keep payload and history until redriven, dropped or older than their own
//! retention. A dead letter no longer holds back its lane. A redriven one starts again at attempt 1,
//! in its old place of the lane.
//!
//! **Crash.** After `kill -9`, a panic or a power cut everything acknowledged by `append`, `ack`,
//! `retry_in`, `dead`, `redrive` and `drop` is as it was answered. Leases end: all open jobs come
//! again, marked as redelivered. Counts of attempts that ended without being settled are lost.
//!
//! **Full disk, broken disk.** What cannot be stored is refused with an error that names the reason
//! and what to do; nothing is acknowledged. When there is room again, appends work again. Past
//! [`embedded::Options::bytes_max`] the oldest remembered ids go first, then the oldest dead letters,
//! never an open job; then appends are refused.
//!
//! **Marks** are numbers by name that only rise. [`Marks::raise`] is on disk at most about a second
//! later and at [`Store::close`]; a crash may bring back a lower number.
//!
//! **Documents** are small values by name. [`Documents::update`] changes one as it is at that moment,
//! whoever else does, and the change is on disk when it returns. One whose name begins with
//! [`Documents::SHORT_LIVED`] is forgotten once it has not been written for the retention time; the others
//! stay until somebody who knows what they say lists and removes them.

#[cfg(test)]
mod contract;
mod delivery;
mod documents;
pub mod embedded;
mod engine;
mod error;
mod inspect;
#[cfg(feature = "nats")]
pub mod jetstream;
mod job;
mod lanes;
mod listing;
mod lost_times;
mod names;
mod store;

pub use self::delivery::{Delivery, Ended, Ending};
pub use self::documents::Documents;
pub use self::engine::{Absorbed, LaneHead};
pub use self::error::{Error, FileHolder, Retry};
pub use self::inspect::{
    Attempt, CAUSE_LETTERS_MAX, Cursor, DeadCause, DeadCauses, DeadLetter, DeadLetters,
    DeadSummary, Filter, JobState, JobStatus, LANES_MAX, LanesAsked, OpenLane, Page,
    ParseCursorError, Stats,
};
pub use self::job::{Append, Appended, Cause, Key};
pub use self::listing::{DocumentCursor, DocumentPage, Listed};
pub use self::lost_times::LostTimes;
pub use self::names::{JobId, ParseJobIdError, QueueName};
pub use self::store::{Marks, Queue, Store};
