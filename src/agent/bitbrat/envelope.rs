//! A turn as the event that `BitBrat` knows: `InternalEventV2`, type `chat.message.v1`. Pure.
//!
//! Decides every field of the event and its attributes. Ids follow from the turn's id alone, so a
//! turn that is published twice is one request to everybody on the bus. Text and addresses go out
//! here, that is what the event is for; only the display name is masked.
//! Source: `BitBrat` 0.33.3, `src/types/events.ts`, `InternalEventV2`, and
//! `src/services/ingress/twilio/twilio-envelope-builder.ts`, read 2026-11-21.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::event::Event;
use super::names::Names;
use crate::agent::Turn;
use crate::clock::Timestamp;
use crate::media::{Offer, Reason};
use crate::telemetry::log;
use crate::thread::{Media, MessageId, TurnMessage};
use crate::twilio::sid::ChatServiceSid;

/// The connector's name, also the platform's.
pub const CONNECTOR: &str = "twilio";
/// Where events of people come from, as `ingress.source` says it.
pub const SOURCE: &str = "ingress.twilio";
/// The type of a person's message.
pub const MESSAGE: &str = "chat.message.v1";

/// What an event says beside the turn.
#[derive(Clone, Debug)]
pub struct EventSender {
    /// The names on the bus.
    pub names: Names,
    /// The chat service that the conversations belong to.
    pub chat_service: ChatServiceSid,
}

/// The id that joins everything that follows from a message: always the same for the same message.
#[must_use]
pub fn correlation_id(message: MessageId) -> Uuid {
    // The log's format bitbrat writes the same id beside the message's sid.
    log::bitbrat::correlation_id(&message.to_string())
}

/// Makes the event of a turn.
#[must_use]
pub fn of_turn(turn: &Turn, sender: &EventSender, at: Timestamp) -> Event {
    let correlation_id = correlation_id(turn.id);
    let conversation = turn.thread.to_string();
    let fields = [
        ("v", json!("2")),
        ("type", json!(MESSAGE)),
        ("correlationId", json!(correlation_id)),
        ("traceId", json!(turn.trace().to_string())),
        (
            "ingress",
            json!({
                "ingressAt": at.to_string(),
                "source": SOURCE,
                "connector": CONNECTOR,
                "channel": conversation,
            }),
        ),
        ("identity", identity(turn)),
        (
            "egress",
            json!({
                "destination": sender.names.own_egress(),
                "type": "chat",
                "connector": CONNECTOR,
                "channel": conversation,
            }),
        ),
        ("message", message(turn, sender, at)),
        ("routing", json!({"stage": "initial", "slip": [], "history": []})),
    ];
    Event::new(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// What a turn's event is known by: its correlation id, or another one each time that it is asked anew.
#[must_use]
pub fn key(event: &Event, asked: u32) -> String {
    match asked {
        0 => event.correlation_id().to_owned(),
        asked => format!("{}:{asked}", event.correlation_id()),
    }
}

/// The attributes that go with a turn's event, by their documented names.
///
/// The platform's own publisher writes the names in lower case, where its consumers do not look for them:
/// they then know an event by its number in the stream alone, and what is published twice is done twice.
/// Under the documented names they drop the second of two events with one `idempotencyKey` within ten
/// minutes, and take correlation id, step and attempt for that key where there is none. So the documented
/// names are followed, and every event has a key of its own: one that is published again after an unknown
/// outcome is done once, and two that belong to one request are two.
/// Source: `BitBrat` 0.33.3, `src/services/message-bus/dedupe.ts`, `buildDedupeKey`, and `attributes.ts`,
/// `normalizeAttributes`, read 2026-11-29.
/// Source: `BitBrat` 0.33.3, `documentation/messaging-config.md`, attributes, read 2026-11-21.
#[must_use]
pub fn attributes(event: &Event, key: &str) -> Vec<(&'static str, String)> {
    let text = |path: &[&str]| event.text(path).unwrap_or_default().to_owned();
    vec![
        ("type", text(&["type"])),
        ("correlationId", event.correlation_id().to_owned()),
        ("idempotencyKey", key.to_owned()),
        ("source", text(&["ingress", "source"])),
        ("traceId", text(&["traceId"])),
        ("channel", text(&["ingress", "channel"])),
    ]
}

/// The message that the turn is named after; what was said before it is in the text.
fn last(turn: &Turn) -> &TurnMessage {
    turn.messages.last().expect("a turn has a message")
}

fn identity(turn: &Turn) -> Value {
    let last = last(turn);
    let author = last.author.reveal();
    let mut metadata = Map::new();
    metadata.insert("conversationSid".to_owned(), json!(turn.thread));
    if let Some(participant) = last.participant {
        metadata.insert("participantSid".to_owned(), json!(participant));
    }
    metadata.insert("channelType".to_owned(), json!(channel_type(author)));
    json!({
        "external": {
            "id": author,
            "platform": CONNECTOR,
            "displayName": display_name(author),
            "metadata": metadata,
        }
    })
}

fn message(turn: &Turn, sender: &EventSender, at: Timestamp) -> Value {
    let text = text(turn);
    let last = last(turn);
    let media = files(turn);
    let mut raw = Map::new();
    let mut put = |name: &str, value: Value| raw.insert(name.to_owned(), value);
    put("text", json!(text));
    put("messageId", json!(turn.id));
    put("author", json!(last.author));
    // The model's prompt takes it for the handle; without it that is the masked display name.
    // Source: `BitBrat` 0.33.3, `src/services/llm-bot/processor.ts`, `handle`, read 2026-11-29.
    put("username", json!(last.author));
    put("conversationSid", json!(turn.thread));
    put("timestamp", json!(last.created.unwrap_or(at).to_string()));
    if let Some(participant) = participant(last) {
        put("participant", participant);
    }
    // What follows is ours: unknown keys pass through, and rules may use them.
    put("chatServiceSid", json!(sender.chat_service));
    put("index", json!(last.index));
    put("attributes", json!(last.attributes));
    put("media", json!(media));
    if turn.messages.len() > 1 {
        let sids: Vec<_> = turn.messages.iter().map(|one| one.sid).collect();
        put("messageIds", json!(sids));
    }
    json!({"id": turn.id, "role": "user", "text": text, "rawPlatformPayload": raw})
}

/// What was said; a burst's messages each on its line, media alone an empty text.
fn text(turn: &Turn) -> String {
    let bodies: Vec<&str> = turn
        .messages
        .iter()
        .filter_map(|one| one.body.as_ref())
        .map(|body| body.reveal())
        .collect();
    bodies.join("\n")
}

fn participant(message: &TurnMessage) -> Option<Value> {
    let sid = message.participant?;
    Some(json!({
        "sid": sid,
        "friendlyName": null,
        "attributes": {},
        "channelType": channel_type(message.author.reveal()),
    }))
}

/// All files of a turn, with the links to them.
fn files(turn: &Turn) -> Vec<Value> {
    let messages = turn.messages.iter().enumerate();
    let files = messages.flat_map(|(place, message)| {
        let files = message.media.iter().enumerate();
        files.map(move |(at, media)| file(media, turn.files.of(place, at)))
    });
    files.collect()
}

fn file(media: &Media, offer: Option<&Offer>) -> Value {
    let mut file = json!({
        "sid": media.sid,
        "contentType": media.content_type,
        "filename": media.filename,
        "size": media.size,
    });
    if let Some(link) = offer.and_then(|offer| offer.link.as_ref()) {
        file["url"] = json!(link.url);
        file["expiresAt"] = json!(link.until.to_string());
    }
    if let Some(reason) = offer.and_then(|offer| offer.reason) {
        file["reason"] = json!(Reason::as_str(reason));
    }
    file
}

/// The channel that an author writes by: a number is SMS, other addresses name their channel, and
/// everything else is an identity of the chat service.
/// Source: Conversations participants, `messaging_binding.type`, read 2026-11-21.
#[must_use]
pub fn channel_type(author: &str) -> &str {
    if author.starts_with('+') {
        return "sms";
    }
    let channel = author.split_once(':').map(|(channel, _)| channel);
    channel.filter(|channel| CHANNELS.contains(channel)).unwrap_or("chat")
}

/// The channels whose addresses begin with their name.
const CHANNELS: [&str; 5] = ["whatsapp", "messenger", "gbm", "instagram", "rcs"];

/// The author as people may see it: a number keeps its start and its last four digits
/// (`+1...0123`), an identity is a name already.
#[must_use]
pub fn display_name(author: &str) -> String {
    let address = match channel_type(author) {
        "chat" => return author.to_owned(),
        "sms" => author,
        channel => &author[channel.len() + 1..],
    };
    let is_number = address.strip_prefix('+').is_some_and(|digits| {
        digits.len() >= DIGITS_MIN && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    if is_number {
        return format!("{}...{}", &address[..2], &address[address.len() - 4..]);
    }
    "...".to_owned()
}

/// A shorter number would be shown almost whole.
const DIGITS_MIN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::sid::MessageSid;

    #[test]
    fn the_correlation_id_of_a_message_never_changes() {
        let message = MessageId::from(MessageSid::from_bytes([0xcc; 16]));
        assert_eq!(correlation_id(message), correlation_id(message));
        assert_eq!(correlation_id(message).get_version_num(), 5);
        assert_eq!(correlation_id(message).to_string(), "cd11b598-b359-5b76-b9e5-be2dbb6855cf");
        assert_ne!(correlation_id(message), correlation_id(MessageSid::from_bytes([1; 16]).into()));
    }

    #[test]
    fn numbers_are_masked_and_channels_are_told_by_the_address() {
        for (author, channel, shown) in [
            ("+15555550123", "sms", "+1...0123"),
            ("whatsapp:+15555550123", "whatsapp", "+1...0123"),
            ("messenger:1234567890", "messenger", "..."),
            ("rcs:+4915555550123", "rcs", "+4...0123"),
            ("+12345", "sms", "..."),
            ("+", "sms", "..."),
            ("alice", "chat", "alice"),
            ("user:7", "chat", "user:7"),
            ("", "chat", ""),
        ] {
            assert_eq!((channel_type(author), display_name(author).as_str()), (channel, shown));
        }
    }
}
