//! The answers, each with its status, body and place in the counters. No I/O, no time, no secrets.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::telemetry::metrics::labels::WebhookOutcome;

/// How a request is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// Stored.
    Accepted,
    /// Stored, and answered by TwiML that says nothing: any other text would be sent to the writer.
    Silent,
    /// Signed and readable, but of no interest.
    Ignored,
    /// A pre-action event, let through.
    Passed,
    /// Not signed by Twilio.
    InvalidSignature,
    /// Signed, but for another account.
    WrongAccount,
    /// Signed, but unreadable, for want of this field if it is one.
    Malformed { field: Option<&'static str> },
    /// Above the limit.
    TooLarge,
    /// Slower than the limit.
    TooSlow,
    /// Neither GET nor POST.
    WrongMethod,
    /// Signed, but nobody takes it without this setting.
    NotConfigured { needs: &'static str },
    /// Not stored.
    Unavailable,
}

impl Answer {
    /// The answer's place in the counters.
    pub(super) const fn outcome(self) -> WebhookOutcome {
        match self {
            Self::Accepted | Self::Silent => WebhookOutcome::Accepted,
            Self::Ignored => WebhookOutcome::Ignored,
            Self::Passed => WebhookOutcome::Passed,
            Self::InvalidSignature => WebhookOutcome::BadSignature,
            Self::WrongAccount => WebhookOutcome::WrongAccount,
            Self::Malformed { .. } => WebhookOutcome::Malformed,
            Self::TooLarge => WebhookOutcome::TooLarge,
            Self::TooSlow => WebhookOutcome::TooSlow,
            Self::WrongMethod => WebhookOutcome::WrongMethod,
            Self::NotConfigured { .. } => WebhookOutcome::NotConfigured,
            Self::Unavailable => WebhookOutcome::Unavailable,
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Accepted | Self::Silent | Self::Ignored | Self::Passed => StatusCode::OK,
            Self::InvalidSignature | Self::WrongAccount => StatusCode::FORBIDDEN,
            Self::Malformed { .. } => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotConfigured { .. } => StatusCode::NOT_FOUND,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn body(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Accepted | Self::Ignored => r#"{"ok":true}"#,
            Self::Silent => TWIML,
            Self::Passed => "{}",
            Self::InvalidSignature => r#"{"error":"invalid_signature"}"#,
            Self::WrongAccount => r#"{"error":"wrong_account"}"#,
            Self::Malformed { field: Some(field) } => {
                return json!({ "error": "malformed", "field": field }).to_string().into();
            }
            Self::Malformed { field: None } => r#"{"error":"malformed"}"#,
            Self::TooLarge => r#"{"error":"too_large"}"#,
            Self::TooSlow => r#"{"error":"too_slow"}"#,
            Self::WrongMethod => r#"{"error":"method_not_allowed"}"#,
            Self::NotConfigured { needs } => {
                return json!({ "error": "not_configured", "needs": needs }).to_string().into();
            }
            Self::Unavailable => r#"{"error":"unavailable"}"#,
        })
    }
}

/// Says nothing to the writer. Source: TwiML for messaging, "Response", read 2026-11-21.
const TWIML: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Response></Response>"#;

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let kind =
            if self == Self::Silent { "text/xml; charset=utf-8" } else { "application/json" };
        let mut response =
            (self.status(), [(header::CONTENT_TYPE, kind)], self.body()).into_response();
        if self == Self::WrongMethod {
            let allowed = HeaderValue::from_static("GET, POST");
            response.headers_mut().insert(header::ALLOW, allowed);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_the_status_and_body_of_the_table() {
        // Source: BitBrat 0.33.3, `integration-bit.ts`, for 200, 403 and its shape of errors.
        for (answer, status, body) in [
            (Answer::Accepted, 200, r#"{"ok":true}"#),
            (Answer::Ignored, 200, r#"{"ok":true}"#),
            (Answer::Silent, 200, TWIML),
            (Answer::Passed, 200, "{}"),
            (Answer::InvalidSignature, 403, r#"{"error":"invalid_signature"}"#),
            (Answer::WrongAccount, 403, r#"{"error":"wrong_account"}"#),
            (Answer::Malformed { field: None }, 400, r#"{"error":"malformed"}"#),
            (
                Answer::Malformed { field: Some("MessageSid") },
                400,
                r#"{"error":"malformed","field":"MessageSid"}"#,
            ),
            (Answer::TooLarge, 413, r#"{"error":"too_large"}"#),
            (Answer::TooSlow, 408, r#"{"error":"too_slow"}"#),
            (Answer::WrongMethod, 405, r#"{"error":"method_not_allowed"}"#),
            (
                Answer::NotConfigured { needs: "TWILIO_X" },
                404,
                r#"{"error":"not_configured","needs":"TWILIO_X"}"#,
            ),
            (Answer::Unavailable, 503, r#"{"error":"unavailable"}"#),
        ] {
            assert_eq!((answer.status().as_u16(), &*answer.body()), (status, body), "{answer:?}");
        }
    }
}
