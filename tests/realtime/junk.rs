//! Bytes that no server should send: mutated frames and Sync payloads against codec and core.
//!
//! A seeded generator feeds both for a bounded number of rounds.

use std::time::Duration;

use bytes::Bytes;
use chimein::clock::Moment;
use chimein::realtime::conversations::core::{Core, Input, Output};
use chimein::realtime::sync::event;
use chimein::realtime::twilsock::backoff::Random;
use chimein::realtime::twilsock::frame::{Frame, Header, Limits, Method, decode, encode};
use chimein::realtime::twilsock::session::{ConnId, Token};

use super::frames;
use super::link::options;

const ROUNDS: usize = 20_000;

#[test]
fn no_bytes_break_the_codec() {
    let mut random = Random::new(11);
    for round in 0..ROUNDS {
        let seed = &SEEDS[round % SEEDS.len()];
        frames::hold(&mutated(&frame(seed), &mut random));
    }
}

#[test]
fn no_payload_breaks_the_core() {
    let mut random = Random::new(12);
    let mut core = connected();
    for round in 0..ROUNDS {
        let seed = &SEEDS[round % SEEDS.len()];
        let payload = mutated(seed.1.as_bytes(), &mut random);
        take_payload(&mut core, seed.0, &payload);
        assert!(core.events_waiting() < 5000, "bounded");
        while core.next_event().is_some() {}
    }
}

/// Fuzz target: any bytes as a notification's payload.
fn take_payload(core: &mut Core, message_type: &str, payload: &[u8]) {
    drop(event::parse(payload));
    let mut header = Header::new(Method::Notification, "TM1");
    header.message_type = Some(message_type.to_owned());
    let frame = Frame { header, payload: Bytes::copy_from_slice(payload) };
    let now = Moment::ORIGIN + Duration::from_secs(1);
    core.handle(now, Input::Frame(ConnId(1), Box::new(frame)));
    while core.poll().is_some() {}
}

/// A core whose map is open, so that events find somebody.
fn connected() -> Core {
    let mut server = super::server::Server::new(10);
    drop(server.add_conversation());
    let mut core = Core::new(options(), None, 1, 1);
    let now = Moment::ORIGIN;
    core.handle(now, Input::Start);
    while let Some(output) = core.poll() {
        match output {
            Output::Connect(conn) => core.handle(now, Input::Opened(conn)),
            Output::WantToken => {
                let token = Token { jwt: "jwt".into(), valid_for: Duration::from_secs(86_400) };
                core.handle(now, Input::Token(token));
            }
            Output::Write(conn, bytes) => {
                let frame = decode(&bytes, &Limits::default()).expect("a frame");
                for answer in server.frame(&frame) {
                    let frame = decode(&answer, &Limits::default()).expect("a frame");
                    core.handle(now, Input::Frame(conn, Box::new(frame)));
                }
            }
            Output::LoadWatermark { conversation, epoch } => {
                core.handle(now, Input::Watermark { conversation, epoch, handled: None });
            }
            Output::Probe(_) | Output::Disconnect(_) | Output::Answered(..) => {}
        }
    }
    core
}

fn frame((message_type, payload): &(&str, &str)) -> Bytes {
    let mut header = Header::new(Method::Notification, "TM00112233445566778899aabbccddeeff");
    header.message_type = Some((*message_type).to_owned());
    encode(&header, payload.as_bytes())
}

/// Flips, cuts, repeats and inserts; now and then leaves the bytes whole.
fn mutated(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    const TOKENS: [&str; 8] =
        ["-1", "9223372036854775808", "null", "[]", "{", "\"", "\\u0000", "\r\n"];
    let mut bytes = bytes.to_vec();
    for _ in 0..below(random, 6) {
        let at = below(random, bytes.len().max(1)).min(bytes.len().saturating_sub(1));
        match below(random, 5) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << below(random, 8),
            1 => bytes.truncate(at),
            2 => {
                let piece = bytes[at..].to_vec();
                bytes.extend(piece.into_iter().take(100));
            }
            3 => {
                let token = TOKENS[below(random, TOKENS.len())];
                drop(bytes.splice(at..at, token.bytes()));
            }
            _ => {
                let to = (at + below(random, 8)).min(bytes.len());
                drop(bytes.drain(at..to));
            }
        }
    }
    bytes
}

fn below(random: &mut Random, end: usize) -> usize {
    usize::try_from(random.next_u64() % u64::try_from(end).unwrap_or(1)).unwrap_or(0)
}

/// What the mutations start from: one payload of each kind.
const SEEDS: [(&str, &str); 8] = [
    (
        "com.twilio.rtd.cds.map",
        r#"{"event_type":"map_item_added","event":{"id":1,"map_sid":"MP1","item_key":"CH00000000000000000000000000000000","item_data":{"status":"joined","lastConsumedMessageIndex":4}}}"#,
    ),
    (
        "com.twilio.rtd.cds.map",
        r#"{"event_type":"map_item_removed","event":{"id":2,"map_sid":"MP1","item_key":"CH00000000000000000000000000000000"}}"#,
    ),
    (
        "com.twilio.rtd.cds.list",
        r#"{"event_type":"list_item_added","event":{"id":0,"list_sid":"ES0","item_index":0,"item_data":{"sid":"IM00000000000000000000000000000001","text":"x","author":"y","attributes":"{}"}}}"#,
    ),
    (
        "twilio.sync.event",
        r#"{"event_type":"list_item_updated","correlation_id":1,"events":[{"id":7,"list_sid":"ES0","item_index":"3","item_data":{"sid":"IM00000000000000000000000000000001","media":{"sid":"ME00000000000000000000000000000001"}}}]}"#,
    ),
    (
        "twilio.sync.event",
        r#"{"event_type":"subscription_established","correlation_id":1,"events":[{"object_sid":"ES0","replay_status":"completed","last_event_id":9},{"object_sid":"MP1","replay_status":"interrupted"}]}"#,
    ),
    (
        "twilio.sync.event",
        r#"{"event_type":"subscription_failed","correlation_id":1,"events":[{"object_sid":"ET0","error":{"status":404}}]}"#,
    ),
    (
        "com.twilio.rtd.cds.document",
        r#"{"event_type":"document_updated","event":{"id":1,"document_sid":"ET0","document_data":{"attributes":{"a":1},"state":{"current":"closed"},"lastMessage":{"index":1}}}}"#,
    ),
    (
        "twilio.ipmsg.typing_indicator",
        r#"{"channel_sid":"CH00000000000000000000000000000000","identity":"x","typing_timeout":6}"#,
    ),
];
