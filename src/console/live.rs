//! The feed of live pages: fragments over server-sent events, `GET /console/events?page=NAME`.
//!
//! Every two seconds what has changed since is sent, each fragment under the id of the element that it is
//! inside of. There are so many streams at most; one ends after ten minutes, and the browser, which opens it
//! anew by itself, has to be in still. All end as the service stops.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use maud::Markup;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::parts::Console;
use super::visitor::Visitor;
use super::{now, setup};
use crate::clock::Moment;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(2);

/// How long a stream lives.
const AGE_MAX: Duration = Duration::from_secs(10 * 60);

pub(super) fn router() -> Router<Console> {
    Router::new().route("/console/events", get(events))
}

/// What changes by itself on a page; a further page has a further line here.
async fn fragments(console: &Console, page: &str) -> Vec<(&'static str, Markup)> {
    match page {
        now::LIVE => now::fragments(console).await,
        setup::LIVE => setup::fragments(console),
        _ => Vec::new(),
    }
}

#[derive(Deserialize)]
struct EventsQuery {
    page: String,
}

/// A stream of one page.
struct Feed {
    console: Console,
    page: String,
    until: Moment,
    sent: HashMap<&'static str, String>,
    _place: OwnedSemaphorePermit,
}

async fn events(
    State(console): State<Console>,
    _visitor: Visitor,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Response {
    let Ok(Query(EventsQuery { page })) = query else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let Ok(place) = console.streams().try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "30")]).into_response();
    };
    let until = console.options().pages.clock.now() + AGE_MAX;
    let feed = Feed { console, page, until, sent: HashMap::new(), _place: place };
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
            () = clock.sleep(EVERY) => {}
        }
        let mut news = String::new();
        for (id, markup) in fragments(&self.console, &self.page).await {
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
