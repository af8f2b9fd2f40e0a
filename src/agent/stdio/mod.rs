//! The agent that is a program on this machine, told and answering by lines of JSON on its standard streams.
//!
//! One program has all turns (`stream`, `acp`), as many at once as it has credits, and is started again when it
//! ends; or each turn has a program of its own (`spawn`). What is said is a dialect's to decide: our own lines
//! (`protocol`), or the Agent Client Protocol of coding agents (`acp`, `prompt`). Those, `lines` and `noise` are
//! pure; `program` starts and kills, `run` carries lines. A turn whose program ended, hung or was too slow is
//! asked again under the same id by the schedule of turns; while the program cannot be started, turns wait.

mod acp;
mod dialect;
mod examine;
mod kind;
mod lines;
mod noise;
mod program;
mod prompt;
mod protocol;
mod run;
pub mod settings;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::{Semaphore, mpsc, oneshot};

use self::dialect::{AskedTurn, TurnEnding};
pub use self::kind::Kind;
use self::run::{ProgramRequest, Programs, Told};
use self::settings::StdioMode;
use super::document::Document;
use super::{Agent, Answer, Beside, Error, Patience, Turn};
use crate::thread::{Budget, MessageId};

/// How a program is asked.
#[derive(Clone, Copy, Debug)]
struct Options {
    mode: StdioMode,
    /// As many turns as the program has at once.
    credits: usize,
    /// How much of what was said before it is told.
    history: Budget,
    /// How much of an answer is read.
    answer_bytes_max: usize,
    /// How long it may be silent about a turn that it answers later, if that is watched.
    patience: Option<Patience>,
}

/// Asks a program.
pub struct Stdio {
    running: Programs,
    options: Options,
    /// As many turns as the program has at once.
    credits: Semaphore,
    requests: mpsc::Sender<ProgramRequest>,
    /// Taken by whoever runs the program.
    asked: Mutex<Option<mpsc::Receiver<ProgramRequest>>>,
    /// Whether the program runs, or is about to.
    is_up: AtomicBool,
}

/// How many requests wait for the one who runs the program.
const REQUESTS_MAX: usize = 64;

impl Stdio {
    fn new(running: Programs, options: Options) -> Self {
        let (requests, asked) = mpsc::channel(REQUESTS_MAX);
        Self {
            running,
            options,
            credits: Semaphore::new(options.credits.min(Semaphore::MAX_PERMITS)),
            requests,
            asked: Mutex::new(Some(asked)),
            is_up: AtomicBool::new(true),
        }
    }

    async fn ask(&self, turn: &Turn) -> Result<Answer, Error> {
        let id = || turn.id.to_string();
        // The semaphore is never closed.
        let Ok(_credit) = self.credits.acquire().await else {
            return Err(Error::NotRunning { turn: id() });
        };
        let question = self.question(turn);
        let told = match self.options.mode {
            StdioMode::Spawn => {
                let told = self.running.once(question).await;
                self.is_up.store(!matches!(told, Err(None)), Ordering::Relaxed);
                told
            }
            StdioMode::Stream | StdioMode::Acp => self.stream(question).await,
        };
        match told {
            Ok(answer) => Ok(answer),
            Err(None) => Err(Error::NotRunning { turn: id() }),
            Err(Some(ending)) => Err(self.error(id(), ending)),
        }
    }

    /// What the program is told, whose time begins now.
    fn question(&self, turn: &Turn) -> AskedTurn {
        let (document, context) = match self.options.mode {
            StdioMode::Stream | StdioMode::Spawn => {
                let document = Document::of(turn).due(Some(self.running.due()));
                let document = serde_json::to_vec(&document);
                (document.expect("a turn is always JSON"), Vec::new())
            }
            StdioMode::Acp => (prompt::document(turn), prompt::context(turn)),
        };
        AskedTurn { turn: turn.id, thread: turn.thread.id(), document, context }
    }

    async fn stream(&self, question: AskedTurn) -> Told {
        let turn = question.turn;
        let (answer, told) = oneshot::channel();
        if self.requests.send(ProgramRequest::Ask(question, answer)).await.is_err() {
            return Err(None);
        }
        let mut waiting = ProgramWaiter { requests: &self.requests, turn: Some(turn) };
        let told = told.await.unwrap_or(Err(None));
        waiting.turn = None;
        told
    }

    fn error(&self, turn: String, ending: TurnEnding) -> Error {
        match ending {
            TurnEnding::TooSlow => Error::Timeout { turn, limit: self.running.timeout },
            TurnEnding::BrokenOff => Error::Incomplete { turn },
            TurnEnding::GivenUp { retry } => Error::GivenUp { turn, retry },
            TurnEnding::Malformed(reason) => Error::Malformed { turn, reason },
            TurnEnding::Unusable(reason) => {
                if let Some(left_out) = self.running.admits() {
                    tracing::error!(left_out, reason, "agent's program answers nothing");
                }
                Error::Unusable { turn, reason }
            }
            TurnEnding::TooLarge => {
                Error::TooLarge { turn, bytes_max: self.options.answer_bytes_max }
            }
        }
    }
}

/// Somebody who waits for a turn; whoever stops waiting has it cancelled.
struct ProgramWaiter<'a> {
    requests: &'a mpsc::Sender<ProgramRequest>,
    turn: Option<MessageId>,
}

impl Drop for ProgramWaiter<'_> {
    fn drop(&mut self) {
        if let Some(turn) = self.turn {
            // Where there is no room, its time ends it.
            let _full = self.requests.try_send(ProgramRequest::Forsake(turn));
        }
    }
}

impl Agent for Stdio {
    fn kind(&self) -> &'static str {
        "stdio"
    }

    fn history(&self) -> Budget {
        self.options.history
    }

    fn takes_bytes(&self) -> bool {
        match self.options.mode {
            StdioMode::Stream | StdioMode::Spawn => true,
            StdioMode::Acp => false,
        }
    }

    fn take<'a>(&'a self, turn: &'a Turn) -> BoxFuture<'a, Result<Answer, Error>> {
        Box::pin(self.ask(turn))
    }

    fn run(self: Arc<Self>, beside: Beside) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let (StdioMode::Stream | StdioMode::Acp, Some(asked)) = (self.options.mode, asked) {
                let says = |is_up| self.is_up.store(is_up, Ordering::Relaxed);
                self.running.keep(asked, beside.stop, says).await;
            }
        })
    }

    fn patience(&self) -> Option<Patience> {
        self.options.patience
    }

    fn lacks(&self) -> Option<&'static str> {
        (!self.is_up.load(Ordering::Relaxed)).then_some("agent_down")
    }
}
