//! Which job of one queue goes out next.
//!
//! Pure: time and events go in, leases come out; payloads, ids and the disk are the engine's. Holds
//! one small entry for each open job and one lane for each key that has any.
//!
//! A lane is in one of three states, by what its first job does. Jobs behind it only wait.
//!
//! | event | `Waiting` | `Leased` | `Settling` |
//! | --- | --- | --- | --- |
//! | [`enter`](Lanes::enter) | joins in order, may become first | waits | waits |
//! | [`bring_forward`](Lanes::bring_forward) | due earlier | due earlier once it is first | same |
//! | [`take`](Lanes::take) when due | `Leased` | not offered | not offered |
//! | time passes the lease | nothing | `Waiting`, counted as an attempt | nothing |
//! | [`extend`](Lanes::extend), right token | cannot be | lease starts anew | lost |
//! | [`begin`](Lanes::begin), right token | cannot be | `Settling` | lost |
//! | [`give_back`](Lanes::give_back), right token | cannot be | `Waiting` | nothing |
//! | [`finish`](Lanes::finish), right token | cannot be | cannot be | next job, or the lane ends |
//! | [`hold`](Lanes::hold), right token | cannot be | cannot be | `Waiting` until then |
//! | any of these, wrong token | lost or nothing | lost or nothing | lost or nothing |
//!
//! Every lease has a token of its own that is never used again, so whoever lost a lease is told so.
//! `Settling` does not run out: from the moment a consumer settles, the disk decides.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::Key;
use crate::clock::Moment;

/// The open jobs of one queue.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    by_key: HashMap<Key, LaneId>,
    lanes: HashMap<LaneId, Lane>,
    /// Lanes whose first job waits, in the order in which they get their turn.
    waiting: BTreeSet<(Moment, Ticket, LaneId)>,
    /// Lanes whose job is out, by the end of the lease.
    leased: BTreeSet<(Moment, LaneId)>,
    lane_last: u64,
    ticket_last: u64,
    token_last: u64,
}

/// What the engine knows of a job that waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    /// The order of appends over the whole store; also the engine's name for the job.
    pub(super) seq: u64,
    /// Its place within the lane, where given.
    pub(super) position: Option<u64>,
    /// Not to go out earlier.
    pub(super) not_before: Moment,
    /// Deliveries so far.
    pub(super) attempts: u32,
    /// Whether an unseen earlier delivery may have had effects.
    pub(super) suspect: bool,
}

/// The right to one job, worthless once it is lost.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct LeaseId {
    lane: LaneId,
    token: u64,
}

/// One job that goes out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Taken {
    pub(super) lease: LeaseId,
    pub(super) seq: u64,
    pub(super) key: Key,
    /// Counts from 1.
    pub(super) attempt: u32,
    pub(super) redelivered: bool,
}

/// A job that is being settled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Begun {
    pub(super) seq: u64,
    /// Deliveries so far, this one included.
    pub(super) attempts: u32,
    /// Whether the store may hold a history of it.
    pub(super) redelivered: bool,
}

/// Says that the lease is somebody else's or over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Lost;

/// Counts by state.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Counts {
    pub(super) ready: u64,
    pub(super) delayed: u64,
    pub(super) leased: u64,
    /// The job that was appended first.
    pub(super) oldest_seq: Option<u64>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct LaneId(u64);

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Ticket(u64);

#[derive(Debug)]
struct Lane {
    key: Key,
    /// Jobs that wait, in order of [`Job::order`]. Never empty while the state is `Waiting`.
    jobs: VecDeque<Job>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The first of `jobs` goes out when it is due and the lane's ticket comes up.
    Waiting { due: Moment, ticket: Ticket },
    /// `job` is out with a consumer.
    Leased { job: Job, token: u64, until: Moment },
    /// `job` was settled by its consumer and the engine stores that now.
    Settling { job: Job, token: u64 },
}

#[derive(Clone, Copy, Debug)]
struct Job {
    /// The position; a job without one takes over the highest rank that waits before it.
    rank: u64,
    seq: u64,
    not_before: Moment,
    attempts: u32,
    suspect: bool,
}

impl Job {
    /// The total order within a lane. Ranks are taken over so that there is one at all: comparing
    /// positions where both have one and appends elsewhere would go in circles.
    const fn order(&self) -> (u64, u64) {
        (self.rank, self.seq)
    }
}

impl Lanes {
    /// Adds an open job.
    pub(super) fn enter(&mut self, now: Moment, key: &Key, entry: Entry) {
        let job = Job {
            rank: 0,
            seq: entry.seq,
            not_before: entry.not_before,
            attempts: entry.attempts,
            suspect: entry.suspect,
        };
        let Some(&id) = self.by_key.get(key) else {
            return self.open_lane(now, key, Job { rank: entry.position.unwrap_or(0), ..job });
        };
        let lane = self.lanes.get_mut(&id).expect("both maps hold the same lanes");
        let job = Job { rank: entry.position.unwrap_or_else(|| lane.rank_max()), ..job };
        let at = lane.insert(job);
        if at == 0 {
            self.first_changed(now, id);
        }
    }

    /// Lets a job that was never delivered go out earlier; nothing if it is not there.
    pub(super) fn bring_forward(&mut self, now: Moment, key: &Key, seq: u64, not_before: Moment) {
        let Some(&id) = self.by_key.get(key) else { return };
        let lane = self.lanes.get_mut(&id).expect("both maps hold the same lanes");
        let Some(at) = lane.jobs.iter().position(|job| job.seq == seq) else { return };
        let job = &mut lane.jobs[at];
        if job.attempts > 0 || job.not_before <= not_before {
            return;
        }
        job.not_before = not_before;
        if at == 0 {
            self.first_changed(now, id);
        }
    }

    /// Leases the first job that is due, of the lane that has waited longest for its turn.
    pub(super) fn take(&mut self, now: Moment, lease_time: Duration) -> Option<Taken> {
        self.expire(now);
        let &(due, _, id) = self.waiting.first()?;
        if due > now {
            return None;
        }
        self.waiting.pop_first();
        self.token_last += 1;
        let token = self.token_last;
        let lane = self.lanes.get_mut(&id).expect("only lanes that exist have a ticket");
        let job = lane.jobs.pop_front().expect("a waiting lane has a job");
        let until = now + lease_time;
        lane.state = State::Leased { job, token, until };
        self.leased.insert((until, id));
        let attempt = job.attempts.saturating_add(1);
        Some(Taken {
            lease: LeaseId { lane: id, token },
            seq: job.seq,
            key: lane.key.clone(),
            attempt,
            redelivered: attempt > 1 || job.suspect,
        })
    }

    /// Starts the time of a lease anew.
    pub(super) fn extend(
        &mut self,
        now: Moment,
        lease: LeaseId,
        lease_time: Duration,
    ) -> Result<(), Lost> {
        let (job, until) = self.held(now, lease)?;
        self.leased.remove(&(until, lease.lane));
        let until = now + lease_time;
        self.leased.insert((until, lease.lane));
        self.set(lease.lane, State::Leased { job, token: lease.token, until });
        Ok(())
    }

    /// Says when the next job of a lease's lane is due, if one waits behind the one that is out.
    pub(super) fn behind(&self, now: Moment, lease: LeaseId) -> Result<Option<Moment>, Lost> {
        let _ = self.held(now, lease)?;
        let waiting = self.lanes.get(&lease.lane).and_then(|lane| lane.jobs.front());
        Ok(waiting.map(|job| job.not_before))
    }

    /// Begins to settle: from here the lease cannot run out.
    pub(super) fn begin(&mut self, now: Moment, lease: LeaseId) -> Result<Begun, Lost> {
        let (job, until) = self.held(now, lease)?;
        self.leased.remove(&(until, lease.lane));
        self.set(lease.lane, State::Settling { job, token: lease.token });
        let attempts = job.attempts.saturating_add(1);
        Ok(Begun { seq: job.seq, attempts, redelivered: attempts > 1 || job.suspect })
    }

    /// Ends settling: the job is gone, its lane goes on.
    pub(super) fn finish(&mut self, now: Moment, lease: LeaseId) {
        if self.settling(lease).is_some() {
            self.go_on(now, lease.lane);
        }
    }

    /// Ends settling: the job waits until `until`, and its lane with it.
    pub(super) fn hold(&mut self, now: Moment, lease: LeaseId, until: Moment) {
        if let Some(job) = self.settling(lease) {
            self.put_back(now, lease.lane, Job { not_before: until, ..job.delivered() });
        }
    }

    /// Takes a job back that was handed out and not settled; nothing if the lease is over.
    pub(super) fn give_back(&mut self, now: Moment, lease: LeaseId) {
        if let Ok((job, until)) = self.held(now, lease) {
            self.leased.remove(&(until, lease.lane));
            self.put_back(now, lease.lane, job.delivered());
        }
    }

    /// Takes a job back that no consumer has seen, to be held until `until`.
    pub(super) fn give_back_unseen(&mut self, now: Moment, lease: LeaseId, until: Moment) {
        if let Ok((job, ends)) = self.held(now, lease) {
            self.leased.remove(&(ends, lease.lane));
            self.put_back(now, lease.lane, Job { not_before: until, ..job });
        }
    }

    /// Whether a job that goes before a leased one in its lane came in since; false if the lease is
    /// over.
    pub(super) fn is_overtaken(&self, lease: LeaseId) -> bool {
        let Some(lane) = self.lanes.get(&lease.lane) else { return false };
        match lane.state {
            State::Leased { job, token, .. } if token == lease.token => {
                lane.jobs.front().is_some_and(|first| first.order() < job.order())
            }
            State::Leased { .. } | State::Waiting { .. } | State::Settling { .. } => false,
        }
    }

    /// Says when to call [`Lanes::take`] again if it gave nothing.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let due = self.waiting.first().map(|&(due, _, _)| due);
        let lease = self.leased.first().map(|&(until, _)| until);
        due.into_iter().chain(lease).min()
    }

    /// Counts jobs by state. Walks all of them.
    pub(super) fn counts(&self, now: Moment) -> Counts {
        let mut counts = Counts::default();
        for lane in self.lanes.values() {
            let out = match lane.state {
                State::Waiting { .. } => None,
                State::Leased { job, .. } | State::Settling { job, .. } => Some(job),
            };
            counts.leased += u64::from(out.is_some());
            for job in &lane.jobs {
                let delayed = job.not_before > now;
                counts.delayed += u64::from(delayed);
                counts.ready += u64::from(!delayed);
            }
            let oldest = lane.jobs.iter().chain(&out).map(|job| job.seq).min();
            counts.oldest_seq = counts.oldest_seq.into_iter().chain(oldest).min();
        }
        counts
    }

    fn open_lane(&mut self, now: Moment, key: &Key, job: Job) {
        self.lane_last += 1;
        let id = LaneId(self.lane_last);
        let (due, ticket) = (job.not_before.max(now), self.ticket());
        self.waiting.insert((due, ticket, id));
        let state = State::Waiting { due, ticket };
        self.by_key.insert(key.clone(), id);
        self.lanes.insert(id, Lane { key: key.clone(), jobs: VecDeque::from([job]), state });
    }

    /// Gives leases that ran out back to their lanes.
    fn expire(&mut self, now: Moment) {
        while let Some(&(until, id)) = self.leased.first() {
            if until > now {
                return;
            }
            self.leased.pop_first();
            match self.lanes[&id].state {
                State::Leased { job, .. } => self.put_back(now, id, job.delivered()),
                State::Waiting { .. } | State::Settling { .. } => {
                    debug_assert!(false, "only leased lanes have an end of lease");
                }
            }
        }
    }

    /// The job of a lease that still holds, and the end of that lease.
    fn held(&self, now: Moment, lease: LeaseId) -> Result<(Job, Moment), Lost> {
        match self.lanes.get(&lease.lane).map(|lane| lane.state) {
            Some(State::Leased { job, token, until }) if token == lease.token && until > now => {
                Ok((job, until))
            }
            Some(State::Leased { .. } | State::Waiting { .. } | State::Settling { .. }) | None => {
                Err(Lost)
            }
        }
    }

    /// The job that is being settled under this lease.
    fn settling(&self, lease: LeaseId) -> Option<Job> {
        match self.lanes.get(&lease.lane)?.state {
            State::Settling { job, token } if token == lease.token => Some(job),
            State::Settling { .. } | State::Waiting { .. } | State::Leased { .. } => None,
        }
    }

    fn set(&mut self, id: LaneId, state: State) {
        self.lanes.get_mut(&id).expect("the lane was looked up before").state = state;
    }

    fn put_back(&mut self, now: Moment, id: LaneId, job: Job) {
        self.lanes.get_mut(&id).expect("the lane was looked up before").insert(job);
        self.go_on(now, id);
    }

    /// Nothing of the lane is out any more: its first job waits, or the lane ends.
    fn go_on(&mut self, now: Moment, id: LaneId) {
        let ticket = self.ticket();
        let lane = self.lanes.get_mut(&id).expect("the lane was looked up before");
        match lane.jobs.front() {
            Some(first) => {
                let due = first.not_before.max(now);
                lane.state = State::Waiting { due, ticket };
                self.waiting.insert((due, ticket, id));
            }
            None => {
                self.by_key.remove(&lane.key);
                self.lanes.remove(&id);
            }
        }
    }

    /// Another job came first, or the first became due at another time.
    fn first_changed(&mut self, now: Moment, id: LaneId) {
        let lane = &self.lanes[&id];
        let State::Waiting { due, ticket } = lane.state else { return };
        let first = lane.jobs.front().expect("a waiting lane has a job");
        if first.not_before <= due && due <= now {
            return; // The lane keeps its turn.
        }
        self.waiting.remove(&(due, ticket, id));
        self.go_on(now, id);
    }

    const fn ticket(&mut self) -> Ticket {
        self.ticket_last += 1;
        Ticket(self.ticket_last)
    }
}

impl Job {
    const fn delivered(self) -> Self {
        Self { attempts: self.attempts.saturating_add(1), ..self }
    }
}

impl Lane {
    /// Inserts in order and says where.
    fn insert(&mut self, job: Job) -> usize {
        let at = self.jobs.partition_point(|other| other.order() < job.order());
        self.jobs.insert(at, job);
        at
    }

    /// The highest rank of all open jobs, the one that is out included.
    fn rank_max(&self) -> u64 {
        let out = match self.state {
            State::Waiting { .. } => 0,
            State::Leased { job, .. } | State::Settling { job, .. } => job.rank,
        };
        self.jobs.back().map_or(0, |job| job.rank).max(out)
    }
}

#[cfg(test)]
mod tests;
