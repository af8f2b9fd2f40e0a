//! What can go wrong when connecting, told with its remedy. Holds no secret.

use std::path::PathBuf;

use async_nats::{ConnectError, ConnectErrorKind};

/// Says why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No server answers.
    #[error("no NATS server answers at {servers}: check NATS_URL, and that the server runs")]
    Unreachable {
        /// The servers tried.
        servers: String,
        /// What the client says.
        #[source]
        source: ConnectError,
    },
    /// The server does not let this user in.
    #[error(
        "the NATS server at {servers} refuses to let chimein in: check the user and password, token, \
         nkey or credentials file of [nats]"
    )]
    Refused {
        /// The servers tried.
        servers: String,
        /// What the client says.
        #[source]
        source: ConnectError,
    },
    /// TLS could not be agreed on.
    #[error(
        "TLS with the NATS server at {servers} failed: check that its certificate is for that name, \
         and that its authority is in SSL_CERT_FILE"
    )]
    Tls {
        /// The servers tried.
        servers: String,
        /// What the client says.
        #[source]
        source: ConnectError,
    },
    /// The credentials file cannot be used.
    #[error("the NATS credentials file {path} cannot be read: check nats.creds_file")]
    CredsFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The seed is none.
    #[error("nats.nkey_seed is no user's seed: it starts with SU and has 58 characters")]
    NkeySeed,
}

impl Error {
    pub(super) fn connect(servers: String, source: ConnectError) -> Self {
        match source.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                Self::Refused { servers, source }
            }
            ConnectErrorKind::Tls => Self::Tls { servers, source },
            ConnectErrorKind::ServerParse
            | ConnectErrorKind::Dns
            | ConnectErrorKind::TimedOut
            | ConnectErrorKind::Io
            | ConnectErrorKind::MaxReconnects => Self::Unreachable { servers, source },
        }
    }
}
