//! *Dead letters*: what is lost, and what helps?
//!
//! Grouped by cause; one, chosen ones or all that fit are redriven or dropped. What touches all asks first,
//! with the number, and touches no more than that, nor what dies meanwhile. Filters stand in the URL. A text is
//! shown to who may act and asks for it, which is noted.

mod acts;
mod letter;
mod wanted;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};

use self::wanted::{
    AGES, LettersWanted, MALFORMED, PATH, cause_of, failed, fate, kept, thread_link,
};
use super::feeds::{Fragment, feed_of};
use super::layout::{ConsoleSection, PageFrame, live_controls, page, pill};
use super::parts::Console;
use super::views::{CannotShow, ago, query, short};
use super::visitor::Visitor;
use super::workbench::Workbench;
use crate::admin::dead_letters::{CauseLine, Causes, LetterFate, LetterLine, Listing};
use crate::queue::QueueName;

/// The name of its fragments.
pub(super) const LIVE: &str = "dead-letters";

/// Letters of one page.
const SHOWN_MAX: u32 = 50;

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route(PATH, get(show))
        .route("/console/dead-letters/all", get(acts::ask).post(acts::settle_all))
        .route("/console/dead-letters/chosen", post(acts::settle_chosen))
        .route("/console/dead-letters/{queue}/{id}", get(letter::letter))
        .route("/console/dead-letters/{queue}/{id}/reveal", post(letter::reveal))
}

async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    Query(wanted): Query<LettersWanted>,
) -> Response {
    let Some(bench) = console.workbench() else {
        return CannotShow::no_bench(ConsoleSection::DeadLetters).page(&console, &visitor);
    };
    match look(&console, bench, &wanted).await {
        Ok((causes, listing)) => {
            let this_page = format!("{PATH}?{}", wanted.filters());
            let aside = html! {
                span #letters-count { (count(&causes)) }
                div.right {
                    (live_controls(&this_page))
                    span.field #letters-acts { (acts_on_all(&visitor, &wanted, &causes)) }
                }
            };
            let body = html! {
                (done(&wanted))
                (filters(&wanted, &causes))
                section.card.wide #letters-causes aria-label="By cause" {
                    (by_cause(&console, &visitor, (&wanted, &causes)))
                }
                div #letters-rows { (letters(&console, &visitor, (&wanted, &listing))) }
            };
            let live = Some(feed_of(LIVE, &wanted.pairs()));
            let section = ConsoleSection::DeadLetters;
            page(
                &console,
                &visitor,
                &PageFrame { section, title: "Dead letters", aside, live, body },
            )
        }
        Err(trouble) => trouble.page(&console, &visitor),
    }
}

/// What changes by itself.
pub(super) async fn fragments(console: &Console, visitor: &Visitor, uri: &Uri) -> Vec<Fragment> {
    let wanted = Query::<LettersWanted>::try_from_uri(uri);
    let (Some(bench), Ok(Query(wanted))) = (console.workbench(), wanted) else { return Vec::new() };
    let Ok((causes, listing)) = look(console, bench, &wanted).await else { return Vec::new() };
    vec![
        ("letters-count", count(&causes)),
        ("letters-acts", acts_on_all(visitor, &wanted, &causes)),
        ("letters-causes", by_cause(console, visitor, (&wanted, &causes))),
        ("letters-rows", letters(console, visitor, (&wanted, &listing))),
    ]
}

fn count(causes: &Causes) -> Markup {
    let colour = if causes.count == 0 { "good" } else { "bad" };
    pill(colour, &format!("{}{}", causes.count, if causes.whole { "" } else { "+" }))
}

fn acts_on_all(visitor: &Visitor, wanted: &LettersWanted, causes: &Causes) -> Markup {
    html! {
        @if causes.count > 0 && visitor.may_act() {
            a.btn.primary href=(ask_path(LetterFate::Redrive, wanted)) { "Redrive all " (causes.count) "…" }
            a.btn.danger href=(ask_path(LetterFate::Drop, wanted)) { "Drop all " (causes.count) "…" }
        }
    }
}

async fn look(
    console: &Console,
    bench: &Workbench,
    wanted: &LettersWanted,
) -> Result<(Causes, Listing), CannotShow<'static>> {
    let selection = wanted.selection(console).ok_or(MALFORMED)?;
    let causes = bench.dead_letters.causes(&selection).await.map_err(|error| failed(&error))?;
    let cursor = (!wanted.cursor.is_empty()).then_some(wanted.cursor.as_str());
    let listing = bench.dead_letters.list(&selection, cursor, SHOWN_MAX).await;
    Ok((causes, listing.map_err(|error| failed(&error))?))
}

fn ask_path(fate: LetterFate, wanted: &LettersWanted) -> String {
    format!("/console/dead-letters/all?act={}&{}", fate.as_str(), wanted.filters())
}

/// What was done just now.
fn done(wanted: &LettersWanted) -> Markup {
    let past = match fate(&wanted.did) {
        Some(LetterFate::Redrive) => "redriven: each goes out again at its old place in its thread",
        Some(LetterFate::Drop) => "dropped",
        None => "",
    };
    html! {
        @if !past.is_empty() {
            p.card role="status" { (pill("good", "done")) " " (wanted.count) " " (past) "." }
        }
    }
}

fn filters(wanted: &LettersWanted, causes: &Causes) -> Markup {
    let known = causes.causes.iter().map(|line| cause_of(&line.class, line.code));
    let mut known: Vec<String> = known.chain([wanted.cause.clone()]).collect();
    known.sort_unstable();
    known.dedup();
    known.retain(|cause| !cause.is_empty());
    html! {
        form.field method="get" action=(PATH) role="search" {
            input name="thread" value=(wanted.thread) placeholder="CH… or TH…" size="36"
                aria-label="Thread" autocomplete="off" spellcheck="false";
            select name="queue" aria-label="Queue" {
                option value="" { "every queue" }
                @for queue in QueueName::ALL {
                    option value=(queue) selected[queue.as_str() == wanted.queue] { (queue) }
                }
            }
            select name="cause" aria-label="Cause" {
                option value="" { "every cause" }
                @for cause in &known {
                    option value=(cause) selected[*cause == wanted.cause] { (cause.replace(':', " ")) }
                }
            }
            select name="age" aria-label="Time" {
                option value="" { "any time" }
                @for (name, words, _) in AGES {
                    option value=(name) selected[*name == wanted.age] { (words) }
                }
            }
            button.btn { "Look" }
            @if wanted.has_filter() { a.btn href=(PATH) { "All of them" } }
        }
    }
}

fn by_cause(
    console: &Console,
    visitor: &Visitor,
    (wanted, causes): (&LettersWanted, &Causes),
) -> Markup {
    html! {
        @if causes.causes.is_empty() {
            p { (pill("good", "well")) " Nothing is lost here." }
        } @else {
            table {
                thead {
                    tr {
                        th { "Cause" }
                        th.hide-s { "What helps" }
                        th.num { "Letters" }
                        th.num.hide-s { "Oldest" }
                        @if visitor.may_act() { th { span.unseen { "Acts" } } }
                    }
                }
                tbody {
                    @for line in &causes.causes {
                        (cause_row(console, visitor, (&wanted.narrowed(line), line)))
                    }
                }
            }
        }
    }
}

fn cause_row(
    console: &Console,
    visitor: &Visitor,
    (narrowed, line): (&LettersWanted, &CauseLine),
) -> Markup {
    html! {
        tr {
            td {
                a href={ (PATH) "?" (narrowed.filters()) } { b { (line.meaning) } }
                div.note {
                    code { (cause_of(&line.class, line.code).replace(':', " ")) } " · " (line.queue)
                }
            }
            td.hide-s { (line.helps) }
            td.num { (line.count) }
            td.num.hide-s { (ago(console, &line.oldest)) }
            @if visitor.may_act() {
                td.num {
                    a.btn.small href=(ask_path(LetterFate::Redrive, narrowed)) {
                        "Redrive " (line.count) "…"
                    }
                    " "
                    a.btn.small.danger href=(ask_path(LetterFate::Drop, narrowed)) {
                        "Drop" span.unseen { " " (line.count) } "…"
                    }
                }
            }
        }
    }
}

fn letters(
    console: &Console,
    visitor: &Visitor,
    (wanted, listing): (&LettersWanted, &Listing),
) -> Markup {
    let table = html! {
        table {
            thead {
                tr {
                    @if visitor.may_act() { th { span.unseen { "Choose" } } }
                    th { "Letter" }
                    th { "Thread" }
                    th.hide-s { "Why" }
                    th.num.hide-s { "Attempts" }
                    th.num { "Died" }
                }
            }
            tbody { @for line in &listing.letters { (letter_row(console, visitor, line)) } }
        }
    };
    html! {
        @if !listing.letters.is_empty() {
            section.card.wide aria-label="Letters" {
                h2 { "One by one, oldest first" }
                @if visitor.may_act() {
                    form method="post" action="/console/dead-letters/chosen" {
                        (visitor.form_field())
                        (kept(wanted))
                        (table)
                        div.field {
                            button.btn name="act" value="redrive" { "Redrive the chosen" }
                            button.btn.danger name="act" value="drop" { "Drop the chosen…" }
                        }
                    }
                } @else { (table) }
                @if let Some(next) = &listing.next {
                    p { a href={ (PATH) "?" (wanted.filters()) "&" (query(&[("cursor", next)])) } { "Later ones" } }
                }
            }
            p.note { "Redriven letters keep their place in their thread. Each act is noted there." }
        }
    }
}

fn letter_row(console: &Console, visitor: &Visitor, line: &LetterLine) -> Markup {
    let target = format!("{}/{}", line.queue, line.id);
    html! {
        tr {
            @if visitor.may_act() {
                td {
                    input type="checkbox" name="letter" value=(target)
                        aria-label={ "Choose " (line.queue) " " (short(&line.id)) };
                }
            }
            td { a.sid href={ (PATH) "/" (target) } { (line.queue) "/" (short(&line.id)) } }
            td { (thread_link(&line.conversation)) }
            td.hide-s {
                code { (cause_of(&line.cause.class, line.cause.code).replace(':', " ")) }
                div.note { (line.cause.detail) }
            }
            td.num.hide-s { (line.attempts) }
            td.num { (ago(console, &line.died_at)) }
        }
    }
}
