//! Pieces that several pages are made of: what could not be shown, ages, short names, links.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use super::layout::{self, ConsoleSection, PageFrame, page_with};
use super::parts::Console;
use super::visitor::Visitor;
use crate::clock::Timestamp;

/// Says what the console could not do, and where to go from there.
pub(super) struct CannotShow<'a> {
    pub(super) status: StatusCode,
    pub(super) section: ConsoleSection,
    pub(super) title: &'a str,
    pub(super) text: &'a str,
}

impl CannotShow<'_> {
    /// Where there is no bench.
    pub(super) const fn no_bench(section: ConsoleSection) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            section,
            title: "Nothing to see",
            text: "Twilio is switched off (TWILIO_ENABLED), so no queue is open.",
        }
    }

    /// Where the store failed, or the timeline.
    pub(super) const fn failed(section: ConsoleSection) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            section,
            title: "Not to be read now",
            text: "The store or the timeline failed; the log says why. Load the page again.",
        }
    }

    /// Answers with it.
    pub(super) fn page(self, console: &Console, visitor: &Visitor) -> Response {
        let Self { status, section, title, text } = self;
        let body = html! {
            div.card {
                p { (text) }
                p { a href=(section.path()) { "Back to " (section.name()) } }
            }
        };
        let frame = PageFrame { section, title, aside: html! {}, live: None, body };
        page_with(status, console, visitor, &frame)
    }
}

/// How long ago something was, with the time itself behind it.
pub(super) fn ago(console: &Console, at: &str) -> Markup {
    let wall = console.options().pages.clock.wall();
    let span = Timestamp::parse_rfc3339(at).map(|at| layout::span(wall.since(at)));
    html! { time datetime=(at) title=(at) { (span.as_deref().unwrap_or(at)) } }
}

/// The ends of a sid or of an id.
pub(super) fn short(sid: &str) -> String {
    match (sid.get(..6), sid.get(sid.len().saturating_sub(4)..)) {
        (Some(start), Some(end)) if sid.len() > 12 => format!("{start}…{end}"),
        _ => sid.to_owned(),
    }
}

/// A query of what is not empty.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(pairs.iter().filter(|(_, value)| !value.is_empty()));
    text.finish()
}

/// Leads on to a page.
pub(super) fn see_other(place: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, place.to_owned())]).into_response()
}
