//! The composition root: builds everything from the settings, owns start order and graceful stop.
//!
//! Start: the store first, since nothing may be acknowledged without it; then the workers and the
//! realtime clients; the listener last. Stop is the same backwards: no more requests, no more events,
//! sends under way end, the store is closed. What does not end within the grace stays on disk and
//! comes again. This is the only place where the rooms' drivers meet.

mod account;
mod agents;
mod build;
mod client_factory;
mod conversations;
mod counted;
mod descriptors;
#[cfg(feature = "nats")]
mod dial;
mod gauges;
mod handover;
mod health;
#[cfg(feature = "nats")]
mod instances;
pub mod intake;
mod join_settings;
mod numbers;
mod parts;
mod replies;
mod resume_store;
mod sockets;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::clock::Clock;
#[cfg(feature = "nats")]
use crate::config::kinds::QueueEngine;
use crate::config::kinds::{AgentKind, Listen};
use crate::config::{Effective, Settings};
use crate::jobs::recorder::Recorder;
use crate::queue::{self, Store};
use crate::telemetry::journal::Journal;
use crate::telemetry::metrics::Metrics;
use crate::{admin, http, twilio};

pub use self::account::rest_options;
#[cfg(feature = "nats")]
pub use self::agents::names;
pub use self::client_factory::realtime_config;
#[cfg(feature = "nats")]
pub use self::dial::options as nats_options;
pub use self::health::Health;

/// How many stages the journal keeps: a few thousand messages' worth in about a mebibyte.
const JOURNAL_RECORDS: usize = 16 * 1024;

/// A running service.
#[derive(Debug)]
pub struct App {
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    recorder: Recorder,
    health: Arc<Health>,
    stops: Stops,
    tasks: TaskTracker,
    sockets: parts::Group,
    opened: Option<Opened>,
    grace: std::time::Duration,
}

/// The queues, and the other instances that share them.
#[derive(Debug)]
struct Opened {
    store: Store,
    #[cfg(feature = "nats")]
    cluster: Option<instances::Cluster>,
}

/// The tokens that end the parts, in the order in which they are cancelled.
#[derive(Clone, Debug, Default)]
struct Stops {
    /// Ends the listeners.
    listeners: CancellationToken,
    /// Ends whatever takes new work: events, turns, joins, sends, the sweep.
    workers: CancellationToken,
}

/// Why the service could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A listener's address could not be taken.
    #[error("cannot listen on {address}: another program has it, or it is not this machine's")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A listener does not say where it listens.
    #[error("a listener's address cannot be read")]
    Address(#[source] std::io::Error),
    /// The store could not be opened.
    #[error("the queue could not be opened")]
    Store(#[from] queue::Error),
    /// The REST client could not be made.
    #[error("the client for twilio's REST API could not be made")]
    Rest(#[from] twilio::rest::BuildError),
    /// There is no connection to NATS.
    #[cfg(feature = "nats")]
    #[error("nats could not be connected to")]
    Nats(#[from] crate::nats::Error),
    /// This instance cannot take part among several.
    #[cfg(feature = "nats")]
    #[error("this instance could not join the others")]
    Cluster(#[from] crate::cluster::Error),
    /// The TLS configuration could not be made.
    #[error("the TLS configuration could not be made")]
    Tls(#[from] crate::net::tls::Error),
    /// The agent could not be made.
    #[error("the agent could not be made")]
    Agent(#[from] agents::AgentError),
}

impl App {
    /// Starts the service on a listener that is bound already.
    ///
    /// # Errors
    ///
    /// If a part cannot be built; what was started is stopped again by dropping it.
    pub async fn start(
        settings: &Settings,
        effective: Vec<Effective>,
        listener: TcpListener,
    ) -> Result<Self, Error> {
        let limit = descriptors::raise_limit();
        tracing::debug!(count = limit, "limit of open descriptors is known");
        let address = address_of(&listener)?;
        let admin_listener = admin_listener(settings).await?;
        let admin_address = admin_listener.as_ref().map(address_of).transpose()?;
        let clock = Clock::start();
        let recorder = Recorder {
            journal: Journal::new(JOURNAL_RECORDS),
            metrics: Metrics::new(),
            clock,
            tally: Arc::default(),
        };
        let stops = Stops::default();
        let tasks = TaskTracker::new();
        let health = Arc::new(Health::new(recorder.clone(), wants(settings)));
        let instance = instance_name(settings);
        let pages = Arc::new(pages(settings, effective, &recorder, &health, &instance));
        let mut router = admin::public(Arc::clone(&pages));
        let mut admin_router =
            admin_address.map_or_else(Router::new, |listen| admin::private(pages, listen));
        let (sockets, mut opened) = (parts::Group::default(), None);
        if let Some(twilio) = &settings.twilio {
            let queues = open(settings, &instance).await?;
            let parts = parts::Parts {
                settings,
                twilio,
                recorder: &recorder,
                health: &health,
                store: &queues.store,
                sockets: &sockets,
                #[cfg(feature = "nats")]
                cluster: queues.cluster.as_ref(),
            };
            #[cfg(feature = "nats")]
            if let Some(cluster) = &queues.cluster {
                health.watch_cluster(cluster.clone());
            }
            let service = parts.start(&tasks, &stops.workers).await?;
            router = router.merge(service.router);
            admin_router = admin_router.merge(service.operate);
            opened = Some(queues);
        }
        let places = descriptors::fit(settings.server.connections_max.get(), limit);
        let options = http_options(settings, places.public);
        if let Some(listener) = admin_listener {
            let options = http::Options { connections_max: places.admin, ..options.clone() };
            tasks.spawn(http::serve(listener, admin_router, options, stops.listeners.clone()));
        }
        tasks.spawn(http::serve(listener, router, options, stops.listeners.clone()));
        tasks.close();
        sockets.tasks.close();
        let grace = settings.server.shutdown_grace;
        Ok(Self { address, admin_address, recorder, health, stops, tasks, sockets, opened, grace })
    }

    /// Where webhooks are served.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics are served, if they are.
    #[must_use]
    pub const fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// The stages of every message.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.recorder.journal
    }

    /// What the health pages say.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// How many jobs are waiting or at work in all queues.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub async fn open_jobs(&self) -> Result<u64, queue::Error> {
        let mut open = 0;
        if let Some(opened) = &self.opened {
            for name in queue::QueueName::ALL {
                let stats = opened.store.queue(name).stats().await?;
                open += stats.ready + stats.delayed + stats.leased;
            }
        }
        Ok(open)
    }

    /// Stops: gracefully within the configured grace, and at once after it.
    pub async fn stop(self) {
        self.health.stopping();
        self.stops.listeners.cancel();
        self.stops.workers.cancel();
        let ended = async {
            self.tasks.wait().await;
            self.sockets.stop.cancel();
            self.sockets.tasks.wait().await;
        };
        if tokio::time::timeout(self.grace, ended).await.is_err() {
            let elapsed_ms = u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(
                elapsed_ms,
                "some work did not end in time; it is on disk and comes again"
            );
        }
        self.sockets.stop.cancel();
        if let Some(opened) = self.opened {
            opened.store.close().await;
            #[cfg(feature = "nats")]
            if let Some(cluster) = opened.cluster {
                cluster.leave().await;
            }
        }
    }
}

/// What is to run, for whoever asks whether it does.
fn wants(settings: &Settings) -> health::Wants {
    let twilio = settings.twilio.as_ref();
    match twilio.map(|twilio| (&twilio.conversations, settings.realtime.enabled)) {
        None => health::Wants::Nothing,
        Some((None, _)) => health::Wants::Numbers,
        Some((Some(_), false)) => health::Wants::Conversations,
        Some((Some(_), true)) => health::Wants::Socket,
    }
}

async fn admin_listener(settings: &Settings) -> Result<Option<TcpListener>, Error> {
    match settings.admin.listen {
        Listen::Off => Ok(None),
        Listen::On(address) => bind(address).await.map(Some),
    }
}

/// Binds a listener.
///
/// # Errors
///
/// [`Error::Listen`], naming the address.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    listen(address).map_err(|source| Error::Listen { address, source })
}

/// How many connections the system keeps that were opened and not yet taken up; more than come in the
/// moment that taking up takes. The system may allow less.
const BACKLOG: u32 = 4_096;

/// Bytes that the system keeps of a connection's answers, and of its requests, before either side has
/// to wait; Linux takes twice as many. Without a bound it keeps some megabytes of each.
const BUFFER_BYTES: [u32; 2] = [32 * 1024, 64 * 1024];

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As tokio's own bind does: a new process takes the address of one that just ended.
    socket.set_reuseaddr(true)?;
    // The connections have their listener's.
    let [answers, requests] = BUFFER_BYTES;
    socket.set_send_buffer_size(answers)?;
    socket.set_recv_buffer_size(requests)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn address_of(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(Error::Address)
}

fn http_options(settings: &Settings, connections_max: usize) -> http::Options {
    let server = &settings.server;
    http::Options {
        connections_max,
        connections_per_address: server.connections_per_address.get(),
        trusted_proxies: server.trusted_proxies.0.as_slice().into(),
        header_read_timeout: server.header_read_timeout,
        body_read_timeout: server.body_read_timeout,
        write_timeout: server.write_timeout,
        idle_timeout: server.idle_timeout,
        grace: server.shutdown_grace,
        ..http::Options::default()
    }
}

/// The configured name, or one that no other instance has.
fn instance_name(settings: &Settings) -> String {
    let server = &settings.server;
    server.instance_id.as_ref().map_or_else(
        || format!("{}-{}", server.name.as_str(), &Uuid::new_v4().simple().to_string()[..6]),
        |name| name.as_str().to_owned(),
    )
}

/// Opens the queues, and takes part among the instances if they are shared.
#[cfg(feature = "nats")]
async fn open(settings: &Settings, instance: &str) -> Result<Opened, Error> {
    match settings.queue.engine {
        QueueEngine::Embedded => Ok(Opened { store: build::store(settings)?, cluster: None }),
        QueueEngine::Nats => {
            let (tls, _) = crate::net::tls::client_config()?;
            let (cluster, store) = instances::Cluster::join(settings, instance, &tls).await?;
            Ok(Opened { store, cluster: Some(cluster) })
        }
    }
}

/// Opens the queues; the settings refuse the engine that is not built in.
#[cfg(not(feature = "nats"))]
async fn open(settings: &Settings, _: &str) -> Result<Opened, Error> {
    Ok(Opened { store: build::store(settings)? })
}

fn pages(
    settings: &Settings,
    effective: Vec<Effective>,
    recorder: &Recorder,
    health: &Arc<Health>,
    instance: &str,
) -> admin::Options {
    let server = &settings.server;
    let insight: Arc<dyn admin::Insight> = Arc::<Health>::clone(health);
    let egress_topic = (settings.agent.kind == AgentKind::BitBrat)
        .then(|| format!("internal.egress.v1.{}", settings.bitbrat.egress_instance.as_str()));
    admin::Options {
        egress_topic,
        service: server.name.as_str().to_owned(),
        instance_id: instance.to_owned(),
        effective,
        debug_token: settings.admin.debug_token.clone(),
        is_on_platform: settings.agent.kind == AgentKind::BitBrat,
        metrics: recorder.metrics.clone(),
        insight,
        clock: recorder.clock,
    }
}
