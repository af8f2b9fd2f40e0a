//! What the pages are told: facts of the running service, and what is fixed for its life.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::SecretString;
use serde::Serialize;

use crate::clock::{Clock, Moment, Timestamp};
use crate::config::Effective;
use crate::jobs::status::ConnectorState;
use crate::telemetry::metrics::Metrics;
use crate::thread::ThreadId;

/// What the running service knows about itself.
///
/// A trait, since what it tells is spread over rooms beside this one, which `app` alone knows together.
pub trait Insight: Send + Sync + 'static {
    /// Says whether the service can do its work.
    fn readiness(&self) -> Readiness;

    /// Describes the connection to Twilio; `None` if Twilio is switched off.
    fn twilio(&self) -> Option<Connector>;

    /// Describes the agents, where there are several.
    fn agents(&self) -> Vec<AgentState> {
        Vec::new()
    }

    /// Describes the instances that share the work; `None` if there can be no others.
    fn cluster(&self) -> Option<Cluster> {
        None
    }

    /// Brings metrics up to date that are only measured when somebody asks.
    fn refresh(&self) -> BoxFuture<'_, ()>;
}

/// How an agent is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct AgentState {
    /// Its name among the settings.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// `up`, `agent_down` while turns wait for it to be back, or what it lacks.
    pub state: &'static str,
}

/// The instances that share the work, as one of them sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cluster {
    /// Its own name among them.
    pub instance: String,
    /// How many live, this one included.
    pub instances: usize,
    /// Whether the connection that they share the work by is up.
    pub is_connected: bool,
    /// What this one holds, by kind.
    pub held: BTreeMap<&'static str, Vec<String>>,
}

/// The word of a service that cannot write its store.
pub const STORE_FAILING: &str = "store_failing";

/// Whether the service can do its work, and what it lacks, in closed words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Readiness {
    /// It works as it should.
    Ready,
    /// It works with less than it should have.
    Degraded(Vec<&'static str>),
    /// It cannot work yet, or no more.
    NotReady(Vec<&'static str>),
}

/// The connection to Twilio as the debug pages show it.
#[derive(Clone, Debug)]
pub struct Connector {
    /// How the socket is.
    pub state: ConnectorState,
    /// The bot's own identity.
    pub identity: String,
    /// When the last message of a person was created.
    pub last_message_at: Option<Timestamp>,
    /// What went wrong last: an error's text, which holds no personal data.
    pub last_error: Option<String>,
    /// What has been done since the start.
    pub counters: Counters,
    /// The conversations that the bot sits in; the page shows a bounded number of them.
    pub conversations: Vec<Seat>,
}

/// What has been done since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Messages of people that were seen.
    pub received: u64,
    /// Messages that were handed on to the agent.
    pub published: u64,
    /// Messages whose turn or reply failed for good.
    pub failed: u64,
}

/// A conversation that the bot sits in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seat {
    /// The conversation.
    pub sid: ThreadId,
    /// Twilio's word for the membership, such as joined.
    pub status: &'static str,
}

/// What the pages need to know; fixed for the life of the process.
pub struct Options {
    /// The service's name.
    pub service: String,
    /// This instance's name.
    pub instance_id: String,
    /// The topic that replies are asked on, where they come by a bus.
    pub egress_topic: Option<String>,
    /// The variables that must be set.
    pub required_variables: Vec<String>,
    /// The effective settings, secrets masked.
    pub effective: Vec<Effective>,
    /// What debug pages ask for, and metrics beyond this machine.
    pub debug_token: Option<SecretString>,
    /// Whether the public listener has the debug pages too, for a platform's tools that send the token.
    pub is_on_platform: bool,
    /// The metrics that are shown.
    pub metrics: Metrics,
    /// What the running service knows about itself.
    pub insight: Arc<dyn Insight>,
    /// Tells the time and, from its origin on, how long the service has been up.
    pub clock: Clock,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("service", &self.service)
            .field("instance_id", &self.instance_id)
            .finish_non_exhaustive()
    }
}

/// What every page is given.
pub(super) type Shared = Arc<Options>;

/// How long the service has been up.
pub(super) fn uptime(clock: Clock) -> Duration {
    clock.now().since(Moment::ORIGIN)
}
