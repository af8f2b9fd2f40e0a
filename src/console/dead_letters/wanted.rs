//! What of the dead letters is wanted, by the URL or a form, and what both pages say of a cause and a thread.

use std::time::Duration;

use axum::http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;

use crate::admin::dead_letters::{CauseLine, LetterFate, Selection};
use crate::console::layout::ConsoleSection;
use crate::console::parts::Console;
use crate::console::views::{CannotShow, query, short};
use crate::console::visitor::Act;
use crate::queue;
use crate::telemetry::chain::Chain;

/// The page's path.
pub(super) const PATH: &str = ConsoleSection::DeadLetters.path();

/// The ages that are chosen from, with how they read.
pub(super) const AGES: &[(&str, &str, Duration)] = &[
    ("1h", "last hour", Duration::from_secs(3_600)),
    ("1d", "last day", Duration::from_secs(86_400)),
    ("7d", "last 7 days", Duration::from_secs(7 * 86_400)),
];

/// What a page is to show, as it stands in its URL or in a form.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LettersWanted {
    pub(super) queue: String,
    /// A class, or class and code: `dead:63016`.
    pub(super) cause: String,
    pub(super) thread: String,
    pub(super) age: String,
    /// Died before; what was counted.
    pub(super) before: String,
    pub(super) cursor: String,
    pub(super) act: String,
    /// What was done just now, and to how many.
    pub(super) did: String,
    pub(super) count: u64,
}

impl LettersWanted {
    pub(super) fn of(act: &Act) -> Self {
        let text = |name: &str| act.field(name).unwrap_or_default().to_owned();
        Self {
            queue: text("queue"),
            cause: text("cause"),
            thread: text("thread"),
            age: text("age"),
            before: text("before"),
            ..Self::default()
        }
    }

    /// The selection; nothing where it is malformed.
    pub(super) fn selection(&self, console: &Console) -> Option<Selection> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let (class, code) = match self.cause.split_once(':') {
            Some((class, code)) => (class, Some(code.parse().ok()?)),
            None => (self.cause.as_str(), None),
        };
        let since = match AGES.iter().find(|(name, ..)| *name == self.age) {
            Some((_, _, age)) => Some(console.options().pages.clock.wall().before(*age)),
            None if self.age.is_empty() => None,
            None => return None,
        };
        Some(Selection {
            queue: some(&self.queue),
            class: some(class),
            code,
            conversation: some(self.thread.trim()),
            since: since.map(|since| since.to_string()),
            before: some(&self.before),
        })
    }

    /// The filters as a query.
    pub(super) fn filters(&self) -> String {
        query(
            &self
                .pairs()
                .map(|(name, value)| if name == "cursor" { (name, "") } else { (name, value) }),
        )
    }

    /// The filters, and where in the list this is.
    pub(super) fn pairs(&self) -> [(&'static str, &str); 5] {
        [
            ("queue", &self.queue),
            ("cause", &self.cause),
            ("thread", &self.thread),
            ("age", &self.age),
            ("cursor", &self.cursor),
        ]
    }

    /// The same, of one cause in its queue alone.
    pub(super) fn narrowed(&self, line: &CauseLine) -> Self {
        Self { queue: line.queue.clone(), cause: cause_of(&line.class, line.code), ..self.clone() }
    }

    pub(super) fn has_filter(&self) -> bool {
        [&self.queue, &self.cause, &self.thread, &self.age].iter().any(|text| !text.is_empty())
    }
}

pub(super) fn cause_of(class: &str, code: Option<u32>) -> String {
    code.map_or_else(|| class.to_owned(), |code| format!("{class}:{code}"))
}

pub(super) fn fate(word: &str) -> Option<LetterFate> {
    [LetterFate::Redrive, LetterFate::Drop].into_iter().find(|fate| fate.as_str() == word)
}

pub(super) const MALFORMED: CannotShow<'static> = CannotShow {
    status: StatusCode::BAD_REQUEST,
    section: ConsoleSection::DeadLetters,
    title: "Not understood",
    text: "The address of this page names a queue, a cause, a thread or a time that there cannot be.",
};

/// What the store said instead.
pub(super) fn failed(error: &queue::Error) -> CannotShow<'static> {
    match error {
        queue::Error::Invalid { .. } => MALFORMED,
        queue::Error::NoDeadLetter { .. } => CannotShow {
            status: StatusCode::NOT_FOUND,
            section: ConsoleSection::DeadLetters,
            title: "No such dead letter",
            text: "It was redriven, dropped, or kept for as long as dead letters are.",
        },
        error => {
            tracing::error!(error = %Chain(error), "the console could not work on dead letters");
            CannotShow::failed(ConsoleSection::DeadLetters)
        }
    }
}

/// The filters as fields of a form.
pub(super) fn kept(wanted: &LettersWanted) -> Markup {
    let fields = [
        ("queue", &wanted.queue),
        ("cause", &wanted.cause),
        ("thread", &wanted.thread),
        ("age", &wanted.age),
    ];
    html! {
        @for (name, value) in fields {
            @if !value.is_empty() { input type="hidden" name=(name) value=(value); }
        }
    }
}

/// A link to a thread; a lane of another kind is shown as it may be.
pub(super) fn thread_link(thread: &str) -> Markup {
    html! {
        @if thread.len() == 34 {
            a.sid href={ (ConsoleSection::Threads.path()) "/" (thread) } { (short(thread)) }
        } @else { span.sid { (thread) } }
    }
}
