//! The emulated Twilio itself: everything it knows, and what every write does to it.
//!
//! Pure: no socket, clock or lock. The time is an argument, ids come from a seed, and every mutation
//! leaves [`Effect`]s behind, in order: Sync events for whoever is subscribed, webhooks to send,
//! messages on their way to phones, and records for whoever watches. The caller makes one mutation,
//! then takes the effects, then may make the next.

mod account;
mod addresses;
mod alarms;
pub mod command;
mod conversations;
mod deliveries;
pub mod event;
mod event_kind;
mod groups;
mod hooks;
pub mod ids;
mod inbound;
pub mod limits;
mod messages;
pub mod messaging;
pub mod model;
mod participants;
mod projection;
pub mod refusal;
mod roles;
mod services;
pub mod sync;
mod target;
#[cfg(test)]
mod tests;
mod users;
pub mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use self::command::{Actor, Command, Outcome};
use self::event::{EventKind, Fields, Occurrence};
use self::ids::Ids;
use self::limits::{Limits, Window};
use self::messaging::{Messaging, Ring};
use self::model::{Address, Conversation, HookSettings, Media, Message, Service, User};
use self::refusal::Refusal;
use self::sync::{Emitted, SyncStore};
use super::record::Happening;
use crate::clock::Timestamp;
use crate::pii::Pii;
use crate::twilio::sid::{
    AccountSid, ChatServiceSid, ConversationSid, MediaSid, MessageSid, MessagingServiceSid,
    ParticipantSid, RoleSid, UserSid,
};

pub use account::{AccountSetup, SetAlert};
pub use addresses::AddressFields;
pub use hooks::HookFields;
pub use inbound::{Inbound, Route};
pub use roles::{RoleType, ServiceRole};
pub use services::ServiceConfiguration;
pub use target::{Scope, ScopeRule, Target};

/// What a mutation wants done outside.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Tell the subscribers of a Sync object.
    Sync(Emitted),
    /// Tell the webhooks.
    Hook(Occurrence),
    /// Tell one webhook of something that happened before it was set.
    HookLate(Occurrence, Target),
    /// Tell a webhook of the messaging API.
    Ring(Ring),
    /// Take a message to a phone.
    Deliver {
        /// The conversation.
        conversation: ConversationSid,
        /// The message.
        message: MessageSid,
        /// Whose phone.
        participant: ParticipantSid,
    },
    /// Tell the other chat participants that somebody types.
    Typing {
        /// The conversation.
        conversation: ConversationSid,
        /// Who types.
        participant: ParticipantSid,
        /// Under which identity.
        identity: String,
        /// Who is to be told.
        listeners: Vec<String>,
    },
    /// Tell whoever watches.
    Happened(Happening),
}

/// How the emulator differs from account to account.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Settings {
    /// The account.
    pub account: AccountSid,
    /// The limits.
    pub limits: Limits,
    /// Which of the two wide scopes fires when both are set.
    pub scope_rule: ScopeRule,
    /// Whether every number belongs to the default messaging service, which makes conversations of
    /// incoming messages, as the console can set it.
    pub autocreate_all: bool,
}

/// Everything that one account's Twilio knows.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct World {
    settings: Settings,
    default_service: ChatServiceSid,
    default_messaging_service: MessagingServiceSid,
    ids: Ids,
    next_seq: u64,
    services: BTreeMap<ChatServiceSid, Service>,
    conversations: BTreeMap<u64, Conversation>,
    conversation_seqs: HashMap<ConversationSid, u64>,
    unique_names: HashMap<String, ConversationSid>,
    /// Open conversations by the pair of address and proxy address that they hold.
    pairs: HashMap<String, ConversationSid>,
    users: BTreeMap<UserSid, User>,
    identities: HashMap<String, UserSid>,
    /// Conversations by service and identity.
    seats: HashMap<String, BTreeMap<ConversationSid, ParticipantSid>>,
    addresses: BTreeMap<u64, Address>,
    account_hooks: HookSettings,
    /// How the account itself is set up.
    #[serde(default)]
    setup: AccountSetup,
    media: BTreeMap<MediaSid, Media>,
    media_order: VecDeque<MediaSid>,
    /// Phones that wrote STOP, with the number they wrote it to.
    opted_out: BTreeMap<String, Timestamp>,
    /// When a WhatsApp user last wrote to a number of ours.
    last_heard: BTreeMap<String, Timestamp>,
    /// When conversations are to be looked at, see [`alarms`].
    #[serde(default)]
    alarms: BTreeSet<(Timestamp, ConversationSid)>,
    /// What roles allow that somebody has changed.
    #[serde(default)]
    role_permissions: BTreeMap<RoleSid, Vec<String>>,
    /// Texts without a conversation.
    #[serde(default)]
    messaging: Messaging,
    sync: SyncStore,
    #[serde(skip)]
    effects: VecDeque<Effect>,
}

impl World {
    /// Starts with one chat service and nothing in it.
    #[must_use]
    pub fn new(settings: Settings, ids: Ids, at: Timestamp) -> Self {
        let mut ids = ids;
        let services = (ids.chat_service(), ids.messaging_service());
        Self::with_services(settings, ids, at, services)
    }

    /// Forgets everything but the services' names, the settings and the webhook settings.
    pub fn reset(&mut self, at: Timestamp) {
        let services = (self.default_service, self.default_messaging_service);
        let hooks = self.services.get(&self.default_service).map(|service| service.hooks.clone());
        let account_hooks = std::mem::take(&mut self.account_hooks);
        let messaging = std::mem::take(&mut self.messaging).settings();
        let setup = std::mem::take(&mut self.setup);
        *self = Self::with_services(self.settings.clone(), self.ids.clone(), at, services);
        self.account_hooks = account_hooks;
        self.messaging = messaging;
        self.setup = setup;
        if let Some(service) = self.services.get_mut(&self.default_service) {
            service.hooks = hooks.unwrap_or_default();
        }
    }

    fn with_services(
        settings: Settings,
        ids: Ids,
        at: Timestamp,
        (default_service, default_messaging_service): (ChatServiceSid, MessagingServiceSid),
    ) -> Self {
        let sync = SyncStore::new(settings.account, settings.limits.sync_events);
        let mut world = Self {
            settings,
            default_service,
            default_messaging_service,
            ids,
            next_seq: 1,
            services: BTreeMap::new(),
            conversations: BTreeMap::new(),
            conversation_seqs: HashMap::new(),
            unique_names: HashMap::new(),
            pairs: HashMap::new(),
            users: BTreeMap::new(),
            identities: HashMap::new(),
            seats: HashMap::new(),
            addresses: BTreeMap::new(),
            account_hooks: HookSettings::default(),
            setup: AccountSetup::default(),
            media: BTreeMap::new(),
            media_order: VecDeque::new(),
            opted_out: BTreeMap::new(),
            last_heard: BTreeMap::new(),
            alarms: BTreeSet::new(),
            role_permissions: BTreeMap::new(),
            messaging: Messaging::default(),
            sync,
            effects: VecDeque::new(),
        };
        world.add_service(at, default_service, "Default Conversations Service");
        world
    }

    /// The account.
    #[must_use]
    pub const fn account(&self) -> AccountSid {
        self.settings.account
    }

    /// The account's default chat service.
    #[must_use]
    pub const fn default_service(&self) -> ChatServiceSid {
        self.default_service
    }

    /// The account's default messaging service.
    #[must_use]
    pub const fn default_messaging_service(&self) -> MessagingServiceSid {
        self.default_messaging_service
    }

    /// The limits, to be read or adjusted.
    pub const fn limits_mut(&mut self) -> &mut Limits {
        &mut self.settings.limits
    }

    /// The source of new ids.
    pub const fn ids_mut(&mut self) -> &mut Ids {
        &mut self.ids
    }

    /// The Sync objects.
    #[must_use]
    pub const fn sync(&self) -> &SyncStore {
        &self.sync
    }

    /// Gives the next effect of the mutations since the last call.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Makes a write.
    ///
    /// # Errors
    ///
    /// The reason if it is refused; nothing has changed then.
    pub fn apply(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        command: Command,
    ) -> Result<Outcome, Refusal> {
        match command {
            Command::CreateConversation { service, new } => {
                self.create_conversation(at, actor, service, new).map(Outcome::Conversation)
            }
            Command::UpdateConversation { conversation, change } => {
                self.update_conversation(at, actor, conversation, change)
            }
            Command::RemoveConversation { conversation } => {
                self.remove_conversation(at, actor, conversation)
            }
            Command::AddParticipant { conversation, new, mutation } => {
                self.add_participant(at, actor, conversation, (new, mutation))
            }
            Command::UpdateParticipant { conversation, participant, change } => {
                self.update_participant(at, actor, conversation, (participant, change))
            }
            Command::RemoveParticipant { conversation, participant } => {
                self.remove_participant(at, actor, conversation, participant)
            }
            Command::CreateMessage { conversation, new, mutation } => {
                self.create_message(at, actor, conversation, (new, mutation))
            }
            Command::UpdateMessage { conversation, message, change } => {
                self.update_message(at, actor, conversation, (message, change))
            }
            Command::RemoveMessage { conversation, message } => {
                self.remove_message(at, actor, conversation, message)
            }
            Command::CreateUser { service, identity, fields } => {
                self.create_user(at, actor, service, (identity, fields)).map(Outcome::User)
            }
            Command::UpdateUser { user, fields } => self.update_user(at, actor, user, fields),
            Command::RemoveUser { user } => self.remove_user(at, user),
        }
    }

    /// Says which pre-action event a write must wait for, if webhooks fire for its actor at all.
    ///
    /// # Errors
    ///
    /// The reason if the write would be refused as it stands.
    pub fn ask(
        &self,
        at: Timestamp,
        actor: &Actor,
        command: &Command,
    ) -> Result<Option<Occurrence>, Refusal> {
        if !actor.fires() || self.is_repeat(command) {
            return Ok(None);
        }
        let asked = match command {
            Command::CreateConversation { service, new } => {
                self.ask_create_conversation(at, actor, *service, new)?
            }
            Command::UpdateConversation { conversation, .. } => {
                self.ask_conversation(EventKind::ConversationUpdate, *conversation)?
            }
            Command::RemoveConversation { conversation } => {
                self.ask_conversation(EventKind::ConversationRemove, *conversation)?
            }
            Command::AddParticipant { conversation, new, .. } => {
                self.ask_add_participant(at, *conversation, new)?
            }
            Command::UpdateParticipant { conversation, participant, .. } => {
                self.ask_participant(EventKind::ParticipantUpdate, *conversation, *participant)?
            }
            Command::RemoveParticipant { conversation, participant } => {
                self.ask_participant(EventKind::ParticipantRemove, *conversation, *participant)?
            }
            Command::CreateMessage { conversation, new, .. } => {
                self.ask_create_message(at, actor, *conversation, new)?
            }
            Command::UpdateMessage { conversation, message, .. } => {
                self.ask_message(EventKind::MessageUpdate, *conversation, *message)?
            }
            Command::RemoveMessage { conversation, message } => {
                self.ask_message(EventKind::MessageRemove, *conversation, *message)?
            }
            Command::UpdateUser { user, .. } => self.ask_user(*user)?,
            Command::CreateUser { .. } | Command::RemoveUser { .. } => return Ok(None),
        };
        Ok(Some(stamp(asked, actor)))
    }

    /// Whether a write carries a mutation id that has done its work already.
    fn is_repeat(&self, command: &Command) -> bool {
        let (Command::AddParticipant { conversation, mutation: Some(mutation), .. }
        | Command::CreateMessage { conversation, mutation: Some(mutation), .. }) = command
        else {
            return false;
        };
        self.conversation(*conversation).is_some_and(|of| of.mutations.contains_key(mutation))
    }

    /// A conversation of any service.
    #[must_use]
    pub fn conversation(&self, sid: ConversationSid) -> Option<&Conversation> {
        self.conversations.get(self.conversation_seqs.get(&sid)?)
    }

    /// A conversation of one service by sid or unique name.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn find_conversation(
        &self,
        service: ChatServiceSid,
        sid_or_name: &str,
    ) -> Result<&Conversation, Refusal> {
        let sid = match sid_or_name.parse::<ConversationSid>() {
            Ok(sid) => sid,
            Err(_) => *self
                .unique_names
                .get(&in_service(service, sid_or_name))
                .ok_or(Refusal::NotFound)?,
        };
        self.conversation(sid)
            .filter(|conversation| conversation.service == service)
            .ok_or(Refusal::NotFound)
    }

    /// The conversations of one service, oldest first, with their place in the order.
    pub fn conversations(
        &self,
        service: ChatServiceSid,
    ) -> impl Iterator<Item = (u64, &Conversation)> {
        self.conversations
            .iter()
            .filter(move |(_, conversation)| conversation.service == service)
            .map(|(seq, conversation)| (*seq, conversation))
    }

    /// Every conversation of the account, oldest first.
    pub fn all_conversations(&self) -> impl Iterator<Item = &Conversation> {
        self.conversations.values()
    }

    /// A message.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn find_message(
        &self,
        conversation: ConversationSid,
        message: MessageSid,
    ) -> Result<(&Conversation, &Message), Refusal> {
        let conversation = self.conversation(conversation).ok_or(Refusal::NotFound)?;
        let message = conversation.message(message).ok_or(Refusal::NotFound)?;
        Ok((conversation, message))
    }

    /// Keeps a media file's description; gives the sid of the one forgotten for it.
    pub fn add_media(&mut self, media: Media) -> Option<MediaSid> {
        self.media_order.push_back(media.sid);
        self.media.insert(media.sid, media);
        if self.media_order.len() <= self.settings.limits.media_files {
            return None;
        }
        let oldest = self.media_order.pop_front()?;
        self.media.remove(&oldest);
        Some(oldest)
    }

    /// A media file's description.
    #[must_use]
    pub fn media(&self, sid: MediaSid) -> Option<&Media> {
        self.media.get(&sid)
    }

    fn conversation_mut(&mut self, sid: ConversationSid) -> Result<&mut Conversation, Refusal> {
        self.conversation_seqs
            .get(&sid)
            .and_then(|seq| self.conversations.get_mut(seq))
            .ok_or(Refusal::NotFound)
    }

    fn existing(&self, sid: ConversationSid) -> Result<&Conversation, Refusal> {
        self.conversation(sid).ok_or(Refusal::NotFound)
    }

    fn seq(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq = seq.saturating_add(1);
        seq
    }

    fn emit(&mut self, emitted: Option<Emitted>) {
        self.effects.extend(emitted.map(Effect::Sync));
    }

    fn happened(&mut self, what: Happening) {
        self.effects.push_back(Effect::Happened(what));
    }

    fn fire(&mut self, actor: &Actor, occurrence: Occurrence) {
        if actor.fires() {
            self.effects.push_back(Effect::Hook(stamp(occurrence, actor)));
        }
    }

    /// Takes one write of a conversation's budget. Phones are not limited that way (assumed).
    fn spend(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        conversation: ConversationSid,
    ) -> Result<(), Refusal> {
        let limit = self.settings.limits.conversation_writes;
        match actor {
            Actor::Channel(_) => Ok(()),
            Actor::Api { .. } | Actor::Sdk { .. } => {
                let window: &mut Window = &mut self.conversation_mut(conversation)?.writes;
                window.take(at, limit).then_some(()).ok_or(Refusal::ConversationRate)
            }
        }
    }

    /// Takes one write of a service's budget.
    fn spend_service(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        service: ChatServiceSid,
    ) -> Result<(), Refusal> {
        let limit = self.settings.limits.service_writes;
        match actor {
            Actor::Channel(_) => Ok(()),
            Actor::Api { .. } | Actor::Sdk { .. } => {
                let service = self.services.get_mut(&service).ok_or(Refusal::NotFound)?;
                service.writes.take(at, limit).then_some(()).ok_or(Refusal::ServiceRate)
            }
        }
    }

    fn checked_attributes(
        &self,
        attributes: Option<&String>,
        bytes_max: usize,
    ) -> Result<String, Refusal> {
        let Some(attributes) = attributes else { return Ok("{}".to_owned()) };
        if attributes.len() > bytes_max {
            return Err(Refusal::AttributesTooLong);
        }
        // Nothing and blank text reset the attributes (assumed).
        if attributes.trim().is_empty() {
            return Ok("{}".to_owned());
        }
        serde_json::from_str::<serde::de::IgnoredAny>(attributes)
            .map(|_| attributes.clone())
            .map_err(|_| Refusal::AttributesInvalid)
    }
}

/// An occurrence about a conversation, not yet stamped with who caused it.
fn about(conversation: &Conversation, kind: EventKind, fields: Fields) -> Occurrence {
    Occurrence {
        kind,
        service: conversation.service,
        conversation: Some(conversation.sid),
        index: None,
        source: "API",
        client_identity: None,
        fields,
    }
}

fn stamp(mut occurrence: Occurrence, actor: &Actor) -> Occurrence {
    occurrence.source = actor.source();
    occurrence.client_identity = actor.client_identity();
    occurrence
}

/// The key of things that are unique in a service.
fn in_service(service: ChatServiceSid, name: &str) -> String {
    format!("{service}/{name}")
}

/// The key of a pair of address and proxy address.
fn pair(address: &Pii, proxy: &Pii) -> String {
    format!("{} {}", address.reveal(), proxy.reveal())
}
