//! One job in a consumer's hands.
//!
//! Settling consumes the delivery; dropping it gives the job back. Decides nothing and reads no time
//! beyond the pace of [`Delivery::keep_alive`]; what settling means is the engine's.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::engine::{Leased, Settlement};
use super::{Absorbed, Append, Appended, Cause, Error, JobId, Key, QueueName, job};
use crate::clock::{Clock, Timestamp};

/// A leased job. Dropped without settling, it is given back at once.
#[must_use = "a delivery that is dropped comes again"]
pub struct Delivery {
    leased: Leased,
    settled: bool,
    ending: Ending,
}

/// Tells who passed a delivery on how it was settled.
#[derive(Clone, Debug, Default)]
pub struct Ending(Arc<OnceLock<Ended>>);

/// How a delivery was settled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// The job is done.
    Done,
    /// It comes again, counted as another attempt or not.
    Again,
    /// It is a dead letter.
    Dead,
}

impl Ending {
    /// How it was settled; nothing if it was not, or if that could not be stored.
    #[must_use]
    pub fn read(&self) -> Option<Ended> {
        self.0.get().copied()
    }
}

impl Ended {
    const fn by(settlement: &Settlement) -> Self {
        match settlement {
            Settlement::Ack(_) => Self::Done,
            Settlement::Retry(..)
            | Settlement::PutOff(_)
            | Settlement::Shelve(_)
            | Settlement::Park(_) => Self::Again,
            Settlement::Dead(_) => Self::Dead,
        }
    }
}

impl Delivery {
    /// The most jobs that one call absorbs.
    pub const ABSORB_MAX: usize = 100;

    pub(super) fn new(leased: Leased) -> Self {
        Self { leased, settled: false, ending: Ending::default() }
    }

    /// Gives what will tell how it was settled.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.ending.clone()
    }

    /// Names the job.
    #[must_use]
    pub const fn id(&self) -> JobId {
        self.leased.id
    }

    /// Names the lane.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.leased.key
    }

    /// Gives the position it was appended with.
    #[must_use]
    pub const fn position(&self) -> Option<u64> {
        self.leased.position
    }

    /// Says when it was appended.
    #[must_use]
    pub const fn appended_at(&self) -> Timestamp {
        self.leased.appended_at
    }

    /// Gives the payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.leased.payload
    }

    /// Counts the deliveries of this job, from 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.leased.attempt
    }

    /// Says whether an earlier delivery may have had effects, also one before a crash.
    #[must_use]
    pub const fn redelivered(&self) -> bool {
        self.leased.redelivered
    }

    /// Says for how long nobody else had the job: since an earlier delivery ended at the latest, or since
    /// this process took it over; else since it came in.
    #[must_use]
    pub const fn rested(&self) -> Duration {
        self.leased.rested
    }

    /// Says whether the job is this consumer's at this moment: what cannot be taken back is begun only
    /// then.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.leased.lease.is_held()
    }

    /// Says whether a job with a lower position came into its lane since this one was delivered; given
    /// back, this one comes after it. Every job counts whose append this process has seen answered,
    /// also as a duplicate of another process's.
    ///
    /// # Errors
    ///
    /// [`Error::Away`] if it cannot be said now, since the engine has not read so far.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    pub async fn overtaken(&self) -> Result<bool, Error> {
        self.leased.lease.overtaken().await
    }

    /// Takes the next jobs of the lane along, up to `max` of those that are due, in their order.
    ///
    /// They are settled as this delivery is. May be called again, for those that came since. A job
    /// that overtook this one is among them, so their order with this one is by position.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] if the lease is over, [`Error::Invalid`] for more than
    /// [`Delivery::ABSORB_MAX`]; a storage error if one could not be read, and then none is taken.
    ///
    /// # Cancel safety
    ///
    /// Dropped while waiting, the jobs wait as before.
    pub async fn absorb(&self, max: usize) -> Result<Vec<Absorbed>, Error> {
        if max > Self::ABSORB_MAX {
            return Err(Error::Invalid { what: "a delivery absorbs at most 100 jobs at once" });
        }
        self.leased.lease.absorb(max).await
    }

    /// Lets absorbed jobs wait again, as if nobody had seen them. They go out behind this one.
    pub fn leave(&self, jobs: &[Absorbed]) {
        let seqs: Vec<_> = jobs.iter().map(|job| job.seq).collect();
        if !seqs.is_empty() {
            self.leased.lease.leave(&seqs);
        }
    }

    /// Settles the job: done.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] if it comes too late; a storage error if it could not be stored, and the
    /// job comes again.
    ///
    /// # Cancel safety
    ///
    /// Dropped while waiting, the job is settled or comes again. This holds for all ways to settle.
    pub async fn ack(self) -> Result<(), Error> {
        self.settle(Settlement::Ack(Vec::new())).await.map(drop)
    }

    /// Settles the job and appends others, in one transaction.
    ///
    /// # Errors
    ///
    /// As [`Delivery::ack`]; after an error nothing was appended. [`Error::Invalid`] as
    /// [`super::Queue::append`], and the job is given back.
    pub async fn ack_and_append(
        self,
        jobs: Vec<(QueueName, Append)>,
    ) -> Result<Vec<Appended>, Error> {
        job::check(&jobs)?;
        self.settle(Settlement::Ack(jobs)).await
    }

    /// Gives the job back for another attempt after `delay`, which holds back the rest of its key.
    ///
    /// # Errors
    ///
    /// As [`Delivery::ack`].
    pub async fn retry_in(self, delay: Duration, cause: Cause) -> Result<(), Error> {
        self.settle(Settlement::Retry(delay, cause)).await.map(drop)
    }

    /// Gives the job back as if it had not been delivered, for `delay` or until
    /// [`Queue::wake`](super::Queue::wake), which holds back the rest of its key. For who did nothing
    /// about it: neither attempt nor history is kept, and `redelivered` stays what it was.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] if it comes too late.
    pub async fn put_off(self, delay: Duration) -> Result<(), Error> {
        self.settle(Settlement::PutOff(delay)).await.map(drop)
    }

    /// As [`Delivery::put_off`], for what is kept until somebody else says so: a person who has the thread,
    /// an agent that thinks. Until it is woken, settled or put off, the job and those behind it count as
    /// [`Stats::held`](super::Stats::held) and their age is nobody's wait.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] if it comes too late.
    pub async fn shelve(self, delay: Duration) -> Result<(), Error> {
        self.settle(Settlement::Shelve(delay)).await.map(drop)
    }

    /// Gives the job back for `delay` or until [`Queue::wake`](super::Queue::wake), which holds back the
    /// rest of its key, because what it needs is away. For who may have done something about it: the
    /// next delivery is `redelivered`; but neither attempt nor history is kept, since it is not the job
    /// that failed.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] if it comes too late.
    pub async fn park(self, delay: Duration) -> Result<(), Error> {
        self.settle(Settlement::Park(delay)).await.map(drop)
    }

    /// Makes the job a dead letter; the rest of its key goes on.
    ///
    /// # Errors
    ///
    /// As [`Delivery::ack`].
    pub async fn dead(self, cause: Cause) -> Result<(), Error> {
        self.settle(Settlement::Dead(cause)).await.map(drop)
    }

    /// Starts the time of the lease anew.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] if it ran out before.
    pub async fn extend(&self) -> Result<(), Error> {
        self.leased.lease.extend().await
    }

    /// Extends the lease three times in its time for ever, and answers only when that fails or another
    /// process has taken over.
    ///
    /// Made for `select!` beside the work.
    ///
    /// # Cancel safety
    ///
    /// Dropping it stops the extending and nothing else.
    pub async fn keep_alive(&self) -> Error {
        let clock = Clock::start();
        let mut lost = self.leased.lease.lost();
        loop {
            tokio::select! {
                () = &mut lost => return Error::LeaseLost { id: self.leased.id },
                () = clock.sleep(self.leased.lease_time / 3) => {}
            }
            if let Err(error) = self.extend().await {
                return error;
            }
        }
    }

    /// Waits until another job of the same lane is due, which goes out once this one is settled.
    ///
    /// Made for `select!` beside work that a newer job makes pointless.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] if the lease is over, noticed when the queue changes at the latest;
    /// [`Error::Closed`] after the store is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    pub async fn lane_grew(&self) -> Result<(), Error> {
        self.leased.lease.grown().await
    }

    async fn settle(mut self, settlement: Settlement) -> Result<Vec<Appended>, Error> {
        let ended = Ended::by(&settlement);
        let answer = self.leased.lease.settle(settlement).await;
        self.settled = true;
        if answer.is_ok() {
            // Nobody was before: settling consumes the delivery.
            let _first = self.ending.0.set(ended);
        }
        answer
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.settled {
            self.leased.lease.give_back();
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("id", &self.leased.id)
            .field("key", &self.leased.key)
            .field("attempt", &self.leased.attempt)
            .field("redelivered", &self.leased.redelivered)
            .field("payload_bytes", &self.leased.payload.len())
            .finish_non_exhaustive()
    }
}
