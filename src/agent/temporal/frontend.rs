//! The connection to the server: made when it is needed, kept while it works, and what is known of it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use secrecy::{ExposeSecret, SecretString};
use temporalio_client::tonic::{Response, Status};
use temporalio_client::{
    Client, ClientOptions, ClientTlsOptions, Connection, ConnectionOptions,
    HttpConnectProxyOptions, RetryOptions, TlsOptions,
};
use tokio::sync::{Semaphore, SemaphorePermit};
use url::Url;

use super::error::Error;
use crate::agent::matter::Matter;
use crate::net::proxies::Proxy;
use crate::net::tls;
use crate::telemetry::chain::Chain;

/// What we call ourselves to the server: those who poll a task queue are listed by it.
pub(super) const IDENTITY: &str = "chimein";
/// How long a connection may take, and how long anybody waits for one: who comes while it is tried shares what
/// comes of it.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How many workflows are started and signalled at the same time. More would wait in the server, where the time of
/// each call runs, and a rush would look like a server that is away. Chosen so that a server of several machines is
/// busy.
const STARTS_MAX: usize = 64;

/// How the server is reached and who asks.
#[derive(Clone, Debug)]
pub struct TemporalAccess {
    /// Where it is.
    pub address: Url,
    /// The namespace.
    pub namespace: String,
    /// Who asks, where the server wants a key.
    pub api_key: Option<SecretString>,
    /// What TLS needs, if the connection is one.
    pub tls: Option<TlsFiles>,
    /// What stands between us and the server.
    pub proxy: Option<Proxy>,
}

/// What TLS needs beside the system's roots.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// The name that the server's certificate is for, where it is not the address's.
    pub server_name: Option<String>,
    /// Certificates that are trusted instead.
    pub server_ca: Option<PathBuf>,
    /// Our certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// The connection, whether there is one or not.
pub(super) struct Frontend {
    access: TemporalAccess,
    connection: tokio::sync::Mutex<Connected>,
    /// How often connecting has failed.
    failures: AtomicU64,
    /// Room for starting and signalling.
    starts: Semaphore,
    verifier: OnceLock<Arc<WebPkiServerVerifier>>,
    /// Why the server cannot be used, as the operator was told; none where it can.
    told: Mutex<Option<&'static str>>,
}

/// What came of connecting.
enum Connected {
    /// It was not tried since there was a connection at last.
    Not,
    /// There is one.
    By(Client),
    /// It failed the last time: what was told of it, and whose matter that is.
    Failed(String, Matter),
}

impl Frontend {
    /// Knows how to reach the server, and asks nothing of it yet.
    pub(super) fn new(access: TemporalAccess) -> Self {
        Self {
            access,
            connection: tokio::sync::Mutex::new(Connected::Not),
            failures: AtomicU64::new(0),
            starts: Semaphore::new(STARTS_MAX),
            verifier: OnceLock::new(),
            told: Mutex::new(None),
        }
    }

    /// The namespace.
    pub(super) fn namespace(&self) -> &str {
        &self.access.namespace
    }

    /// Where the server is, host and port.
    pub(super) fn place(&self) -> String {
        let url = &self.access.address;
        let port = url.port_or_known_default().unwrap_or_default();
        format!("{}:{port}", url.host_str().unwrap_or_default())
    }

    /// The client that calls are made by, each of them once: whoever asks tries again.
    ///
    /// # Errors
    ///
    /// If there is none and the server cannot be connected to, or could not while this was waiting for it.
    pub(super) async fn client(&self) -> Result<Client, Error> {
        let failures = self.failures.load(Ordering::Relaxed);
        let mut kept = self.connection.lock().await;
        match &*kept {
            Connected::By(client) => return Ok(client.clone()),
            Connected::Failed(told, matter)
                if self.failures.load(Ordering::Relaxed) != failures =>
            {
                return Err(Error::Shared { told: told.clone(), matter: *matter });
            }
            Connected::Failed(..) | Connected::Not => {}
        }
        match self.connect(RetryOptions::no_retries()).await {
            Ok(client) => {
                *kept = Connected::By(client.clone());
                Ok(client)
            }
            Err(error) => {
                self.failed(&error);
                *kept = Connected::Failed(Chain(&error).to_string(), error.matter());
                self.failures.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Waits for room to start or signal a workflow; it is had until the permit is dropped.
    pub(super) async fn room(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.starts.acquire().await.ok()
    }

    /// A client of a worker's own, which tries again by itself.
    ///
    /// # Errors
    ///
    /// If the server cannot be connected to.
    pub(super) async fn worker_client(&self) -> Result<Client, Error> {
        self.connect(RetryOptions::default()).await
    }

    /// Makes a call within its time, and notes what it says of the server.
    ///
    /// # Errors
    ///
    /// As the server says, or if it says nothing.
    pub(super) async fn call<R>(
        &self,
        (doing, limit): (&'static str, Duration),
        call: impl Future<Output = Result<Response<R>, Status>>,
    ) -> Result<Result<R, Status>, Error> {
        let answered = tokio::time::timeout(limit, call).await;
        let Ok(answered) = answered else {
            let error = Error::Silent { doing, limit };
            self.lost(&error).await;
            return Err(error);
        };
        match answered {
            Ok(response) => {
                self.worked();
                Ok(Ok(response.into_inner()))
            }
            Err(status) => {
                let error = Error::of(doing, &status);
                match error.matter() {
                    Matter::Passing | Matter::Configuration(_) if is_of_the_server(&status) => {
                        self.lost(&error).await;
                    }
                    Matter::Passing | Matter::Configuration(_) | Matter::Pace | Matter::Message => {
                    }
                }
                Ok(Err(status))
            }
        }
    }

    /// Whether the server can be used, as far as is known.
    pub(super) fn is_well(&self) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn worked(&self) {
        if self.replace(None).is_some() {
            tracing::info!("temporal can be used again");
        }
    }

    /// Notes that the server cannot be used; the next call connects anew, by what its files then hold.
    async fn lost(&self, error: &Error) {
        *self.connection.lock().await = Connected::Not;
        self.failed(error);
    }

    fn failed(&self, error: &Error) {
        let word = match error.matter() {
            Matter::Configuration(remedy) => remedy,
            Matter::Pace | Matter::Message | Matter::Passing => "it is away",
        };
        if self.replace(Some(word)) == Some(word) {
            return;
        }
        if matches!(error.matter(), Matter::Configuration(_)) {
            tracing::error!(error = %Chain(error), reason = word,
                "temporal refuses us; trying again");
        } else {
            tracing::warn!(error = %Chain(error), reason = word,
                "temporal cannot be used; trying again");
        }
    }

    fn replace(&self, with: Option<&'static str>) -> Option<&'static str> {
        std::mem::replace(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner), with)
    }

    /// The one that trusts whom all of chimein trusts; the system's certificates are read once.
    fn verifier(&self) -> Result<Arc<WebPkiServerVerifier>, Error> {
        if let Some(made) = self.verifier.get() {
            return Ok(Arc::clone(made));
        }
        let (roots, _) = tls::roots();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let made = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let made = made.map_err(|error| Error::Unreachable(Box::new(error)))?;
        Ok(Arc::clone(self.verifier.get_or_init(|| made)))
    }

    async fn connect(&self, retries: RetryOptions) -> Result<Client, Error> {
        let TemporalAccess { address, namespace, api_key, tls, proxy } = &self.access;
        let tls = tls.as_ref().map(|files| tls_options(files, || self.verifier())).transpose()?;
        let key = api_key.as_ref().map(|key| key.expose_secret().to_owned());
        let options = ConnectionOptions::new(address.clone())
            .identity(IDENTITY)
            .maybe_tls_options(tls)
            .maybe_api_key(key)
            .connect_timeout(CONNECT_WITHIN)
            .retry_options(retries)
            .maybe_http_connect_proxy(proxy.as_ref().map(proxied))
            .dns_load_balancing(None)
            .build();
        let connection = tokio::time::timeout(CONNECT_WITHIN, Connection::connect(options)).await;
        let connection = match connection {
            Err(_) => {
                return Err(Error::Silent { doing: "take a connection", limit: CONNECT_WITHIN });
            }
            Ok(Err(temporalio_client::errors::ClientConnectError::SystemInfoCallError(status))) => {
                return Err(Error::of("say what it is", &status));
            }
            Ok(Err(error)) => return Err(Error::Unreachable(Box::new(error))),
            Ok(Ok(connection)) => connection,
        };
        let options = ClientOptions::new(namespace.clone()).build();
        Client::new(connection, options).map_err(|error| Error::Unreachable(Box::new(error)))
    }
}

/// Whether a refusal is of the server as a whole, and not of one workflow.
fn is_of_the_server(status: &Status) -> bool {
    use temporalio_client::tonic::Code;
    matches!(
        status.code(),
        Code::Unavailable | Code::Unauthenticated | Code::PermissionDenied | Code::Cancelled
    )
}

/// Whom we trust is decided in one place, but for a server whose certificates are named.
fn tls_options(
    files: &TlsFiles,
    verifier: impl FnOnce() -> Result<Arc<WebPkiServerVerifier>, Error>,
) -> Result<TlsOptions, Error> {
    let read = |setting, path: &PathBuf| {
        std::fs::read(path).map_err(|source| Error::File { setting, source })
    };
    let TlsFiles { server_name, server_ca, client } = files;
    let ca = server_ca.as_ref().map(|path| read("TEMPORAL_TLS_SERVER_CA_CERT_PATH", path));
    let ca = ca.transpose()?;
    let identity = match client {
        Some((certificate, key)) => Some(
            ClientTlsOptions::builder()
                .client_cert(read("TEMPORAL_TLS_CLIENT_CERT_PATH", certificate)?)
                .client_private_key(read("TEMPORAL_TLS_CLIENT_KEY_PATH", key)?)
                .build(),
        ),
        None => None,
    };
    let options =
        TlsOptions::builder().maybe_domain(server_name.clone()).maybe_client_tls_options(identity);
    if let Some(ca) = ca {
        return Ok(options.server_root_ca_cert(ca).build());
    }
    Ok(options.server_cert_verifier(verifier()?).build())
}

fn proxied(proxy: &Proxy) -> HttpConnectProxyOptions {
    let user = proxy.credentials();
    let user = user.map(|(user, password)| (user, password.expose_secret().to_owned()));
    HttpConnectProxyOptions::new(proxy.to_string()).maybe_basic_auth(user).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, Moment};

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_answers_holds_up_everybody_once_and_not_one_after_the_other() {
        // The system takes connections to it; nobody reads them.
        let hole = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", hole.local_addr().unwrap()).parse().unwrap();
        let (namespace, api_key, tls, proxy) = ("default".to_owned(), None, None, None);
        let access = TemporalAccess { address, namespace, api_key, tls, proxy };
        let frontend = Frontend::new(access);
        let clock = Clock::start();
        let all = futures::future::join_all((0..50).map(|_| frontend.client())).await;
        let silent = "temporal did not take a connection within 10 s";
        for error in all.into_iter().map(|made| made.map(drop).expect_err("nobody is there")) {
            assert_eq!((error.to_string().as_str(), error.matter()), (silent, Matter::Passing));
        }
        let took = clock.now().since(Moment::ORIGIN);
        assert!(took < CONNECT_WITHIN * 3 / 2, "{took:?}");
        assert!(!frontend.is_well());
    }
}
