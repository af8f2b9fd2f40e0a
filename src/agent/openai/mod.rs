//! The agent that is a model behind the OpenAI API: OpenAI's own, or a server or gateway that speaks it.
//!
//! A turn becomes one request, streamed and read to its end, and the model's text one reply. `prompt` and
//! `request` write it; `chat`, `responses`, `said` and `problem` judge what comes back; all are
//! pure. `ask` alone speaks HTTP. No tools are offered, and no answer is kept at the server.
//!
//! What the server refuses for our configuration's sake (a wrong key, no credit, an unknown model) is no
//! turn's own failure: turns wait until it is changed, see [`Error::Misconfigured`](super::Error).

mod ask;
mod chat;
mod examine;
mod health;
mod kind;
mod options;
mod problem;
mod prompt;
mod reading;
mod request;
mod responses;
mod said;
pub mod settings;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::BoxFuture;

use self::ask::{Failure, Server};
pub use self::kind::Kind;
pub use self::options::{Options, SettingsError};
use self::problem::Problem;
use self::reading::Fault;
use self::said::{FinishReason, ModelSaid, UnsaidAnswer};
use super::{Agent, Answer, Error, Turn};
use crate::clock::Clock;
use crate::pii::Pii;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::labels::Known;
use crate::thread::{Budget, Reply};

/// Asks a model.
pub struct OpenAi {
    server: Server,
    style: request::Style,
    fallback: Option<Pii>,
    hands_over: bool,
    history: Budget,
    metrics: Metrics,
    /// Whether the operator has been told that the server refuses us, and nothing has been answered since.
    is_refused: AtomicBool,
}

impl OpenAi {
    /// Makes an agent of a client that follows no redirects and retries nothing.
    #[must_use]
    pub fn new(
        options: Options,
        client: reqwest::Client,
        (clock, metrics): (Clock, &Metrics),
    ) -> Self {
        Self {
            server: Server {
                client,
                base_url: options.base_url,
                key: options.key,
                first_token_timeout: options.first_token_timeout,
                timeout: options.timeout,
                text_bytes_max: options.response_bytes_max,
                clock,
            },
            style: options.style,
            fallback: options.fallback,
            hands_over: options.hands_over,
            history: options.history,
            metrics: metrics.clone(),
            is_refused: AtomicBool::new(false),
        }
    }

    async fn answer(&self, turn: &Turn) -> Result<Answer, Error> {
        let mut said = self.ask(turn, turn.history.len()).await;
        if matches!(said, Err(Failure::Refused { problem: Problem::Overflow, .. }))
            && !turn.history.is_empty()
        {
            tracing::debug!(message_sid = %turn.id, conversation_sid = %turn.thread,
                count = turn.history.len(), "history is too long for the model; half of it is left out");
            said = self.ask(turn, turn.history.len() / 2).await;
        }
        self.tell(said.as_ref().err());
        match said {
            Ok(said) => self.reply(turn, &said),
            Err(Failure::Fault(Fault::TooLarge)) => self.instead(turn, UnsaidAnswer::TooLarge),
            Err(Failure::Refused { problem: Problem::Filtered, .. }) => {
                self.instead(turn, UnsaidAnswer::Filtered)
            }
            Err(Failure::Refused { problem: Problem::Overflow, .. }) => {
                self.instead(turn, UnsaidAnswer::TooLong)
            }
            Err(failure) => Err(self.error(turn, failure)),
        }
    }

    /// Asks once, with the newest so many messages of what was said before.
    async fn ask(&self, turn: &Turn, newest: usize) -> Result<ModelSaid, Failure> {
        self.server.ask(&self.style, self.style.body(&prompt::lines(turn, newest))).await
    }

    fn reply(&self, turn: &Turn, said: &ModelSaid) -> Result<Answer, Error> {
        if said.end == FinishReason::Cut {
            tracing::warn!(message_sid = %turn.id, conversation_sid = %turn.thread,
                "model's answer was cut short; let CHIMEIN_OPENAI_MAX_TOKENS be more, or the prompt ask for less");
        }
        match said.for_people() {
            Ok(text) => Ok(Answer::Replies(vec![Reply::text(text)])),
            Err(unsaid) => self.instead(turn, unsaid),
        }
    }

    /// Says what is said where the model has no words for people.
    fn instead(&self, turn: &Turn, unsaid: UnsaidAnswer) -> Result<Answer, Error> {
        let reason = unsaid.as_str();
        tracing::warn!(message_sid = %turn.id, conversation_sid = %turn.thread, reason,
            "model said nothing that a person can be given");
        self.metrics.wordless(Known(reason));
        let said = self.fallback.iter().map(|text| Reply::text(text.clone())).collect();
        match &self.fallback {
            _ if self.hands_over => Ok(Answer::Handoff(said)),
            Some(_) => Ok(Answer::Replies(said)),
            None if unsaid == UnsaidAnswer::TooLarge => Err(Error::TooLarge {
                turn: turn.id.to_string(),
                bytes_max: self.server.text_bytes_max,
            }),
            None => Err(Error::Wordless { turn: turn.id.to_string(), reason }),
        }
    }

    /// Tells the operator once that the server refuses us, and once that it does so no longer.
    fn tell(&self, failure: Option<&Failure>) {
        match failure {
            Some(Failure::Refused { problem: Problem::Configuration(remedy), status, .. }) => {
                if !self.is_refused.swap(true, Ordering::Relaxed) {
                    tracing::error!(
                        status,
                        reason = remedy.as_str(),
                        "model server refuses us; turns wait until that is changed"
                    );
                }
            }
            Some(_) => {}
            None => {
                if self.is_refused.swap(false, Ordering::Relaxed) {
                    tracing::info!("model server answers again");
                }
            }
        }
    }

    fn error(&self, turn: &Turn, failure: Failure) -> Error {
        let turn = turn.id.to_string();
        match failure {
            Failure::TooSlow(limit) => Error::Timeout { turn, limit },
            Failure::Unreachable(source) => Error::Unreachable { turn, source },
            Failure::Fault(_) => Error::Incomplete { turn },
            Failure::Refused { status, problem, retry_after } => match problem {
                Problem::Configuration(remedy) => {
                    Error::Misconfigured { turn, status, remedy: remedy.as_str() }
                }
                Problem::Status(status) => Error::Status { turn, status, retry_after },
                Problem::Overflow | Problem::Filtered => {
                    Error::Status { turn, status, retry_after }
                }
            },
        }
    }
}

impl Agent for OpenAi {
    fn kind(&self) -> &'static str {
        "openai"
    }

    fn history(&self) -> Budget {
        self.history
    }

    fn take<'a>(&'a self, turn: &'a Turn) -> BoxFuture<'a, Result<Answer, Error>> {
        Box::pin(self.answer(turn))
    }
}
