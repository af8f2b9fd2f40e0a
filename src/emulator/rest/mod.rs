//! Twilio's REST APIs: Conversations v1 and the messages of the API of 2010-04-01.
//!
//! One entry, [`serve`]: authenticate, bound and read the body, let a fault have its way, answer,
//! record. What a request means is pure ([`path`], [`fields`], [`page`], [`json`]); what it does goes
//! through the hub. Secrets enter here only to be compared with basic authentication.

mod account;
pub(super) mod auth;
mod conversations;
pub mod fields;
pub mod json;
mod lines;
mod messages;
mod messaging;
pub mod page;
mod participants;
pub mod path;
mod roles;
mod settings;
pub mod text_json;
mod users;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use serde_json::Value;

use self::fields::Fields;
use self::json::View;
use self::path::{Inner, RestResource, Scope};
use super::defects::{self, Defect};
use super::faults::{Action, Occasion};
use super::hub::{Core, Hub};
use super::record::Happening;
use super::state::World;
use super::state::command::{Actor, Command, Outcome};
use super::state::model::{Conversation, Message};
use super::state::refusal::Refusal;
use crate::clock::Timestamp;
use crate::pii::Pii;
use crate::twilio::sid::ChatServiceSid;

/// Bytes of a request body; a 32 KB message in escapes is about 100 KB.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What a request is answered with.
#[derive(Debug)]
pub(super) enum RestReply {
    /// A status and a resource.
    Json(u16, Value),
    /// Nothing, after a removal.
    Empty,
    /// What is asked for is elsewhere.
    Redirect(String),
}

pub(super) type RestAnswered = Result<RestReply, Refusal>;

/// A request with what handlers need of it.
struct RestCall<'a> {
    hub: &'a Hub,
    method: &'a Method,
    form: Fields,
    /// The body as it came, for the few resources that take JSON.
    body: &'a [u8],
    query: Fields,
    /// Whether the caller wants webhooks to fire.
    hooks: bool,
    /// What pages of this list start with.
    path: &'a str,
}

/// Why no answer is given at all: a fault breaks the connection.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a fault breaks the connection")]
pub(super) struct ConnectionBroken;

/// Answers a REST request.
///
/// # Errors
///
/// If a fault wants the connection broken.
pub(super) async fn serve(
    hub: Arc<Hub>,
    request: Request<Body>,
) -> Result<Response<Body>, ConnectionBroken> {
    let started = hub.clock().now();
    let (parts, body) = request.into_parts();
    let (path, method) = (parts.uri.path().to_owned(), parts.method.clone());
    let bytes = axum::body::to_bytes(body, BODY_BYTES_MAX).await;
    let body = bytes.as_deref().unwrap_or_default();
    let content_type = header_text(&parts.headers, "content-type").unwrap_or_default();
    let is_json = content_type.starts_with("application/json");
    let form = if is_json { Fields::default() } else { Fields::parse(body) };
    let fields = form.pairs().to_vec();
    let call = RestCall {
        hub: &hub,
        method: &method,
        form,
        body,
        query: Fields::parse(parts.uri.query().unwrap_or_default().as_bytes()),
        hooks: header_text(&parts.headers, "x-twilio-webhook-enabled").as_deref() == Some("true")
            || hub.has(Defect::LoudRest),
        path: &path,
    };
    let fault = hub.fault(Occasion::Rest(method.as_str(), &path));
    if let Some(Action::Delay { ms }) = fault {
        hub.sleep(Duration::from_millis(ms)).await;
    }
    let answered = match &fault {
        Some(fault) if fault.is_instead() => None,
        Some(_) | None => Some(match &bytes {
            Err(_) => Err(Refusal::TooLarge),
            Ok(_) => match auth::check(&hub.credentials, &parts.headers) {
                false => Err(Refusal::Unauthenticated),
                true => call.answer().await,
            },
        }),
    };
    let response = respond(&hub, answered, fault).await;
    let status = response.as_ref().map(|(response, _)| response.status().as_u16()).ok();
    hub.record(Happening::Rest {
        method: method.to_string(),
        path: Pii::new(path),
        fields,
        status,
        code: response.as_ref().ok().and_then(|(_, code)| *code),
        elapsed_ms: u64::try_from(hub.clock().now().since(started).as_millis()).unwrap_or(u64::MAX),
    });
    response.map(|(response, _)| response)
}

/// What a request is answered with once faults have had their way.
#[derive(Default)]
struct WrittenAnswer {
    status: u16,
    code: Option<u32>,
    body: Option<Value>,
    retry_after: Option<u64>,
    location: Option<String>,
    /// A fault breaks the answer in its middle.
    is_cut: bool,
}

/// Turns what was answered, or a fault, into a response and its error code.
pub(super) async fn respond(
    hub: &Hub,
    answered: Option<RestAnswered>,
    fault: Option<Action>,
) -> Result<(Response<Body>, Option<u32>), ConnectionBroken> {
    let is_cut = matches!(fault, Some(Action::CutOff));
    let mut outcome = match (fault, answered) {
        (Some(Action::Intercept { status }), _) => return Ok((intercepted(status), None)),
        (Some(Action::BreakBefore | Action::BreakAfter), _) => return Err(ConnectionBroken),
        (Some(Action::Silence), _) => {
            hub.stop.cancelled().await;
            return Err(ConnectionBroken);
        }
        (Some(Action::Answer { status, code, retry_after }), _) => {
            let body = Some(fault_body(status, code));
            WrittenAnswer { status, code, body, retry_after, ..WrittenAnswer::default() }
        }
        (Some(Action::AnswerAfter { status, code }), _) => {
            let body = Some(fault_body(status, code));
            WrittenAnswer { status, code, body, ..WrittenAnswer::default() }
        }
        (_, Some(Ok(RestReply::Json(status, body)))) => {
            WrittenAnswer { status, body: Some(body), ..WrittenAnswer::default() }
        }
        (_, Some(Ok(RestReply::Empty)) | None) => {
            WrittenAnswer { status: 204, ..WrittenAnswer::default() }
        }
        (_, Some(Ok(RestReply::Redirect(url)))) => {
            WrittenAnswer { status: 307, location: Some(url), ..WrittenAnswer::default() }
        }
        (_, Some(Err(refusal))) => WrittenAnswer {
            status: refusal.status(),
            code: Some(refusal.code()),
            body: Some(refusal_body(&refusal)),
            ..WrittenAnswer::default()
        },
    };
    if let Some(body) = &mut outcome.body {
        defects::spoil_answer(hub.options.defect, &mut outcome.status, body);
    }
    outcome.is_cut = is_cut;
    let code = outcome.code;
    write(hub, outcome).map(|response| (response, code))
}

fn write(hub: &Hub, outcome: WrittenAnswer) -> Result<Response<Body>, ConnectionBroken> {
    let status = outcome.status;
    let request_id = hub.with(|core, _| core.world.ids_mut().raw("RQ"));
    let mut response = Response::builder()
        .status(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        // Source: REST notes 1, "Answer headers", read 2026-11-21.
        .header("twilio-request-id", request_id)
        .header("twilio-concurrent-requests", "1")
        .header("x-home-region", "us1");
    if let Some(seconds) = outcome.retry_after {
        response = response.header(header::RETRY_AFTER, seconds.to_string());
    }
    if let Some(location) = outcome.location {
        response = response.header(header::LOCATION, location);
    }
    if status == 401 {
        response = response.header(header::WWW_AUTHENTICATE, "Basic realm=\"Twilio API\"");
    }
    let body = match outcome.body.map(|body| body.to_string()) {
        None => Body::empty(),
        Some(body) => {
            response = response
                .header(header::CONTENT_TYPE, "application/json;charset=utf-8")
                .header(header::CONTENT_LENGTH, body.len());
            let body = Body::from(body);
            if outcome.is_cut { cut_off(body) } else { body }
        }
    };
    // Only a redirect's place is not ours to choose; where no header can hold it there is no answer.
    response.body(body).map_err(|_| ConnectionBroken)
}

/// The first half of a body, or as much of it as came in the first part, and then the connection breaks.
pub(super) fn cut_off(body: Body) -> Body {
    use futures::StreamExt as _;
    let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let first = body.into_data_stream().take(1).map(|part| {
        let part = part.map_err(std::io::Error::other)?;
        Ok(part.slice(..part.len() / 2))
    });
    Body::from_stream(first.chain(futures::stream::once(async { Err(broken) })))
}

/// What a proxy answers, without a header or a word of Twilio's.
fn intercepted(status: u16) -> Response<Body> {
    let page = "<html><body><h1>Access denied</h1></body></html>";
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN))
        .header(header::CONTENT_TYPE, "text/html")
        .body(Body::from(page))
        .expect("statuses and header values are well formed")
}

/// Twilio names the path that it does not find.
fn refusal_body(refusal: &Refusal) -> Value {
    refusal.body()
}

pub(super) fn fault_body(status: u16, code: Option<u32>) -> Value {
    let code = code.unwrap_or(match status {
        401 => 20003,
        404 => 20404,
        429 => 20429,
        503 => 20503,
        _ => 20500,
    });
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    serde_json::json!({
        "code": code,
        "message": reason.unwrap_or("Error"),
        "more_info": format!("https://www.twilio.com/docs/errors/{code}"),
        "status": status,
    })
}

pub(super) fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

impl RestCall<'_> {
    async fn answer(&self) -> RestAnswered {
        if self.path.starts_with("/2010-04-01/") {
            return self.messaging().await;
        }
        if let Some(answered) = self.senders() {
            return answered;
        }
        if self.path.starts_with("/v2/") {
            return self.typing();
        }
        if let Some(answered) = self.messaging_services() {
            return answered;
        }
        let segments = path::segments(self.path)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        if let Some(answered) = self.product(&segments) {
            return answered;
        }
        match path::resource(self.path)? {
            RestResource::AccountConfiguration => self.account_configuration(),
            RestResource::AccountWebhooks => self.hook_settings(None),
            RestResource::Addresses => self.addresses(),
            RestResource::Address(sid) => self.address(&sid),
            RestResource::Services => self.services(),
            RestResource::Service(service) => self.service(service),
            RestResource::ServiceConfiguration(service) => self.service_configuration(service),
            RestResource::ServiceWebhooks(service) => self.hook_settings(Some(service)),
            RestResource::Scoped(scope, inner) => self.scoped(scope, inner).await,
        }
    }

    async fn scoped(&self, scope: Scope, inner: Inner) -> RestAnswered {
        let service = self.service_of(scope)?;
        match inner {
            Inner::Conversations => self.conversations(scope, service).await,
            Inner::Conversation(one) => self.conversation(scope, service, &one).await,
            Inner::ConversationWithParticipants => self.with_participants(scope, service).await,
            Inner::ParticipantConversations => self.participant_conversations(scope, service),
            Inner::Participants(of) => self.participants(scope, service, &of).await,
            Inner::Participant(of, one) => self.participant(scope, service, (&of, &one)).await,
            Inner::Messages(of) => self.messages(scope, service, &of).await,
            Inner::Message(of, one) => self.message(scope, service, (&of, &one)).await,
            Inner::Receipts(of, message) => self.receipts(scope, service, (&of, &message)),
            Inner::Receipt(of, message, one) => self.receipt(scope, service, (&of, &message, &one)),
            Inner::Hooks(of) => self.hooks(scope, service, &of),
            Inner::Hook(of, one) => self.hook(scope, service, (&of, &one)),
            Inner::Roles => self.roles(scope, service),
            Inner::Role(one) => self.role(scope, service, &one),
            Inner::Users => self.users(scope, service).await,
            Inner::User(one) => self.user(scope, service, &one).await,
            Inner::UserConversations(user) => self.user_conversations(scope, service, &user),
            Inner::UserConversation(user, of) => {
                self.user_conversation(scope, service, (&user, &of)).await
            }
        }
    }

    /// The service that a path means; it must exist.
    fn service_of(&self, scope: Scope) -> Result<ChatServiceSid, Refusal> {
        self.read(|world| {
            let service = scope.service.unwrap_or_else(|| world.default_service());
            world.find_service(service).map(|service| service.sid)
        })
    }

    fn view(&self, scope: Scope) -> View {
        let root = self.hub.urls.conversations.as_str().trim_end_matches('/');
        let base = match scope.service {
            None => format!("{root}/v1"),
            Some(service) => format!("{root}/v1/Services/{service}"),
        };
        View { account: self.hub.credentials.account_sid, base, service: scope.service }
    }

    /// The view of things that belong to the account.
    fn account_view(&self) -> View {
        self.view(Scope { service: None })
    }

    fn list_place<'k>(&self, key: &'k str, filters: Vec<(&'k str, &'k str)>) -> page::ListUrl<'k> {
        let root = self.hub.urls.conversations.as_str().trim_end_matches('/');
        page::ListUrl { key, url: format!("{root}{}", self.path), filters }
    }

    fn read<T>(&self, read: impl FnOnce(&World) -> Result<T, Refusal>) -> Result<T, Refusal> {
        self.hub.with(|core, _| read(&core.world))
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut Core, Timestamp) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.hub.with(change)
    }

    /// Makes a write as the REST API and shows what came of it.
    async fn perform(&self, scope: Scope, status: u16, command: Command) -> RestAnswered {
        let actor = Actor::Api { hooks: self.hooks };
        let outcome = self.hub.perform(&actor, command).await?;
        let view = self.view(scope);
        let shown = self.read(|world| show(world, &view, outcome))?;
        Ok(shown.map_or(RestReply::Empty, |shown| RestReply::Json(status, shown)))
    }

    /// Holds the form to the fields that the resource has, in strict mode.
    fn allow(&self, form: &[&str]) -> Result<(), Refusal> {
        if self.hub.options.strict { self.form.only(form) } else { Ok(()) }
    }

    /// Holds the query to the filters that the list has, in strict mode.
    fn allow_query(&self, filters: &[&str]) -> Result<(), Refusal> {
        const PAGING: [&str; 3] = ["PageSize", "Page", "PageToken"];
        let known: Vec<&str> = PAGING.iter().chain(filters).copied().collect();
        if self.hub.options.strict { self.query.only(&known) } else { Ok(()) }
    }
}

/// What a write made, as a resource.
fn show(world: &World, view: &View, outcome: Outcome) -> Result<Option<Value>, Refusal> {
    let conversation = |sid| world.conversation(sid).ok_or(Refusal::NotFound);
    Ok(match outcome {
        Outcome::Removed => None,
        Outcome::Conversation(sid) => Some(view.conversation(conversation(sid)?)),
        Outcome::Participant(sid, one) | Outcome::RepeatedParticipant(sid, one) => {
            let of = conversation(sid)?;
            let one = of.participant_by_sid(one).ok_or(Refusal::NotFound)?;
            Some(view.participant(of, one))
        }
        Outcome::Message(sid, one) | Outcome::RepeatedMessage(sid, one) => {
            let (of, one): (&Conversation, &Message) = world.find_message(sid, one)?;
            Some(view.message(of, one))
        }
        Outcome::User(sid) => Some(view.user(world.user(sid).ok_or(Refusal::NotFound)?)),
    })
}
