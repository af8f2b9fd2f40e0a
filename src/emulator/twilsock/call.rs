//! One request through the socket: who asks for what, and the frame that answers it.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::emulator::defects;
use crate::emulator::hub::{Core, Hub};
use crate::pii::Pii;
use crate::realtime::twilsock::frame::{Header, Method, Status};
use crate::twilio::sid::{ChatServiceSid, UserSid};

/// Who sends the requests.
#[derive(Clone, Debug)]
pub(super) struct SocketCaller {
    pub(super) conn_id: u64,
    pub(super) service: ChatServiceSid,
    pub(super) identity: Pii,
    pub(super) user: UserSid,
}

/// A request, taken apart.
pub(super) struct Call<'a> {
    pub(super) hub: &'a Hub,
    pub(super) who: &'a SocketCaller,
    pub(super) method: &'a str,
    pub(super) query: BTreeMap<String, String>,
    pub(super) body: Value,
    /// Makes a repeat of a write recognisable.
    pub(super) mutation: Option<String>,
}

/// What a request is answered with.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Option<Value>,
}

impl Answer {
    /// A body of JSON.
    pub(super) const fn json(status: u16, body: Value) -> Self {
        Self { status, body: Some(body) }
    }

    /// With the mistake that the emulator makes on purpose.
    pub(super) fn spoilt(mut self, hub: &Hub) -> Self {
        if let Some(body) = &mut self.body {
            defects::spoil_answer(hub.options.defect, &mut self.status, body);
        }
        self
    }
}

/// Puts a reply frame in line.
pub(super) fn reply(core: &mut Core, who: &SocketCaller, id: &str, answer: Answer) {
    let payload = answer.body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
    let reason = StatusCode::from_u16(answer.status).ok().and_then(|code| code.canonical_reason());
    let headers: BTreeMap<String, Value> = [
        ("server".to_owned(), json!("envoy")),
        ("content-type".to_owned(), json!("application/json")),
        ("content-length".to_owned(), json!(payload.len().to_string())),
        ("twilio-request-id".to_owned(), json!(core.world.ids_mut().raw("RQ"))),
    ]
    .into();
    let header = Box::new(Header {
        payload_type: (!payload.is_empty()).then(|| "application/json".to_owned()),
        status: Some(Status::ok()),
        http_headers: Some(headers),
        http_status: Some(Status::new(answer.status, reason.unwrap_or("Unknown"))),
        ..Header::new(Method::Reply, id)
    });
    core.sockets.send(who.conn_id, header, payload);
}
