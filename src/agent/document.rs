//! A turn as JSON: the one document that agents outside of this process get, whatever the channel. Pure.
//!
//! Its form, and that of the answer, is [`SCHEMA`]. New members may come at any time; nothing that is there
//! is renamed or changes what it means without another `version`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Turn;
use crate::channels::direct::policy::contact::WINDOW;
use crate::clock::Timestamp;
use crate::media::{Data, Offer, Offers, Reason};
use crate::pii::Pii;
use crate::thread::{Extras, Media, Medium, MessageId, Past, ThreadId, TurnMessage};
use crate::twilio::sid::ParticipantSid;

/// The form of a turn and of an answer, as JSON Schema.
pub const SCHEMA: &str = include_str!("turn.schema.json");

/// The version of the document.
const VERSION: u32 = 1;

/// A turn as an agent gets it.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    r#type: &'static str,
    version: u32,
    id: MessageId,
    attempt: u32,
    thread: ThreadId,
    channel: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ours: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    theirs: Option<&'a str>,
    /// The thread's older name.
    conversation: ThreadId,
    identity: &'a str,
    /// Until when an answer is waited for, where somebody watches.
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<String>,
    /// Until when free text may be said, where the channel has such a window.
    #[serde(skip_serializing_if = "Option::is_none")]
    window_closes_at: Option<String>,
    /// What was said before, for who asks for it.
    #[serde(skip_serializing_if = "<[PastMessage<'_>]>::is_empty")]
    history: Vec<PastMessage<'a>>,
    /// How much of it found no room.
    #[serde(skip_serializing_if = "is_none")]
    history_left_out: usize,
    messages: Vec<DocumentMessage<'a>>,
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

impl<'a> Document<'a> {
    /// Writes a turn.
    pub(super) fn of(turn: &'a Turn) -> Self {
        Self::with_newest(turn, turn.history.len())
    }

    /// Writes a turn with no more than the newest so many messages of what was said before.
    pub(super) fn with_newest(turn: &'a Turn, newest: usize) -> Self {
        let thread = turn.thread.id();
        let history_left_out = turn.history.len().saturating_sub(newest);
        let messages = turn.messages.iter().enumerate();
        Self {
            r#type: "turn",
            version: VERSION,
            id: turn.id,
            attempt: turn.attempt,
            thread,
            channel: turn.thread.channel(),
            ours: turn.thread.ours().map(Pii::reveal),
            theirs: turn.thread.theirs().map(Pii::reveal),
            conversation: thread,
            identity: turn.speaker.reveal(),
            deadline: None,
            window_closes_at: window_closes_at(turn).map(|at| at.to_string()),
            history: turn.history[history_left_out..].iter().map(PastMessage::of).collect(),
            history_left_out,
            messages: messages
                .map(|(at, one)| DocumentMessage::of(one, (&turn.files, at)))
                .collect(),
        }
    }

    /// Says until when an answer is waited for.
    pub(super) fn due(self, at: Option<Timestamp>) -> Self {
        Self { deadline: at.map(|at| at.to_string()), ..self }
    }
}

/// When the window of WhatsApp closes that the last one who wrote has opened; none where there is no such window.
fn window_closes_at(turn: &Turn) -> Option<Timestamp> {
    let is_of_whatsapp = |message: &&TurnMessage| {
        turn.thread.channel() == Medium::Whatsapp.as_str()
            || message.author.reveal().starts_with("whatsapp:")
    };
    let last = turn.messages.iter().rfind(is_of_whatsapp)?;
    Some(last.created? + WINDOW)
}

/// A message with the names that Twilio's own JSON has.
#[derive(Serialize)]
struct DocumentMessage<'a> {
    sid: MessageId,
    index: Option<u64>,
    author: &'a str,
    participant_sid: Option<ParticipantSid>,
    body: Option<&'a str>,
    attributes: &'a Map<String, Value>,
    media: Vec<DocumentFile<'a>>,
    date_created: Option<String>,
    #[serde(flatten)]
    extras: Option<&'a Extras>,
}

impl<'a> DocumentMessage<'a> {
    fn of(message: &'a TurnMessage, (files, place): (&'a Offers, usize)) -> Self {
        let media = message.media.iter().enumerate();
        Self {
            sid: message.sid,
            index: message.index,
            author: message.author.reveal(),
            participant_sid: message.participant,
            body: message.body.as_ref().map(Pii::reveal),
            attributes: &message.attributes,
            media: media.map(|(at, file)| DocumentFile::of(file, files.of(place, at))).collect(),
            date_created: message.created.map(|at| at.to_string()),
            extras: message.extras.as_deref(),
        }
    }
}

/// Something that was said before.
#[derive(Serialize)]
pub(super) struct PastMessage<'a> {
    sid: MessageId,
    own: bool,
    author: &'a str,
    body: Option<&'a str>,
    /// The MIME types of its files.
    #[serde(skip_serializing_if = "<[Option<String>]>::is_empty")]
    files: &'a [Option<String>],
    date_created: Option<String>,
}

impl<'a> PastMessage<'a> {
    /// Writes one message.
    pub(super) fn of(past: &'a Past) -> Self {
        Self {
            sid: past.sid,
            own: past.is_own,
            author: past.author.reveal(),
            body: past.body.as_ref().map(Pii::reveal),
            files: &past.files,
            date_created: past.created.map(|at| at.to_string()),
        }
    }
}

/// A file: what the message says of it, and what there is of it.
#[derive(Serialize)]
struct DocumentFile<'a> {
    #[serde(flatten)]
    media: &'a Media,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl<'a> DocumentFile<'a> {
    fn of(media: &'a Media, offer: Option<&'a Offer>) -> Self {
        let link = offer.and_then(|offer| offer.link.as_ref());
        let data = offer.and_then(|offer| offer.data.as_ref());
        Self {
            media,
            link: link.map(|link| link.url.reveal()),
            expires_at: link.map(|link| link.until.to_string()),
            data: data.map(|Data(bytes)| STANDARD.encode(bytes)),
            reason: offer.and_then(|offer| offer.reason).map(Reason::as_str),
        }
    }
}

#[cfg(test)]
mod tests;
