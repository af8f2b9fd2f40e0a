//! The feed of live pages: fragments over server-sent events, `GET /console/events?page=NAME`.
//!
//! Every two seconds what has changed since is sent, each fragment under the id of the element that it is
//! inside of; a page that costs much is looked at less often. Which page, and by which filters, stands in the
//! address of the feed. There are so many streams at most; one ends after ten minutes, and the browser, which
//! opens it anew by itself, has to be in still. All end as the service stops.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::feeds::{FEEDS, Fragment};
use super::parts::Console;
use super::visitor::Visitor;
use super::{dead_letters, layout, messages, now, setup, threads};
use crate::clock::Moment;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(2);

/// How many times as long as a look took is waited at least: a stream takes a twentieth of a processor at most.
const REST: u32 = 20;

/// How long a stream lives.
const AGE_MAX: Duration = Duration::from_secs(10 * 60);

pub(super) fn router() -> Router<Console> {
    Router::new().route(FEEDS, get(events))
}

/// What changes by itself on a page; a further page has a further line here. What cannot be looked at now
/// changes nothing.
async fn fragments(feed: &Feed) -> Vec<Fragment> {
    let Feed { console, visitor, uri, .. } = feed;
    let mut found = match feed.page.as_str() {
        now::LIVE => now::fragments(console).await,
        setup::LIVE => setup::fragments(console),
        threads::LIVE => threads::fragments(console, uri).await,
        threads::LIVE_ONE => threads::fragments_of_one(console, visitor, uri).await,
        messages::LIVE => messages::fragments(console).await,
        messages::LIVE_ONE => messages::fragments_of_one(console, uri).await,
        dead_letters::LIVE => dead_letters::fragments(console, visitor, uri).await,
        _ => Vec::new(),
    };
    found.push(("nav-dead", layout::dead_badge(console)));
    found
}

#[derive(Deserialize)]
struct EventsQuery {
    page: String,
}

/// A stream of one page.
struct Feed {
    console: Console,
    visitor: Visitor,
    page: String,
    /// The address of the feed.
    uri: Uri,
    /// How long until the next look.
    pause: Duration,
    until: Moment,
    sent: HashMap<&'static str, String>,
    _place: OwnedSemaphorePermit,
}

async fn events(
    State(console): State<Console>,
    visitor: Visitor,
    uri: Uri,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Response {
    let Ok(Query(EventsQuery { page })) = query else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let Ok(place) = console.streams().try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "30")]).into_response();
    };
    let until = console.options().pages.clock.now() + AGE_MAX;
    let sent = HashMap::new();
    let feed = Feed { console, visitor, page, uri, pause: EVERY, until, sent, _place: place };
    // Something at once, so that the browser knows that it is connected.
    let hello =
        futures::stream::once(async { Ok::<_, Infallible>(Bytes::from("retry: 5000\n\n")) });
    let stream = futures::stream::unfold(feed, |mut feed| async move {
        let news = feed.news().await?;
        Some((Ok(Bytes::from(news)), feed))
    });
    let body = Body::from_stream(futures::StreamExt::chain(hello, stream));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

impl Feed {
    /// Waits for the next look; nothing at the end.
    async fn news(&mut self) -> Option<String> {
        let options = self.console.options();
        let clock = options.pages.clock;
        if clock.now() >= self.until {
            return None;
        }
        tokio::select! {
            () = options.stop.cancelled() => return None,
            () = clock.sleep(self.pause) => {}
        }
        let mut news = String::new();
        let began = clock.now();
        let found = fragments(self).await;
        self.pause = EVERY.max(clock.now().since(began).saturating_mul(REST));
        for (id, markup) in found {
            let drawn = markup.into_string();
            if self.sent.get(id) != Some(&drawn) {
                let data = json!({ "id": id, "html": &drawn });
                news.push_str(&format!("event: swap\ndata: {data}\n\n"));
                self.sent.insert(id, drawn);
            }
        }
        Some(if news.is_empty() { ": nothing new\n\n".to_owned() } else { news })
    }
}
