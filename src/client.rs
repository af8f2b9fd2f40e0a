//! What a bot of one's own needs, in one place: the realtime client and its events, access tokens, TLS,
//! and a REST client. The service is not needed for it, see the cargo feature `client`.
//!
//! [`Client`] hears and speaks over the socket, [`rest::Client`] does what the socket does not, and
//! [`Account`] knows what both need of Twilio. Decides nothing but where a region's hosts are; reads
//! no environment and no file, but for the system's certificates when [`tls::client_config`] is called.
//!
//! `examples/bot.rs` is a whole bot made of it; a short one stands in the manual's page `library`, under "The client
//! alone".

use std::sync::Arc;

use rustls::ClientConfig;

pub use secrecy::SecretString;
pub use url::Url;
pub use uuid::Uuid;

pub use crate::clock::{Clock, Timestamp};
pub use crate::net::proxies::{DirectHosts, Proxies, Proxy};
pub use crate::net::tls;
pub use crate::pii::Pii;
pub use crate::realtime::{
    AccessToken, Client, Config, ConversationState, DeliveryCount, Details, DisconnectReason,
    Event, Events, Media, Message, MessageSource, Minter, NoWatermarks, NotSentReason, Outcome,
    Participant, Resume, SendMessage, Sent, Share, State, TokenError, TokenProvider, UnknownReason,
    WatermarkError, Watermarks,
};
pub use crate::telemetry::chain::Chain;
pub use crate::twilio::{access_token, rest, sid};

use crate::realtime::REGION_DEFAULT;
use crate::twilio::sid::{AccountSid, ApiKeySid, ChatServiceSid};

/// As whom a bot signs in, and where its conversations are.
#[derive(Clone, Debug)]
pub struct Account {
    /// The account.
    pub account_sid: AccountSid,
    /// The chat service that the conversations belong to.
    pub chat_service_sid: ChatServiceSid,
    /// An API key of the account: it issues tokens for the socket, and signs in to the REST API.
    pub api_key: ApiKeySid,
    /// The key's secret.
    pub api_secret: SecretString,
    /// The region that the account's data lives in, where it is not `us1`.
    pub region: Option<String>,
}

/// Says that nobody knows where a region's hosts are.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the hosts of the region {0:?} are not known")]
pub struct RegionError(String);

impl Account {
    /// Gives the tokens of an identity, each for an hour, minted here.
    #[must_use]
    pub fn tokens(&self, identity: impl Into<String>) -> Arc<dyn TokenProvider> {
        let request = access_token::Request {
            account_sid: self.account_sid,
            key_sid: self.api_key,
            service_sid: self.chat_service_sid,
            identity: identity.into(),
            lifetime: access_token::LIFETIME_DEFAULT,
            region: self.region.clone(),
        };
        Arc::new(Minter::new(request, self.api_secret.clone(), Clock::start()))
    }

    /// Says where the socket is; all else in it has a default that fits.
    ///
    /// # Errors
    ///
    /// Where the region is no part of a host's name.
    pub fn realtime(&self, trusted: &ClientConfig) -> Result<Config, RegionError> {
        let region = self.region.as_deref().unwrap_or(REGION_DEFAULT);
        Config::for_region(region, Arc::new(trusted.clone()))
            .ok_or_else(|| RegionError(region.to_owned()))
    }

    /// Says where the REST API is, and signs in to it by the key.
    ///
    /// # Errors
    ///
    /// Where the region is none that has an edge of its own, see [`rest::own_edge`].
    pub fn rest(&self) -> Result<rest::Options, RegionError> {
        let secret = self.api_secret.clone();
        let credentials = rest::Credentials::ApiKey { sid: self.api_key, secret };
        let base = |product| {
            let region = self.region.as_deref();
            let host = rest::host(product, region, None)?;
            Url::parse(&format!("https://{host}")).ok()
        };
        let known = |product| {
            base(product).ok_or_else(|| RegionError(self.region.clone().unwrap_or_default()))
        };
        let media = rest::media_host(self.region.as_deref());
        let media = Url::parse(&format!("https://{media}"))
            .map_err(|_| RegionError(self.region.clone().unwrap_or_default()))?;
        Ok(rest::Options {
            conversations_base_url: known("conversations")?,
            api_base_url: known("api")?,
            messaging_base_url: known("messaging")?,
            media_base_url: media,
            chat_service_sid: Some(self.chat_service_sid),
            ..rest::Options::new(self.account_sid, credentials)
        })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn each_region_has_its_hosts_and_no_other_text_has_any() {
        let (trusted, _) = tls::client_config().unwrap();
        for (region, socket, rest) in [
            (None, Some("tsock.us1.twilio.com"), Some("conversations.twilio.com")),
            (
                Some("ie1"),
                Some("tsock.ie1.twilio.com"),
                Some("conversations.dublin.ie1.twilio.com"),
            ),
            (Some("jp1"), Some("tsock.jp1.twilio.com"), None),
            (Some("a b"), None, None),
        ] {
            let account = account(region);
            let found = account.realtime(&trusted).ok();
            let found = found.as_ref().and_then(|config| config.twilsock_url.host_str());
            assert_eq!(found, socket, "{region:?}");
            let found = account.rest().ok();
            let found = found.as_ref().and_then(|found| found.conversations_base_url.host_str());
            assert_eq!(found, rest, "{region:?}");
        }
    }

    #[tokio::test]
    async fn a_token_is_of_the_identity_and_signed_by_the_key() {
        let token = account(Some("ie1")).tokens("bot").token().await.unwrap();
        let now = Clock::start().wall();
        let secret = |key| (key == account(None).api_key).then(|| account(None).api_secret);
        let grant = access_token::verify(token.jwt.expose_secret(), now, secret).unwrap();
        assert_eq!(grant.identity.reveal(), "bot");
        assert_eq!(grant.service_sid, account(None).chat_service_sid);
    }

    #[test]
    fn an_account_prints_no_secret() {
        assert!(!format!("{:?}", account(None)).contains("planted"));
    }

    fn account(region: Option<&str>) -> Account {
        Account {
            account_sid: AccountSid::from_bytes([1; 16]),
            chat_service_sid: ChatServiceSid::from_bytes([2; 16]),
            api_key: ApiKeySid::from_bytes([3; 16]),
            api_secret: SecretString::from("planted"),
            region: region.map(str::to_owned),
        }
    }
}
