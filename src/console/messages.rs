//! *Messages*: what happened to this message?
//!
//! Those of lately, and of each its one timeline: when it came by which door, what the agent did, what became of
//! each reply. Records hold no text and no address; what was said and still waits here, or is a dead letter, is shown
//! to who may act and asks for it, which is noted.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::feeds::{Fragment, feed_of};
use super::layout::{ConsoleSection, PageFrame, live_controls, page, pill, span};
use super::parts::Console;
use super::views::{CannotShow, ago, query, see_other, short};
use super::visitor::{Act, Visitor};
use super::waterfall::{Bar, Waterfall, headline};
use super::workbench::Workbench;
use crate::admin::texts::{KeptText, Who};
use crate::admin::threads::{ThreadRow, ThreadsQuery};
use crate::clock::Timestamp;
use crate::telemetry::chain::Chain;
use crate::thread::{MessageId, ThreadId};
use crate::timeline::{PAGE_MAX, Subject, TimelineQuery};

/// The page's path.
const PATH: &str = ConsoleSection::Messages.path();

/// The name of the list's fragments.
pub(super) const LIVE: &str = "messages";

/// The name of a message's own.
pub(super) const LIVE_ONE: &str = "message";

/// Messages of the list.
const SHOWN_MAX: usize = 60;

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route(PATH, get(show))
        .route("/console/messages/{of}", get(story))
        .route("/console/messages/{of}/reveal", post(reveal))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MessagesQuery {
    find: String,
}

const NO_TIMELINE: CannotShow<'static> = CannotShow {
    status: StatusCode::NOT_FOUND,
    section: ConsoleSection::Messages,
    title: "No timeline is kept",
    text: "CHIMEIN_TIMELINE_ENABLED is false, or it could not be opened, which the log says.",
};

const MALFORMED: CannotShow<'static> = CannotShow {
    status: StatusCode::BAD_REQUEST,
    section: ConsoleSection::Messages,
    title: "Not understood",
    text: "Wanted a message (IM…, SM… or MM…), a thread (CH… or TH…), a reply's id, or the last 2 to 6 \
           digits of an address.",
};

async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    Query(MessagesQuery { find }): Query<MessagesQuery>,
) -> Response {
    let find = find.trim();
    if find.parse::<MessageId>().is_ok() || find.parse::<Uuid>().is_ok() {
        return see_other(&format!("{PATH}/{find}"));
    }
    if find.parse::<ThreadId>().is_ok() {
        return see_other(&format!("{}/{find}", ConsoleSection::Threads.path()));
    }
    if !find.is_empty() {
        return see_other(&format!(
            "{}?{}",
            ConsoleSection::Threads.path(),
            query(&[("find", find)])
        ));
    }
    let read = match read(&console, Subject::Everything).await {
        Ok(records) => records,
        Err(trouble) => return trouble.page(&console, &visitor),
    };
    let body = html! {
        (search())
        section.card.wide #messages-rows aria-label="Latest messages" { (latest(&console, &read)) }
    };
    let aside = html! { div.right { (live_controls(PATH)) } };
    let (section, live) = (ConsoleSection::Messages, Some(feed_of(LIVE, &[])));
    page(&console, &visitor, &PageFrame { section, title: "Messages", aside, live, body })
}

/// What changes by itself in the list.
pub(super) async fn fragments(console: &Console) -> Vec<Fragment> {
    match read(console, Subject::Everything).await {
        Ok(records) => vec![("messages-rows", latest(console, &records))],
        Err(_) => Vec::new(),
    }
}

fn search() -> Markup {
    html! {
        form.field method="get" action=(PATH) role="search" {
            input name="find" placeholder="IM…, SM…, CH…, a reply's id, last digits" size="36"
                aria-label="Find a message" autocomplete="off" spellcheck="false";
            button.btn { "Find" }
        }
    }
}

async fn read(console: &Console, subject: Subject) -> Result<Vec<Value>, CannotShow<'static>> {
    let bench = console.workbench().ok_or(CannotShow::no_bench(ConsoleSection::Messages))?;
    let timeline = bench.threads.timeline.as_ref().ok_or(NO_TIMELINE)?;
    let ask = TimelineQuery { subject, after: None, limit: PAGE_MAX };
    timeline.read(ask).await.map(|page| page.records).map_err(|error| {
        tracing::error!(error = %Chain(&error), "the console could not read the timeline");
        CannotShow::failed(ConsoleSection::Messages)
    })
}

fn text<'a>(record: &'a Value, key: &str) -> &'a str {
    record[key].as_str().unwrap_or_default()
}

fn time(record: &Value) -> String {
    Timestamp::from_millis(record["at"].as_i64().unwrap_or_default()).to_string()
}

/// The messages of some records, that of the newest first, each with its records.
fn by_message(records: &[Value]) -> Vec<(&str, Vec<Value>)> {
    let mut found: Vec<(&str, Vec<Value>)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for record in records.iter().rev() {
        let message = text(record, "message");
        if message.is_empty() {
            continue;
        }
        let at = *places.entry(message).or_insert_with(|| {
            found.push((message, Vec::new()));
            found.len() - 1
        });
        if let Some((_, own)) = found.get_mut(at) {
            own.insert(0, record.clone());
        }
    }
    found.truncate(SHOWN_MAX);
    found
}

fn latest(console: &Console, records: &[Value]) -> Markup {
    let messages = by_message(records);
    html! {
        @if messages.is_empty() {
            p { "Nothing yet. Write to the number, and the message shows up here." }
        } @else {
            table {
                thead {
                    tr {
                        th { "Message" } th.hide-s { "Thread" } th { "What became of it" } th.num { "Last step" }
                    }
                }
                tbody {
                    @for (message, own) in &messages {
                        @let line = headline(own);
                        @let last = own.last().map(time).unwrap_or_default();
                        @let thread = own.last().map(|last| text(last, "conversation")).unwrap_or_default();
                        tr {
                            td { a.sid href={ (PATH) "/" (message) } { (short(message)) } }
                            td.hide-s { (thread_link(thread)) }
                            td { (pill(line.colour, line.word)) " " span.hide-s { (line.title) } }
                            td.num { (ago(console, &last)) }
                        }
                    }
                }
            }
        }
    }
}

fn thread_link(thread: &str) -> Markup {
    html! { a.sid href={ (ConsoleSection::Threads.path()) "/" (thread) } { (short(thread)) } }
}

async fn story(
    State(console): State<Console>,
    visitor: Visitor,
    Path(of): Path<String>,
) -> Response {
    told(&console, &visitor, &of, false).await
}

async fn reveal(State(console): State<Console>, Path(of): Path<String>, act: Act) -> Response {
    told(&console, &act.visitor, &of, true).await
}

async fn told(console: &Console, visitor: &Visitor, of: &str, is_revealed: bool) -> Response {
    let Some(subject) = subject(of) else { return MALFORMED.page(console, visitor) };
    let records = match read(console, subject).await {
        Ok(records) if records.is_empty() => {
            let unknown = CannotShow {
                status: StatusCode::NOT_FOUND,
                section: ConsoleSection::Messages,
                title: "Nothing is known of it",
                text: "It never came in here, or longer ago than the timeline is kept (timeline.retention).",
            };
            return unknown.page(console, visitor);
        }
        Ok(records) => records,
        Err(trouble) => return trouble.page(console, visitor),
    };
    let Some(bench) = console.workbench() else {
        return CannotShow::no_bench(ConsoleSection::Messages).page(console, visitor);
    };
    let row = thread_row(bench, &records).await;
    let texts = texts(bench, &records, is_revealed).await;
    let fall = Waterfall::of(&records, now(console));
    let line = headline(&records);
    let this_page = format!("{PATH}/{of}");
    let aside = html! {
        span #message-state { (state(console, &records)) }
        div.right { (live_controls(&this_page)) }
    };
    let body = html! {
        section.card #message-stages aria-label="What happened, stage by stage" { (stages(&fall)) }
        div.cols {
            section.card {
                h2 { "As text" }
                pre.plain #message-text { (fall.as_text()) }
            }
            div.stack-cards {
                section.card {
                    h2 { "Where it belongs" }
                    div #message-belongs { (belongs(&records, row.as_ref())) }
                }
                (said(visitor, (of, &texts, is_revealed)))
            }
        }
    };
    // What is shown on demand is not taken away again while it is read.
    let live = (!is_revealed).then(|| feed_of(LIVE_ONE, &[("find", of)]));
    let section = ConsoleSection::Messages;
    page(console, visitor, &PageFrame { section, title: &line.title, aside, live, body })
}

/// What changes by itself of one message.
pub(super) async fn fragments_of_one(console: &Console, uri: &Uri) -> Vec<Fragment> {
    let asked = Query::<MessagesQuery>::try_from_uri(uri);
    let Some(subject) = asked.ok().and_then(|Query(asked)| subject(&asked.find)) else {
        return Vec::new();
    };
    let Ok(records) = read(console, subject).await else { return Vec::new() };
    let Some(bench) = console.workbench().filter(|_| !records.is_empty()) else {
        return Vec::new();
    };
    let row = thread_row(bench, &records).await;
    let fall = Waterfall::of(&records, now(console));
    vec![
        ("page-title", html! { (headline(&records).title) }),
        ("message-state", state(console, &records)),
        ("message-stages", stages(&fall)),
        ("message-text", html! { (fall.as_text()) }),
        ("message-belongs", belongs(&records, row.as_ref())),
    ]
}

/// What a path names.
fn subject(of: &str) -> Option<Subject> {
    let message = of.parse::<MessageId>().ok().map(Subject::Message);
    message.or_else(|| of.parse::<Uuid>().ok().map(Subject::Reply))
}

fn now(console: &Console) -> i64 {
    console.options().pages.clock.wall().as_millis()
}

fn state(console: &Console, records: &[Value]) -> Markup {
    let line = headline(records);
    let began = records.first().map(time).unwrap_or_default();
    html! { (pill(line.colour, line.word)) " " span.note { (ago(console, &began)) " ago" } }
}

/// What is known of the thread of some records.
async fn thread_row(bench: &Workbench, records: &[Value]) -> Option<ThreadRow> {
    let thread = text(records.first()?, "conversation").to_owned();
    let query = ThreadsQuery { find: Some(thread), ..ThreadsQuery::default() };
    bench.threads.find(&query).await.ok()?.threads.into_iter().next()
}

fn stages(fall: &Waterfall) -> Markup {
    let grid = fall.grid_ms();
    html! {
        @for bar in &fall.bars { (stage(fall, bar, grid)) }
        p.note {
            "A line every "
            (span(std::time::Duration::from_millis(grid.unsigned_abs())))
            "."
        }
    }
}

fn stage(fall: &Waterfall, bar: &Bar, grid: i64) -> Markup {
    let (from, to) = (fall.place(bar.from_ms), fall.place(bar.to_ms));
    let from = from.min(994);
    let lines = (1..=6).map(|line| line * grid).take_while(|at| *at < fall.total_ms);
    html! {
        div class={ "stage " (bar.kind) } {
            div.what {
                i {}
                span { b { (bar.what) } " " span.note { (bar.detail) } }
            }
            svg.lane viewBox="0 0 1000 32" preserveAspectRatio="none" aria-hidden="true" {
                @for at in lines {
                    @let x = fall.place(at);
                    line x1=(x) x2=(x) y1="0" y2="32" vector-effect="non-scaling-stroke" {}
                }
                rect x=(from) y="10" width=((to - from).max(6)) height="12"
                    opacity=(if bar.is_wait { "0.35" } else { "1" }) {}
            }
            div.when { (bar.told) }
        }
    }
}

fn belongs(records: &[Value], row: Option<&ThreadRow>) -> Markup {
    let first = records.first();
    let of = |key: &str| first.map(|record| text(record, key)).unwrap_or_default();
    let thread = of("conversation");
    let mut messages: Vec<&str> = records.iter().map(|record| text(record, "message")).collect();
    let mut replies: Vec<&str> = records.iter().map(|record| text(record, "reply_id")).collect();
    for names in [&mut messages, &mut replies] {
        names.sort_unstable();
        names.dedup();
        names.retain(|name| !name.is_empty());
    }
    html! {
        dl {
            dt { "Thread" } dd { (thread_link(thread)) }
            @if let Some(row) = row {
                @if let Some(channel) = &row.channel { dt { "Road" } dd { (channel) } }
                @if let (Some(ours), Some(theirs)) = (&row.ours, &row.theirs) {
                    dt { "Between" } dd { (theirs) " and " (ours) }
                }
                @if row.paused == Some(true) { dt { "Now" } dd { (pill("warn", "with a person")) } }
            }
            @for message in messages {
                dt { "Message" } dd { a.sid href={ (PATH) "/" (message) } { (message) } }
            }
            @for reply in replies {
                dt { "Reply" } dd { a.sid href={ (PATH) "/" (reply) } { (reply) } }
            }
        }
    }
}

/// What is still kept of what was said; nothing where it cannot be said now.
async fn texts(bench: &Workbench, records: &[Value], is_revealed: bool) -> Vec<KeptText> {
    let of =
        |key: &str| records.iter().map(|record| text(record, key)).find(|text| !text.is_empty());
    let thread = of("conversation").and_then(|thread| thread.parse::<ThreadId>().ok());
    let message = of("message").and_then(|message| message.parse::<MessageId>().ok());
    let (Some(thread), Some(message)) = (thread, message) else { return Vec::new() };
    let found = match is_revealed {
        true => bench.texts.reveal(thread, message).await,
        false => bench.texts.of(thread, message).await,
    };
    found.unwrap_or_else(|error| {
        tracing::error!(error = %Chain(&error), "the console could not look for texts");
        Vec::new()
    })
}

fn said(visitor: &Visitor, (of, texts, is_revealed): (&str, &[KeptText], bool)) -> Markup {
    html! {
        section.card #message-said {
            h2 { "What was said" }
            @if texts.is_empty() {
                p.note {
                    "It is kept here no more: texts are, until they are answered and sent. Whoever may read them "
                    "finds them at Twilio by the message's sid."
                }
            } @else if is_revealed {
                p.note role="status" { "Shown as it is, and noted in the log and in its thread." }
                @for one in texts {
                    p.said {
                        b { @match one.who { Who::Person => "The person", Who::Bot => "The bot" } }
                        span { @match &one.body { Some(body) => (body.reveal()), None => "no text: files, or buttons" } }
                    }
                }
            } @else {
                form.veil method="post" action={ (PATH) "/" (of) "/reveal" } {
                    span { (kept(texts)) }
                    @if visitor.may_act() {
                        (visitor.form_field())
                        button.btn { "Show, and note that I did" }
                    }
                }
                p.note { "Kept here until it is answered and sent, or as a dead letter." }
            }
        }
    }
}

/// How much is kept, of whom.
fn kept(texts: &[KeptText]) -> String {
    let of = |who: Who, one: &str, several: &str| {
        let of_them: Vec<_> = texts.iter().filter(|text| text.who == who).collect();
        let chars: usize = of_them.iter().map(|text| text.chars()).sum();
        let word = if of_them.len() == 1 { one } else { several };
        (!of_them.is_empty()).then(|| format!("{} {word} ({chars} characters)", of_them.len()))
    };
    let sides = [
        of(Who::Person, "message of the person", "messages of the person"),
        of(Who::Bot, "reply", "replies"),
    ];
    sides.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_are_listed_newest_first_each_with_its_own_records() {
        let of = |at: i64, message: &str| json!({"at": at, "message": message, "stage": "held"});
        let records = [of(1, "IM1"), of(2, "IM2"), json!({"at": 3}), of(4, "IM1")];
        let found = by_message(&records);
        let names: Vec<_> = found.iter().map(|(name, own)| (*name, own.len())).collect();
        assert_eq!(names, [("IM1", 2), ("IM2", 1)]);
        assert_eq!(found[0].1[0]["at"], 1, "in order");
    }
}
