//! The files beside the pages: style, script, icon. They hold nothing of the service, so everybody may have them.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use super::parts::Console;

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/console/console.css", get(style))
        .route("/console/console.js", get(script))
        .route("/console/icon.svg", get(icon))
}

async fn style() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    (kind, include_str!("assets/console.css"))
}

async fn script() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (kind, include_str!("assets/console.js"))
}

async fn icon() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "image/svg+xml")], include_str!("assets/icon.svg"))
}
