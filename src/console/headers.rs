//! What every answer of the console tells the browser to refuse.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

/// The headers: nothing from elsewhere, nothing inline, no frame around it, nothing kept, nothing told to others.
pub(super) const HEADERS: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    // Without any referrer a browser says `Origin: null` of our own forms too, and is refused.
    // Source: Fetch Standard, "append a request `Origin` header", read 2026-11-30.
    ("referrer-policy", "same-origin"),
    ("cache-control", "no-store"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Sets them.
pub(super) async fn set(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    for &(name, value) in HEADERS {
        answer.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    answer
}
