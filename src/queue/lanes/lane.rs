//! One lane: the jobs that wait in it, in order, and those that are out.
//!
//! Pure. Decides the order of jobs within a lane and moves jobs between waiting and out; which lane
//! goes next, and whether a lease still holds, is [`Lanes`](super::Lanes)' to say.

use std::collections::VecDeque;

use crate::clock::Moment;
use crate::queue::Key;

/// One job that goes out under the lease of another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::queue) struct Along {
    pub(in crate::queue) seq: u64,
    /// Counts from 1.
    pub(in crate::queue) attempt: u32,
    pub(in crate::queue) redelivered: bool,
}

/// Jobs that are being settled together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::queue) struct Begun {
    pub(in crate::queue) first: BegunJob,
    /// What it absorbed, in the order in which that happened.
    pub(in crate::queue) absorbed: Vec<BegunJob>,
}

/// One job that is being settled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::queue) struct BegunJob {
    pub(in crate::queue) seq: u64,
    /// Deliveries so far, this one included.
    pub(in crate::queue) attempts: u32,
    /// Whether the store may hold a history of it.
    pub(in crate::queue) redelivered: bool,
}

/// The jobs of one key.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) key: Key,
    /// Jobs that wait, in order of [`Job::order`]. Never empty while the state is `Waiting`.
    pub(super) jobs: VecDeque<Job>,
    pub(super) state: State,
}

/// When a lane gets its turn among those that are due at the same moment.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Ticket(pub(super) u64);

#[derive(Debug)]
pub(super) enum State {
    /// The first of `jobs` goes out when it is due and the lane's ticket comes up.
    Waiting { due: Moment, ticket: Ticket },
    /// `out` is with a consumer.
    Leased { out: Out, token: u64, until: Moment },
    /// `out` was settled by its consumer and the engine stores that now.
    Settling { out: Out, token: u64 },
}

/// What is out of one lane.
#[derive(Debug)]
pub(super) struct Out {
    /// The job that was taken.
    pub(super) job: Job,
    /// Those that its consumer took along.
    pub(super) absorbed: Vec<Job>,
}

impl Out {
    /// A job that took no other along, as most do.
    pub(super) const fn alone(job: Job) -> Self {
        Self { job, absorbed: Vec::new() }
    }
}

/// One open job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    /// The position; a job without one takes over the highest rank that waits before it.
    pub(super) rank: u64,
    pub(super) seq: u64,
    pub(super) not_before: Moment,
    pub(super) attempts: u32,
    pub(super) suspect: bool,
    /// Whether it waits because its consumer put it off.
    pub(super) put_off: bool,
    /// Whether it is kept until somebody else says so.
    pub(super) shelved: bool,
    /// When an earlier consumer was done with it at the latest; when it came in, if there was none.
    pub(super) rests_since: Moment,
}

impl Job {
    /// The total order within a lane. Ranks are taken over so that there is one at all: comparing
    /// positions where both have one and appends elsewhere would go in circles.
    pub(super) const fn order(&self) -> (u64, u64) {
        (self.rank, self.seq)
    }

    /// Whether it came in to be done at a later time, and was not tried yet: until then nobody waits for it.
    pub(super) fn is_put_on_time(&self) -> bool {
        let was_tried = self.attempts > 0 || self.suspect || self.put_off;
        !was_tried && self.not_before > self.rests_since
    }

    /// The same job after a delivery that may have had effects.
    pub(super) const fn delivered(self, now: Moment) -> Self {
        let attempts = self.attempts.saturating_add(1);
        Self { attempts, put_off: false, shelved: false, rests_since: now, ..self }
    }

    /// What its consumer is told.
    pub(super) const fn goes_out(self) -> Along {
        let BegunJob { seq, attempts, redelivered } = self.begun();
        Along { seq, attempt: attempts, redelivered }
    }

    const fn begun(self) -> BegunJob {
        let attempts = self.attempts.saturating_add(1);
        BegunJob { seq: self.seq, attempts, redelivered: attempts > 1 || self.suspect }
    }
}

impl Lane {
    /// Opens a lane with its first job.
    pub(super) fn new(key: Key, first: Job, state: State) -> Self {
        Self { key, jobs: VecDeque::from([first]), state }
    }

    /// Inserts in order and says where.
    pub(super) fn insert(&mut self, job: Job) -> usize {
        let at = self.jobs.partition_point(|other| other.order() < job.order());
        self.jobs.insert(at, job);
        at
    }

    /// Every job that is out.
    pub(super) fn out(&self) -> impl Iterator<Item = &Job> {
        let out = match &self.state {
            State::Waiting { .. } => None,
            State::Leased { out, .. } | State::Settling { out, .. } => Some(out),
        };
        out.into_iter().flat_map(|out| std::iter::once(&out.job).chain(&out.absorbed))
    }

    /// Whether its first job was shelved, so that nobody waits for the lane's consumer.
    pub(super) fn is_held(&self) -> bool {
        self.out().next().or(self.jobs.front()).is_some_and(|first| first.shelved)
    }

    /// The highest rank of all open jobs, those that are out included.
    pub(super) fn rank_max(&self) -> u64 {
        self.jobs.back().into_iter().chain(self.out()).map(|job| job.rank).max().unwrap_or(0)
    }

    /// Moves up to `max` jobs that are due from the front to what is out, and gives them.
    pub(super) fn absorb(&mut self, now: Moment, max: usize) -> Vec<Job> {
        let count = self.jobs.iter().take(max).take_while(|job| job.not_before <= now).count();
        match &mut self.state {
            State::Leased { out, .. } => {
                let along: Vec<_> = self.jobs.drain(..count).collect();
                out.absorbed.extend(&along);
                along
            }
            State::Waiting { .. } | State::Settling { .. } => Vec::new(),
        }
    }

    /// Lets absorbed jobs wait again, as if nobody had seen them.
    pub(super) fn restore(&mut self, seqs: &[u64], until: Moment) {
        let back: Vec<_> = match &mut self.state {
            State::Leased { out, .. } => {
                out.absorbed.extract_if(.., |job| seqs.contains(&job.seq)).collect()
            }
            State::Waiting { .. } | State::Settling { .. } => Vec::new(),
        };
        for job in back {
            self.insert(Job { not_before: until, ..job });
        }
    }

    /// Turns `Leased` into `Settling` and says what is settled.
    pub(super) fn settle(&mut self, token: u64) -> Begun {
        let out = self.jobs_out().expect("a held lease has a job out");
        let absorbed = out.absorbed.iter().copied().map(Job::begun).collect();
        let begun = Begun { first: out.job.begun(), absorbed };
        self.state = State::Settling { out, token };
        begun
    }

    /// The job that was appended first, waiting or out.
    pub(super) fn oldest_seq(&self) -> Option<u64> {
        self.jobs.iter().chain(self.out()).map(|job| job.seq).min()
    }

    /// Lets all that was out wait again, each job changed so. The state is the caller's to set.
    pub(super) fn put_back(&mut self, change: impl Fn(Job) -> Job) {
        let Some(out) = self.jobs_out() else { return };
        self.insert(change(out.job));
        for job in out.absorbed {
            self.insert(change(job));
        }
    }

    /// As [`Lane::put_back`], but the job that absorbed the others is gone.
    pub(super) fn put_back_absorbed(&mut self, change: impl Fn(Job) -> Job) {
        for job in self.jobs_out().into_iter().flat_map(|out| out.absorbed) {
            self.insert(change(job));
        }
    }

    /// Makes due what was put off; true if anything was.
    pub(super) fn wake(&mut self, now: Moment) -> bool {
        let mut woken = false;
        for job in self.jobs.iter_mut().filter(|job| job.put_off) {
            job.put_off = false;
            job.shelved = false;
            job.not_before = job.not_before.min(now);
            woken = true;
        }
        woken
    }

    /// Takes what is out; what stays in the state is stale until the caller sets another.
    fn jobs_out(&mut self) -> Option<Out> {
        match &mut self.state {
            State::Waiting { .. } => None,
            State::Leased { out, .. } | State::Settling { out, .. } => {
                Some(Out { job: out.job, absorbed: std::mem::take(&mut out.absorbed) })
            }
        }
    }
}
