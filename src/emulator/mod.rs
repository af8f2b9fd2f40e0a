//! A Twilio for one machine: Conversations over REST, webhooks and the realtime socket, and plain SMS,
//! WhatsApp and RCS, for tests, demonstrations and development without an account.
//!
//! Decides everything that Twilio would decide, in [`state`], which is pure; the rest of the room
//! carries it to the outside: [`Emulator::start`] binds one port where REST, the socket, media, the
//! control API and the phone page answer. Time enters through one clock, chance through one seed.
//! Its secrets are made up for the run and open nothing else.
//!
//! ```text
//!   REST ──┐                        ┌──▶ webhooks (one dispatcher) ──▶ answers in TwiML
//!   socket ┼──▶ hub: one lock, ──▶ effects ──▶ sockets (one driver each)
//!   phones ┤    one World           └──▶ deliveries, records
//!   control┘
//! ```

mod answer;
pub mod control;
mod defects;
pub mod faults;
mod hub;
mod inbound;
mod media;
mod options;
mod pairs;
mod phone;
pub mod record;
mod rest;
mod server;
mod snapshot;
mod sockets;
pub mod state;
mod tasks;
#[cfg(test)]
mod tests;
mod texts;
mod timekeeper;
mod twilsock;
mod variables;
mod visitors;
mod webhooks;

use std::net::SocketAddr;
use std::sync::Arc;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

pub use self::control::{Attachment, Control, Incoming, Received, Texted};
pub use self::defects::Defect;
pub use self::options::{Credentials, Options, Urls};
pub use self::snapshot::Error as SnapshotError;

#[doc(hidden)]
pub use self::twilsock::wire;

use self::hub::{Hub, HubParts};
use self::state::ids::Ids;
use self::state::refusal::Refusal;
use self::state::{Settings, World};
use self::webhooks::caller::Caller;
use crate::clock::{Clock, Moment};
use crate::net;

/// Says why the emulator did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The port is taken or may not be bound.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The webhook client could not be built.
    #[error("cannot set up the client for webhooks")]
    Client(#[source] net::http::Error),
    /// The snapshot cannot be used.
    #[error("cannot use the snapshot")]
    Snapshot(#[from] SnapshotError),
    /// A number is none.
    #[error("a number cannot be the account's")]
    Number(#[source] Refusal),
    /// The public URL cannot be the base of others.
    #[error("the public url cannot be a base")]
    PublicUrl(#[source] url::ParseError),
}

/// A running emulator. Ends with [`Emulator::shutdown`].
#[derive(Debug)]
pub struct Emulator {
    hub: Arc<Hub>,
}

impl Emulator {
    /// Binds the port and starts.
    ///
    /// # Errors
    ///
    /// If the port cannot be bound, or a client cannot be set up.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let clock = Clock::start();
        let address = options.listen;
        let failed = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let seed = seed(&options);
        let mut ids = Ids::seeded(seed);
        let snapshot = match &options.snapshot {
            Some(path) => snapshot::read(path).await?,
            None => None,
        };
        let (credentials, world) = match snapshot {
            Some((credentials, mut world)) => {
                world.all_offline(clock.wall());
                // What came after it was written had sids that must not come again.
                diverge(&options, &mut world);
                (credentials, world)
            }
            None => fresh(&options, &mut ids, clock),
        };
        let webhook_url = options.webhook_url.clone();
        let options = Options { seed: Some(seed), listen: bound, ..options };
        let hub = hub(options, credentials, world, clock)?;
        hub.tasks.spawn(server::accept(Arc::clone(&hub), listener));
        let emulator = Self { hub };
        if let Some(url) = webhook_url {
            let post_url = Some(url.to_string());
            emulator.control().set_webhook(control::Webhook { post_url, ..Default::default() });
        }
        Ok(emulator)
    }

    /// Starts without a port: [`Control`] and [`Emulator::wire`] are the only ways in. For tests in
    /// virtual time, which hold the client's core against the emulator's without a socket.
    ///
    /// # Errors
    ///
    /// If the client for webhooks cannot be set up.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[doc(hidden)]
    pub fn unplugged(options: Options) -> Result<Self, Error> {
        let clock = Clock::start();
        let seed = seed(&options);
        let (credentials, world) = fresh(&options, &mut Ids::seeded(seed), clock);
        let options = Options { seed: Some(seed), ..options };
        Ok(Self { hub: hub(options, credentials, world, clock)? })
    }

    /// Opens a connection that is no socket.
    #[doc(hidden)]
    #[must_use]
    pub fn wire(&self, now: Moment) -> wire::ServerWire {
        wire::ServerWire::open(Arc::clone(&self.hub), now)
    }

    /// Where it can be reached.
    #[must_use]
    pub fn urls(&self) -> &Urls {
        &self.hub.urls
    }

    /// As whom it can be used.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.hub.credentials
    }

    /// A handle for phones, faults and everything else that is not Twilio's.
    #[must_use]
    pub fn control(&self) -> Control {
        Control { hub: Arc::clone(&self.hub) }
    }

    /// Everything that a client must know, as one JSON object.
    #[must_use]
    pub fn info(&self) -> Value {
        info(&self.hub.urls, &self.hub.credentials)
    }

    /// Stops listening, closes every connection and waits for every task to end. Whoever keeps a
    /// snapshot calls [`Control::save`] afterwards.
    pub async fn shutdown(self) {
        self.hub.stop.cancel();
        self.hub.tasks.close();
        self.hub.tasks.wait().await;
    }
}

/// Builds the hub for `options`, whose address is the bound one.
fn hub(
    options: Options,
    credentials: Credentials,
    mut world: World,
    clock: Clock,
) -> Result<Arc<Hub>, Error> {
    for number in &options.numbers {
        world.set_number(number.clone()).map_err(Error::Number)?;
    }
    let urls = urls(options.public_url.as_ref(), options.listen).map_err(Error::PublicUrl)?;
    let caller = Caller::new(clock, credentials.auth_token.clone(), options.webhook_timeout)
        .map_err(Error::Client)?;
    let seed = seed(&options);
    let parts = HubParts { world, options, credentials, urls, caller: caller.clone(), clock, seed };
    let (hub, work) = Hub::new(parts);
    tasks::start(&hub, work, caller);
    Ok(hub)
}

fn seed(options: &Options) -> u64 {
    options.seed.unwrap_or_else(|| u64::from_be_bytes(random_bytes()))
}

fn fresh(options: &Options, ids: &mut Ids, clock: Clock) -> (Credentials, World) {
    let given = options.credentials.clone();
    let mut credentials = given.unwrap_or_else(|| Credentials::made_up(ids));
    let settings = Settings {
        account: credentials.account_sid,
        limits: options.limits.clone(),
        scope_rule: options.scope_rule,
        autocreate_all: options.autocreate_all,
    };
    let mut world = World::new(settings, ids.clone(), clock.wall());
    credentials.service_sid = world.default_service();
    diverge(options, &mut world);
    (credentials, world)
}

/// Lets the sids that the world makes from here on differ from those of every other run, unless they
/// are to repeat.
fn diverge(options: &Options, world: &mut World) {
    if options.seed.is_none() || !options.repeat_sids {
        *world.ids_mut() = Ids::seeded(u64::from_be_bytes(random_bytes()));
    }
}

/// The secrets are part of it: they are made up, and whoever starts an emulator needs them.
fn info(urls: &Urls, credentials: &Credentials) -> Value {
    json!({
        "conversations_url": urls.conversations,
        "api_url": urls.api,
        "messaging_url": urls.messaging,
        "twilsock_url": urls.twilsock,
        "phone_url": urls.phone,
        "control_url": urls.control,
        "account_sid": credentials.account_sid,
        "auth_token": credentials.auth_token.expose_secret(),
        "api_key": credentials.api_key,
        "api_secret": credentials.api_secret.expose_secret(),
        "chat_service_sid": credentials.service_sid,
    })
}

fn urls(public: Option<&Url>, bound: SocketAddr) -> Result<Urls, url::ParseError> {
    let base = match public {
        Some(url) => url.clone(),
        None => Url::parse(&format!("http://{bound}/"))?,
    };
    let socket_scheme = if base.scheme() == "https" { "wss" } else { "ws" };
    let twilsock = format!("{socket_scheme}{}", &base.as_str()[base.scheme().len()..]);
    Ok(Urls {
        twilsock: Url::parse(&twilsock)?.join("v3/wsconnect")?,
        phone: base.join("/")?,
        control: base.join("_emulator/")?,
        api: base.clone(),
        messaging: base.clone(),
        conversations: base,
    })
}

/// Eight bytes that differ from run to run, from the same source as UUIDs.
fn random_bytes() -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&uuid::Uuid::new_v4().as_bytes()[8..]);
    bytes[0] = uuid::Uuid::new_v4().as_bytes()[0];
    bytes
}
