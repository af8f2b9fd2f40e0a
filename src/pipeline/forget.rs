//! Forgets a thread: takes out of the store and the timeline what people wrote in it, and their addresses.
//!
//! In this order, so that nothing comes back: jobs that wait, each taken by its lane and ended unseen; dead
//! letters; what channels keep, the latest list of buttons and who has the thread; the timeline; last the
//! bytes of all that, which are written over before this returns. A job that is out is waited for, since
//! what it says may be on its way to Twilio; if it is still out after that, the caller is told in which queue
//! and asks again. Ids of what is done stay, so that nothing is done twice: sids, and of two addresses a
//! digest. What comes later in the thread begins anew. Time enters through the clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::channels::{self, Channels};
use crate::clock::Clock;
use crate::jobs::lane;
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
    /// Says what there is of a thread; changes nothing.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn look(&self, thread: ThreadId) -> Result<ForgottenThread, Error> {
        let mut found = ForgottenThread { thread: thread.to_string(), ..Default::default() };
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
        if let Some(timeline) = &self.timeline {
            found.records = timeline.count(thread).await?;
        }
        Ok(found)
    }

    /// Forgets a thread; nothing of it is in this process's files when it returns, but what it names.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn thread(&self, thread: ThreadId) -> Result<ForgottenThread, Error> {
        let mut done = ForgottenThread { thread: thread.to_string(), ..Default::default() };
        self.jobs(thread, &mut done).await?;
        if !done.under_way.is_empty() {
            // What it says later would stand beside nothing that explains it.
            return Ok(done);
        }
        for queue in self.queues() {
            let lanes = lanes(&queue, thread).await?;
            done.dead_letters += letters(&queue, lanes, true).await?;
        }
        done.notes = self.notes(thread, true).await?;
        if let Some(timeline) = &self.timeline {
            self.clock.sleep(TOLD_WITHIN).await;
            done.records = timeline.erase(thread).await?;
        }
        self.store.write_over().await?;
        tracing::info!(conversation_sid = %thread, "a thread was forgotten by the operator's wish");
        Ok(done)
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
