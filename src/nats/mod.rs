//! How this process reaches NATS.
//!
//! Decides how the one connection signs in, how long a request may take, and that a connection that
//! breaks is made again for ever. The first connection must succeed, but for [`connect_later`]: a wrong
//! address or sign-in is an error with its remedy, not a process that waits in silence. I/O: the socket, and a credentials file
//! that is read at start. Secrets go from [`Auth`] to the client and nowhere else.

mod address;
mod configured;
mod error;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

pub use async_nats::Client;
use async_nats::connection::State;
use async_nats::{ConnectOptions, Event};
use secrecy::{ExposeSecret as _, SecretString};

use crate::telemetry::chain::Chain;

pub use self::address::{AddressError, ServerAddress};
pub use self::error::Error;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the server is asked whether it is there; two pings without an answer end a connection.
/// Source: async-nats 0.51, `ConnectOptions::ping_interval`, read 2026-11-21.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// The longest pause between two tries to connect again.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(1);

/// Whether a connection is there right now.
#[must_use]
pub fn is_connected(client: &Client) -> bool {
    client.connection_state() == State::Connected
}

/// Where and how to connect.
#[derive(Debug)]
pub struct Options {
    /// The servers; any of them will do.
    pub servers: Vec<ServerAddress>,
    /// How to sign in.
    pub auth: Auth,
    /// The TLS configuration; used where a server demands TLS or its address says `tls`.
    pub tls: Option<rustls::ClientConfig>,
    /// What the server calls this connection.
    pub name: String,
}

/// How to sign in.
#[derive(Debug)]
pub enum Auth {
    /// Not at all.
    None,
    /// By user and password.
    UserPassword {
        /// The user.
        user: String,
        /// The password.
        password: SecretString,
    },
    /// By a token.
    Token(SecretString),
    /// By the seed of an nkey (`SU…`).
    NkeySeed(SecretString),
    /// By a credentials file: a user's JWT and seed.
    CredsFile(PathBuf),
}

/// Connects, and stays connected.
///
/// # Errors
///
/// If no server can be reached or none lets this user in; the error names the server and the remedy.
pub async fn connect(options: Options) -> Result<Client, Error> {
    connect_as(options, Wait::UntilConnected).await
}

/// Gives a client that is not connected yet, and connects as soon as a server can be reached.
///
/// # Errors
///
/// If what signs in cannot be used.
pub async fn connect_later(options: Options) -> Result<Client, Error> {
    connect_as(options, Wait::No).await
}

/// Whether a client is waited for until it is connected.
enum Wait {
    UntilConnected,
    No,
}

async fn connect_as(options: Options, wait: Wait) -> Result<Client, Error> {
    let servers = display(&options.servers);
    let urls: Vec<_> = options.servers.iter().map(ServerAddress::server).collect();
    let mut connect = signed_in(options.auth)
        .await?
        .name(options.name)
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(PING_INTERVAL)
        .max_reconnects(None)
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(|event| async move { note(&event) });
    if let Some(tls) = options.tls {
        connect = connect.tls_client_config(tls);
    }
    if matches!(wait, Wait::No) {
        connect = connect.retry_on_initial_connect();
    }
    connect.connect(urls).await.map_err(|source| Error::connect(servers, source))
}

async fn signed_in(auth: Auth) -> Result<ConnectOptions, Error> {
    let options = ConnectOptions::new();
    Ok(match auth {
        Auth::None => options,
        Auth::UserPassword { user, password } => {
            options.user_and_password(user, password.expose_secret().to_owned())
        }
        Auth::Token(token) => options.token(token.expose_secret().to_owned()),
        Auth::NkeySeed(seed) => {
            // Checked here, because the client tells it only as a failed sign-in.
            let seed = seed.expose_secret().trim();
            nkeys_check(seed)?;
            options.nkey(seed.to_owned())
        }
        Auth::CredsFile(path) => match options.credentials_file(&path).await {
            Ok(options) => options,
            Err(source) => return Err(Error::CredsFile { path, source }),
        },
    })
}

/// An nkey's seed begins with S and the kind, U for a user.
/// Source: NATS docs, "NKeys", read 2026-11-21.
fn nkeys_check(seed: &str) -> Result<(), Error> {
    let is_base32 = seed.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'));
    let is_seed = seed.starts_with("SU") && seed.len() == SEED_CHARS && is_base32;
    if is_seed { Ok(()) } else { Err(Error::NkeySeed) }
}

/// Two bytes of kind, 32 of seed and two of checksum in base32.
const SEED_CHARS: usize = 58;

fn reconnect_delay(attempts: usize) -> Duration {
    let doubled = u32::try_from(attempts.min(8)).unwrap_or(8);
    (Duration::from_millis(10) * 2_u32.saturating_pow(doubled)).min(RECONNECT_DELAY_MAX)
}

/// Tells changes of the connection, once each.
fn note(event: &Event) {
    match event {
        Event::Connected => tracing::info!(state = "connected", "nats connection changed"),
        Event::Disconnected => tracing::warn!(state = "disconnected", "nats connection changed"),
        Event::LameDuckMode => {
            tracing::info!(state = "lame_duck", "nats server is going; another one is taken");
        }
        Event::SlowConsumer(_) => {
            tracing::warn!(
                reason = "slow_consumer",
                "nats messages were dropped; they are read again"
            );
        }
        Event::ServerError(error) => {
            tracing::warn!(error = %Chain(error), "nats server refused something");
        }
        Event::ClientError(failure) => tracing::debug!(reason = %failure, "nats client failed"),
        Event::Draining | Event::Closed => {
            tracing::debug!(state = "closed", "nats connection changed");
        }
    }
}

fn display(servers: &[ServerAddress]) -> String {
    servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
