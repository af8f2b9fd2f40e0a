//! The agent itself: how a turn becomes a workflow, and its end an answer.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::activities::{MEMO, TurnMemo};
use super::answered::{self, Outcome};
use super::asked::{self, BYTES_MAX};
use super::calls::{MayRepeat, Start, StartedRun, TurnWord};
use super::error::Error;
use super::frontend::{Frontend, TemporalAccess};
use super::ids;
use super::settings::{TemporalInput, TemporalMode, TemporalReply};
use crate::agent::answer::Asked;
use crate::agent::{self, Agent, Answer, Beside, Patience, Turn};
use crate::clock::{Clock, Timestamp};
use crate::thread::Budget;

/// What a thread's workflow calls a turn: its update, or its signal.
const TURN: &str = "turn";

/// What the agent needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// How the server is reached and who asks.
    pub access: TemporalAccess,
    /// Which workflows are asked, and how.
    pub workflows: Workflows,
    /// Where our activities are served, if they are.
    pub activity_queue: Option<String>,
    /// How much of what was said before goes with a turn.
    pub history: Budget,
    /// How long a workflow may be silent about a turn, if that is watched.
    pub patience: Option<Patience>,
    /// How long is waited for a result at once; then the turn is asked again, which finds the same workflow.
    pub timeout: Duration,
    /// The largest result that is read.
    pub response_bytes_max: usize,
}

/// Which workflows are asked, and how.
#[derive(Clone, Debug)]
pub struct Workflows {
    /// Their type.
    pub workflow: String,
    /// Where a worker takes them.
    pub queue: String,
    /// What there is one for.
    pub mode: TemporalMode,
    /// What one is given.
    pub input: TemporalInput,
    /// How its replies come.
    pub reply: TemporalReply,
}

/// Workflows as an agent.
pub struct Temporal {
    pub(super) options: Options,
    pub(super) frontend: Arc<Frontend>,
    pub(super) clock: Clock,
}

impl Temporal {
    /// Makes an agent; nothing is asked of the server yet.
    #[must_use]
    pub fn new(options: Options, clock: Clock) -> Self {
        let frontend = Arc::new(Frontend::new(options.access.clone()));
        Self { options, frontend, clock }
    }

    /// Asks a turn; `asked` counts how often that was done under another id.
    async fn ask(&self, turn: &Turn, asked: u32) -> Result<Answer, agent::Error> {
        let input = self.options.workflows.input;
        let Ok(arguments) = asked::arguments(turn, input, self.due()) else {
            return Err(agent::Error::TurnTooLarge {
                turn: turn.id.to_string(),
                bytes_max: BYTES_MAX,
            });
        };
        let id = ids::of_turn(turn.id, asked);
        match (self.options.workflows.mode, self.options.workflows.reply) {
            (TemporalMode::Turn, TemporalReply::Result) => {
                let result = async {
                    let started = self.frontend.start(self.of_turn(turn, (&id, arguments))).await?;
                    self.frontend.outcome(&id, started).await
                };
                self.answer(turn, result).await
            }
            (TemporalMode::Turn, TemporalReply::Activity) => {
                let outcome = async {
                    match self.frontend.start(self.of_turn(turn, (&id, arguments))).await? {
                        StartedRun::Runs(_) => Ok(None),
                        ended @ StartedRun::HasEnded => {
                            self.frontend.outcome(&id, ended).await.map(Some)
                        }
                    }
                };
                match outcome.await {
                    Ok(Some(Outcome::Ended(reason))) => Err(Self::given_up(turn, reason)),
                    taken => self.taken(turn, taken),
                }
            }
            (TemporalMode::Thread, TemporalReply::Result) => {
                let result = self.update(turn, TurnWord { name: TURN, id, arguments });
                self.answer(turn, result).await
            }
            (TemporalMode::Thread, TemporalReply::Activity) => {
                let word = TurnWord { name: TURN, id, arguments };
                self.taken(turn, self.frontend.signal(self.of_thread(turn), word).await)
            }
        }
    }

    /// When what is asked now counts as unanswered, if somebody watches.
    fn due(&self) -> Option<Timestamp> {
        let within = match self.options.workflows.reply {
            TemporalReply::Result => Some(self.options.timeout),
            TemporalReply::Activity => self.options.patience.map(|patience| patience.within),
        };
        within.map(|within| self.clock.wall() + within)
    }

    /// A turn that was asked before may be known to a run that has ended since; another one would take it anew.
    async fn update(&self, turn: &Turn, word: TurnWord) -> Result<Outcome, Error> {
        let start = self.of_thread(turn);
        if turn.attempt > 1
            && let Some(known @ Outcome::Done(_)) =
                self.frontend.known_update(&start.id, &word.id).await?
        {
            return Ok(known);
        }
        self.frontend.update(start, word).await
    }

    fn taken<T>(&self, turn: &Turn, taken: Result<T, Error>) -> Result<Answer, agent::Error> {
        taken.map(|_| Answer::Later).map_err(|error| error.about(turn.id.to_string()))
    }

    async fn answer(
        &self,
        turn: &Turn,
        result: impl Future<Output = Result<Outcome, Error>>,
    ) -> Result<Answer, agent::Error> {
        let id = || turn.id.to_string();
        let limit = self.options.timeout;
        let outcome = tokio::time::timeout(limit, result)
            .await
            .map_err(|_| agent::Error::Timeout { turn: id(), limit })?
            .map_err(|error| error.about(id()))?;
        match outcome {
            Outcome::Done(returned) => {
                let asked = Asked { id: &id(), thread: turn.thread.id(), must_name: false };
                answered::read(returned.as_ref(), asked, self.options.response_bytes_max)
            }
            Outcome::Ended(reason) => Err(Self::given_up(turn, reason)),
        }
    }

    fn given_up(turn: &Turn, reason: &'static str) -> agent::Error {
        tracing::warn!(message_sid = %turn.id, conversation_sid = %turn.thread.id(), reason,
            "workflow has ended without an answer");
        agent::Error::GivenUp { turn: turn.id.to_string(), retry: false }
    }

    fn of_turn(&self, turn: &Turn, (id, arguments): (&str, Vec<String>)) -> Start {
        let memo = TurnMemo::of(turn.thread.id(), asked::asker(turn));
        let memo = serde_json::to_string(&memo).expect("a memo is always JSON");
        let Workflows { workflow, queue, .. } = self.options.workflows.clone();
        let (id, memo) = (id.to_owned(), vec![(MEMO, memo)]);
        // A dead letter that is redriven begins to count again: what ended its workflow may be mended.
        let repeats = if turn.attempt > 1 { MayRepeat::Never } else { MayRepeat::AfterFailure };
        Start { id, workflow, queue, arguments, memo, repeats }
    }

    fn of_thread(&self, turn: &Turn) -> Start {
        let Workflows { workflow, queue, .. } = self.options.workflows.clone();
        let (id, arguments) = (turn.thread.id().to_string(), vec![asked::of_thread(turn)]);
        Start { id, workflow, queue, arguments, memo: Vec::new(), repeats: MayRepeat::Always }
    }
}

impl Agent for Temporal {
    fn kind(&self) -> &'static str {
        "temporal"
    }

    fn history(&self) -> Budget {
        self.options.history
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
        (!self.frontend.is_well()).then_some("temporal_down")
    }

    fn patience(&self) -> Option<Patience> {
        self.options.patience
    }
}
