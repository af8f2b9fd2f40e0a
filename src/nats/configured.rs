//! What the settings say of the connection to NATS, as the connection's own options.
//!
//! Decides nothing; secrets pass through to the one that signs in.

use super::address::ServerAddress;
use super::{Auth, Options};
use crate::config::settings::Nats;

impl Options {
    /// Makes the options of a connection that the server calls by `name`.
    #[must_use]
    pub fn of(settings: &Nats, name: &str, tls: &rustls::ClientConfig) -> Self {
        Self {
            servers: servers(settings),
            auth: auth(settings),
            tls: Some(tls.clone()),
            name: name.to_owned(),
        }
    }
}

fn servers(settings: &Nats) -> Vec<ServerAddress> {
    let address = |url: &url::Url| {
        let text = match (settings.tls, url.as_str().strip_prefix("nats://")) {
            (true, Some(rest)) => format!("tls://{rest}"),
            _ => url.as_str().to_owned(),
        };
        ServerAddress::parse(&text).expect("settings take only addresses of servers")
    };
    settings.url.urls().iter().map(address).collect()
}

/// The settings have one way at most.
fn auth(settings: &Nats) -> Auth {
    if let (Some(user), Some(password)) = (&settings.user, &settings.password) {
        return Auth::UserPassword { user: user.as_str().to_owned(), password: password.clone() };
    }
    if let Some(token) = &settings.token {
        return Auth::Token(token.clone());
    }
    if let Some(seed) = &settings.nkey_seed {
        return Auth::NkeySeed(seed.clone());
    }
    settings.creds_file.clone().map_or(Auth::None, Auth::CredsFile)
}
