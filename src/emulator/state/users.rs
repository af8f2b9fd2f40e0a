//! The users of a chat service: made by hand, by being added to a conversation, or by connecting.
//!
//! Pure.

use super::command::{Actor, Outcome, UserFields};
use super::event::{EventKind, Occurrence, user_fields};
use super::model::User;
use super::refusal::Refusal;
use super::sync::{Kind, ObjectName};
use super::{World, in_service, projection};
use crate::clock::Timestamp;
use crate::twilio::sid::{ChatServiceSid, ConversationSid, UserSid};

impl World {
    /// A user of one service by sid or identity.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn find_user(
        &self,
        service: ChatServiceSid,
        sid_or_identity: &str,
    ) -> Result<&User, Refusal> {
        match sid_or_identity.parse::<UserSid>() {
            Ok(sid) => self.users.get(&sid).filter(|user| user.service == service),
            Err(_) => self.user_by_identity(service, sid_or_identity),
        }
        .ok_or(Refusal::NotFound)
    }

    /// A user by identity.
    #[must_use]
    pub fn user_by_identity(&self, service: ChatServiceSid, identity: &str) -> Option<&User> {
        self.users.get(self.identities.get(&in_service(service, identity))?)
    }

    /// A user by sid.
    #[must_use]
    pub fn user(&self, sid: UserSid) -> Option<&User> {
        self.users.get(&sid)
    }

    /// The users of one service.
    pub fn users(&self, service: ChatServiceSid) -> Vec<(u64, &User)> {
        let mut users: Vec<_> = self
            .users
            .values()
            .filter(|user| user.service == service)
            .map(|user| (user.seq, user))
            .collect();
        users.sort_by_key(|(seq, _)| *seq);
        users
    }

    /// Notes that a client of this identity has connected or gone, making the user if need be.
    pub fn set_online(
        &mut self,
        at: Timestamp,
        service: ChatServiceSid,
        identity: &str,
        online: bool,
    ) -> UserSid {
        let actor = Actor::Sdk { identity: identity.to_owned() };
        let sid = self.ensure_user(at, &actor, service, identity);
        if let Some(user) = self.users.get_mut(&sid).filter(|user| user.online != online) {
            user.online = online;
            self.project_user(at, sid);
        }
        sid
    }

    /// Notes that nobody is connected, as after a restart.
    pub fn all_offline(&mut self, at: Timestamp) {
        let online: Vec<UserSid> =
            self.users.values().filter(|user| user.online).map(|user| user.sid).collect();
        for sid in online {
            if let Some(user) = self.users.get_mut(&sid) {
                user.online = false;
            }
            self.project_user(at, sid);
        }
    }

    pub(super) fn create_user(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        service: ChatServiceSid,
        (identity, fields): (String, UserFields),
    ) -> Result<UserSid, Refusal> {
        if !self.services.contains_key(&service) {
            return Err(Refusal::NotFound);
        }
        self.check_identity(&identity)?;
        if self.user_by_identity(service, &identity).is_some() {
            return Err(Refusal::UserExists);
        }
        self.check_user_fields(&fields)?;
        self.spend_service(at, actor, service)?;
        Ok(self.insert_user(at, actor, service, (&identity, fields)))
    }

    pub(super) fn update_user(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        sid: UserSid,
        fields: UserFields,
    ) -> Result<Outcome, Refusal> {
        let service = self.users.get(&sid).ok_or(Refusal::NotFound)?.service;
        self.check_user_fields(&fields)?;
        self.spend_service(at, actor, service)?;
        let user = self.users.get_mut(&sid).ok_or(Refusal::NotFound)?;
        user.friendly_name = fields.friendly_name.or(user.friendly_name.take());
        user.attributes = fields.attributes.unwrap_or(std::mem::take(&mut user.attributes));
        user.role = fields.role.unwrap_or(user.role);
        user.updated = at;
        self.project_user(at, sid);
        let updated = self.about_user(EventKind::UserUpdated, sid)?;
        self.fire(actor, updated);
        Ok(Outcome::User(sid))
    }

    pub(super) fn remove_user(&mut self, at: Timestamp, sid: UserSid) -> Result<Outcome, Refusal> {
        let user = self.users.get(&sid).ok_or(Refusal::NotFound)?.clone();
        let key = in_service(user.service, &user.identity);
        let seats: Vec<_> = self.seats(user.service, &user.identity).collect();
        let actor = Actor::Api { hooks: false };
        for (conversation, participant) in seats {
            self.leave(at, &actor, conversation, participant)?;
        }
        self.users.remove(&sid);
        self.identities.remove(&key);
        self.seats.remove(&key);
        for object in [&user.channels, &user.info] {
            let emitted = self.sync.remove(object);
            self.emit(emitted);
        }
        Ok(Outcome::Removed)
    }

    pub(super) fn ask_user(&self, sid: UserSid) -> Result<Occurrence, Refusal> {
        self.about_user(EventKind::UserUpdate, sid)
    }

    pub(super) fn ensure_user(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        service: ChatServiceSid,
        identity: &str,
    ) -> UserSid {
        match self.user_by_identity(service, identity) {
            Some(user) => user.sid,
            None => self.insert_user(at, actor, service, (identity, UserFields::default())),
        }
    }

    fn leave(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        conversation: ConversationSid,
        participant: crate::twilio::sid::ParticipantSid,
    ) -> Result<(), Refusal> {
        match self.remove_participant(at, actor, conversation, participant) {
            Ok(_) | Err(Refusal::NotFound) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    fn insert_user(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        service: ChatServiceSid,
        (identity, fields): (&str, UserFields),
    ) -> UserSid {
        let sid = self.ids.user();
        let place = |name: String| ObjectName { service, name };
        let channels = place(format!("{identity}.channels"));
        let channels = self.sync.create_collection(&mut self.ids, at, Kind::Map, channels);
        let info = place(format!("{sid}.info"));
        let info = self.sync.create_collection(&mut self.ids, at, Kind::Map, info);
        let role = fields
            .role
            .or_else(|| self.services.get(&service).map(|service| service.service_role))
            .unwrap_or_else(|| self.ids.role());
        let user = User {
            sid,
            seq: self.seq(),
            service,
            identity: identity.to_owned(),
            friendly_name: fields.friendly_name,
            attributes: fields.attributes.unwrap_or_else(|| "{}".to_owned()),
            role,
            online: false,
            created: at,
            updated: at,
            channels,
            info,
        };
        self.users.insert(sid, user);
        self.identities.insert(in_service(service, identity), sid);
        self.project_user(at, sid);
        if let Ok(added) = self.about_user(EventKind::UserAdded, sid) {
            self.fire(actor, added);
        }
        sid
    }

    fn about_user(&self, kind: EventKind, sid: UserSid) -> Result<Occurrence, Refusal> {
        let user = self.users.get(&sid).ok_or(Refusal::NotFound)?;
        Ok(Occurrence {
            kind,
            service: user.service,
            conversation: None,
            index: None,
            source: "API",
            client_identity: None,
            fields: user_fields(user, kind != EventKind::UserAdded),
        })
    }

    fn project_user(&mut self, at: Timestamp, sid: UserSid) {
        let Some(user) = self.users.get(&sid) else { return };
        let (info, items) = (user.info.clone(), projection::user_items(user));
        for (key, data) in items {
            if self.sync.map_item(&info, key) != Some(&data) {
                let emitted = self.sync.set_item(&info, at, key, data);
                self.emit(emitted);
            }
        }
    }

    fn check_user_fields(&self, fields: &UserFields) -> Result<(), Refusal> {
        let limits = &self.settings.limits;
        let name = fields.friendly_name.as_ref();
        if name.is_some_and(|name| name.chars().count() > limits.name_chars) {
            return Err(Refusal::ParameterInvalid("FriendlyName"));
        }
        let bytes_max = limits.conversation_attributes_bytes;
        self.checked_attributes(fields.attributes.as_ref(), bytes_max).map(|_| ())
    }
}
