//! What is logged of refused requests: some of each kind a minute, and nothing of a stranger's whole.
//!
//! Decides no answer. No body, signature or query is in a line, and no text longer than
//! [`refusals::cut`] lets it be.

use std::net::IpAddr;

use axum::http::Extensions;

use super::url::Unknown;
use crate::clock::Clock;
use crate::http::caller;
use crate::telemetry::chain::Chain;
use crate::telemetry::refusals::{self, Refusals};
use crate::twilio::events;
use crate::twilio::signature;

/// How many of the URLs that were tried a line shows.
const URLS_MAX: usize = 4;

/// Counts the lines of each kind.
pub(super) struct Refused {
    unsigned: Refusals,
    unusable: Refusals,
    unstored: Refusals,
}

/// Whose request it is, and of what.
#[derive(Clone, Copy)]
pub(super) struct RefusedCaller {
    pub(super) peer: Option<IpAddr>,
    pub(super) event_type: Option<&'static str>,
}

impl RefusedCaller {
    pub(super) fn of(extensions: &Extensions) -> Self {
        Self { peer: caller::peer(extensions), event_type: None }
    }

    pub(super) const fn with(self, event_type: &'static str) -> Self {
        Self { event_type: Some(event_type), ..self }
    }
}

impl Refused {
    pub(super) fn new(clock: Clock) -> Self {
        let [unsigned, unusable, unstored] = std::array::from_fn(|_| Refusals::new(clock));
        Self { unsigned, unusable, unstored }
    }

    /// A request whose URL nobody knows.
    pub(super) fn unknown(&self, who: RefusedCaller, error: &Unknown) {
        let Some(left_out) = self.unsigned.admit(who.peer) else { return };
        let text = Chain(error).to_string();
        tracing::warn!(
            reason = error.reason(),
            error = refusals::cut(&text),
            left_out,
            "refused a webhook request, since what it called is not known"
        );
    }

    /// A request that Twilio has not signed.
    pub(super) fn unsigned(&self, who: RefusedCaller, error: &signature::Error) {
        let Some(left_out) = self.unsigned.admit(who.peer) else { return };
        tracing::warn!(
            reason = error.reason(),
            urls = urls(error.tried()),
            left_out,
            "refused a webhook request for its signature"
        );
    }

    /// A request of another account.
    pub(super) fn foreign(&self, who: RefusedCaller) {
        let Some(left_out) = self.unusable.admit(who.peer) else { return };
        tracing::warn!(
            event_type = who.event_type,
            reason = "wrong_account",
            left_out,
            "refused a webhook request of another account"
        );
    }

    /// A request that cannot be read.
    pub(super) fn malformed(&self, who: RefusedCaller, error: &events::Error) {
        let Some(left_out) = self.unusable.admit(who.peer) else { return };
        let text = Chain(error).to_string();
        tracing::warn!(
            event_type = who.event_type,
            error = refusals::cut(&text),
            left_out,
            "a signed webhook request could not be read"
        );
    }

    /// A request that nobody here is set up for.
    pub(super) fn not_configured(&self, who: RefusedCaller, needs: &'static str) {
        let Some(left_out) = self.unusable.admit(who.peer) else { return };
        tracing::warn!(
            event_type = who.event_type,
            reason = needs,
            left_out,
            "a signed webhook request is for what is not set up; set what is named or let Twilio call \
             another place"
        );
    }

    /// A request that could not be stored.
    pub(super) fn unstored(&self, who: RefusedCaller, cause: &str) {
        let Some(left_out) = self.unstored.admit(who.peer) else { return };
        tracing::error!(
            event_type = who.event_type,
            error = cause,
            left_out,
            "a webhook event was not stored and is refused"
        );
    }
}

/// The URLs without their queries, each cut, as many as a line shows.
fn urls(tried: &[String]) -> String {
    let shown = tried.iter().take(URLS_MAX).map(|url| {
        let url = url.split_once('?').map_or(url.as_str(), |(url, _)| url);
        refusals::cut(url)
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_cut_and_without_their_queries() {
        let tried = ["https://h/w?a=1&b", "https://h:443/w?a=1"].map(str::to_owned);
        assert_eq!(urls(&tried), "https://h/w https://h:443/w");
        let long = vec![format!("https://h/{}", "x".repeat(60_000)); 100];
        assert!(urls(&long).len() < 1000);
    }
}
