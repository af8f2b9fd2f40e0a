//! *Now*: is anything wrong?
//!
//! Four figures with their last half hour, what is wrong with what helps, the queues, the way to Twilio, the
//! agents, and the last steps of messages. Sids and closed words only, no address and no text.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, html};

use super::feeds::{Fragment, feed_of};
use super::layout::{ConsoleSection, PageFrame, live_controls, page, pill, span};
use super::lookout::Glance;
use super::parts::Console;
use super::samples::float;
use super::spark::spark;
use super::visitor::Visitor;
use crate::admin::Readiness;
use crate::alarms::notice::{remedy, summary};
use crate::alarms::rules::Severity;
use crate::telemetry::journal::Record;

/// The name of its fragments.
pub(super) const LIVE: &str = "now";

/// Steps of messages that are shown.
const STEPS_MAX: usize = 14;

pub(super) fn router() -> Router<Console> {
    Router::new().route(ConsoleSection::Now.path(), get(show))
}

async fn show(State(console): State<Console>, visitor: Visitor) -> Response {
    let glance = console.lookout().glance().await;
    let aside = html! {
        span #now-ready { (readiness(&console)) }
        div.right { (live_controls(ConsoleSection::Now.path())) }
    };
    let body = html! {
        div.tiles #now-tiles { (tiles(&console, &glance)) }
        div.cols {
            div.stack-cards {
                section.card { h2 { "Queues" } div #now-queues { (queues(&glance)) } }
                section.card { h2 { "As it happens" } div #now-steps { (steps(&console)) } }
            }
            div.stack-cards {
                section.card { h2 { "What is wrong" } div #now-troubles { (troubles(&glance)) } }
                section.card { h2 { "The way to Twilio" } div #now-ways { (ways(&console, &glance)) } }
                section.card { h2 { "Agents" } div #now-agents { (agents(&console, &glance)) } }
            }
        }
    };
    let (section, live) = (ConsoleSection::Now, Some(feed_of(LIVE, &[])));
    page(&console, &visitor, &PageFrame { section, title: "Now", aside, live, body })
}

/// What changes by itself, each under the id of its place.
pub(super) async fn fragments(console: &Console) -> Vec<Fragment> {
    let glance = console.lookout().glance().await;
    vec![
        ("now-ready", readiness(console)),
        ("now-tiles", tiles(console, &glance)),
        ("now-queues", queues(&glance)),
        ("now-steps", steps(console)),
        ("now-troubles", troubles(&glance)),
        ("now-ways", ways(console, &glance)),
        ("now-agents", agents(console, &glance)),
    ]
}

fn readiness(console: &Console) -> Markup {
    let (colour, word, reasons) = match console.options().pages.insight.readiness() {
        Readiness::Ready => ("good", "ready", Vec::new()),
        Readiness::Degraded(reasons) => ("warn", "degraded", reasons),
        Readiness::NotReady(reasons) => ("bad", "not ready", reasons),
    };
    html! {
        (pill(colour, word))
        @for reason in reasons { " " code.note { (reason) } }
    }
}

fn tiles(console: &Console, glance: &Glance) -> Markup {
    let tally = console.options().recorder.tally.read();
    let (open, dead) = (glance.sum(|queue| queue.open), glance.sum(|queue| queue.dead));
    let by_queue: Vec<String> =
        glance.facts.queues.iter().map(|queue| format!("{} {}", queue.name, queue.open)).collect();
    let samples = &glance.samples;
    let oldest = samples.values(|sample| sample.oldest.as_secs_f64());
    html! {
        section.card {
            h2 { "Messages" }
            div.big { (format!("{:.0}", samples.rate())) " " small { "a minute" } }
            div.note { (tally.received) " in, " (tally.answered) " answered since the start" }
            (spark(&samples.rates(), "messages a minute, last 30 minutes"))
        }
        section.card {
            h2 { "Waiting" }
            div.big { (open) " " small { @if open == 1 { "job" } @else { "jobs" } } }
            div.note { (by_queue.join(" · ")) }
            (spark(&samples.values(|sample| float(sample.open)), "jobs that wait, last 30 minutes"))
        }
        section.card {
            h2 { "Oldest waiting" }
            div.big { @if open == 0 { "none" } @else { (span(glance.oldest())) } }
            div.note { "of all queues" }
            (spark(&oldest, "age of the oldest job, last 30 minutes"))
        }
        section.card {
            h2 { "Dead letters" }
            div.big { (dead) }
            div.note {
                @if dead == 0 { "nothing is lost" }
                @else { a href=(ConsoleSection::DeadLetters.path()) { "Look at them by cause" } }
            }
            (spark(&samples.values(|sample| float(sample.dead)), "dead letters, last 30 minutes"))
        }
    }
}

fn queues(glance: &Glance) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th { "Queue" }
                    th.num { "Waiting" }
                    th.num { "Oldest" }
                    th.num { "Dead" }
                }
            }
            tbody {
                @for queue in &glance.facts.queues {
                    tr {
                        td { b { (queue.name) } div.note { (meaning(queue.name)) } }
                        td.num { (queue.open) }
                        td.num { @if queue.open == 0 { "–" } @else { (span(queue.oldest)) } }
                        td.num {
                            @if queue.dead == 0 { "0" }
                            @else {
                                a href={ (ConsoleSection::DeadLetters.path()) "?queue=" (queue.name) } { (queue.dead) }
                            }
                        }
                    }
                }
            }
        }
        @if glance.facts.queues.is_empty() { p.note { "No queue is open: Twilio is switched off." } }
    }
}

/// What waits in a queue.
fn meaning(queue: &str) -> &'static str {
    match queue {
        "joins" => "conversations to come into",
        "inbox" => "messages for the agent",
        "outbox" => "replies to send",
        "reports" => "what the agent is told afterwards",
        _ => "",
    }
}

fn steps(console: &Console) -> Markup {
    let steps = console.options().recorder.journal.newest(STEPS_MAX);
    html! {
        @if steps.is_empty() {
            p.note { "Nothing yet. Write to the number, and each step of the message shows up here." }
        }
        ol.feed { @for step in &steps { (step_row(step)) } }
    }
}

fn step_row(step: &Record) -> Markup {
    let at = step.at.to_string();
    let words = stage_words(step);
    let (colour, thread) = (stage_colour(&words), step.thread.to_string());
    html! {
        li {
            time datetime=(at) { (at.get(11..19).unwrap_or_default()) }
            span {
                @if let Some(message) = step.message {
                    a.sid href={ "/console/messages/" (message) } { (short(&message.to_string())) }
                } @else { span.sid { (short(&thread)) } }
            }
            (pill(colour, &words))
        }
    }
}

/// The stage's closed word, as the journal's JSON has it, for people.
fn stage_words(step: &Record) -> String {
    let shown = serde_json::to_value(step.stage).unwrap_or_default();
    shown["stage"].as_str().unwrap_or_default().replace('_', " ")
}

fn stage_colour(words: &str) -> &'static str {
    match words {
        "reply sent" | "agent answered" | "reply visible" | "joined" => "good",
        "attempt failed" | "waits" | "held" | "reply looked for" => "warn",
        "dead" | "reply fell" | "dead lettered" => "bad",
        _ => "idle",
    }
}

/// The ends of a sid.
fn short(sid: &str) -> String {
    match (sid.get(..6), sid.get(sid.len().saturating_sub(4)..)) {
        (Some(start), Some(end)) if sid.len() > 12 => format!("{start}…{end}"),
        _ => sid.to_owned(),
    }
}

fn troubles(glance: &Glance) -> Markup {
    html! {
        @for trouble in &glance.troubles {
            div.finding {
                @let colour = if trouble.alarm.severity() == Severity::Page { "bad" } else { "warn" };
                (pill(colour, if colour == "bad" { "now" } else { "soon" }))
                div { b { (summary(trouble)) } p { (remedy(trouble.alarm)) } }
            }
        }
        @if glance.troubles.is_empty() {
            div.finding { (pill("good", "well")) div { b { "Nothing that an alarm would tell." } } }
        }
    }
}

fn ways(console: &Console, glance: &Glance) -> Markup {
    let twilio = console.options().pages.insight.twilio();
    let facts = &glance.facts;
    html! {
        dl {
            @match &twilio {
                None => { dt { "Twilio" } dd { (pill("idle", "switched off")) } }
                Some(twilio) => {
                    dt { "Twilio" }
                    dd {
                        @if facts.twilio_refuses { (pill("bad", "refuses the credentials")) }
                        @else if facts.twilio_is_down { (pill("warn", "does not answer")) }
                        @else { (pill("good", "answers")) }
                    }
                    @for (identity, is_up) in &facts.sockets {
                        dt { "Socket" }
                        dd {
                            (pill(if *is_up { "good" } else { "bad" }, if *is_up { "connected" } else { "down" }))
                            " " span.note { (identity) }
                        }
                    }
                    @for (identity, seats) in &facts.seats {
                        dt { "Seats" }
                        dd { (seats) " of 1000" " " span.note { (identity) } }
                    }
                    dt { "Last message" }
                    dd { (last_message(console, twilio.last_message_at)) }
                    dt { "Store" }
                    dd {
                        @if facts.store_fails { (pill("bad", "takes nothing")) }
                        @else { (pill("good", "takes writes")) }
                    }
                    @if let Some(error) = &twilio.last_error { dt { "Error" } dd { (error) } }
                }
            }
            @if let Some(cluster) = console.options().pages.insight.cluster() {
                dt { "Instances" }
                dd { (cluster.instances) @if !cluster.is_connected { " " (pill("bad", "NATS is away")) } }
            }
        }
    }
}

fn last_message(console: &Console, at: Option<crate::clock::Timestamp>) -> Markup {
    let wall = console.options().pages.clock.wall();
    html! {
        @match at {
            Some(at) => time datetime=(at) { (span(wall.since(at))) " ago" },
            None => "none yet",
        }
    }
}

fn agents(console: &Console, glance: &Glance) -> Markup {
    let kinds = console.options().pages.insight.agents();
    html! {
        dl {
            @for (name, is_away) in &glance.facts.agents {
                dt { (name) }
                dd {
                    @let colour = if *is_away { "bad" } else { "good" };
                    (pill(colour, if *is_away { "away" } else { "there" }))
                    @for agent in kinds.iter().filter(|agent| agent.name == *name) {
                        " " span.note { (agent.kind) @if agent.state != "up" { ", " (agent.state) } }
                    }
                }
            }
        }
        @if glance.facts.agents.is_empty() { p.note { "None is at work." } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_is_known_by_its_ends() {
        assert_eq!(short("IM0c82dc0c000000000000000000003f1a"), "IM0c82…3f1a");
        assert_eq!(short("TH1"), "TH1");
    }
}
