//! Subscribing to Sync objects, with the replay of what was missed.
//!
//! Reply, replay and the note that the subscription stands are put in line under one lock, so that no
//! live event can slip between or be lost. Faults: a replay that stops half-way, and a live event that
//! overtakes it, both of which the real service does.
//! Source: Sync protocol notes 3 to 5 and the recorded flows, read 2026-11-21.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Answer, Call, reply};
use super::sync_api::error;
use crate::emulator::defects::{Defect, spoil_event};
use crate::emulator::faults::{Action, Occasion};
use crate::emulator::hub::Core;
use crate::emulator::record::Happening;
use crate::emulator::sockets::{SYNC_EVENT, live_type, notification};
use crate::emulator::state::sync::{Kind, Logged};
use crate::json;

/// Objects that one request may name. Source: Sync protocol notes 3, `max_batch_size`.
const BATCH_MAX: usize = 1000;

#[derive(Deserialize)]
struct SubscriptionRequest {
    action: String,
    correlation_id: Value,
    #[serde(default, deserialize_with = "json::null_as_default")]
    requests: Vec<WantedObject>,
}

#[derive(Deserialize)]
struct WantedObject {
    object_sid: String,
    object_type: String,
    #[serde(default)]
    last_event_id: Option<i64>,
}

/// What became of one object.
struct Replay {
    wanted: WantedObject,
    kind: Kind,
    events: Vec<Logged>,
    /// The newest event, sent as a live one before the replay; a fault.
    overtaking: Option<Logged>,
    is_complete: bool,
    last_event_id: i64,
}

/// Answers `POST /v4/Subscriptions`, everything that follows included.
pub(super) fn serve(call: &Call<'_>, id: &str) {
    let Ok(request) = serde_json::from_value::<SubscriptionRequest>(call.body.clone()) else {
        let answer = Answer::json(
            400,
            json!({"status": 400, "code": 54050, "message": "Bad SubscriptionRequest"}),
        );
        return call.hub.with(|core, _| reply(core, call.who, id, answer));
    };
    let (objects, replayed) = call.hub.with(|core, _| {
        let accepted = json!({
            "estimated_delivery_in_ms": 10_000,
            "max_batch_size": BATCH_MAX,
            "ttl_in_s": 86_400,
        });
        reply(core, call.who, id, Answer::json(202, accepted));
        match request.action.as_str() {
            "cancel" => cancel(core, call, request),
            _ => establish(core, call, request),
        }
    });
    let conn_id = call.who.conn_id;
    call.hub.record(Happening::SocketSubscribed { conn_id, objects, replayed });
}

fn cancel(core: &mut Core, call: &Call<'_>, request: SubscriptionRequest) -> (usize, usize) {
    let events: Vec<Value> = request
        .requests
        .iter()
        .map(|one| json!({"object_sid": one.object_sid, "object_type": one.object_type}))
        .collect();
    for one in &request.requests {
        core.sockets.unsubscribe(call.who.conn_id, &one.object_sid);
    }
    tell(core, call, "subscription_canceled", &request.correlation_id, events);
    (0, 0)
}

fn establish(core: &mut Core, call: &Call<'_>, request: SubscriptionRequest) -> (usize, usize) {
    let SubscriptionRequest { correlation_id, requests, .. } = request;
    let (mut established, mut failed, mut replayed) = (Vec::new(), Vec::new(), 0);
    for wanted in requests.into_iter().take(BATCH_MAX) {
        let replay = match replay(core, call, wanted) {
            Ok(replay) => replay,
            Err(failure) => {
                failed.push(failure);
                continue;
            }
        };
        if let Some(overtaking) = &replay.overtaking {
            live(core, call, replay.kind, overtaking);
        }
        for event in &replay.events {
            let mut shown = event.event.clone();
            spoil_event(call.hub.options.defect, replay.kind, &mut shown);
            let payload = json!({
                "event_type": event.event_type,
                "correlation_id": correlation_id,
                "event_protocol_version": 4,
                "events": [shown],
                "strictly_ordered": true,
            });
            send(core, call, SYNC_EVENT, &payload);
        }
        replayed += replay.events.len();
        if replay.is_complete {
            core.sockets.subscribe(call.who.conn_id, &replay.wanted.object_sid);
        }
        established.push(json!({
            "object_sid": replay.wanted.object_sid,
            "object_type": replay.wanted.object_type,
            "replay_status": if replay.is_complete { "completed" } else { "interrupted" },
            "last_event_id": replay.last_event_id,
        }));
    }
    let objects = established.len();
    if !established.is_empty() {
        tell(core, call, "subscription_established", &correlation_id, established);
    }
    if !failed.is_empty() {
        tell(core, call, "subscription_failed", &correlation_id, failed);
    }
    (objects, replayed)
}

fn replay(core: &mut Core, call: &Call<'_>, wanted: WantedObject) -> Result<Replay, Value> {
    let kind = [Kind::Document, Kind::List, Kind::Map]
        .into_iter()
        .find(|kind| kind.as_str() == wanted.object_type)
        .unwrap_or(Kind::Document);
    let sync = core.world.sync();
    let Some(object) = sync.find(call.who.service, kind, &wanted.object_sid) else {
        return Err(json!({
            "object_sid": wanted.object_sid,
            "object_type": wanted.object_type,
            "error": error(404, kind.not_found_code()),
        }));
    };
    let last_event_id = object.last_event_id();
    // Without a last event there is nothing to replay (assumed).
    let after = match wanted.last_event_id {
        Some(_) if call.hub.has(Defect::NoReplay) => last_event_id,
        Some(_) if call.hub.has(Defect::ReplayAll) => -1,
        Some(last) => last,
        None => last_event_id,
    };
    let mut events: Vec<Logged> = object.events_after(after).cloned().collect();
    let mut replay = Replay {
        wanted,
        kind,
        events: Vec::new(),
        overtaking: None,
        is_complete: true,
        last_event_id,
    };
    if !events.is_empty() {
        match call.hub.fault_in(core, Occasion::Replay) {
            Some(Action::Interrupt) => {
                events.truncate(events.len() / 2);
                let reached = events.last().and_then(|event| i64::try_from(event.id).ok());
                replay.last_event_id = reached.unwrap_or(after);
                replay.is_complete = false;
            }
            Some(Action::Overtake) => replay.overtaking = events.pop(),
            Some(_) | None => {}
        }
    }
    replay.events = events;
    Ok(replay)
}

fn live(core: &mut Core, call: &Call<'_>, kind: Kind, event: &Logged) {
    let payload = json!({
        "event_type": event.event_type,
        "event_protocol_version": 4,
        "event": event.event,
    });
    send(core, call, live_type(kind), &payload);
}

fn tell(
    core: &mut Core,
    call: &Call<'_>,
    event_type: &str,
    correlation: &Value,
    events: Vec<Value>,
) {
    let payload = json!({
        "event_type": event_type,
        "correlation_id": correlation,
        "event_protocol_version": 4,
        "events": events,
    });
    send(core, call, SYNC_EVENT, &payload);
}

fn send(core: &mut Core, call: &Call<'_>, message_type: &str, payload: &Value) {
    let header = notification(core.world.ids_mut(), message_type);
    core.sockets.send(call.who.conn_id, header, Bytes::from(payload.to_string()));
}
