//! The catch-up read over REST, for when no socket does it: everything after the watermark, in order.
//!
//! The realtime client reads its own way as soon as it hears of a conversation. This is the other
//! door: with the socket down or switched off, the message that created a conversation is still found
//! after the join.

use std::sync::Arc;
use std::time::Duration;

use crate::channels::conversations::arrivals::Arrivals;
use crate::channels::conversations::attributes::attributes;
use crate::channels::conversations::beginnings::Beginnings;
use crate::channels::conversations::beginnings::Waiting;
use crate::channels::conversations::contiguous::ContiguousWatermarks;
use crate::channels::conversations::policy::beginning::Standing;
use crate::channels::conversations::sweep_pace::SweepPace;
use crate::channels::{AnsweredBefore, Error, Inlet, Seen};
use crate::clock::Timestamp;
use crate::fault_points::{self, Point};
use crate::queue::{self, Marks};
use crate::telemetry::journal::Door;
use crate::thread::{Thread, TurnMessage};
use crate::twilio::rest::{self, MessagesAfter, WalkBack};
use crate::twilio::sid::ConversationSid;

/// The most messages that one read takes; older ones are left to history. Chosen so that a busy
/// conversation that was missed for an hour fits.
pub const MESSAGES_MAX: usize = 1000;

/// How long a message waits for the socket to read its conversation before that is done here.
const SOCKET_READS_WITHIN: Duration = Duration::from_secs(5);

/// Reads conversations over REST.
#[derive(Clone)]
pub struct CatchUp {
    /// Twilio's REST API.
    pub rest: rest::Client,
    /// Where the messages go.
    pub arrivals: Arrivals,
    /// How far each conversation is known.
    pub watermarks: Arc<ContiguousWatermarks>,
    /// What the pipeline is to hear.
    pub inlet: Arc<dyn Inlet>,
    /// What was answered before this service was there.
    pub beginnings: Arc<Beginnings>,
    /// How far each conversation has been read.
    pub marks: Marks,
}

impl CatchUp {
    /// Sees to it that every message before an index is known and stored.
    ///
    /// # Errors
    ///
    /// As [`CatchUp::read`].
    pub async fn fill(&self, conversation: ConversationSid, index: u64) -> Result<(), Error> {
        let watermarks = &self.watermarks;
        if watermarks.reaches(conversation, index) {
            return Ok(());
        }
        let mark = self.marks.read(&conversation.to_string()).await?;
        if let Some(mark) = mark.filter(|&mark| mark >= index.saturating_sub(1)) {
            // Another process may have raised it: what that stored is to be in its lane first.
            self.inlet.sync(conversation.into()).await?;
            watermarks.raise(conversation, mark);
        } else {
            self.read(conversation, None).await?;
            // Also if the message itself was removed meanwhile and the read ended before it.
            watermarks.raise(conversation, index.saturating_sub(1));
        }
        Ok(())
    }

    /// Reads everything after the watermark into the inbox and raises the watermark; at a pace, if
    /// there is one.
    ///
    /// # Errors
    ///
    /// If Twilio or the store failed; what was stored stays, and reading again is harmless.
    pub async fn read(
        &self,
        conversation: ConversationSid,
        pace: Option<&SweepPace>,
    ) -> Result<usize, Error> {
        let name = conversation.to_string();
        let after = self.marks.read(&name).await?;
        let found = self.found(conversation, after, pace).await?;
        if !found.complete {
            tracing::warn!(conversation_sid = %conversation, count = MESSAGES_MAX,
                "conversation was missed for so long that older messages were left out");
        }
        let found = found.messages;
        let last = found.iter().map(|message| message.index).max();
        let seen = found.into_iter().map(|message| seen(conversation, message)).collect();
        let added = self.arrivals.caught_up(seen, &[conversation]).await?;
        fault_points::hit(Point::CatchUpStored);
        if let Some(last) = last {
            self.marks.raise(&name, last).await?;
            self.watermarks.raise(conversation, last);
        }
        Ok(added)
    }

    /// Whether who spoke as the bot before this service has answered a message; reads the conversation
    /// where only that can tell.
    ///
    /// # Errors
    ///
    /// As [`CatchUp::read`].
    pub async fn answered_before(
        &self,
        conversation: ConversationSid,
        message: &TurnMessage,
        stored: Timestamp,
    ) -> Result<AnsweredBefore, Error> {
        let mut standing = self.standing(conversation, message, stored).await?;
        if standing == Standing::Unread {
            if self.is_being_read(conversation, stored) {
                self.watermarks.await_whole(conversation);
                return Ok(AnsweredBefore::Unknown);
            }
            self.read(conversation, None).await?;
            standing = self.standing(conversation, message, stored).await?;
        }
        Ok(match standing {
            Standing::Open | Standing::Unread => AnsweredBefore::No,
            Standing::Over(reason) => AnsweredBefore::Yes(reason),
        })
    }

    async fn standing(
        &self,
        conversation: ConversationSid,
        message: &TurnMessage,
        stored: Timestamp,
    ) -> Result<Standing, queue::Error> {
        let is_whole = self.watermarks.is_whole(conversation);
        let waiting = Waiting { message, stored, is_whole };
        self.beginnings.standing(conversation, waiting).await
    }

    /// Whether the socket has the conversation and is about to tell all of it.
    fn is_being_read(&self, conversation: ConversationSid, stored: Timestamp) -> bool {
        let waited = self.arrivals.clock().wall().since(stored);
        waited < SOCKET_READS_WITHIN && self.arrivals.hears(conversation)
    }

    async fn found(
        &self,
        conversation: ConversationSid,
        after: Option<u64>,
        pace: Option<&SweepPace>,
    ) -> Result<MessagesAfter, rest::Error> {
        let mut pages = self.rest.newest_messages(conversation);
        let mut walk = WalkBack::to(after, MESSAGES_MAX);
        loop {
            if let Some(pace) = pace {
                pace.wait(1).await;
            }
            if !walk.takes(pages.next().await?) {
                return Ok(walk.end());
            }
        }
    }
}

fn seen(conversation: ConversationSid, message: rest::Message) -> Seen {
    let message = TurnMessage {
        sid: message.sid.into(),
        index: Some(message.index),
        author: message.author.unwrap_or_default(),
        body: message.body,
        attributes: attributes(message.attributes.as_ref()),
        media: message.media.into_iter().map(Into::into).collect(),
        participant: message.participant_sid,
        created: message.created,
        extras: None,
    };
    let thread = Thread::Conversation(conversation);
    Seen { thread, speaker: None, message, door: Door::CatchUp }
}
