//! Handoff: a person has taken a conversation over, and the bot keeps silent until it is given back.
//!
//! Holds what was heard of each conversation, bounded, and asks Twilio where that is not fresh; what
//! counts is decided in [`pause`]. Writes the mark for operators by read, merge and write: Twilio has
//! no condition on that write, so of two who write at once the last one wins. Wakes what was held as
//! soon as it hears that a conversation is given back.

use std::sync::Arc;
use std::time::Duration;

use crate::bounded_map::{BoundedMap, Worth};
use crate::channels::handover::TakenThread;
use crate::channels::{self, MarkSource, Markings};
use crate::clock::{Clock, Timestamp};
use crate::jobs::lane;
use crate::pii::Pii;
use crate::pipeline::ingest::admission::Admission;
use crate::pipeline::policy::pause::{self, Known, Mark};
use crate::queue::{self, Documents, Filter, Marks, Page, Queue};
use crate::telemetry::chain::Chain;
use crate::thread::{CauseClass, ThreadId};

mod taken_back;

/// How many conversations are remembered: those that a person has, or that hold messages, are forgotten
/// last.
const CONVERSATIONS_MAX: usize = 100_000;

/// How many conversations in doubt Twilio is asked about before they are listed.
const DOUBTS_ASKED_MAX: usize = 20;

/// How often a held conversation is looked at when nothing is heard of it.
pub const POLL_EVERY: Duration = Duration::from_secs(30);

/// What becomes of messages while a person has the conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Paused {
    /// They get no turn.
    Skip,
    /// They wait, and are answered when it is given back.
    Hold,
}

/// The memory and the hands.
#[derive(Debug)]
pub struct Handoff {
    /// How threads are marked.
    pub markings: Markings,
    /// Where held messages wait.
    pub inbox: Queue,
    /// Where held replies wait.
    pub outbox: Queue,
    /// Until when each conversation was held.
    pub marks: Marks,
    /// How often each thread was taken back by its agent.
    pub documents: Documents,
    /// Whose guard a resume lifts.
    pub admission: Arc<Admission>,
    /// Reads the time.
    pub clock: Clock,
    /// What was heard.
    pub memory: Memory,
}

/// What was heard of threads. It is apart from what their channels remember, since it must not forget who is
/// with a person, whatever else goes on, and can list them.
#[derive(Debug)]
pub struct Memory(BoundedMap<ThreadId, HeardOfThread>);

/// What was heard of one thread.
#[derive(Clone, Copy, Debug, Default)]
struct HeardOfThread {
    known: Option<Known>,
    /// Since when it is known that a person has it, while one has.
    taken: Option<Timestamp>,
    /// Whether messages wait here until it is given back.
    is_held: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Self(BoundedMap::new(CONVERSATIONS_MAX))
    }
}

impl Memory {
    fn change<T>(&self, thread: ThreadId, change: impl FnOnce(&mut HeardOfThread) -> T) -> T {
        self.0.change(thread, HeardOfThread::worth, change)
    }

    fn change_known(&self, thread: ThreadId, change: impl FnOnce(&mut HeardOfThread)) {
        self.0.change_known(&thread, change);
    }

    fn those(&self, count: usize, is_one: impl Fn(&Known) -> bool) -> Vec<ThreadId> {
        self.0.keys(count, |heard| heard.known.as_ref().is_some_and(&is_one))
    }

    fn known(&self, thread: ThreadId) -> Option<Known> {
        self.0.get(&thread).and_then(|heard| heard.known)
    }

    fn taken(&self, thread: ThreadId) -> Option<TakenThread> {
        let since = self.0.get(&thread)?.taken?;
        Some(TakenThread { thread, since })
    }

    fn is_held(&self, thread: ThreadId) -> bool {
        self.0.get(&thread).is_some_and(|heard| heard.is_held)
    }
}

impl HeardOfThread {
    /// Whether a person has a thread is asked again where it was forgotten, and what is held is looked at
    /// from time to time; but the operator's list and the word that wakes would lack it.
    fn worth(&self) -> Worth {
        match self.known {
            None if !self.is_held => Worth::Nothing,
            Some(known) if !known.is_paused && !self.is_held => Worth::Little,
            None | Some(_) => Worth::InUse,
        }
    }
}

/// Why a conversation could not be paused or resumed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such conversation.
    #[error("there is no conversation {0} in this chat service")]
    Unknown(ThreadId),
    /// Its attributes are not what they should be.
    #[error(
        "the attributes of {0} are no json object, so the mark cannot be put among them; make them one"
    )]
    Attributes(ThreadId),
    /// It could not be read or written where it is marked.
    #[error("the conversation was not changed")]
    Channel(#[from] channels::Error),
    /// The store could not be read or written.
    #[error("the dead letters of the conversation could not be redriven")]
    Store(#[from] queue::Error),
}

impl Handoff {
    /// Reads a thread's attributes, as JSON text; none where there are none.
    ///
    /// # Errors
    ///
    /// If Twilio, or the store, did not say.
    pub async fn attributes(&self, thread: ThreadId) -> Result<Option<Pii>, channels::Error> {
        let Some(marking) = self.markings.of(thread) else { return Ok(None) };
        Ok(marking.marks(thread).await?.and_then(|marks| marks.attributes))
    }

    /// Hears of a conversation's attributes; wakes what was held if it is given back.
    pub fn heard(&self, thread: ThreadId, attributes: Option<&str>, source: MarkSource) {
        self.hear(thread, attributes, |_| source);
    }

    /// Hears what Twilio answered to a question or a write that began when `before` was known.
    fn answered(
        &self,
        thread: ThreadId,
        before: Option<Known>,
        (attributes, updated): (Option<&str>, Option<Timestamp>),
    ) {
        self.hear(thread, attributes, |known| {
            if known == before { MarkSource::Answer(updated) } else { MarkSource::Dated(updated) }
        });
    }

    fn hear(
        &self,
        thread: ThreadId,
        attributes: Option<&str>,
        source: impl FnOnce(Option<Known>) -> MarkSource,
    ) {
        let mark = attributes.map_or(Mark::Absent, pause::mark);
        let times = (self.clock.now(), self.has_socket(thread));
        // Nobody else is heard of this conversation between what was known and what is.
        let (before, after) = self.memory.change(thread, |heard| {
            let before = heard.known;
            let after = Known::hear(before, mark, source(before), times);
            heard.known = Some(after);
            let now = || self.clock.wall();
            heard.taken = after.is_paused.then(|| heard.taken.unwrap_or_else(now));
            (before, after)
        });
        if mark == Mark::Unreadable && before.is_none_or(|before| !before.is_paused) {
            tracing::warn!(conversation_sid = %thread, "attributes cannot be read, so nobody \
                knows whether a person has the conversation: the bot keeps silent until they are json");
        }
        self.tell(thread, before, after);
    }

    /// Says that a conversation changed hands, and wakes what was held for it.
    fn tell(&self, thread: ThreadId, before: Option<Known>, after: Known) {
        let has_changed = before.is_some_and(|before| before.is_paused != after.is_paused);
        if has_changed && !after.is_doubted {
            let reason = if after.is_paused { "paused" } else { "resumed" };
            tracing::info!(conversation_sid = %thread, reason, "conversation changed hands");
        }
        // Where it is in doubt, what was held asks.
        let may_speak = !after.is_paused || after.is_doubted;
        let lane = || lane(thread);
        if may_speak && (has_changed || after.is_doubted) {
            self.outbox.wake(&lane());
        }
        if may_speak && self.memory.is_held(thread) {
            self.inbox.wake(&lane());
        }
    }

    /// Forgets a conversation that the bot has left.
    pub fn forget(&self, thread: ThreadId) {
        self.memory.change_known(thread, |heard| (heard.known, heard.taken) = (None, None));
    }

    /// Whether a person has a conversation, by what is known, else by asking Twilio.
    ///
    /// # Errors
    ///
    /// If it was not to be found out.
    pub async fn is_paused(&self, thread: ThreadId) -> Result<bool, channels::Error> {
        let known = self.memory.known(thread);
        let fresh = known.filter(|known| known.is_fresh(self.clock.now(), self.has_socket(thread)));
        if let Some(known) = fresh {
            return Ok(known.is_paused);
        }
        let Some(marking) = self.markings.of(thread) else { return Ok(false) };
        let found = marking.marks(thread).await?.unwrap_or_default();
        let attributes = found.attributes.as_ref().map(|attributes| attributes.reveal());
        self.answered(thread, known, (attributes, found.updated));
        Ok(self.is_known_paused(thread))
    }

    /// Whether a person has a conversation, or may have it, as far as was heard.
    #[must_use]
    pub fn is_known_paused(&self, thread: ThreadId) -> bool {
        self.memory.known(thread).is_some_and(|known| known.is_paused)
    }

    /// Some of the conversations that are known to be with a person, at most `count`. Where that is in
    /// doubt Twilio is asked first; where it does not say, the conversation is among them.
    pub async fn paused(&self, count: usize) -> Vec<TakenThread> {
        for thread in self.memory.those(DOUBTS_ASKED_MAX, |known| known.is_doubted) {
            if let Err(error) = self.is_paused(thread).await {
                tracing::warn!(conversation_sid = %thread, error = %Chain(&error),
                    "twilio does not say whether a person has taken the conversation over");
                break;
            }
        }
        let those = self.memory.those(count, |known| known.is_paused).into_iter();
        // One that was given back in between is no longer among them.
        those.filter_map(|thread| self.memory.taken(thread)).collect()
    }

    /// Notes that messages of a conversation are held, now; true if none were before.
    ///
    /// # Errors
    ///
    /// If the store did not take it; then they may grow stale.
    pub async fn hold(&self, thread: ThreadId) -> Result<bool, queue::Error> {
        let is_first =
            self.memory.change(thread, |heard| !std::mem::replace(&mut heard.is_held, true));
        self.raise_mark(thread, self.clock.wall()).await.map(|()| is_first)
    }

    async fn raise_mark(&self, thread: ThreadId, until: Timestamp) -> Result<(), queue::Error> {
        let until = u64::try_from(until.as_millis()).unwrap_or(0);
        self.marks.raise(&held_mark(thread), until).await
    }

    /// Notes that messages of a conversation are held no longer.
    pub fn release(&self, thread: ThreadId) {
        self.memory.change_known(thread, |heard| heard.is_held = false);
    }

    /// Until when messages of a conversation were held, if they ever were: until now, if they are.
    ///
    /// # Errors
    ///
    /// If the store could not be read or written.
    pub async fn held_until(&self, thread: ThreadId) -> Result<Option<Timestamp>, queue::Error> {
        if self.memory.is_held(thread) {
            let now = self.clock.wall();
            return self.raise_mark(thread, now).await.map(|()| Some(now));
        }
        let mark = self.marks.read(&held_mark(thread)).await?;
        Ok(mark.and_then(|millis| i64::try_from(millis).ok()).map(Timestamp::from_millis))
    }

    /// Gives a conversation to a person, or back to the bot: writes the mark at Twilio. Given back, the
    /// loop guard forgets the conversation, and what it cut is asked again.
    ///
    /// # Errors
    ///
    /// If it could not be written; or, given back, if the dead letters could not be redriven.
    pub async fn set(&self, thread: ThreadId, is_paused: bool) -> Result<(), Error> {
        let known = self.memory.known(thread);
        let marking = self.markings.of(thread).ok_or(Error::Unknown(thread))?;
        let found = marking.marks(thread).await?.ok_or(Error::Unknown(thread))?;
        let before = found.attributes.as_ref().map(|attributes| attributes.reveal());
        let merged = pause::with_mark(before, is_paused).ok_or(Error::Attributes(thread))?;
        let updated = marking.set_marks(thread, &merged).await?;
        self.answered(thread, known, (Some(&merged), updated));
        if !is_paused {
            self.lift_guard(thread).await?;
        }
        Ok(())
    }

    async fn lift_guard(&self, thread: ThreadId) -> Result<(), queue::Error> {
        self.admission.lift(thread);
        let looped = CauseClass::Loop.as_str().to_owned();
        let keys = Some(vec![lane(thread)]);
        let filter = Filter { keys, class: Some(looped), ..Filter::default() };
        let page = Page { after: None, limit: Page::LIMIT_MAX };
        for letter in self.inbox.list(filter, page).await?.letters {
            match self.inbox.redrive(letter.id).await {
                Ok(()) | Err(queue::Error::NoDeadLetter { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn has_socket(&self, thread: ThreadId) -> bool {
        self.markings.of(thread).is_some_and(|marking| marking.tells(thread))
    }
}

fn held_mark(thread: ThreadId) -> String {
    format!("held/{thread}")
}
