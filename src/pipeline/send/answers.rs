//! The outbox where replies come under a key: the first answer counts, and no part of a second one.
//!
//! A turn that is asked again, or a request that is sent again, may bring other replies under the same key, and
//! more of them. Their ids follow from the key, so that those which are known count once; what is more than the
//! first answer has would be said as if it went on. So a key that is known takes nothing more. An engine that
//! stores an append job by job can break off within one: there a note says which answer was begun, so that this
//! one is completed and another one is not. (Two instances that take two answers under one key in the same moment
//! may still mix them there.)

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::agent::Parting;
use crate::jobs::lane;
use crate::pipeline::record;
use crate::queue::{Append, Appended, Documents, Error, JobId, Queue};
use crate::thread::{Reply, ThreadId};

/// How many answers under other keys may be stored at the same time. Chosen so that few wait for a stranger.
const DOORS: usize = 64;

/// The outbox, for replies that come under a key.
#[derive(Clone)]
pub struct KeyedAnswers {
    outbox: Queue,
    documents: Documents,
    /// Answers under one key come one after the other.
    doors: Arc<[Mutex<()>]>,
}

/// What answers are told apart by.
pub struct AnswerKey {
    thread: ThreadId,
    key: String,
    /// Says which answer it is.
    digest: JobId,
}

impl AnswerKey {
    /// Takes the key, and what tells its answer from another one.
    #[must_use]
    pub fn of(thread: ThreadId, key: &str, (replies, parting): (&[Reply], Parting)) -> Self {
        let said = serde_json::to_vec(replies).unwrap_or_default();
        // Notes of older releases have the first two.
        let then = match parting {
            Parting::Stays => 0,
            Parting::Handoff => 1,
            Parting::End => 2,
        };
        let digest = JobId::digest("answer", &[&said, &[then]]);
        Self { thread, key: key.to_owned(), digest }
    }

    /// The jobs of which every answer has one.
    fn first_jobs(&self) -> [JobId; 3] {
        let Self { thread, key, .. } = self;
        let (handoff, end) =
            (record::late_handoff_job(*thread, key), record::late_end_job(*thread, key));
        [record::late_reply_job(*thread, key, 0), handoff, end]
    }

    /// Where it is noted which answer was begun.
    fn note(&self) -> String {
        let key = JobId::digest("answered", &[self.thread.as_bytes(), self.key.as_bytes()]);
        format!("{}answer.{key}", Documents::SHORT_LIVED)
    }
}

impl KeyedAnswers {
    /// Takes the outbox, and where notes are kept.
    #[must_use]
    pub fn new(outbox: Queue, documents: Documents) -> Self {
        Self { outbox, documents, doors: (0..DOORS).map(|_| Mutex::default()).collect() }
    }

    /// Appends the jobs of an answer, unless another one was stored under its key.
    ///
    /// # Errors
    ///
    /// As [`Queue::append`].
    ///
    /// # Cancel safety
    ///
    /// As [`Queue::append`].
    pub async fn append(&self, key: &AnswerKey, jobs: Vec<Append>) -> Result<Vec<Appended>, Error> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((key.thread, &key.key));
        let door = usize::try_from(hash).unwrap_or(usize::MAX) % DOORS;
        let _alone = self.doors[door].lock().await;
        if !self.is_known(key).await? {
            self.begin(key).await?;
        } else if !self.is_begun(key).await? {
            return Ok(vec![Appended::Duplicate; jobs.len()]);
        }
        self.outbox.append(jobs).await
    }

    /// Whether an answer was stored under a key.
    async fn is_known(&self, key: &AnswerKey) -> Result<bool, Error> {
        let lane = lane(key.thread);
        for job in key.first_jobs() {
            if self.outbox.find(job, &lane).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Notes which answer is begun, where it may not be stored whole.
    async fn begin(&self, key: &AnswerKey) -> Result<(), Error> {
        if self.outbox.appends_whole() {
            return Ok(());
        }
        let digest = key.digest.as_bytes().to_vec();
        let noted = self.documents.update(&key.note(), |_| Some(digest.clone())).await;
        noted.map(drop)
    }

    /// Whether it is this answer that was begun, and may not be whole.
    async fn is_begun(&self, key: &AnswerKey) -> Result<bool, Error> {
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
        let key = |said: &[Reply]| AnswerKey::of(thread(), "broken", (said, Parting::Stays));
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
            let key = AnswerKey::of(thread(), name, (&said(texts), Parting::Stays));
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
            id: record::late_reply_job(thread(), key, n),
            key: lane(thread()),
            position: None,
            not_before: None,
            payload: vec![0],
        };
        (0..count).map(job).collect()
    }
}
