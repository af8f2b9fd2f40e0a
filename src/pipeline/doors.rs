//! Where messages and conversations come in, whichever way they were heard of.
//!
//! Webhook, socket, catch-up read and sweep all end in the same two calls, and both end on disk: a
//! conversation becomes one join job, a message of somebody else becomes one turn job, however often
//! and through whichever door it is seen. Nothing is thought about here but whose message it is.

use std::sync::Arc;
use std::time::Duration;

use crate::agent::{Thread, TurnMessage};
use crate::clock::Timestamp;
use crate::pipeline::choice::Choice;
use crate::pipeline::handoff::Handoff;
use crate::pipeline::left::Left;
use crate::pipeline::notes::Notes;
use crate::pipeline::policy::authors::{Author, Authors};
use crate::pipeline::policy::removal::Word;
use crate::pipeline::record::{self, Inbound, Join};
use crate::pipeline::removed::Removed;
use crate::pipeline::repeated::{Came, Repeated};
use crate::pipeline::through::Through;
use crate::queue::{Append, Appended, Error, JobId, Queue};
use crate::telemetry::journal::{Door, Stage};
use crate::telemetry::trace::{self, Way};
use crate::twilio::sid::ConversationSid;

/// How old a conversation must be for a missing seat to be a lost one; its first join takes seconds,
/// and a few minutes when Twilio is slow.
pub const REJOIN_AFTER: Duration = Duration::from_secs(300);

/// What the doors need.
#[derive(Clone)]
pub struct Doors {
    /// The queue of conversations to join.
    pub joins: Queue,
    /// The queue of messages to answer.
    pub inbox: Queue,
    /// Tells our messages from others.
    pub authors: Authors,
    /// Which conversations the bot is to be in.
    pub choice: Arc<Choice>,
    /// How long a message that only a webhook told of waits for the socket to bring those before it.
    pub webhook_grace: Duration,
    /// Which conversations a person has taken over.
    pub handoff: Arc<Handoff>,
    /// Which conversations the bot has left.
    pub left: Arc<Left>,
    /// From which conversations somebody has removed it.
    pub removed: Arc<Removed>,
    /// How far each conversation is known.
    pub through: Arc<Through>,
    /// Which messages came in lately.
    pub repeated: Arc<Repeated>,
    /// Where the stages are noted.
    pub notes: Notes,
}

/// A message, as a door saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Where it was said.
    pub thread: Thread,
    /// What was said, and by whom.
    pub message: TurnMessage,
    /// The door.
    pub door: Door,
}

/// A message that is neither ours nor Twilio's.
pub(super) struct Theirs(Seen);

impl Doors {
    /// Takes note of a conversation that the bot should be in; durable when it returns.
    ///
    /// # Errors
    ///
    /// If the queue could not store it; then nothing may be acknowledged.
    pub async fn conversation_heard(
        &self,
        conversation: ConversationSid,
    ) -> Result<Appended, Error> {
        self.put_join(record::join_id(conversation), conversation).await
    }

    /// Takes note of an open conversation that the sweep found without the bot; durable when it
    /// returns.
    ///
    /// Where a webhook told of it before, that join may be under way, so it is asked for again only
    /// if the conversation is older than [`REJOIN_AFTER`]: then the seat was lost; or if not every
    /// conversation is joined and no join is under way: then it may have been refused, which no longer
    /// holds.
    ///
    /// # Errors
    ///
    /// If the queue could not store it.
    pub async fn conversation_missed(
        &self,
        conversation: ConversationSid,
        created: Option<Timestamp>,
        updated: Option<Timestamp>,
    ) -> Result<Appended, Error> {
        let heard = self.conversation_heard(conversation).await?;
        let now = self.notes.clock.wall();
        let is_old = created.is_none_or(|created| now.since(created) > REJOIN_AFTER);
        if heard == Appended::Added
            || (!is_old && (self.choice.is_all() || self.comes(conversation)))
        {
            return Ok(heard);
        }
        self.conversation_back(conversation, updated).await
    }

    /// Whether the bot's join is under way, or has just ended while a listing without it was read.
    fn comes(&self, conversation: ConversationSid) -> bool {
        let lane = record::lane(Thread::Conversation(conversation));
        self.joins.may_be_open(&lane) || self.choice.seats.is_held(conversation)
    }

    /// Takes note of a conversation that the bot should be in again, or now after all, although it
    /// was heard of before; durable when it returns.
    ///
    /// Asked for again within the minute it is the same join, unless Twilio says that the
    /// conversation was `updated` between: the join before may have been refused for what it was then.
    ///
    /// # Errors
    ///
    /// If the queue could not store it.
    pub async fn conversation_back(
        &self,
        conversation: ConversationSid,
        updated: Option<Timestamp>,
    ) -> Result<Appended, Error> {
        let id = record::rejoin_id(conversation, self.notes.clock.wall(), updated);
        self.put_join(id, conversation).await
    }

    /// Sends the bot back to a conversation that it has left, if it has, or from which it was removed
    /// and to which it is to return; durable when it returns.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub(super) async fn left_heard(&self, conversation: ConversationSid) -> Result<(), Error> {
        if let Some(left) = self.left.unreturned(conversation).await? {
            self.conversation_back(conversation, None).await?;
            self.left.returns(conversation, left);
        } else if self.removed.is_awaited(conversation) {
            self.conversation_back(conversation, None).await?;
        }
        Ok(())
    }

    /// Hears that the seat in a conversation was lost; where somebody has taken it, what waits there
    /// learns so at once.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub async fn seat_lost(&self, conversation: ConversationSid, word: Word) -> Result<(), Error> {
        self.handoff.forget(conversation);
        if self.removed.lost(conversation, word).await? {
            let lane = record::lane(Thread::Conversation(conversation));
            self.inbox.wake(&lane);
            self.handoff.outbox.wake(&lane);
        }
        Ok(())
    }

    async fn put_join(&self, id: JobId, conversation: ConversationSid) -> Result<Appended, Error> {
        let at = self.notes.clock.wall();
        let append = Append {
            id,
            key: record::lane(Thread::Conversation(conversation)),
            position: None,
            not_before: None,
            payload: encode(&Join::V1 { conversation, at }),
        };
        let appended = self.joins.append(vec![append]).await?;
        Ok(appended.into_iter().next().unwrap_or(Appended::Duplicate))
    }

    /// Takes messages in, in the given order; durable when it returns. Says how many were new turns.
    ///
    /// Our own messages and Twilio's are noted and go no further.
    ///
    /// # Errors
    ///
    /// If the queue could not store them; then nothing may be acknowledged.
    pub async fn messages_seen(&self, seen: Vec<Seen>) -> Result<usize, Error> {
        self.put_turns(seen.into_iter().filter_map(|seen| self.sift(seen)).collect()).await
    }

    /// Lets messages of others through; notes our own.
    pub(super) fn sift(&self, seen: Seen) -> Option<Theirs> {
        let message = &seen.message;
        let author = message.author.reveal();
        match self.authors.judge(author) {
            Author::Theirs => Some(Theirs(seen)),
            Author::System => None,
            Author::Ours => {
                if self.authors.reply(author, &message.attributes).is_some() {
                    let stage = Stage::ReplyVisible { reply: message.sid };
                    self.notes.stage(seen.thread, None, stage);
                }
                None
            }
        }
    }

    /// Stores a turn for each message; durable when it returns. Says how many were new.
    ///
    /// # Errors
    ///
    /// If the queue could not store them; then nothing may be acknowledged.
    pub(super) async fn put_turns(&self, theirs: Vec<Theirs>) -> Result<usize, Error> {
        if theirs.is_empty() {
            return Ok(0);
        }
        let now = self.notes.clock.wall();
        let noted: Vec<_> = theirs
            .iter()
            .map(|Theirs(seen)| Came::of(seen.thread, &seen.message, seen.door))
            .collect();
        let appends = theirs.into_iter().map(|Theirs(seen)| self.turn(seen, now)).collect();
        let appended = self.inbox.append(appends).await?;
        let mut added = 0;
        for (came, appended) in noted.into_iter().zip(appended) {
            let Came { thread, message, index, door, .. } = came;
            if appended == Appended::Duplicate {
                self.came_again(came).await;
                continue;
            }
            added += 1;
            self.repeated.first(message, door, now);
            self.notes.metrics.message(door);
            // A webhook's event is within its own stage already.
            let way = Way::of_message(thread.conversation(), message, index);
            let _within = (door != Door::Webhook).then(|| way.span(trace::of_door(door)).entered());
            self.notes.stage(thread, Some(message), Stage::MessageSeen { door });
        }
        Ok(added)
    }

    fn turn(&self, seen: Seen, at: Timestamp) -> Append {
        let Seen { thread, message, door } = seen;
        let not_before = match door {
            Door::Webhook if !self.webhook_grace.is_zero() => Some(at + self.webhook_grace),
            Door::Webhook | Door::Socket | Door::Replay | Door::CatchUp | Door::Reconcile => None,
        };
        Append {
            id: record::turn_id(message.sid),
            key: record::lane(thread),
            position: message.index,
            not_before,
            payload: encode(&Inbound::V1 { thread, message, at }),
        }
    }
}

/// Writes a record as the queues store it.
pub(super) fn encode<T: serde::Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(record).expect("records are always JSON")
}
