//! *Setup*: is it set up right?
//!
//! What the doctor found from within the service, what `chimein setup` would set at Twilio, old and new of each
//! field, and every setting with where it came from. Secrets are masked before they get here. Nothing is written to
//! Twilio from here: the page has the command that does it.

use std::time::Duration;

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
use super::plans::{PlanLook, ShownCall, ShownPlan};
use super::visitor::{Act, Visitor};
use crate::config::{Effective, SettingOrigin};
use crate::finding::{Finding, Verdict};

/// Where another look of the doctor is wished for.
const LOOK: &str = "/console/setup/look";

/// How old a plan may be until whoever opens the page has it looked at again.
const PLAN_AGE_MAX: Duration = Duration::from_secs(60 * 60);

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
    if plan_of(&console).is_none() {
        console.options().plans.wish();
    }
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
            section.card.wide {
                h2 { "What setup would change at Twilio" }
                div #setup-plan { (plan(&console)) }
            }
            section.card.wide { h2 { "Settings" } (settings(&console, &query)) }
        }
    };
    let (section, live) = (ConsoleSection::Setup, Some(feed_of(LIVE, &[])));
    page(&console, &visitor, &PageFrame { section, title: "Setup", aside, live, body })
}

/// What changes by itself.
pub(super) fn fragments(console: &Console) -> Vec<Fragment> {
    vec![("setup-findings", findings(console)), ("setup-plan", plan(console))]
}

async fn look(State(console): State<Console>, _act: Act) -> Response {
    tracing::info!("operator asked the doctor to look again");
    console.options().findings.wish();
    console.options().plans.wish();
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

/// The last look at the plan, if it is not too old.
fn plan_of(console: &Console) -> Option<PlanLook> {
    let wall = console.options().pages.clock.wall();
    console.options().plans.last().filter(|last| wall.since(last.at) <= PLAN_AGE_MAX)
}

fn plan(console: &Console) -> Markup {
    let Some(look) = plan_of(console) else {
        return html! {
            p.note { "Looked at by now, from within the service: a few reads, nothing is written. Load the page again in some seconds." }
            (by_hand(false))
        };
    };
    let wall = console.options().pages.clock.wall();
    let when = html! { time datetime=(look.at) { (span(wall.since(look.at))) " ago" } };
    match &look.seen {
        Ok(plan) => html! {
            p.note { (verdict(plan)) " Looked at " (when) "; nothing was written." }
            @for call in &plan.calls { (planned(call)) }
            @for left in &plan.left {
                div.finding {
                    (pill("warn", "left as it is"))
                    div { b { (left.what) } " " span { (left.found) } p { (left.remedy) } }
                }
            }
            (by_hand(!plan.calls.is_empty()))
        },
        Err(why) => html! {
            div.finding {
                (pill("idle", "not known"))
                div { span { (why) } p { "Looked at " (when) "." } }
            }
            (by_hand(false))
        },
    }
}

fn verdict(plan: &ShownPlan) -> String {
    match plan.calls.len() {
        0 if plan.left.is_empty() => "All is as the settings want it.".to_owned(),
        0 => "There is nothing to write.".to_owned(),
        1 => "One call would be made.".to_owned(),
        count => format!("{count} calls would be made."),
    }
}

fn planned(call: &ShownCall) -> Markup {
    html! {
        div.planned {
            h3 { (call.what) " " code.note { (call.request) } }
            p.note { (call.why) }
            dl.change {
                @for [field, old, new] in &call.fields {
                    dt { code { (field) } }
                    dd { del { span.unseen { "from " } (old) } " " ins { span.unseen { "to " } (new) } }
                }
            }
        }
    }
}

/// The commands that do it.
fn by_hand(is_wanted: bool) -> Markup {
    html! {
        @if is_wanted {
            pre.plain { "chimein setup" }
            p.note {
                "It asks, keeps the old values, writes, reads back, and lets the doctor look; " code { "--undo" }
                " puts all back, " code { "--take-over" } " replaces also what somebody else has set, "
                code { "--print curl" } " prints the calls for who may make them. "
                a href="/console/manual/setup" { "More in the manual" } "."
            }
        } @else {
            p.note {
                code { "chimein setup" } " asks, writes and reads back; " code { "--address +1555…" }
                " adds a number that is to make conversations. "
                a href="/console/manual/setup" { "More in the manual" } "."
            }
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
