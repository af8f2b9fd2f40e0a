//! Looks at the service every few seconds and posts what is to be told of it.
//!
//! Decides nothing about alarms: that is [`rules`](super::rules)'. Notices wait in memory while nobody takes
//! them, so many at most; the first that fails ends the round, and the next look tries it again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::header::CONTENT_TYPE;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use super::notice::{Notice, Teller};
use super::rules::{AlarmWatch, Facts, Thresholds};
use crate::clock::Clock;
use crate::standard_webhooks::{self, Secret};
use crate::telemetry::chain::Chain;

/// Notices that wait for their receiver; the oldest goes where there is one more.
const WAITING_MAX: usize = 256;

/// How long the receiver may take for one.
const WITHIN: Duration = Duration::from_secs(10);

/// Who sees the service.
pub trait Witness: Send + Sync {
    /// What is to be seen now.
    fn facts(&self) -> BoxFuture<'_, Facts>;
}

/// Where notices go, and of what.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where they are posted.
    pub url: Url,
    /// Signs them.
    pub secret: Secret,
    /// How often is looked.
    pub interval: Duration,
    /// From where on it is bad.
    pub thresholds: Thresholds,
    /// Who tells.
    pub teller: Teller,
}

/// A notice on its way.
struct WaitingNotice {
    id: String,
    body: Vec<u8>,
}

/// What becomes of a notice that was posted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum NoticeFate {
    Taken,
    /// By a status that does not pass by itself.
    Refused,
    Again,
}

/// Looks and tells until it is stopped.
pub struct Alarms {
    options: Options,
    client: reqwest::Client,
    clock: Clock,
    watch: AlarmWatch,
    waiting: VecDeque<WaitingNotice>,
}

impl Alarms {
    /// Makes one of a client that follows no redirects and retries nothing.
    #[must_use]
    pub const fn new(options: Options, client: reqwest::Client, clock: Clock) -> Self {
        let watch = AlarmWatch::new(options.thresholds);
        Self { options, client, clock, watch, waiting: VecDeque::new() }
    }

    /// Runs until `stop`.
    pub async fn run(mut self, witness: Arc<dyn Witness>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.round(&*witness) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep_until(self.clock.now() + self.options.interval) => {}
            }
        }
    }

    async fn round(&mut self, witness: &dyn Witness) {
        let facts = witness.facts().await;
        let (now, wall) = (self.clock.now(), self.clock.wall());
        for change in self.watch.look(now, wall, &facts) {
            let id = Uuid::now_v7().to_string();
            let notice = Notice::of(&id, &change, &self.options.teller, wall);
            let body = serde_json::to_vec(&notice).expect("a notice is always JSON");
            if self.waiting.len() >= WAITING_MAX {
                self.waiting.pop_front();
                tracing::warn!(
                    count = WAITING_MAX,
                    "too many notices of alarms wait; the oldest is dropped"
                );
            }
            self.waiting.push_back(WaitingNotice { id, body });
        }
        // A receiver that takes its time is no reason to look later.
        while self.clock.now().since(now) < self.options.interval {
            let Some(first) = self.waiting.front() else { return };
            if self.post(first).await == NoticeFate::Again {
                return;
            }
            self.waiting.pop_front();
        }
    }

    async fn post(&self, notice: &WaitingNotice) -> NoticeFate {
        let Options { url, secret, .. } = &self.options;
        let (id, body) = (notice.id.as_str(), &notice.body);
        let mut request = self.client.post(url.clone()).header(CONTENT_TYPE, "application/json");
        for (name, value) in standard_webhooks::headers(secret, id, self.clock.wall(), body) {
            request = request.header(name, value);
        }
        match request.timeout(WITHIN).body(body.clone()).send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                let fate = fate_of(status);
                match fate {
                    NoticeFate::Taken => {}
                    NoticeFate::Refused => tracing::error!(
                        status,
                        "a notice of an alarm is refused and dropped: check CHIMEIN_ALARMS_URL and \
                         CHIMEIN_ALARMS_SECRET"
                    ),
                    NoticeFate::Again => {
                        tracing::warn!(status, "a notice of an alarm was not taken; trying again")
                    }
                }
                fate
            }
            Err(error) => {
                let error = error.without_url();
                tracing::warn!(error = %Chain(&error), "a notice of an alarm was not heard; trying again");
                NoticeFate::Again
            }
        }
    }
}

const fn fate_of(status: u16) -> NoticeFate {
    match status {
        200..=299 => NoticeFate::Taken,
        408 | 425 | 429 | 500.. => NoticeFate::Again,
        _ => NoticeFate::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again() {
        for (status, fate) in [
            (200, NoticeFate::Taken),
            (204, NoticeFate::Taken),
            (302, NoticeFate::Refused),
            (401, NoticeFate::Refused),
            (404, NoticeFate::Refused),
            (408, NoticeFate::Again),
            (429, NoticeFate::Again),
            (503, NoticeFate::Again),
        ] {
            assert_eq!(fate_of(status), fate, "{status}");
        }
    }
}
