//! What Twilio answers about how an account is set up, as far as it is judged. Pure.
//!
//! Words of Twilio's stay text, since new ones come; what is missing costs nothing but itself. URLs are
//! personal data, because a user's name and a password may be in them.

use serde::{Deserialize, Deserializer};

use super::model::{Entry, read_by_members};
use crate::json::{Members, Unreadable};
use crate::pii::Pii;
use crate::twilio::sid::{ChatServiceSid, MessagingServiceSid, RoleSid, WebhookSid};

/// The account itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AccountState {
    /// `active`, `suspended` or `closed`.
    pub status: Option<String>,
    /// `Trial` or `Full`.
    pub kind: Option<String>,
}

/// What the account has left.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Balance {
    /// The amount as Twilio writes it.
    pub balance: Option<String>,
    /// In which currency.
    pub currency: Option<String>,
}

/// An API key.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KeyDetails {
    /// What a restricted key may do; empty for a key that is not restricted.
    pub allowed: Vec<String>,
    /// Whether it has a policy at all, which makes it a restricted one.
    pub is_restricted: bool,
}

/// What the account does where nobody says otherwise.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AccountDefaults {
    /// The chat service of conversations that name none.
    pub chat_service_sid: Option<ChatServiceSid>,
    /// The messaging service of conversations that name none.
    pub messaging_service_sid: Option<MessagingServiceSid>,
    /// After which silence a conversation becomes inactive, as ISO 8601 has it: `PT1H`.
    pub inactive_timer: Option<String>,
    /// After which silence a conversation is closed.
    pub closed_timer: Option<String>,
}

/// A chat service's settings.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServiceSettings {
    /// The role of whoever makes a conversation.
    pub creator_role: Option<RoleSid>,
    /// The role of whoever is added to one, the bot among them.
    pub conversation_role: Option<RoleSid>,
    /// The role of users in the whole service.
    pub service_role: Option<RoleSid>,
    /// Whether people can be seen to be online.
    pub is_reachability_on: Option<bool>,
}

/// A role.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RoleRights {
    /// Its name.
    pub name: Option<String>,
    /// What it may do, in Twilio's words.
    pub permissions: Vec<String>,
}

/// A webhook of one conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConversationWebhook {
    /// Its sid.
    pub sid: WebhookSid,
    /// `webhook`, `studio` or `trigger`.
    pub target: Option<String>,
    /// Where it goes.
    pub url: Option<Pii>,
}

/// A messaging service's settings.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MessagingServiceSettings {
    /// Where inbound messages of its numbers go.
    pub inbound_url: Option<Pii>,
    /// Whether they go to each number's own webhook instead.
    pub uses_number_webhook: bool,
}

/// A number of the account.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PhoneNumber {
    /// Its sid, `PN…`.
    pub sid: Option<String>,
    /// The number.
    pub number: Option<Pii>,
    /// Whether it can send and get SMS.
    pub has_sms: Option<bool>,
    /// Where its inbound messages go.
    pub sms_url: Option<Pii>,
    /// The application that has the say instead, `AP…`.
    pub application_sid: Option<String>,
}

/// A WhatsApp sender.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WhatsappSender {
    /// Its sid, `XE…`.
    pub sid: Option<String>,
    /// The address: `whatsapp:+…`.
    pub address: Option<Pii>,
    /// `ONLINE`, `OFFLINE` and the steps between.
    pub status: Option<String>,
    /// Why it is off, each reason's message.
    pub offline_reasons: Vec<String>,
    /// `HIGH`, `MEDIUM` or `LOW`, where WhatsApp has a rating.
    pub quality: Option<String>,
    /// Where its inbound messages go.
    pub inbound_url: Option<Pii>,
}

/// How far WhatsApp has approved a template.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Approval {
    /// `unsubmitted`, `pending`, `approved`, `rejected`, `paused`, `disabled`.
    pub status: Option<String>,
}

/// Something that Twilio complains of.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Alert {
    /// The code, such as 11200.
    pub code: Option<u64>,
    /// What Twilio called.
    pub url: Option<Pii>,
}

impl Entry for AccountState {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        Ok(Self { status: of.get("status"), kind: of.get("type") })
    }
}

impl Entry for Balance {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        Ok(Self { balance: of.get("balance"), currency: of.get("currency") })
    }
}

impl Entry for KeyDetails {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        let is_restricted = of.raw("policy").is_some_and(|policy| policy.get() != "{}");
        Ok(Self { allowed: of.object("policy").list("allow"), is_restricted })
    }
}

impl Entry for AccountDefaults {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            chat_service_sid: of.get("default_chat_service_sid"),
            messaging_service_sid: of.get("default_messaging_service_sid"),
            inactive_timer: of.get("default_inactive_timer"),
            closed_timer: of.get("default_closed_timer"),
        })
    }
}

impl Entry for ServiceSettings {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            creator_role: of.get("default_conversation_creator_role_sid"),
            conversation_role: of.get("default_conversation_role_sid"),
            service_role: of.get("default_chat_service_role_sid"),
            is_reachability_on: of.get("reachability_enabled"),
        })
    }
}

impl Entry for RoleRights {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        Ok(Self { name: of.get("friendly_name"), permissions: of.list("permissions") })
    }
}

impl Entry for ConversationWebhook {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        let url = of.object("configuration").get("url");
        Ok(Self { sid: of.need("sid")?, target: of.get("target"), url })
    }
}

impl Entry for MessagingServiceSettings {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            inbound_url: filled(of, "inbound_request_url"),
            uses_number_webhook: of.get("use_inbound_webhook_on_number").unwrap_or_default(),
        })
    }
}

impl Entry for PhoneNumber {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        let application: Option<String> = of.get("sms_application_sid");
        Ok(Self {
            sid: of.get("sid"),
            number: of.get("phone_number"),
            has_sms: of.object("capabilities").get("sms"),
            sms_url: filled(of, "sms_url"),
            application_sid: application.filter(|sid| !sid.is_empty()),
        })
    }
}

impl Entry for WhatsappSender {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        let reasons = of.list::<Reason>("offline_reasons");
        Ok(Self {
            sid: of.get("sid"),
            address: of.get("sender_id"),
            status: of.get("status"),
            offline_reasons: reasons.into_iter().filter_map(|reason| reason.0).collect(),
            quality: of.object("properties").get("quality_rating"),
            inbound_url: filled(&of.object("webhook"), "callback_url"),
        })
    }
}

/// Why a sender is off.
struct Reason(Option<String>);

impl Entry for Reason {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        Ok(Self(of.get("message")))
    }
}

impl Entry for Approval {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        Ok(Self { status: of.object("whatsapp").get("status") })
    }
}

impl Entry for Alert {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        Ok(Self { code: of.number("error_code"), url: filled(of, "request_url") })
    }
}

/// A text that says something.
fn filled(of: &Members<'_>, name: &str) -> Option<Pii> {
    of.get::<Pii>(name).filter(|text| !text.is_empty())
}

read_by_members! {
    AccountDefaults AccountState Alert Approval Balance ConversationWebhook KeyDetails
    MessagingServiceSettings PhoneNumber Reason RoleRights ServiceSettings WhatsappSender
}
