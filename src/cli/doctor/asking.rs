//! Who is asked about an account's set-up, and what is said where nobody could look.

use std::time::Duration;

use crate::app;
use crate::cli::doors::Doors;
use crate::clock::Clock;
use crate::config::Settings;
use crate::config::settings::Twilio;
use crate::finding::Finding;
use crate::telemetry::chain::Chain;
use crate::twilio::rest;

/// Whom to ask, and by which settings.
pub(super) struct Asking<'a> {
    pub(super) all: &'a Settings,
    pub(super) twilio: &'a Twilio,
    pub(super) rest: rest::Client,
    pub(super) doors: Doors,
    pub(super) clock: Clock,
}

/// How many requests are under way at once: the account's other programs need theirs.
const REQUESTS_MAX: usize = 4;

/// How long one request may take, and its connection before it: all in all ten seconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

impl<'a> Asking<'a> {
    pub(super) fn of(
        all: &'a Settings,
        twilio: &'a Twilio,
        tls: rustls::ClientConfig,
        clock: Clock,
    ) -> Result<Self, rest::BuildError> {
        let options = gentle(app::rest_options(twilio, all.proxy.proxies()));
        let rest = rest::Client::new(options, tls, clock, None)?;
        Ok(Self { all, twilio, rest, doors: Doors::of(all), clock })
    }
}

/// Bounds that suit a look.
pub(super) fn gentle(options: rest::Options) -> rest::Options {
    rest::Options {
        connect_timeout: options.connect_timeout.min(REQUEST_TIMEOUT),
        request_timeout: options.request_timeout.min(REQUEST_TIMEOUT),
        in_flight_max: REQUESTS_MAX,
        ..options
    }
}

/// Says why nobody could look; a right that is missing is no fault of what it is about.
pub(super) fn unseen(check: &'static str, error: &rest::Error) -> Finding {
    let (found, remedy) = match error.status() {
        Some(status @ (401 | 403)) => (
            format!("these credentials may not read it ({status})"),
            "sign in with the auth token (CHIMEIN_TWILIO_REST_AUTH=token), or give the key this right",
        ),
        Some(404) => (
            "the account has nothing there".to_owned(),
            "look at the console, whether the product is switched on",
        ),
        Some(_) | None => {
            (Chain(error).to_string(), "try again; status.twilio.com says whether Twilio is well")
        }
    };
    Finding::unchecked(check, found, remedy)
}
