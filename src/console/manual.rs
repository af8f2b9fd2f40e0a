//! *Manual*: the pages that `chimein manual` prints, of the version that runs.

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{ConsoleSection, PageFrame, page, page_with};
use super::markdown;
use super::parts::Console;
use super::visitor::Visitor;
use crate::manual::{self, PAGES};

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route(ConsoleSection::Manual.path(), get(list))
        .route("/console/manual/{topic}", get(show))
}

#[derive(Default, Deserialize)]
struct SearchQuery {
    #[serde(default, deserialize_with = "crate::json::null_as_default")]
    word: String,
}

async fn list(
    State(console): State<Console>,
    visitor: Visitor,
    query: Result<Query<SearchQuery>, QueryRejection>,
) -> Response {
    let SearchQuery { word } = query.map(|Query(query)| query).unwrap_or_default();
    let word = word.trim().to_lowercase();
    let has_word = |page: &&manual::Page| {
        page.topic.contains(&word) || page.text.to_lowercase().contains(&word)
    };
    let found: Vec<&manual::Page> = PAGES.iter().filter(has_word).collect();
    let body = html! {
        form.field method="get" action=(ConsoleSection::Manual.path()) role="search" {
            input type="search" name="word" value=(word) aria-label="Word" placeholder="word, setting, metric";
            button.btn { "Find" }
            @if !word.is_empty() { span.note { (found.len()) " pages have it" } }
        }
        section.card {
            dl {
                @for page in found {
                    dt { a href={ (ConsoleSection::Manual.path()) "/" (page.topic) } { (page.topic) } }
                    dd { (page.about) }
                }
            }
        }
    };
    let frame = PageFrame {
        section: ConsoleSection::Manual,
        title: "Manual",
        aside: version(),
        live: None,
        body,
    };
    page(&console, &visitor, &frame)
}

async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    Path(topic): Path<String>,
) -> Response {
    let Some(found) = manual::page(&topic) else {
        let body = html! { div.card { p { "The manual has no such page. " a href=(ConsoleSection::Manual.path()) { "All pages" } } } };
        let frame = PageFrame {
            section: ConsoleSection::Manual,
            title: "No such page",
            aside: html! {},
            live: None,
            body,
        };
        return page_with(StatusCode::NOT_FOUND, &console, &visitor, &frame);
    };
    let title = found.text.lines().next().unwrap_or_default().trim_start_matches('#').trim();
    let body = html! {
        p { a href=(ConsoleSection::Manual.path()) { "All pages" } }
        article.prose { (markdown::drawn(found.text)) }
    };
    let frame =
        PageFrame { section: ConsoleSection::Manual, title, aside: version(), live: None, body };
    page(&console, &visitor, &frame)
}

/// Of which version the pages are.
fn version() -> Markup {
    html! { span.note { "chimein " (env!("CARGO_PKG_VERSION")) } }
}
