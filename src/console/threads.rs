//! *Threads*: who is waiting, and who has whom?
//!
//! Those of lately, those that wait longest, those that a person has; or found by sid, by a reply's id, by the
//! last digits of an address. A thread is given to a person and back, and something is said in it as the bot.
//! Lists and feeds change by themselves.

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
use super::waterfall::Waterfall;
use super::workbench::Workbench;
use crate::admin::threads::{Error, ThreadList, ThreadRow, ThreadsPage, ThreadsQuery};
use crate::agent::later::Batch;
use crate::channels::handover::NotHandedOver;
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::OperatorAct;
use crate::thread::{Reply, ThreadId};
use crate::timeline::{Subject, TimelineQuery};

/// The page's path.
const PATH: &str = ConsoleSection::Threads.path();

/// The name of the list's fragments.
pub(super) const LIVE: &str = "threads";

/// The name of a thread's own.
pub(super) const LIVE_ONE: &str = "thread";

/// Steps of a thread that are shown.
const STEPS_MAX: usize = 100;

/// The longest text that is said from here, in characters; what phones take is cut from it.
const SAID_CHARS_MAX: usize = 8_000;

/// The lists that are chosen from, with how they read.
const LISTS: [(ThreadList, &str); 3] = [
    (ThreadList::Recent, "Lately"),
    (ThreadList::Waiting, "Waiting longest"),
    (ThreadList::Paused, "With a person"),
];

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route(PATH, get(show))
        .route("/console/threads/{thread}", get(one))
        .route("/console/threads/{thread}/pause", post(pause))
        .route("/console/threads/{thread}/resume", post(resume))
        .route("/console/threads/{thread}/say", post(say))
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ThreadsWanted {
    find: String,
    show: ThreadList,
    after: String,
    did: String,
}

impl ThreadsWanted {
    fn asked(&self) -> ThreadsQuery {
        let some = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        let (find, after) = (some(&self.find), some(&self.after));
        ThreadsQuery { find, show: self.show, after, limit: None }
    }
}

const UNKNOWN: CannotShow<'static> = CannotShow {
    status: StatusCode::NOT_FOUND,
    section: ConsoleSection::Threads,
    title: "No such thread",
    text: "A thread is CH… or TH… with 32 hexadecimal digits, and one that this service knows.",
};

async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    Query(wanted): Query<ThreadsWanted>,
) -> Response {
    let Some(bench) = console.workbench() else {
        return CannotShow::no_bench(ConsoleSection::Threads).page(&console, &visitor);
    };
    let (found, trouble) = match bench.threads.find(&wanted.asked()).await {
        Ok(found) => (found, None),
        // What was typed is not repeated: it may be a whole number.
        Err(error @ (Error::Find | Error::Address | Error::Limit)) => {
            (ThreadsPage::default(), Some(error.to_string()))
        }
        Err(error) => {
            tracing::error!(error = %Chain(&error), "the console could not look for threads");
            return CannotShow::failed(ConsoleSection::Threads).page(&console, &visitor);
        }
    };
    let find = if trouble.is_some() { "" } else { wanted.find.trim() };
    let body = html! {
        (filters(find, wanted.show))
        @if let Some(trouble) = &trouble { p.trouble role="alert" { (trouble) } }
        section.card.wide #threads-rows aria-label="Threads" {
            (rows(&console, &found, !find.is_empty()))
        }
        @if let Some(next) = &found.next {
            p { a href={ (PATH) "?" (self::query(&[("find", find), ("after", next)])) } { "Look further" } }
        }
    };
    let pairs = [("find", find), ("show", wanted.show.as_str()), ("after", &wanted.after)];
    let this_page = format!("{PATH}?{}", self::query(&pairs));
    let aside = html! { div.right { (live_controls(&this_page)) } };
    let (section, live) = (ConsoleSection::Threads, Some(feed_of(LIVE, &pairs)));
    page(&console, &visitor, &PageFrame { section, title: "Threads", aside, live, body })
}

/// What changes by itself in the list.
pub(super) async fn fragments(console: &Console, uri: &Uri) -> Vec<Fragment> {
    let Some(bench) = console.workbench() else { return Vec::new() };
    let Ok(Query(wanted)) = Query::<ThreadsWanted>::try_from_uri(uri) else { return Vec::new() };
    match bench.threads.find(&wanted.asked()).await {
        Ok(found) => {
            let is_search = !wanted.find.trim().is_empty();
            vec![("threads-rows", rows(console, &found, is_search))]
        }
        Err(_) => Vec::new(),
    }
}

fn filters(find: &str, show: ThreadList) -> Markup {
    html! {
        div.field {
            form.field method="get" action=(PATH) role="search" {
                input name="find" value=(find) placeholder="last digits, CH…, TH…, IM…, a reply's id" size="36"
                    aria-label="Find a thread" autocomplete="off" spellcheck="false";
                button.btn { "Find" }
            }
            @for (list, words) in LISTS {
                @let is_shown = find.is_empty() && list == show;
                a.btn href={ (PATH) "?show=" (list.as_str()) } aria-current=[is_shown.then_some("true")] {
                    (words)
                }
            }
        }
    }
}

fn rows(console: &Console, found: &ThreadsPage, is_search: bool) -> Markup {
    html! {
        @if found.threads.is_empty() {
            p { @if is_search { "No thread is known by that." } @else { "None." } }
            p.note { "Digits find the threads of plain numbers; a conversation is found by its sid, or by a message's." }
        } @else {
            table {
                thead {
                    tr {
                        th { "Thread" } th { "Who has it" } th.num { "Waiting" } th.num.hide-s { "Oldest" }
                        th.num { "Last" }
                    }
                }
                tbody { @for row in &found.threads { (thread_row(console, row)) } }
            }
        }
    }
}

fn name(row: &ThreadRow) -> String {
    match (&row.channel, &row.theirs) {
        (Some(channel), Some(theirs)) => format!("{channel} {theirs}"),
        (Some(channel), None) => channel.clone(),
        (None, _) => "thread".to_owned(),
    }
}

fn holder(row: &ThreadRow) -> Markup {
    match row.paused {
        Some(true) => pill("warn", "a person"),
        Some(false) => pill("good", "the bot"),
        None => pill("idle", "not known now"),
    }
}

fn thread_row(console: &Console, row: &ThreadRow) -> Markup {
    html! {
        tr {
            td {
                a href={ (PATH) "/" (row.thread) } { b { (name(row)) } }
                div.note { span.sid { (short(&row.thread)) } }
            }
            td { (holder(row)) }
            td.num { (row.waiting + row.out) }
            td.num.hide-s { (age(row)) }
            td.num {
                @if let Some(at) = &row.last_at { (ago(console, at)) } @else { "–" }
                @if let Some(last) = &row.last { div.note { (last.replace('_', " ")) } }
            }
        }
    }
}

fn age(row: &ThreadRow) -> Markup {
    html! {
        @match row.oldest_age_ms {
            Some(age) => (span(std::time::Duration::from_millis(age))),
            None => "–",
        }
    }
}

async fn one(
    State(console): State<Console>,
    visitor: Visitor,
    Path(thread): Path<String>,
    Query(wanted): Query<ThreadsWanted>,
) -> Response {
    let Ok(id) = thread.parse::<ThreadId>() else { return UNKNOWN.page(&console, &visitor) };
    let Some(bench) = console.workbench() else {
        return CannotShow::no_bench(ConsoleSection::Threads).page(&console, &visitor);
    };
    let (row, steps) = match look(bench, id).await {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "the console could not look at a thread");
            return CannotShow::failed(ConsoleSection::Threads).page(&console, &visitor);
        }
    };
    let Some(row) = row else { return UNKNOWN.page(&console, &visitor) };
    let this_page = format!("{PATH}/{}", row.thread);
    let aside = html! {
        span #thread-holder { (holder(&row)) }
        div.right {
            (live_controls(&this_page))
            @if visitor.may_act() { span #thread-hand { (hand_form(&visitor, &row)) } }
        }
    };
    let body = html! {
        (did(&wanted.did))
        div.cols {
            section.card {
                h2 { "What happened, newest first" }
                div #thread-feed { (feed(&steps)) }
            }
            div.stack-cards {
                section.card { h2 { "What is known" } div #thread-facts { (facts(&console, &row)) } }
                @if visitor.may_act() { (say_form(&visitor, &row)) }
            }
        }
    };
    let live = Some(feed_of(LIVE_ONE, &[("find", &row.thread)]));
    let section = ConsoleSection::Threads;
    page(&console, &visitor, &PageFrame { section, title: &name(&row), aside, live, body })
}

/// What changes by itself of one thread.
pub(super) async fn fragments_of_one(
    console: &Console,
    visitor: &Visitor,
    uri: &Uri,
) -> Vec<Fragment> {
    let wanted = Query::<ThreadsWanted>::try_from_uri(uri);
    let id = wanted.ok().and_then(|Query(wanted)| wanted.find.parse::<ThreadId>().ok());
    let (Some(bench), Some(id)) = (console.workbench(), id) else { return Vec::new() };
    let Ok((Some(row), steps)) = look(bench, id).await else { return Vec::new() };
    let mut found = vec![
        ("thread-holder", holder(&row)),
        ("thread-feed", feed(&steps)),
        ("thread-facts", facts(console, &row)),
    ];
    if visitor.may_act() {
        found.push(("thread-hand", hand_form(visitor, &row)));
    }
    found
}

async fn look(bench: &Workbench, id: ThreadId) -> Result<(Option<ThreadRow>, Vec<Value>), Error> {
    let query = ThreadsQuery { find: Some(id.to_string()), ..ThreadsQuery::default() };
    let row = bench.threads.find(&query).await?.threads.into_iter().next();
    let Some(timeline) = &bench.threads.timeline else { return Ok((row, Vec::new())) };
    let ask = TimelineQuery { subject: Subject::Thread(id), after: None, limit: STEPS_MAX };
    Ok((row, timeline.read(ask).await?.records))
}

/// What was done just now.
fn did(word: &str) -> Markup {
    let words = match word {
        "paused" => "A person has the thread; the bot keeps silent.",
        "resumed" => "The bot has the thread again.",
        "said" => "It is stored, and on its way.",
        _ => "",
    };
    html! { @if !words.is_empty() { p.card role="status" { (pill("good", "done")) " " (words) } } }
}

fn hand_form(visitor: &Visitor, row: &ThreadRow) -> Markup {
    let is_paused = row.paused == Some(true);
    let (verb, words) =
        if is_paused { ("resume", "Give back to the bot") } else { ("pause", "Give to a person") };
    html! {
        form method="post" action={ (PATH) "/" (row.thread) "/" (verb) } {
            (visitor.form_field())
            button.btn.primary { (words) }
        }
    }
}

fn say_form(visitor: &Visitor, row: &ThreadRow) -> Markup {
    html! {
        section.card {
            h2 { "Say something as the bot" }
            form.stack method="post" action={ (PATH) "/" (row.thread) "/say" } {
                (visitor.form_field())
                // Sent twice, it is said once.
                input type="hidden" name="key" value=(Uuid::new_v4());
                textarea name="body" rows="4" required maxlength=(SAID_CHARS_MAX) aria-label="What to say" {}
                div { button.btn { "Send" } }
            }
            p.note { "It goes behind what waits in the thread, once, surviving restarts." }
        }
    }
}

fn facts(console: &Console, row: &ThreadRow) -> Markup {
    html! {
        dl {
            dt { "Thread" } dd.sid { (row.thread) }
            @if let Some(channel) = &row.channel { dt { "Road" } dd { (channel) } }
            @if let (Some(ours), Some(theirs)) = (&row.ours, &row.theirs) {
                dt { "Between" } dd { (theirs) " and " (ours) }
            }
            @if let Some(since) = &row.paused_since { dt { "With a person" } dd { (ago(console, since)) } }
            dt { "Waiting" } dd { (row.waiting) " jobs, " (row.out) " worked on" }
            dt { "Oldest" } dd { (age(row)) }
            dt { "Lost" }
            dd {
                a href={ (ConsoleSection::DeadLetters.path()) "?" (query(&[("thread", &row.thread)])) } {
                    "Its dead letters"
                }
            }
        }
    }
}

fn feed(steps: &[Value]) -> Markup {
    let text = |step: &Value, key: &str| step[key].as_str().unwrap_or_default().to_owned();
    html! {
        @if steps.is_empty() { p.note { "Nothing is kept of it." } }
        ol.feed {
            @for step in steps.iter().rev() {
                @let at = crate::clock::Timestamp::from_millis(step["at"].as_i64().unwrap_or(0)).to_string();
                @let bar = Waterfall::of(std::slice::from_ref(step), 0).bars.into_iter().next();
                li {
                    time datetime=(at) title=(at) { (at.get(11..19).unwrap_or_default()) }
                    span {
                        @match &bar {
                            Some(bar) => { b { (bar.what) } " " span.note { (bar.detail) } },
                            None => b { "Turn begins" },
                        }
                    }
                    @let message = text(step, "message");
                    @if message.is_empty() { span {} }
                    @else { a.sid href={ (ConsoleSection::Messages.path()) "/" (message) } { (short(&message)) } }
                }
            }
        }
    }
}

async fn pause(state: State<Console>, path: Path<String>, act: Act) -> Response {
    hand(state, path, (act, true)).await
}

async fn resume(state: State<Console>, path: Path<String>, act: Act) -> Response {
    hand(state, path, (act, false)).await
}

async fn hand(
    State(console): State<Console>,
    Path(thread): Path<String>,
    (act, is_paused): (Act, bool),
) -> Response {
    let Ok(id) = thread.parse::<ThreadId>() else { return UNKNOWN.page(&console, &act.visitor) };
    let Some(bench) = console.workbench() else {
        return CannotShow::no_bench(ConsoleSection::Threads).page(&console, &act.visitor);
    };
    match bench.threads.handover.set(id, is_paused).await {
        Ok(()) => {
            let (act, word) = if is_paused {
                (OperatorAct::Paused, "paused")
            } else {
                (OperatorAct::Resumed, "resumed")
            };
            bench.notes.note(id, act);
            see_other(&format!("{PATH}/{id}?did={word}"))
        }
        Err(NotHandedOver::Unknown) => UNKNOWN.page(&console, &act.visitor),
        Err(error) => {
            tracing::error!(conversation_sid = %id, error = %Chain(&error),
                "a conversation could not change hands");
            let text = match error {
                NotHandedOver::Attributes => {
                    "The conversation's attributes are no JSON object; make them one at Twilio."
                }
                NotHandedOver::Unknown | NotHandedOver::Failed(_) => {
                    "Twilio or the store did not do it; the log says why. Do it again."
                }
            };
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let title = "The thread did not change hands";
            CannotShow { status, section: ConsoleSection::Threads, title, text }
                .page(&console, &act.visitor)
        }
    }
}

async fn say(State(console): State<Console>, Path(thread): Path<String>, act: Act) -> Response {
    let Ok(id) = thread.parse::<ThreadId>() else { return UNKNOWN.page(&console, &act.visitor) };
    let Some(bench) = console.workbench() else {
        return CannotShow::no_bench(ConsoleSection::Threads).page(&console, &act.visitor);
    };
    let refused = |text| CannotShow {
        status: StatusCode::BAD_REQUEST,
        section: ConsoleSection::Threads,
        title: "Nothing was said",
        text,
    };
    let body = act.field("body").map(str::trim).unwrap_or_default();
    let key = act.field("key").filter(|key| key.parse::<Uuid>().is_ok());
    let (Some(key), false) = (key, body.is_empty()) else {
        return refused("There is nothing to say, or the form is not whole.")
            .page(&console, &act.visitor);
    };
    if body.chars().count() > SAID_CHARS_MAX {
        return refused("It has more than 8,000 characters.").page(&console, &act.visitor);
    }
    let put = async {
        let Some(thread) = bench.outbox.thread(id).await? else { return Ok(None) };
        bench.outbox.put(Batch::new(thread, key, vec![Reply::text(body)])).await.map(Some)
    };
    match put.await {
        Ok(Some(_)) => see_other(&format!("{PATH}/{id}?did=said")),
        Ok(None) => UNKNOWN.page(&console, &act.visitor),
        Err(error) => {
            tracing::error!(conversation_sid = %id, error = %Chain(&error), "a reply was not stored");
            CannotShow::failed(ConsoleSection::Threads).page(&console, &act.visitor)
        }
    }
}
