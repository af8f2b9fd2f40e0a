//! Chat services and their settings, and the account's own.
//!
//! Pure.

use super::World;
use super::account::AccountSetup;
use super::limits::Window;
use super::model::{HookSettings, Service};
use super::refusal::Refusal;
use crate::clock::Timestamp;
use crate::twilio::sid::{ChatServiceSid, RoleSid};

/// Changes of a service's settings; what is absent stays.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct ServiceConfiguration {
    pub creator_role: Option<RoleSid>,
    pub conversation_role: Option<RoleSid>,
    pub service_role: Option<RoleSid>,
    pub reachability: Option<bool>,
}

impl World {
    /// How the account is set up.
    #[must_use]
    pub const fn setup(&self) -> &AccountSetup {
        &self.setup
    }

    /// Sets the account up in another way.
    pub fn set_setup(&mut self, setup: AccountSetup) {
        self.setup = setup;
    }

    /// A service.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn find_service(&self, sid: ChatServiceSid) -> Result<&Service, Refusal> {
        self.services.get(&sid).ok_or(Refusal::NotFound)
    }

    /// The services, oldest first.
    #[must_use]
    pub fn services(&self) -> Vec<(u64, &Service)> {
        let mut services: Vec<_> =
            self.services.values().map(|service| (service.seq, service)).collect();
        services.sort_by_key(|(seq, _)| *seq);
        services
    }

    /// Makes a service.
    pub fn create_service(&mut self, at: Timestamp, friendly_name: &str) -> ChatServiceSid {
        let sid = self.ids.chat_service();
        self.add_service(at, sid, friendly_name);
        sid
    }

    /// Removes a service with all that is in it. The default one stays (assumed).
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn remove_service(&mut self, sid: ChatServiceSid) -> Result<(), Refusal> {
        if sid == self.default_service {
            return Err(Refusal::ParameterInvalid("Sid"));
        }
        self.services.remove(&sid).ok_or(Refusal::NotFound)?;
        let gone: Vec<_> = self.conversations(sid).map(|(seq, one)| (seq, one.sid)).collect();
        for (seq, conversation) in gone {
            self.conversations.remove(&seq);
            self.conversation_seqs.remove(&conversation);
            self.pairs.retain(|_, holder| *holder != conversation);
            self.unique_names.retain(|_, holder| *holder != conversation);
        }
        self.users.retain(|_, user| user.service != sid);
        let prefix = format!("{sid}/");
        self.identities.retain(|key, _| !key.starts_with(&prefix));
        self.seats.retain(|key, _| !key.starts_with(&prefix));
        Ok(())
    }

    /// Changes a service's settings.
    ///
    /// # Errors
    ///
    /// If there is no such service.
    pub fn configure_service(
        &mut self,
        at: Timestamp,
        sid: ChatServiceSid,
        change: ServiceConfiguration,
    ) -> Result<&Service, Refusal> {
        let service = self.services.get_mut(&sid).ok_or(Refusal::NotFound)?;
        service.creator_role = change.creator_role.unwrap_or(service.creator_role);
        service.conversation_role = change.conversation_role.unwrap_or(service.conversation_role);
        service.service_role = change.service_role.unwrap_or(service.service_role);
        service.reachability = change.reachability.unwrap_or(service.reachability);
        service.updated = at;
        Ok(service)
    }

    pub(super) fn add_service(&mut self, at: Timestamp, sid: ChatServiceSid, friendly_name: &str) {
        let service = Service {
            sid,
            seq: self.seq(),
            friendly_name: friendly_name.to_owned(),
            created: at,
            updated: at,
            hooks: HookSettings::default(),
            conversation_role: self.ids.role(),
            creator_role: self.ids.role(),
            service_role: self.ids.role(),
            reachability: true,
            writes: Window::default(),
        };
        self.services.insert(sid, service);
    }
}
