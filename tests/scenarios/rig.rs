//! A Twilio and the service against it, in this process, on free ports.
//!
//! What is waited for is always something that Twilio saw; the bound is generous because machines
//! are slow, and nothing sleeps for its own sake.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use chimein::admin::{Insight as _, Readiness};
use chimein::agent::kinds;
use chimein::app::{self, App};
use chimein::clock::Timestamp;
use chimein::config::Environment;
use chimein::emulator::control::Webhook;
use chimein::emulator::faults::{Action, Fault, Place};
use chimein::emulator::record::{Happening, Record};
use chimein::emulator::state::Inbound;
use chimein::emulator::state::messaging::Number;
use chimein::emulator::state::model::Message;
use chimein::emulator::{self, Control, Emulator, Received};
use chimein::net::authority::Hosts;
use chimein::pii::Pii;
use chimein::telemetry::journal::Stage;
use chimein::twilio::form;
use chimein::twilio::sid::ConversationSid;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

/// The bot's identity.
pub const BOT: &str = "bot";
/// A number that autocreates conversations.
pub const NUMBER: &str = "+15555550100";
/// A phone.
pub const PHONE: &str = "+15555550123";
/// The number on WhatsApp.
pub const WHATSAPP: &str = "whatsapp:+15555550100";

/// How long something may take before the test has failed.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// The emulator, the service's folder, and the service while it runs.
pub struct Rig {
    pub emulator: Emulator,
    pub control: Control,
    folder: TempDir,
    extra: Vec<(&'static str, String)>,
    app: Option<App>,
    pub http: reqwest::Client,
}

impl Rig {
    /// Starts both, with webhooks on, and waits until the first sweep has found nothing: what comes
    /// from here on comes by the doors.
    pub async fn start(extra: &[(&'static str, &str)]) -> Self {
        let mut rig = Self::without_service(extra).await;
        rig.start_service().await;
        // The last thing that a sweep asks where there is no conversation.
        let is_swept = |rig: &Self| rig.rest_requests("GET", "/ParticipantConversations") > 0;
        rig.eventually("the first sweep is over", is_swept).await;
        rig
    }

    /// Starts the emulator alone.
    pub async fn without_service(extra: &[(&'static str, &str)]) -> Self {
        // Names that only a proxy can reach.
        let hosts = ["conversations.example.test", "api.example.test", "tsock.example.test"];
        let hosts = Hosts::new(hosts).unwrap();
        let options = emulator::Options { seed: Some(7), hosts, ..emulator::Options::default() };
        let emulator = Emulator::start(options).await.unwrap();
        let control = emulator.control();
        let folder = tempfile::tempdir().unwrap();
        let extra = extra.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let http = chimein::net::http::direct().unwrap().build().unwrap();
        Self { emulator, control, folder, extra, app: None, http }
    }

    /// Gives the service one more setting, from its next start on.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.extra.push((name, value.to_owned()));
    }

    /// Starts the service on the same folder and waits until it is ready.
    pub async fn start_service(&mut self) {
        self.launch_service().await;
        self.eventually("the service is ready", |rig| {
            !matches!(rig.app().health().readiness(), Readiness::NotReady(_))
        })
        .await;
    }

    /// Starts the service on the same folder, ready or not.
    pub async fn launch_service(&mut self) {
        let listener = app::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let public_url = format!("http://{}", listener.local_addr().unwrap());
        let report = kinds::load(None, &self.environment(public_url));
        let effective = report.effective.clone();
        let settings = report.into_settings().unwrap();
        let app = App::start(&settings, effective, listener).await.unwrap();
        let url = format!("http://{}{}", app.address(), chimein::webhook::ROUTE);
        self.control.set_webhook(Webhook { post_url: Some(url), ..Webhook::default() });
        self.app = Some(app);
        for (name, address, door) in [
            ("TWILIO_PHONE_NUMBER", NUMBER, "sms"),
            ("TWILIO_WHATSAPP_NUMBER", WHATSAPP, "whatsapp"),
        ] {
            let is_ours = |value: &str| value.split(',').any(|one| one.trim() == address);
            if self.extra.iter().any(|(set, value)| *set == name && is_ours(value)) {
                self.control.set_number(self.number(address, door)).unwrap();
            }
        }
    }

    /// A number that tells the service of its texts.
    pub fn number(&self, address: &str, door: &str) -> Number {
        let url = format!("http://{}/webhooks/twilio/{door}", self.app().address());
        Number::told_to(address, url)
    }

    /// Stops the service gracefully.
    pub async fn stop_service(&mut self) {
        if let Some(app) = self.app.take() {
            app.stop().await;
        }
    }

    /// The running service.
    pub fn app(&self) -> &App {
        self.app.as_ref().expect("the service runs")
    }

    /// Takes the store away, as a volume is lost.
    pub fn lose_store(&self) {
        for file in std::fs::read_dir(self.folder.path()).unwrap() {
            let path = file.unwrap().path();
            let removed = if path.is_dir() {
                std::fs::remove_dir_all(path)
            } else {
                std::fs::remove_file(path)
            };
            removed.unwrap();
        }
    }

    /// The queue's file.
    pub fn queue_path(&self) -> PathBuf {
        self.folder.path().join("chimein.db")
    }

    /// A phone writes.
    pub async fn sms(&self, from: &str, body: &str) -> ConversationSid {
        self.message(from, NUMBER, body).await
    }

    /// Somebody writes to a number, over the channel that the addresses name.
    pub async fn message(&self, from: &str, to: &str, body: &str) -> ConversationSid {
        match self.control.receive_sms(from, to, body).await.unwrap() {
            Received::Stored { conversation, .. } => conversation,
            Received::Dropped => panic!("the message was dropped"),
        }
    }

    /// A phone writes to the number and to other phones.
    pub async fn group_sms(&self, from: &str, others: &[&str], body: &str) -> ConversationSid {
        let inbound = Inbound::new(Pii::new(from), Pii::new(NUMBER), Some(Pii::new(body))).unwrap();
        let inbound = inbound.with_others(others.iter().copied().map(Pii::new).collect()).unwrap();
        match self.control.receive(inbound).await.unwrap() {
            Received::Stored { conversation, .. } => conversation,
            Received::Dropped => panic!("the message was dropped"),
        }
    }

    /// What the bot has said in a conversation, oldest first.
    pub fn replies(&self, conversation: ConversationSid) -> Vec<String> {
        let by_bot = |message: &Message| message.author == BOT;
        let messages = self.control.messages(conversation).into_iter().filter(by_bot);
        messages.map(|message| message.body.unwrap_or_default()).collect()
    }

    /// Lets a fault act so many times.
    pub fn fault(&self, place: Place, action: Action, times: u64) {
        let fault = Fault { id: 0, place, action, times: Some(times), skip: 0, percent: None };
        self.control.add_fault(fault).unwrap();
    }

    /// Writes to Twilio as somebody else's program does; gives the answer.
    pub async fn rest_post(&self, path: &str, fields: &[(&str, &str)]) -> serde_json::Value {
        self.rest_write(path, fields, false).await
    }

    /// As [`Rig::rest_post`], asking for webhooks.
    pub async fn rest_post_told(&self, path: &str, fields: &[(&str, &str)]) -> serde_json::Value {
        self.rest_write(path, fields, true).await
    }

    /// Takes something away from Twilio as somebody else's program does, asking for webhooks or not.
    pub async fn rest_delete(&self, path: &str, tells: bool) {
        let (urls, credentials) = (self.emulator.urls(), self.emulator.credentials());
        let base = urls.conversations.as_str().trim_end_matches('/');
        let answer = self
            .http
            .delete(format!("{base}/v1/Services/{}/{path}", credentials.service_sid))
            .basic_auth(credentials.account_sid, Some(credentials.auth_token.expose_secret()))
            .header("x-twilio-webhook-enabled", tells.to_string())
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    async fn rest_write(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        tells: bool,
    ) -> serde_json::Value {
        let (urls, credentials) = (self.emulator.urls(), self.emulator.credentials());
        let base = urls.conversations.as_str().trim_end_matches('/');
        let url = format!("{base}/v1/Services/{}/{path}", credentials.service_sid);
        let answer = self
            .http
            .post(url)
            .basic_auth(credentials.account_sid, Some(credentials.auth_token.expose_secret()))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-twilio-webhook-enabled", tells.to_string())
            .body(form::encode(fields.iter().copied()))
            .send()
            .await
            .unwrap();
        let (status, answer) = (answer.status(), answer.json().await.unwrap());
        assert!(status.is_success(), "{status}: {answer}");
        answer
    }

    /// Asks the admin listener; gives the answer.
    pub async fn ask_admin(&self, path: &str) -> serde_json::Value {
        let admin = self.app().admin_address().unwrap();
        let answer = self.http.get(format!("http://{admin}{path}")).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// Posts nothing to the admin listener; gives the answer.
    pub async fn tell_admin(&self, path: &str) -> serde_json::Value {
        let admin = self.app().admin_address().unwrap();
        let answer = self.http.post(format!("http://{admin}{path}")).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// Asks the admin listener until something holds of the answer; gives that.
    pub async fn admin_says(
        &self,
        path: &str,
        holds: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let answer = self.ask_admin(path).await;
                if holds(&answer) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{path} does not say it in the end"))
    }

    /// Waits for a queue's dead letters; gives the first.
    pub async fn dead_letter_of(&self, queue: &str) -> serde_json::Value {
        let has_one = |page: &serde_json::Value| page["letters"].get(0).is_some();
        let page = self.admin_says(&format!("/v1/dead-letters?queue={queue}"), has_one).await;
        page["letters"][0].clone()
    }

    /// Waits until the service's socket has a conversation, so that it tells of what happens there.
    pub async fn on_socket(&self, conversation: ConversationSid) {
        self.eventually("the socket has the conversation", |rig| {
            let records = rig.app().journal().recent(conversation);
            records.iter().any(|record| record.stage == Stage::SocketJoined)
        })
        .await;
    }

    /// How many REST requests of this kind Twilio was sent.
    pub fn rest_requests(&self, wanted: &str, part: &str) -> usize {
        let is_wanted = |what: &Happening| match what {
            Happening::Rest { method, path, .. } => {
                method == wanted && path.reveal().contains(part)
            }
            _ => false,
        };
        self.control.records(0).iter().filter(|record| is_wanted(&record.what)).count()
    }

    /// The number of the newest record of what Twilio saw.
    pub fn newest_record(&self) -> u64 {
        self.control.records(0).last().map_or(0, |record| record.seq)
    }

    /// How many pages of conversations Twilio gave.
    pub fn listings(&self) -> usize {
        let is_one = |what: &Happening| match what {
            Happening::Rest { method, path, .. } => {
                method == "GET" && path.reveal().ends_with("Conversations")
            }
            _ => false,
        };
        self.control.records(0).iter().filter(|record| is_one(&record.what)).count()
    }

    /// How many REST requests Twilio was sent in the busiest second after a record.
    pub fn busiest_second(&self, after: u64) -> usize {
        let is_one = |record: &&Record| matches!(record.what, Happening::Rest { .. });
        let records = self.control.records(after);
        let times: Vec<_> = records.iter().filter(is_one).map(|record| record.at).collect();
        let count = |(n, first): (usize, &Timestamp)| {
            let end = *first + Duration::from_secs(1);
            times[n..].iter().take_while(|at| **at < end).count()
        };
        times.iter().enumerate().map(count).max().unwrap_or(0)
    }

    /// How many requests Twilio was sent through sockets.
    pub fn socket_requests(&self) -> usize {
        self.socket_requests_of(|_| true)
    }

    /// How many of them read something, whatever was said and shown meanwhile.
    pub fn socket_reads(&self) -> usize {
        self.socket_requests_of(|method| method == "GET")
    }

    fn socket_requests_of(&self, is_wanted: impl Fn(&str) -> bool) -> usize {
        let is_one = |what: &Happening| match what {
            Happening::SocketRequest { method, .. } => is_wanted(method),
            _ => false,
        };
        self.control.records(0).iter().filter(|record| is_one(&record.what)).count()
    }

    /// How many objects the largest subscription of a socket was for.
    pub fn subscribed(&self) -> usize {
        let objects = |what: &Happening| match what {
            Happening::SocketSubscribed { objects, .. } => *objects,
            _ => 0,
        };
        self.control.records(0).iter().map(|record| objects(&record.what)).max().unwrap_or(0)
    }

    /// The files in which the realtime clients' places are kept.
    pub fn places(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap().path());
        files.filter(|path| path.to_string_lossy().contains(".place-")).collect()
    }

    /// The statuses that webhooks were answered with.
    pub fn webhook_answers(&self) -> Vec<u16> {
        let status = |what: &Happening| match what {
            Happening::WebhookAnswered { status, .. } => *status,
            _ => None,
        };
        self.control.records(0).iter().filter_map(|record| status(&record.what)).collect()
    }

    /// Waits until the bot has said at least so many things, then checks that it said exactly these.
    pub async fn expect(&self, conversation: ConversationSid, replies: &[&str]) {
        self.eventually(&format!("{} replies", replies.len()), |rig| {
            rig.replies(conversation).len() >= replies.len()
        })
        .await;
        self.settled().await;
        assert_eq!(self.replies(conversation), replies);
    }

    /// Waits until no webhook is on its way and the service has nothing left to do.
    pub async fn settled(&self) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !self.is_settled().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(waited.await.is_ok(), "jobs are left after {} s", PATIENCE.as_secs());
    }

    /// A webhook makes its jobs before it is answered, and a job its webhooks before it ends: none of
    /// the one before and after none of the other is none at all.
    async fn is_settled(&self) -> bool {
        self.control.open_webhooks() == 0
            && self.app().open_jobs().await.unwrap() == 0
            && self.control.open_webhooks() == 0
    }

    /// Waits until something holds.
    pub async fn eventually(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        self.within(PATIENCE, what, holds).await;
    }

    /// Waits until something holds that takes longer.
    pub async fn within(&self, patience: Duration, what: &str, holds: impl Fn(&Self) -> bool) {
        let waited = tokio::time::timeout(patience, async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(waited.await.is_ok(), "not within {} s: {what}", patience.as_secs());
    }

    /// Stops both.
    pub async fn end(mut self) {
        self.stop_service().await;
        self.emulator.shutdown().await;
    }

    fn environment(&self, public_url: String) -> Environment {
        let ours = [
            ("TWILIO_IDENTITY", BOT.to_owned()),
            ("CHIMEIN_WEBHOOK_PUBLIC_URL", public_url),
            ("CHIMEIN_QUEUE_PATH", self.queue_path().display().to_string()),
            ("CHIMEIN_ADMIN_LISTEN", "off".to_owned()),
            ("CHIMEIN_GUARD_TURNS_PER_MINUTE", "100000".to_owned()),
            ("CHIMEIN_JOIN_SCHEDULE", "50ms,100ms,200ms,1s,1s,1s,1s".to_owned()),
            ("CHIMEIN_SEND_SCHEDULE", "50ms,100ms,200ms,1s,1s,1s,1s".to_owned()),
            ("CHIMEIN_AGENT_SCHEDULE", "50ms,100ms,200ms".to_owned()),
            // What watches for silence is a job that is left.
            ("CHIMEIN_AGENT_ANSWER_WITHIN", "0s".to_owned()),
            ("CHIMEIN_STDIO_ANSWER_WITHIN", "0s".to_owned()),
        ];
        let extra = self.extra.iter().map(|(name, value)| (*name, value.clone()));
        let emulator = self.emulator.variables().into_iter();
        Environment::from_pairs(emulator.chain(ours).chain(extra))
    }
}
