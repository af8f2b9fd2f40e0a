//! The console: pages for an operator, below `/console/` on the admin listener.
//!
//! Pages are drawn on the server and work by links and forms alone; one small script swaps what changes by
//! itself ([`live`]). Nothing is loaded from elsewhere, nothing is inline, so the pages hold neither `style=`
//! nor `onclick=`: what has to be placed is drawn as SVG, whose attributes are no style. In is who has a
//! session, begun by a token ([`login`]), is named by a proxy of ours ([`proxy_login`]), or is on the service's own machine where no token is set. Personal
//! data is masked; texts are shown on demand, and that is noted.
//!
//! How a page is added:
//!
//! 1. a file beside this one, with `pub(super) fn router() -> Router<Console>` that has its routes, merged
//!    below in [`router`], and a line in [`PATHS`];
//! 2. a handler takes `State<Console>` and a `Visitor`, draws with `maud::html!`, and
//!    answers [`layout::page`] with its [`layout::ConsoleSection`];
//! 3. a form is `method="post"`, has `(visitor.form_field())` inside, and its handler takes an
//!    `Act` as its last argument: who may only look, and who was shown the form by nobody, does
//!    not get there. It ends with 303 to the page that shows what became of it;
//! 4. who may only look is shown no buttons: `@if visitor.may_act()`;
//! 5. what changes by itself stands in an element with an id; a function gives the same ids with what is
//!    inside of them, and has a line in [`live`].
//!
//! What an operator does here is done by the same parts that the admin API calls, never by a way of its own.

mod assets;
mod bare;
mod cookies;
mod dead_letters;
mod feeds;
pub mod findings;
mod headers;
pub mod layout;
pub mod live;
pub mod login;
pub mod lookout;
mod manual;
mod markdown;
mod messages;
mod now;
mod pace;
pub mod parts;
pub mod plans;
pub mod proxy_login;
pub mod role;
mod samples;
mod sessions;
mod setup;
mod spark;
mod threads;
pub mod views;
mod visitor;
mod waterfall;
pub mod workbench;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use maud::html;

use self::layout::{ConsoleSection, PageFrame, page_with};
use self::parts::Console;
use self::visitor::Visitor;

/// The pages' paths, in the order of the navigation.
pub const PATHS: &[&str] = &[
    "/console/",
    "/console/threads",
    "/console/threads/{thread}",
    "/console/messages",
    "/console/messages/{of}",
    "/console/dead-letters",
    "/console/dead-letters/all",
    "/console/dead-letters/{queue}/{id}",
    "/console/setup",
    "/console/manual",
    "/console/manual/{topic}",
];

/// Builds the routes. It has no fallback, so it merges with those of the admin listener.
pub fn router(console: Console) -> Router {
    Router::new()
        .route("/console", get(|| async { to_the_first_page() }))
        .merge(now::router())
        .merge(threads::router())
        .merge(messages::router())
        .merge(dead_letters::router())
        .merge(setup::router())
        .merge(manual::router())
        .merge(live::router())
        .merge(login::router())
        .merge(assets::router())
        .route("/console/{*unknown}", get(unknown))
        .layer(middleware::from_fn(headers::set))
        .with_state(console)
}

fn to_the_first_page() -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, ConsoleSection::Now.path())]).into_response()
}

async fn unknown(State(console): State<Console>, visitor: Visitor) -> Response {
    let body = html! {
        div.card { p { "Nothing is here. " a href="/console/" { "Is anything wrong?" } } }
    };
    let aside = html! {};
    let frame =
        PageFrame { section: ConsoleSection::Now, title: "No such page", aside, live: None, body };
    page_with(StatusCode::NOT_FOUND, &console, &visitor, &frame)
}

#[cfg(test)]
mod tests;
