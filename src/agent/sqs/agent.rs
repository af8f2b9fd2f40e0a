//! The agent itself: the two queues, and what is known of them.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use futures::future::BoxFuture;
use url::Url;

use super::aws::{self, SqsAccess};
use super::error::{Error, NO_ENTRY};
use super::facts::{BYTES_MAX_DEFAULT, Role};
use super::queue::{QueueMessage, SqsQueue};
use super::queued_turn;
use super::state::State;
use crate::agent::matter::Matter;
use crate::agent::{self, Agent, Answer, Beside, Patience, Turn};
use crate::clock::Clock;
use crate::recent::Recent;
use crate::thread::Budget;

/// Of how many unusable messages it is remembered that they were told of.
const TOLD_MAX: usize = 1024;

/// What the agent needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where turns go.
    pub queue: Url,
    /// Where replies come from.
    pub reply_queue: Url,
    /// How SQS is reached and who asks.
    pub access: SqsAccess,
    /// How much of what was said before goes with a turn.
    pub history: Budget,
    /// How long the consumer may be silent about a turn, if that is watched.
    pub patience: Option<Patience>,
    /// How long a reply that was received is ours before its queue brings it again, whole seconds; while it is
    /// being stored the queue is told so every third of it.
    pub ours_for: Duration,
}

impl Options {
    /// The two queues, that of turns first.
    pub(super) async fn queues(&self, http: &reqwest::Client) -> [SqsQueue; 2] {
        let of = async |url: &Url, role| {
            let mut access = self.access.clone();
            if let Some(region) = aws::region_of(url) {
                access.region = Some(region.to_owned());
            }
            let config = aws::configuration(&access, http.clone()).await;
            SqsQueue::new(Client::new(&config), url.to_string(), role)
        };
        [of(&self.queue, Role::Turns).await, of(&self.reply_queue, Role::Replies).await]
    }
}

/// A consumer of queues as an agent.
pub struct Sqs {
    pub(super) turns: SqsQueue,
    pub(super) replies: SqsQueue,
    pub(super) history: Budget,
    pub(super) patience: Option<Patience>,
    pub(super) ours_for: Duration,
    pub(super) state: State,
    /// Unusable messages that were told of, by the queue's names for them.
    pub(super) told: Recent<String, ()>,
    pub(super) clock: Clock,
}

impl Sqs {
    /// Makes an agent of a client that repeats nothing. Nothing is asked of SQS yet, but where no region is
    /// named the machine may be asked for it.
    pub async fn new(options: Options, http: reqwest::Client, clock: Clock) -> Self {
        let [turns, replies] = options.queues(&http).await;
        let Options { history, patience, ours_for, .. } = options;
        Self {
            turns,
            replies,
            history,
            patience,
            ours_for,
            state: State::default(),
            told: Recent::new(TOLD_MAX),
            clock,
        }
    }

    /// Sends a turn; `asked` counts how often that was done under another key.
    async fn ask(&self, turn: &Turn, asked: u32) -> Result<Answer, agent::Error> {
        let about = |error: Error| error.about(turn.id.to_string());
        let bytes_max = self.bytes_max().await.map_err(about)?;
        let due = self.patience.map(|patience| self.clock.wall() + patience.within);
        let Ok(queued) = queued_turn::of(turn, asked, due, bytes_max) else {
            return Err(agent::Error::TurnTooLarge { turn: turn.id.to_string(), bytes_max });
        };
        self.turns.send(queued).await.map_err(about)?;
        Ok(Answer::Later)
    }

    /// How large a turn may be: as the queue says, if we may ask it.
    async fn bytes_max(&self) -> Result<usize, Error> {
        if let Some(known) = self.state.bytes_max() {
            return Ok(known);
        }
        match self.turns.facts().await {
            Ok(facts) => {
                self.state.learned(Role::Turns, &facts);
                Ok(facts.bytes_max)
            }
            Err(error) if error.matter() == Matter::Configuration(NO_ENTRY) => {
                Ok(BYTES_MAX_DEFAULT)
            }
            Err(error) => Err(error),
        }
    }

    /// Tells once of a message that nobody can make anything of.
    pub(super) fn unusable(&self, came: &QueueMessage, reason: &str) {
        if self.told.insert(came.id.clone(), ()).is_none() {
            tracing::warn!(
                sid = came.id,
                attempt = came.receives,
                reason,
                "message of the reply queue cannot be used; it is left to the queue's redrive policy"
            );
        }
    }
}

impl Agent for Sqs {
    fn kind(&self) -> &'static str {
        "sqs"
    }

    fn history(&self) -> Budget {
        self.history
    }

    fn take<'a>(&'a self, turn: &'a Turn) -> BoxFuture<'a, Result<Answer, agent::Error>> {
        Box::pin(self.ask(turn, 0))
    }

    fn take_anew<'a>(
        &'a self,
        turn: &'a Turn,
        asked: u32,
    ) -> BoxFuture<'a, Result<Answer, agent::Error>> {
        Box::pin(self.ask(turn, asked))
    }

    fn run(self: Arc<Self>, beside: Beside) -> BoxFuture<'static, ()> {
        Box::pin(self.work_beside(beside))
    }

    fn lacks(&self) -> Option<&'static str> {
        (!self.state.is_well()).then_some("sqs_down")
    }

    fn patience(&self) -> Option<Patience> {
        self.patience
    }
}
