//! The steps of one request; what each failure is answered with is decided here and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header, request};
use axum::response::{IntoResponse, Response};
use tracing::{Instrument as _, Span};

use super::answer::Answer;
use super::intake::{Intake, Meta};
use super::options::Options;
use super::refused::{Refused, Who};
use super::url::{Hints, called};
use crate::clock::{Clock, Moment};
use crate::http::body::{self, BodyError, Unproven};
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::labels::Known;
use crate::telemetry::trace::TraceContext;
use crate::twilio::events::{self, Event, EventType, Fields, Phase};
use crate::twilio::form::Form;
use crate::twilio::signature::{self, Request as Signed};

/// How long an idempotency token may be; Twilio's are UUIDs.
const TOKEN_BYTES_MAX: usize = 64;

/// How many fields a form may have; Twilio's events have some twenty.
const FIELDS_MAX: usize = 1_000;

/// What all requests share.
pub(super) struct Room {
    pub(super) options: Options,
    pub(super) intake: Arc<dyn Intake>,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    pub(super) refused: Refused,
}

/// Answers a request and counts the answer.
pub(super) async fn handle(State(room): State<Arc<Room>>, request: Request) -> Response {
    let started = room.clock.now();
    let (answer, event_type) = room.answer(request, started).await;
    let took = room.clock.now().since(started);
    let name = event_type.map_or(Known::UNKNOWN, |event_type| Known(event_type.as_str()));
    room.metrics.webhook(answer.outcome(), name, took);
    answer.into_response()
}

impl Room {
    async fn answer(&self, request: Request, started: Moment) -> (Answer, Option<EventType>) {
        if !matches!(*request.method(), Method::GET | Method::POST) {
            return (Answer::WrongMethod, None);
        }
        let (parts, body) = request.into_parts();
        let unproven = if parts.method == Method::GET {
            Ok(Unproven::default())
        } else {
            self.read(&parts, body).await
        };
        let unproven = match unproven {
            Ok(unproven) => unproven,
            Err(answer) => return (answer, None),
        };
        let body = &unproven.bytes;
        let content_type = text(&parts.headers, header::CONTENT_TYPE.as_str());
        let raw = signature::Body::of(parts.method.as_str(), content_type, body);
        // The signature covers a form's pairs, so they are read once, for it and for the event.
        let form = match raw {
            signature::Body::Form(bytes) if has_too_many_fields(bytes) => {
                return (Answer::TooLarge, None);
            }
            signature::Body::Form(bytes) => Some(Form::parse(bytes)),
            signature::Body::None | signature::Body::ReadForm(_) | signature::Body::Other(_) => {
                None
            }
        };
        let who = Who::of(&parts.extensions);
        let signed = form.as_ref().map_or(raw, signature::Body::ReadForm);
        if let Err(answer) = self.verify(&parts, who, signed) {
            return (answer, None);
        }
        let fields = match form {
            Some(form) => Fields::of_form(form),
            None if parts.method == Method::GET => {
                Fields::from_form(parts.uri.query().unwrap_or("").as_bytes())
            }
            None => match Fields::from_json(body) {
                Ok(fields) => fields,
                Err(error) => return (self.malformed(who, &error), None),
            },
        };
        match EventType::of(&fields) {
            Err(error) => (self.malformed(who, &error), None),
            Ok(event_type) if event_type.phase() == Phase::Pre => {
                (Answer::Passed, Some(event_type))
            }
            Ok(event_type) => {
                let meta = self.meta(&parts.headers);
                let within = self.clock.now().since(started);
                let patience = self.options.answer_within.saturating_sub(within);
                (self.take(who.with(event_type), &fields, meta, patience).await, Some(event_type))
            }
        }
    }

    async fn read(&self, head: &request::Parts, body: Body) -> Result<Unproven, Answer> {
        let Options { body_bytes_max: bytes_max, read_timeout: within, .. } = self.options;
        body::read(head, body, body::Limits { bytes_max, within }).await.map_err(|error| {
            match error {
                BodyError::TooLarge => Answer::TooLarge,
                BodyError::TooSlow => Answer::TooSlow,
                BodyError::NoRoom => Answer::Unavailable,
                // The sender broke off; nobody hears the answer.
                BodyError::Broken => Answer::Malformed { field: None },
            }
        })
    }

    fn verify(
        &self,
        parts: &request::Parts,
        who: Who,
        body: signature::Body<'_>,
    ) -> Result<(), Answer> {
        let headers = &parts.headers;
        let trusted = |name| self.options.trust_forwarded.then(|| text(headers, name)).flatten();
        let hints = Hints {
            listener: self.options.listener_scheme,
            host: text(headers, header::HOST.as_str()),
            forwarded_proto: trusted("x-forwarded-proto"),
            forwarded_host: trusted("x-forwarded-host"),
        };
        let path_and_query = parts.uri.path_and_query().map_or("/", |written| written.as_str());
        let Options { public_base, nameable, .. } = &self.options;
        let url = called(public_base.as_ref(), nameable, hints, path_and_query);
        let url = url.map_err(|error| {
            self.refused.unknown(who, &error);
            Answer::InvalidSignature
        })?;
        let request = Signed {
            url: &url,
            body,
            signatures: &values(headers, signature::HEADER),
            settings: &values(headers, signature::SETTINGS_HEADER),
        };
        signature::verify(&self.options.keys, &request).map_err(|error| {
            self.refused.unsigned(who, &error);
            Answer::InvalidSignature
        })
    }

    fn meta(&self, headers: &HeaderMap) -> Meta {
        let token = text(headers, "i-twilio-idempotency-token")
            .filter(|token| token.len() <= TOKEN_BYTES_MAX)
            .map(str::to_owned);
        Meta { received_at: self.clock.wall(), idempotency_token: token }
    }

    async fn take(&self, who: Who, fields: &Fields<'_>, meta: Meta, patience: Duration) -> Answer {
        let envelope = match events::decode(fields) {
            Ok(envelope) => envelope,
            Err(error) => return self.malformed(who, &error),
        };
        if envelope.account_sid != self.options.account_sid {
            self.refused.foreign(who);
            return Answer::WrongAccount;
        }
        let ours = self.options.chat_service_sid;
        if ours.is_some() && envelope.chat_service_sid.is_some_and(|sid| Some(sid) != ours) {
            tracing::debug!(event_type = who.event_type, "ignored another chat service's event");
            return Answer::Ignored;
        }
        if let Event::Unknown { .. } = envelope.event {
            tracing::debug!(event_type = who.event_type, "ignored an event of unknown type");
            return Answer::Ignored;
        }
        let span = way(&envelope.event).map(|way| way.span("webhook"));
        let storing = async {
            match tokio::time::timeout(patience, self.intake.take(envelope, meta)).await {
                Ok(Ok(())) => Answer::Accepted,
                Ok(Err(error)) => self.unavailable(who, &Chain(&error).to_string()),
                Err(_) => self.unavailable(who, "storing took too long"),
            }
        };
        storing.instrument(span.unwrap_or_else(Span::none)).await
    }

    fn malformed(&self, who: Who, error: &events::Error) -> Answer {
        self.refused.malformed(who, error);
        Answer::Malformed { field: error.field() }
    }

    fn unavailable(&self, who: Who, cause: &str) -> Answer {
        self.refused.unstored(who, cause);
        Answer::Unavailable
    }
}

/// Whose way an event is on, for the events that are acted on.
fn way(event: &Event) -> Option<TraceContext> {
    match event {
        Event::ConversationAdded(conversation) => {
            Some(TraceContext::of_thread(conversation.conversation_sid))
        }
        Event::ConversationStateUpdated(change) => {
            Some(TraceContext::of_thread(change.conversation_sid))
        }
        Event::MessageAdded(message) => Some(TraceContext::of_message(
            message.conversation_sid.into(),
            message.message_sid.into(),
            message.index,
        )),
        _ => None,
    }
}

/// Whether a form has more fields than are sorted and signed for anybody.
fn has_too_many_fields(form: &[u8]) -> bool {
    form.split(|byte| *byte == b'&').nth(FIELDS_MAX).is_some()
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn values<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h [u8]> {
    headers.get_all(name).iter().map(|value| value.as_bytes()).collect()
}
