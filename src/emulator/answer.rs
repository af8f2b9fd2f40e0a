//! The plainest answers of the emulator's own doors: a line of text, a JSON value.

use axum::body::Body;
use axum::http::{Response, StatusCode};

/// Answers a line of text.
pub(super) fn plain(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}

/// Answers JSON.
pub(super) fn json(status: u16, body: &serde_json::Value) -> Response<Body> {
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .expect("the header values are well formed")
}
