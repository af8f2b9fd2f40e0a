//! Forgets a thread: takes out of the store and the timeline what people wrote in it, and their addresses.
//!
//! In this order, so that nothing comes back: jobs that wait, each taken by its lane and ended unseen; dead
//! letters; what channels keep, the latest list of buttons and who has the thread; the timeline; by what the
//! thread is found that is asked for by an address, so that whoever was told of a failure can ask again; last
//! the bytes of all that, which are written over before this returns. A job that is out is waited for, since
//! what it says may be on its way to Twilio; if it is still out after that, or another instance's, the caller
//! is told in which queue and asks again. Ids of what is done stay, so that nothing is done twice: sids, and of two addresses a
//! digest. What comes later in the thread begins anew. Time enters through the clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::channels::{self, Channels};
use crate::clock::Clock;
use crate::jobs::lane;
use crate::json;
use crate::pipeline::{awaited, lists, upstreams};
use crate::queue::{self, Cursor, Documents, Filter, Key, LaneHead, Page, Queue, QueueName, Store};
use crate::thread::ThreadId;
use crate::timeline::{self, Timeline};

/// How long jobs that are out are waited for, and how often they are looked at: shorter than an operator's
/// patience, longer than most agents think.
const WAIT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long after the last job its steps are written to the timeline at the latest, by whoever keeps it.
const TOLD_WITHIN: Duration = Duration::from_millis(500);

/// For how long further threads are begun with: less than an operator's tools wait for an answer.
const BEGIN_WITHIN: Duration = Duration::from_secs(30);

/// What forgets.
#[derive(Clone)]
pub struct Forget {
    /// The queues and documents.
    pub store: Store,
    /// What keeps things of its own of a thread.
    pub channels: Channels,
    /// What happened, if that is kept.
    pub timeline: Option<Timeline>,
    /// Reads the time.
    pub clock: Clock,
}

/// What was forgotten of a thread, or is there to be.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ForgottenThread {
    /// The thread.
    pub thread: String,
    /// Jobs that waited: turns, replies, reports.
    pub jobs: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Notes of people, replies under way, marks and lists.
    pub notes: u64,
    /// Records of the timeline.
    pub records: u64,
    /// The queues in which a job of it is worked on.
    pub under_way: Vec<String>,
    /// The queues whose jobs of it another instance has, which is to be asked too.
    pub elsewhere: Vec<String>,
    /// Whether it is left alone because others write in it too.
    #[serde(default, deserialize_with = "json::null_as_default")]
    pub of_several: bool,
}

impl ForgottenThread {
    fn of(thread: ThreadId) -> Self {
        Self { thread: thread.to_string(), ..Self::default() }
    }

    /// Whether nothing of it is left to be forgotten, what is counted having been `done`.
    #[must_use]
    pub fn is_over(&self, done: bool) -> bool {
        let is_free = self.under_way.is_empty() && self.elsewhere.is_empty();
        let count = self.jobs + self.dead_letters + self.notes + self.records;
        is_free && (count == 0 || done && !self.of_several)
    }
}

/// Of which threads something is to be forgotten.
#[derive(Clone, Debug, Default)]
pub struct ForgetScope {
    /// The threads.
    pub threads: Vec<ThreadId>,
    /// Whether those are left alone in which others write too.
    pub spares_others: bool,
}

/// What was forgotten, or is there to be.
#[derive(Clone, Debug, Default)]
pub struct Forgotten {
    /// The threads that were looked at.
    pub threads: Vec<ForgottenThread>,
    /// The threads for which there was no time.
    pub left: Vec<ThreadId>,
}

/// Says why something may be left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed.
    #[error("the store did not forget all of it; ask again once it works")]
    Store(#[from] queue::Error),
    /// A channel's notes could not be read or written.
    #[error("what is kept of people could not be forgotten; ask again")]
    Channel(#[from] channels::Error),
    /// The timeline failed.
    #[error("the timeline did not forget all of it; ask again once it works")]
    Timeline(#[from] timeline::Error),
}

impl Forget {
    /// Says what there is of threads; changes nothing.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn look(&self, wanted: &ForgetScope) -> Result<Forgotten, Error> {
        let end = self.clock.now() + BEGIN_WITHIN;
        let records = self.records(&wanted.threads).await?;
        let mut all = Forgotten::default();
        for (&thread, records) in wanted.threads.iter().zip(records) {
            if self.clock.now() >= end {
                all.left.push(thread);
                continue;
            }
            let of_several = self.is_spared(thread, wanted).await?;
            let found = self.look_at(thread).await?;
            all.threads.push(ForgottenThread { records, of_several, ..found });
        }
        Ok(all)
    }

    async fn look_at(&self, thread: ThreadId) -> Result<ForgottenThread, Error> {
        let mut found = ForgottenThread::of(thread);
        for queue in self.queues() {
            let lanes = lanes(&queue, thread).await?;
            for open in lanes.iter().map(|lane| queue.open_jobs(lane)) {
                match open {
                    Some(open) => found.jobs += u64::try_from(open).unwrap_or(u64::MAX),
                    None => name_once(&mut found.elsewhere, &queue),
                }
            }
            found.dead_letters += letters(&queue, lanes, false).await?;
        }
        found.notes = self.notes(thread, false).await?;
        Ok(found)
    }

    /// Forgets threads; nothing of them is in this process's files when it returns, but what it names. For
    /// those that it has no time for it is asked again; those of which the timeline tells come first.
    ///
    /// # Errors
    ///
    /// See [`Error`]. What was done until then is done, and the threads are still found by their addresses.
    pub async fn act(&self, wanted: &ForgetScope) -> Result<Forgotten, Error> {
        let end = self.clock.now() + BEGIN_WITHIN;
        let known = self.records(&wanted.threads).await?;
        let mut threads: Vec<_> = wanted.threads.iter().copied().zip(known).collect();
        threads.sort_by_key(|(_, records)| *records == 0);
        let (mut all, mut ended) = (Forgotten::default(), Vec::new());
        for (thread, records) in threads {
            if self.clock.now() >= end {
                all.left.push(thread);
                continue;
            }
            if self.is_spared(thread, wanted).await? {
                let found = self.look_at(thread).await?;
                all.threads.push(ForgottenThread { records, of_several: true, ..found });
                continue;
            }
            let done = self.end(thread).await?;
            // What it says later would stand beside nothing that explains it.
            if done.under_way.is_empty() && done.elsewhere.is_empty() {
                ended.push((all.threads.len(), thread));
            }
            all.threads.push(done);
        }
        self.finish(&ended, &mut all).await?;
        Ok(all)
    }

    /// Whether a thread is left alone for the sake of others in it.
    async fn is_spared(&self, thread: ThreadId, wanted: &ForgetScope) -> Result<bool, Error> {
        Ok(wanted.spares_others && self.channels.is_of_several(thread).await?)
    }

    /// Ends what waits in a thread and takes what is noted of it; nothing is noted of one whose jobs go on.
    async fn end(&self, thread: ThreadId) -> Result<ForgottenThread, Error> {
        let mut done = ForgottenThread::of(thread);
        self.jobs(thread, &mut done).await?;
        if done.under_way.is_empty() && done.elsewhere.is_empty() {
            for queue in self.queues() {
                let lanes = lanes(&queue, thread).await?;
                done.dead_letters += letters(&queue, lanes, true).await?;
            }
            done.notes = self.notes(thread, true).await?;
        }
        Ok(done)
    }

    /// Takes out of the timeline what it has of the ended threads, then by what they are found, and writes over
    /// the bytes of all.
    async fn finish(&self, ended: &[(usize, ThreadId)], all: &mut Forgotten) -> Result<(), Error> {
        if let Some(timeline) = self.timeline.as_ref().filter(|_| !ended.is_empty()) {
            self.clock.sleep(TOLD_WITHIN).await;
            let threads: Vec<_> = ended.iter().map(|(_, thread)| *thread).collect();
            let erased = timeline.erase(&threads).await?;
            for ((place, _), records) in ended.iter().zip(erased) {
                all.threads[*place].records = records;
            }
        }
        for (place, thread) in ended {
            all.threads[*place].notes += self.channels.forget_way(*thread).await?;
            tracing::info!(conversation_sid = %thread,
                "a thread was forgotten by the operator's wish");
        }
        // Also where nothing is known any more: an earlier wish may have come as far as this.
        self.store.write_over().await?;
        Ok(())
    }

    /// How many records the timeline has of each thread.
    async fn records(&self, threads: &[ThreadId]) -> Result<Vec<u64>, Error> {
        match &self.timeline {
            Some(timeline) if !threads.is_empty() => Ok(timeline.count(threads).await?),
            Some(_) | None => Ok(vec![0; threads.len()]),
        }
    }

    /// Ends all jobs that wait, in the order in which one makes the next, until none is left or what is out
    /// has had its time.
    async fn jobs(&self, thread: ThreadId, done: &mut ForgottenThread) -> Result<(), Error> {
        let end = self.clock.now() + WAIT;
        loop {
            (done.under_way, done.elsewhere) = (Vec::new(), Vec::new());
            let before = done.jobs;
            for queue in self.queues() {
                for lane in lanes(&queue, thread).await? {
                    end_lane((&queue, &lane), done).await?;
                }
            }
            let is_over = done.under_way.is_empty() && done.jobs == before;
            if is_over || self.clock.now() >= end {
                return Ok(());
            }
            if !done.under_way.is_empty() {
                self.clock.sleep(LOOK_EVERY).await;
            }
        }
    }

    async fn notes(&self, thread: ThreadId, act: bool) -> Result<u64, Error> {
        let documents = self.store.documents();
        let mut count = self.channels.forget(thread, act).await?;
        for name in [lists::name(thread), upstreams::name(thread)] {
            count += u64::from(forget(&documents, &name, act).await?);
        }
        Ok(count)
    }

    /// Those that hold what somebody wrote. A join names a conversation and nothing more.
    fn queues(&self) -> impl Iterator<Item = Queue> {
        let written = [QueueName::Inbox, QueueName::Outbox, QueueName::Reports];
        written.into_iter().map(|name| self.store.queue(name))
    }
}

/// The lanes of a queue in which something of a thread is.
async fn lanes(queue: &Queue, thread: ThreadId) -> Result<Vec<Key>, queue::Error> {
    let mut lanes = vec![lane(thread)];
    if queue.name() == QueueName::Reports {
        lanes.extend(awaited::lanes(queue, thread).await?);
    }
    Ok(lanes)
}

/// Ends all jobs that wait in a lane, unseen.
async fn end_lane(
    (queue, lane): (&Queue, &Key),
    done: &mut ForgottenThread,
) -> Result<(), queue::Error> {
    loop {
        match queue.take(lane).await? {
            LaneHead::Nothing => break,
            LaneHead::Out => {
                name_once(&mut done.under_way, queue);
                break;
            }
            LaneHead::Elsewhere => {
                name_once(&mut done.elsewhere, queue);
                break;
            }
            LaneHead::Taken(delivery) => {
                delivery.ack().await?;
                done.jobs += 1;
            }
        }
    }
    Ok(())
}

fn name_once(names: &mut Vec<String>, queue: &Queue) {
    let name = queue.name().as_str();
    if !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}

async fn forget(documents: &Documents, name: &str, act: bool) -> Result<bool, queue::Error> {
    if act { documents.forget(name).await } else { Ok(documents.read(name).await?.is_some()) }
}

/// Drops the dead letters of lanes; says how many they were, or are if nothing is to be done.
async fn letters(queue: &Queue, lanes: Vec<Key>, act: bool) -> Result<u64, queue::Error> {
    let filter = || Filter { keys: Some(lanes.clone()), ..Filter::default() };
    let (mut count, mut after): (u64, Option<Cursor>) = (0, None);
    loop {
        let page = queue.list(filter(), Page { after, limit: 100 }).await?;
        for letter in &page.letters {
            count += 1;
            if act {
                match queue.drop(letter.id).await {
                    Ok(()) | Err(queue::Error::NoDeadLetter { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let Some(next) = page.next else { return Ok(count) };
        after = Some(next);
    }
}
