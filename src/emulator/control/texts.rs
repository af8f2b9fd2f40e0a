//! Control over texts without a conversation: somebody texts, what was texted, numbers and services.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use super::Control;
use crate::emulator::hub::Core;
use crate::emulator::inbound::Texted;
use crate::emulator::state::Inbound;
use crate::emulator::state::messaging::list::Filter;
use crate::emulator::state::messaging::{Extras, MessagingService, Number, Text};
use crate::emulator::state::model::Media;
use crate::emulator::state::refusal::Refusal;
use crate::json;
use crate::pii::Pii;
use crate::twilio::messaging::{MEDIA_MAX, MessageStatus};
use crate::twilio::sid::{MediaSid, MessagingServiceSid, TextSid};

/// What somebody texts to one of our numbers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incoming {
    /// Who writes: `+1555…`, `whatsapp:+1555…`, `whatsapp:US.1349…`, `rcs:+1555…`.
    pub from: Pii,
    /// Our number, or the address of ours on the same channel.
    pub to: Pii,
    /// What it says.
    #[serde(default)]
    pub body: Option<Pii>,
    /// Who else got it, which makes it a group MMS.
    #[serde(default, deserialize_with = "json::null_as_default")]
    pub others: Vec<Pii>,
    /// Its files.
    #[serde(default, deserialize_with = "json::null_as_default")]
    pub media: Vec<Attachment>,
    /// What else comes with it, on some channels.
    #[serde(default, deserialize_with = "json::null_as_default")]
    pub extras: Extras,
}

/// A file of a text.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// Its type, such as `image/png`.
    pub content_type: String,
    /// What is in it; in JSON as base64.
    #[serde(rename = "base64", deserialize_with = "from_base64")]
    pub bytes: Bytes,
}

fn from_base64<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    use base64::Engine as _;
    let text = String::deserialize(deserializer)?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text.as_bytes());
    bytes.map(Bytes::from).map_err(serde::de::Error::custom)
}

impl Incoming {
    /// A text with nothing but words.
    #[must_use]
    pub fn new(from: &str, to: &str, body: &str) -> Self {
        let body = Some(Pii::new(body));
        Self { from: Pii::new(from), to: Pii::new(to), body, ..Self::default() }
    }
}

impl Attachment {
    /// A file.
    #[must_use]
    pub fn new(content_type: &str, bytes: impl Into<Bytes>) -> Self {
        Self { content_type: content_type.to_owned(), bytes: bytes.into() }
    }
}

impl Control {
    /// Somebody texts: the number's webhook is told, and a conversation gets it too where the number
    /// makes them.
    ///
    /// # Errors
    ///
    /// If Twilio would not take it.
    ///
    /// # Cancel safety
    ///
    /// Dropping it may leave the text kept or not.
    pub async fn text(&self, incoming: Incoming) -> Result<Texted, Refusal> {
        let Incoming { from, to, body, others, media, extras } = incoming;
        let mut inbound = Inbound::new(from, to, body)?.with_others(others)?;
        if media.len() > MEDIA_MAX {
            return Err(Refusal::ParameterInvalid("media"));
        }
        inbound.extras = extras;
        inbound.media = self
            .hub
            .with(|core, _| media.into_iter().map(|attachment| keep(core, attachment)).collect());
        self.hub.receive(&inbound).await
    }

    /// Every text, oldest first: those that came in and those that were sent, whatever became of them.
    #[must_use]
    pub fn texts(&self) -> Vec<Text> {
        self.hub.with(|core, _| core.world.messaging().texts().cloned().collect())
    }

    /// The texts that were sent to an address, oldest first, whatever became of them.
    #[must_use]
    pub fn texts_to(&self, phone: &str) -> Vec<Text> {
        let is_one = |text: &&Text| !text.is_inbound() && text.to.reveal() == phone;
        self.hub.with(|core, _| core.world.messaging().texts().filter(is_one).cloned().collect())
    }

    /// The newest texts that are wanted, as many as that, oldest first.
    #[must_use]
    pub(super) fn newest_texts(&self, wanted: &Filter, count: usize) -> Vec<Text> {
        let mut texts: Vec<Text> = self.hub.with(|core, _| {
            let texts = core.world.messaging().texts().rev().filter(|text| wanted.takes(text));
            texts.take(count).cloned().collect()
        });
        texts.reverse();
        texts
    }

    /// Moves a text on by hand, or lets it fail; it never goes back. Says whether it moved.
    ///
    /// # Errors
    ///
    /// If there is no such text, or it came in.
    pub fn move_text(
        &self,
        sid: TextSid,
        status: MessageStatus,
        error_code: Option<u32>,
    ) -> Result<bool, Refusal> {
        self.hub.with(|core, at| core.world.move_text(at, sid, (status, error_code)))
    }

    /// Gives the account a number, or new settings to one that it has.
    ///
    /// # Errors
    ///
    /// If the address is none, or there are too many.
    pub fn set_number(&self, number: Number) -> Result<(), Refusal> {
        self.hub.with(|core, _| core.world.set_number(number))
    }

    /// Takes a number from the account.
    pub fn remove_number(&self, address: &str) -> bool {
        self.hub.with(|core, _| core.world.remove_number(&Pii::new(address)))
    }

    /// The numbers with settings.
    #[must_use]
    pub fn numbers(&self) -> Vec<Number> {
        self.hub.with(|core, _| core.world.messaging().numbers().cloned().collect())
    }

    /// Makes a messaging service, or changes one; its senders are the numbers that name it.
    ///
    /// # Errors
    ///
    /// If there are too many.
    pub fn set_messaging_service(
        &self,
        service: MessagingService,
    ) -> Result<MessagingServiceSid, Refusal> {
        self.hub.with(|core, _| core.world.set_messaging_service(service))
    }

    /// The messaging services with settings.
    #[must_use]
    pub fn messaging_services(&self) -> Vec<MessagingService> {
        self.hub.with(|core, _| core.world.messaging().services().cloned().collect())
    }

    /// Lets the emulator's time jump, and everything happen that is due by then: queues, deliveries,
    /// windows and timers. Nobody else's clock moves, and tokens keep to theirs.
    pub fn jump(&self, by: Duration) {
        self.hub.jump(by);
    }

    /// Gives a template its text, with `{{1}}` where variables go.
    ///
    /// # Errors
    ///
    /// If there are too many.
    pub fn set_template(&self, sid: &str, text: &str) -> Result<(), Refusal> {
        self.hub.with(|core, _| core.world.set_template(sid, Pii::new(text)))
    }
}

/// Keeps a file.
fn keep(core: &mut Core, attachment: Attachment) -> MediaSid {
    let media = Media {
        sid: core.world.ids_mut().media(),
        category: "media".to_owned(),
        filename: None,
        content_type: attachment.content_type,
        size: attachment.bytes.len(),
    };
    let sid = media.sid;
    core.keep_file(media, attachment.bytes);
    sid
}
