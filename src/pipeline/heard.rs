//! What a webhook event means for the doors: which conversation to join, which message to answer.
//!
//! Everything that has to happen because of the event is on disk when [`Doors::event_heard`] returns,
//! so the request may be acknowledged. Events that ask for nothing are done at once.

use serde_json::Map;

use crate::agent::{Thread, TurnMessage};
use crate::clock::Timestamp;
use crate::fault_points::{self, Point};
use crate::pii::Pii;
use crate::pipeline::doors::{Doors, Seen};
use crate::queue::Error;
use crate::telemetry::journal::{Door, Record, Stage};
use crate::twilio::events::{ConversationState, Envelope, Event, Message};
use crate::twilio::sid::{ConversationSid, MessageSid};

impl Doors {
    /// Takes a post-action event in; durable when it returns.
    ///
    /// # Errors
    ///
    /// If the store failed; then the request may not be acknowledged.
    pub async fn event_heard(&self, envelope: Envelope, received: Timestamp) -> Result<(), Error> {
        match envelope.event {
            Event::ConversationAdded(conversation) => {
                self.heard(conversation.conversation_sid, received, "onConversationAdded").await
            }
            Event::ConversationStateUpdated(change)
                if change.to == Some(ConversationState::Active) =>
            {
                let event = "onConversationStateUpdated";
                self.heard(change.conversation_sid, received, event).await
            }
            Event::MessageAdded(message) => self.message_heard(message, received).await,
            _ => Ok(()),
        }
    }

    async fn heard(
        &self,
        conversation: ConversationSid,
        received: Timestamp,
        event: &'static str,
    ) -> Result<(), Error> {
        self.received(conversation, None, received, event);
        self.conversation_heard(conversation).await?;
        fault_points::hit(Point::WebhookStored);
        self.notes.of_conversation(conversation, None, Stage::WebhookAcknowledged);
        Ok(())
    }

    async fn message_heard(&self, message: Message, received: Timestamp) -> Result<(), Error> {
        let conversation = message.conversation_sid;
        let sid = message.message_sid;
        self.received(conversation, Some(sid), received, "onMessageAdded");
        if let Some(theirs) = self.sift(seen(message)) {
            // The message may be the first we hear of the conversation.
            futures::try_join!(
                self.conversation_heard(conversation),
                self.put_turns(vec![theirs]),
            )?;
            fault_points::hit(Point::WebhookStored);
        }
        self.notes.of_conversation(conversation, Some(sid), Stage::WebhookAcknowledged);
        Ok(())
    }

    fn received(
        &self,
        conversation: ConversationSid,
        message: Option<MessageSid>,
        at: Timestamp,
        event: &'static str,
    ) {
        let stage = Stage::WebhookReceived { event };
        self.notes.journal.record(Record { at, conversation, message, stage });
    }
}

fn seen(message: Message) -> Seen {
    Seen {
        thread: Thread::Conversation(message.conversation_sid),
        message: TurnMessage {
            sid: message.message_sid,
            index: message.index,
            // Twilio leaves the author out only of messages nobody signed.
            author: message.author.unwrap_or_default(),
            body: message.body,
            attributes: attributes(message.attributes.as_ref()),
            media: message.media.into_iter().map(Into::into).collect(),
            participant: message.participant_sid,
            created: message.created,
        },
        door: Door::Webhook,
    }
}

/// Reads a message's attributes, which travel as JSON text; anything but an object counts as none.
pub(super) fn attributes(text: Option<&Pii>) -> Map<String, serde_json::Value> {
    text.and_then(|text| serde_json::from_str(text.reveal()).ok()).unwrap_or_default()
}
