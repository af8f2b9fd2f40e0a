//! Making, changing and removing conversations.
//!
//! Pure.

use super::command::{Actor, NewConversation, Outcome};
use super::event::{EventKind, Occurrence, conversation_fields, state_fields, with_date};
use super::limits::Window;
use super::model::{Conversation, State, Timers};
use super::refusal::Refusal;
use super::sync::{Kind, ObjectName};
use super::{World, about, in_service, projection};
use crate::clock::Timestamp;
use crate::emulator::record::Happening;
use crate::twilio::sid::{ChatServiceSid, ConversationSid};

impl World {
    pub(super) fn create_conversation(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        service: ChatServiceSid,
        new: NewConversation,
    ) -> Result<ConversationSid, Refusal> {
        let draft = self.draft_conversation(at, actor, service, &new)?;
        self.spend_service(at, actor, service)?;
        let sid = self.insert_conversation(at, draft);
        let added = {
            let conversation = self.existing(sid)?;
            about(
                conversation,
                EventKind::ConversationAdded,
                conversation_fields(conversation, true),
            )
        };
        self.fire(actor, added);
        Ok(sid)
    }

    pub(super) fn ask_create_conversation(
        &self,
        at: Timestamp,
        actor: &Actor,
        service: ChatServiceSid,
        new: &NewConversation,
    ) -> Result<Occurrence, Refusal> {
        let draft = self.draft_conversation(at, actor, service, new)?;
        Ok(Occurrence {
            conversation: None,
            ..about(&draft, EventKind::ConversationAdd, conversation_fields(&draft, false))
        })
    }

    pub(super) fn ask_conversation(
        &self,
        kind: EventKind,
        sid: ConversationSid,
    ) -> Result<Occurrence, Refusal> {
        let conversation = self.existing(sid)?;
        Ok(about(conversation, kind, conversation_fields(conversation, true)))
    }

    pub(super) fn update_conversation(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        sid: ConversationSid,
        change: NewConversation,
    ) -> Result<Outcome, Refusal> {
        let before = self.existing(sid)?.clone();
        let after = self.changed_conversation(at, &before, change)?;
        self.spend(at, actor, sid)?;
        if before.unique_name != after.unique_name {
            self.rename(&before, &after);
        }
        let (from, to) = (before.state, after.state);
        if from.is_open() && !to.is_open() {
            self.release_pairs(&before);
        }
        let writes = std::mem::take(&mut self.conversation_mut(sid)?.writes);
        *self.conversation_mut(sid)? = Conversation { writes, ..after };
        self.schedule(sid);
        self.project_conversation(at, sid);
        self.happened(Happening::ConversationUpdated { conversation_sid: sid, state: to.as_str() });
        let conversation = self.existing(sid)?;
        let updated = about(
            conversation,
            EventKind::ConversationUpdated,
            conversation_fields(conversation, true),
        );
        let moved = (from != to).then(|| {
            let fields = state_fields(conversation, from.as_str(), "API");
            about(conversation, EventKind::ConversationStateUpdated, fields)
        });
        self.fire(actor, updated);
        if let Some(moved) = moved {
            self.fire(actor, moved);
        }
        Ok(Outcome::Conversation(sid))
    }

    pub(super) fn remove_conversation(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        sid: ConversationSid,
    ) -> Result<Outcome, Refusal> {
        let service = self.existing(sid)?.service;
        self.spend_service(at, actor, service)?;
        let removed = {
            let conversation = self.existing(sid)?;
            let fields = with_date(conversation_fields(conversation, true), "DateRemoved", at);
            about(conversation, EventKind::ConversationRemoved, fields)
        };
        self.fire(actor, removed);
        let seq = self.conversation_seqs.remove(&sid).ok_or(Refusal::NotFound)?;
        let conversation = self.conversations.remove(&seq).ok_or(Refusal::NotFound)?;
        if let Some(name) = &conversation.unique_name {
            self.unique_names.remove(&in_service(service, name));
        }
        self.release_pairs(&conversation);
        for participant in conversation.participants.values() {
            if let Some(identity) = &participant.identity {
                self.unseat(at, &conversation, identity);
            }
        }
        for object in [&conversation.list, &conversation.roster, &conversation.document] {
            let emitted = self.sync.remove(object);
            self.emit(emitted);
        }
        self.happened(Happening::ConversationRemoved { conversation_sid: sid });
        Ok(Outcome::Removed)
    }

    /// Checks what is wanted and gives the conversation as it would be, without sid and objects.
    pub(super) fn draft_conversation(
        &self,
        at: Timestamp,
        actor: &Actor,
        service: ChatServiceSid,
        new: &NewConversation,
    ) -> Result<Conversation, Refusal> {
        if !self.services.contains_key(&service) {
            return Err(Refusal::NotFound);
        }
        self.check_names(service, new, None)?;
        check_timers(&new.timers)?;
        let limit = self.settings.limits.conversation_attributes_bytes;
        let created = new.dates.created.unwrap_or(at);
        Ok(Conversation {
            sid: ConversationSid::from_bytes([0; 16]),
            seq: 0,
            service,
            messaging_service: new.messaging_service.unwrap_or(self.default_messaging_service),
            friendly_name: new.friendly_name.clone(),
            unique_name: new.unique_name.clone(),
            attributes: self.checked_attributes(new.attributes.as_ref(), limit)?,
            state: new.state.unwrap_or(State::Active),
            state_changed: at,
            timers: new.timers.clone(),
            created_by: actor.name().to_owned(),
            created,
            updated: new.dates.updated.unwrap_or(created),
            participants: std::collections::BTreeMap::new(),
            messages: std::collections::BTreeMap::new(),
            message_indexes: std::collections::HashMap::new(),
            hooks: Vec::new(),
            mutations: std::collections::HashMap::new(),
            writes: Window::default(),
            document: String::new(),
            list: String::new(),
            roster: String::new(),
        })
    }

    /// Gives a draft its sid and its Sync objects, and keeps it.
    pub(super) fn insert_conversation(
        &mut self,
        at: Timestamp,
        draft: Conversation,
    ) -> ConversationSid {
        let sid = self.ids.conversation();
        let seq = self.seq();
        let place =
            |suffix: &str| ObjectName { service: draft.service, name: format!("{sid}.{suffix}") };
        let list = self.sync.create_collection(&mut self.ids, at, Kind::List, place("messages"));
        let roster = self.sync.create_collection(&mut self.ids, at, Kind::Map, place("roster"));
        let conversation =
            Conversation { sid, seq, list, roster, document: String::new(), ..draft };
        let data = projection::document(&conversation);
        let place = ObjectName { service: conversation.service, name: format!("{sid}.channel") };
        let document = self.sync.create_document(&mut self.ids, at, place, data);
        if let Some(name) = &conversation.unique_name {
            self.unique_names.insert(in_service(conversation.service, name), sid);
        }
        self.conversation_seqs.insert(sid, seq);
        self.conversations.insert(seq, Conversation { document, ..conversation });
        self.schedule(sid);
        self.happened(Happening::ConversationAdded { conversation_sid: sid });
        sid
    }

    /// Writes the conversation's document anew.
    pub(super) fn project_conversation(&mut self, at: Timestamp, sid: ConversationSid) {
        let Some(conversation) = self.conversation(sid) else { return };
        let (document, data) = (conversation.document.clone(), projection::document(conversation));
        let emitted = self.sync.set_document(&document, at, data);
        self.emit(emitted);
    }

    pub(super) fn release_pairs(&mut self, conversation: &Conversation) {
        self.pairs.retain(|_, holder| *holder != conversation.sid);
    }

    fn changed_conversation(
        &self,
        at: Timestamp,
        before: &Conversation,
        change: NewConversation,
    ) -> Result<Conversation, Refusal> {
        match before.state {
            State::Closed => return Err(Refusal::ConversationClosed),
            State::Initializing => return Err(Refusal::ConversationInitializing),
            State::Active | State::Inactive => {}
        }
        if change.state == Some(State::Initializing) {
            return Err(Refusal::StateInvalid);
        }
        self.check_names(before.service, &change, Some(before.sid))?;
        check_timers(&change.timers)?;
        let limit = self.settings.limits.conversation_attributes_bytes;
        let mut after = before.clone();
        if change.attributes.is_some() {
            after.attributes = self.checked_attributes(change.attributes.as_ref(), limit)?;
        }
        if let Some(name) = change.unique_name {
            after.unique_name = (!name.is_empty()).then_some(name);
        }
        after.friendly_name = change.friendly_name.or(after.friendly_name);
        after.messaging_service = change.messaging_service.unwrap_or(after.messaging_service);
        after.timers.inactive = change.timers.inactive.or(after.timers.inactive);
        after.timers.closed = change.timers.closed.or(after.timers.closed);
        if let Some(state) = change.state.filter(|state| *state != before.state) {
            after.state = state;
            after.state_changed = at;
        }
        after.created = change.dates.created.unwrap_or(after.created);
        after.updated = change.dates.updated.unwrap_or(at);
        Ok(after)
    }

    fn check_names(
        &self,
        service: ChatServiceSid,
        new: &NewConversation,
        this: Option<ConversationSid>,
    ) -> Result<(), Refusal> {
        let too_long = |name: &Option<String>| {
            name.as_ref().is_some_and(|name| name.chars().count() > self.settings.limits.name_chars)
        };
        if too_long(&new.friendly_name) {
            return Err(Refusal::ParameterInvalid("FriendlyName"));
        }
        if too_long(&new.unique_name) {
            return Err(Refusal::ParameterInvalid("UniqueName"));
        }
        let Some(name) = &new.unique_name else { return Ok(()) };
        if name.parse::<ConversationSid>().is_ok() {
            return Err(Refusal::UniqueNameIsSid);
        }
        match self.unique_names.get(&in_service(service, name)) {
            Some(holder) if Some(*holder) != this => Err(Refusal::UniqueNameTaken),
            Some(_) | None => Ok(()),
        }
    }

    fn rename(&mut self, before: &Conversation, after: &Conversation) {
        if let Some(name) = &before.unique_name {
            self.unique_names.remove(&in_service(before.service, name));
        }
        if let Some(name) = &after.unique_name {
            self.unique_names.insert(in_service(before.service, name), before.sid);
        }
    }
}

impl State {
    /// Whether a conversation in this state holds its addresses.
    const fn is_open(self) -> bool {
        match self {
            Self::Initializing | Self::Active | Self::Inactive => true,
            Self::Closed => false,
        }
    }
}

/// Source: error dictionary 50375 and 50376, read 2026-11-21. An empty text clears a timer (assumed).
fn check_timers(timers: &Timers) -> Result<(), Refusal> {
    let seconds = |text: &Option<String>, name| match text.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => iso_seconds(text).map(Some).ok_or(Refusal::ParameterInvalid(name)),
    };
    if seconds(&timers.inactive, "Timers.Inactive")?.is_some_and(|seconds| seconds < 60) {
        return Err(Refusal::TimerInactiveTooShort);
    }
    if seconds(&timers.closed, "Timers.Closed")?.is_some_and(|seconds| seconds < 600) {
        return Err(Refusal::TimerClosedTooShort);
    }
    Ok(())
}

pub(super) fn iso_seconds(text: &str) -> Option<i64> {
    let span: jiff::SignedDuration = match text.parse() {
        Ok(duration) => duration,
        Err(_) => {
            let span: jiff::Span = text.parse().ok()?;
            span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?
        }
    };
    Some(span.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_are_iso_durations_with_a_floor() {
        for (text, seconds) in
            [("PT1M", Some(60)), ("P1D", Some(86_400)), ("PT0.5H", Some(1800)), ("soon", None)]
        {
            assert_eq!(iso_seconds(text), seconds, "{text}");
        }
        let timers = |inactive: &str, closed: &str| Timers {
            inactive: Some(inactive.into()),
            closed: Some(closed.into()),
        };
        assert_eq!(check_timers(&timers("PT59S", "")), Err(Refusal::TimerInactiveTooShort));
        assert_eq!(check_timers(&timers("PT1M", "PT9M")), Err(Refusal::TimerClosedTooShort));
        assert_eq!(check_timers(&timers("PT1M", "PT10M")), Ok(()));
    }
}
