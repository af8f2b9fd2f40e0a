//! Tells the operator's routes what Twilio and the outbox know: the rooms meet here.

use futures::future::BoxFuture;

use crate::admin::replies::{Failed, Replies, RepliesFate};
use crate::channels::{self, Channels};
use crate::jobs::lane;
use crate::pipeline::record;
use crate::pipeline::send::reply_ids::ReplyIds;
use crate::queue::{self, JobState, Queue};
use crate::thread::ThreadId;

/// Where it is asked.
pub struct AskedReplies {
    /// The channels.
    pub channels: Channels,
    /// The queue of replies.
    pub outbox: Queue,
    /// Makes the ids by which it is known how replies fare.
    pub ids: ReplyIds,
}

impl Replies for AskedReplies {
    fn state(&self, thread: ThreadId) -> BoxFuture<'_, Result<Option<&'static str>, Failed>> {
        Box::pin(async move {
            let state = self.channels.state(thread).await;
            state.map_err(|error| Failed(Box::new(error)))
        })
    }

    fn fate<'a>(
        &'a self,
        thread: ThreadId,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<RepliesFate>, Failed>> {
        Box::pin(async move {
            let fate = self.find(thread, key).await;
            fate.map_err(|error| Failed(Box::new(error)))
        })
    }
}

impl AskedReplies {
    /// Looks at one part after the other: their ids follow from the key.
    async fn find(
        &self,
        thread: ThreadId,
        key: &str,
    ) -> Result<Option<RepliesFate>, channels::Error> {
        let (lane, mut fate) = (lane(thread), RepliesFate::default());
        while fate.parts < Queue::APPEND_JOBS_MAX {
            let id = record::late_reply_job(thread, key, fate.parts);
            let Some(status) = self.outbox.find(id, &lane).await? else { break };
            fate.parts += 1;
            match status.state {
                JobState::Open => {}
                JobState::Done => {
                    fate.sent += 1;
                    let fares = self.channels.fares(thread, self.ids.id(id)).await?;
                    fate.delivery.extend(fares);
                }
                JobState::Dead if fate.dead.is_none() => match self.outbox.show(id).await {
                    Ok(letter) => fate.dead = Some(letter.summary.cause),
                    // It was redriven in between.
                    Err(queue::Error::NoDeadLetter { .. }) => {}
                    Err(error) => return Err(error.into()),
                },
                JobState::Dead => {}
            }
        }
        Ok((fate.parts > 0).then_some(fate))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use secrecy::SecretString;
    use tempfile::TempDir;

    use super::*;
    use crate::agent::Parting;
    use crate::agent::later::{Batch, Outbox as _};
    use crate::clock::Clock;
    use crate::jobs::recorder::Recorder;
    use crate::pipeline::send::answers::KeyedAnswers;
    use crate::pipeline::send::late::Late;
    use crate::queue::{Cause, QueueName, Store, embedded};
    use crate::telemetry::journal::Journal;
    use crate::telemetry::metrics::Metrics;
    use crate::thread::{Reply, Thread};
    use crate::twilio::sid::ConversationSid;

    #[tokio::test]
    async fn a_replys_parts_are_found_by_its_key() {
        let place = TempDir::new().unwrap();
        let store = Store::open(embedded::Options::new(place.path().join("queue.db"))).unwrap();
        let outbox = store.queue(QueueName::Outbox);
        let recorder = Recorder {
            journal: Journal::new(16),
            metrics: Metrics::new(),
            clock: Clock::start(),
            tally: Arc::default(),
        };
        let ids = ReplyIds::of(&SecretString::from("secret"));
        let (channels, queue) = (Channels::default(), outbox.clone());
        let asked = AskedReplies { channels, outbox: queue, ids: ids.clone() };
        let conversation = ConversationSid::from_bytes([2; 16]);
        let thread = Thread::Conversation(conversation);
        let said = vec![Reply::text("one"), Reply::text("two"), Reply::text("three")];
        let late = Late {
            outbox: KeyedAnswers::new(outbox.clone(), store.documents()),
            channels: Channels::default(),
            ids,
            inbox: store.queue(QueueName::Inbox),
            documents: store.documents(),
            reports: None,
            tells: false,
            agent: None,
            recorder,
        };
        assert_eq!(late.put(Batch::new(thread, "k", said)).await.unwrap(), 3);
        let fate = async || asked.fate(conversation.into(), "k").await.unwrap().unwrap();

        assert_eq!(
            fate().await,
            RepliesFate { parts: 3, sent: 0, dead: None, delivery: Vec::new() }
        );
        outbox.next().await.unwrap().ack().await.unwrap();
        assert_eq!(
            fate().await,
            RepliesFate { parts: 3, sent: 1, dead: None, delivery: Vec::new() }
        );
        let cause = Cause::new("dead").with_code(50_400);
        outbox.next().await.unwrap().dead(cause.clone()).await.unwrap();
        outbox.next().await.unwrap().ack().await.unwrap();
        assert_eq!(
            fate().await,
            RepliesFate { parts: 3, sent: 2, dead: Some(cause), delivery: Vec::new() }
        );
        // A second answer under the same key adds nothing, however much longer it is.
        let thread = Thread::Conversation(conversation);
        let longer = ["one", "2", "3", "four"].map(Reply::text).to_vec();
        let again =
            Batch { parting: Parting::Handoff, ..Batch::new(thread.clone(), "k", longer.clone()) };
        assert_eq!(late.put(again).await.unwrap(), 0);
        let handed =
            Batch { parting: Parting::Handoff, ..Batch::new(thread.clone(), "h", Vec::new()) };
        assert_eq!(late.put(handed).await.unwrap(), 0, "nothing is said");
        assert_eq!(late.put(Batch::new(thread.clone(), "h", longer.clone())).await.unwrap(), 0);
        // Two at the same time are not mixed.
        let short = vec![Reply::text("short")];
        let batches = [longer, short].map(|said| Batch::new(thread.clone(), "race", said));
        let added = futures::future::join_all(batches.map(|batch| late.put(batch))).await;
        let added: Vec<_> = added.into_iter().map(Result::unwrap).collect();
        assert!(added == [4, 0] || added == [0, 1], "{added:?}");
        assert_eq!(asked.fate(conversation.into(), "k").await.unwrap().unwrap().parts, 3);
        assert_eq!(asked.fate(conversation.into(), "other").await.unwrap(), None);
        let elsewhere = ConversationSid::from_bytes([3; 16]);
        assert_eq!(asked.fate(elsewhere.into(), "k").await.unwrap(), None);
        store.close().await;
        assert!(asked.fate(conversation.into(), "k").await.is_err());
    }
}
