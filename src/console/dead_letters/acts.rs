//! The acts on dead letters: what touches all asks first, with the number; so does what cannot be undone.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::wanted::{LettersWanted, MALFORMED, PATH, failed, fate, kept};
use crate::admin::dead_letters::{
    BulkBounds, Causes, LETTERS_MAX, LetterFate, SettleError, Target,
};
use crate::console::layout::{ConsoleSection, PageFrame, page};
use crate::console::parts::Console;
use crate::console::views::{CannotShow, query, see_other};
use crate::console::visitor::{Act, Visitor};

/// Asks before all of them are touched, with their number.
pub(super) async fn ask(
    State(console): State<Console>,
    visitor: Visitor,
    Query(wanted): Query<LettersWanted>,
) -> Response {
    let Some(bench) = console.workbench() else {
        return CannotShow::no_bench(ConsoleSection::DeadLetters).page(&console, &visitor);
    };
    let (Some(fate), Some(selection)) = (fate(&wanted.act), wanted.selection(&console)) else {
        return MALFORMED.page(&console, &visitor);
    };
    let causes = match bench.dead_letters.causes(&selection).await {
        Ok(causes) => causes,
        Err(error) => return failed(&error).page(&console, &visitor),
    };
    let (title, what) = match fate {
        LetterFate::Redrive => (
            format!("Redrive {} dead letters?", causes.count),
            "Each goes out again, oldest first, at its old place in its thread. A reply that may have \
             been sent is looked for at Twilio first.",
        ),
        LetterFate::Drop => (
            format!("Drop {} dead letters?", causes.count),
            "They are forgotten for good, with what people wrote. This cannot be undone.",
        ),
    };
    let body = html! {
        section.card {
            p { (what) }
            (sums(&causes))
            @if !causes.whole { p.note { "There are more than 100,000: these are the first." } }
            @if visitor.may_act() && causes.count > 0 {
                form.field method="post" action="/console/dead-letters/all" {
                    (visitor.form_field())
                    (kept(&wanted))
                    input type="hidden" name="act" value=(fate.as_str());
                    input type="hidden" name="before" value=(causes.before);
                    input type="hidden" name="expected" value=(causes.count);
                    button class={ "btn " (button_class(fate)) } { (verb(fate)) " " (causes.count) }
                    a.btn href={ (PATH) "?" (wanted.filters()) } { "Back" }
                }
            } @else { p { a href=(PATH) { "Back" } } }
        }
    };
    let frame = PageFrame {
        section: ConsoleSection::DeadLetters,
        title: &title,
        aside: html! {},
        live: None,
        body,
    };
    page(&console, &visitor, &frame)
}

fn sums(causes: &Causes) -> Markup {
    html! {
        dl {
            @for line in &causes.causes {
                dt.num { (line.count) }
                dd { (line.meaning) " " span.note { (line.queue) " · " (line.helps) } }
            }
        }
    }
}

const fn button_class(fate: LetterFate) -> &'static str {
    match fate {
        LetterFate::Redrive => "primary",
        LetterFate::Drop => "danger",
    }
}

const fn verb(fate: LetterFate) -> &'static str {
    match fate {
        LetterFate::Redrive => "Redrive",
        LetterFate::Drop => "Drop",
    }
}

pub(super) async fn settle_all(State(console): State<Console>, act: Act) -> Response {
    let wanted = LettersWanted::of(&act);
    let asked = act.field("act").and_then(fate).zip(wanted.selection(&console));
    let expected = act.field("expected").and_then(|count| count.parse().ok());
    // Without the number and the time that were shown, nobody has agreed to anything.
    let (Some((fate, selection)), Some(expected)) = (asked, expected) else {
        return MALFORMED.page(&console, &act.visitor);
    };
    if wanted.before.is_empty() {
        return MALFORMED.page(&console, &act.visitor);
    }
    let Some(bench) = console.workbench() else {
        return CannotShow::no_bench(ConsoleSection::DeadLetters).page(&console, &act.visitor);
    };
    let bounds = BulkBounds { limit: LETTERS_MAX, expected: Some(expected) };
    match bench.dead_letters.settle_all(&selection, fate, bounds).await {
        Ok(bulk) => to_page(&wanted, fate, bulk.done),
        Err(error) => not_settled(&error).page(&console, &act.visitor),
    }
}

pub(super) async fn settle_chosen(State(console): State<Console>, act: Act) -> Response {
    let chosen: Result<Vec<Target>, _> = act.fields("letter").map(str::parse).collect();
    let (Some(fate), Ok(targets)) = (act.field("act").and_then(fate), chosen) else {
        return MALFORMED.page(&console, &act.visitor);
    };
    let wanted = LettersWanted::of(&act);
    if targets.is_empty() {
        return see_other(&format!("{PATH}?{}", wanted.filters()));
    }
    // What cannot be undone is asked about once more.
    if fate == LetterFate::Drop && act.field("sure").is_none() {
        return ask_chosen(&console, &act.visitor, (&wanted, &targets));
    }
    let Some(bench) = console.workbench() else {
        return CannotShow::no_bench(ConsoleSection::DeadLetters).page(&console, &act.visitor);
    };
    match bench.dead_letters.settle_chosen(&targets, fate).await {
        Ok(chosen) => to_page(&wanted, fate, chosen.done),
        Err(error) => not_settled(&error).page(&console, &act.visitor),
    }
}

fn ask_chosen(
    console: &Console,
    visitor: &Visitor,
    (wanted, targets): (&LettersWanted, &[Target]),
) -> Response {
    let count = targets.len();
    let title = format!("Drop {count} dead letter{}?", if count == 1 { "" } else { "s" });
    let body = html! {
        section.card {
            p { "They are forgotten for good, with what people wrote. This cannot be undone." }
            form.field method="post" action="/console/dead-letters/chosen" {
                (visitor.form_field())
                (kept(wanted))
                input type="hidden" name="act" value="drop";
                input type="hidden" name="sure" value="yes";
                @for target in targets { input type="hidden" name="letter" value=(target); }
                button.btn.danger { "Drop " (count) }
                a.btn href={ (PATH) "?" (wanted.filters()) } { "Back" }
            }
        }
    };
    let (section, aside) = (ConsoleSection::DeadLetters, html! {});
    page(console, visitor, &PageFrame { section, title: &title, aside, live: None, body })
}

fn not_settled(error: &SettleError) -> CannotShow<'static> {
    match error {
        SettleError::More { .. } => CannotShow {
            status: StatusCode::CONFLICT,
            section: ConsoleSection::DeadLetters,
            title: "Nothing was done",
            text: "There are more by now than were shown to you. Look again, and decide then.",
        },
        SettleError::TooMany => MALFORMED,
        SettleError::Queue(error) => failed(error),
    }
}

fn to_page(wanted: &LettersWanted, fate: LetterFate, count: u64) -> Response {
    let count = count.to_string();
    let done = query(&[("did", fate.as_str()), ("count", &count)]);
    see_other(&format!("{PATH}?{}&{done}", wanted.filters()))
}
