//! How a call to the operator's routes is refused: in JSON, `{"error":…,"detail":…}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

/// Refuses a call, by a closed word and what to know beside it.
pub(super) fn problem(status: StatusCode, error: &str, detail: &str) -> Response {
    (status, Json(json!({ "error": error, "detail": detail }))).into_response()
}
