//! The agent that is a bot written for Chatwoot: it gets what Chatwoot's agent bots get, and answers by
//! the two calls that they answer by, which we serve.
//!
//! A turn is one signed POST of a `message_created`. Whatever 2xx says, the bot has taken it, and its words
//! come by `calls`, before that answer or any time after it, on whichever instance. `payload`, `words`,
//! `ids` and `signing` are pure; `ledger` keeps which number is whose, and what waits for the bot's word.
//!
//! A post may fail although the bot has said something meanwhile; that counts, and the turn is not
//! posted again. One that it has taken and says nothing to is posted once more when its time is over,
//! as another message, since whoever has seen the first would pass over it; after that it is a dead letter.

mod calls;
mod examine;
mod ids;
mod kind;
mod ledger;
mod payload;
pub mod settings;
mod signing;
mod words;

use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use secrecy::SecretString;
use serde_json::Value;
use url::Url;

pub use self::kind::Kind;
use self::ledger::Ledger;
use self::settings::ChatwootDialect;
use super::{Agent, Answer, Error, Patience, Turn};
use crate::clock::Clock;
use crate::queue;

/// What a [`ChatwootBot`] needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where messages are posted.
    pub url: Url,
    /// Signs what is posted; without it that goes unsigned.
    pub secret: Option<SecretString>,
    /// In which shape a message is told.
    pub dialect: ChatwootDialect,
    /// How long the bot may take to answer a post.
    pub timeout: Duration,
    /// How long it may say nothing to a message that it has taken, if that is watched.
    pub patience: Option<Patience>,
}

/// Posts to a bot.
#[derive(Clone, Debug)]
pub struct ChatwootBot {
    options: Options,
    client: reqwest::Client,
    ledger: Ledger,
    clock: Clock,
}

impl ChatwootBot {
    /// Makes an agent of a client that follows no redirects and retries nothing.
    fn new(options: Options, client: reqwest::Client, (ledger, clock): (Ledger, Clock)) -> Self {
        Self { options, client, ledger, clock }
    }

    async fn ask(&self, turn: &Turn, asked: u32) -> Result<Answer, Error> {
        let unstored = |source: queue::Error| {
            let (turn, source) = (turn.id.to_string(), Box::new(source));
            Error::Store { turn, source }
        };
        let noted = self.ledger.ask(turn.thread.id(), turn.id).await.map_err(unstored)?;
        if noted.is_heard {
            return Ok(Answer::Later);
        }
        let posted = self.post(turn, (noted.number, asked)).await;
        self.ledger.posted(noted.number, turn.id).await.map_err(unstored)?;
        let Err(error) = posted else { return Ok(Answer::Later) };
        if asked == 0 && turn.attempt == 1 && never_came(&error) {
            // Else a word about an earlier message would count for this one too.
            self.ledger.unask(noted.number, turn.id).await.map_err(unstored)?;
            return Err(error);
        }
        let note = self.ledger.find(noted.number).await.map_err(unstored)?;
        if note.is_some_and(|note| note.heard.contains(&turn.id)) {
            tracing::debug!(message_sid = %turn.id, conversation_sid = %turn.thread,
                "bot has answered, though its post failed");
            return Ok(Answer::Later);
        }
        Err(error)
    }

    async fn post(&self, turn: &Turn, (number, asked): (u64, u32)) -> Result<(), Error> {
        let id = turn.id.to_string();
        let event = payload::of(turn, self.options.dialect, (number, asked));
        let delivery = format!("{id}-{asked}");
        let sent = self.request(&event, &delivery).timeout(self.options.timeout).send().await;
        let response = sent.map_err(|error| Error::unheard(&id, error, self.options.timeout))?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(Error::refused(id, &response, self.clock.wall()))
    }

    fn request(&self, event: &Value, delivery: &str) -> reqwest::RequestBuilder {
        let secret = self.options.secret.as_ref();
        let posted = Posting { url: &self.options.url, secret, delivery };
        posted.request(&self.client, event, self.clock)
    }
}

/// Whether the bot cannot have seen what was posted.
fn never_came(error: &Error) -> bool {
    match error {
        Error::Unreachable { source, .. } => source.is_connect(),
        Error::Status { status, .. } => matches!(status, 429 | 502 | 503),
        _ => false,
    }
}

/// What is posted, beside the event itself.
struct Posting<'a> {
    url: &'a Url,
    secret: Option<&'a SecretString>,
    delivery: &'a str,
}

impl Posting<'_> {
    /// Makes the request, signed if there is a secret.
    fn request(
        &self,
        client: &reqwest::Client,
        event: &Value,
        clock: Clock,
    ) -> reqwest::RequestBuilder {
        let (body, at) = (event.to_string().into_bytes(), clock.wall());
        let mut request = client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .header(signing::DELIVERY, self.delivery);
        if let Some(secret) = self.secret {
            request = request
                .header(signing::TIMESTAMP, at.as_secs().to_string())
                .header(signing::SIGNATURE, signing::sign(secret, at, &body));
        }
        request.body(body)
    }
}

impl Agent for ChatwootBot {
    fn kind(&self) -> &'static str {
        "chatwoot"
    }

    fn take<'a>(&'a self, turn: &'a Turn) -> BoxFuture<'a, Result<Answer, Error>> {
        Box::pin(self.ask(turn, 0))
    }

    fn take_anew<'a>(&'a self, turn: &'a Turn, asked: u32) -> BoxFuture<'a, Result<Answer, Error>> {
        Box::pin(self.ask(turn, asked))
    }

    fn patience(&self) -> Option<Patience> {
        self.options.patience
    }
}
