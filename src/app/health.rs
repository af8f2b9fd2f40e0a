//! What the health and debug pages say of the running service.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;

use super::instances::Cluster;
use super::{alarms, gauges};
use crate::admin;
use crate::admin::{AgentState, Connector, ConnectorState, Counters, Insight, Readiness, Seat};
use crate::agent::{Connection, Watched};
use crate::alarms::rules::{Facts, QueueFacts};
use crate::alarms::teller::Witness;
use crate::channels::conversations::seats::{Listening, PoolMember, Seats};
use crate::console::findings::Findings;
use crate::console::plans::Plans;
use crate::jobs::recorder::Recorder;
use crate::jobs::status::Status;
use crate::pipeline::upstreams::{Upstream, Upstreams};
use crate::queue::{QueueName, Stats, Store};
use crate::realtime::State;

/// The word of an agent that is away.
const AGENT_DOWN: &str = "agent_down";

/// How many conversations the debug page is given; it shows fewer.
const SEATS_SHOWN: usize = 1000;

/// How long the queues may take to tell their numbers to whoever looks at the service; those of before are shown where
/// they take longer. Less than a look at it may take.
const QUEUES_WITHIN: Duration = Duration::from_millis(1500);

/// The running service, as far as its pages show it.
#[derive(Debug)]
pub struct Health {
    recorder: Recorder,
    status: Arc<Status>,
    is_stopping: AtomicBool,
    running: Option<Running>,
    /// The queues as they were when they could be read last.
    queues: Mutex<BTreeMap<QueueName, Stats>>,
    /// What the doctor found.
    findings: Findings,
    /// What setup would change.
    plans: Plans,
}

/// What runs.
pub struct Running {
    /// Of what kind.
    pub wants: Wants,
    /// Who sits where, if there are conversations.
    pub seats: Option<Arc<Seats>>,
    /// The queues.
    pub store: Store,
    /// What thinks.
    pub upstreams: Upstreams,
    /// The other instances, if there may be some.
    pub cluster: Option<Cluster>,
}

/// What is to run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wants {
    /// Plain numbers alone, which need no socket.
    Numbers,
    /// Conversations without a socket.
    Conversations,
    /// Conversations with a socket.
    Socket,
}

impl Health {
    /// Looks at what runs; nothing where Twilio is switched off.
    #[must_use]
    pub fn new(recorder: Recorder, status: Arc<Status>, running: Option<Running>) -> Self {
        Self {
            recorder,
            status,
            is_stopping: AtomicBool::new(false),
            running,
            queues: Mutex::default(),
            findings: Findings::default(),
            plans: Plans::default(),
        }
    }

    /// What the doctor found, and the wish that it looks again.
    #[must_use]
    pub const fn findings(&self) -> &Findings {
        &self.findings
    }

    /// What setup would change, and the wish that somebody looks.
    #[must_use]
    pub const fn plans(&self) -> &Plans {
        &self.plans
    }

    /// Is told that the service is on its way down.
    pub fn stopping(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }
}

impl Running {
    fn among(&self) -> Option<admin::Cluster> {
        self.cluster.as_ref().map(Cluster::view)
    }

    /// Whether nothing is taken: the disk takes nothing, or NATS is away.
    fn takes_nothing(&self) -> bool {
        self.store.is_failing() || self.among().is_some_and(|cluster| !cluster.is_connected)
    }

    /// The identities that listen here, and whether they are connected.
    fn connected(&self) -> Vec<(String, bool)> {
        let members = self.seats.iter().flat_map(|seats| seats.members());
        let connected = members.filter_map(|member| match member.listening() {
            Listening::Here(client) => {
                Some((member.identity.clone(), client.state().borrow().is_up()))
            }
            Listening::Off | Listening::Elsewhere => None,
        });
        connected.collect()
    }

    /// In how many conversations each identity sits.
    fn taken_seats(&self) -> Vec<(String, u64)> {
        let counts = self.seats.iter().flat_map(|seats| seats.counts());
        let taken = |(identity, count): (&str, usize)| {
            (identity.to_owned(), u64::try_from(count).unwrap_or(u64::MAX))
        };
        counts.map(taken).collect()
    }

    /// How the sockets are that are to be here.
    fn sockets(&self) -> SocketsHealth {
        let mut sockets = SocketsHealth::default();
        let members = self.seats.as_ref().map(|seats| seats.members()).unwrap_or_default();
        for listening in members.iter().map(PoolMember::listening) {
            let Listening::Here(client) = listening else { continue };
            sockets.note(*client.state().borrow());
        }
        sockets
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("wants", &self.wants).finish_non_exhaustive()
    }
}

/// How many identities have their socket here, and how those are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct SocketsHealth {
    up: usize,
    refused: usize,
    /// Neither up nor refused.
    down: usize,
}

impl SocketsHealth {
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

impl Witness for Health {
    fn facts(&self) -> BoxFuture<'_, Facts> {
        Box::pin(async {
            let Some(running) = &self.running else { return Facts::default() };
            // What else is known is known at once, and says why the queues do not answer.
            let read = tokio::time::timeout(QUEUES_WITHIN, gauges::queues(&running.store)).await;
            let read = read.unwrap_or_default();
            let mut last = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            for (name, stats) in read {
                last.insert(name, stats);
            }
            let queue = |(name, stats): (&QueueName, &Stats)| QueueFacts {
                name: name.as_str(),
                open: stats.open() - stats.held,
                dead: stats.dead,
                oldest: stats.oldest_age.unwrap_or_default(),
            };
            let upstreams = running.upstreams.all().iter();
            let away = |upstream: &Arc<Upstream>| {
                (upstream.name.as_ref().to_owned(), upstream.health.is_away())
            };
            Facts {
                store_fails: running.takes_nothing(),
                twilio_refuses: self.status.refusal().is_some(),
                twilio_is_down: self.status.is_down(),
                sockets: running.connected(),
                agents: upstreams.map(away).collect(),
                queues: last.iter().map(queue).collect(),
                seats: running.taken_seats(),
                turns: alarms::turns(&self.recorder.metrics),
            }
        })
    }
}

impl Watched for Health {
    fn connection(&self) -> Option<Connection> {
        let Connector { state, identity, last_error, counters, .. } = self.twilio()?;
        let Counters { received, published, failed } = counters;
        Some(Connection { identity, state, last_error, received, published, failed })
    }
}

impl Insight for Health {
    fn readiness(&self) -> Readiness {
        if self.is_stopping.load(Ordering::Relaxed) {
            return Readiness::NotReady(vec!["stopping"]);
        }
        let Some(running) = &self.running else { return Readiness::Ready };
        if running.store.is_failing() {
            return Readiness::NotReady(vec![admin::STORE_FAILING]);
        }
        let status = &self.status;
        if status.refusal().is_some() {
            return Readiness::NotReady(vec!["twilio_refuses"]);
        }
        let among = running.among();
        if among.as_ref().is_some_and(|cluster| !cluster.is_connected) {
            return Readiness::NotReady(vec!["nats_down"]);
        }
        if status.is_down() {
            return Readiness::Degraded(vec!["twilio_down"]);
        }
        let upstreams = running.upstreams.all();
        if let Some(lacks) = upstreams.iter().find_map(|upstream| upstream.agent.lacks()) {
            return Readiness::Degraded(vec![lacks]);
        }
        if upstreams.iter().any(|upstream| upstream.health.is_away()) {
            return Readiness::Degraded(vec![AGENT_DOWN]);
        }
        match (running.wants, running.sockets()) {
            (Wants::Numbers, _) => Readiness::Ready,
            (Wants::Conversations, _) => Readiness::Degraded(vec!["realtime_off"]),
            // Other instances listen for all identities.
            (Wants::Socket, sockets) if sockets.all() == 0 && among.is_some() => Readiness::Ready,
            (Wants::Socket, sockets) => sockets.readiness(),
        }
    }

    fn twilio(&self) -> Option<Connector> {
        let running = self.running.as_ref()?;
        let sockets = running.sockets();
        let refusal = self.status.refusal().or_else(|| sockets.refusal());
        let state = match (refusal.is_some(), sockets.up, sockets.all()) {
            (true, _, _) => ConnectorState::Error,
            // Other instances listen for all identities.
            (false, _, 0) if running.cluster.is_some() => ConnectorState::Connected,
            (false, _, 0) if running.wants == Wants::Numbers => ConnectorState::Connected,
            (false, _, 0) => ConnectorState::Disconnected,
            (false, 0, _) => ConnectorState::Connecting,
            (false, _, _) => ConnectorState::Connected,
        };
        let tallied = self.recorder.tally.read();
        let seats = running.seats.as_ref();
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
            conversations: held.map(|sid| Seat { sid: sid.into(), status: "joined" }).collect(),
        })
    }

    fn agents(&self) -> Vec<AgentState> {
        let several = self.running.iter().filter(|running| running.upstreams.only().is_none());
        let upstreams = several.flat_map(|running| running.upstreams.all());
        let state = |upstream: &Upstream| match upstream.agent.lacks() {
            _ if upstream.health.is_away() => AGENT_DOWN,
            Some(lacks) => lacks,
            None => "up",
        };
        let shown = upstreams.map(|upstream| AgentState {
            name: upstream.name.as_ref().to_owned(),
            kind: upstream.agent.kind(),
            state: state(upstream),
        });
        shown.collect()
    }

    fn cluster(&self) -> Option<admin::Cluster> {
        self.running.as_ref()?.among()
    }

    fn refresh(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let Some(running) = &self.running else { return };
            if let Some(cluster) = running.among() {
                gauges::among(&self.recorder.metrics, &cluster);
            }
            for upstream in running.upstreams.all() {
                self.recorder.metrics.agent_up(&upstream.name, !upstream.health.is_away());
            }
            let seats = running.seats.as_deref();
            gauges::read(&self.recorder.metrics, seats, &running.store).await;
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
            let mut sockets = SocketsHealth::default();
            states.iter().for_each(|state| sockets.note(*state));
            assert_eq!(sockets.readiness(), wanted, "{states:?}");
        }
    }
}
