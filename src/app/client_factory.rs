//! Opens a realtime client for an identity of the pool, with tokens minted here, watermarks from the
//! store, and the place where the last one stopped.

use std::sync::Arc;

use url::Url;

use super::parts::Parts;
use super::resume_store::ResumeStore;
use crate::channels::conversations::kept_watermarks::KeptWatermarks;
use crate::clock::Clock;
use crate::config::Settings;
use crate::config::kinds::QueueEngine;
use crate::config::settings::{Account, ConversationsAccount};
use crate::realtime::{Client, Config, Events, Minter, REGION_DEFAULT, Watermarks};
use crate::twilio::access_token::{self, Request};

/// An identity that listens.
pub struct OpenClient {
    /// The identity.
    pub identity: String,
    /// Its client.
    pub client: Client,
    /// What the client hears.
    pub events: Events,
}

/// Opens realtime clients, one for an identity at a time.
pub struct ClientFactory {
    account: Account,
    conversations: ConversationsAccount,
    config: Config,
    marks: Arc<dyn Watermarks>,
    /// Reads the time.
    pub clock: Clock,
    /// Where it is kept where clients stopped, if anywhere.
    pub resume_store: Option<ResumeStore>,
}

impl ClientFactory {
    /// Takes what all clients have in common; `None` if the socket is switched off.
    pub fn new(
        parts: &Parts<'_>,
        conversations: &ConversationsAccount,
        tls: &rustls::ClientConfig,
    ) -> Option<Self> {
        let settings = &parts.settings.realtime;
        if !settings.enabled {
            tracing::warn!(
                "socket is switched off; messages come by webhook and replies leave by REST"
            );
            return None;
        }
        access_token::install_crypto();
        Some(Self {
            account: parts.twilio.account.clone(),
            conversations: conversations.clone(),
            config: realtime_config(parts.settings, &parts.twilio.account, tls),
            marks: Arc::new(KeptWatermarks(parts.store.marks())),
            clock: parts.recorder.clock,
            resume_store: resume_store(parts.settings, conversations),
        })
    }

    /// Opens an identity's client, which connects by itself.
    pub fn open(&self, identity: String) -> OpenClient {
        let (account, conversations) = (&self.account, &self.conversations);
        let mut config = self.config.clone();
        config.resume = self.resume_store.as_ref().and_then(|store| store.read(&identity));
        config.clock = self.clock;
        let request = token_request(account, conversations, identity.clone());
        let secret = conversations.api_secret.clone();
        let tokens = Arc::new(Minter::new(request, secret, self.clock));
        let (client, events) = Client::connect(config, tokens, Arc::clone(&self.marks));
        OpenClient { identity, client, events }
    }
}

/// Says what an identity's access token holds.
pub fn token_request(
    account: &Account,
    conversations: &ConversationsAccount,
    identity: String,
) -> Request {
    Request {
        account_sid: account.account_sid,
        key_sid: conversations.api_key,
        service_sid: conversations.chat_service_sid,
        identity,
        lifetime: account.token_ttl,
        region: account.region.as_ref().map(|region| region.as_str().to_owned()),
    }
}

/// Where the realtime clients' places are kept: beside the queue's file, if there is one.
fn resume_store(settings: &Settings, conversations: &ConversationsAccount) -> Option<ResumeStore> {
    match settings.queue.engine {
        QueueEngine::Embedded => {
            let queue = settings.queue.path.clone();
            Some(ResumeStore::beside(queue, conversations.chat_service_sid))
        }
        // Whoever listens next may be another instance.
        QueueEngine::Nats => None,
    }
}

/// Says where the socket is and how it is reached.
pub fn realtime_config(
    settings: &Settings,
    account: &Account,
    tls: &rustls::ClientConfig,
) -> Config {
    // The official client knows a region and no edge.
    // Source: access token protocol notes, "Region and hosts", read 2026-11-21.
    let region = account.region.as_ref().map_or(REGION_DEFAULT, |region| region.as_str());
    let mut config = Config::for_region(region, Arc::new(tls.clone()))
        .expect("settings take only names that can be part of a host");
    if let Some(place) = &account.twilsock_url {
        config.twilsock_url = Url::clone(place.url());
    }
    config.proxies = settings.proxy.proxies();
    config.session.connect_timeout = settings.realtime.connect_timeout;
    config
}
