//! One trace for each message's way, through every door, queue and process.
//!
//! A trace's id is derived and never carried, so stages that share nothing but the queue agree on
//! it: the message's sid, or for the first message of a conversation the conversation's, because
//! hearing of the conversation, joining it and answering that message are one way. The id's digits
//! are the sid's digits, so either finds the other.
//!
//! Each stage is a span; every log line within it carries the span's fields. Spans are made at the
//! level `error`, so that a line at any level has them. Decides nothing about sampling and sends
//! nothing anywhere. No time, no I/O; sids only, no address and no text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tracing::Span;
use tracing::field::Empty;

use super::journal::Door;
use crate::bytes16;
use crate::thread::{MessageId, ThreadId};

/// The name of the spans that are stages.
pub const SPAN: &str = "stage";

/// The stage that serves a request of Twilio's; the others work on what is stored.
pub const WEBHOOK: &str = "webhook";

/// The stage in which Twilio tells how a reply fares.
pub const RECEIPT: &str = "receipt";

/// Names a trace: 16 bytes, written as 32 hexadecimal digits.
/// Source: W3C Trace Context, section 3.2.2.3 "trace-id", read 2026-11-21.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// Gives the 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bytes16::write(f, &self.0)
    }
}

/// Says that a text is no trace id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a trace id: wanted 32 hexadecimal digits")]
pub struct ParseTraceIdError;

impl FromStr for TraceId {
    type Err = ParseTraceIdError;

    fn from_str(text: &str) -> Result<Self, ParseTraceIdError> {
        bytes16::parse(text).map(Self).ok_or(ParseTraceIdError)
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What a stage works on: a message, or its thread where no message is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TraceContext {
    trace: TraceId,
    thread: ThreadId,
    message: Option<MessageId>,
}

impl TraceContext {
    /// The way of a thread, and of its first message.
    #[must_use]
    pub fn of_thread(thread: impl Into<ThreadId>) -> Self {
        let thread = thread.into();
        Self { trace: TraceId(*thread.as_bytes()), thread, message: None }
    }

    /// The way of a message at its place in its thread.
    #[must_use]
    pub fn of_message(thread: ThreadId, message: MessageId, index: Option<u64>) -> Self {
        let first = if index == Some(0) { thread.as_bytes() } else { message.as_bytes() };
        Self { trace: TraceId(*first), thread, message: Some(message) }
    }

    /// The way of what was stored with its trace.
    #[must_use]
    pub const fn of_trace(trace: TraceId, thread: ThreadId, message: Option<MessageId>) -> Self {
        Self { trace, thread, message }
    }

    /// The trace's id.
    #[must_use]
    pub const fn trace(&self) -> TraceId {
        self.trace
    }

    /// Makes the span of a stage of this way.
    #[must_use]
    pub fn span(&self, stage: &'static str) -> Span {
        let span = stage_span(stage);
        self.record_on(&span);
        span
    }

    /// Says on the current span, which [`stage_span`] has made, what it works on.
    pub fn record(&self) {
        self.record_on(&Span::current());
    }

    fn record_on(&self, span: &Span) {
        if span.is_disabled() {
            return;
        }
        span.record("trace_id", tracing::field::display(self.trace));
        span.record("conversation_sid", tracing::field::display(self.thread));
        if let Some(message) = self.message {
            span.record("message_sid", tracing::field::display(message));
        }
    }
}

/// Makes the span of a stage that learns later what it works on.
#[must_use]
pub fn stage_span(stage: &'static str) -> Span {
    tracing::error_span!(
        "stage",
        stage,
        trace_id = Empty,
        conversation_sid = Empty,
        message_sid = Empty
    )
}

/// The word for a door, as a stage.
#[must_use]
pub const fn of_door(door: Door) -> &'static str {
    match door {
        Door::Webhook => WEBHOOK,
        Door::MessagingWebhook => "messaging_webhook",
        Door::Socket => "socket",
        Door::Replay => "replay",
        Door::CatchUp => "catch_up",
        Door::Reconcile => "reconcile",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::sid::{ConversationSid, MessageSid};

    const CONVERSATION: ConversationSid = ConversationSid::from_bytes([0xcc; 16]);
    const MESSAGE: MessageSid = MessageSid::from_bytes([0x07; 16]);

    #[test]
    fn the_first_message_is_on_its_conversations_way_and_later_ones_on_their_own() {
        let of_conversation = TraceContext::of_thread(CONVERSATION).trace();
        assert_eq!(of_conversation.to_string(), "cc".repeat(16));
        for (index, trace) in [
            (Some(0), of_conversation.to_string()),
            (Some(1), "07".repeat(16)),
            (None, "07".repeat(16)),
        ] {
            let way = TraceContext::of_message(CONVERSATION.into(), MESSAGE.into(), index);
            assert_eq!(way.trace().to_string(), trace, "{index:?}");
        }
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = TraceContext::of_message(CONVERSATION.into(), MESSAGE.into(), None).trace();
        assert_eq!(id.to_string().parse(), Ok(id));
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<TraceId>(&json).unwrap(), id);
        for text in ["", "07", &"g".repeat(32), &"7".repeat(33), &format!("+{}", "7".repeat(31))] {
            assert_eq!(text.parse::<TraceId>(), Err(ParseTraceIdError), "{text}");
        }
    }
}
