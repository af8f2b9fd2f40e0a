//! The emulator, and the service in a process of its own with its log as JSON.

use std::collections::BTreeSet;

use chimein::emulator::state::model::Message;
use chimein::emulator::{self, Emulator, Received};
use chimein::twilio::sid::ConversationSid;
use serde_json::Value;

use crate::child::{self, BOTS, NUMBER, Service};

/// A phone.
pub const PHONE: &str = "+15555550123";

/// Both, running.
pub struct Rig {
    pub emulator: Emulator,
    pub service: Service,
}

impl Rig {
    /// Starts both and waits for the sockets.
    pub async fn start(extra: &[(&str, &str)]) -> Self {
        Self::start_by(extra, |service| service.start(&[])).await
    }

    /// Starts both, the service in some way, and waits for the sockets.
    pub async fn start_by(extra: &[(&str, &str)], start: impl FnOnce(&mut Service)) -> Self {
        let options = emulator::Options { seed: Some(7), ..emulator::Options::default() };
        let emulator = Emulator::start(options).await.unwrap();
        let json = [("CHIMEIN_LOG_FORMAT", "json"), ("CHIMEIN_IDENTITY_POOL", "")];
        let mut service = Service::of(&emulator, &[&json, extra].concat());
        start(&mut service);
        assert!(service.is_listening().await, "{}", service.log_tail());
        let control = emulator.control();
        let is_up = child::eventually(|| !control.connected().is_empty()).await;
        assert!(is_up, "{}", service.log_tail());
        Self { emulator, service }
    }

    /// The phone writes.
    pub async fn sms(&self, body: &str) -> ConversationSid {
        match self.emulator.control().receive_sms(PHONE, NUMBER, body).await.unwrap() {
            Received::Stored { conversation, .. } => conversation,
            Received::Dropped => panic!("the message was dropped"),
        }
    }

    /// Waits until the bot has said so many things in a conversation.
    pub async fn answered(&self, conversation: ConversationSid, count: usize) {
        let control = self.emulator.control();
        let is_bot = |message: &Message| message.author == BOTS[0];
        let said = || control.messages(conversation).iter().filter(|one| is_bot(one)).count();
        assert!(child::eventually(|| said() >= count).await, "{}", self.service.log_tail());
    }

    /// The lines of the log, each of them an object; without one that is just being written.
    pub fn lines(&self) -> Vec<Value> {
        let streams = self.service.log();
        let whole = streams.iter().filter_map(|log| log.rsplit_once('\n')).map(|(log, _)| log);
        let lines = whole.flat_map(str::lines);
        lines.map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// Waits until lines of a trace have all these words in a field, and gives the lines of the log.
    pub async fn told(&self, trace: &str, field: &str, words: &[&str]) -> Vec<Value> {
        let has_all = |lines: &[Value]| {
            let of: Vec<&Value> = lines.iter().filter(|line| line["trace_id"] == trace).collect();
            let told = texts(&of, field);
            words.iter().all(|word| told.contains(word))
        };
        let are_told = child::eventually(|| has_all(&self.lines())).await;
        assert!(are_told, "{words:?} are not in {field}:\n{}", self.service.log_tail());
        self.lines()
    }

    /// Stops both.
    pub async fn end(mut self) {
        self.service.stop().await;
        self.emulator.shutdown().await;
    }
}

/// The different texts that a field has in some lines.
pub fn texts<'a>(lines: &[&'a Value], field: &str) -> BTreeSet<&'a str> {
    lines.iter().filter_map(|line| line[field].as_str()).collect()
}
