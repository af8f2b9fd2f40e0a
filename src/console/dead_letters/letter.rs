//! One dead letter: why, what helps, its attempts, and what it says to whom asks for that.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::wanted::{MALFORMED, PATH, cause_of, failed, thread_link};
use crate::admin::dead_letters::{LetterShown, Target};
use crate::admin::remedies;
use crate::console::layout::{ConsoleSection, PageFrame, page_with};
use crate::console::parts::Console;
use crate::console::views::{CannotShow, ago, short};
use crate::console::visitor::{Act, Visitor};

pub(super) async fn letter(
    State(console): State<Console>,
    visitor: Visitor,
    Path((queue, id)): Path<(String, String)>,
) -> Response {
    shown(&console, &visitor, (&queue, &id), false).await
}

pub(super) async fn reveal(
    State(console): State<Console>,
    Path((queue, id)): Path<(String, String)>,
    act: Act,
) -> Response {
    shown(&console, &act.visitor, (&queue, &id), true).await
}

async fn shown(
    console: &Console,
    visitor: &Visitor,
    (queue, id): (&str, &str),
    reveal: bool,
) -> Response {
    let Some(bench) = console.workbench() else {
        return CannotShow::no_bench(ConsoleSection::DeadLetters).page(console, visitor);
    };
    let Ok(target) = format!("{queue}/{id}").parse::<Target>() else {
        return MALFORMED.page(console, visitor);
    };
    match bench.dead_letters.show(target, reveal).await {
        Ok(letter) => {
            let aside = html! {
                @if visitor.may_act() { div.right { (one_form(visitor, &target)) } }
            };
            let body = letter_page(console, visitor, (&target, &letter));
            let section = ConsoleSection::DeadLetters;
            let title = format!("Dead letter {}/{}", target.queue, short(&target.id.to_string()));
            let frame = PageFrame { section, title: &title, aside, live: None, body };
            page_with(StatusCode::OK, console, visitor, &frame)
        }
        Err(error) => failed(&error).page(console, visitor),
    }
}

fn one_form(visitor: &Visitor, target: &Target) -> Markup {
    html! {
        form.field method="post" action="/console/dead-letters/chosen" {
            (visitor.form_field())
            input type="hidden" name="letter" value=(target);
            button.btn.primary name="act" value="redrive" { "Redrive" }
            button.btn.danger name="act" value="drop" { "Drop…" }
        }
    }
}

fn letter_page(
    console: &Console,
    visitor: &Visitor,
    (target, letter): (&Target, &LetterShown),
) -> Markup {
    let line = &letter.line;
    let help = remedies::of(&line.cause.class, line.cause.code);
    let payload = serde_json::to_string_pretty(&letter.payload).unwrap_or_default();
    html! {
        div.cols {
            div.stack-cards {
                section.card {
                    h2 { "Why, and what helps" }
                    p { b { (help.meaning) } }
                    p { (help.helps) }
                    p.note { (line.cause.detail) }
                }
                section.card {
                    h2 { "What it says" }
                    @if letter.revealed {
                        p.note role="status" { "Shown as it is, and noted in the log and in its thread." }
                    } @else if visitor.may_act() {
                        form.veil method="post" action={ (PATH) "/" (target) "/reveal" } {
                            (visitor.form_field())
                            span { "Texts and addresses are masked." }
                            button.btn { "Show, and note that I did" }
                        }
                    } @else { p.note { "Texts and addresses are masked; who may act can show them." } }
                    pre.plain { (payload) }
                }
            }
            div.stack-cards {
                section.card {
                    h2 { "Where it belongs" }
                    dl {
                        dt { "Queue" } dd { (line.queue) }
                        dt { "Id" } dd.sid { (line.id) }
                        dt { "Thread" } dd { (thread_link(&line.conversation)) }
                        dt { "Appended" } dd { (ago(console, &line.appended_at)) " ago" }
                        dt { "Died" } dd { (ago(console, &line.died_at)) " ago" }
                    }
                }
                section.card {
                    h2 { "Attempts" }
                    ol.feed {
                        @for attempt in &letter.history {
                            li {
                                time datetime=(attempt.at) { (attempt.at.get(11..19).unwrap_or_default()) }
                                span {
                                    code { (cause_of(&attempt.cause.class, attempt.cause.code).replace(':', " ")) }
                                    div.note { (attempt.cause.detail) }
                                }
                                span.note { (attempt.attempt) }
                            }
                        }
                    }
                }
            }
        }
    }
}
