//! A text as the messaging API keeps it, and what one is made of. Pure; nothing here decides.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::emulator::state::words::words;
use crate::pii::Pii;
use crate::twilio::messaging::MessageStatus;
use crate::twilio::sid::{MediaSid, MessagingServiceSid, TextSid};

words! {
    /// Which way a text goes.
    Direction {
        /// From a phone to us.
        Inbound = "inbound",
        /// From us, by the API.
        OutboundApi = "outbound-api",
        /// From us, as the answer of an inbound webhook.
        OutboundReply = "outbound-reply",
    }
}

/// A text with all that is known of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Text {
    /// `SM…`, or `MM…` with files.
    pub sid: TextSid,
    /// Its place in the order of all texts.
    pub seq: u64,
    /// Which way it goes.
    pub direction: Direction,
    /// The sender; missing until a messaging service has chosen one.
    pub from: Option<Pii>,
    /// The recipient.
    pub to: Pii,
    /// What it says.
    pub body: Pii,
    /// Its parts on the air.
    pub segments: u32,
    /// Its files.
    pub media: Vec<File>,
    /// The template that it was made of.
    pub content: Option<Content>,
    /// The messaging service that it went by.
    pub service: Option<MessagingServiceSid>,
    /// How far it is.
    pub status: MessageStatus,
    /// Why it is no farther.
    pub error_code: Option<u32>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was changed.
    pub updated: Timestamp,
    /// When it left, or came in.
    pub sent: Option<Timestamp>,
    /// Where its statuses are told.
    pub callback: Option<String>,
    /// What else the API was told to attach, such as `geo:…`.
    pub actions: Vec<Pii>,
    /// When it is too late to leave.
    pub(super) expires: Option<Timestamp>,
    /// When something happens to it by itself.
    #[serde(default)]
    pub(super) due: Option<Timestamp>,
    /// What becomes of it.
    pub(super) fate: TextFate,
}

/// A file of a text.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct File {
    /// Its sid.
    pub sid: MediaSid,
    /// Its type.
    pub content_type: String,
    /// Where one that we sent is; one that came in is kept here.
    pub url: Option<Pii>,
}

/// A template with what fills it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Content {
    /// `HX…`.
    pub sid: String,
    /// The variables as the JSON text that they came in.
    pub variables: Option<Pii>,
}

/// What is to become of a text that leaves.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TextFate {
    /// It arrives.
    #[default]
    Arrives,
    /// It never leaves, for this reason.
    Fails(u32),
    /// It leaves and does not arrive, for this reason.
    Strays(u32),
    /// It leaves, and nothing more is heard.
    Fades,
    /// It waits in the queue for ever.
    Waits,
    /// It arrives so many milliseconds later.
    Lags(u64),
}

/// A text to be sent.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct Draft {
    pub to: Option<Pii>,
    pub from: Option<Pii>,
    pub service: Option<String>,
    pub body: Pii,
    pub media_urls: Vec<Pii>,
    pub as_mms: bool,
    pub content_sid: Option<String>,
    pub content_variables: Option<Pii>,
    pub callback: Option<String>,
    pub send_at: Option<Timestamp>,
    pub validity_s: Option<u64>,
    pub actions: Vec<Pii>,
    /// Whether it is the answer of an inbound webhook.
    pub is_reply: bool,
    /// What is to become of it.
    pub fate: TextFate,
}

/// What comes with a phone's text besides its words, on some channels.
///
/// Source: webhook notes 2.1, read 2026-11-21.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Extras {
    /// The name that the writer gave to WhatsApp.
    pub profile_name: Option<Pii>,
    /// The writer's WhatsApp number without a plus; taken from the address if absent.
    pub wa_id: Option<Pii>,
    /// The writer's id of the business, such as `US.1349`; taken from the address if absent.
    pub user_id: Option<Pii>,
    /// A button that was pressed.
    pub button: Option<Choice>,
    /// An entry that was chosen of a list.
    pub list: Option<Choice>,
    /// A place.
    pub location: Option<SharedLocation>,
    /// The text of ours that it answers.
    pub quoted: Option<TextSid>,
    /// The advertisement that the writer came by.
    pub referral: Option<Referral>,
    /// Fields of any other name, as they are.
    pub fields: BTreeMap<String, Pii>,
}

/// What somebody chose instead of writing.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Choice {
    /// What stood there to read.
    pub text: Pii,
    /// What whoever offered it called it.
    pub payload: Pii,
}

/// A place on the earth.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SharedLocation {
    /// Degrees, as text.
    pub latitude: Pii,
    /// Degrees, as text.
    pub longitude: Pii,
    /// The postal address.
    pub address: Option<Pii>,
    /// The name of the place.
    pub label: Option<Pii>,
}

/// An advertisement.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Referral {
    /// Its id at the advertiser's.
    pub source_id: Pii,
    /// What it is, such as `ad`.
    pub source_type: Pii,
    /// Where it stands.
    pub source_url: Pii,
    /// Its headline.
    pub headline: Pii,
    /// Its text.
    pub body: Pii,
    /// The id of the click.
    pub click_id: Pii,
}

impl Text {
    /// Whether it came from a phone.
    #[must_use]
    pub const fn is_inbound(&self) -> bool {
        matches!(self.direction, Direction::Inbound)
    }

    /// Whether the phone has it.
    #[must_use]
    pub const fn has_arrived(&self) -> bool {
        self.status.has_arrived()
    }
}
