//! A turn as Chatwoot tells an agent bot of a message, and as the flat dialect does. Pure.
//!
//! A turn of several messages is one message: their texts, a line each, under the number of the last one.
//! Source: Chatwoot, `message_created` in "Webhooks" and `app/models/message.rb`, read 2026-11-29. What a
//! bot does not need to answer (labels, avatars, the conversation's last messages) is left out or empty.

use serde_json::{Value, json};

use super::ids;
use super::settings::ChatwootDialect;
use crate::agent::Turn;
use crate::pii::Pii;
use crate::thread::{Media, TurnMessage};

/// The account's number; there is one.
pub(super) const ACCOUNT: u64 = 1;

/// Writes what is posted of a turn that is asked the so-manieth time anew.
pub(super) fn of(turn: &Turn, dialect: ChatwootDialect, (number, asked): (u64, u32)) -> Value {
    match dialect {
        ChatwootDialect::AgentBot => agent_bot(turn, number, asked),
        ChatwootDialect::Flat => flat(turn, number, asked),
    }
}

fn agent_bot(turn: &Turn, number: u64, asked: u32) -> Value {
    let last = turn.messages.last();
    let created = last.and_then(|message| message.created).map(|at| at.to_string());
    let inbox = inbox_of(turn.thread.channel());
    let mut event = json!({
        "event": "message_created",
        "id": ids::of_message(turn.id, asked),
        "content": content(turn),
        "message_type": "incoming",
        "content_type": "text",
        "content_attributes": last.map_or_else(|| json!({}), chosen),
        "private": false,
        "source_id": turn.id.to_string(),
        "created_at": created,
        "sender": sender(turn, true),
        "inbox": { "id": inbox.id, "name": inbox.name },
        "conversation": {
            "id": number,
            "inbox_id": inbox.id,
            "status": "pending",
            "channel": inbox.kind,
            "can_reply": true,
            "labels": [],
            "custom_attributes": {},
            "additional_attributes": {},
            "meta": { "sender": sender(turn, true), "assignee": null },
        },
        "account": { "id": ACCOUNT, "name": "chimein" },
    });
    let attachments = attachments(turn);
    if !attachments.is_empty() {
        event["attachments"] = attachments.into();
    }
    event
}

/// The dialect of a system that has made one shape of several services'. `source` says by whom it is
/// answered, and here that is by the calls of a bot.
/// Source: the shape of that system's tasks, read 2026-11-21; that `chatwoot` leads to those calls is assumed.
fn flat(turn: &Turn, number: u64, asked: u32) -> Value {
    let mut event = json!({
        "id": ids::of_message(turn.id, asked).to_string(),
        "conversation": { "id": number.to_string() },
        "sender": sender(turn, false),
        "content": content(turn),
        "message_type": "incoming",
        "channel": turn.thread.channel(),
        "source": "chatwoot",
    });
    let attachments = attachments(turn);
    if !attachments.is_empty() {
        event["attachments"] = attachments.into();
    }
    event
}

fn content(turn: &Turn) -> Option<String> {
    let texts = turn.messages.iter().filter_map(|message| message.body.as_ref());
    let texts: Vec<&str> = texts.map(Pii::reveal).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

fn sender(turn: &Turn, is_contact: bool) -> Value {
    let last = turn.messages.last();
    let author = last.map_or("", |message| message.author.reveal());
    let given = last.and_then(|message| message.extras.as_ref()?.profile_name.as_ref());
    let phone = author.strip_prefix("whatsapp:").unwrap_or(author);
    let phone = phone.starts_with('+').then_some(phone);
    let name = given.map_or(author, Pii::reveal);
    if !is_contact {
        return json!({ "id": author, "name": name, "phone_number": phone });
    }
    json!({
        "id": ids::of_person(author),
        "name": name,
        "phone_number": phone,
        "identifier": author,
        "email": null,
        "type": "contact",
    })
}

/// What was chosen of a list, as Chatwoot says it of its own lists.
fn chosen(message: &TurnMessage) -> Value {
    let choice = message.extras.as_ref().and_then(|extras| extras.choice.as_ref());
    let Some(choice) = choice else { return json!({}) };
    let text = |text: &Option<Pii>| text.as_ref().map(|text| text.reveal().to_owned());
    let (title, value) = (text(&choice.text), text(&choice.payload));
    json!({ "submitted_values": [{ "title": title, "value": value }] })
}

fn attachments(turn: &Turn) -> Vec<Value> {
    let files = turn.messages.iter().enumerate().flat_map(|(place, message)| {
        message.media.iter().enumerate().map(move |(at, media)| {
            let link = turn.files.of(place, at).and_then(|offer| offer.link.as_ref());
            json!({
                "id": ids::of_words(&format!("{} {at}", message.sid)),
                "file_type": file_type(media),
                "data_url": link.map(|link| link.url.reveal()),
                "file_size": media.size,
            })
        })
    });
    let places = turn.messages.iter().filter_map(|message| {
        let place = message.extras.as_ref()?.location.as_ref()?;
        let degrees = |text: &Pii| text.reveal().parse::<f64>().ok();
        Some(json!({
            "id": ids::of_words(&format!("{} place", message.sid)),
            "file_type": "location",
            "coordinates_lat": degrees(&place.latitude),
            "coordinates_long": degrees(&place.longitude),
            "fallback_title": place.label.as_ref().or(place.address.as_ref()).map(Pii::reveal),
        }))
    });
    files.chain(places).collect()
}

/// Source: Chatwoot, `app/models/attachment.rb`, read 2026-11-30.
fn file_type(media: &Media) -> &'static str {
    let kind = media.content_type.as_deref().unwrap_or_default();
    match kind.split('/').next() {
        Some("image") => "image",
        Some("audio") => "audio",
        Some("video") => "video",
        Some(_) | None => "file",
    }
}

/// What stands for a channel.
struct ChatwootInbox {
    id: u64,
    name: &'static str,
    kind: &'static str,
}

/// Source: Chatwoot, `app/models/channel`: numbers of Twilio are `Channel::TwilioSms`, WhatsApp's too.
fn inbox_of(channel: &str) -> ChatwootInbox {
    let (id, name, kind) = match channel {
        "sms" => (2, "SMS", "Channel::TwilioSms"),
        "whatsapp" => (3, "WhatsApp", "Channel::TwilioSms"),
        "rcs" => (4, "RCS", "Channel::TwilioSms"),
        _ => (1, "Conversations", "Channel::Api"),
    };
    ChatwootInbox { id, name, kind }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::media::Offers;
    use crate::thread::{Extras, Medium, MessageId, Pair, Speaker, Thread};
    use crate::twilio::sid::MessageSid;

    #[test]
    fn a_turn_is_a_message_as_a_bot_of_chatwoot_knows_it() {
        let event = of(&turn(), ChatwootDialect::AgentBot, (55, 0));
        assert_eq!(event["event"], "message_created");
        assert_eq!(event["message_type"], "incoming");
        assert_eq!(event["content"], "Hi\nthere");
        assert!(event["id"].is_u64() && event["sender"]["id"].is_u64());
        assert_eq!(event["private"], false);
        assert_eq!(event["sender"]["name"], "Ann");
        assert_eq!(event["sender"]["phone_number"], "+15555550123");
        assert_eq!(event["sender"]["type"], "contact");
        assert_eq!(event["conversation"]["id"], 55);
        assert_eq!(event["conversation"]["status"], "pending");
        assert_eq!(event["conversation"]["channel"], "Channel::TwilioSms");
        assert_eq!(event["account"]["id"], 1);
        let anew = of(&turn(), ChatwootDialect::AgentBot, (55, 1));
        assert_ne!(anew["id"], event["id"], "whoever has seen the one would pass over it");
    }

    #[test]
    fn the_flat_dialect_has_texts_for_numbers_and_nothing_of_the_account() {
        let event = of(&turn(), ChatwootDialect::Flat, (55, 0));
        let names: Vec<&String> = event.as_object().unwrap().keys().collect();
        let expected =
            ["channel", "content", "conversation", "id", "message_type", "sender", "source"];
        assert_eq!(names, expected);
        assert!(event["id"].is_string());
        assert_eq!(event["conversation"]["id"], "55");
        assert_eq!(event["sender"]["id"], "whatsapp:+15555550123");
        assert_eq!(event["channel"], "whatsapp");
    }

    fn turn() -> Turn {
        let say = |n: u8, body: &str| TurnMessage {
            sid: sid(n),
            index: None,
            author: "whatsapp:+15555550123".into(),
            body: Some(body.into()),
            attributes: Map::new(),
            media: Vec::new(),
            participant: None,
            created: None,
            extras: Some(Box::new(Extras {
                profile_name: Some("Ann".into()),
                ..Extras::default()
            })),
        };
        let (ours, theirs) = ("whatsapp:+15555550100".into(), "whatsapp:+15555550123".into());
        Turn {
            id: sid(2),
            thread: Thread::from(Pair { medium: Medium::Whatsapp, ours, theirs }),
            speaker: Speaker::Address("whatsapp:+15555550100".into()),
            messages: vec![say(1, "Hi"), say(2, "there")],
            history: Vec::new(),
            attempt: 1,
            files: Offers::default(),
        }
    }

    fn sid(n: u8) -> MessageId {
        MessageSid::from_bytes([n; 16]).into()
    }
}
