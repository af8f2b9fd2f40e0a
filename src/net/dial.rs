//! Opens a byte stream to a URL's host: by the proxy that is between, with TLS where the URL says so.
//!
//! Decides how long each step may take: all of them together have one [`Deadline`], and whoever shares
//! it may go on within what is left. An error says which step failed, with whom and why; never a
//! secret. Proxies are asked by `CONNECT`, with the user's name and password as basic authentication;
//! TLS to the server then runs inside the tunnel.
//! Source: RFC 9110, sections 9.3.6 and 11.7.2, read 2026-11-21.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::proxies::{Proxies, Proxy};
use crate::clock::{Clock, Moment};

/// Bytes of a proxy's answer that are read at most.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Connects to a proxy and says nothing: whether anybody listens there.
///
/// # Errors
///
/// What the system says where nobody takes the connection.
pub async fn is_listened_on(proxy: &Proxy) -> io::Result<()> {
    TcpStream::connect(proxy.to_string()).await.map(drop)
}

/// A way to the other end, whatever it is made of.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// An open way to the other end.
pub type DialledStream = Box<dyn Wire>;

/// Says why there is no stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A step took too long.
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
    /// The URL has no host, or no port that can be known.
    #[error("the address has no host")]
    NoHost,
    /// The URL wants TLS, and there is no configuration for it.
    #[error("no TLS configuration for {place}")]
    NoTls {
        /// The server.
        place: String,
    },
    /// The name has no address.
    #[error("the name {host} cannot be resolved")]
    Resolve {
        /// The name.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nothing takes the connection.
    #[error("cannot connect to {place}")]
    Connect {
        /// The server, or the proxy.
        place: String,
        /// Why, at its last address.
        #[source]
        source: io::Error,
    },
    /// There is no TLS with the server, or with the proxy.
    #[error("no TLS with {place}")]
    Tls {
        /// The server, or the proxy.
        place: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The proxy broke the connection off.
    #[error("the proxy {proxy} was lost before it had answered")]
    ProxyLost {
        /// The proxy.
        proxy: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The proxy does not let us through.
    #[error("the proxy {proxy} refused the way to {place} with status {status}")]
    ProxyRefused {
        /// The proxy.
        proxy: String,
        /// The server.
        place: String,
        /// The HTTP status.
        status: u16,
    },
    /// What is at the proxy's address is none.
    #[error("{proxy} does not answer as a proxy does")]
    NoProxy {
        /// What should be a proxy.
        proxy: String,
    },
}

/// Says that a step took too long.
#[derive(Debug, thiserror::Error)]
#[error("no {step} within {} ms", .limit.as_millis())]
pub struct TimedOut {
    /// What was waited for.
    pub step: String,
    /// How long all steps together might have taken.
    pub limit: Duration,
}

/// The time by which all steps must be over.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    clock: Clock,
    at: Moment,
    limit: Duration,
}

impl Deadline {
    /// Starts now.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        Self { clock: Clock::start(), at: Moment::ORIGIN + limit, limit }
    }

    /// Waits for one step.
    ///
    /// # Errors
    ///
    /// [`TimedOut`] with the step's name.
    pub async fn hold<T>(self, step: &str, work: impl Future<Output = T>) -> Result<T, TimedOut> {
        let held = tokio::time::timeout(self.at.since(self.clock.now()), work).await;
        held.map_err(|_| TimedOut { step: step.to_owned(), limit: self.limit })
    }

    /// The part of what is left that one of several tries may take.
    fn share(self, tries_left: usize) -> Self {
        let tries_left = u32::try_from(tries_left.max(1)).unwrap_or(u32::MAX);
        let now = self.clock.now();
        Self { at: now + self.at.since(now) / tries_left, ..self }
    }
}

/// How to go.
#[derive(Clone, Copy, Debug)]
pub struct DialRoute<'a> {
    /// TLS, for `https` and `wss`, and for proxies that want it.
    pub tls: Option<&'a Arc<ClientConfig>>,
    /// The proxies.
    pub proxies: &'a Proxies,
    /// By when.
    pub deadline: Deadline,
}

/// A host and a port.
struct RemoteEnd {
    host: String,
    port: u16,
}

impl RemoteEnd {
    fn of(url: &Url) -> Result<Self, Error> {
        let host = match url.host().ok_or(Error::NoHost)? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        Ok(Self { host, port: url.port_or_known_default().ok_or(Error::NoHost)? })
    }

    /// The place as it is written: an address of version 6 stands in brackets.
    fn shown(&self) -> String {
        let Self { host, port } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

/// Opens a stream to a URL's host.
///
/// # Errors
///
/// See [`Error`].
///
/// # Cancel safety
///
/// Dropping it gives the connection up.
pub async fn dial(url: &Url, route: DialRoute<'_>) -> Result<DialledStream, Error> {
    let place = RemoteEnd::of(url)?;
    let stream = match route.proxies.of(url) {
        Some(proxy) => tunnel(proxy, &place, route).await?,
        None => connect(&place, route.deadline).await?,
    };
    match url.scheme() {
        "https" | "wss" => encrypt(stream, &place, route).await,
        _ => Ok(stream),
    }
}

/// Connects to the first address of a host that takes it; each has its share of the time.
async fn connect(place: &RemoteEnd, deadline: Deadline) -> Result<DialledStream, Error> {
    let (host, shown) = (&place.host, place.shown());
    let unknown = |source| Error::Resolve { host: host.clone(), source };
    let asked = tokio::net::lookup_host((host.as_str(), place.port));
    let found = deadline.hold(&format!("address of {host}"), asked).await?.map_err(unknown)?;
    let addresses: Vec<SocketAddr> = found.collect();
    let mut last = unknown(io::Error::from(io::ErrorKind::NotFound));
    for (tried, address) in addresses.iter().enumerate() {
        let share = deadline.share(addresses.len() - tried);
        let step = format!("connection to {shown}");
        last = match share.hold(&step, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Frames are small and each is an answer to somebody.
                let set = stream.set_nodelay(true);
                set.map_err(|source| Error::Connect { place: shown, source })?;
                return Ok(Box::new(stream));
            }
            Ok(Err(source)) => Error::Connect { place: shown.clone(), source },
            Err(late) => late.into(),
        };
    }
    Err(last)
}

async fn encrypt(
    stream: DialledStream,
    place: &RemoteEnd,
    route: DialRoute<'_>,
) -> Result<DialledStream, Error> {
    let shown = place.shown();
    let Some(tls) = route.tls else { return Err(Error::NoTls { place: shown }) };
    let failed = |source| Error::Tls { place: shown.clone(), source };
    let name = ServerName::try_from(place.host.clone()).map_err(|e| failed(io::Error::other(e)))?;
    let shaken = TlsConnector::from(Arc::clone(tls)).connect(name, stream);
    let step = format!("TLS with {shown}");
    let stream = route.deadline.hold(&step, shaken).await?.map_err(failed)?;
    Ok(Box::new(stream))
}

/// Asks a proxy for a way to a place.
async fn tunnel(
    proxy: &Proxy,
    place: &RemoteEnd,
    route: DialRoute<'_>,
) -> Result<DialledStream, Error> {
    let way = RemoteEnd::of(proxy.url())?;
    let mut stream = connect(&way, route.deadline).await?;
    if proxy.is_encrypted() {
        stream = encrypt(stream, &way, route).await?;
    }
    let lost = |source| Error::ProxyLost { proxy: proxy.to_string(), source };
    let asked = ask(&mut stream, request(proxy, place));
    let step = format!("answer of the proxy {proxy}");
    let answer = route.deadline.hold(&step, asked).await?.map_err(lost)?;
    match answer {
        Some(200..=299) => Ok(stream),
        Some(status) => {
            Err(Error::ProxyRefused { proxy: proxy.to_string(), place: place.shown(), status })
        }
        None => Err(Error::NoProxy { proxy: proxy.to_string() }),
    }
}

fn request(proxy: &Proxy, place: &RemoteEnd) -> String {
    let place = place.shown();
    let authorization = proxy.authorization().map_or_else(String::new, |value| {
        format!("Proxy-Authorization: {}\r\n", value.expose_secret())
    });
    let agent = concat!("chimein/", env!("CARGO_PKG_VERSION"));
    format!(
        "CONNECT {place} HTTP/1.1\r\nHost: {place}\r\nUser-Agent: {agent}\r\n{authorization}\r\n"
    )
}

/// Sends a request and reads the head of its answer; gives the status, if it is one of HTTP.
async fn ask(stream: &mut DialledStream, request: String) -> io::Result<Option<u16>> {
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut head = Vec::new();
    let mut byte = [0; 1];
    // What follows the head is the server's: not a byte of it is taken.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == ANSWER_BYTES_MAX {
            return Ok(None);
        }
        stream.read_exact(&mut byte).await?;
        head.push(byte[0]);
    }
    Ok(status_of(&head))
}

/// Reads the status of an answer's head: `HTTP/1.1 200 Connection established`.
fn status_of(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let mut words = line.split(' ');
    let status = words.next()?.starts_with("HTTP/1.").then(|| words.next())??;
    status.parse().ok().filter(|status| (100..=599).contains(status))
}
