//! By which road the demo's messages go. Pure.

use crate::webhook;

/// By which road the demo's messages go.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum DemoChannel {
    /// An SMS of which Twilio makes a conversation.
    Conversation,
    /// An SMS by the number's own webhook.
    Sms,
    /// A WhatsApp message by the sender's own webhook.
    Whatsapp,
}

impl DemoChannel {
    /// The address of ours that is written to.
    pub const fn ours(self) -> &'static str {
        match self {
            Self::Conversation | Self::Sms => "+15555550100",
            Self::Whatsapp => "whatsapp:+15555550100",
        }
    }

    /// Where Twilio tells of what comes in.
    pub const fn route(self) -> &'static str {
        match self {
            Self::Conversation => webhook::ROUTE,
            Self::Sms => "/webhooks/twilio/sms",
            Self::Whatsapp => "/webhooks/twilio/whatsapp",
        }
    }

    /// Somebody's address, by the digits after +1555.
    pub fn theirs(self, digits: u32) -> String {
        match self {
            Self::Conversation | Self::Sms => format!("+1555{digits:07}"),
            Self::Whatsapp => format!("whatsapp:+1555{digits:07}"),
        }
    }
}
