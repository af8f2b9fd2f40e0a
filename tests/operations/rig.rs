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
        let options = emulator::Options { seed: Some(7), ..emulator::Options::default() };
        let emulator = Emulator::start(options).await.unwrap();
        let json = [("CHIMEIN_LOG_FORMAT", "json"), ("CHIMEIN_IDENTITY_POOL", "")];
        let mut service = Service::of(&emulator, &[&json, extra].concat());
        service.start(&[]);
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

    /// The lines of the log, each of them an object.
    pub fn lines(&self) -> Vec<Value> {
        let log = self.service.log().concat();
        log.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
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
