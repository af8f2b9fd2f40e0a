//! What an agent works with beside its turns, and what the service tells it of itself.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::later::Outbox;
use crate::jobs::status::ConnectorState;

/// What an agent is given that works beside its turns.
#[derive(Clone)]
pub struct Beside {
    /// Where replies go that come after their turn.
    pub outbox: Arc<dyn Outbox>,
    /// How the service is.
    pub service: Arc<dyn Watched>,
    /// Ends the work.
    pub stop: CancellationToken,
}

/// Knows how the connection to Twilio is.
///
/// A trait, since health is gathered in `app`, above all agents.
pub trait Watched: Send + Sync {
    /// Says it; none while there is nothing to say yet.
    fn connection(&self) -> Option<Connection>;
}

/// How the connection to Twilio is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Connection {
    /// The bot's identity.
    pub identity: String,
    /// In one word.
    pub state: ConnectorState,
    /// What Twilio refuses, for an operator.
    pub last_error: Option<String>,
    /// Messages of people that were seen.
    pub received: u64,
    /// Turns that were given to the agent.
    pub published: u64,
    /// Jobs that failed for good.
    pub failed: u64,
}
