//! Who looks at a page of the console, and who sends one of its forms.
//!
//! Both are extractors: a handler that takes a [`Visitor`] is reached by those who are in, one that takes an
//! [`Act`] by those who may act and send a form that a page of ours has shown to them. The address by which
//! they call, and the page that sends the form, are the business of [`access`](crate::admin::access), which
//! stands before every route.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use sha2::{Digest as _, Sha256};

use super::bare;
use super::cookies;
use super::parts::Console;
use super::role::ConsoleRole;
use super::sessions::SessionDigest;
use crate::http::caller;

/// The largest form.
const FORM_BYTES_MAX: usize = 64 * 1024;

/// The field by which a form says that a page of ours has shown it.
pub(super) const FORM_FIELD: &str = "form";

/// Who looks.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// What they may do.
    pub role: ConsoleRole,
    /// How their session is known; nothing where nobody needs one.
    pub(super) session: Option<SessionDigest>,
    mark: String,
}

impl Visitor {
    /// What every form that acts has inside.
    #[must_use]
    pub fn form_field(&self) -> Markup {
        html! { input type="hidden" name=(FORM_FIELD) value=(self.mark); }
    }

    /// Whether they may act.
    #[must_use]
    pub fn may_act(&self) -> bool {
        self.role == ConsoleRole::Act
    }

    /// Whether what a form says is what a page has shown to them.
    pub(super) fn has_shown(&self, given: &str) -> bool {
        is_same(given, &self.mark)
    }

    fn of(console: &Console, parts: &Parts) -> Option<Self> {
        let now = console.options().pages.clock.now();
        let found = {
            let mut sessions = console.sessions();
            let digests = cookies::values(&parts.headers).into_iter().map(digest);
            let mut digests = digests;
            digests.find_map(|digest| Some((digest, sessions.find(now, &digest)?)))
        };
        if let Some((digest, role)) = found {
            return Some(Self { role, session: Some(digest), mark: mark(console, &digest) });
        }
        let proxy = console.options().proxy_login.as_ref();
        let peer = caller::peer(&parts.extensions);
        if let Some((name, role)) = proxy.and_then(|proxy| proxy.named(peer, &parts.headers)) {
            let mark = mark(console, format!("by a proxy {name}").as_bytes());
            return Some(Self { role, session: None, mark });
        }
        let is_open = console.access().is_open_to(&parts.headers);
        is_open.then(|| Self {
            role: ConsoleRole::Act,
            session: None,
            mark: mark(console, b"near"),
        })
    }
}

/// What the forms of a visitor say.
pub(super) fn mark(console: &Console, who: &[u8]) -> String {
    let signed = console.forms().sign(who);
    signed.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest of a cookie's value.
pub(super) fn digest(value: &str) -> SessionDigest {
    Sha256::digest(value).into()
}

impl FromRequestParts<Console> for Visitor {
    type Rejection = NotIn;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, NotIn> {
        Self::of(console, parts).ok_or_else(|| NotIn::Unknown(wanted(parts)))
    }
}

/// The page that was wanted; the first one where that was no page.
fn wanted(parts: &Parts) -> String {
    let path = parts.uri.path_and_query().map_or("/console/", |path| path.as_str());
    let is_page = parts.method == Method::GET && !path.starts_with("/console/events");
    if is_page { path.to_owned() } else { "/console/".to_owned() }
}

/// A form of ours, sent by somebody who may act.
#[derive(Debug)]
pub struct Act {
    /// Who.
    pub visitor: Visitor,
    fields: Fields,
}

impl Act {
    /// The value of a field; the first, where there are several.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.first(name)
    }

    /// All values of a field.
    pub fn fields<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.all(name)
    }
}

impl FromRequest<Console> for Act {
    type Rejection = NotIn;

    async fn from_request(request: Request, console: &Console) -> Result<Self, NotIn> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, console).await?;
        if !visitor.may_act() {
            return Err(NotIn::ReadOnly);
        }
        let fields = Fields::read(body).await.ok_or(NotIn::TooLarge)?;
        let is_ours = fields.first(FORM_FIELD).is_some_and(|given| visitor.has_shown(given));
        if is_ours { Ok(Self { visitor, fields }) } else { Err(NotIn::NotOurForm) }
    }
}

/// Whether two texts are the same, in a time that does not tell how much of them is.
pub(super) fn is_same(given: &str, wanted: &str) -> bool {
    Sha256::digest(given) == Sha256::digest(wanted)
}

/// The fields of a form, in its order.
pub(super) struct Fields(Vec<(String, String)>);

impl std::fmt::Debug for Fields {
    /// Names alone: a value may be what somebody wrote.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Fields {
    /// Reads them; nothing if there is too much, or it breaks off.
    pub(super) async fn read(body: Body) -> Option<Self> {
        let bytes = axum::body::to_bytes(body, FORM_BYTES_MAX).await.ok()?;
        let pairs = form_urlencoded::parse(&bytes);
        Some(Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()))
    }

    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Why somebody is not let in.
#[derive(Debug)]
pub enum NotIn {
    /// Nobody knows them; what they wanted to see.
    Unknown(String),
    /// They may look and no more.
    ReadOnly,
    /// The form was not shown to them by a page of ours, or by one that is older than the service.
    NotOurForm,
    /// The form is too large, or broke off.
    TooLarge,
}

impl IntoResponse for NotIn {
    fn into_response(self) -> Response {
        let told = |status, title: &str, text: &str| {
            bare::card(
                status,
                title,
                &html! {
                    p { (text) }
                    p { a href="/console/" { "Back to the console" } }
                },
            )
        };
        match self {
            Self::Unknown(wanted) => {
                let next: String = form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
                let place = [(header::LOCATION, format!("/console/login?next={next}"))];
                (StatusCode::SEE_OTHER, place).into_response()
            }
            Self::ReadOnly => told(
                StatusCode::FORBIDDEN,
                "To look only",
                "You are signed in to look. Who signs in by CHIMEIN_ADMIN_DEBUG_TOKEN may act.",
            ),
            Self::NotOurForm => told(
                StatusCode::FORBIDDEN,
                "Not done",
                "The page that sent this is not of this service, or older than its start. Go back, load it \
                 again, and do it once more.",
            ),
            Self::TooLarge => told(
                StatusCode::PAYLOAD_TOO_LARGE,
                "Not done",
                "The form is larger than 64 KiB, or broke off on its way. Choose less at once.",
            ),
        }
    }
}
