//! `chimein serve`: runs the service until it is told to stop.
//!
//! Exit code 0 after SIGTERM, SIGHUP or an interrupt, within `server.shutdown_grace`; 1 if the
//! settings are not fit to start with, each problem named, or if a part cannot be started.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;

use tokio::runtime::{Handle, Runtime};

use super::{doctor, setup, signals};
use crate::agent::kinds;
use crate::app::{self, App};
use crate::clock::Clock;
use crate::config::settings::Telemetry;
use crate::config::{Effective, Environment, Settings};
use crate::telemetry::log;
use crate::telemetry::otlp::{self, Exporter, Resource, Spans};
use crate::text::printable;

/// What `chimein serve` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file; without it the one that CHIMEIN_CONFIG names.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Says why the service could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log could not be set up.
    #[error("the log could not be set up")]
    Log(#[from] log::Error),
    /// Traces cannot be sent.
    #[error("traces cannot be sent")]
    Traces(#[from] otlp::Error),
    /// The runtime could not be made.
    #[error("the runtime could not be started")]
    Runtime(#[source] io::Error),
    /// The signals of the process could not be listened to.
    #[error("signals cannot be listened to")]
    Signals(#[source] io::Error),
    /// A part could not be started.
    #[error("the service could not be started")]
    App(#[from] app::Error),
}

/// Runs the command.
///
/// # Errors
///
/// See [`Error`].
pub fn run(args: &Args, environment: &Environment) -> Result<ExitCode, Error> {
    let report = kinds::load(args.config.as_deref(), environment);
    let effective = report.effective.clone();
    let settings = match report.into_settings() {
        Ok(settings) => settings,
        Err(problems) => {
            eprintln!("chimein: {}", printable(&problems.to_string()));
            return Ok(ExitCode::FAILURE);
        }
    };
    let options = log::Options {
        level: settings.log.level.clone(),
        format: settings.log.format,
        stream: log::Stream::Stdout,
        has_colours: environment.get("NO_COLOR").is_none(),
        service: settings.server.name.as_str().to_owned(),
    };
    let (clock, runtime) = (Clock::start(), Runtime::new().map_err(Error::Runtime)?);
    let (spans, exporter) = tracing_of(&settings, clock, runtime.handle())?.unzip();
    log::init(&options, spans)?;
    runtime.block_on(async {
        let served = serve(clock, (&settings, effective)).await;
        // What the stop itself had to say is sent too.
        if let Some(exporter) = exporter {
            exporter.stop().await;
        }
        served
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Opens what sends traces, if they are to be sent.
fn tracing_of(
    settings: &Settings,
    clock: Clock,
    runtime: &Handle,
) -> Result<Option<(Spans, Exporter)>, otlp::Error> {
    let Telemetry { tracing, sampler_ratio, otlp_endpoint, otlp_headers, otlp_timeout } =
        &settings.telemetry;
    let Some(endpoint) = otlp_endpoint.as_ref().filter(|_| *tracing) else { return Ok(None) };
    let server = &settings.server;
    let options = otlp::Options {
        endpoint: endpoint.url().clone(),
        headers: otlp_headers.clone(),
        timeout: otlp_timeout.0,
        ratio: sampler_ratio.0,
        proxies: settings.proxy.proxies(),
        resource: Resource {
            service: server.name.as_str().to_owned(),
            instance: server.instance_id.as_ref().map(|name| name.as_str().to_owned()),
        },
    };
    otlp::open(options, clock, runtime.clone()).map(Some)
}

async fn serve(
    clock: Clock,
    (settings, effective): (&Settings, Vec<Effective>),
) -> Result<(), Error> {
    let stop = signals::stop_signal().map_err(Error::Signals)?;
    let address = SocketAddr::new(settings.server.listen, settings.server.port.get());
    let listener = app::bind(address).await?;
    let mut stop = pin!(stop);
    let app = tokio::select! {
        app = App::start_by(clock, (settings, effective), listener) => app?,
        name = &mut stop => {
            tracing::info!(signal = name, "service is stopped before it was up");
            return Ok(());
        }
    };
    tracing::info!(address = %app.address(), version = env!("CARGO_PKG_VERSION"), "service is up");
    // Looks by itself, until the service is told to stop.
    let name = tokio::select! {
        name = &mut stop => name,
        never = doctor::watch(settings, (app.metrics(), app.findings()), clock) => match never {},
        never = setup::watch(settings, app.plans(), clock) => match never {},
    };
    tracing::info!(signal = name, "service is stopping");
    app.stop().await;
    tracing::info!("service has stopped");
    Ok(())
}
