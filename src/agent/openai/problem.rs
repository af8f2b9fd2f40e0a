//! What a model server's error means: for the turn, or for our configuration. Pure.
//!
//! Servers agree on `{"error":{"message","type","param","code"}}` and on little within it: a code may be
//! a word, a number or `null`, and an overflow may be told by words alone. Words of an error are looked
//! at and never passed on, since some servers repeat in them what people wrote.

use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::json::from_slice;
use crate::net::http::{RETRY_AFTER_MAX, retry_after};

/// What an error means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Problem {
    /// The request is longer than the model takes.
    Overflow,
    /// Every request will fail until somebody changes something.
    Configuration(Remedy),
    /// A filter has held the question or the answer back.
    Filtered,
    /// What the status says.
    Status(u16),
}

/// What cures a wrong configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Remedy {
    /// The key is wrong, or is not there.
    Key,
    /// The key may not do this.
    Permission,
    /// The account has no credit left.
    Credit,
    /// There is no such model, or nothing at all at this place.
    Model,
    /// A parameter is not one that the model takes.
    Parameter,
    /// Somebody else answers at this place.
    Place,
}

impl Remedy {
    /// What to do, in words for the operator.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "set OPENAI_API_KEY to a key that it takes",
            Self::Permission => "give the key the right to use the model of CHIMEIN_OPENAI_MODEL",
            Self::Credit => "the account has no credit left, so add some or raise its limit",
            Self::Model => "check CHIMEIN_OPENAI_MODEL, and the path of OPENAI_BASE_URL",
            Self::Place => "check OPENAI_BASE_URL, and the proxy if there is one",
            Self::Parameter => {
                "the model does not take one of CHIMEIN_OPENAI_MAX_TOKENS, \
                 CHIMEIN_OPENAI_TOKEN_PARAMETER and CHIMEIN_OPENAI_TEMPERATURE"
            }
        }
    }
}

/// Codes and types of an account without credit. Source: developersdigest.tech, "OpenAI API", on 429, read
/// 2026-11-29. Assumed: the last two.
const NO_CREDIT: &[&str] = &[
    "insufficient_quota",
    "credit_balance_exhausted",
    "billing_hard_limit_reached",
    "billing_not_active",
];
/// Codes and types of a request that is too long. Source: chat-code issue 17, which quotes OpenAI's answer;
/// llama.cpp pull request 15780; both read 2026-11-29.
const TOO_LONG: &[&str] = &["context_length_exceeded", "exceed_context_size_error"];
/// Words of an error without such a code, in small letters. Source: vLLM issue 20409 (the first), llama.cpp
/// issue 19774 (the next two), llama-cpp-python issue 416, an answer of LiteLLM; all read 2026-11-29.
const TOO_LONG_WORDS: &[&str] = &[
    "maximum context length",
    "available context size",
    "context size has been exceeded",
    "exceed context window",
    "contextwindowexceeded",
];
/// Codes of what a filter refused. Source: developersdigest.tech, "Azure OpenAI errors", read 2026-11-29.
/// Assumed: the last one.
const FILTERED: &[&str] = &["content_filter", "content_policy_violation"];
/// Codes of a parameter that the model does not take. Source: clarity-agent issue 59, which quotes
/// OpenAI's answer, read 2026-11-29. Assumed: the last two.
const PARAMETERS: &[&str] = &["unsupported_parameter", "unsupported_value", "unknown_parameter"];

/// Judges the body of an answer with a status that is no success.
pub(super) fn of_answer(status: u16, body: &[u8]) -> Problem {
    let whole: Option<Value> = from_slice(body).ok();
    // Some servers put the one error into a list.
    let whole = match whole {
        Some(Value::Array(mut list)) if !list.is_empty() => Some(list.swap_remove(0)),
        whole => whole,
    };
    let error = whole.map(|mut whole| match whole.get_mut("error") {
        Some(error) => error.take(),
        None => whole,
    });
    judge(status, error)
}

/// Judges an error that came in a stream which had begun well.
pub(super) fn in_stream(error: Value) -> Problem {
    let status = error.get("code").and_then(Value::as_u64);
    let status = status.and_then(|code| u16::try_from(code).ok());
    judge(status.filter(|status| (400..=599).contains(status)).unwrap_or(500), Some(error))
}

fn judge(status: u16, error: Option<Value>) -> Problem {
    // Some servers write the words alone.
    let error = match error {
        Some(Value::String(text)) => json!({ "message": text }),
        error => error.unwrap_or_default(),
    };
    let word = |name: &str| {
        error.get(name).and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase()
    };
    let (code, kind, message) = (word("code"), word("type"), word("message"));
    let is_any = |words: &[&str]| words.iter().any(|word| *word == code || *word == kind);
    if is_any(NO_CREDIT) {
        return Problem::Configuration(Remedy::Credit);
    }
    if is_any(TOO_LONG) || TOO_LONG_WORDS.iter().any(|words| message.contains(words)) {
        return Problem::Overflow;
    }
    if is_any(FILTERED) {
        return Problem::Filtered;
    }
    match status {
        400 | 422 if is_any(PARAMETERS) => Problem::Configuration(Remedy::Parameter),
        400 if is_any(&["model_not_found"]) => Problem::Configuration(Remedy::Model),
        401 => Problem::Configuration(Remedy::Key),
        402 => Problem::Configuration(Remedy::Credit),
        403 => Problem::Configuration(Remedy::Permission),
        404 => Problem::Configuration(Remedy::Model),
        300..=399 | 405 | 407 => Problem::Configuration(Remedy::Place),
        status => Problem::Status(status),
    }
}

/// For how long the server wants to be left alone: in milliseconds if it says so, else as RFC 9110 has it.
///
/// Source: openai-python issue 957, on `retry-after-ms`, read 2026-11-29.
pub(super) fn asked_pause(
    millis: Option<&str>,
    plain: Option<&str>,
    now: Timestamp,
) -> Option<Duration> {
    let millis = millis.and_then(|text| text.trim().parse::<f64>().ok());
    let millis = millis.and_then(|millis| Duration::try_from_secs_f64(millis / 1000.0).ok());
    millis.map(|wait| wait.min(RETRY_AFTER_MAX)).or_else(|| retry_after(plain?, now))
}

#[cfg(test)]
mod tests {
    use super::Problem::{Configuration, Filtered, Overflow, Status};
    use super::*;

    #[test]
    fn errors_are_told_apart_as_servers_write_them() {
        for (status, body, expected) in WRITTEN {
            assert_eq!(of_answer(*status, body.as_bytes()), *expected, "{status} {body}");
        }
    }

    #[test]
    fn an_error_in_a_stream_has_the_status_that_it_names() {
        for (error, expected) in [
            (r#"{"message":"EngineCore died","type":"InternalServerError","code":500}"#, 500),
            (r#"{"message":"slow down","code":429}"#, 429),
            (r#"{"message":"?","code":200}"#, 500),
            (r#"{"message":"?","code":"server_error"}"#, 500),
            (r#""out of memory""#, 500),
        ] {
            let value = serde_json::from_str(error).unwrap();
            assert_eq!(in_stream(value), Problem::Status(expected), "{error}");
        }
    }

    #[test]
    fn milliseconds_go_before_seconds() {
        let now = Timestamp::from_millis(0);
        for (millis, plain, expected) in [
            (Some("250"), Some("9"), Some(Duration::from_millis(250))),
            (Some("1500.5"), None, Some(Duration::from_micros(1_500_500))),
            (Some("soon"), Some("9"), Some(Duration::from_secs(9))),
            (Some("-1"), None, None),
            (Some("1e300"), None, None),
            (Some("99999999999"), None, Some(RETRY_AFTER_MAX)),
            (None, None, None),
        ] {
            assert_eq!(asked_pause(millis, plain, now), expected, "{millis:?} {plain:?}");
        }
    }

    const WRITTEN: &[(u16, &str, Problem)] = &[
        // OpenAI
        (
            429,
            r#"{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
            Status(429),
        ),
        (
            429,
            r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            Configuration(Remedy::Credit),
        ),
        (
            429,
            r#"{"error":{"message":"No credit","type":"credit_balance_exhausted","param":null,"code":null}}"#,
            Configuration(Remedy::Credit),
        ),
        (
            401,
            r#"{"error":{"message":"Incorrect API key provided: sk-…","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
            Configuration(Remedy::Key),
        ),
        (
            404,
            r#"{"error":{"message":"The model does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#,
            Configuration(Remedy::Model),
        ),
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            Overflow,
        ),
        (
            400,
            r#"{"error":{"message":"Unsupported parameter: 'max_tokens'","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}}"#,
            Configuration(Remedy::Parameter),
        ),
        (
            500,
            r#"{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}"#,
            Status(500),
        ),
        // Azure
        (
            400,
            r#"{"error":{"message":"filtered","type":null,"param":"prompt","code":"content_filter","status":400}}"#,
            Filtered,
        ),
        // vLLM, new and old
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 4096 tokens. However, you requested 6379 tokens","type":"BadRequestError","param":null,"code":400}}"#,
            Overflow,
        ),
        (
            400,
            r#"{"object":"error","message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","param":null,"code":400}"#,
            Overflow,
        ),
        (
            404,
            r#"{"error":{"message":"The model `x` does not exist.","type":"NotFoundError","param":null,"code":404}}"#,
            Configuration(Remedy::Model),
        ),
        // llama.cpp
        (
            400,
            r#"{"error":{"code":400,"message":"request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":4390,"n_ctx":4096}}"#,
            Overflow,
        ),
        (
            500,
            r#"{"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}}"#,
            Overflow,
        ),
        (
            503,
            r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#,
            Status(503),
        ),
        // Ollama
        (
            404,
            r#"{"error":{"message":"model \"x\" not found","type":"not_found_error","param":null,"code":null}}"#,
            Configuration(Remedy::Model),
        ),
        (404, r#"{"error":"model 'x' not found"}"#, Configuration(Remedy::Model)),
        // LiteLLM tells an overflow by words alone
        (
            400,
            r#"{"error":{"message":"litellm.ContextWindowExceededError: litellm.BadRequestError: too long","type":null,"param":null,"code":"400"}}"#,
            Overflow,
        ),
        // what is no error of theirs
        (400, r#"{"detail":"Field required"}"#, Status(400)),
        (
            400,
            r#"[{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT"}}]"#,
            Status(400),
        ),
        (502, "<html>Bad Gateway</html>", Status(502)),
        (500, "", Status(500)),
        (402, "{}", Configuration(Remedy::Credit)),
        (403, "{}", Configuration(Remedy::Permission)),
        (308, "", Configuration(Remedy::Place)),
        (407, "", Configuration(Remedy::Place)),
    ];
}
