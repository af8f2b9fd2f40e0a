//! The debug pages: Twilio, settings, instance and connectors, in BitBrat's shapes.
//!
//! They show sids, states and counts, and settings with secrets masked; never a phone number, a
//! friendly name or a text. Still they are the operator's, who may call is [`super::access`]'s matter.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use super::insight::{Connector, Shared};

/// Conversations that a page lists at most; the total is shown beside them.
pub(super) const CONVERSATIONS_SHOWN_MAX: usize = 1_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot<'a> {
    state: &'static str,
    identity: &'a str,
    id: &'a str,
    display_name: &'a str,
    last_message_at: Option<String>,
    last_error: Option<Value>,
    counters: Value,
    conversations: Vec<Value>,
    conversations_total: usize,
}

fn snapshot(connector: &Connector) -> Snapshot<'_> {
    let identity = connector.identity.as_str();
    let counters = connector.counters;
    let shown = connector.conversations.iter().take(CONVERSATIONS_SHOWN_MAX);
    Snapshot {
        state: connector.state.as_str(),
        identity,
        id: identity,
        display_name: identity,
        last_message_at: connector.last_message_at.map(|at| at.to_string()),
        last_error: connector.last_error.as_ref().map(|error| json!({ "message": error })),
        counters: json!({
            "received": counters.received,
            "published": counters.published,
            "failed": counters.failed,
        }),
        conversations: shown
            .map(|seat| json!({ "sid": seat.sid, "status": seat.status, "friendlyName": null }))
            .collect(),
        conversations_total: connector.conversations.len(),
    }
}

pub(super) async fn twilio(State(options): State<Shared>) -> Response {
    match options.insight.twilio() {
        Some(connector) => Json(snapshot(&connector)).into_response(),
        None => unknown("twilio"),
    }
}

pub(super) async fn unknown_platform(Path(platform): Path<String>) -> Response {
    unknown(&platform)
}

fn unknown(platform: &str) -> Response {
    let body = json!({ "error": "unknown_platform", "platform": platform });
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

pub(super) async fn config(State(options): State<Shared>) -> Response {
    let config: BTreeMap<&str, Option<&str>> = options
        .effective
        .iter()
        .map(|effective| (&*effective.key, effective.shown.as_deref()))
        .collect();
    let origins: BTreeMap<&str, String> = options
        .effective
        .iter()
        .map(|effective| (&*effective.key, effective.origin.to_string()))
        .collect();
    Json(json!({
        "service": options.service,
        "config": config,
        "requiredEnv": options.required_variables,
        "origins": origins,
    }))
    .into_response()
}

pub(super) async fn instance(State(options): State<Shared>) -> Response {
    let is_enabled = options.insight.twilio().is_some();
    Json(json!({
        "serviceName": options.service,
        "instanceId": options.instance_id,
        // Without a bus there is none: replies come back as the agent's answer.
        "egressTopic": options.egress_topic,
        "connectorCount": 1,
        "connectors": [{ "name": "twilio", "enabled": is_enabled }],
        "version": env!("CARGO_PKG_VERSION"),
        "cluster": options.insight.cluster().map(|cluster| json!({
            "instance": cluster.instance,
            "instances": cluster.instances,
            "connected": cluster.is_connected,
            "held": cluster.held,
        })),
    }))
    .into_response()
}

pub(super) async fn connectors(State(options): State<Shared>) -> Response {
    let Some(connector) = options.insight.twilio() else {
        return Json(json!({ "connectors": {} })).into_response();
    };
    #[derive(Serialize)]
    struct Started<'a> {
        #[serde(flatten)]
        snapshot: Snapshot<'a>,
        started: bool,
    }
    let twilio = Started { snapshot: snapshot(&connector), started: true };
    Json(json!({ "connectors": { "twilio": twilio } })).into_response()
}
