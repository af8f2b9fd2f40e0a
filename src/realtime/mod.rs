//! The realtime client of Twilio Conversations: a bot's seat over Twilsock, Sync and the
//! Conversations client API.
//!
//! Decides what is new, in which order it is told, and what became of a command; never what to
//! answer. [`Client::connect`] gives a handle and a stream of [`Event`]s. Every message is delivered
//! once per client and in order per conversation, from the owner's watermark on, through
//! disconnects, token renewals, lost and repeated events. Time, I/O and secrets enter in the driver;
//! everything that decides is pure.
//!
//! A bot that answers every message:
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use chimein::realtime::{Client, Config, Event, NoWatermarks, SendMessage, TokenProvider};
//! use uuid::Uuid;
//!
//! # async fn run(config: Config, tokens: Arc<dyn TokenProvider>) {
//! let (client, mut events) = Client::connect(config, tokens, Arc::new(NoWatermarks));
//! while let Some(event) = events.next().await {
//!     let Event::MessageAdded(message) = event else { continue };
//!     if message.author.reveal() == "bot" {
//!         continue;
//!     }
//!     let text = message.body.as_ref().map_or("", |body| body.reveal());
//!     let reply = SendMessage::text(message.conversation, Uuid::now_v7(), format!("echo: {text}"));
//!     println!("{:?}", client.send(reply).await);
//!     client.mark_handled(message.conversation, message.index).await;
//! }
//! # }
//! ```

mod client;
mod config;
pub mod conversations;
mod driver;
pub mod event;
mod minter;
pub mod sync;
#[cfg(feature = "service")]
#[cfg(test)]
mod tests;
pub mod twilsock;

pub use client::{Client, Events};
pub use config::{
    AccessToken, Config, NoWatermarks, REGION_DEFAULT, TokenError, TokenProvider, WatermarkError,
    Watermarks,
};
pub use conversations::resume::Resume;
pub use minter::Minter;
pub use twilsock::driver::Error as SocketError;

/// Opens the socket, closes it again and says nothing to the server: finds out whether it can be.
///
/// # Errors
///
/// What keeps it from being opened.
pub async fn probe(config: &Config) -> Result<(), SocketError> {
    let socket = twilsock::driver::Socket::connect(&config.socket_options()).await?;
    socket.close().await;
    Ok(())
}

pub use event::{
    ConversationState, DeliveryCount, Details, DisconnectReason, Event, Media, Message,
    MessageSource, NotSentReason, Outcome, Participant, SendMessage, Sent, Share, State,
    UnknownReason,
};
