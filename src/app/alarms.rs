//! The alarms, made of the settings, and what of the metrics they look at.

use crate::alarms::notice::Teller;
use crate::alarms::rules::{Thresholds, TurnFacts};
use crate::alarms::teller::{Alarms, Options};
use crate::clock::Clock;
use crate::config::Settings;
use crate::net::{http, tls};
use crate::standard_webhooks::{Secret, SecretError};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::labels::TurnOutcome;

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The TLS configuration could not be made.
    #[error("the TLS configuration could not be made")]
    Tls(#[from] tls::Error),
    /// The client could not be made.
    #[error("the client that posts notices of alarms could not be made")]
    Client(#[source] reqwest::Error),
    /// The secret is none.
    #[error("alarms.secret cannot be used: set it to what `chimein secret new` prints")]
    Secret(#[from] SecretError),
}

/// The alarms, if they have somewhere to go.
///
/// # Errors
///
/// If the client or the secret cannot be made of the settings.
pub fn of(settings: &Settings, instance: &str, clock: Clock) -> Result<Option<Alarms>, Error> {
    let alarms = &settings.alarms;
    let Some((url, secret)) = alarms.url.as_ref().zip(alarms.secret.as_ref()) else {
        return Ok(None);
    };
    let options = Options {
        url: url.url().clone(),
        secret: Secret::parse(secret)?,
        interval: alarms.interval,
        thresholds: thresholds(settings),
        teller: Teller {
            service: settings.server.name.as_str().to_owned(),
            instance: instance.to_owned(),
        },
    };
    let (tls, _) = tls::client_config()?;
    let client = http::builder(tls, &settings.proxy.proxies()).build().map_err(Error::Client)?;
    Ok(Some(Alarms::new(options, client, clock)))
}

/// From where on it is bad.
#[must_use]
pub fn thresholds(settings: &Settings) -> Thresholds {
    let alarms = &settings.alarms;
    Thresholds {
        depth: alarms.queue_depth.get().into(),
        oldest: alarms.queue_oldest,
        seats: alarms.seats.get().into(),
        hold: alarms.hold,
        repeat: alarms.repeat,
    }
}

/// The turns that ended so far.
#[must_use]
pub fn turns(metrics: &Metrics) -> TurnFacts {
    let failed = metrics.turns(TurnOutcome::Retried) + metrics.turns(TurnOutcome::Dead);
    let well = metrics.turns(TurnOutcome::Answered) + metrics.turns(TurnOutcome::Silent);
    TurnFacts { ended: failed + well, failed }
}
