//! Storing, changing and removing messages, and typing.
//!
//! Pure.

use super::command::{Actor, MessageChange, NewMessage, Outcome};
use super::event::{EventKind, Occurrence, message_fields, with_date};
use super::hooks::added;
use super::model::{Conversation, Made, Message, Participant, State};
use super::refusal::Refusal;
use super::{Effect, World, about, projection};
use crate::clock::Timestamp;
use crate::emulator::record::Happening;
use crate::pii::Pii;
use crate::twilio::sid::{ConversationSid, MessageSid};

impl World {
    pub(super) fn create_message(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        sid: ConversationSid,
        (new, mutation): (NewMessage, Option<String>),
    ) -> Result<Outcome, Refusal> {
        if let Some(Made::Message(made)) =
            mutation.as_ref().and_then(|id| self.existing(sid).ok()?.mutations.get(id))
        {
            return Ok(Outcome::RepeatedMessage(sid, *made));
        }
        let draft = self.draft_message(at, actor, sid, new)?;
        self.spend(at, actor, sid)?;
        let message = self.insert_message(at, actor, sid, draft)?;
        if let Some(mutation) = mutation {
            self.conversation_mut(sid)?.mutations.insert(mutation, Made::Message(message));
        }
        Ok(Outcome::Message(sid, message))
    }

    pub(super) fn ask_create_message(
        &self,
        at: Timestamp,
        actor: &Actor,
        sid: ConversationSid,
        new: &NewMessage,
    ) -> Result<Occurrence, Refusal> {
        let draft = self.draft_message(at, actor, sid, new.clone())?;
        let conversation = self.existing(sid)?;
        let fields = message_fields(conversation, &draft, false);
        Ok(about(conversation, EventKind::MessageAdd, fields))
    }

    pub(super) fn ask_message(
        &self,
        kind: EventKind,
        sid: ConversationSid,
        message: MessageSid,
    ) -> Result<Occurrence, Refusal> {
        let (conversation, message) = self.find_message(sid, message)?;
        let fields = message_fields(conversation, message, true);
        Ok(about(conversation, kind, with_date(fields, "DateUpdated", message.updated)))
    }

    pub(super) fn update_message(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        sid: ConversationSid,
        (message, change): (MessageSid, MessageChange),
    ) -> Result<Outcome, Refusal> {
        let (conversation, before) = self.find_message(sid, message)?;
        check_writable(conversation)?;
        let mut after = before.clone();
        if change.attributes.is_some() {
            let limit = self.settings.limits.message_attributes_bytes;
            after.attributes = self.checked_attributes(change.attributes.as_ref(), limit)?;
        }
        after.author = change.author.unwrap_or(after.author);
        after.body = change.body.or(after.body);
        after.subject = change.subject.or(after.subject);
        after.created = change.dates.created.unwrap_or(after.created);
        after.updated = change.dates.updated.unwrap_or(at);
        after.last_updated_by = Some(actor.name().to_owned());
        self.check_texts(&after)?;
        self.spend(at, actor, sid)?;
        let body = after.body.clone();
        self.conversation_mut(sid)?.messages.insert(after.index, after);
        self.project_message(at, sid, message);
        self.happened(Happening::MessageUpdated {
            conversation_sid: sid,
            message_sid: message,
            body: body.map(Pii::new),
        });
        let updated = self.ask_message(EventKind::MessageUpdated, sid, message)?;
        self.fire(actor, updated);
        Ok(Outcome::Message(sid, message))
    }

    pub(super) fn remove_message(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        sid: ConversationSid,
        message: MessageSid,
    ) -> Result<Outcome, Refusal> {
        let mut removed = self.ask_message(EventKind::MessageRemoved, sid, message)?;
        check_writable(self.existing(sid)?)?;
        self.spend(at, actor, sid)?;
        let conversation = self.conversation_mut(sid)?;
        let index = conversation.message_indexes.remove(&message).ok_or(Refusal::NotFound)?;
        conversation.messages.remove(&index);
        conversation.updated = at;
        let list = conversation.list.clone();
        let emitted = self.sync.remove_index(&list, at, index);
        self.emit(emitted);
        self.project_conversation(at, sid);
        self.happened(Happening::MessageRemoved { conversation_sid: sid, message_sid: message });
        removed.fields = with_date(removed.fields, "DateRemoved", at);
        self.fire(actor, removed);
        Ok(Outcome::Removed)
    }

    /// Tells the other chat participants that one of them types.
    ///
    /// # Errors
    ///
    /// If the identity is not in the conversation.
    pub fn type_in(&mut self, sid: ConversationSid, identity: &str) -> Result<(), Refusal> {
        let conversation = self.existing(sid)?;
        let typist =
            conversation.participant_by_identity(identity).ok_or(Refusal::NotParticipant)?;
        let participant = typist.sid;
        let listeners = conversation
            .participants
            .values()
            .filter_map(|other| other.identity.clone())
            .filter(|other| other != identity)
            .collect();
        self.happened(Happening::Typing { conversation_sid: sid, identity: Pii::new(identity) });
        self.effects.push_back(Effect::Typing {
            conversation: sid,
            participant,
            identity: identity.to_owned(),
            listeners,
        });
        Ok(())
    }

    /// Checks what is wanted and gives the message as it would be, without sid and index.
    pub(super) fn draft_message(
        &self,
        at: Timestamp,
        actor: &Actor,
        sid: ConversationSid,
        new: NewMessage,
    ) -> Result<Message, Refusal> {
        let conversation = self.existing(sid)?;
        match actor {
            // What a phone sends while its group is being set up is not lost (assumed).
            Actor::Channel(_) if conversation.state == State::Initializing => {}
            Actor::Api { .. } | Actor::Sdk { .. } | Actor::Channel(_) => {
                check_writable(conversation)?;
            }
        }
        // The REST API's author is `system` unless one is given. Source: REST notes 2.2.
        let author = new.author.unwrap_or_else(|| actor.name().to_owned());
        let writer = participant_of_author(conversation, &author);
        if matches!(actor, Actor::Sdk { .. }) && writer.is_none() {
            return Err(Refusal::NotParticipant);
        }
        if writer.is_none() && conversation.is_group() {
            return Err(Refusal::GroupAuthorUnknown);
        }
        let mut media = Vec::new();
        for wanted in new.media {
            media.push(self.media(wanted).ok_or(Refusal::MediaInvalid)?.clone());
        }
        let with_content = new.content_sid.is_some();
        let created = new.dates.created.unwrap_or(at);
        let limit = self.settings.limits.message_attributes_bytes;
        let message = Message {
            sid: MessageSid::from_bytes([0; 16]),
            index: 0,
            participant: writer.map(|participant| participant.sid),
            author,
            // With a content sid, body and media are ignored. Source: REST notes 2.2.
            body: new.body.filter(|_| !with_content),
            subject: new.subject,
            attributes: self.checked_attributes(new.attributes.as_ref(), limit)?,
            media: if with_content { Vec::new() } else { media },
            content_sid: new.content_sid,
            created,
            updated: new.dates.updated.unwrap_or(created),
            last_updated_by: None,
            receipts: Vec::new(),
        };
        self.check_texts(&message)?;
        Ok(message)
    }

    /// Gives a draft its sid and index, tells the world and sends it on to the phones.
    pub(super) fn insert_message(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        sid: ConversationSid,
        draft: Message,
    ) -> Result<MessageSid, Refusal> {
        let list = self.existing(sid)?.list.clone();
        let message =
            Message { sid: self.ids.message(), index: self.sync.next_index(&list), ..draft };
        let (message_sid, index) = (message.sid, message.index);
        self.happened(Happening::MessageAdded {
            conversation_sid: sid,
            message_sid,
            index,
            author: Pii::new(message.author.clone()),
            body: message.body.clone().map(Pii::new),
            attributes: Pii::new(message.attributes.clone()),
            source: actor.source(),
        });
        let data = projection::message(&message);
        let conversation = self.conversation_mut(sid)?;
        conversation.message_indexes.insert(message_sid, index);
        conversation.messages.insert(index, message);
        conversation.updated = at;
        let emitted = self.sync.push(&list, at, data);
        self.emit(emitted);
        self.project_conversation(at, sid);
        let (conversation, message) = self.find_message(sid, message_sid)?;
        let added = added(conversation, message);
        self.fire(actor, added);
        self.wake(at, sid);
        self.dispatch(at, sid, message_sid)?;
        Ok(message_sid)
    }

    /// Writes a message's item in the list anew.
    pub(super) fn project_message(&mut self, at: Timestamp, sid: ConversationSid, of: MessageSid) {
        let Ok((conversation, message)) = self.find_message(sid, of) else { return };
        let (list, index) = (conversation.list.clone(), message.index);
        let data = projection::message(message);
        let emitted = self.sync.set_index(&list, at, index, data);
        self.emit(emitted);
    }

    fn check_texts(&self, message: &Message) -> Result<(), Refusal> {
        let limits = &self.settings.limits;
        if message.author.chars().count() > limits.name_chars {
            return Err(Refusal::AuthorTooLong);
        }
        if message.body.as_ref().is_some_and(|body| body.len() > limits.body_bytes) {
            return Err(Refusal::BodyTooLong);
        }
        let subject = message.subject.as_ref();
        if subject.is_some_and(|subject| subject.chars().count() > limits.name_chars) {
            return Err(Refusal::ParameterInvalid("Subject"));
        }
        let is_empty = message.body.as_ref().is_none_or(String::is_empty)
            && message.media.is_empty()
            && message.content_sid.is_none();
        if is_empty { Err(Refusal::BodyMissing) } else { Ok(()) }
    }
}

/// The participant that an author's name belongs to: an identity or an address.
fn participant_of_author<'a>(
    conversation: &'a Conversation,
    author: &str,
) -> Option<&'a Participant> {
    conversation
        .participant_by_identity(author)
        .or_else(|| conversation.participant_by_address(author))
}

fn check_writable(conversation: &Conversation) -> Result<(), Refusal> {
    match conversation.state {
        State::Closed => Err(Refusal::ConversationClosed),
        State::Initializing => Err(Refusal::ConversationInitializing),
        State::Active | State::Inactive => Ok(()),
    }
}
