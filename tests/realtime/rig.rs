//! The two ends of a test: an emulator and clients of it, with bounded waits on what they see.

use std::sync::Arc;
use std::time::Duration;

use chimein::clock::Clock;
use chimein::emulator::control::SocketOrder;
use chimein::emulator::{self, Emulator, Received};
use chimein::realtime::{Client, Config, Event, Events, Message, Minter, NoWatermarks};
use chimein::twilio::access_token;
use chimein::twilio::rest;
use chimein::twilio::sid::ConversationSid;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An emulator with what it takes to reach it.
pub struct Rig {
    pub emulator: Emulator,
    pub rest: rest::Client,
}

impl Rig {
    pub async fn start() -> Self {
        Self::start_with(emulator::Options { seed: Some(7), ..emulator::Options::default() }).await
    }

    pub async fn start_with(options: emulator::Options) -> Self {
        let emulator = Emulator::start(options).await.expect("the emulator starts");
        let keys = emulator.credentials();
        let credentials = rest::Credentials::AuthToken(keys.auth_token.clone());
        let mut options = rest::Options::new(keys.account_sid, credentials);
        options.conversations_base_url = emulator.urls().conversations.clone();
        options.api_base_url = emulator.urls().api.clone();
        let (tls, _) = chimein::net::tls::client_config().expect("tls is set up");
        let rest =
            rest::Client::new(options, tls, Clock::start(), None).expect("the client is built");
        Self { emulator, rest }
    }

    pub fn config(&self) -> Config {
        let host = |name: &str| format!("https://{name}.us1.twilio.com").parse().expect("a URL");
        Config::for_urls(self.emulator.urls().twilsock.clone(), host("aim"), host("cds"))
    }

    pub fn minter(&self, identity: &str) -> Arc<Minter> {
        let keys = self.emulator.credentials();
        let request = access_token::Request {
            account_sid: keys.account_sid,
            key_sid: keys.api_key,
            service_sid: keys.service_sid,
            identity: identity.to_owned(),
            lifetime: Duration::from_secs(3600),
            region: None,
        };
        Arc::new(Minter::new(request, keys.api_secret.clone(), Clock::start()))
    }

    pub fn connect(&self, config: Config) -> (Client, Watch) {
        self.connect_as("bot", config)
    }

    pub fn connect_as(&self, identity: &str, config: Config) -> (Client, Watch) {
        let minter = self.minter(identity);
        let (client, events) = Client::connect(config, minter, Arc::new(NoWatermarks));
        (client, Watch::new(events))
    }

    /// Gives an order to the one open socket.
    pub fn order(&self, order: &SocketOrder) {
        assert_eq!(self.emulator.control().sockets(None, order), 1, "one socket is open");
    }

    /// A phone writes; gives the conversation.
    pub async fn text(&self, from: &str, body: &str) -> ConversationSid {
        match self
            .emulator
            .control()
            .receive_sms(from, "+15559990000", body)
            .await
            .expect("it is taken")
        {
            Received::Stored { conversation, .. } => conversation,
            Received::Dropped => panic!("the emulator dropped a message"),
        }
    }

    /// A conversation with the bot in it.
    pub async fn seated(&self, from: &str, body: &str) -> ConversationSid {
        let conversation = self.text(from, body).await;
        self.rest.add_participant(conversation, "bot").await.expect("the bot is added");
        conversation
    }
}

/// Events with bounded waits.
pub struct Watch {
    events: Events,
    /// The texts of all messages so far, also of those passed over.
    pub seen: Vec<String>,
}

impl Watch {
    pub fn new(events: Events) -> Self {
        Self { events, seen: Vec::new() }
    }

    /// The first event that `pick` takes; others are passed over.
    pub async fn until<T>(&mut self, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        let wait = async {
            loop {
                let event = self.events.next().await.expect("the client ended");
                if let Event::MessageAdded(message) = &event {
                    self.seen.push(text(message));
                }
                if let Some(found) = pick(event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("the event did not come")
    }

    /// Waits until all seats are live.
    pub async fn live(&mut self) -> usize {
        self.until(|event| match event {
            Event::Live { seats } => Some(seats),
            _ => None,
        })
        .await
    }

    /// The next message.
    pub async fn message(&mut self) -> Message {
        self.until(|event| match event {
            Event::MessageAdded(message) => Some(message),
            _ => None,
        })
        .await
    }

    /// The texts of the next messages.
    pub async fn texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        for _ in 0..count {
            texts.push(text(&self.message().await));
        }
        texts
    }
}

/// A message's text.
pub fn text(message: &Message) -> String {
    message.body.as_ref().map_or("", |body| body.reveal()).to_owned()
}
