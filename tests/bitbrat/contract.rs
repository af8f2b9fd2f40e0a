//! Every event that is published, held against a table of what the platform's services read.
//!
//! The golden files under `tests/data/bitbrat` show each event whole; `UPDATE=1` writes them anew. A
//! golden file that the table refuses cannot be blessed: the table is written from the platform's
//! types and not from our output.
//! Source: `BitBrat` 0.33.3, `src/types/events.ts`, `src/services/persistence/model.ts`,
//! `src/services/routing/dlq.ts`, read 2026-11-21.

use std::path::PathBuf;

use chimein::agent::bitbrat::snapshot::{Delivered, DeliveryEnding, Failure, Policy};
use chimein::agent::bitbrat::{dead_letter, envelope, event::Event, names, snapshot, status};
use chimein::agent::{Connection, Turn};
use chimein::clock::Timestamp;
use chimein::jobs::status::ConnectorState;
use chimein::media::Offer;
use chimein::media::link::Link;
use chimein::thread::{Media, Speaker, Thread, TurnMessage};
use chimein::twilio::sid::{MediaSid, MessageSid, ParticipantSid};
use serde_json::{Map, Value, json};

use crate::platform;

const AT: Timestamp = Timestamp::from_millis(1_795_000_003_120);

/// What a field must be.
#[derive(Clone, Copy, Debug)]
enum Must {
    /// Exactly this text.
    Be(&'static str),
    /// A text that is not blank.
    Say,
    /// A time like `2026-11-21T12:00:03.120Z`.
    BeTime,
    /// A UUID.
    BeUuid,
    /// A sid with this start.
    BeSid(&'static str),
    /// An object.
    BeObject,
    /// A list.
    BeList,
    /// Be absent or null.
    BeAbsent,
}
use Must::{Be, BeAbsent, BeList, BeObject, BeSid, BeTime, BeUuid, Say};

/// `InternalEventV2` of a person's message.
const MESSAGE: &[(&str, Must)] = &[
    ("/v", Be("2")),
    ("/type", Be("chat.message.v1")),
    ("/correlationId", BeUuid),
    ("/traceId", Say),
    ("/ingress/ingressAt", BeTime),
    ("/ingress/source", Be("ingress.twilio")),
    ("/ingress/connector", Be("twilio")),
    ("/ingress/channel", BeSid("CH")),
    ("/identity/external/id", Say),
    ("/identity/external/platform", Be("twilio")),
    ("/identity/external/displayName", Say),
    ("/identity/external/metadata/conversationSid", BeSid("CH")),
    ("/identity/external/metadata/participantSid", BeSid("MB")),
    ("/identity/external/metadata/channelType", Say),
    ("/egress/destination", Be("internal.egress.v1.twilio-ingress")),
    ("/egress/type", Be("chat")),
    ("/egress/connector", Be("twilio")),
    ("/egress/channel", BeSid("CH")),
    ("/message/id", BeSid("IM")),
    ("/message/role", Be("user")),
    ("/message/rawPlatformPayload/messageId", BeSid("IM")),
    ("/message/rawPlatformPayload/author", Say),
    // The handle that the model is shown.
    ("/message/rawPlatformPayload/username", Say),
    ("/message/rawPlatformPayload/conversationSid", BeSid("CH")),
    ("/message/rawPlatformPayload/timestamp", BeTime),
    ("/message/rawPlatformPayload/participant/sid", BeSid("MB")),
    ("/message/rawPlatformPayload/participant/channelType", Say),
    ("/message/rawPlatformPayload/chatServiceSid", BeSid("IS")),
    ("/message/rawPlatformPayload/media", BeList),
    ("/routing/stage", Be("initial")),
    ("/routing/slip", BeList),
    ("/routing/history", BeList),
    // It would override the identity in the platform's enrichment.
    ("/externalEvent", BeAbsent),
];

/// `PersistenceSnapshotEventV1` of kind `final`.
const SNAPSHOT: &[(&str, Must)] = &[
    ("/v", Be("1")),
    ("/correlationId", BeUuid),
    ("/kind", Be("final")),
    ("/capturedAt", BeTime),
    ("/sourceService", Be("twilio-ingress")),
    ("/sourceTopic", Be("internal.egress.v1.twilio-ingress")),
    ("/idempotencyKey", Say),
    ("/stage", Be("response")),
    ("/changeSummary", Say),
    ("/delivery/destination", Be("internal.egress.v1.twilio-ingress")),
    ("/delivery/deliveredAt", BeTime),
    ("/event", BeObject),
    ("/event/correlationId", BeUuid),
    ("/event/type", Be("egress.deliver.v1")),
];

const SENT: &[(&str, Must)] = &[
    ("/delivery/status", Be("SENT")),
    ("/delivery/providerMessageId", BeSid("IM")),
    ("/delivery/error", BeAbsent),
];

const FAILED: &[(&str, Must)] = &[
    ("/delivery/status", Be("FAILED")),
    ("/delivery/providerMessageId", BeAbsent),
    ("/delivery/error/code", Be("send_error")),
    ("/delivery/error/message", Say),
];

/// `router.deadletter.v1`.
const DEAD_LETTER: &[(&str, Must)] = &[
    ("/v", Be("2")),
    ("/type", Be("router.deadletter.v1")),
    ("/correlationId", BeUuid),
    ("/idempotencyKey", Say),
    ("/traceId", Say),
    ("/ingress/source", Be("ingress.twilio")),
    ("/identity/external/platform", Be("twilio")),
    ("/egress/destination", Be("internal.egress.v1.twilio-ingress")),
    ("/routing/stage", Be("response")),
    ("/payload/reason", Be("egress_delivery_failed")),
    ("/payload/error/code", Be("send_error")),
    ("/payload/error/message", Say),
    ("/payload/lastStepId", Be("llm-bot")),
    ("/payload/originalType", Be("egress.deliver.v1")),
    ("/payload/slipSummary", Be("[llm-bot:OK]")),
    ("/payload/originalPayloadPreview", BeObject),
    ("/payload/egressSource", Be("ingress.twilio")),
];

/// `system.source.status`.
const STATUS: &[(&str, Must)] = &[
    ("/v", Be("2")),
    ("/type", Be("system.source.status")),
    ("/correlationId", Say),
    ("/ingress/ingressAt", BeTime),
    ("/ingress/source", Be("ingress.twilio")),
    ("/ingress/connector", Be("system")),
    ("/identity/external/id", Be("bot")),
    ("/identity/external/platform", Be("twilio")),
    ("/egress/connector", Be("system")),
    // In the initial stage the router would take it for somebody's first message, and make them a user.
    ("/routing/stage", Be("meta")),
    ("/payload/platform", Be("twilio")),
    ("/payload/id", Be("bot")),
    ("/payload/status", Be("CONNECTED")),
    ("/payload/displayName", Be("bot")),
    ("/payload/metrics", BeObject),
    ("/payload/lastError", BeAbsent),
    ("/payload/authStatus", Be("VALID")),
    ("/payload/metadata", BeObject),
];

#[test]
fn messages_are_what_the_platform_reads_whatever_channel_they_came_by() {
    for (name, author, channel, shown) in [
        ("message_sms", "+15555550123", "sms", "+1...0123"),
        ("message_whatsapp", "whatsapp:+15555550123", "whatsapp", "+1...0123"),
        ("message_chat", "alice", "chat", "alice"),
    ] {
        let event = message(author, Some("hello bot"), Vec::new());
        check(name, &event, &[MESSAGE]);
        assert_eq!(event["message"]["text"], "hello bot");
        assert_eq!(event["message"]["rawPlatformPayload"]["text"], "hello bot");
        assert_eq!(event["identity"]["external"]["id"], author);
        assert_eq!(event["identity"]["external"]["displayName"], shown);
        assert_eq!(event["identity"]["external"]["metadata"]["channelType"], channel);
    }
}

#[test]
fn a_picture_without_a_word_has_an_empty_text_and_its_media() {
    let event = message("+15555550123", None, vec![picture()]);
    check("message_mms", &event, &[MESSAGE]);
    assert_eq!(event["message"]["text"], "");
    let file = &event["message"]["rawPlatformPayload"]["media"][0];
    assert_eq!(file["contentType"], "image/png");
    assert!(file["sid"].as_str().is_some_and(|sid| sid.starts_with("ME")));
    let media = vec![Media { filename: None, ..picture() }];
    let mut turn = turn("+15555550123", None, media);
    let link = Link { url: "https://bot.example.com/media/x".into(), until: AT };
    turn.files = [vec![Offer { link: Some(link), ..Offer::default() }]].into_iter().collect();
    let event = json!(envelope::of_turn(&turn, &sender(), AT));
    let file = &event["message"]["rawPlatformPayload"]["media"][0];
    assert_eq!(file["url"], "https://bot.example.com/media/x");
    assert_eq!(file["expiresAt"], AT.to_string());
}

fn picture() -> Media {
    Media {
        sid: Some(MediaSid::from_bytes([9; 16])),
        url: None,
        content_type: Some("image/png".into()),
        filename: Some("cat.png".into()),
        size: Some(1024),
    }
}

#[test]
fn a_burst_is_one_event_with_every_line() {
    let mut turn = turn("+15555550123", Some("two"), Vec::new());
    let first = TurnMessage {
        sid: MessageSid::from_bytes([0xbb; 16]).into(),
        body: Some("one".into()),
        ..turn.messages[0].clone()
    };
    turn.messages.insert(0, first);
    let event = json!(envelope::of_turn(&turn, &sender(), AT));
    check("message_burst", &event, &[MESSAGE]);
    assert_eq!(event["message"]["text"], "one\ntwo");
    assert_eq!(event["message"]["id"], json!(turn.id));
    assert_eq!(event["message"]["rawPlatformPayload"]["messageIds"].as_array().unwrap().len(), 2);
}

#[test]
fn a_message_is_the_same_request_whenever_it_is_published() {
    let turn = turn("+15555550123", Some("hello"), Vec::new());
    let later = Timestamp::from_millis(AT.as_millis() + 60_000);
    let [one, two] = [AT, later].map(|at| json!(envelope::of_turn(&turn, &sender(), at)));
    assert_eq!(one["correlationId"], two["correlationId"]);
    assert_eq!(one["traceId"], two["traceId"]);
    let event: Event = serde_json::from_value(one).unwrap();
    let attributes: Vec<_> =
        envelope::attributes(&event, &envelope::key(&event, 0)).into_iter().collect();
    let names: Vec<_> = attributes.iter().map(|(name, _)| *name).collect();
    let documented = ["type", "correlationId", "idempotencyKey", "source", "traceId", "channel"];
    assert_eq!(names, documented);
    assert!(attributes.iter().all(|(_, value)| !value.is_empty()));
}

#[test]
fn endings_are_recorded_as_persistence_reads_them() {
    let event = answered();
    let delivered = delivered(&event);
    let policy = Policy { is_on: true, includes_raw: true, bytes_max: None };
    let message = MessageSid::from_bytes([0xdd; 16]).into();
    let sent = snapshot::of(delivered, &DeliveryEnding::Sent(message), policy).unwrap();
    check("snapshot_sent", &sent, &[SNAPSHOT, SENT]);
    let failed = snapshot::of(delivered, &DeliveryEnding::Failed(&failure()), policy).unwrap();
    check("snapshot_failed", &failed, &[SNAPSHOT, FAILED]);
    let correlation_id = event.correlation_id();
    for (record, ending) in [(&sent, "SENT"), (&failed, "FAILED")] {
        let expected = format!(
            "{correlation_id}:final:twilio-ingress:internal.egress.v1.twilio-ingress:{ending}:{SETTLEMENT}"
        );
        assert_eq!(record["idempotencyKey"], json!(expected));
        assert_eq!(record["event"], json!(event), "the whole event");
    }
}

#[test]
fn a_dead_letter_keeps_what_identifies_the_original() {
    let event = answered();
    let letter = json!(dead_letter::of(delivered(&event), &failure()));
    check("dead_letter", &letter, &[DEAD_LETTER]);
    for name in ["correlationId", "traceId", "ingress", "identity", "egress", "routing"] {
        assert_eq!(letter[name], *event.find(&[name]).unwrap(), "{name}");
    }
}

#[test]
fn the_state_of_the_connection_is_what_persistence_reads() {
    let connection = Connection {
        identity: "bot".into(),
        state: ConnectorState::Connected,
        last_error: None,
        received: 12,
        published: 12,
        failed: 0,
    };
    let id = "0d0c8a3e-2f0e-4b7c-9a51-6b0e3f4f7a10".parse().unwrap();
    check("status", &json!(status::of(&connection, id, AT)), &[STATUS]);
    let (state, last_error) = (ConnectorState::Error, Some("refused".into()));
    let refused = Connection { state, last_error, ..connection };
    let refused = json!(status::of(&refused, id, AT));
    assert_eq!(refused["payload"]["lastError"]["message"], "refused");
    assert_eq!(refused["payload"]["authStatus"], "INVALID");
}

/// Holds an event against the tables, then against its golden file.
fn check(name: &str, event: &Value, tables: &[&[(&str, Must)]]) {
    for (pointer, must) in tables.iter().copied().flatten() {
        let found = event.pointer(pointer).filter(|value| !value.is_null());
        let text = found.and_then(Value::as_str);
        let holds = match must {
            Be(wanted) => text == Some(*wanted),
            Say => text.is_some_and(|text| !text.trim().is_empty()),
            BeTime => text.is_some_and(|text| {
                Timestamp::parse_rfc3339(text).is_some_and(|at| at.to_string() == text)
            }),
            BeUuid => text.is_some_and(|text| uuid::Uuid::parse_str(text).is_ok()),
            BeSid(start) => text.is_some_and(|text| {
                let digits = text.strip_prefix(start);
                digits.is_some_and(|digits| {
                    digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit())
                })
            }),
            BeObject => found.is_some_and(Value::is_object),
            BeList => found.is_some_and(Value::is_array),
            BeAbsent => found.is_none(),
        };
        assert!(holds, "{name}: {pointer} must {must:?} and is {found:?}");
    }
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/bitbrat");
    let (path, shown) = (folder.join(format!("{name}.json")), format!("{event:#}\n"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &shown).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == shown, "{} is not:\n{shown}", path.display());
}

fn message(author: &str, body: Option<&str>, media: Vec<Media>) -> Value {
    json!(envelope::of_turn(&turn(author, body, media), &sender(), AT))
}

fn answered() -> Event {
    let asked = message("+15555550123", Some("hello bot"), Vec::new());
    serde_json::from_value(platform::delivered(&asked, "cand-1", "Hi there!")).unwrap()
}

const SETTLEMENT: &str = "0d0c8a3e-2f0e-4b7c-9a51-6b0e3f4f7a10:1795000003120";

fn delivered(event: &Event) -> Delivered<'_> {
    Delivered {
        service: "twilio-ingress",
        topic: "internal.egress.v1.twilio-ingress",
        event,
        at: AT,
        settlement: SETTLEMENT,
    }
}

fn failure() -> Failure {
    Failure { code: "send_error".into(), message: "dead: twilio refused the reply".into() }
}

fn sender() -> envelope::EventSender {
    let service = "twilio-ingress".to_owned();
    let names = names::Names { prefix: "local.".into(), egress_instance: service.clone(), service };
    let chat_service = "ISeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee".parse().unwrap();
    envelope::EventSender { names, chat_service }
}

fn turn(author: &str, body: Option<&str>, media: Vec<Media>) -> Turn {
    let sid = MessageSid::from_bytes([0xcc; 16]).into();
    Turn {
        id: sid,
        thread: Thread::Conversation("CHaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".parse().unwrap()),
        speaker: Speaker::Identity("bot".into()),
        messages: vec![TurnMessage {
            sid,
            index: Some(4),
            author: author.into(),
            body: body.map(Into::into),
            attributes: Map::new(),
            media,
            participant: Some(ParticipantSid::from_bytes([0xbb; 16])),
            created: Some(Timestamp::from_millis(1_795_000_002_900)),
            extras: None,
        }],
        history: Vec::new(),
        attempt: 1,
        files: chimein::media::Offers::default(),
    }
}
