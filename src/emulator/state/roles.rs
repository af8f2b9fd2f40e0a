//! Roles of a chat service: what its users may do. They are kept and shown; the emulator holds nobody to them.
//!
//! Pure. Each service has the three that it is made with. Source: Conversations, Roles and permissions; the names
//! of what a new role allows are assumed.

use super::World;
use super::model::Service;
use super::refusal::Refusal;
use crate::twilio::sid::{ChatServiceSid, RoleSid};

/// What a role is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RoleType {
    /// Inside one conversation.
    Conversation,
    /// In the whole service.
    Service,
}

impl RoleType {
    /// Its name in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::Service => "service",
        }
    }
}

/// A role.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct ServiceRole {
    pub sid: RoleSid,
    pub service: ChatServiceSid,
    pub friendly_name: &'static str,
    pub kind: RoleType,
    pub permissions: Vec<String>,
}

/// What a new service's users may do in conversations.
const IN_CONVERSATION: [&str; 6] = [
    "sendMessage",
    "sendMediaMessage",
    "leaveConversation",
    "editOwnMessage",
    "editOwnMessageAttributes",
    "deleteOwnMessage",
];

/// What whoever makes a conversation may do there besides.
const OF_CREATOR: [&str; 3] = ["addParticipant", "removeParticipant", "editConversationName"];

/// What a new service's users may do in the service.
const IN_SERVICE: [&str; 3] = ["createConversation", "joinConversation", "editOwnUserInfo"];

impl World {
    /// The roles of a service.
    ///
    /// # Errors
    ///
    /// If there is no such service.
    pub fn roles(&self, service: ChatServiceSid) -> Result<Vec<ServiceRole>, Refusal> {
        let found = self.find_service(service)?;
        let conversation = IN_CONVERSATION.to_vec();
        let creator = [&IN_CONVERSATION[..], &OF_CREATOR[..]].concat();
        let roles = [
            (found.conversation_role, "channel user", RoleType::Conversation, conversation),
            (found.creator_role, "channel admin", RoleType::Conversation, creator),
            (found.service_role, "service user", RoleType::Service, IN_SERVICE.to_vec()),
        ];
        Ok(roles.into_iter().map(|role| self.role(found, role)).collect())
    }

    fn role(
        &self,
        service: &Service,
        (sid, friendly_name, kind, allowed): (RoleSid, &'static str, RoleType, Vec<&str>),
    ) -> ServiceRole {
        let changed = self.role_permissions.get(&sid).cloned();
        let permissions =
            changed.unwrap_or_else(|| allowed.into_iter().map(str::to_owned).collect());
        ServiceRole { sid, service: service.sid, friendly_name, kind, permissions }
    }

    /// A role of a service.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn find_role(&self, service: ChatServiceSid, sid: RoleSid) -> Result<ServiceRole, Refusal> {
        let roles = self.roles(service)?;
        roles.into_iter().find(|role| role.sid == sid).ok_or(Refusal::NotFound)
    }

    /// Says anew what a role allows, all of it.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn set_permissions(
        &mut self,
        (service, sid): (ChatServiceSid, RoleSid),
        permissions: Vec<String>,
    ) -> Result<ServiceRole, Refusal> {
        self.find_role(service, sid)?;
        self.role_permissions.insert(sid, permissions);
        self.find_role(service, sid)
    }
}
