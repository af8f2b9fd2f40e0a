//! The page with the phones: one file of HTML, which talks to the control API.

use axum::body::Body;
use axum::http::Response;

/// The page, as it is.
const PAGE: &str = include_str!("phone.html");

/// Answers the page. Nothing but the page's own script runs, and nothing from elsewhere is loaded.
pub(super) fn page() -> Response<Body> {
    Response::builder()
        .header("content-type", "text/html; charset=utf-8")
        .header("cache-control", "no-store")
        .header(
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
             connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
        )
        .body(Body::from(PAGE))
        .expect("the header values are well formed")
}
