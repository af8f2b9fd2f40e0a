//! Tells the operator's routes what Twilio and the outbox know: the rooms meet here.

use futures::future::BoxFuture;

use crate::admin::replies::{Failed, Fate, Replies};
use crate::jobs::lane;
use crate::pipeline::record;
use crate::queue::{self, JobState, Queue};
use crate::thread::ThreadId;
use crate::twilio::events::ConversationState;
use crate::twilio::rest;
use crate::twilio::sid::ConversationSid;

/// Where it is asked.
pub struct Asked {
    /// Twilio.
    pub rest: rest::Client,
    /// The queue of replies.
    pub outbox: Queue,
}

impl Replies for Asked {
    fn state(
        &self,
        conversation: ConversationSid,
    ) -> BoxFuture<'_, Result<Option<&'static str>, Failed>> {
        Box::pin(async move {
            let found = self.rest.fetch_conversation(conversation).await;
            let found = found.map_err(|error| Failed(Box::new(error)))?;
            Ok(found.map(|found| word(found.state)))
        })
    }

    fn fate<'a>(
        &'a self,
        conversation: ConversationSid,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Fate>, Failed>> {
        Box::pin(async move {
            let fate = self.find(conversation.into(), key).await;
            fate.map_err(|error| Failed(Box::new(error)))
        })
    }
}

impl Asked {
    /// Looks at one part after the other: their ids follow from the key.
    async fn find(&self, thread: ThreadId, key: &str) -> Result<Option<Fate>, queue::Error> {
        let (lane, mut fate) = (lane(thread), Fate::default());
        while fate.parts < Queue::APPEND_JOBS_MAX {
            let id = record::late_reply_job(thread, key, fate.parts);
            let Some(status) = self.outbox.find(id, &lane).await? else { break };
            fate.parts += 1;
            match status.state {
                JobState::Open => {}
                JobState::Done => fate.sent += 1,
                JobState::Dead if fate.dead.is_none() => match self.outbox.show(id).await {
                    Ok(letter) => fate.dead = Some(letter.summary.cause),
                    // It was redriven in between.
                    Err(queue::Error::NoDeadLetter { .. }) => {}
                    Err(error) => return Err(error),
                },
                JobState::Dead => {}
            }
        }
        Ok((fate.parts > 0).then_some(fate))
    }
}

/// Twilio's word for a state.
const fn word(state: Option<ConversationState>) -> &'static str {
    match state {
        Some(ConversationState::Initializing) => "initializing",
        Some(ConversationState::Active) => "active",
        Some(ConversationState::Inactive) => "inactive",
        Some(ConversationState::Closed) => "closed",
        Some(ConversationState::Other) | None => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use tempfile::TempDir;

    use super::*;
    use crate::agent::later::{Batch, Outbox as _};
    use crate::channels::Channels;
    use crate::clock::Clock;
    use crate::net::tls;
    use crate::pipeline::send::late::Late;
    use crate::pipeline::send::reply_ids::ReplyIds;
    use crate::queue::{Cause, QueueName, Store, embedded};
    use crate::thread::{Reply, Thread};
    use crate::twilio::rest::Credentials;
    use crate::twilio::sid::AccountSid;

    #[tokio::test]
    async fn a_replys_parts_are_found_by_its_key() {
        let place = TempDir::new().unwrap();
        let store = Store::open(embedded::Options::new(place.path().join("queue.db"))).unwrap();
        let outbox = store.queue(QueueName::Outbox);
        let clock = Clock::start();
        let account = AccountSid::from_bytes([1; 16]);
        let credentials = Credentials::AuthToken(SecretString::from("token"));
        let options = rest::Options::new(account, credentials);
        let tls = tls::client_config().unwrap().0;
        let rest = rest::Client::new(options, tls, clock, None).unwrap();
        let asked = Asked { rest, outbox: outbox.clone() };
        let conversation = ConversationSid::from_bytes([2; 16]);
        let thread = Thread::Conversation(conversation);
        let said = vec![Reply::text("one"), Reply::text("two"), Reply::text("three")];
        let ids = ReplyIds::of(&SecretString::from("secret"));
        let late = Late {
            outbox: outbox.clone(),
            channels: Channels::default(),
            ids,
            reports: None,
            clock,
        };
        assert_eq!(late.put(Batch::new(thread, "k", said)).await.unwrap(), 3);
        let fate = async || asked.fate(conversation, "k").await.unwrap().unwrap();

        assert_eq!(fate().await, Fate { parts: 3, sent: 0, dead: None });
        outbox.next().await.unwrap().ack().await.unwrap();
        assert_eq!(fate().await, Fate { parts: 3, sent: 1, dead: None });
        let cause = Cause::new("dead").with_code(50_400);
        outbox.next().await.unwrap().dead(cause.clone()).await.unwrap();
        outbox.next().await.unwrap().ack().await.unwrap();
        assert_eq!(fate().await, Fate { parts: 3, sent: 2, dead: Some(cause) });
        assert_eq!(asked.fate(conversation, "other").await.unwrap(), None);
        let elsewhere = ConversationSid::from_bytes([3; 16]);
        assert_eq!(asked.fate(elsewhere, "k").await.unwrap(), None);
        store.close().await;
        assert!(asked.fate(conversation, "k").await.is_err());
    }
}
