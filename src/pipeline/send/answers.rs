//! The outbox where replies come under a name, a turn's or a key: the first answer counts, and no part of a second.
//!
//! A turn that is asked again, or a request that is sent again, may bring other replies under the same name, and
//! more of them. Their ids follow from the name, so that those which are known count once; what is more than the
//! first answer has would be said as if it went on. So a name that is known takes nothing more. An engine that
//! stores an append job by job can break off within one: there a note says which answer was begun, so that this
//! one is completed and another one is not. (Two instances that take two answers under one name in the same moment
//! may still mix them there.)
//!
//! A turn's answer comes by the door for later replies or as what the agent says when it is asked, and at times by
//! both: it was too slow, and is asked again. Whoever stores what it says when asked has [`KeyedAnswers::claim`]ed
//! the turn before.

use std::borrow::Cow;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use futures::future::try_join_all;
use tokio::sync::{Mutex, MutexGuard};

use crate::agent::Parting;
use crate::jobs::lane;
use crate::pipeline::record::AnswerName;
use crate::queue::{Append, Appended, Documents, Error, JobId, Queue};
use crate::recent::Recent;
use crate::thread::{MessageId, Reply, ThreadId};

/// How many answers under other keys may be stored at the same time. Chosen so that few wait for a stranger.
const DOORS: usize = 64;

/// Of how many turns it is remembered that an answer has come late, so that the store need not be asked of turns
/// that it was not told of before.
const LATE_MAX: usize = 4096;

/// The outbox, for replies that come under a name.
#[derive(Clone)]
pub struct KeyedAnswers {
    outbox: Queue,
    documents: Documents,
    /// Answers under one name come one after the other.
    doors: Arc<[Mutex<()>]>,
    /// Turns whose answer has come late, to this process.
    late: Arc<Recent<MessageId, ()>>,
}

/// What answers are told apart by.
pub struct AnswerKey<'a> {
    thread: ThreadId,
    name: AnswerName<'a>,
    /// Says which answer it is.
    digest: JobId,
}

/// Whether an answer may be stored under its name.
#[derive(Debug)]
pub enum AnswerClaim<'a> {
    /// It is the first, or the rest of the first: as long as this is held no other one is stored.
    Granted(MutexGuard<'a, ()>),
    /// Another one was stored.
    Refused,
}

impl<'a> AnswerKey<'a> {
    /// Takes the name, and what tells its answer from another one.
    #[must_use]
    pub fn of(
        thread: ThreadId,
        name: AnswerName<'a>,
        (replies, parting): (&[Reply], Parting),
    ) -> Self {
        let said = serde_json::to_vec(replies).unwrap_or_default();
        // Notes of older releases have the first two.
        let then = match parting {
            Parting::Stays => 0,
            Parting::Handoff => 1,
            Parting::End => 2,
        };
        let digest = JobId::digest("answer", &[&said, &[then]]);
        Self { thread, name, digest }
    }

    /// The turn that it answers, if that is its name.
    const fn turn(&self) -> Option<MessageId> {
        match self.name {
            AnswerName::Turn(turn) => Some(turn),
            AnswerName::Key(..) => None,
        }
    }

    /// What it is called in a text.
    fn text(&self) -> Cow<'a, str> {
        match self.name {
            AnswerName::Turn(turn) => turn.to_string().into(),
            AnswerName::Key(_, key) => key.into(),
        }
    }

    /// Where it is noted which answer was begun.
    fn note(&self) -> String {
        let key = JobId::digest("answered", &[self.thread.as_bytes(), self.text().as_bytes()]);
        format!("{}answer.{key}", Documents::SHORT_LIVED)
    }
}

impl KeyedAnswers {
    /// Takes the outbox, and where notes are kept.
    #[must_use]
    pub fn new(outbox: Queue, documents: Documents) -> Self {
        let doors = (0..DOORS).map(|_| Mutex::default()).collect();
        Self { outbox, documents, doors, late: Arc::new(Recent::new(LATE_MAX)) }
    }

    /// Appends the jobs of an answer, unless another one was stored under its name.
    ///
    /// # Errors
    ///
    /// As [`Queue::append`].
    ///
    /// # Cancel safety
    ///
    /// As [`Queue::append`].
    pub async fn append(
        &self,
        key: &AnswerKey<'_>,
        jobs: Vec<Append>,
    ) -> Result<Vec<Appended>, Error> {
        let alone = self.alone(key).await;
        if let Some(turn) = key.turn() {
            self.late.insert(turn, ());
        }
        if !self.is_known(key).await? && !self.is_known_of_old(key).await? {
            self.begin(key).await?;
        } else if !self.is_begun(key).await? {
            return Ok(vec![Appended::Duplicate; jobs.len()]);
        }
        let appended = self.outbox.append(jobs).await;
        drop(alone);
        appended
    }

    /// Says whether what an agent says when it is asked a turn may be stored, by whoever asks and under the
    /// turn's ids. One that was not asked before can have been answered while it is asked alone.
    ///
    /// # Errors
    ///
    /// A storage error.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has changed.
    pub async fn claim(
        &self,
        key: &AnswerKey<'_>,
        was_asked_before: bool,
    ) -> Result<AnswerClaim<'_>, Error> {
        let alone = self.alone(key).await;
        // Whoever stores appends whole is alone with its store, so what came late has come here.
        let came_here = key.turn().is_some_and(|turn| self.late.get(&turn).is_some());
        let may_be_known = was_asked_before || came_here || !self.outbox.appends_whole();
        if may_be_known && self.is_known(key).await? && !self.is_begun(key).await? {
            return Ok(AnswerClaim::Refused);
        }
        Ok(AnswerClaim::Granted(alone))
    }

    async fn alone(&self, key: &AnswerKey<'_>) -> MutexGuard<'_, ()> {
        let of = (key.thread, key.text());
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(of);
        let door = usize::try_from(hash).unwrap_or(usize::MAX) % DOORS;
        self.doors[door].lock().await
    }

    /// Whether an answer was stored under a name.
    async fn is_known(&self, key: &AnswerKey<'_>) -> Result<bool, Error> {
        self.has_any(key.thread, key.name.first_jobs()).await
    }

    /// Whether an older release has stored a turn's late answer, to which the turn was a key as any other.
    async fn is_known_of_old(&self, key: &AnswerKey<'_>) -> Result<bool, Error> {
        let Some(turn) = key.turn() else { return Ok(false) };
        let turn = turn.to_string();
        let of_old = AnswerName::Key(key.thread, &turn);
        self.has_any(key.thread, of_old.first_jobs()).await
    }

    async fn has_any(&self, thread: ThreadId, jobs: [JobId; 3]) -> Result<bool, Error> {
        let lane = lane(thread);
        let finds = jobs.map(|job| self.outbox.find(job, &lane));
        Ok(try_join_all(finds).await?.iter().any(Option::is_some))
    }

    /// Notes which answer is begun, where it may not be stored whole.
    async fn begin(&self, key: &AnswerKey<'_>) -> Result<(), Error> {
        if self.outbox.appends_whole() {
            return Ok(());
        }
        let digest = key.digest.as_bytes().to_vec();
        let noted = self.documents.update(&key.note(), |_| Some(digest.clone())).await;
        noted.map(drop)
    }

    /// Whether it is this answer that was begun, and may not be whole.
    async fn is_begun(&self, key: &AnswerKey<'_>) -> Result<bool, Error> {
        if self.outbox.appends_whole() {
            return Ok(false);
        }
        let noted = self.documents.read(&key.note()).await?;
        Ok(noted.is_some_and(|noted| noted == key.digest.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{QueueName, Store, embedded};
    use crate::twilio::sid::ConversationSid;

    #[tokio::test]
    async fn no_part_of_a_second_answer_follows_the_first() {
        let place = tempfile::TempDir::new().unwrap();
        let store = Store::open(embedded::Options::new(place.path().join("queue.db"))).unwrap();
        keeps_to_the_first(&store).await;
        store.close().await;
    }

    #[cfg(feature = "nats")]
    #[tokio::test]
    async fn an_answer_that_broke_off_is_completed_by_itself_alone() {
        let server = crate::test_nats::NatsServer::start();
        let client = async_nats::connect(server.url()).await.unwrap();
        let options = crate::queue::jetstream::Options::new(client);
        let everything = crate::queue::jetstream::Everything::of(options.partitions);
        let store = Store::open_jetstream(options, everything).await.unwrap();
        keeps_to_the_first(&store).await;
        let answers = answers(&store);
        let (whole, other) = (said(&["one", "two", "three"]), said(&["1", "2", "3", "4"]));
        let name = AnswerName::Key(thread(), "broken");
        let key = |said: &[Reply]| AnswerKey::of(thread(), name, (said, Parting::Stays));
        // The process died behind the first of three.
        answers.begin(&key(&whole)).await.unwrap();
        answers.outbox.append(jobs("broken", 1)).await.unwrap();
        let second = answers.append(&key(&other), jobs("broken", 4)).await.unwrap();
        assert_eq!(second, [Appended::Duplicate; 4]);
        let first = answers.append(&key(&whole), jobs("broken", 3)).await.unwrap();
        assert_eq!(first, [Appended::Duplicate, Appended::Added, Appended::Added]);
        store.close().await;
    }

    async fn keeps_to_the_first(store: &Store) {
        let answers = answers(store);
        let append = async |name: &str, texts: &[&str]| {
            let named = AnswerName::Key(thread(), name);
            let key = AnswerKey::of(thread(), named, (&said(texts), Parting::Stays));
            answers.append(&key, jobs(name, texts.len())).await.unwrap()
        };
        assert_eq!(append("k", &["one"]).await, [Appended::Added]);
        assert_eq!(append("k", &["1", "2", "3"]).await, [Appended::Duplicate; 3]);
        assert_eq!(append("k", &["one"]).await, [Appended::Duplicate]);
        assert_eq!(append("other", &["1", "2"]).await, [Appended::Added; 2]);
        assert_eq!(append("other", &["1", "2"]).await, [Appended::Duplicate; 2]);
    }

    fn answers(store: &Store) -> KeyedAnswers {
        KeyedAnswers::new(store.queue(QueueName::Outbox), store.documents())
    }

    fn thread() -> ThreadId {
        ThreadId::of_conversation(ConversationSid::from_bytes([2; 16]))
    }

    fn said(texts: &[&str]) -> Vec<Reply> {
        texts.iter().copied().map(Reply::text).collect()
    }

    fn jobs(key: &str, count: usize) -> Vec<Append> {
        let job = |n| Append {
            id: AnswerName::Key(thread(), key).reply_job(n),
            key: lane(thread()),
            position: None,
            not_before: None,
            payload: vec![0],
        };
        (0..count).map(job).collect()
    }
}
