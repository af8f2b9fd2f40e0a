//! The door of the console: signing in by a token, and out.
//!
//! A token is compared by digest, wrong ones are counted and slowed by `pace`. The form has a
//! mark of its own, so that no page of somebody else's signs a browser in.

use std::net::{IpAddr, Ipv4Addr};

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use super::parts::Console;
use super::role::ConsoleRole;
use super::visitor::{self, FORM_FIELD, Fields, NotIn, Visitor};
use super::{bare, cookies};
use crate::admin::access::is_same;
use crate::http::caller;

/// Where one signs in.
pub(super) const LOGIN: &str = "/console/login";

/// Where one signs out.
pub(super) const LOGOUT: &str = "/console/logout";

/// Whose forms the login's are: nobody's yet.
const NOBODY: &[u8] = b"nobody";

pub(super) fn router() -> Router<Console> {
    Router::new().route(LOGIN, get(show).post(sign_in)).route(LOGOUT, post(sign_out))
}

#[derive(Deserialize)]
struct LoginQuery {
    next: Option<String>,
}

async fn show(
    State(console): State<Console>,
    query: Result<Query<LoginQuery>, QueryRejection>,
) -> Response {
    let next = query.ok().and_then(|Query(query)| query.next);
    let next = next.as_deref().filter(|next| is_ours(next)).unwrap_or("/console/");
    if console.options().pages.debug_token.is_none() {
        return closed();
    }
    form(&console, next, (StatusCode::OK, None))
}

/// What those are told who can sign in by nothing.
fn closed() -> Response {
    bare::card(
        StatusCode::FORBIDDEN,
        "Closed",
        &html! {
            p { "Nobody can sign in: no token is set." }
            p {
                "Set " code { "CHIMEIN_ADMIN_DEBUG_TOKEN" } " to a long random text. Without one the console "
                "is open on the service's own machine alone, where " code { "CHIMEIN_ADMIN_LISTEN" }
                " is a loopback address. Or let a proxy say who is signed in: " code { "CHIMEIN_ADMIN_PROXY_HEADER" } "."
            }
        },
    )
}

fn form(console: &Console, next: &str, (status, trouble): (StatusCode, Option<&str>)) -> Response {
    let inside: Markup = html! {
        @if let Some(trouble) = trouble {
            p.trouble role="alert" { (trouble) }
        }
        form.stack method="post" action=(LOGIN) {
            input type="hidden" name=(FORM_FIELD) value=(visitor::mark(console, NOBODY));
            input type="hidden" name="next" value=(next);
            // For those who keep passwords.
            input.unseen type="text" name="user" value="chimein" autocomplete="username" tabindex="-1"
                aria-hidden="true" readonly;
            label for="token" { "Token" }
            input #token type="password" name="token" autocomplete="current-password" required autofocus
                aria-describedby="token-note";
            button.btn.primary { "Sign in" }
        }
        p.note #token-note {
            code { "CHIMEIN_ADMIN_DEBUG_TOKEN" } " to act, " code { "CHIMEIN_ADMIN_READ_TOKEN" } " to look."
        }
    };
    bare::card(status, "Sign in", &inside)
}

async fn sign_in(State(console): State<Console>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some(fields) = read(&console, body).await else { return NotIn::NotOurForm.into_response() };
    let sender = caller::peer(&parts.extensions).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let next = fields.first("next").filter(|next| is_ours(next)).unwrap_or("/console/");
    let given = fields.first("token").unwrap_or_default().trim();
    match tried(&console, sender, given) {
        Tried::Right(role) => entered(&console, role, (&parts.headers, next)),
        Tried::Wrong => {
            console.options().recorder.metrics.login_refused();
            tracing::warn!("somebody tried to sign in to the console with a wrong token");
            form(
                &console,
                next,
                (StatusCode::UNAUTHORIZED, Some("That is not a token of this service.")),
            )
        }
        Tried::TooSoon(seconds) => {
            console.options().recorder.metrics.login_refused();
            let trouble = format!("Too many wrong tokens. Wait {seconds} s, then try again.");
            let status = StatusCode::TOO_MANY_REQUESTS;
            let mut answer = form(&console, next, (status, Some(&trouble)));
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            answer
        }
    }
}

/// Reads the form, if it is ours.
async fn read(console: &Console, body: Body) -> Option<Fields> {
    let fields = Fields::read(body).await?;
    let mark = visitor::mark(console, NOBODY);
    let is_ours = fields.first(FORM_FIELD).is_some_and(|given| visitor::is_same(given, &mark));
    is_ours.then_some(fields)
}

/// What came of a token.
enum Tried {
    Right(ConsoleRole),
    Wrong,
    /// So many seconds too soon after wrong ones.
    TooSoon(u64),
}

/// Tries a token; looking at the pace and noting how it went are one step, so that nobody tries many at once.
fn tried(console: &Console, sender: IpAddr, given: &str) -> Tried {
    let now = console.options().pages.clock.now();
    let mut pace = console.pace();
    if let Some(wait) = pace.wait(now, sender) {
        return Tried::TooSoon(wait.as_secs().max(1));
    }
    let options = console.options();
    let acts = options.pages.debug_token.as_ref().is_some_and(|token| is_same(given, token));
    let reads = options.read_token.as_ref().is_some_and(|token| is_same(given, token));
    match (acts, reads) {
        (true, _) | (false, true) => {
            pace.succeeded(sender);
            Tried::Right(if acts { ConsoleRole::Act } else { ConsoleRole::Read })
        }
        (false, false) => {
            pace.failed(now, sender);
            Tried::Wrong
        }
    }
}

/// Begins a session and leads to the page that was wanted.
fn entered(console: &Console, role: ConsoleRole, (headers, next): (&HeaderMap, &str)) -> Response {
    let value = [Uuid::new_v4(), Uuid::new_v4()].map(|half| half.simple().to_string()).concat();
    let now = console.options().pages.clock.now();
    console.sessions().open(now, visitor::digest(&value), role);
    tracing::info!(reason = role.shown(), "somebody signed in to the console");
    let origin = caller::one(headers, &header::ORIGIN).ok().flatten().unwrap_or_default();
    let cookie = cookies::set(&value, origin.starts_with("https://"));
    let headers = [(header::LOCATION, next.to_owned()), (header::SET_COOKIE, cookie)];
    (StatusCode::SEE_OTHER, headers).into_response()
}

async fn sign_out(
    State(console): State<Console>,
    visitor: Visitor,
    request: Request,
) -> Result<Response, NotIn> {
    let fields = Fields::read(request.into_body()).await.ok_or(NotIn::TooLarge)?;
    if !fields.first(FORM_FIELD).is_some_and(|given| visitor.has_shown(given)) {
        return Err(NotIn::NotOurForm);
    }
    if let Some(session) = visitor.session {
        console.sessions().close(&session);
    }
    let mut answer = (StatusCode::SEE_OTHER, [(header::LOCATION, LOGIN)]).into_response();
    for cookie in cookies::unset() {
        let cookie = HeaderValue::from_str(&cookie).expect("names and dates are plain");
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(answer)
}

/// Whether a place to go to after the login is a page of the console, and of nobody else's.
fn is_ours(next: &str) -> bool {
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    next.starts_with("/console/") && is_plain && !next.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_pages_of_the_console_only() {
        for (next, is_page) in [
            ("/console/", true),
            ("/console/dead-letters?queue=inbox", true),
            ("/", false),
            ("//evil.example/console/", false),
            ("https://evil.example/console/", false),
            ("/console/\\evil", false),
            ("/console/\r\nset-cookie:x", false),
            ("/console", false),
            ("/console/../v1/queues", false),
        ] {
            assert_eq!(is_ours(next), is_page, "{next:?}");
        }
    }
}
