//! What an emulator is started with, and where and as whom it can be reached.
//!
//! Plain values. The secrets here are made up for one run; they open nothing but the emulator.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::defects::Defect;
use super::state::ScopeRule;
use super::state::ids::Ids;
use super::state::limits::Limits;
use super::state::messaging::Number;
use crate::net::authority::Hosts;
use crate::twilio::sid::{AccountSid, ApiKeySid, ChatServiceSid};

/// How an emulator is to behave.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How others reach it, if not by the address it listens on.
    pub public_url: Option<Url>,
    /// Hosts by which it may be called besides its own address and URL, and whose pages may write.
    pub hosts: Hosts,
    /// Makes the account, its keys, the chat service and faults repeatable; without one every run
    /// differs.
    pub seed: Option<u64>,
    /// Whether the seed makes all other sids repeatable too. That is for tests, which keep nothing:
    /// a service whose store outlives the emulator takes a message with a known sid for a known one.
    pub repeat_sids: bool,
    /// The account and its keys; made from the seed if absent.
    pub credentials: Option<Credentials>,
    /// Refuses form fields that the resource does not have.
    pub strict: bool,
    /// Where the service's post-action webhooks go from the start.
    pub webhook_url: Option<Url>,
    /// The account's numbers for texts; every number is the account's if there are none.
    pub numbers: Vec<Number>,
    /// The limits, as Twilio has them.
    pub limits: Limits,
    /// Which of the wide webhook scopes fires when both are set.
    pub scope_rule: ScopeRule,
    /// Whether a message to any number makes a conversation, as a messaging service can be set to.
    pub autocreate_all: bool,
    /// How often the socket's server pings; never if absent.
    pub ping_interval: Option<Duration>,
    /// Whether a CRLF follows a frame's payload, as the real server does it.
    pub trailing_crlf: bool,
    /// How long before a token's end its client is warned.
    pub token_warning: Duration,
    /// How long a message takes to a phone.
    pub delivery_delay: Duration,
    /// How long a webhook may take.
    pub webhook_timeout: Duration,
    /// Webhooks under way at one URL.
    pub webhook_concurrency: usize,
    /// How many records are kept for the dump.
    pub records: usize,
    /// Where the state is kept from run to run; nowhere if absent.
    pub snapshot: Option<PathBuf>,
    /// A mistake made on purpose, for tests that must notice it.
    pub defect: Option<Defect>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            public_url: None,
            hosts: Hosts::default(),
            seed: None,
            repeat_sids: true,
            credentials: None,
            strict: false,
            webhook_url: None,
            numbers: Vec::new(),
            limits: Limits::default(),
            scope_rule: ScopeRule::Documented,
            autocreate_all: true,
            // Below the 45 s after which the Kotlin client gives a silent server up.
            // Source: Twilsock protocol notes 2.6, read 2026-11-21.
            ping_interval: Some(Duration::from_secs(20)),
            trailing_crlf: true,
            // Source: access token protocol notes, "Warning time", read 2026-11-21.
            token_warning: Duration::from_secs(240),
            delivery_delay: Duration::from_millis(50),
            // Source: webhook notes 1.4, read 2026-11-21.
            webhook_timeout: Duration::from_secs(5),
            webhook_concurrency: 64,
            records: 20_000,
            snapshot: None,
            defect: None,
        }
    }
}

/// The account that the emulator is.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The account.
    pub account_sid: AccountSid,
    /// Its auth token, which signs webhooks.
    pub auth_token: SecretString,
    /// An API key.
    pub api_key: ApiKeySid,
    /// The key's secret, which signs access tokens.
    pub api_secret: SecretString,
    /// The default chat service; known once the emulator has started.
    pub service_sid: ChatServiceSid,
}

impl Credentials {
    /// Makes an account up.
    pub(super) fn made_up(ids: &mut Ids) -> Self {
        Self {
            account_sid: AccountSid::from_bytes(ids.bytes()),
            auth_token: SecretString::from(ids.raw("")),
            api_key: ApiKeySid::from_bytes(ids.bytes()),
            api_secret: SecretString::from(ids.raw("")),
            service_sid: ChatServiceSid::from_bytes([0; 16]),
        }
    }
}

/// Where the emulator is.
#[derive(Clone, Debug)]
pub struct Urls {
    /// What stands for `https://conversations.twilio.com`.
    pub conversations: Url,
    /// What stands for `https://api.twilio.com`.
    pub api: Url,
    /// What stands for `https://messaging.twilio.com`.
    pub messaging: Url,
    /// What stands for `wss://tsock.us1.twilio.com/v3/wsconnect`.
    pub twilsock: Url,
    /// The page with the phones.
    pub phone: Url,
    /// The control API's base.
    pub control: Url,
}
