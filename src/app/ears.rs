//! Opens one realtime client for each identity of the pool, with tokens minted here, watermarks
//! from the store, and the place where the last one stopped.

use std::sync::Arc;

use futures::future::BoxFuture;
use secrecy::SecretString;
use url::Url;

use super::build::Parts;
use crate::clock::Clock;
use crate::config::settings::Account;
use crate::queue::Marks;
use crate::realtime::{
    AccessToken, Client, Config, Events, TokenError, TokenProvider, WatermarkError, Watermarks,
};
use crate::twilio::access_token::{self, Request};
use crate::twilio::sid::ConversationSid;

/// The region of an account that names none.
const REGION: &str = "us1";

/// An identity that listens.
pub struct Ear {
    /// The identity.
    pub identity: String,
    /// Its client.
    pub client: Client,
    /// What the client hears.
    pub events: Events,
}

/// Opens the clients; none if the socket is switched off. They connect by themselves.
pub fn open(parts: &Parts<'_>, tls: &rustls::ClientConfig) -> Vec<Ear> {
    let settings = &parts.settings.realtime;
    if !settings.enabled {
        tracing::warn!(
            "socket is switched off; messages come by webhook and replies leave by REST"
        );
        return Vec::new();
    }
    access_token::install_crypto();
    let account = &parts.twilio.account;
    let tls = Arc::new(tls.clone());
    let marks: Arc<dyn Watermarks> = Arc::new(Stored(parts.store.marks()));
    let places = parts.places();
    let open = |identity: String| {
        let mut config = config(account, Arc::clone(&tls));
        config.resume = places.as_ref().and_then(|places| places.read(&identity));
        config.session.connect_timeout = settings.connect_timeout;
        config.clock = parts.notes.clock;
        let tokens = Arc::new(Minted {
            request: Request {
                account_sid: account.account_sid,
                key_sid: account.api_key,
                service_sid: account.chat_service_sid,
                identity: identity.clone(),
                lifetime: account.token_ttl,
                region: account.region.as_ref().map(|region| region.as_str().to_owned()),
            },
            secret: account.api_secret.clone(),
            clock: parts.notes.clock,
        });
        let (client, events) = Client::connect(config, tokens, Arc::clone(&marks));
        Ear { identity, client, events }
    };
    parts.identities().into_iter().map(open).collect()
}

fn config(account: &Account, tls: Arc<rustls::ClientConfig>) -> Config {
    let region = account.region.as_ref().map_or(REGION, |region| region.as_str());
    let mut config = Config::for_region(region, tls)
        .expect("settings take only names that can be part of a host");
    if let Some(place) = &account.twilsock_url {
        config.twilsock_url = Url::clone(place.url());
    }
    config
}

/// Mints tokens with the API key's secret.
struct Minted {
    request: Request,
    secret: SecretString,
    clock: Clock,
}

impl TokenProvider for Minted {
    fn token(&self) -> BoxFuture<'_, Result<AccessToken, TokenError>> {
        let minted = access_token::mint(&self.request, &self.secret, self.clock.wall());
        Box::pin(std::future::ready(minted.map_err(|error| TokenError(Box::new(error)))))
    }
}

/// Watermarks in the store.
struct Stored(Marks);

impl Watermarks for Stored {
    fn load(
        &self,
        conversation: ConversationSid,
    ) -> BoxFuture<'_, Result<Option<u64>, WatermarkError>> {
        Box::pin(async move {
            let read = self.0.read(&conversation.to_string()).await;
            read.map_err(|error| WatermarkError(Box::new(error)))
        })
    }
}
