//! A page of the console: navigation on the side, one headline, and what the page is about.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::bare::{document, logo};
use super::login::LOGOUT;
use super::parts::Console;
use super::visitor::Visitor;
use crate::clock::Moment;

/// The sections, in the order of the navigation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConsoleSection {
    /// Is anything wrong?
    Now,
    /// Who is waiting?
    Threads,
    /// What happened to this message?
    Messages,
    /// What is lost, and what helps?
    DeadLetters,
    /// Is it set up right?
    Setup,
    /// What does the manual say?
    Manual,
}

impl ConsoleSection {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Now, Self::Threads, Self::Messages, Self::DeadLetters, Self::Setup, Self::Manual];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Now => "Now",
            Self::Threads => "Threads",
            Self::Messages => "Messages",
            Self::DeadLetters => "Dead letters",
            Self::Setup => "Setup",
            Self::Manual => "Manual",
        }
    }

    /// Its first page.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Now => "/console/",
            Self::Threads => "/console/threads",
            Self::Messages => "/console/messages",
            Self::DeadLetters => "/console/dead-letters",
            Self::Setup => "/console/setup",
            Self::Manual => "/console/manual",
        }
    }
}

/// What a page is made of.
#[derive(Debug)]
pub struct PageFrame<'a> {
    /// The section that it belongs to.
    pub section: ConsoleSection,
    /// Its headline.
    pub title: &'a str,
    /// What stands beside the headline: a pill, a note, buttons in a `div.right`.
    pub aside: Markup,
    /// Where its fragments come from, by `feeds::feed_of`, where it has some.
    pub live: Option<String>,
    /// What it is about.
    pub body: Markup,
}

/// Answers with a page.
#[must_use]
pub fn page(console: &Console, visitor: &Visitor, frame: &PageFrame<'_>) -> Response {
    page_with(StatusCode::OK, console, visitor, frame)
}

/// Answers with a page that has another status.
#[must_use]
pub fn page_with(
    status: StatusCode,
    console: &Console,
    visitor: &Visitor,
    frame: &PageFrame<'_>,
) -> Response {
    let whole = html! {
        a.skip href="#main" { "Skip to the page" }
        div.app {
            (navigation(console, visitor, frame.section))
            main #main tabindex="-1" data-events=[&frame.live] {
                header.page { h1 #page-title { (frame.title) } (frame.aside) }
                (frame.body)
            }
        }
    };
    document(status, frame.title, &whole)
}

fn navigation(console: &Console, visitor: &Visitor, current: ConsoleSection) -> Markup {
    let options = console.options();
    let up = options.pages.clock.now().since(Moment::ORIGIN);
    html! {
        nav aria-label="Console" {
            div.brand { (logo()) span { "chimein" } }
            @for section in ConsoleSection::ALL {
                a.item href=(section.path()) aria-current=[(section == current).then_some("page")] {
                    (section.name())
                    @if section == ConsoleSection::DeadLetters {
                        span #nav-dead { (dead_badge(console)) }
                    }
                }
            }
            div.foot {
                span { (options.pages.instance_id) " · up " (span(up)) }
                span { "may " (visitor.role.shown()) }
                @if visitor.session.is_some() {
                    form method="post" action=(LOGOUT) {
                        (visitor.form_field())
                        button.btn.small { "Sign out" }
                    }
                }
            }
        }
    }
}

/// What beside a headline says whether the page is live, and the same without a script.
pub(super) fn live_controls(this_page: &str) -> Markup {
    html! {
        span.note.feed-state #live-state { "as of this moment" }
        a.btn href=(this_page) { "Look again" }
        button.btn #live-pause type="button" hidden aria-pressed="false" { "Pause" }
    }
}

/// How many dead letters there are, as of the last look.
pub(super) fn dead_badge(console: &Console) -> Markup {
    let dead = console.lookout().last().map_or(0, |glance| glance.sum(|queue| queue.dead));
    html! { @if dead > 0 { span.badge { (dead) span.unseen { " of them" } } } }
}

/// A word with the colour of what it means: `good`, `warn`, `bad` or `idle`.
#[must_use]
pub fn pill(colour: &str, word: &str) -> Markup {
    html! { span class={ "pill " (colour) } { (word) } }
}

/// How long something took or has lasted, with its two largest units.
#[must_use]
pub fn span(span: Duration) -> String {
    let secs = span.as_secs();
    let (days, hours, minutes) = (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60);
    match (days, hours, minutes, secs) {
        (0, 0, 0, 0) => format!("{} ms", span.as_millis()),
        (0, 0, 0, 1..=9) => format!("{:.1} s", span.as_secs_f64()),
        (0, 0, 0, _) => format!("{secs} s"),
        (0, 0, 1..=9, _) => format!("{minutes} min {} s", secs % 60),
        (0, 0, _, _) => format!("{minutes} min"),
        (0, _, _, _) => format!("{hours} h {minutes} min"),
        (_, _, _, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_read_in_one_look() {
        for (millis, shown) in [
            (0, "0 ms"),
            (250, "250 ms"),
            (1_400, "1.4 s"),
            (42_000, "42 s"),
            (90_000, "1 min 30 s"),
            (1_800_000, "30 min"),
            (7_500_000, "2 h 5 min"),
            (533_000_000, "6 d 4 h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), shown);
        }
    }
}
