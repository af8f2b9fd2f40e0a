//! *Setup*: is it set up right?
//!
//! What the doctor found from within the service, with a button to look again, and every setting with where it
//! came from. Secrets are masked before they get here.

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use serde::Deserialize;

use super::feeds::{Fragment, feed_of};
use super::layout::{ConsoleSection, PageFrame, page, pill, span};
use super::parts::Console;
use super::visitor::{Act, Visitor};
use crate::config::{Effective, SettingOrigin};
use crate::finding::{Finding, Verdict};

/// Where another look of the doctor is wished for.
const LOOK: &str = "/console/setup/look";

/// The name of its fragments.
pub(super) const LIVE: &str = "setup";

pub(super) fn router() -> Router<Console> {
    Router::new().route(ConsoleSection::Setup.path(), get(show)).route(LOOK, post(look))
}

/// Which settings are shown.
#[derive(Default, Deserialize)]
struct SettingsQuery {
    /// Those whose key has this in it.
    #[serde(default, deserialize_with = "crate::json::null_as_default")]
    key: String,
    /// Those alone that somebody has set.
    #[serde(default)]
    set: Option<String>,
}

async fn show(
    State(console): State<Console>,
    visitor: Visitor,
    query: Result<Query<SettingsQuery>, QueryRejection>,
) -> Response {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    let aside = html! {
        div.right {
            span.note #live-state {}
            @if visitor.may_act() {
                form method="post" action=(LOOK) {
                    (visitor.form_field())
                    button.btn.primary { "Look again" }
                }
            }
        }
    };
    let body = html! {
        div.stack-cards {
            section.card.wide { h2 { "What the doctor found" } div #setup-findings { (findings(&console)) } }
            section.card { h2 { "What would be set at Twilio" } (plan()) }
            section.card.wide { h2 { "Settings" } (settings(&console, &query)) }
        }
    };
    let (section, live) = (ConsoleSection::Setup, Some(feed_of(LIVE, &[])));
    page(&console, &visitor, &PageFrame { section, title: "Setup", aside, live, body })
}

/// What changes by itself.
pub(super) fn fragments(console: &Console) -> Vec<Fragment> {
    vec![("setup-findings", findings(console))]
}

async fn look(State(console): State<Console>, _act: Act) -> Response {
    tracing::info!("operator asked the doctor to look again");
    console.options().findings.wish();
    (StatusCode::SEE_OTHER, [(header::LOCATION, ConsoleSection::Setup.path())]).into_response()
}

fn findings(console: &Console) -> Markup {
    let wall = console.options().pages.clock.wall();
    let Some(last) = console.options().findings.last() else {
        return html! {
            p.note {
                "The doctor has not looked yet: from within the service it looks half a minute after the start, "
                "then hourly. " code { "chimein doctor" } " makes all checks at once."
            }
        };
    };
    let count = |verdict| last.findings.iter().filter(|one| one.verdict == verdict).count();
    let mut shown: Vec<&Finding> = last.findings.iter().collect();
    shown.sort_by_key(|one| rank(one.verdict));
    html! {
        p.note {
            (count(Verdict::Ok)) " of " (last.findings.len()) " well, "
            time datetime=(last.at) { (span(wall.since(last.at))) " ago" }
            ". These are the cheap checks; " code { "chimein doctor" } " makes all of them."
        }
        @for one in shown { (finding(one)) }
    }
}

/// What is worst comes first.
const fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Fail => 0,
        Verdict::Warn => 1,
        Verdict::Unchecked => 2,
        Verdict::Ok => 3,
    }
}

fn finding(one: &Finding) -> Markup {
    let colour = match one.verdict {
        Verdict::Ok => "good",
        Verdict::Warn => "warn",
        Verdict::Fail => "bad",
        Verdict::Unchecked => "idle",
    };
    html! {
        div.finding {
            (pill(colour, one.verdict.shown()))
            div {
                b { (one.check) } " " span { (one.found) }
                @if !one.remedy.is_empty() { p { (one.remedy) } }
            }
        }
    }
}

fn plan() -> Markup {
    html! {
        p {
            code { "chimein setup" } " shows old and new of each field that it would set, asks, writes, and reads "
            "back; without " code { "--yes" } " and a terminal it only shows. "
            a href="/console/manual/setup" { "More in the manual" } "."
        }
    }
}

fn settings(console: &Console, query: &SettingsQuery) -> Markup {
    let only_set = query.set.is_some();
    let is_set =
        |one: &Effective| !matches!(one.origin, SettingOrigin::Default | SettingOrigin::Nowhere);
    let is_wanted =
        |one: &&Effective| one.key.contains(query.key.trim()) && (!only_set || is_set(one));
    let all = &console.options().pages.effective;
    let shown: Vec<&Effective> = all.iter().filter(is_wanted).collect();
    html! {
        form.field method="get" action=(ConsoleSection::Setup.path()) role="search" {
            input type="search" name="key" value=(query.key) aria-label="Part of a key" placeholder="part of a key";
            label { input type="checkbox" name="set" value="1" checked[only_set]; " what somebody has set alone" }
            button.btn { "Show" }
            span.note { (shown.len()) " of " (all.len()) }
        }
        table {
            thead { tr { th { "Key" } th { "Value" } th { "From" } } }
            tbody {
                @for one in shown {
                    tr {
                        td.sid { (one.key) }
                        td { @match &one.shown { Some(value) => code { (value) }, None => span.note { "–" } } }
                        td.note { (one.origin) }
                    }
                }
            }
        }
    }
}
