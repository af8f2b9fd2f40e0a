//! The control API: JSON over HTTP below `/_emulator`, for tests in other languages, for the command
//! line and for the phone page.
//!
//! | request | does |
//! | --- | --- |
//! | `GET /info` | URLs, credentials and service, as printed at the start |
//! | `POST /inbound` | a phone writes: `{"from","to","body"}`; with `"others":[…]` a group MMS |
//! | `POST /texts` | somebody texts: `{"from","to","body"}`, with `media` and `extras` |
//! | `GET /texts?to=&from=&limit=` | texts that came in and were sent |
//! | `POST /text-status` | moves a text on: `{"sid","status","error_code"}` |
//! | `GET`/`POST /numbers`, `DELETE /numbers/{address}` | the account's numbers with their webhooks |
//! | `GET`/`POST /messaging-services` | messaging services |
//! | `POST /templates` | a template's text: `{"sid","text"}` |
//! | `POST /jump` | lets time jump: `{"seconds"}` |
//! | `GET /conversations`, `/conversations/{CH}` | what Twilio holds |
//! | `GET /records?after=N` | what happened; `GET /events` the same as it happens (SSE) |
//! | `GET`/`POST`/`DELETE /faults`, `DELETE /faults/{id}` | faults |
//! | `GET`/`POST /sockets` | who is connected; orders: `{"do":"drop","identity"}` |
//! | `GET`/`POST /limits` | limits |
//! | `POST /webhook` | where the service's webhooks go |
//! | `POST /webhook-again` | sends a webhook once more: `{"delivery_id"}` |
//! | `POST /messaging-webhook` | the number's own webhook: `{"url"}` |
//! | `POST /delivery` | moves a message's delivery on |
//! | `POST /trailing-crlf` | `{"on":true}` |
//! | `POST /snapshot` | writes the snapshot now, if one is kept |
//! | `POST /reset` | forgets everything |
//! | `GET /dump` | everything at once |
//!
//! Writes must come as `application/json`, so that no web page of another origin can make them
//! without being asked first.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, Response};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::{BASE, Control, SocketOrder, Webhook, text_api};
use crate::emulator::answer::json as answered;
use crate::emulator::hub::Hub;
use crate::emulator::record::Record;
use crate::emulator::rest::fields::Fields;
use crate::emulator::rest::json::{View, time};
use crate::emulator::rest::path::decode;
use crate::emulator::state::model::{Conversation, DeliveryStatus};
use crate::emulator::state::refusal::Refusal;
use crate::emulator::state::{Inbound, World};
use crate::json;
use crate::pii::Pii;
use crate::twilio::sid::ConversationSid;

/// Bytes of a request.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// How often a silent event stream says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("there is no such control")]
    NotFound,
    #[error("the body must be application/json")]
    NotJson,
    #[error("the body cannot be read")]
    Body(#[source] serde_json::Error),
    #[error("the body is too large")]
    TooLarge,
    #[error(
        "there is no such webhook among the newest 200 post-action ones, which alone can be sent again; \
         `GET /records` names them by `delivery_id`"
    )]
    NotSentAgain,
    #[error(transparent)]
    Fault(#[from] crate::emulator::faults::Error),
    #[error(transparent)]
    Snapshot(#[from] crate::emulator::SnapshotError),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Error {
    const fn status(&self) -> u16 {
        match self {
            Self::NotFound | Self::NotSentAgain => 404,
            Self::NotJson => 415,
            Self::Body(_) | Self::Fault(_) => 400,
            Self::TooLarge => 413,
            Self::Snapshot(_) => 500,
            Self::Refused(refusal) => refusal.status(),
        }
    }
}

/// Answers a control request.
pub(in crate::emulator) async fn serve(hub: Arc<Hub>, request: Request<Body>) -> Response<Body> {
    let control = Control { hub };
    let path = request.uri().path().strip_prefix(BASE).unwrap_or_default().to_owned();
    if path == "/events" && request.method() == Method::GET {
        return events(&control);
    }
    match answer(&control, &path, request).await {
        Ok(body) => answered(200, &body),
        Err(error) => {
            let mut body = json!({"error": chain(&error)});
            if let Error::Refused(refusal) = &error {
                body["code"] = json!(refusal.code());
            }
            answered(error.status(), &body)
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

async fn answer(control: &Control, path: &str, request: Request<Body>) -> Result<Value, Error> {
    let (parts, body) = request.into_parts();
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let query = Fields::parse(parts.uri.query().unwrap_or_default().as_bytes());
    if parts.method == Method::POST {
        let kind = parts.headers.get("content-type").and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("application/json")) {
            return Err(Error::NotJson);
        }
        let bytes =
            axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| Error::TooLarge)?;
        return write(control, &segments, &bytes).await;
    }
    if parts.method == Method::DELETE {
        return remove(control, &segments);
    }
    read(control, &segments, &query)
}

fn read(control: &Control, segments: &[&str], query: &Fields) -> Result<Value, Error> {
    match segments {
        ["info"] => Ok(super::super::info(&control.hub.urls, &control.hub.credentials)),
        ["conversations"] => Ok(control.hub.with(|core, _| conversations(&core.world))),
        ["conversations", sid] => {
            let sid: ConversationSid = sid.parse().map_err(|_| Error::NotFound)?;
            control.hub.with(|core, _| {
                let of = core.world.conversation(sid).ok_or(Error::NotFound)?;
                Ok(whole(control, of))
            })
        }
        ["records"] => {
            let after = query.parsed("after")?.unwrap_or(0);
            Ok(json!({"records": control.records(after)}))
        }
        ["texts"] => Ok(text_api::texts(control, query)?),
        ["numbers"] => Ok(json!({"numbers": control.numbers()})),
        ["messaging-services"] => Ok(json!({"messaging_services": control.messaging_services()})),
        ["faults"] => Ok(json!({"faults": control.faults()})),
        ["sockets"] => Ok(sockets(control)),
        ["limits"] => Ok(json!(control.limits())),
        ["account"] => Ok(json!(control.account())),
        ["dump"] => dump(control),
        _ => Err(Error::NotFound),
    }
}

async fn write(control: &Control, segments: &[&str], bytes: &[u8]) -> Result<Value, Error> {
    match segments {
        ["inbound"] => inbound(control, parse(bytes)?).await,
        ["texts"] => Ok(text_api::text(control, parse(bytes)?).await?),
        ["text-status"] => Ok(text_api::move_on(control, &parse(bytes)?)?),
        ["numbers"] => {
            control.set_number(parse(bytes)?)?;
            Ok(json!({"numbers": control.numbers()}))
        }
        ["messaging-services"] => Ok(json!({"sid": control.set_messaging_service(parse(bytes)?)?})),
        ["templates"] => Ok(text_api::template(control, &parse(bytes)?)?),
        ["jump"] => {
            let jump: text_api::Jump = parse(bytes)?;
            control.jump(Duration::from_secs(jump.seconds.into()));
            Ok(json!({"seconds": jump.seconds}))
        }
        ["faults"] => Ok(json!({"id": control.add_fault(parse(bytes)?)?})),
        ["sockets"] => {
            let identity = parse::<Value>(bytes)?["identity"].as_str().map(str::to_owned);
            let order: SocketOrder = parse(bytes)?;
            Ok(json!({"sockets": control.sockets(identity.as_deref(), &order)}))
        }
        ["limits"] => {
            let mut limits: Map<String, Value> = parse(bytes)?;
            limits.retain(|_, limit| !limit.is_null());
            control.set_limits(serde_json::from_value(limits.into()).map_err(Error::Body)?);
            Ok(json!(control.limits()))
        }
        ["account"] => {
            control.set_account(parse(bytes)?);
            Ok(json!(control.account()))
        }
        ["webhook"] => {
            let webhook: Webhook = parse(bytes)?;
            control.set_webhook(webhook.clone());
            Ok(json!(webhook))
        }
        ["webhook-again"] => {
            let again: WebhookAgain = parse(bytes)?;
            let is_sent = control.send_again(&again.delivery_id);
            is_sent.then(|| json!({})).ok_or(Error::NotSentAgain)
        }
        ["messaging-webhook"] => {
            let url = parse::<Value>(bytes)?["url"].as_str().map(str::to_owned);
            control.set_messaging_webhook(url.clone());
            Ok(json!({"url": url}))
        }
        ["delivery"] => delivery(control, &parse(bytes)?),
        ["trailing-crlf"] => {
            let on = parse::<Value>(bytes)?["on"].as_bool().unwrap_or(true);
            control.set_trailing_crlf(on);
            Ok(json!({"on": on}))
        }
        ["snapshot"] => Ok(json!({"saved": control.save().await?})),
        ["reset"] => {
            control.reset();
            Ok(json!({}))
        }
        _ => Err(Error::NotFound),
    }
}

fn remove(control: &Control, segments: &[&str]) -> Result<Value, Error> {
    match segments {
        ["faults"] => {
            control.clear_faults();
            Ok(json!({}))
        }
        ["faults", id] => {
            let id = id.parse().map_err(|_| Error::NotFound)?;
            control.remove_fault(id).then(|| json!({})).ok_or(Error::NotFound)
        }
        ["numbers", address] => {
            let address = decode(address)?;
            control.remove_number(&address).then(|| json!({})).ok_or(Error::NotFound)
        }
        _ => Err(Error::NotFound),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    json::from_slice(bytes).map_err(Error::Body)
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhookAgain {
    delivery_id: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct InboundBody {
    from: Pii,
    to: Pii,
    #[serde(default, deserialize_with = "json::null_as_default")]
    others: Vec<Pii>,
    #[serde(default)]
    body: Option<Pii>,
}

async fn inbound(control: &Control, body: InboundBody) -> Result<Value, Error> {
    let inbound = Inbound::new(body.from, body.to, body.body)?.with_others(body.others)?;
    Ok(text_api::received(control.receive(inbound).await?))
}

fn delivery(control: &Control, body: &Value) -> Result<Value, Error> {
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let delivery = (
        text("conversation_sid").parse().map_err(|_| Error::NotFound)?,
        text("message_sid").parse().map_err(|_| Error::NotFound)?,
        text("participant_sid").parse().map_err(|_| Error::NotFound)?,
    );
    let status = DeliveryStatus::from_word(text("status"))
        .ok_or(Error::Refused(Refusal::ParameterInvalid("status")))?;
    let code = body["error_code"].as_u64().and_then(|code| u32::try_from(code).ok());
    Ok(json!({"changed": control.deliver(delivery, status, code)?}))
}

fn sockets(control: &Control) -> Value {
    let list: Vec<Value> = control.hub.with(|core, _| {
        core.sockets
            .list()
            .map(|(conn_id, identity, subscriptions)| {
                json!({
                    "conn_id": conn_id,
                    "identity": identity.map(Pii::reveal),
                    "subscriptions": subscriptions,
                })
            })
            .collect()
    });
    json!({"sockets": list})
}

fn conversations(world: &World) -> Value {
    let list: Vec<Value> = world
        .all_conversations()
        .map(|of| {
            json!({
                "sid": of.sid,
                "friendly_name": of.friendly_name,
                "state": of.state.as_str(),
                "participants": of.participants.len(),
                "messages": of.messages.len(),
                "date_updated": time(of.updated),
            })
        })
        .collect();
    json!({"conversations": list})
}

/// A conversation with all participants, messages and receipts.
fn whole(control: &Control, of: &Conversation) -> Value {
    let root = control.hub.urls.conversations.as_str().trim_end_matches('/');
    let view = View {
        account: control.hub.credentials.account_sid,
        base: format!("{root}/v1"),
        service: Some(of.service),
    };
    let mut shown = view.conversation(of);
    shown["participants"] = of.participants.values().map(|one| view.participant(of, one)).collect();
    shown["messages"] = of
        .messages
        .values()
        .map(|message| {
            let mut shown = view.message(of, message);
            shown["receipts"] =
                message.receipts.iter().map(|one| view.receipt(of, message, one)).collect();
            shown
        })
        .collect();
    shown
}

fn dump(control: &Control) -> Result<Value, Error> {
    let conversations: Vec<Value> = control
        .hub
        .with(|core, _| core.world.all_conversations().map(|of| whole(control, of)).collect());
    let texts = text_api::texts(control, &Fields::default())?;
    Ok(json!({
        "conversations": conversations,
        "texts": texts["texts"],
        "faults": control.faults(),
        "records": control.records(0),
    }))
}

/// What happens, as server-sent events; the id of each is its number.
fn events(control: &Control) -> Response<Body> {
    let watching = (control.watch(), control.hub.stop.clone());
    // Something at once, so that whoever listens knows that nothing is missed from here on.
    let hello = futures::stream::once(async { Ok(Bytes::from(": hello\n\n")) });
    let stream = futures::stream::unfold(watching, |(mut records, stop)| async move {
        let piece = tokio::select! {
            () = stop.cancelled() => return None,
            record = records.recv() => match record {
                Ok(record) => event(&record),
                // Too slow: whoever listens reads everything anew.
                Err(RecvError::Lagged(_)) => "event: lagged\ndata: {}\n\n".to_owned(),
                Err(RecvError::Closed) => return None,
            },
            () = tokio::time::sleep(KEEP_ALIVE) => ": alive\n\n".to_owned(),
        };
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(piece)), (records, stop)))
    });
    let stream = futures::StreamExt::chain(hello, stream);
    Response::builder()
        .header("content-type", "text/event-stream")
        .header("cache-control", "no-store")
        .body(Body::from_stream(stream))
        .expect("the header values are well formed")
}

fn event(record: &Record) -> String {
    let data = serde_json::to_string(record).unwrap_or_default();
    format!("id: {}\ndata: {data}\n\n", record.seq)
}
