//! A document of the console without its navigation: what is inside every page, and what those see who are
//! not in yet, or not let in.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};

/// Answers with a document.
pub(super) fn document(status: StatusCode, title: &str, body: &Markup) -> Response {
    let whole = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · chimein" }
                link rel="icon" type="image/svg+xml" href="/console/icon.svg";
                link rel="stylesheet" href="/console/console.css";
                script src="/console/console.js" defer {}
            }
            body { (body) }
        }
    };
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], whole.into_string())
        .into_response()
}

/// Answers with one card in the middle.
pub(super) fn card(status: StatusCode, title: &str, inside: &Markup) -> Response {
    let body = html! {
        main.alone {
            div.card.lone {
                div.brand { (logo()) span { "chimein" } }
                h1 { (title) }
                (inside)
            }
        }
    };
    document(status, title, &body)
}

/// The sign of the house: a bubble with two eyes.
pub(super) fn logo() -> Markup {
    html! {
        svg.logo width="22" height="22" viewBox="0 0 24 24" aria-hidden="true" {
            rect width="24" height="24" rx="6" {}
            path d="M6 9.5a3 3 0 0 1 3-3h6a3 3 0 0 1 3 3v3a3 3 0 0 1-3 3h-3.2L8.6 18v-2.6A3 3 0 0 1 6 12.5z" {}
            circle cx="10" cy="11" r="1" {}
            circle cx="14" cy="11" r="1" {}
        }
    }
}
