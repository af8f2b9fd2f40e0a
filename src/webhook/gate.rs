//! The gate before every door: method, bounds, signature. What each failure is answered with is decided
//! here and in the doors, and nowhere else.
//!
//! The body is read within its bounds; the signature is checked over the raw bytes and the public URL;
//! only then are the fields read, and a [`GateDoor`] makes something of them.

use std::future::Future;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, header, request};
use axum::response::{IntoResponse, Response};

use super::answer::Answer;
use super::intake::{Meta, Unavailable};
use super::options::Options;
use super::refused::{Refused, RefusedCaller};
use super::url::{Hints, called};
use crate::clock::{Clock, Moment};
use crate::http::body::{self, BodyError, Unproven};
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::labels::Known;
use crate::twilio::events::{self, Fields};
use crate::twilio::form::Form;
use crate::twilio::sid::AccountSid;
use crate::twilio::signature::{self, Request as Signed};

/// How long an idempotency token may be; Twilio's are UUIDs.
const TOKEN_BYTES_MAX: usize = 64;

/// How many fields a form may have; Twilio's events have some twenty.
const FIELDS_MAX: usize = 1_000;

/// What all requests share.
pub(super) struct Gate {
    pub(super) options: Options,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    pub(super) refused: Refused,
}

/// What requests come for.
pub(super) trait GateDoor: Send + Sync {
    /// Stands for a request in the counters until it is known what it tells of.
    fn name(&self) -> &'static str;

    /// Makes something of a request that Twilio has signed.
    fn take(&self, gate: &Gate, visit: Visit<'_>) -> impl Future<Output = GateTaken> + Send;
}

/// A request that Twilio has signed.
pub(super) struct Visit<'a> {
    /// Whose it is, and of what.
    pub(super) who: RefusedCaller,
    /// Its line and headers.
    pub(super) head: &'a request::Parts,
    /// What it says.
    pub(super) fields: Fields<'a>,
    /// When it began.
    pub(super) started: Moment,
}

impl Visit<'_> {
    /// Says what it tells of, by a word of a closed set.
    pub(super) fn of(self, kind: &'static str) -> Self {
        Self { who: self.who.with(kind), ..self }
    }
}

/// How a request is answered, and what it told of.
pub(super) struct GateTaken {
    pub(super) answer: Answer,
    pub(super) kind: &'static str,
}

impl Gate {
    /// Answers a request and counts the answer.
    pub(super) async fn handle<D: GateDoor>(&self, request: Request, door: &D) -> Response {
        let started = self.clock.now();
        let GateTaken { answer, kind } = self.admit(request, started, door).await;
        let took = self.clock.now().since(started);
        self.metrics.webhook(answer.outcome(), Known(kind), took);
        answer.into_response()
    }

    async fn admit<D: GateDoor>(&self, request: Request, started: Moment, door: &D) -> GateTaken {
        let refused = |answer| GateTaken { answer, kind: door.name() };
        if !matches!(*request.method(), Method::GET | Method::POST) {
            return refused(Answer::WrongMethod);
        }
        let (head, body) = request.into_parts();
        let unproven = if head.method == Method::GET {
            Ok(Unproven::default())
        } else {
            self.read(&head, body).await
        };
        let unproven = match unproven {
            Ok(unproven) => unproven,
            Err(answer) => return refused(answer),
        };
        let who = RefusedCaller::of(&head.extensions);
        match self.fields(&head, &unproven.bytes, who) {
            Ok(fields) => door.take(self, Visit { who, head: &head, fields, started }).await,
            Err(answer) => refused(answer),
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

    /// Reads the fields once it is certain that Twilio has signed them.
    fn fields<'a>(
        &self,
        head: &'a request::Parts,
        body: &'a Bytes,
        who: RefusedCaller,
    ) -> Result<Fields<'a>, Answer> {
        let content_type = text(&head.headers, header::CONTENT_TYPE.as_str());
        let raw = signature::Body::of(head.method.as_str(), content_type, body);
        // The signature covers a form's pairs, so they are read once, for it and for the event.
        let form = match raw {
            signature::Body::Form(bytes) if has_too_many_fields(bytes) => {
                return Err(Answer::TooLarge);
            }
            signature::Body::Form(bytes) => Some(Form::parse(bytes)),
            signature::Body::None | signature::Body::ReadForm(_) | signature::Body::Other(_) => {
                None
            }
        };
        self.verify(head, who, form.as_ref().map_or(raw, signature::Body::ReadForm))?;
        match form {
            Some(form) => Ok(Fields::of_form(form)),
            None if head.method == Method::GET => {
                Ok(Fields::from_form(head.uri.query().unwrap_or("").as_bytes()))
            }
            None => Fields::from_json(body).map_err(|error| self.malformed(who, &error)),
        }
    }

    fn verify(
        &self,
        head: &request::Parts,
        who: RefusedCaller,
        body: signature::Body<'_>,
    ) -> Result<(), Answer> {
        let headers = &head.headers;
        let trusted = |name| self.options.trust_forwarded.then(|| text(headers, name)).flatten();
        let hints = Hints {
            listener: self.options.listener_scheme,
            host: text(headers, header::HOST.as_str()),
            forwarded_proto: trusted("x-forwarded-proto"),
            forwarded_host: trusted("x-forwarded-host"),
        };
        let path_and_query = head.uri.path_and_query().map_or("/", |written| written.as_str());
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

    /// What is known of a request besides what it tells of.
    pub(super) fn meta(&self, visit: &Visit<'_>) -> Meta {
        let token = text(&visit.head.headers, "i-twilio-idempotency-token")
            .filter(|token| token.len() <= TOKEN_BYTES_MAX)
            .map(str::to_owned);
        Meta { received_at: self.clock.wall(), idempotency_token: token }
    }

    /// Waits until what a request tells of is stored, as long as its sender may have patience.
    pub(super) async fn stored(
        &self,
        visit: &Visit<'_>,
        storing: impl Future<Output = Result<(), Unavailable>> + Send,
    ) -> Result<(), Answer> {
        match tokio::time::timeout(self.patience(visit), storing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.unavailable(visit.who, &Chain(&error).to_string())),
            Err(_) => Err(self.unavailable(visit.who, "storing took too long")),
        }
    }

    fn patience(&self, visit: &Visit<'_>) -> Duration {
        let within = self.clock.now().since(visit.started);
        self.options.answer_within.saturating_sub(within)
    }

    /// Refuses what is another account's.
    pub(super) fn check_account(
        &self,
        who: RefusedCaller,
        account: AccountSid,
    ) -> Result<(), Answer> {
        if account == self.options.account_sid {
            return Ok(());
        }
        self.refused.foreign(who);
        Err(Answer::WrongAccount)
    }

    /// Refuses what cannot be read.
    pub(super) fn malformed(&self, who: RefusedCaller, error: &events::Error) -> Answer {
        self.refused.malformed(who, error);
        Answer::Malformed { field: error.field() }
    }

    /// Refuses what nobody here is set up for, without the setting that is named.
    pub(super) fn not_configured(&self, who: RefusedCaller, needs: &'static str) -> Answer {
        self.refused.not_configured(who, needs);
        Answer::NotConfigured { needs }
    }

    fn unavailable(&self, who: RefusedCaller, cause: &str) -> Answer {
        self.refused.unstored(who, cause);
        Answer::Unavailable
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
