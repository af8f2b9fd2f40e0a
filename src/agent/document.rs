//! A turn as JSON: the one document that agents outside of this process get, whatever the channel. Pure.
//!
//! Its form, and that of the answer, is [`SCHEMA`]. New members may come at any time; nothing that is there
//! is renamed or changes what it means without another `version`.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Turn;
use crate::pii::Pii;
use crate::thread::{Extras, Media, MessageId, ThreadId, TurnMessage};
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
    messages: Vec<Message<'a>>,
}

impl<'a> Document<'a> {
    /// Writes a turn.
    pub(super) fn of(turn: &'a Turn) -> Self {
        let (thread, pair) = (turn.thread.id(), turn.thread.pair());
        Self {
            r#type: "turn",
            version: VERSION,
            id: turn.id,
            attempt: turn.attempt,
            thread,
            channel: turn.thread.channel(),
            ours: pair.map(|pair| pair.ours.reveal()),
            theirs: pair.map(|pair| pair.theirs.reveal()),
            conversation: thread,
            identity: turn.speaker.reveal(),
            messages: turn.messages.iter().map(Message::of).collect(),
        }
    }
}

/// A message with the names that Twilio's own JSON has.
#[derive(Serialize)]
struct Message<'a> {
    sid: MessageId,
    index: Option<u64>,
    author: &'a str,
    participant_sid: Option<ParticipantSid>,
    body: Option<&'a str>,
    attributes: &'a Map<String, Value>,
    media: &'a [Media],
    date_created: Option<String>,
    #[serde(flatten)]
    extras: Option<&'a Extras>,
}

impl<'a> Message<'a> {
    fn of(message: &'a TurnMessage) -> Self {
        Self {
            sid: message.sid,
            index: message.index,
            author: message.author.reveal(),
            participant_sid: message.participant,
            body: message.body.as_ref().map(Pii::reveal),
            attributes: &message.attributes,
            media: &message.media,
            date_created: message.created.map(|at| at.to_string()),
            extras: message.extras.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests;
