//! Whether the socket can be opened: name, proxy, connection, TLS and the upgrade, as the service does.
//!
//! Opens it, says nothing and closes it again. Whether we are let in is another question: then a token is minted
//! and shown there, as the bot that the service is too, and the connection ends before anything else is asked.

use std::sync::Arc;

use super::Error;
use super::asking::Asking;
use crate::app;
use crate::config::Settings;
use crate::config::settings::Twilio;
use crate::finding::Finding;
use crate::net::dial;
use crate::net::place::place_of;
use crate::net::tls;
use crate::realtime::{self, Minter, NoWatermarks, SocketError, State};
use crate::telemetry::chain::Chain;
use crate::twilio::access_token;

const CHECK: &str = "socket";

/// Opens the socket and judges what keeps it from opening.
pub(super) async fn examine(all: &Settings, twilio: &Twilio) -> Result<Finding, Error> {
    if !all.realtime.enabled {
        let found = "switched off: messages come by webhook and replies leave by REST".to_owned();
        return Ok(Finding::warn(CHECK, found, "set CHIMEIN_REALTIME_ENABLED=true"));
    }
    let (tls, _) = tls::client_config()?;
    let config = app::realtime_config(all, &twilio.account, &tls);
    let place = place_of(&config.twilsock_url);
    let way = match config.proxies.of(&config.twilsock_url) {
        Some(proxy) => format!(" by the proxy {proxy}"),
        None => String::new(),
    };
    Ok(match realtime::probe(&config).await {
        Ok(()) => Finding::ok(CHECK, format!("{place} opens{way}")),
        Err(error) => {
            let found = format!("{place} does not open{way}: {}", Chain(&error));
            Finding::fail(CHECK, found, remedy(&error))
        }
    })
}

/// Shows a token that the API secret signs; nothing where the socket itself is what is wrong.
pub(super) async fn token(asking: &Asking<'_>) -> Vec<Finding> {
    const CHECK: &str = "socket-token";
    let (all, account) = (asking.all, &asking.twilio.account);
    let Some(conversations) = asking.twilio.conversations.as_ref().filter(|_| all.realtime.enabled)
    else {
        return Vec::new();
    };
    let Ok((tls, _)) = tls::client_config() else { return Vec::new() };
    access_token::install_crypto();
    let config = app::realtime_config(all, account, &tls);
    let identity = conversations.bot.name.as_str().to_owned();
    let request = app::token_request(account, conversations, identity);
    let tokens = Minter::new(request, conversations.api_secret.clone(), asking.clock);
    let (client, _events) =
        realtime::Client::connect(config, Arc::new(tokens), Arc::new(NoWatermarks));
    let mut states = client.state();
    let state = states.wait_for(|state| *state != State::Connecting).await.map(|state| *state);
    // Its place to resume is of no use.
    drop(client.shutdown().await);
    match state {
        Ok(State::Connected | State::Live) => {
            vec![Finding::ok(CHECK, "what the API secret signs is let in".to_owned())]
        }
        Ok(State::Refused) => vec![Finding::fail(
            CHECK,
            "Twilio refuses the token that the API secret signs".to_owned(),
            "take a standard key of this account and region, its own secret, and a service of the same account; let \
             the clock be set by NTP",
        )],
        Ok(State::Connecting | State::Waiting | State::ShutDown) | Err(_) => Vec::new(),
    }
}

fn remedy(error: &SocketError) -> &'static str {
    match error {
        SocketError::Dial(dial::Error::Resolve { .. }) => {
            "check DNS, TWILIO_REGION and TWILIO_TWILSOCK_URL; where only a proxy knows names, set \
             HTTPS_PROXY"
        }
        SocketError::Dial(dial::Error::Tls { .. }) => {
            "let what answers there have a certificate that this machine trusts; SSL_CERT_FILE is heeded"
        }
        SocketError::Dial(dial::Error::ProxyRefused { status: 407, .. }) => {
            "put the proxy's user and password into HTTPS_PROXY, as http://user:password@host:port; \
             only Basic is spoken"
        }
        SocketError::Dial(dial::Error::ProxyRefused { .. } | dial::Error::ProxyLost { .. }) => {
            "let the proxy pass CONNECT to that host and port, or name the host in NO_PROXY"
        }
        SocketError::Dial(dial::Error::NoProxy { .. }) => {
            "let HTTPS_PROXY name an HTTP proxy that takes CONNECT"
        }
        SocketError::Refused { .. } | SocketError::CutOff(_) => {
            "something answers in Twilio's place: check TWILIO_TWILSOCK_URL, and let proxies and \
             firewalls pass WebSockets"
        }
        SocketError::Dial(_) | SocketError::TimedOut(_) => {
            "let the firewall pass it, or set HTTPS_PROXY; check TWILIO_TWILSOCK_URL"
        }
        SocketError::WebSocket(_) | SocketError::WriteTimedOut | SocketError::Closed { .. } => {
            "try again; status.twilio.com says whether Twilio is well"
        }
    }
}
