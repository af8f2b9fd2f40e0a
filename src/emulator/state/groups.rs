//! Group MMS: whose addresses make a group, and when one may not be made or written into.
//!
//! Pure. The members of a group have an address and no proxy address; our own number is there as a
//! projected address, with or without an identity. Source: group texting page in the webhook notes
//! 1.7 and the REST notes 2.1, 4 and 6.2 (50436 to 50438, 50513), read 2026-11-21.

use std::collections::BTreeSet;

use super::World;
use super::command::NewParticipant;
use super::model::{Binding, Channel, Conversation, Participant};
use super::refusal::Refusal;
use crate::pii::Pii;
use crate::twilio::sid::{ChatServiceSid, ConversationSid};

/// The addresses of a group, ours among them.
pub(super) type Addresses<'a> = BTreeSet<&'a str>;

impl Binding {
    /// Whether this is a member of a group, or our number in one.
    #[must_use]
    pub const fn is_of_group(&self) -> bool {
        self.proxy.is_none()
    }

    /// The address or, for our own number in a group, the projected one.
    #[must_use]
    pub const fn any_address(&self) -> Option<&Pii> {
        match &self.address {
            Some(address) => Some(address),
            None => self.projected.as_ref(),
        }
    }
}

impl Participant {
    /// Whether this is somebody's phone in a group: what it writes, the carrier takes to the others.
    #[must_use]
    pub fn is_group_phone(&self) -> bool {
        self.binding.as_ref().is_some_and(|one| one.is_of_group() && one.address.is_some())
    }

    fn group_address(&self) -> Option<&str> {
        let binding = self.binding.as_ref().filter(|binding| binding.is_of_group())?;
        binding.any_address().map(Pii::reveal)
    }
}

impl Conversation {
    /// Whether it is a group MMS.
    #[must_use]
    pub fn is_group(&self) -> bool {
        self.participants.values().any(|one| one.group_address().is_some())
    }

    /// The number of ours that speaks in the group.
    #[must_use]
    pub fn group_number(&self) -> Option<&Pii> {
        self.participants.values().find_map(|one| one.binding.as_ref()?.projected.as_ref())
    }

    fn group_addresses(&self) -> Addresses<'_> {
        self.participants.values().filter_map(Participant::group_address).collect()
    }
}

impl World {
    /// The open group conversation of exactly these addresses.
    pub(super) fn open_group(
        &self,
        service: ChatServiceSid,
        addresses: &Addresses<'_>,
    ) -> Option<ConversationSid> {
        self.conversations(service)
            .map(|(_, one)| one)
            .find(|one| one.is_open() && one.group_addresses() == *addresses)
            .map(|one| one.sid)
    }

    /// Checks the binding of a group's member-to-be.
    ///
    /// A group whose list is complete is one with a number of ours in it: before that, members may
    /// be added who are also members elsewhere (assumed).
    pub(super) fn draft_group_binding(
        &self,
        conversation: &Conversation,
        new: &NewParticipant,
    ) -> Result<Binding, Refusal> {
        if conversation
            .participants
            .values()
            .any(|one| one.binding.as_ref().is_some_and(|binding| !binding.is_of_group()))
        {
            // A pair of addresses elsewhere in the conversation: this one lacks its proxy address.
            return Err(Refusal::ProxyInvalid);
        }
        let wanted = new.address.as_ref().or(new.projected.as_ref());
        let wanted = wanted.ok_or(Refusal::NoIdentityNoAddress)?;
        match Channel::of(wanted.reveal()) {
            Some(Channel::Sms) => {}
            Some(Channel::Whatsapp | Channel::Rcs) => return Err(Refusal::ProxyInvalid),
            None if new.address.is_some() => return Err(Refusal::AddressInvalid),
            None => return Err(Refusal::ProjectedInvalid),
        }
        let mut addresses = conversation.group_addresses();
        if !addresses.insert(wanted.reveal()) {
            return Err(Refusal::GroupParticipantExists);
        }
        if addresses.len() > self.settings.limits.group_participants {
            return Err(Refusal::GroupTooLarge);
        }
        if new.projected.is_some() || conversation.group_number().is_some() {
            let twin = self.open_group(conversation.service, &addresses);
            if let Some(twin) = twin.filter(|twin| *twin != conversation.sid) {
                return Err(Refusal::GroupExists(twin));
            }
        }
        Ok(Binding {
            channel: Channel::Sms,
            address: new.address.clone(),
            proxy: None,
            projected: new.projected.clone(),
        })
    }
}
