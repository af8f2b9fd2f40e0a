//! Three instances of the real binary on one NATS server, behind a balancer, against the emulator.

use std::time::Duration;

use chimein::emulator::control::Webhook;
use chimein::emulator::{self, Control, Emulator};
use chimein::twilio::sid::ConversationSid;
use reqwest::Method;
use secrecy::ExposeSecret as _;

use crate::balancer::Balancer;
use crate::child::{BOTS, Service, tally, within};
use crate::nats_server::NatsServer;

/// How many instances there are.
pub const INSTANCES: usize = 3;
/// How long a start may take, on a machine under load.
const START_MAX: Duration = Duration::from_secs(60);

/// Everything that runs.
pub struct Rig {
    pub nats: NatsServer,
    pub emulator: Emulator,
    pub control: Control,
    pub instances: Vec<Service>,
    balancer: Balancer,
}

impl Rig {
    /// Starts everything, and waits until every identity has its socket.
    pub async fn start(seed: u64) -> Self {
        Self::start_with(seed, &[]).await
    }

    /// As [`Rig::start`], with more variables.
    pub async fn start_with(seed: u64, more: &[(&str, &str)]) -> Self {
        Self::launch(seed, more, false).await
    }

    /// As [`Rig::start_with`]; the instances know their balancer's address.
    pub async fn start_on_number(seed: u64, more: &[(&str, &str)]) -> Self {
        Self::launch(seed, more, true).await
    }

    /// Where the balancer listens.
    pub fn url(&self) -> String {
        self.balancer.url()
    }

    async fn launch(seed: u64, more: &[(&str, &str)], is_named: bool) -> Self {
        let nats = NatsServer::start();
        let mut options = emulator::Options { seed: Some(seed), ..emulator::Options::default() };
        options.limits.service_writes = 100_000;
        let emulator = Emulator::start(options).await.unwrap();
        let control = emulator.control();
        let url = nats.url();
        let mut instances: Vec<Service> = (0..INSTANCES)
            .map(|number| {
                let name = format!("instance-{number}");
                let own = [
                    ("CHIMEIN_QUEUE_ENGINE", "nats"),
                    ("NATS_URL", url.as_str()),
                    ("INSTANCE_ID", name.as_str()),
                    ("CHIMEIN_RECONCILE_INTERVAL", "1m"),
                    ("LOG_LEVEL", "info"),
                ];
                Service::of(&emulator, &[&own[..], &schedules()[..], more].concat())
            })
            .collect();
        let balancer = Balancer::over(instances.iter().map(Service::port).collect()).await;
        let url = format!("{}{}", balancer.url(), chimein::webhook::ROUTE);
        control.set_webhook(Webhook { post_url: Some(url), ..Webhook::default() });
        for instance in &mut instances {
            if is_named {
                instance.set("CHIMEIN_WEBHOOK_PUBLIC_URL", &balancer.url());
            }
            instance.start(&[]);
        }
        let rig = Self { nats, emulator, control, instances, balancer };
        for instance in &rig.instances {
            assert!(instance.is_listening().await, "{}", instance.log_tail());
        }
        assert!(within(START_MAX, || rig.is_even()).await, "{}", rig.logs());
        rig
    }

    /// Whether each instance listens for one identity, as their logs say.
    pub fn is_even(&self) -> bool {
        self.control.connected().len() == BOTS.len()
            && (0..INSTANCES).all(|number| self.listens_for(number) == 1)
    }

    /// For how many identities an instance listens, by its log.
    pub fn listens_for(&self, number: usize) -> usize {
        let log = self.instances[number].log().concat();
        let begun = log.matches("this instance listens for the identity\"").count();
        begun - log.matches("this instance listens for the identity no longer\"").count()
    }

    /// How many conversations a bot sits in.
    pub fn seats(&self) -> usize {
        let conversations = self.control.conversations();
        conversations.iter().filter(|conversation| !tally::seats(conversation).is_empty()).count()
    }

    /// Closes a conversation.
    pub async fn close(&self, conversation: ConversationSid) {
        self.write(Method::POST, &conversation.to_string(), "State=closed").await;
    }

    /// Changes something of a conversation as somebody else's program does.
    pub async fn write(&self, method: Method, path: &str, form: &'static str) {
        let (urls, credentials) = (self.emulator.urls(), self.emulator.credentials());
        let base = urls.conversations.as_str().trim_end_matches('/');
        let service = credentials.service_sid;
        let url = format!("{base}/v1/Services/{service}/Conversations/{path}");
        let answer = chimein::net::http::direct()
            .unwrap()
            .build()
            .unwrap()
            .request(method, url)
            .basic_auth(credentials.account_sid, Some(credentials.auth_token.expose_secret()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
            .send();
        assert!(answer.await.unwrap().status().is_success());
    }

    /// How often all instances together have logged something.
    pub fn logged(&self, text: &str) -> usize {
        self.instances.iter().map(|instance| instance.log().concat().matches(text).count()).sum()
    }

    /// Kills NATS, and starts it again once every instance has lost it.
    pub async fn restart_nats(&mut self) {
        let before = self.nats_missed();
        self.nats.kill();
        let all = || self.nats_missed().iter().zip(&before).all(|(now, before)| now > before);
        assert!(within(START_MAX, all).await, "{}", self.logs());
        self.nats.begin();
    }

    /// How often each instance has logged that NATS is away, while it ran or while it started.
    fn nats_missed(&self) -> Vec<usize> {
        let is_one = |line: &&str| {
            let is_lost = line.contains("nats connection changed") && line.contains("disconnected");
            is_lost || line.contains("the start waits for nats")
        };
        let logs = self.instances.iter().map(|instance| instance.log().concat());
        logs.map(|log| log.lines().filter(is_one).count()).collect()
    }

    /// The last lines of all logs.
    pub fn logs(&self) -> String {
        self.instances.iter().map(|instance| instance.log_tail() + "\n\n").collect()
    }

    /// Stops what still runs.
    pub async fn stop(mut self) {
        for instance in &mut self.instances {
            instance.stop().await;
        }
        self.emulator.shutdown().await;
    }
}

/// Schedules that are short, so that a run is.
fn schedules() -> [(&'static str, &'static str); 3] {
    let short = "50ms,100ms,200ms,500ms,1s,1s,1s,1s,1s,1s,1s,1s,2s,2s,2s,2s";
    [
        ("CHIMEIN_JOIN_SCHEDULE", short),
        ("CHIMEIN_SEND_SCHEDULE", short),
        ("CHIMEIN_AGENT_SCHEDULE", short),
    ]
}
