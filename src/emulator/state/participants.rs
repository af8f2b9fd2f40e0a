//! Adding, changing and removing participants, and the seats that identities hold.
//!
//! Pure.

use super::command::{Actor, NewParticipant, Outcome, ParticipantChange};
use super::event::{EventKind, Occurrence, participant_fields, with_date};
use super::model::{Binding, Channel, Conversation, Made, NotificationLevel, Participant, State};
use super::refusal::Refusal;
use super::{World, about, in_service, pair, projection};
use crate::clock::Timestamp;
use crate::emulator::record::Happening;
use crate::pii::Pii;
use crate::twilio::sid::{ChatServiceSid, ConversationSid, ParticipantSid, UserSid};

impl World {
    /// The conversations that an identity is in.
    pub fn seats(
        &self,
        service: ChatServiceSid,
        identity: &str,
    ) -> impl Iterator<Item = (ConversationSid, ParticipantSid)> {
        self.seats
            .get(&in_service(service, identity))
            .into_iter()
            .flatten()
            .map(|(conversation, participant)| (*conversation, *participant))
    }

    pub(super) fn add_participant(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        sid: ConversationSid,
        (new, mutation): (NewParticipant, Option<String>),
    ) -> Result<Outcome, Refusal> {
        if let Some(Made::Participant(made)) =
            mutation.as_ref().and_then(|id| self.existing(sid).ok()?.mutations.get(id))
        {
            return Ok(Outcome::RepeatedParticipant(sid, *made));
        }
        self.check_changeable(sid)?;
        let draft = self.draft_participant(at, sid, &new)?;
        self.spend(at, actor, sid)?;
        let participant = self.insert_participant(at, actor, sid, draft)?;
        if let Some(mutation) = mutation {
            self.conversation_mut(sid)?.mutations.insert(mutation, Made::Participant(participant));
        }
        Ok(Outcome::Participant(sid, participant))
    }

    pub(super) fn ask_add_participant(
        &self,
        at: Timestamp,
        sid: ConversationSid,
        new: &NewParticipant,
    ) -> Result<Occurrence, Refusal> {
        self.check_changeable(sid)?;
        let draft = self.draft_participant(at, sid, new)?;
        let conversation = self.existing(sid)?;
        let fields = participant_fields(conversation, &draft, false);
        Ok(about(conversation, EventKind::ParticipantAdd, fields))
    }

    pub(super) fn ask_participant(
        &self,
        kind: EventKind,
        sid: ConversationSid,
        participant: ParticipantSid,
    ) -> Result<Occurrence, Refusal> {
        let conversation = self.existing(sid)?;
        let participant = conversation.participant_by_sid(participant).ok_or(Refusal::NotFound)?;
        let fields = participant_fields(conversation, participant, true);
        Ok(about(conversation, kind, with_date(fields, "DateUpdated", participant.updated)))
    }

    pub(super) fn update_participant(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        sid: ConversationSid,
        (participant, change): (ParticipantSid, ParticipantChange),
    ) -> Result<Outcome, Refusal> {
        let conversation = self.existing(sid)?;
        let before = conversation.participant_by_sid(participant).ok_or(Refusal::NotFound)?.clone();
        let after = self.changed_participant(at, before, change)?;
        self.spend(at, actor, sid)?;
        let last_read = after.last_read_index;
        self.conversation_mut(sid)?.participants.insert(after.seq, after);
        self.project_participant(at, sid, participant);
        self.happened(Happening::ParticipantUpdated {
            conversation_sid: sid,
            participant_sid: participant,
            last_read_message_index: last_read,
        });
        let conversation = self.existing(sid)?;
        let now = conversation.participant_by_sid(participant).ok_or(Refusal::NotFound)?;
        let mut fields =
            with_date(participant_fields(conversation, now, true), "DateUpdated", now.updated);
        if let Some(index) = now.last_read_index {
            fields.push(("LastReadMessageIndex", Pii::new(index.to_string())));
        }
        let updated = about(conversation, EventKind::ParticipantUpdated, fields);
        self.fire(actor, updated);
        Ok(Outcome::Participant(sid, participant))
    }

    pub(super) fn remove_participant(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        sid: ConversationSid,
        participant: ParticipantSid,
    ) -> Result<Outcome, Refusal> {
        let conversation = self.existing(sid)?;
        let leaving =
            conversation.participant_by_sid(participant).ok_or(Refusal::NotFound)?.clone();
        self.spend(at, actor, sid)?;
        let conversation = self.conversation_mut(sid)?;
        conversation.participants.remove(&leaving.seq);
        conversation.mutations.retain(|_, made| *made != Made::Participant(participant));
        let conversation = conversation.clone();
        if let Some(identity) = &leaving.identity {
            self.unseat(at, &conversation, identity);
        }
        if let Some(Binding { address: Some(address), proxy: Some(proxy), .. }) = &leaving.binding {
            self.pairs.remove(&pair(address, proxy));
        }
        let emitted = self.sync.remove_item(&conversation.roster, at, &participant.to_string());
        self.emit(emitted);
        self.happened(Happening::ParticipantRemoved {
            conversation_sid: sid,
            participant_sid: participant,
        });
        let fields = participant_fields(&conversation, &leaving, true);
        let fields = with_date(with_date(fields, "DateUpdated", at), "DateRemoved", at);
        self.fire(actor, about(&conversation, EventKind::ParticipantRemoved, fields));
        Ok(Outcome::Removed)
    }

    /// Checks what is wanted and gives the participant as it would be, without sid.
    pub(super) fn draft_participant(
        &self,
        at: Timestamp,
        sid: ConversationSid,
        new: &NewParticipant,
    ) -> Result<Participant, Refusal> {
        let conversation = self.existing(sid)?;
        let binding = self.draft_binding(conversation, new)?;
        if let Some(identity) = &new.identity {
            self.check_identity(identity)?;
            self.check_seat(conversation, identity)?;
        }
        let limits = &self.settings.limits;
        if conversation.participants.len() >= limits.participants {
            return Err(Refusal::TooManyParticipants);
        }
        let outside = conversation.participants.values().filter(|one| one.binding.is_some());
        if binding.is_some() && outside.count() >= limits.participants_outside_chat {
            return Err(Refusal::TooManyNonChat);
        }
        let service = self.services.get(&conversation.service).ok_or(Refusal::NotFound)?;
        let created = new.dates.created.unwrap_or(at);
        Ok(Participant {
            sid: ParticipantSid::from_bytes([0; 16]),
            seq: 0,
            identity: new.identity.clone(),
            binding,
            attributes: self
                .checked_attributes(new.attributes.as_ref(), limits.message_attributes_bytes)?,
            role: new.role.unwrap_or(service.conversation_role),
            created,
            updated: new.dates.updated.unwrap_or(created),
            last_read_index: None,
            last_read_at: None,
            notification_level: NotificationLevel::Default,
        })
    }

    /// Gives a draft its sid and its places, and tells the world.
    pub(super) fn insert_participant(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        sid: ConversationSid,
        draft: Participant,
    ) -> Result<ParticipantSid, Refusal> {
        let (participant, seq) = (self.ids.participant(), self.seq());
        let added = Participant { sid: participant, seq, ..draft };
        if let Some(identity) = &added.identity {
            let service = self.existing(sid)?.service;
            self.ensure_user(at, actor, service, identity);
            let seats = self.seats.entry(in_service(service, identity)).or_default();
            seats.insert(sid, participant);
        }
        if let Some(Binding { address: Some(address), proxy: Some(proxy), .. }) = &added.binding {
            self.pairs.insert(pair(address, proxy), sid);
        }
        self.happened(Happening::ParticipantAdded {
            conversation_sid: sid,
            participant_sid: participant,
            identity: added.identity.clone().map(Pii::new),
            address: added.binding.as_ref().and_then(|binding| binding.any_address().cloned()),
        });
        self.conversation_mut(sid)?.participants.insert(seq, added);
        self.project_participant(at, sid, participant);
        let conversation = self.existing(sid)?;
        let added = conversation.participant_by_sid(participant).ok_or(Refusal::NotFound)?;
        let occurrence = about(
            conversation,
            EventKind::ParticipantAdded,
            participant_fields(conversation, added, true),
        );
        self.fire(actor, occurrence);
        Ok(participant)
    }

    /// Writes a participant's Sync items anew: in the roster, and in its user's conversations.
    ///
    /// The three objects of the conversation exist before the item of the user's map does: a client
    /// that cannot open them drops the conversation silently.
    /// Source: Conversations protocol notes, 3, read 2026-11-21.
    pub(super) fn project_participant(
        &mut self,
        at: Timestamp,
        sid: ConversationSid,
        participant: ParticipantSid,
    ) {
        let Some(conversation) = self.conversation(sid) else { return };
        let Some(one) = conversation.participant_by_sid(participant) else { return };
        let user = one
            .identity
            .as_ref()
            .and_then(|identity| self.user_by_identity(conversation.service, identity));
        let roster_item = projection::roster_item(one, user);
        let channels = user.map(|user| user.channels.clone());
        let channel_item = projection::channel_item(conversation, one);
        let roster = conversation.roster.clone();
        let emitted = self.sync.set_item(&roster, at, &participant.to_string(), roster_item);
        self.emit(emitted);
        let Some(channels) = channels else { return };
        let key = sid.to_string();
        if self.sync.map_item(&channels, &key) != Some(&channel_item) {
            let emitted = self.sync.set_item(&channels, at, &key, channel_item);
            self.emit(emitted);
        }
    }

    pub(super) fn unseat(&mut self, at: Timestamp, conversation: &Conversation, identity: &str) {
        let key = in_service(conversation.service, identity);
        if let Some(seats) = self.seats.get_mut(&key) {
            seats.remove(&conversation.sid);
        }
        let channels =
            self.user_by_identity(conversation.service, identity).map(|user| user.channels.clone());
        if let Some(channels) = channels {
            let emitted = self.sync.remove_item(&channels, at, &conversation.sid.to_string());
            self.emit(emitted);
        }
    }

    fn check_changeable(&self, sid: ConversationSid) -> Result<(), Refusal> {
        match self.existing(sid)?.state {
            State::Closed => Err(Refusal::ConversationClosed),
            State::Initializing => Err(Refusal::ConversationInitializing),
            State::Active | State::Inactive => Ok(()),
        }
    }

    fn draft_binding(
        &self,
        conversation: &Conversation,
        new: &NewParticipant,
    ) -> Result<Option<Binding>, Refusal> {
        let Some(address) = &new.address else {
            // In a group MMS our number stands for itself or for an identity.
            return match (&new.identity, &new.projected) {
                (_, Some(_)) => self.draft_group_binding(conversation, new).map(Some),
                (Some(_), None) => Ok(None),
                (None, None) => Err(Refusal::NoIdentityNoAddress),
            };
        };
        if new.identity.is_some() {
            return Err(Refusal::IdentityAndAddress);
        }
        let channel = Channel::of(address.reveal()).ok_or(Refusal::AddressInvalid)?;
        let binding = Binding {
            channel,
            address: Some(address.clone()),
            proxy: new.proxy.clone(),
            projected: new.projected.clone(),
        };
        let Some(proxy) = &new.proxy else {
            // Address alone is a member of a group MMS.
            return self.draft_group_binding(conversation, new).map(Some);
        };
        if conversation.is_group() {
            return Err(Refusal::ProxyInvalid);
        }
        let proxy_channel = Channel::of(proxy.reveal()).ok_or(Refusal::ProxyInvalid)?;
        if proxy_channel != channel {
            return Err(Refusal::ChannelMismatch);
        }
        if address == proxy {
            return Err(Refusal::AddressIsProxy);
        }
        match self.pairs.get(&pair(address, proxy)) {
            Some(holder) => Err(Refusal::BindingExists(*holder)),
            None if conversation.participant_by_address(address.reveal()).is_some() => {
                Err(Refusal::BindingExists(conversation.sid))
            }
            None => Ok(Some(binding)),
        }
    }

    pub(super) fn check_identity(&self, identity: &str) -> Result<(), Refusal> {
        if identity.is_empty() {
            return Err(Refusal::NoIdentityNoAddress);
        }
        if identity.chars().count() > self.settings.limits.name_chars {
            return Err(Refusal::IdentityTooLong);
        }
        if identity.parse::<UserSid>().is_ok() {
            return Err(Refusal::IdentityIsUserSid);
        }
        Ok(())
    }

    /// Source: REST notes 2.1 and 6.2 (50433, 50214), read 2026-11-21.
    fn check_seat(&self, conversation: &Conversation, identity: &str) -> Result<(), Refusal> {
        if conversation.participant_by_identity(identity).is_some() {
            return Err(Refusal::ParticipantExists);
        }
        let limit = self.settings.limits.conversations_per_identity;
        let all = self.seats.get(&in_service(conversation.service, identity));
        if all.is_none_or(|seats| seats.len() < limit) {
            return Ok(());
        }
        // Closed conversations do not count; they are looked at only when the limit seems reached.
        let open = self
            .seats(conversation.service, identity)
            .filter(|(sid, _)| self.conversation(*sid).is_some_and(Conversation::is_open));
        if open.count() < limit { Ok(()) } else { Err(Refusal::TooManyConversations) }
    }

    fn changed_participant(
        &self,
        at: Timestamp,
        before: Participant,
        change: ParticipantChange,
    ) -> Result<Participant, Refusal> {
        if change.proxy.is_some() || change.projected.is_some() {
            return Err(Refusal::ProxyImmutable);
        }
        let mut after = before;
        if change.attributes.is_some() {
            let limit = self.settings.limits.message_attributes_bytes;
            after.attributes = self.checked_attributes(change.attributes.as_ref(), limit)?;
        }
        if change.identity.is_some_and(|identity| after.identity != Some(identity)) {
            // An identity cannot be changed (assumed); only group MMS members may get one.
            return Err(Refusal::ParameterInvalid("Identity"));
        }
        after.role = change.role.unwrap_or(after.role);
        if let Some(read) = change.last_read {
            after.last_read_index = read.index;
            after.last_read_at = read.index.map(|_| read.at.unwrap_or(at));
        }
        after.notification_level = change.notification_level.unwrap_or(after.notification_level);
        after.created = change.dates.created.unwrap_or(after.created);
        after.updated = change.dates.updated.unwrap_or(at);
        Ok(after)
    }
}
