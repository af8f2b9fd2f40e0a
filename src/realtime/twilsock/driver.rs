//! The socket: opens one WebSocket, turns its messages into frames, writes frames.
//!
//! Decides nothing about the protocol: what to write and when to leave is the session's word. All
//! I/O of the realtime room passes here. Opening is bounded as a whole by
//! [`Options::connect_timeout`], each write by [`Options::write_timeout`], every buffer by
//! [`Options::limits`]; how long to listen is the caller's word.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use url::Url;

use super::frame::{self, Frame, Limits};
use crate::net::dial::{self, Deadline, DialRoute, DialledStream, TimedOut};
use crate::net::proxies::Proxies;
use crate::telemetry::chain::Chain;

/// Bytes read from the socket at once. The library's 128 KiB would be paid per connection.
const READ_BUFFER_BYTES: usize = 16 * 1024;
/// Bytes that may wait to be written beside one frame.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// How to reach the server.
#[derive(Clone, Debug)]
pub struct Options {
    /// The whole WebSocket URL; `ws://` for an emulator.
    pub url: Url,
    /// TLS for `wss://`; none for `ws://`. It must not offer ALPN `h2`.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// The proxies between us and the server.
    pub proxies: Proxies,
    /// Time for all of it: name, connection, proxy, TLS and the answer to the upgrade.
    pub connect_timeout: Duration,
    /// Largest frame taken.
    pub limits: Limits,
    /// Time that one write may take before the socket counts as lost.
    pub write_timeout: Duration,
}

/// Says why there is no socket (any more).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no way to the server.
    #[error(transparent)]
    Dial(#[from] dial::Error),
    /// The server does not answer the upgrade in time.
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
    /// The server answers, but not as a socket does.
    #[error("the upgrade was answered with status {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// The server was lost during the upgrade.
    #[error("the upgrade was cut off")]
    CutOff(#[source] Box<tungstenite::Error>),
    /// The WebSocket broke.
    #[error("websocket failed")]
    WebSocket(#[source] Box<tungstenite::Error>),
    /// The peer took no bytes for too long.
    #[error("peer takes no bytes")]
    WriteTimedOut,
    /// The peer closed.
    #[error("closed by the peer with {close_code:?}")]
    Closed {
        /// The WebSocket close code, if there was one.
        close_code: Option<u16>,
    },
}

impl From<tungstenite::Error> for Error {
    fn from(error: tungstenite::Error) -> Self {
        Self::WebSocket(Box::new(error))
    }
}

/// What came from the peer.
#[derive(Debug)]
pub enum IncomingFrame {
    /// A frame.
    Frame(Box<Frame>),
    /// A sign of life that is no frame: a ping, a pong, or junk that was dropped.
    Alive,
}

/// One open WebSocket.
pub struct Socket {
    stream: WebSocketStream<DialledStream>,
    limits: Limits,
    write_timeout: Duration,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").finish_non_exhaustive()
    }
}

impl Socket {
    /// Opens a WebSocket: no query, no subprotocol.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, refuses the upgrade, or all of it takes too long.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives the connection up.
    pub async fn connect(options: &Options) -> Result<Self, Error> {
        let deadline = Deadline::after(options.connect_timeout);
        let route = DialRoute { tls: options.tls.as_ref(), proxies: &options.proxies, deadline };
        let stream = dial::dial(&options.url, route).await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_write_buffer_size(WRITE_BUFFER_BYTES + options.limits.frame_bytes_max())
            .max_message_size(Some(options.limits.frame_bytes_max()))
            .max_frame_size(Some(options.limits.frame_bytes_max()));
        let upgrade =
            tokio_tungstenite::client_async_with_config(options.url.as_str(), stream, Some(config));
        let (stream, _) = deadline.hold("answer to the upgrade", upgrade).await?.map_err(
            |error| match error {
                tungstenite::Error::Http(answer) => {
                    Error::Refused { status: answer.status().as_u16() }
                }
                other => Error::CutOff(Box::new(other)),
            },
        )?;
        Ok(Self { stream, limits: options.limits, write_timeout: options.write_timeout })
    }

    /// Waits for what the peer sends.
    ///
    /// # Errors
    ///
    /// The socket is gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    pub async fn receive(&mut self) -> Result<IncomingFrame, Error> {
        let message = match self.stream.next().await {
            Some(message) => message?,
            None => return Err(Error::Closed { close_code: None }),
        };
        match message {
            Message::Binary(bytes) => match frame::decode(&bytes, &self.limits) {
                Ok(frame) => {
                    tracing::trace!(target: "wire::twilsock", frame = ?frame, "frame received");
                    Ok(IncomingFrame::Frame(Box::new(frame)))
                }
                Err(error) => {
                    // Dropped without an answer. Source: Twilsock protocol notes 1.
                    tracing::debug!(error = %Chain(&error), "malformed frame dropped");
                    Ok(IncomingFrame::Alive)
                }
            },
            // Frames are binary; a text message is dropped. Source: Twilsock protocol notes 1.
            Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {
                Ok(IncomingFrame::Alive)
            }
            Message::Close(close) => {
                Err(Error::Closed { close_code: close.map(|close| close.code.into()) })
            }
        }
    }

    /// Takes a frame into the write buffer; call [`Socket::flush`] after the last.
    ///
    /// # Errors
    ///
    /// The socket is gone, or takes no bytes.
    pub async fn write(&mut self, frame: Bytes) -> Result<(), Error> {
        self.feed(Message::Binary(frame)).await
    }

    /// Takes a WebSocket ping into the write buffer.
    ///
    /// # Errors
    ///
    /// The socket is gone, or takes no bytes.
    pub async fn ping(&mut self) -> Result<(), Error> {
        self.feed(Message::Ping(Bytes::new())).await
    }

    /// Hands the write buffer to the network.
    ///
    /// # Errors
    ///
    /// The socket is gone, or takes no bytes.
    pub async fn flush(&mut self) -> Result<(), Error> {
        let flush = tokio::time::timeout(self.write_timeout, self.stream.flush());
        Ok(flush.await.map_err(|_| Error::WriteTimedOut)??)
    }

    /// Flushes and closes; waits for neither longer than the write timeout.
    pub async fn close(mut self) {
        let close = tokio::time::timeout(self.write_timeout, self.stream.close(None));
        if !matches!(close.await, Ok(Ok(()))) {
            tracing::debug!("socket was gone before it was closed");
        }
    }

    async fn feed(&mut self, message: Message) -> Result<(), Error> {
        let feed = tokio::time::timeout(self.write_timeout, self.stream.feed(message));
        Ok(feed.await.map_err(|_| Error::WriteTimedOut)??)
    }
}
