//! How a call is refused whose caller can do something about it: in JSON, `{"error":…,"detail":…}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

/// Refuses a call, by a closed word and what to know beside it.
#[must_use]
pub fn problem(status: StatusCode, error: &str, detail: &str) -> Response {
    (status, Json(json!({ "error": error, "detail": detail }))).into_response()
}
