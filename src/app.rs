//! The composition root: builds everything from the settings, owns start order and graceful stop.
//!
//! Start: the store first, since nothing may be acknowledged without it; then the workers and the
//! realtime clients; the listener last. Stop is the same backwards: no more requests, no more events,
//! sends under way end, the store is closed. What does not end within the grace stays on disk and
//! comes again. This is the only place where the rooms' drivers meet.

mod account;
mod agents;
mod alarms;
mod build;
mod client_factory;
mod console;
mod conversations;
mod counted;
mod descriptors;
mod directory;
mod gauges;
mod handover;
mod health;
mod instances;
pub mod intake;
mod join_settings;
mod media;
mod numbers;
mod parts;
mod replies;
pub mod resume_store;
mod sockets;
mod store;
mod timeline;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::agent::{Beside, kind, kinds};
use crate::clock::Clock;
use crate::config::kinds::Listen;
use crate::config::{Effective, Settings};
use crate::console::findings::Findings;
use crate::console::plans::Plans;
use crate::jobs::recorder::Recorder;
use crate::jobs::status::Status;
use crate::queue::{self, Store};
use crate::telemetry::journal::Journal;
use crate::telemetry::metrics::Metrics;
use crate::timeline::keeper::Keeper;
use crate::{admin, http, twilio};

pub use self::account::rest_options;
pub use self::client_factory::{realtime_config, token_request};
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
    opened: Option<OpenedStore>,
    grace: std::time::Duration,
}

/// The queues, and the other instances that share them.
#[derive(Debug)]
struct OpenedStore {
    store: Store,
    cluster: Option<instances::Cluster>,
    timeline: Option<Keeper>,
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
    /// The queues could not be opened, or not be shared.
    #[error(transparent)]
    Queues(#[from] instances::Error),
    /// The REST client could not be made.
    #[error("the client for twilio's REST API could not be made")]
    Rest(#[from] twilio::rest::BuildError),
    /// The TLS configuration could not be made.
    #[error("the TLS configuration could not be made")]
    Tls(#[from] crate::net::tls::Error),
    /// The notices of alarms cannot be posted or signed.
    #[error(transparent)]
    Alarms(#[from] alarms::Error),
    /// The client that fetches files could not be made.
    #[error("the client that fetches files could not be made")]
    Media(#[source] reqwest::Error),
    /// The agent could not be made.
    #[error("the agent could not be made")]
    Agent(#[from] kind::Error),
    /// An agent by name could not be made.
    #[error("the agent {name} could not be made of [agents.{name}]")]
    NamedAgent {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: kind::Error,
    },
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
        Self::start_by(Clock::start(), (settings, effective), listener).await
    }

    /// Starts the service by a clock that runs already.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn start_by(
        clock: Clock,
        (settings, effective): (&Settings, Vec<Effective>),
        listener: TcpListener,
    ) -> Result<Self, Error> {
        let limit = descriptors::raise_limit();
        tracing::debug!(count = limit, "limit of open descriptors is known");
        let address = address_of(&listener)?;
        let admin_listener = admin_listener(settings).await?;
        let admin_address = admin_listener.as_ref().map(address_of).transpose()?;
        let recorder = Recorder {
            journal: Journal::new(JOURNAL_RECORDS),
            metrics: Metrics::new(),
            clock,
            tally: Arc::default(),
        };
        let (stops, tasks) = (Stops::default(), TaskTracker::new());
        let instance = instance_name(settings);
        let alarms = alarms::of(settings, &instance, clock)?;
        let (status, sockets) = (Arc::<Status>::default(), parts::Group::default());
        let (mut opened, mut service) = (None, None);
        if let Some(twilio) = &settings.twilio {
            let (cluster, store) = instances::open(settings, &instance, clock).await?;
            let timeline = timeline::open(settings, cluster.as_ref(), clock).await;
            let parts = parts::Parts {
                settings,
                twilio,
                recorder: &recorder,
                status: &status,
                store: &store,
                sockets: &sockets,
                timeline: timeline.as_ref(),
                cluster: cluster.as_ref(),
            };
            let kept = timeline::keep(timeline.as_ref(), &recorder);
            service = Some(parts.start(&tasks, &stops.workers).await?);
            opened = Some(OpenedStore { store, cluster, timeline: kept });
        }
        let running = running(settings, service.as_ref().zip(opened.as_ref()));
        let health = Arc::new(Health::new(recorder.clone(), status, running));
        let pages = Arc::new(pages(settings, effective, &recorder, &health, &instance));
        let mut router = admin::public(Arc::clone(&pages));
        let beside = (&tasks, [&stops.listeners, &stops.workers]);
        let seen = (&health, &recorder, service.as_ref().map(|service| &service.workbench));
        let mut admin_router = console::pages((settings, admin_address), pages, seen, beside);
        if let Some(service) = service {
            let build::Service { router: public, operate, agents, .. } = service;
            for (made, outbox) in agents {
                let (service, stop) = (Arc::<Health>::clone(&health), stops.workers.clone());
                tasks.spawn(made.agent.run(Beside { outbox, service, stop }));
            }
            router = router.merge(public);
            admin_router = admin_router.merge(operate);
        }
        if let Some(alarms) = alarms {
            tasks.spawn(alarms.run(Arc::<Health>::clone(&health), stops.workers.clone()));
        }
        let places = descriptors::fit(settings.server.connections_max.get(), limit);
        let options = http_options(settings, places.public, clock);
        if let Some(listener) = admin_listener {
            let options = http::Options { connections_max: places.admin, ..options.clone() };
            let router = console::gate(settings).before(admin_router);
            tasks.spawn(http::serve(listener, router, options, stops.listeners.clone()));
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

    /// What the service counts.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.recorder.metrics
    }

    /// Where the console is told what the doctor found, and the doctor that another look is wished for.
    #[must_use]
    pub fn findings(&self) -> &Findings {
        self.health.findings()
    }

    /// Where the console is told what setup would change, and whoever looks that a look is wished for.
    #[must_use]
    pub fn plans(&self) -> &Plans {
        self.health.plans()
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
                open += stats.open();
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
            if let Some(timeline) = opened.timeline {
                timeline.close().await;
            }
            opened.store.close().await;
            if let Some(cluster) = opened.cluster {
                cluster.leave().await;
            }
        }
    }
}

/// What the health pages look at.
fn running(
    settings: &Settings,
    watched: Option<(&build::Service, &OpenedStore)>,
) -> Option<health::Running> {
    let (service, opened) = watched?;
    let wants = match (&service.seats, settings.realtime.enabled) {
        (None, _) => health::Wants::Numbers,
        (Some(_), false) => health::Wants::Conversations,
        (Some(_), true) => health::Wants::Socket,
    };
    Some(health::Running {
        wants,
        seats: service.seats.clone(),
        store: opened.store.clone(),
        upstreams: service.upstreams.clone(),
        cluster: opened.cluster.clone(),
    })
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

fn http_options(settings: &Settings, connections_max: usize, clock: Clock) -> http::Options {
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
        clock,
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

fn pages(
    settings: &Settings,
    effective: Vec<Effective>,
    recorder: &Recorder,
    health: &Arc<Health>,
    instance: &str,
) -> admin::Options {
    let server = &settings.server;
    let insight: Arc<dyn admin::Insight> = Arc::<Health>::clone(health);
    let platform = kinds::platform(settings);
    admin::Options {
        is_on_platform: platform.is_some(),
        egress_topic: platform.map(|platform| platform.egress_topic),
        service: server.name.as_str().to_owned(),
        instance_id: instance.to_owned(),
        required_variables: kinds::schema().required_variables(),
        effective,
        debug_token: settings.admin.debug_token.clone(),
        metrics: recorder.metrics.clone(),
        insight,
        clock: recorder.clock,
    }
}
