//! How the account itself is set up, as far as somebody may look at it: a right one unless told otherwise. Pure.

use serde::{Deserialize, Serialize};

use crate::pii::Pii;
use crate::twilio::sid::ChatServiceSid;

/// The account's state, key, alerts and the like; each can be set wrong.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountSetup {
    /// `active`, `suspended` or `closed`.
    pub status: String,
    /// `Full` or `Trial`.
    pub kind: String,
    /// What is left of the money, in US dollars.
    pub balance: String,
    /// What the API key may do, if it is a restricted one; a standard one has nothing here.
    pub key_policy: Vec<String>,
    /// The chat service of conversations that name none, if that is to look like another one.
    pub default_chat_service: Option<ChatServiceSid>,
    /// After which silence conversations are said to be closed: `PT10M`.
    pub closed_timer: Option<String>,
    /// What Twilio complains of.
    pub alerts: Vec<SetAlert>,
    /// How far every template is approved.
    pub template_status: String,
    /// How every WhatsApp sender is.
    pub sender_status: String,
    /// How WhatsApp rates it.
    pub sender_quality: String,
    /// Whether numbers take SMS.
    pub sms: bool,
}

/// Something that Twilio complains of.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SetAlert {
    /// The code.
    pub code: u32,
    /// What was called.
    pub url: Pii,
}

impl Default for AccountSetup {
    fn default() -> Self {
        Self {
            status: "active".to_owned(),
            kind: "Full".to_owned(),
            balance: "25.00".to_owned(),
            key_policy: Vec::new(),
            default_chat_service: None,
            closed_timer: None,
            alerts: Vec::new(),
            template_status: "approved".to_owned(),
            sender_status: "ONLINE".to_owned(),
            sender_quality: "HIGH".to_owned(),
            sms: true,
        }
    }
}
