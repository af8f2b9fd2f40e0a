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
//! | [`take_of`](Lanes::take_of), due or not | `Leased` | it is out | it is out |
//! | time passes the lease | nothing | `Waiting`, counted as an attempt | nothing |
//! | [`absorb`](Lanes::absorb), right token | cannot be | takes due jobs along | lost |
//! | [`restore`](Lanes::restore), right token | cannot be | lets absorbed jobs wait again | nothing |
//! | [`extend`](Lanes::extend), right token | cannot be | lease starts anew | lost |
//! | [`begin`](Lanes::begin), right token | cannot be | `Settling` | lost |
//! | [`give_back`](Lanes::give_back), right token | cannot be | `Waiting` | nothing |
//! | [`put_off`](Lanes::put_off), right token | cannot be | `Waiting` until then | lost |
//! | [`shelve`](Lanes::shelve), right token | cannot be | `Waiting` until then, held | lost |
//! | [`park`](Lanes::park), right token | cannot be | `Waiting` until then, suspect | lost |
//! | [`wake`](Lanes::wake) | due now, if it was put off | nothing | nothing |
//! | [`finish`](Lanes::finish), right token | cannot be | cannot be | next job, or the lane ends |
//! | [`finish_first`](Lanes::finish_first), right token | cannot be | cannot be | what it absorbed waits |
//! | [`hold`](Lanes::hold), right token | cannot be | cannot be | `Waiting` until then |
//! | any of these, wrong token | lost or nothing | lost or nothing | lost or nothing |
//!
//! A job that is out may have *absorbed* others of its lane: they are out with it, under its lease, and
//! end as it ends.
//!
//! Every lease has a token of its own that is never used again, so whoever lost a lease is told so.
//! `Settling` does not run out: from the moment a consumer settles, the disk decides.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

pub(super) use self::lane::{Along, Begun, BegunJob};
use self::lane::{Job, Lane, Out, State, Ticket};
use super::{Key, LanesAsked};
use crate::clock::Moment;

mod lane;

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
    /// For how long no earlier consumer had it; if there was none, since it came in.
    pub(super) rested: Duration,
}

/// What there is at the head of a lane that is asked for by its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum HeadOfLane {
    /// No job of that key is open.
    Nothing,
    /// A job is out.
    Out,
    /// The first one, which waited.
    Taken(Taken),
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
    /// In lanes whose first job was shelved.
    pub(super) held: u64,
    /// The job that was appended first, of those that are not held and were due at once.
    pub(super) oldest_seq: Option<u64>,
    /// For how long the one that was due first waits, of those that were to wait until a time.
    pub(super) overdue: Option<Duration>,
}

impl Counts {
    /// For how long the oldest job waits, whose age that of [`Counts::oldest_seq`] is.
    pub(super) fn oldest_age(&self, age: Option<Duration>) -> Option<Duration> {
        age.max(self.overdue)
    }
}

/// The open jobs of one key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct LaneCounts {
    pub(super) key: Key,
    pub(super) waiting: u64,
    pub(super) out: u64,
    /// The job that was appended first.
    pub(super) oldest_seq: u64,
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct LaneId(u64);

impl Lanes {
    /// Adds an open job.
    pub(super) fn enter(&mut self, now: Moment, key: &Key, entry: Entry) {
        let job = Job {
            rank: 0,
            seq: entry.seq,
            not_before: entry.not_before,
            attempts: entry.attempts,
            suspect: entry.suspect,
            put_off: false,
            shelved: false,
            rests_since: now,
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
        if job.attempts > 0 || job.put_off || job.not_before <= not_before {
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
        Some(self.lease(now, lease_time, id))
    }

    /// Leases the first job of a key, whether or not it is due.
    pub(super) fn take_of(&mut self, now: Moment, key: &Key, lease_time: Duration) -> HeadOfLane {
        self.expire(now);
        let Some(&id) = self.by_key.get(key) else { return HeadOfLane::Nothing };
        let State::Waiting { due, ticket } = self.lane(id).state else { return HeadOfLane::Out };
        self.waiting.remove(&(due, ticket, id));
        HeadOfLane::Taken(self.lease(now, lease_time, id))
    }

    /// Leases the first job of a lane whose ticket was taken.
    fn lease(&mut self, now: Moment, lease_time: Duration, id: LaneId) -> Taken {
        self.token_last += 1;
        let token = self.token_last;
        let lane = self.lanes.get_mut(&id).expect("only lanes that exist have a ticket");
        let job = lane.jobs.pop_front().expect("a waiting lane has a job");
        let (until, rested) = (now + lease_time, now.since(job.rests_since));
        lane.state = State::Leased { out: Out::alone(job), token, until };
        self.leased.insert((until, id));
        let Along { seq, attempt, redelivered } = job.goes_out();
        let lease = LeaseId { lane: id, token };
        Taken { lease, seq, key: lane.key.clone(), attempt, redelivered, rested }
    }

    /// Takes the next jobs of a lease's lane along, as long as they are due and at most `max`.
    pub(super) fn absorb(
        &mut self,
        now: Moment,
        lease: LeaseId,
        max: usize,
    ) -> Result<Vec<Along>, Lost> {
        self.held(now, lease)?;
        let lane = self.lanes.get_mut(&lease.lane).expect("a held lease has a lane");
        Ok(lane.absorb(now, max).into_iter().map(Job::goes_out).collect())
    }

    /// Lets absorbed jobs wait again that no consumer has seen; nothing if the lease is over.
    pub(super) fn restore(&mut self, now: Moment, lease: LeaseId, seqs: &[u64], until: Moment) {
        if self.held(now, lease).is_ok() {
            self.lanes.get_mut(&lease.lane).expect("a held lease has a lane").restore(seqs, until);
        }
    }

    /// Starts the time of a lease anew.
    pub(super) fn extend(
        &mut self,
        now: Moment,
        lease: LeaseId,
        lease_time: Duration,
    ) -> Result<(), Lost> {
        let ends = self.held(now, lease)?;
        self.leased.remove(&(ends, lease.lane));
        let starts_anew = now + lease_time;
        self.leased.insert((starts_anew, lease.lane));
        match &mut self.lane(lease.lane).state {
            State::Leased { until, .. } => *until = starts_anew,
            State::Waiting { .. } | State::Settling { .. } => {
                debug_assert!(false, "a held lease is a leased lane");
            }
        }
        Ok(())
    }

    /// Says when the next job of a lease's lane is due, if one waits behind the one that is out.
    pub(super) fn behind(&self, now: Moment, lease: LeaseId) -> Result<Option<Moment>, Lost> {
        self.held(now, lease)?;
        let waiting = self.lanes.get(&lease.lane).and_then(|lane| lane.jobs.front());
        Ok(waiting.map(|job| job.not_before))
    }

    /// Begins to settle: from here the lease cannot run out.
    pub(super) fn begin(&mut self, now: Moment, lease: LeaseId) -> Result<Begun, Lost> {
        let ends = self.held(now, lease)?;
        self.leased.remove(&(ends, lease.lane));
        Ok(self.lane(lease.lane).settle(lease.token))
    }

    /// Ends settling: the job is gone with all that it absorbed, its lane goes on.
    pub(super) fn finish(&mut self, now: Moment, lease: LeaseId) {
        if self.is_settling(lease) {
            self.go_on(now, lease.lane);
        }
    }

    /// Ends settling: the job is gone, what it absorbed waits again.
    pub(super) fn finish_first(&mut self, now: Moment, lease: LeaseId) {
        if self.is_settling(lease) {
            self.lane(lease.lane).put_back_absorbed(|job| job.delivered(now));
            self.go_on(now, lease.lane);
        }
    }

    /// Ends settling: what was out waits until `until`, and its lane with it.
    pub(super) fn hold(&mut self, now: Moment, lease: LeaseId, until: Moment) {
        if self.is_settling(lease) {
            let held = |job: Job| Job { not_before: until, ..job.delivered(now) };
            self.put_back(now, lease.lane, held);
        }
    }

    /// Takes back what was handed out and not settled; nothing if the lease is over.
    pub(super) fn give_back(&mut self, now: Moment, lease: LeaseId) {
        if let Ok(ends) = self.held(now, lease) {
            self.leased.remove(&(ends, lease.lane));
            self.put_back(now, lease.lane, |job| job.delivered(now));
        }
    }

    /// Takes back what no consumer has seen, to be held until `until`.
    pub(super) fn give_back_unseen(&mut self, now: Moment, lease: LeaseId, until: Moment) {
        if let Ok(ends) = self.held(now, lease) {
            self.leased.remove(&(ends, lease.lane));
            self.put_back(now, lease.lane, |job| Job { not_before: until, ..job });
        }
    }

    /// Takes back what its consumer did nothing about; it waits until `until` or [`Lanes::wake`].
    pub(super) fn put_off(
        &mut self,
        now: Moment,
        lease: LeaseId,
        until: Moment,
    ) -> Result<(), Lost> {
        self.set_aside(now, lease, |job| Job {
            not_before: until,
            put_off: true,
            shelved: false,
            ..job
        })
    }

    /// As [`Lanes::put_off`], and its lane counts as held meanwhile, also while somebody has another look.
    pub(super) fn shelve(
        &mut self,
        now: Moment,
        lease: LeaseId,
        until: Moment,
    ) -> Result<(), Lost> {
        self.set_aside(now, lease, |job| Job {
            not_before: until,
            put_off: true,
            shelved: true,
            ..job
        })
    }

    /// Takes back what its consumer may have done something about, without an attempt counted; it
    /// waits until `until` or [`Lanes::wake`].
    pub(super) fn park(&mut self, now: Moment, lease: LeaseId, until: Moment) -> Result<(), Lost> {
        self.set_aside(now, lease, |job| Job {
            not_before: until,
            put_off: true,
            shelved: false,
            suspect: true,
            rests_since: now,
            ..job
        })
    }

    fn set_aside(
        &mut self,
        now: Moment,
        lease: LeaseId,
        change: impl Fn(Job) -> Job,
    ) -> Result<(), Lost> {
        let ends = self.held(now, lease)?;
        self.leased.remove(&(ends, lease.lane));
        self.put_back(now, lease.lane, change);
        Ok(())
    }

    /// Lets what was put off in a lane go out now; nothing if nothing was.
    pub(super) fn wake(&mut self, now: Moment, key: &Key) {
        let Some(&id) = self.by_key.get(key) else { return };
        if self.lane(id).wake(now) {
            self.first_changed(now, id);
        }
    }

    /// Whether a lease still holds.
    pub(super) fn holds(&self, now: Moment, lease: LeaseId) -> bool {
        self.held(now, lease).is_ok()
    }

    /// Whether a job that goes before a leased one in its lane came in since; false if the lease is
    /// over.
    pub(super) fn is_overtaken(&self, lease: LeaseId) -> bool {
        let Some(lane) = self.lanes.get(&lease.lane) else { return false };
        match &lane.state {
            State::Leased { out, token, .. } if *token == lease.token => {
                lane.jobs.front().is_some_and(|first| first.order() < out.job.order())
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
            if lane.is_held() {
                let jobs = lane.jobs.len() + lane.out().count();
                counts.held += u64::try_from(jobs).unwrap_or(u64::MAX);
                continue;
            }
            counts.leased += u64::try_from(lane.out().count()).unwrap_or(u64::MAX);
            for job in &lane.jobs {
                let delayed = job.not_before > now;
                counts.delayed += u64::from(delayed);
                counts.ready += u64::from(!delayed);
            }
            for job in lane.jobs.iter().chain(lane.out()) {
                if job.is_put_on_time() {
                    let overdue = (job.not_before <= now).then(|| now.since(job.not_before));
                    counts.overdue = counts.overdue.max(overdue);
                } else {
                    counts.oldest_seq = counts.oldest_seq.into_iter().chain([job.seq]).min();
                }
            }
        }
        counts
    }

    /// How many jobs a key has, waiting and out.
    pub(super) fn count_of(&self, key: &Key) -> usize {
        let lane = self.by_key.get(key).and_then(|id| self.lanes.get(id));
        lane.map_or(0, |lane| lane.jobs.len() + lane.out().count())
    }

    /// Counts the jobs of some lanes, the one whose oldest job was appended first before others. Asked for
    /// the oldest ones, it walks all.
    pub(super) fn open(&self, asked: &LanesAsked) -> Vec<LaneCounts> {
        let all: Vec<&Lane> = match asked {
            LanesAsked::Of(keys) => {
                let ids = keys.iter().filter_map(|key| self.by_key.get(key));
                ids.filter_map(|id| self.lanes.get(id)).collect()
            }
            LanesAsked::Oldest(_) => self.lanes.values().collect(),
        };
        let mut by_age: Vec<_> =
            all.into_iter().filter_map(|lane| Some((lane.oldest_seq()?, lane))).collect();
        by_age.sort_unstable_by_key(|(seq, _)| *seq);
        let count = |(oldest_seq, lane): (u64, &Lane)| LaneCounts {
            key: lane.key.clone(),
            waiting: u64::try_from(lane.jobs.len()).unwrap_or(u64::MAX),
            out: u64::try_from(lane.out().count()).unwrap_or(u64::MAX),
            oldest_seq,
        };
        by_age.into_iter().take(asked.most()).map(count).collect()
    }

    /// Whether a key has jobs, waiting or out.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.by_key.contains_key(key)
    }

    fn open_lane(&mut self, now: Moment, key: &Key, job: Job) {
        self.lane_last += 1;
        let id = LaneId(self.lane_last);
        let (due, ticket) = (job.not_before.max(now), self.ticket());
        self.waiting.insert((due, ticket, id));
        let state = State::Waiting { due, ticket };
        self.by_key.insert(key.clone(), id);
        self.lanes.insert(id, Lane::new(key.clone(), job, state));
    }

    /// Gives leases that ran out back to their lanes.
    fn expire(&mut self, now: Moment) {
        while let Some(&(until, id)) = self.leased.first() {
            if until > now {
                return;
            }
            self.leased.pop_first();
            self.put_back(now, id, |job| job.delivered(now));
        }
    }

    /// The end of a lease that still holds.
    fn held(&self, now: Moment, lease: LeaseId) -> Result<Moment, Lost> {
        match self.lanes.get(&lease.lane).map(|lane| &lane.state) {
            Some(State::Leased { token, until, .. }) if *token == lease.token && *until > now => {
                Ok(*until)
            }
            Some(State::Leased { .. } | State::Waiting { .. } | State::Settling { .. }) | None => {
                Err(Lost)
            }
        }
    }

    /// Whether what is out under this lease is being settled.
    fn is_settling(&self, lease: LeaseId) -> bool {
        match self.lanes.get(&lease.lane).map(|lane| &lane.state) {
            Some(State::Settling { token, .. }) => *token == lease.token,
            Some(State::Waiting { .. } | State::Leased { .. }) | None => false,
        }
    }

    fn lane(&mut self, id: LaneId) -> &mut Lane {
        self.lanes.get_mut(&id).expect("the lane was looked up before")
    }

    fn put_back(&mut self, now: Moment, id: LaneId, change: impl Fn(Job) -> Job) {
        self.lane(id).put_back(change);
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

#[cfg(test)]
mod tests;
