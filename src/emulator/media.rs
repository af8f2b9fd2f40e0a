//! The media service: files up, records and files down, by plain HTTP outside the socket.
//!
//! Files live in memory, so many and so large as the limits say. Clients bring the access token in
//! `X-Twilio-Token`, servers the account or an API key by basic authentication, as for REST. Source:
//! Conversations protocol notes 5, "Media", read 2026-11-21, for the token; Conversations (classic)
//! Media Resource, "Authentication", read 2026-11-29, for basic authentication.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, header};
use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::json as answer;
use super::faults::{Action, Occasion};
use super::hub::Hub;
use super::rest::fields::Fields;
use super::rest::{ConnectionBroken, auth, cut_off, header_text, respond};
use super::state::model::Media;
use super::state::refusal::Refusal;
use crate::json;
use crate::twilio::access_token;
use crate::twilio::sid::MediaSid;

/// Bytes of one file; the real limit of 150 MB is not needed on one machine.
const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Where files of texts lie open for who knows their sid, as Twilio's own store has them.
pub(super) const STORE: &str = "/media-store";

/// Whether a path is the media service's.
pub(super) fn is_media(path: &str) -> bool {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    matches!(parts.as_slice(), ["v1", "Services", _, "Media" | "MediaSet", ..])
}

/// Answers a request for a file in the open store; faults on requests reach it too.
///
/// # Errors
///
/// If a fault wants the connection broken.
pub(super) async fn stored(
    hub: &Hub,
    method: &Method,
    path: &str,
) -> Result<Response<Body>, ConnectionBroken> {
    let fault = hub.fault(Occasion::Rest(method.as_str(), path));
    let file = match (method, path.trim_start_matches(STORE).strip_prefix('/')) {
        (&Method::GET | &Method::HEAD, Some(sid)) => content(hub, sid),
        _ => answer(404, &json!({"status": 404, "code": 20404})),
    };
    faulty(hub, fault, file).await
}

/// Lets a fault have its way with an answer.
async fn faulty(
    hub: &Hub,
    fault: Option<Action>,
    answer: Response<Body>,
) -> Result<Response<Body>, ConnectionBroken> {
    match fault {
        None => Ok(answer),
        Some(Action::Delay { ms }) => {
            hub.sleep(Duration::from_millis(ms)).await;
            Ok(answer)
        }
        Some(Action::CutOff) => Ok(answer.map(cut_off)),
        Some(fault) => respond(hub, None, Some(fault)).await.map(|(answer, _)| answer),
    }
}

/// Answers a request of the media service; faults on requests reach it too.
///
/// # Errors
///
/// If a fault wants the connection broken.
pub(super) async fn serve(
    hub: &Hub,
    request: Request<Body>,
) -> Result<Response<Body>, ConnectionBroken> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let fault = hub.fault(Occasion::Rest(method.as_str(), &path));
    let is_undone = fault.as_ref().is_some_and(Action::is_instead);
    let answer = if is_undone { answer(204, &json!({})) } else { served(hub, request).await };
    faulty(hub, fault, answer).await
}

async fn served(hub: &Hub, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if parts.method == Method::OPTIONS {
        return allow(answer(200, &json!({})));
    }
    let is_content = parts.uri.path().ends_with("/Content");
    let author = match author(hub, &parts.headers) {
        Ok(author) => author,
        // The content's URL is temporary and needs no token.
        Err(_) if is_content => None,
        Err(refusal) => return allow(refused(refusal)),
    };
    let Ok(bytes) = axum::body::to_bytes(body, FILE_BYTES_MAX).await else {
        return answer(413, &json!({"status": 413, "code": 50512}));
    };
    let segments: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
    let response = match (segments.as_slice(), &parts.method) {
        ([_, _, _, "Media"], &Method::POST) => {
            let query = Fields::parse(parts.uri.query().unwrap_or_default().as_bytes());
            let kind = header_text(&parts.headers, "content-type").unwrap_or_default();
            upload(hub, &query, kind, (author, bytes))
        }
        ([_, _, _, "Media", sid], &Method::GET) => record(hub, sid),
        ([_, _, _, "Media", sid, "Content"], &Method::GET) => content(hub, sid),
        ([_, _, _, "MediaSet"], &Method::POST) => records(hub, &bytes),
        _ => answer(404, &json!({"status": 404, "code": 20404})),
    };
    allow(response)
}

/// Browsers ask another origin for leave first.
fn allow(mut response: Response<Body>) -> Response<Body> {
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-headers", "authorization, x-twilio-token, content-type"),
        ("access-control-allow-methods", "GET, POST, OPTIONS"),
    ] {
        response.headers_mut().insert(name, value.parse().expect("the value is well formed"));
    }
    response
}

/// Why a caller is nobody, with Twilio's code for it.
#[derive(Clone, Copy, Debug)]
enum UnknownCaller {
    /// By its access token, or for want of anything.
    Token,
    /// By its name and password.
    Basic,
}

/// Whose file it becomes: the token's identity; nobody's if a server brings it (assumed).
///
/// What comes with basic authentication stands or falls by it, whatever token is beside (assumed).
fn author(hub: &Hub, headers: &HeaderMap) -> Result<Option<String>, UnknownCaller> {
    if headers.contains_key(header::AUTHORIZATION) {
        return auth::check(&hub.credentials, headers).then_some(None).ok_or(UnknownCaller::Basic);
    }
    let token = header_text(headers, "x-twilio-token").unwrap_or_default();
    let secret_of =
        |key| (key == hub.credentials.api_key).then(|| hub.credentials.api_secret.clone());
    let verified = access_token::verify(&token, hub.clock().wall(), secret_of);
    let grant = verified.map_err(|_| UnknownCaller::Token)?;
    Ok(Some(grant.identity.into_revealed()))
}

fn refused(unknown: UnknownCaller) -> Response<Body> {
    match unknown {
        UnknownCaller::Token => answer(401, &json!({"status": 401, "code": 20101})),
        UnknownCaller::Basic => answer(401, &Refusal::Unauthenticated.body()),
    }
}

fn upload(
    hub: &Hub,
    query: &Fields,
    kind: String,
    (author, bytes): (Option<String>, Bytes),
) -> Response<Body> {
    let stored = hub.with(|core, _| {
        let media = Media {
            sid: core.world.ids_mut().media(),
            category: query.filled("Category").unwrap_or_else(|| "media".to_owned()),
            filename: query.filled("Filename"),
            content_type: kind,
            size: bytes.len(),
        };
        core.keep_file(media.clone(), bytes);
        media
    });
    let mut shown = shape(hub, &stored);
    shown["author"] = json!(author);
    answer(201, &shown)
}

fn record(hub: &Hub, sid: &str) -> Response<Body> {
    match find(hub, sid) {
        Some(media) => answer(200, &shape(hub, &media)),
        None => answer(404, &json!({"status": 404, "code": 20404})),
    }
}

fn records(hub: &Hub, bytes: &[u8]) -> Response<Body> {
    let wanted: Value = json::from_slice(bytes).unwrap_or_default();
    let list = wanted["list"].as_array().map(Vec::as_slice).unwrap_or_default();
    let records: Vec<Value> = list
        .iter()
        .take(hub.options.limits.media_files)
        .filter_map(|one| one["media_sid"].as_str())
        .map(|sid| match find(hub, sid) {
            Some(media) => json!({"code": 200, "media_record": shape(hub, &media)}),
            None => json!({"code": 404, "media_record": null}),
        })
        .collect();
    answer(200, &Value::from(records))
}

fn content(hub: &Hub, sid: &str) -> Response<Body> {
    let found = find(hub, sid)
        .and_then(|media| Some((hub.with(|core, _| core.files.get(&media.sid).cloned())?, media)));
    match found {
        Some((bytes, media)) => {
            let kind = media.content_type.parse();
            let mut response = Response::new(Body::from(bytes));
            if let Ok(kind) = kind {
                response.headers_mut().insert("content-type", kind);
            }
            // Whatever was uploaded, a browser is to show it as nothing but a file.
            let sandbox = "sandbox".parse().expect("the value is well formed");
            response.headers_mut().insert("content-security-policy", sandbox);
            response
        }
        None => answer(404, &json!({"status": 404, "code": 20404})),
    }
}

fn find(hub: &Hub, sid: &str) -> Option<Media> {
    let sid: MediaSid = sid.parse().ok()?;
    hub.with(|core, _| core.world.media(sid).cloned())
}

fn shape(hub: &Hub, media: &Media) -> Value {
    let service = hub.credentials.service_sid;
    let root = hub.urls.conversations.as_str().trim_end_matches('/');
    let url = format!("{root}/v1/Services/{service}/Media/{}", media.sid);
    let now = hub.clock().wall().to_string();
    let links: BTreeMap<&str, String> = [
        ("content", format!("{url}/Content")),
        ("content_direct_temporary", format!("{url}/Content")),
    ]
    .into();
    json!({
        "sid": media.sid,
        "service_sid": service,
        "size": media.size,
        "content_type": media.content_type,
        "filename": media.filename,
        "category": media.category,
        "date_created": now,
        "date_updated": now,
        "url": url,
        "links": links,
    })
}
