//! What a webhook event means: which conversation to join, which message to answer.
//!
//! What is known to be none of ours is answered and not stored.
//!
//! Everything that has to happen because of the event is on disk when [`Arrivals::event_heard`] returns,
//! so the request may be acknowledged. Events that ask for nothing are done at once.

use crate::channels::MarkSource;
use crate::channels::Seen;
use crate::channels::conversations::arrivals::Arrivals;
use crate::channels::conversations::attributes::attributes;
use crate::channels::conversations::policy::join_policy::{Facts, Verdict};
use crate::channels::conversations::policy::removal::Word;
use crate::clock::Timestamp;
use crate::fault_points::{self, Point};
use crate::pii::Pii;
use crate::queue::Error;
use crate::telemetry::journal::{Door, Record, Stage};
use crate::thread::{Thread, TurnMessage};
use crate::twilio::events::{
    Binding, Conversation, ConversationState, Envelope, Event, Message, Participant,
};
use crate::twilio::sid::{ConversationSid, MessageSid};

impl Arrivals {
    /// Takes a post-action event in; durable when it returns.
    ///
    /// # Errors
    ///
    /// If the store failed; then the request may not be acknowledged.
    pub async fn event_heard(&self, envelope: Envelope, received: Timestamp) -> Result<(), Error> {
        match envelope.event {
            Event::ConversationAdded(conversation) => {
                self.attributes_heard(&conversation);
                let sid = conversation.conversation_sid;
                if self.join_rules.note(sid, self.join_rules.judge(&facts(&conversation))) {
                    return Ok(());
                }
                self.heard(sid, received, "onConversationAdded").await
            }
            Event::ConversationUpdated(conversation) => {
                self.attributes_heard(&conversation);
                let sid = conversation.conversation_sid;
                let was_refused = self.join_rules.is_refused(sid);
                let is_refused =
                    self.join_rules.note(sid, self.join_rules.judge(&facts(&conversation)));
                if was_refused && !is_refused {
                    self.removals.wished(sid).await?;
                    self.conversation_back(sid, conversation.updated).await?;
                }
                Ok(())
            }
            Event::ParticipantAdded(participant) => self.participant_heard(&participant).await,
            Event::ParticipantRemoved(participant) => self.removal_heard(&participant).await,
            Event::ConversationStateUpdated(change) => {
                self.facts.changed(change.conversation_sid);
                if change.to != Some(ConversationState::Active) {
                    return Ok(());
                }
                let event = "onConversationStateUpdated";
                self.heard(change.conversation_sid, received, event).await
            }
            Event::MessageAdded(message) => self.message_heard(message, received).await,
            // Nothing of ours is said where the bot is not to be.
            Event::DeliveryUpdated(told)
                if !self.join_rules.is_just_refused(told.conversation_sid) =>
            {
                self.deliveries.heard(&told, received).await
            }
            _ => Ok(()),
        }
    }

    /// Hears whether a person has taken the conversation over.
    fn attributes_heard(&self, conversation: &Conversation) {
        self.facts.changed(conversation.conversation_sid);
        if let Some(attributes) = &conversation.attributes {
            let source = MarkSource::Dated(conversation.updated);
            let thread = conversation.conversation_sid.into();
            self.inlet.marked(thread, Some(attributes.reveal()), source);
        }
    }

    /// A participant that is one of ours was removed by somebody.
    async fn removal_heard(&self, participant: &Participant) -> Result<(), Error> {
        let conversation = participant.conversation_sid;
        self.facts.moved(conversation);
        let Some(identity) = self.is_ours(participant) else { return Ok(()) };
        let on_socket = self.seats.heard_since(conversation).is_some();
        self.seats.leave(conversation, identity);
        if self.seats.is_held(conversation) {
            // Another one of ours sits there.
            return Ok(());
        }
        self.seat_lost(conversation, Word::Webhook { on_socket }).await
    }

    /// The identity of a participant that is one of ours.
    fn is_ours<'a>(&self, participant: &'a Participant) -> Option<&'a str> {
        let identity = participant.identity.as_ref()?.reveal();
        let mut members = self.seats.members().iter();
        members.any(|member| member.identity == identity).then_some(identity)
    }

    /// A participant who comes over an address that is wished makes the conversation a wished one.
    async fn participant_heard(&self, participant: &Participant) -> Result<(), Error> {
        let conversation = participant.conversation_sid;
        self.facts.moved(conversation);
        if self.is_ours(participant).is_some() {
            return self.removals.let_in(conversation).await;
        }
        let facts =
            Facts { addresses: participant.binding.as_ref().map(addresses), ..Facts::default() };
        let is_wished = !matches!(self.join_rules.judge(&facts), Verdict::Refuse(_));
        if facts.addresses.is_some() && is_wished && self.join_rules.lacks_address(conversation) {
            self.join_rules.forget(conversation);
            self.removals.wished(conversation).await?;
            self.conversation_back(conversation, participant.updated).await?;
        }
        Ok(())
    }

    async fn heard(
        &self,
        conversation: ConversationSid,
        received: Timestamp,
        event: &'static str,
    ) -> Result<(), Error> {
        self.received(conversation, None, received, event);
        self.conversation_heard(conversation).await?;
        self.left_heard(conversation).await?;
        fault_points::hit(Point::WebhookStored);
        self.recorder.stage(conversation, None, Stage::WebhookAcknowledged);
        Ok(())
    }

    async fn message_heard(&self, message: Message, received: Timestamp) -> Result<(), Error> {
        let conversation = message.conversation_sid;
        let sid = message.message_sid;
        self.received(conversation, Some(sid), received, "onMessageAdded");
        if self.join_rules.is_just_refused(conversation) {
            return Ok(());
        }
        if let Some(theirs) = self.sift(seen(message)) {
            // The message may be the first we hear of the conversation.
            futures::try_join!(
                self.conversation_heard(conversation),
                self.inlet.messages(vec![theirs]),
            )?;
            self.left_heard(conversation).await?;
            fault_points::hit(Point::WebhookStored);
        }
        self.recorder.stage(conversation, Some(sid.into()), Stage::WebhookAcknowledged);
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
        let (thread, message) = (conversation.into(), message.map(Into::into));
        self.recorder.journal.record(Record { at, thread, message, reply_id: None, stage });
    }
}

/// What a webhook says of a conversation. Where it names no address the conversation may have one
/// all the same. Source: Conversations webhooks, post-action table, read 2026-11-21: the addresses
/// are those of the message that made the conversation.
fn facts(conversation: &Conversation) -> Facts {
    Facts {
        addresses: conversation.binding.as_ref().map(addresses),
        attributes: conversation.attributes.as_ref().map(|text| attributes(Some(text))),
        created: conversation.created,
    }
}

/// All addresses of a binding; which of them is ours depends on the kind of conversation.
fn addresses(binding: &Binding) -> Vec<Pii> {
    let one = [&binding.proxy_address, &binding.projected_address];
    one.into_iter().flatten().chain(&binding.addresses).cloned().collect()
}

fn seen(message: Message) -> Seen {
    Seen {
        speaker: None,
        thread: Thread::Conversation(message.conversation_sid),
        message: TurnMessage {
            sid: message.message_sid.into(),
            index: message.index,
            // Twilio leaves the author out only of messages nobody signed.
            author: message.author.unwrap_or_default(),
            body: message.body,
            attributes: attributes(message.attributes.as_ref()),
            media: message.media.into_iter().map(Into::into).collect(),
            participant: message.participant_sid,
            created: message.created,
            extras: None,
        },
        door: Door::Webhook,
    }
}
