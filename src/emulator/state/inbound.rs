//! A phone writes to one of our numbers: which conversation gets it, or which is made for it.
//!
//! Pure. Source: webhook notes 1.7 (inbound autocreation), read 2026-11-21. A message with other
//! recipients is a group MMS: the open group of exactly these addresses gets it, or a new one, which
//! cannot be changed until it is set up, see [`alarms`](super::alarms).

use super::command::{Actor, Amendment, NewConversation, NewMessage, NewParticipant};
use super::event::{EventKind, Fields, Occurrence, conversation_fields};
use super::groups::Addresses;
use super::hooks::HookFields;
use super::messaging::Extras;
use super::model::{Autocreation, AutocreationKind, Channel, HookTarget, State};
use super::refusal::Refusal;
use super::{World, about, pair, stamp};
use crate::clock::Timestamp;
use crate::pii::Pii;
use crate::twilio::keywords::{Keyword, KeywordEffect};
use crate::twilio::sid::{ChatServiceSid, ConversationSid, MediaSid, MessageSid};

/// A message from a phone.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// The channel, which both addresses belong to.
    pub channel: Channel,
    /// The phone's address.
    pub from: Pii,
    /// Ours.
    pub to: Pii,
    /// Who else got it, which makes it a group MMS.
    pub others: Vec<Pii>,
    /// The text.
    pub body: Option<Pii>,
    /// Pictures and the like.
    pub media: Vec<MediaSid>,
    /// What else comes with it, on some channels.
    pub extras: Extras,
    /// The word of Twilio's that the text is.
    pub(super) keyword: Option<Keyword>,
}

/// Where a phone's message goes.
#[derive(Clone, Debug)]
pub enum Route {
    /// Into the open conversation that holds the pair.
    Existing(ConversationSid),
    /// Into a conversation to be made in this service.
    Autocreate {
        /// The service.
        service: ChatServiceSid,
        /// The address's settings; none if the messaging service makes the conversation.
        settings: Option<Autocreation>,
    },
    /// Nowhere.
    Nobody,
}

impl Inbound {
    /// Reads the addresses.
    ///
    /// # Errors
    ///
    /// If one is no address or they belong to different channels.
    pub fn new(from: Pii, to: Pii, body: Option<Pii>) -> Result<Self, Refusal> {
        let channel = Channel::of(from.reveal()).ok_or(Refusal::AddressInvalid)?;
        match Channel::of(to.reveal()) {
            None => Err(Refusal::ProxyInvalid),
            Some(other) if other != channel => Err(Refusal::ChannelMismatch),
            Some(_) => Ok(Self {
                channel,
                from,
                to,
                others: Vec::new(),
                keyword: body.as_ref().and_then(|body| Keyword::of(body.reveal())),
                body,
                media: Vec::new(),
                extras: Extras::default(),
            }),
        }
    }

    /// Addresses it to others too; those that are named twice count once.
    ///
    /// # Errors
    ///
    /// If one is no phone's address, or the message did not come by SMS.
    pub fn with_others(mut self, others: Vec<Pii>) -> Result<Self, Refusal> {
        for other in others {
            match Channel::of(other.reveal()).ok_or(Refusal::AddressInvalid)? {
                Channel::Sms if self.channel == Channel::Sms => {}
                Channel::Sms | Channel::Whatsapp | Channel::Rcs => {
                    return Err(Refusal::ChannelMismatch);
                }
            }
            let address = other.reveal();
            if !self.addresses().contains(address) {
                self.others.push(other);
            }
        }
        Ok(self)
    }

    /// Whether it is a group MMS.
    #[must_use]
    pub const fn is_group(&self) -> bool {
        !self.others.is_empty()
    }

    /// The keyword that the text is, where Twilio acts on them: of WhatsApp it does so for who has
    /// Advanced Opt-Out.
    fn keyword(&self, is_advanced: bool) -> Option<Keyword> {
        self.keyword.filter(|_| self.channel != Channel::Whatsapp || is_advanced)
    }

    /// Every address of the person who writes: on WhatsApp a number and an id may be the same one's.
    fn contact(&self) -> Vec<Pii> {
        let mut contact = vec![self.from.clone()];
        if self.channel == Channel::Whatsapp {
            let number = self.extras.wa_id.iter().map(|id| format!("whatsapp:+{}", id.reveal()));
            let user_id = self.extras.user_id.iter().map(|id| format!("whatsapp:{}", id.reveal()));
            contact.extend(number.chain(user_id).map(Pii::new));
        }
        contact
    }

    /// Everybody's address, in their order: the same for every member of a group who writes.
    pub(in crate::emulator) fn addresses(&self) -> Addresses<'_> {
        [&self.from, &self.to].into_iter().chain(&self.others).map(Pii::reveal).collect()
    }
}

impl World {
    /// Says where a phone's message goes.
    #[must_use]
    pub fn route(&self, inbound: &Inbound) -> Route {
        let (service, settings) = match self.find_address(inbound.to.reveal()) {
            Ok(address) if address.autocreation.enabled => {
                let service = address.autocreation.service.unwrap_or(self.default_service);
                (service, Some(Some(address.autocreation.clone())))
            }
            Ok(_) | Err(_) if self.autocreates(&inbound.to) => (self.default_service, Some(None)),
            Ok(_) | Err(_) => (self.default_service, None),
        };
        let holder = match inbound.is_group() {
            true => self.open_group(service, &inbound.addresses()),
            false => self.pairs.get(&pair(&inbound.from, &inbound.to)).copied(),
        };
        match (holder, settings) {
            (Some(holder), _) => Route::Existing(holder),
            (None, Some(settings)) => Route::Autocreate { service, settings },
            (None, None) => Route::Nobody,
        }
    }

    /// Takes note of a phone's message, whatever becomes of it: opt-out words, WhatsApp's window.
    pub fn hear(&mut self, at: Timestamp, inbound: &Inbound) {
        let contact = inbound.contact();
        let is_advanced = self.has_advanced_opt_out(&inbound.to);
        let effect = inbound.keyword(is_advanced).map(|keyword| keyword.effect);
        for ours in self.siblings(&inbound.to) {
            for phone in &contact {
                match effect {
                    Some(KeywordEffect::Stop) => {
                        self.opted_out.insert(consent(phone, &ours), at);
                    }
                    Some(KeywordEffect::Start) => {
                        self.opted_out.remove(&consent(phone, &ours));
                    }
                    Some(KeywordEffect::Help) | None => {}
                }
            }
        }
        for phone in contact {
            self.last_heard.insert(pair(&phone, &inbound.to), at);
        }
    }

    /// Whether a phone has opted out of what a number sends.
    #[must_use]
    pub fn has_opted_out(&self, phone: &Pii, number: &Pii) -> bool {
        self.opted_out.contains_key(&consent(phone, number))
    }

    /// A phone's message as a write into an existing conversation.
    #[must_use]
    pub fn message_of(inbound: &Inbound) -> NewMessage {
        NewMessage {
            author: Some(inbound.from.reveal().to_owned()),
            body: inbound.body.as_ref().map(|body| body.reveal().to_owned()),
            media: inbound.media.clone(),
            ..NewMessage::default()
        }
    }

    /// The question before autocreation: it carries the whole pair and the text, and no sid.
    ///
    /// # Errors
    ///
    /// If there is no such service.
    pub fn ask_autocreate(
        &self,
        at: Timestamp,
        inbound: &Inbound,
        service: ChatServiceSid,
    ) -> Result<Occurrence, Refusal> {
        let actor = Actor::Channel(inbound.channel);
        self.check_group(inbound, service)?;
        let draft = self.draft_conversation(at, &actor, service, &autocreated(inbound, None))?;
        let mut fields = conversation_fields(&draft, false);
        fields.extend(binding_fields(inbound));
        if let Some(body) = &inbound.body {
            fields.push(("MessageBody", body.clone()));
        }
        let asked = about(&draft, EventKind::ConversationAdd, fields);
        Ok(stamp(Occurrence { conversation: None, ..asked }, &actor))
    }

    /// Makes the conversation, its first participants and its first message, in this order; nobody
    /// is asked about any but the first.
    ///
    /// # Errors
    ///
    /// If the service is gone, the text is too long or the group too large; nothing has changed then.
    pub fn autocreate(
        &mut self,
        at: Timestamp,
        inbound: &Inbound,
        (service, settings): (ChatServiceSid, Option<Autocreation>),
        amendment: Amendment,
    ) -> Result<(ConversationSid, MessageSid), Refusal> {
        let actor = Actor::Channel(inbound.channel);
        self.check_group(inbound, service)?;
        let wanted = autocreated(inbound, amendment.friendly_name);
        let draft = self.draft_conversation(at, &actor, service, &wanted)?;
        let body_bytes = inbound.body.as_ref().map_or(0, |body| body.reveal().len());
        if body_bytes > self.settings.limits.body_bytes {
            return Err(Refusal::BodyTooLong);
        }
        if body_bytes == 0 && inbound.media.is_empty() {
            return Err(Refusal::BodyMissing);
        }
        let sid = self.insert_conversation(at, draft);
        if let Some(settings) = settings.filter(|set| set.kind == AutocreationKind::Webhook) {
            let fields = HookFields {
                url: settings.hook_url,
                method: settings.hook_method,
                filters: Some(settings.hook_filters),
                ..HookFields::default()
            };
            if fields.url.is_some() {
                self.create_hook(at, sid, HookTarget::Webhook, fields)?;
            }
        }
        let added = {
            let conversation = self.existing(sid)?;
            let mut fields = conversation_fields(conversation, true);
            fields.extend(binding_fields(inbound));
            about(conversation, EventKind::ConversationAdded, fields)
        };
        self.fire(&actor, added);
        for participant in participants_of(inbound) {
            let draft = self.draft_participant(at, sid, &participant)?;
            self.insert_participant(at, &actor, sid, draft)?;
        }
        let draft = self.draft_message(at, &actor, sid, Self::message_of(inbound))?;
        let message = self.insert_message(at, &actor, sid, draft)?;
        Ok((sid, message))
    }

    fn check_group(&self, inbound: &Inbound, service: ChatServiceSid) -> Result<(), Refusal> {
        if !inbound.is_group() {
            return Ok(());
        }
        let addresses = inbound.addresses();
        if addresses.len() > self.settings.limits.group_participants {
            return Err(Refusal::GroupTooLarge);
        }
        match self.open_group(service, &addresses) {
            Some(twin) => Err(Refusal::GroupExists(twin)),
            None => Ok(()),
        }
    }
}

/// The sender with our number as its proxy; in a group every address by itself, ours last (the order
/// is assumed).
fn participants_of(inbound: &Inbound) -> Vec<NewParticipant> {
    let (from, to) = (Some(inbound.from.clone()), Some(inbound.to.clone()));
    if !inbound.is_group() {
        return vec![NewParticipant { address: from, proxy: to, ..NewParticipant::default() }];
    }
    let members = std::iter::once(from).chain(inbound.others.iter().cloned().map(Some));
    members
        .map(|address| NewParticipant { address, ..NewParticipant::default() })
        .chain([NewParticipant { projected: to, ..NewParticipant::default() }])
        .collect()
}

/// The key of an opt-out: one for SMS, MMS and RCS of a phone. Source: channel notes 3, "Opt-outs", read
/// 2026-11-29.
fn consent(phone: &Pii, ours: &Pii) -> String {
    let phone = phone.reveal();
    pair(&Pii::new(phone.strip_prefix("rcs:").unwrap_or(phone)), ours)
}

fn autocreated(inbound: &Inbound, friendly_name: Option<String>) -> NewConversation {
    NewConversation {
        friendly_name: friendly_name.or_else(|| Some(inbound.from.reveal().to_owned())),
        state: inbound.is_group().then_some(State::Initializing),
        ..NewConversation::default()
    }
}

/// The pair; of a group all receivers, under one name, and the sender under its own.
fn binding_fields(inbound: &Inbound) -> Fields {
    if inbound.is_group() {
        return std::iter::once(&inbound.to)
            .chain(&inbound.others)
            .map(|receiver| ("MessagingBinding.Address", receiver.clone()))
            .chain([("MessagingBinding.AuthorAddress", inbound.from.clone())])
            .collect();
    }
    vec![
        ("MessagingBinding.Address", inbound.from.clone()),
        ("MessagingBinding.ProxyAddress", inbound.to.clone()),
    ]
}
