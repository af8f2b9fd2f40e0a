//! The owner's handle: commands in, events out.
//!
//! Decides nothing; every call goes to the client's one task and comes back as an [`Outcome`]. No
//! call panics or waits for ever: each ends at the latest when the client is shut down.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::Stream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::config::{Config, TokenProvider, Watermarks};
use super::conversations::commands::Command;
use super::conversations::resume::Resume;
use super::driver::{Driver, Ends, OwnerAsk};
use super::event::{Event, NotSentReason, Outcome, SendMessage, Sent, State, UnknownReason};
use crate::telemetry::chain::Chain;
use crate::twilio::sid::ConversationSid;

/// Commands that may wait for the client's task.
const ASKS_MAX: usize = 256;
/// Events between the client's task and the owner, beside those that [`Config`] bounds.
const EVENTS_CHANNEL: usize = 64;

/// A handle to a running client. Clones share the client.
///
/// # Cancel safety
///
/// Dropping the future of a command gives up waiting for its outcome, not the command: it may
/// still be carried out.
#[derive(Clone, Debug)]
pub struct Client {
    asks: mpsc::Sender<OwnerAsk>,
    state: watch::Receiver<State>,
    cancel: CancellationToken,
    task: Arc<Mutex<Option<JoinHandle<Resume>>>>,
}

/// The events of a client, in order. Dropping it stops the client.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<Event>);

impl Events {
    /// Waits for the next event; `None` once the client is shut down.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.poll_recv(cx)
    }
}

impl Client {
    /// Starts a client. It connects by itself, comes back by itself, and runs until
    /// [`Client::shutdown`] or until [`Events`] is dropped.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn connect(
        config: Config,
        tokens: Arc<dyn TokenProvider>,
        watermarks: Arc<dyn Watermarks>,
    ) -> (Self, Events) {
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        let (events, owner) = mpsc::channel(EVENTS_CHANNEL);
        let (state, shown) = watch::channel(State::Connecting);
        let cancel = CancellationToken::new();
        let ends = Ends { asks: asked, events, state, cancel: cancel.clone() };
        let task = tokio::spawn(Driver::new(config, tokens, watermarks, ends).run());
        let task = Arc::new(Mutex::new(Some(task)));
        (Self { asks, state: shown, cancel, task }, Events(owner))
    }

    /// Sends a message. It is sent at most once; see [`Outcome`] for what to do if that failed.
    pub async fn send(&self, message: SendMessage) -> Outcome<Sent> {
        let (to, outcome) = oneshot::channel();
        self.ask(OwnerAsk::Send(Command::Send(Box::new(message)), to), outcome).await
    }

    /// Shows that the bot is typing; the server is told at most every few seconds.
    pub async fn typing(&self, conversation: ConversationSid) -> Outcome<()> {
        self.command(Command::Typing(conversation)).await
    }

    /// Sets the read horizon at once. [`Client::mark_handled`] is the cheap way.
    pub async fn set_read_horizon(&self, conversation: ConversationSid, index: u64) -> Outcome<()> {
        self.command(Command::SetHorizon(conversation, index)).await
    }

    /// Takes a seat in a conversation; done too if the bot had it already.
    /// [`Event::Joined`] follows.
    pub async fn join(&self, conversation: ConversationSid) -> Outcome<()> {
        self.command(Command::Join(conversation)).await
    }

    /// Leaves a conversation; done too if the bot had no seat. [`Event::Left`] follows.
    pub async fn leave(&self, conversation: ConversationSid) -> Outcome<()> {
        self.command(Command::Leave(conversation)).await
    }

    /// Says that messages up to `index` are handled: Twilio's read horizon follows, gathered with
    /// others and only ever upwards. Waits only while the client is busy.
    pub async fn mark_handled(&self, conversation: ConversationSid, index: u64) {
        // A client that is shut down writes no horizons any more; its owner's marks count then.
        drop(self.asks.send(OwnerAsk::Handled(conversation, index)).await);
    }

    /// Fetches a new token now. A client that is refused tries again at once with it.
    pub async fn renew(&self) {
        // A client that is shut down needs no token.
        drop(self.asks.send(OwnerAsk::Renew).await);
    }

    /// Where the client stands, and every change of it.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Where the client could be resumed, to be kept against an unforeseen end; none once it is
    /// shut down.
    pub async fn resume(&self) -> Option<Resume> {
        let (to, resume) = oneshot::channel();
        self.asks.send(OwnerAsk::Resume(to)).await.ok()?;
        resume.await.ok()
    }

    /// How many requests the client has made through the socket; none once it is shut down.
    pub async fn requests_made(&self) -> Option<u64> {
        let (to, made) = oneshot::channel();
        self.asks.send(OwnerAsk::RequestsMade(to)).await.ok()?;
        made.await.ok()
    }

    /// Stops the client: commands under way get [`Config::shutdown_grace`] to finish, the socket is
    /// closed, the task ends. Gives where it stopped, to the first caller.
    ///
    /// # Cancel safety
    ///
    /// The client stops even if this is dropped.
    pub async fn shutdown(&self) -> Option<Resume> {
        self.cancel.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        match task {
            Some(task) => match task.await {
                Ok(resume) => Some(resume),
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "realtime client failed");
                    None
                }
            },
            None => {
                self.asks.closed().await;
                None
            }
        }
    }

    async fn command(&self, command: Command) -> Outcome<()> {
        let (to, outcome) = oneshot::channel();
        self.ask(OwnerAsk::Do(command, to), outcome).await
    }

    async fn ask<T>(&self, ask: OwnerAsk, outcome: oneshot::Receiver<Outcome<T>>) -> Outcome<T> {
        if self.asks.send(ask).await.is_err() {
            return Outcome::NotSent { reason: NotSentReason::ShutDown };
        }
        // The task answers everything it has taken; without an answer it has failed.
        outcome.await.unwrap_or(Outcome::Unknown { reason: UnknownReason::Lost })
    }
}
