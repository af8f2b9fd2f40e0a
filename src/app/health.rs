//! What the health and debug pages say of the running service.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use futures::future::BoxFuture;

use super::gauges;
#[cfg(feature = "nats")]
use super::instances::Cluster;
use crate::admin;
use crate::admin::{Connector, ConnectorState, Counters, Insight, Readiness, Seat};
#[cfg(feature = "nats")]
use crate::agent::bitbrat::{BitBrat, Watched, status::Source};
use crate::channels::conversations::seats::{Listening, PoolMember, Seats};
use crate::jobs::dependency::Dependency;
use crate::jobs::recorder::Recorder;
use crate::jobs::status::Status;
use crate::queue::Store;
use crate::realtime::State;

/// How many conversations the debug page is given; it shows fewer.
const SEATS_SHOWN: usize = 1000;

/// The running service, as far as its pages show it.
#[derive(Debug)]
pub struct Health {
    recorder: Recorder,
    status: Arc<Status>,
    agent: Arc<Dependency>,
    wants: Wants,
    is_stopping: AtomicBool,
    parts: OnceLock<(Option<Arc<Seats>>, Store)>,
    #[cfg(feature = "nats")]
    bus: OnceLock<Arc<BitBrat>>,
    #[cfg(feature = "nats")]
    cluster: OnceLock<Cluster>,
}

/// What is to run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wants {
    /// Nothing: Twilio is switched off.
    Nothing,
    /// Plain numbers alone, which need no socket.
    Numbers,
    /// Conversations without a socket.
    Conversations,
    /// Conversations with a socket.
    Socket,
}

impl Health {
    /// Starts not ready. Without Twilio there is nothing to wait for.
    #[must_use]
    pub fn new(recorder: Recorder, wants: Wants) -> Self {
        Self {
            recorder,
            status: Arc::default(),
            agent: Arc::new(Dependency::new("agent")),
            wants,
            is_stopping: AtomicBool::new(false),
            parts: OnceLock::new(),
            #[cfg(feature = "nats")]
            bus: OnceLock::new(),
            #[cfg(feature = "nats")]
            cluster: OnceLock::new(),
        }
    }

    /// What the workers know about Twilio's willingness.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// What the workers know about the agent.
    #[must_use]
    pub fn agent(&self) -> Arc<Dependency> {
        Arc::clone(&self.agent)
    }

    /// Is told what to look at, once.
    pub fn watch(&self, seats: Option<Arc<Seats>>, store: Store) {
        let _ = self.parts.set((seats, store));
    }

    /// Is told which agent thinks over a bus, once.
    #[cfg(feature = "nats")]
    pub fn watch_bus(&self, agent: Arc<BitBrat>) {
        let _ = self.bus.set(agent);
    }

    /// Whether the agent's bus is away; messages are taken all the same, and wait on disk.
    #[cfg(feature = "nats")]
    fn is_bus_down(&self) -> bool {
        self.bus.get().is_some_and(|agent| !agent.is_connected())
    }

    #[cfg(not(feature = "nats"))]
    #[expect(clippy::unused_self, reason = "the same call with and without a bus")]
    const fn is_bus_down(&self) -> bool {
        false
    }

    /// Is told that this instance is one of several, once.
    #[cfg(feature = "nats")]
    pub fn watch_cluster(&self, cluster: Cluster) {
        let _ = self.cluster.set(cluster);
    }

    #[cfg(feature = "nats")]
    fn among(&self) -> Option<admin::Cluster> {
        self.cluster.get().map(Cluster::view)
    }

    #[cfg(not(feature = "nats"))]
    #[expect(clippy::unused_self, reason = "the same call with and without other instances")]
    const fn among(&self) -> Option<admin::Cluster> {
        None
    }

    /// Is told that the service is on its way down.
    pub fn stopping(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// How the sockets are that are to be here.
    fn sockets(&self) -> Sockets {
        let mut sockets = Sockets::default();
        let seats = self.parts.get().and_then(|(seats, _)| seats.as_ref());
        let lines = seats.map(|seats| seats.members()).unwrap_or_default();
        for ear in lines.iter().map(PoolMember::listening) {
            let Listening::Here(client) = ear else { continue };
            sockets.note(*client.state().borrow());
        }
        sockets
    }
}

/// How many identities have their socket here, and how those are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Sockets {
    up: usize,
    refused: usize,
    /// Neither up nor refused.
    down: usize,
}

impl Sockets {
    const fn note(&mut self, state: State) {
        let count = match state {
            State::Connected | State::Live => &mut self.up,
            State::Refused => &mut self.refused,
            State::Connecting | State::Waiting | State::ShutDown => &mut self.down,
        };
        *count += 1;
    }

    /// Why no socket is up, if that is because all are refused.
    fn refusal(self) -> Option<String> {
        (self.refused > 0 && self.refused == self.all())
            .then(|| "the socket is refused: check TWILIO_API_KEY and TWILIO_API_SECRET".to_owned())
    }

    const fn all(self) -> usize {
        self.up + self.refused + self.down
    }

    /// What is lacking. A client that is refused does not come back by its own doing, so that is told
    /// apart from one that reconnects.
    fn readiness(self) -> Readiness {
        let lacking = [(self.refused > 0, "socket_refused"), (self.down > 0, "socket_down")];
        let lacking: Vec<_> = lacking.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
        match (self.up, lacking.is_empty()) {
            (0, true) => Readiness::NotReady(vec!["socket_down"]),
            (0, false) => Readiness::NotReady(lacking),
            (_, true) => Readiness::Ready,
            (_, false) => Readiness::Degraded(lacking),
        }
    }
}

#[cfg(feature = "nats")]
impl Watched for Health {
    fn source(&self) -> Option<Source> {
        let Connector { state, identity, last_error, counters, .. } = self.twilio()?;
        let state = match state {
            ConnectorState::Disconnected => "DISCONNECTED",
            ConnectorState::Connecting => "CONNECTING",
            ConnectorState::Connected => "CONNECTED",
            ConnectorState::Error => "ERROR",
        };
        let Counters { received, published, failed } = counters;
        Some(Source { identity, state, last_error, received, published, failed })
    }
}

impl Insight for Health {
    fn readiness(&self) -> Readiness {
        if self.is_stopping.load(Ordering::Relaxed) {
            return Readiness::NotReady(vec!["stopping"]);
        }
        if self.wants == Wants::Nothing {
            return Readiness::Ready;
        }
        if self.parts.get().is_some_and(|(_, store)| store.is_failing()) {
            return Readiness::NotReady(vec![admin::STORE_FAILING]);
        }
        if self.status.refusal().is_some() {
            return Readiness::NotReady(vec!["twilio_refuses"]);
        }
        let among = self.among();
        if among.as_ref().is_some_and(|cluster| !cluster.is_connected) {
            return Readiness::NotReady(vec!["nats_down"]);
        }
        match (self.parts.get(), self.sockets()) {
            (None, _) => Readiness::NotReady(vec!["starting"]),
            (Some(_), _) if self.status.is_down() => Readiness::Degraded(vec!["twilio_down"]),
            (Some(_), _) if self.is_bus_down() => Readiness::Degraded(vec!["bus_down"]),
            (Some(_), _) if self.agent.is_away() => Readiness::Degraded(vec!["agent_down"]),
            (Some(_), _) if self.wants == Wants::Numbers => Readiness::Ready,
            (Some(_), _) if self.wants == Wants::Conversations => {
                Readiness::Degraded(vec!["realtime_off"])
            }
            // Other instances listen for all identities.
            (Some(_), sockets) if sockets.all() == 0 && among.is_some() => Readiness::Ready,
            (Some(_), sockets) => sockets.readiness(),
        }
    }

    fn twilio(&self) -> Option<Connector> {
        let (seats, _) = self.parts.get()?;
        let sockets = self.sockets();
        let refusal = self.status.refusal().or_else(|| sockets.refusal());
        let state = match (refusal.is_some(), sockets.up, sockets.all()) {
            (true, _, _) => ConnectorState::Error,
            // Other instances listen for all identities.
            (false, _, 0) if self.among().is_some() => ConnectorState::Connected,
            (false, _, 0) if self.wants == Wants::Numbers => ConnectorState::Connected,
            (false, _, 0) => ConnectorState::Disconnected,
            (false, 0, _) => ConnectorState::Connecting,
            (false, _, _) => ConnectorState::Connected,
        };
        let tallied = self.recorder.tally.read();
        let seats = seats.as_ref();
        let held = seats.map(|seats| seats.held(SEATS_SHOWN)).unwrap_or_default().into_iter();
        let identity = seats.map(|seats| seats.members()[0].identity.clone());
        Some(Connector {
            state,
            identity: identity.unwrap_or_default(),
            last_message_at: tallied.last_message_at,
            last_error: refusal,
            counters: Counters {
                received: tallied.received,
                published: tallied.answered,
                failed: tallied.failed,
            },
            conversations: held.map(|sid| Seat { sid, status: "joined" }).collect(),
        })
    }

    fn cluster(&self) -> Option<admin::Cluster> {
        self.among()
    }

    fn refresh(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if let Some(cluster) = self.among() {
                gauges::among(&self.recorder.metrics, &cluster);
            }
            if let Some((seats, store)) = self.parts.get() {
                gauges::read(&self.recorder.metrics, seats.as_deref(), store).await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_socket_is_told_apart_from_one_that_is_down() {
        use Readiness::{Degraded, NotReady, Ready};
        let (live, waiting, refused) = (State::Live, State::Waiting, State::Refused);
        for (states, wanted) in [
            (vec![], NotReady(vec!["socket_down"])),
            (vec![live, State::Connected], Ready),
            (vec![waiting, State::Connecting], NotReady(vec!["socket_down"])),
            (vec![refused], NotReady(vec!["socket_refused"])),
            (vec![refused, waiting], NotReady(vec!["socket_refused", "socket_down"])),
            (vec![refused, live], Degraded(vec!["socket_refused"])),
            (vec![waiting, live], Degraded(vec!["socket_down"])),
        ] {
            let mut sockets = Sockets::default();
            states.iter().for_each(|state| sockets.note(*state));
            assert_eq!(sockets.readiness(), wanted, "{states:?}");
        }
    }
}
