//! Whether Twilio knows the chat service at all.
//!
//! A request about one conversation is answered 404 when the conversation is gone, and also when the
//! service in its path is wrong. The first is for ever, the second is cured by configuration. So who is
//! answered 404 asks here, where one request that only the service can fail tells them apart, once a
//! minute at most however many ask.

use std::time::Duration;

use tokio::sync::Mutex;

use crate::clock::{Clock, Moment};
use crate::telemetry::chain::Chain;
use crate::twilio::rest;

/// How long an answer counts.
const ASK_EVERY: Duration = Duration::from_secs(60);

/// What a job that failed for it says.
pub const UNKNOWN: &str =
    "twilio does not know the chat service; check TWILIO_CHAT_SERVICE_SID and TWILIO_ACCOUNT_SID";

/// Asks and remembers.
pub struct ServiceCheck {
    rest: rest::Client,
    clock: Clock,
    known: Mutex<Option<(Moment, bool)>>,
}

impl ServiceCheck {
    /// Has not asked yet.
    #[must_use]
    pub fn new(rest: rest::Client, clock: Clock) -> Self {
        Self { rest, clock, known: Mutex::default() }
    }

    /// Whether Twilio says that there is no such service; false where it says nothing.
    pub async fn is_unknown(&self) -> bool {
        let mut known = self.known.lock().await;
        let now = self.clock.now();
        if let Some((asked, is_unknown)) = *known
            && now.since(asked) < ASK_EVERY
        {
            return is_unknown;
        }
        let is_unknown = match self.rest.fetch_webhooks().await {
            Ok(found) => found.is_none(),
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "twilio did not say whether it knows the service");
                false
            }
        };
        *known = Some((now, is_unknown));
        is_unknown
    }
}
