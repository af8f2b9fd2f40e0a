//! Where messages and conversations come in, whichever way they were heard of.
//!
//! Webhook, socket, catch-up read and sweep all end in the same two calls, and both end on disk: a
//! conversation becomes one join job, a message of somebody else goes to the pipeline, however often
//! and through whichever door it is seen. Nothing is thought about here but whose message it is.

use std::sync::Arc;
use std::time::Duration;

use crate::channels::conversations::beginnings::Beginnings;
use crate::channels::conversations::contiguous::ContiguousWatermarks;
use crate::channels::conversations::deliveries::Deliveries;
use crate::channels::conversations::departures::Departures;
use crate::channels::conversations::facts::ConversationFacts;
use crate::channels::conversations::join_rules::JoinRules;
use crate::channels::conversations::policy::authors::{Author, Authors};
use crate::channels::conversations::policy::removal::Word;
use crate::channels::conversations::record::{self, Join};
use crate::channels::conversations::removals::Removals;
use crate::channels::conversations::seats::Seats;
use crate::channels::{Inlet, Seen};
use crate::clock::{Clock, Timestamp};
use crate::jobs::recorder::Recorder;
use crate::jobs::{encode, lane};
use crate::queue::{Append, Appended, Error, JobId, Queue};
use crate::telemetry::journal::Stage;
use crate::thread::ThreadId;
use crate::twilio::sid::ConversationSid;

/// How old a conversation must be for a missing seat to be a lost one; its first join takes seconds,
/// and a few minutes when Twilio is slow.
pub const REJOIN_AFTER: Duration = Duration::from_secs(300);

/// What is needed to take them in.
#[derive(Clone)]
pub struct Arrivals {
    /// The queue of conversations to join.
    pub joins: Queue,
    /// Where messages go, and what else the pipeline is to hear.
    pub inlet: Arc<dyn Inlet>,
    /// Tells our messages from others.
    pub authors: Authors,
    /// Which conversations the bot is to be in.
    pub join_rules: Arc<JoinRules>,
    /// The identities and their seats.
    pub seats: Arc<Seats>,
    /// Which conversations the bot has left.
    pub departures: Arc<Departures>,
    /// From which conversations somebody has removed it.
    pub removals: Arc<Removals>,
    /// What was answered before this service was there.
    pub beginnings: Arc<Beginnings>,
    /// Knows how conversations are.
    pub facts: Arc<ConversationFacts>,
    /// How our replies fare on their way to phones.
    pub deliveries: Arc<Deliveries>,
    /// How far each conversation is known.
    pub watermarks: Arc<ContiguousWatermarks>,
    /// Where the stages are noted.
    pub recorder: Recorder,
}

impl Arrivals {
    /// Whose a message of an author is.
    pub(super) fn author(&self, author: &str) -> Author {
        self.authors.judge(author)
    }

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
        let now = self.recorder.clock.wall();
        let is_old = created.is_none_or(|created| now.since(created) > REJOIN_AFTER);
        if heard == Appended::Added
            || (!is_old && (self.join_rules.is_all() || self.comes(conversation)))
        {
            return Ok(heard);
        }
        self.conversation_back(conversation, updated).await
    }

    /// Whether the bot's join is under way, or has just ended while a listing without it was read.
    fn comes(&self, conversation: ConversationSid) -> bool {
        self.is_joining(conversation.into()) || self.seats.is_held(conversation)
    }

    /// Reads the time.
    #[must_use]
    pub const fn clock(&self) -> Clock {
        self.recorder.clock
    }

    /// Whether the socket would tell of whatever happens in a conversation.
    #[must_use]
    pub fn hears(&self, conversation: ConversationSid) -> bool {
        self.seats.hears(conversation)
    }

    /// Whether the bot's join may be waiting or under way.
    #[must_use]
    pub fn is_joining(&self, thread: ThreadId) -> bool {
        self.joins.may_be_open(&lane(thread))
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
        let id = record::rejoin_id(conversation, self.recorder.clock.wall(), updated);
        self.put_join(id, conversation).await
    }

    /// Sends the bot back to a conversation that it has left, if it has, or from which it was removed
    /// and to which it is to return; durable when it returns.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub(super) async fn left_heard(&self, conversation: ConversationSid) -> Result<(), Error> {
        if let Some(left) = self.departures.unreturned(conversation).await? {
            self.conversation_back(conversation, None).await?;
            self.departures.returns(conversation, left);
        } else if self.removals.is_awaited(conversation) {
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
        let thread = ThreadId::from(conversation);
        self.inlet.forget(thread);
        if self.removals.lost(conversation, word).await? {
            self.inlet.wake(thread);
        }
        Ok(())
    }

    async fn put_join(&self, id: JobId, conversation: ConversationSid) -> Result<Appended, Error> {
        let at = self.recorder.clock.wall();
        let append = Append {
            id,
            key: lane(conversation),
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
        self.caught_up(seen, &[]).await
    }

    /// As [`Arrivals::messages_seen`], where with these messages some conversations are known to their
    /// end.
    ///
    /// # Errors
    ///
    /// As [`Arrivals::messages_seen`].
    pub async fn caught_up(
        &self,
        seen: Vec<Seen>,
        whole: &[ConversationSid],
    ) -> Result<usize, Error> {
        // What was answered before is known before anybody can take a turn.
        self.beginnings.notice(&seen).await?;
        for conversation in whole {
            if self.watermarks.complete(*conversation) {
                self.inlet.wake((*conversation).into());
            }
        }
        let theirs: Vec<_> = seen.into_iter().filter_map(|seen| self.sift(seen)).collect();
        if theirs.is_empty() { Ok(0) } else { self.inlet.messages(theirs).await }
    }

    /// Lets messages of others through; notes our own.
    pub(super) fn sift(&self, seen: Seen) -> Option<Seen> {
        let message = &seen.message;
        let author = message.author.reveal();
        match self.author(author) {
            Author::Theirs => Some(seen),
            Author::System => None,
            Author::Ours => {
                if self.authors.reply(author, &message.attributes).is_some() {
                    let stage = Stage::ReplyVisible { reply: message.sid };
                    self.recorder.stage(&seen.thread, None, stage);
                }
                None
            }
        }
    }
}
