//! The agents as upstreams of turns, each with what is its own: its health, its room for turns, its schedule, and who waits for it.
//!
//! Whoever waits for one agent holds up nobody who waits for another: a turn that finds no room, or whose
//! agent is away, gives its worker back and is called again once there is room. Who gets a turn is
//! [`policy::routing`](crate::pipeline::policy::routing)'s to say; here it meets what is remembered of it.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::agent::{Agent, Patience};
use crate::clock::Clock;
use crate::concurrency::{Limiter, Slot};
use crate::config::kinds::AgentName;
use crate::jobs::dependency::Dependency;
use crate::jobs::schedule::Schedule;
use crate::jobs::{encode, lane, settle};
use crate::json;
use crate::pipeline::policy::routing::{Choice, Routes};
use crate::queue::{Documents, Error, Key, Queue};
use crate::thread::{MessageId, ThreadId};

/// How many threads are remembered that wait for one agent; the others look again by themselves.
const WAITING_MAX: usize = 10_000;

/// How soon a turn that found no room looks again, if nobody calls it before.
pub const ROOM_LOOK_EVERY: Duration = Duration::from_secs(10);

/// How soon a turn whose agent is away looks again, if many wait and nobody calls it before.
const AWAY_LOOK_EVERY: Duration = Duration::from_secs(30);

/// From how many that wait on most of them wait to be called; so many look whether the agent is back.
const PROBES: usize = 8;

/// How many are called as soon as an agent is back; each that is answered calls one more.
const CALLED_FIRST: usize = 32;

/// The room of an agent that nobody has given another.
const ROOM_FOR_FEW: usize = 8;

/// One agent and what the pipeline knows of it.
#[derive(Clone)]
pub struct Upstream {
    /// What it is called.
    pub name: Arc<str>,
    /// Whether it is the agent of the plain section, which older releases knew alone.
    pub is_plain: bool,
    /// What thinks.
    pub agent: Arc<dyn Agent>,
    /// Whether it is told of each step of its replies.
    pub tells: bool,
    /// Whether it is there.
    pub health: Arc<Dependency>,
    /// Whether it, or whoever takes reports in its place, is there to be told of its replies.
    pub told_health: Arc<Dependency>,
    /// How many turns it has room for at once.
    pub room: Limiter,
    /// How many reports it is told at once.
    pub reports_room: Limiter,
    /// When a failed turn is tried again.
    pub schedule: Schedule,
    /// How long it may be silent about a turn that it has taken over, if that is watched.
    pub patience: Option<Patience>,
    /// Who waits for it.
    pub waiting: WaitingThreads,
}

/// The threads that wait for an agent, in the order in which they came. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct WaitingThreads(Arc<Mutex<WaitingLine>>);

/// Each thread stands in it once, however often it has looked.
#[derive(Debug, Default)]
struct WaitingLine {
    order: VecDeque<Key>,
    known: HashSet<Key>,
}

impl WaitingThreads {
    /// Notes one more; gives how many wait now. One that has no place looks again by itself.
    fn enter(&self, thread: ThreadId) -> usize {
        let WaitingLine { order, known } = &mut *self.line();
        let key = lane(thread);
        if order.len() < WAITING_MAX && known.insert(key.clone()) {
            order.push_back(key);
        }
        order.len()
    }

    /// Calls the first ones.
    fn call(&self, count: usize, inbox: &Queue) {
        for _ in 0..count {
            let Some(key) = self.first() else { return };
            inbox.wake(&key);
        }
    }

    fn first(&self) -> Option<Key> {
        let WaitingLine { order, known } = &mut *self.line();
        let key = order.pop_front()?;
        known.remove(&key);
        Some(key)
    }

    fn line(&self) -> MutexGuard<'_, WaitingLine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn's place at an agent; given back when dropped, and the next one is called, unless the agent is away:
/// then they are called once it is back.
pub struct UpstreamSlot {
    /// Whose.
    pub at: Arc<str>,
    slot: Option<Slot>,
    health: Arc<Dependency>,
    waiting: WaitingThreads,
    inbox: Queue,
}

impl Drop for UpstreamSlot {
    fn drop(&mut self) {
        if self.slot.take().is_some() && !self.health.is_away() {
            self.waiting.call(1, &self.inbox);
        }
    }
}

impl Upstream {
    /// The upstream of one agent alone, with room for few, that is tried once: for whoever builds a pipeline of
    /// the parts.
    #[must_use]
    pub fn plain(agent: Arc<dyn Agent>) -> Self {
        let health = Arc::new(Dependency::new("agent"));
        Self {
            name: AgentName::PLAIN.into(),
            is_plain: true,
            patience: agent.patience(),
            tells: agent.is_told(),
            agent,
            told_health: Arc::clone(&health),
            health,
            room: Limiter::fixed(ROOM_FOR_FEW),
            reports_room: Limiter::fixed(ROOM_FOR_FEW),
            schedule: Schedule::new(Vec::new()),
            waiting: WaitingThreads::default(),
        }
    }

    /// Takes a place for a turn, if there is one; else the thread is called when there is.
    #[must_use]
    pub fn place(&self, thread: ThreadId, inbox: &Queue) -> Option<UpstreamSlot> {
        let Some(slot) = self.room.try_acquire() else {
            self.waiting.enter(thread);
            return None;
        };
        Some(UpstreamSlot {
            at: Arc::clone(&self.name),
            slot: Some(slot),
            health: Arc::clone(&self.health),
            waiting: self.waiting.clone(),
            inbox: inbox.clone(),
        })
    }

    /// How long a turn waits whose agent is away for `pause`: until it is called, where many wait.
    #[must_use]
    pub fn waits_away(&self, thread: ThreadId, pause: Duration) -> Duration {
        if self.waiting.enter(thread) <= PROBES {
            return pause;
        }
        pause.max(settle::spread(AWAY_LOOK_EVERY))
    }

    /// Notes that it has answered; those who wait follow.
    pub fn answered(&self, inbox: &Queue, clock: &Clock) {
        let was_away = self.health.succeeded(clock);
        // Where there is no room the one that has answered calls the next when it goes.
        let count = if was_away { CALLED_FIRST } else { usize::from(self.room.has_place()) };
        self.waiting.call(count, inbox);
    }

    /// Its name, for what is stored; none for the agent that older releases knew alone.
    #[must_use]
    pub fn stored_name(&self) -> Option<String> {
        (!self.is_plain).then(|| self.name.as_ref().to_owned())
    }
}

/// All agents, and the routes to them.
#[derive(Clone)]
pub struct Upstreams {
    all: Vec<Arc<Upstream>>,
    routes: Arc<Routes>,
    documents: Documents,
}

/// What is remembered of a thread.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct KeptChoice {
    /// The last turn that somebody got.
    turn: MessageId,
    /// Who.
    agent: String,
    /// Who gets it while that one is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fallback: Option<String>,
    /// The keyword that chooses, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keyword: Option<String>,
}

/// Who gets a turn.
pub struct ChosenUpstream {
    /// Who.
    pub upstream: Arc<Upstream>,
    /// Who while that one is away.
    pub fallback: Option<Arc<Upstream>>,
}

/// What is remembered of the thread of a turn.
pub enum RememberedChoice {
    /// Who got the turn before, which is asked again.
    Turn(ChosenUpstream),
    /// The keyword that chose before, if one did.
    Keyword(Option<String>),
}

impl Upstreams {
    /// Takes the agents, of which there is at least one, and the routes, which name them by their places.
    #[must_use]
    pub fn new(all: Vec<Upstream>, routes: Routes, documents: Documents) -> Self {
        let all = all.into_iter().map(Arc::new).collect();
        Self { all, routes: Arc::new(routes), documents }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Arc<Upstream>] {
        &self.all
    }

    /// The only one, if there is one alone: then who takes up work waits for it, and nothing is chosen.
    #[must_use]
    pub fn only(&self) -> Option<&Arc<Upstream>> {
        match self.all.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The routes.
    #[must_use]
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// The agent of a stored name, if there is one still.
    #[must_use]
    pub fn named(&self, name: Option<&str>) -> Option<&Arc<Upstream>> {
        let is_it = |upstream: &&Arc<Upstream>| match name {
            Some(name) => *upstream.name == *name,
            None => upstream.is_plain,
        };
        self.all.iter().find(is_it)
    }

    /// Reads what is remembered of a turn's thread.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub async fn remembered(
        &self,
        thread: ThreadId,
        turn: MessageId,
    ) -> Result<RememberedChoice, Error> {
        if !self.routes.must_remember() {
            return Ok(RememberedChoice::Keyword(None));
        }
        let stored = self.documents.read(&name(thread)).await?;
        // What this release cannot read is nothing.
        let kept = stored.and_then(|stored| json::from_slice::<KeptChoice>(&stored).ok());
        let Some(kept) = kept else { return Ok(RememberedChoice::Keyword(None)) };
        let upstream = self.named(Some(&kept.agent)).filter(|_| kept.turn == turn);
        Ok(match upstream {
            Some(upstream) => {
                let fallback = kept.fallback.and_then(|name| self.named(Some(&name)).cloned());
                RememberedChoice::Turn(ChosenUpstream { upstream: Arc::clone(upstream), fallback })
            }
            None => RememberedChoice::Keyword(kept.keyword),
        })
    }

    /// Remembers who gets a turn, before it is asked; on disk when this returns.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub async fn remember(
        &self,
        thread: ThreadId,
        turn: MessageId,
        choice: Choice,
    ) -> Result<ChosenUpstream, Error> {
        let upstream = Arc::clone(self.all.get(choice.agent).unwrap_or(&self.all[0]));
        let fallback = choice.fallback.and_then(|at| self.all.get(at)).cloned();
        if self.routes.must_remember() {
            let (agent, keyword) = (upstream.name.as_ref().to_owned(), choice.keyword);
            let fallback = fallback.as_ref().map(|upstream| upstream.name.as_ref().to_owned());
            self.keep(thread, &KeptChoice { turn, agent, fallback, keyword }).await?;
        }
        Ok(ChosenUpstream { upstream, fallback })
    }

    /// Gives a turn to the fallback, for good; on disk when this returns.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub async fn move_on(
        &self,
        thread: ThreadId,
        turn: MessageId,
        to: &Upstream,
    ) -> Result<(), Error> {
        let agent = to.name.as_ref().to_owned();
        let change = |before: Option<&[u8]>| {
            let kept = before.and_then(|stored| json::from_slice::<KeptChoice>(stored).ok());
            let keyword = kept.and_then(|kept| kept.keyword);
            Some(encode(&KeptChoice { turn, agent: agent.clone(), fallback: None, keyword }))
        };
        self.documents.update(&name(thread), change).await.map(drop)
    }

    /// Forgets what chose in a thread: whoever writes there next begins anew.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub async fn forget_keyword(&self, thread: ThreadId) -> Result<(), Error> {
        if !self.routes.must_remember() {
            return Ok(());
        }
        let change = |before: Option<&[u8]>| {
            let kept = json::from_slice::<KeptChoice>(before?).ok()?;
            kept.keyword.as_ref()?;
            Some(encode(&KeptChoice { keyword: None, ..kept }))
        };
        self.documents.update(&name(thread), change).await.map(drop)
    }

    async fn keep(&self, thread: ThreadId, kept: &KeptChoice) -> Result<(), Error> {
        let bytes = encode(kept);
        let change = |before: Option<&[u8]>| (before != Some(&bytes[..])).then(|| bytes.clone());
        self.documents.update(&name(thread), change).await.map(drop)
    }
}

/// What is called that tells who has a thread.
pub(super) fn name(thread: ThreadId) -> String {
    format!("{}agent/{thread}", Documents::SHORT_LIVED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::echo::Echo;
    use crate::queue::{Append, JobId, QueueName, Store, embedded};
    use crate::twilio::sid::ConversationSid;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn while_an_agent_is_away_a_place_given_back_calls_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(embedded::Options::new(folder.path().join("queue.db"))).unwrap();
        let inbox = store.queue(QueueName::Inbox);
        for n in 1..=2 {
            let job = Append {
                id: JobId::digest("test", &[&[n]]),
                key: lane(thread(n)),
                position: None,
                not_before: None,
                payload: vec![n],
            };
            inbox.append(vec![job]).await.unwrap();
            inbox.next().await.unwrap().put_off(HOUR).await.unwrap();
        }
        let (upstream, clock) = (Upstream::plain(Arc::new(Echo)), Clock::start());
        let ready = async || inbox.stats().await.unwrap().ready;
        let place = |n| upstream.place(thread(n), &inbox).unwrap();

        let own = place(1);
        for n in 0..9_u8 {
            upstream.health.failed(Some([n; 16]), Duration::ZERO, "test", &clock);
        }
        assert!(upstream.health.is_away());
        assert_eq!(upstream.waits_away(thread(1), HOUR), HOUR);
        drop(own);
        assert_eq!(ready().await, 0, "it would find the agent away again");

        upstream.answered(&inbox, &clock);
        assert_eq!(ready().await, 1, "it is back");
        assert_eq!(upstream.waits_away(thread(2), HOUR), HOUR);
        drop(place(1));
        assert_eq!(ready().await, 2);
        store.close().await;
    }

    #[test]
    fn whoever_looks_often_stands_in_the_line_once() {
        let waiting = WaitingThreads::default();
        assert_eq!([1, 2, 1, 1].map(|n| waiting.enter(thread(n))), [1, 2, 2, 2]);
        assert_eq!(waiting.first(), Some(lane(thread(1))));
        assert_eq!(waiting.enter(thread(1)), 2);
        let then = [2, 1].map(|n| Some(lane(thread(n))));
        assert_eq!([waiting.first(), waiting.first()], then);
        assert_eq!(waiting.first(), None);
    }

    fn thread(n: u8) -> ThreadId {
        ThreadId::of_conversation(ConversationSid::from_bytes([n; 16]))
    }
}
