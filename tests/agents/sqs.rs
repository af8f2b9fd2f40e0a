//! A consumer behind queues of Amazon SQS.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::RwLock;
use tokio::task::JoinHandle;

use crate::peer::{Act, Document, Memory, Peer};
use crate::rig::Rig;
use crate::sqs_server::{Received, SqsServer, settings};

/// How long a turn stays whose it is: longer than anybody thinks.
const HIDDEN_SECS: u32 = 600;

pub struct Sqs {
    queues: Queues,
    memory: Memory<Document>,
    thinking: JoinHandle<()>,
}

#[derive(Clone)]
struct Queues {
    server: Arc<RwLock<SqsServer>>,
    turns: String,
    replies: String,
}

impl Peer for Sqs {
    async fn start() -> Self {
        let server = SqsServer::start().await;
        let turns = server.queue_with_dead_letters("turns.fifo", 5).await;
        let replies = server.queue_with_dead_letters("replies.fifo", 3).await;
        let queues = Queues { server: Arc::new(RwLock::new(server)), turns, replies };
        let memory = Memory::default();
        let thinking = tokio::spawn(think(queues.clone(), Memory::clone(&memory)));
        Self { queues, memory, thinking }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let server = self.queues.server.try_read().unwrap();
        settings(&server, &self.queues.turns, &self.queues.replies)
    }

    fn patience(&self) -> Vec<(&'static str, String)> {
        let asks_again = ("CHIMEIN_SQS_ASK_AGAIN", "true".to_owned());
        vec![("CHIMEIN_SQS_ANSWER_WITHIN", "2s".to_owned()), asks_again]
    }

    fn asked(&self) -> Vec<String> {
        self.memory.texts()
    }

    fn waiting(&self, how_long: &str) -> Vec<(&'static str, String)> {
        vec![("CHIMEIN_SQS_ANSWER_WITHIN", how_long.to_owned())]
    }

    fn document(&self, text: &str) -> serde_json::Value {
        self.memory.turn(text).0
    }

    fn let_go_on(&self) {
        self.memory.gate.open();
    }

    async fn say_later(&self, _rig: &Rig, text: &str) {
        self.queues.say(&self.memory.turn("late"), &[text]).await;
    }

    async fn go_away(&mut self) {
        self.queues.server.write().await.stop().await;
    }

    async fn come_back(&mut self) {
        self.queues.server.write().await.begin().await;
    }
}

impl Drop for Sqs {
    fn drop(&mut self) {
        self.thinking.abort();
    }
}

impl Queues {
    async fn say(&self, turn: &Document, texts: &[&str]) {
        let mut letter = turn.replies(texts);
        letter["turn"] = json!(turn.id());
        self.send(turn, &letter.to_string()).await;
    }

    async fn send(&self, turn: &Document, body: &str) {
        let group = turn.0["thread"].as_str().unwrap();
        self.server.read().await.send(&self.replies, group, body).await;
    }

    /// The turn is done, or comes again.
    async fn settle(&self, received: &Received, is_done: bool) {
        let server = self.server.read().await;
        if is_done {
            server.delete(&self.turns, received).await;
        } else {
            server.give_back(&self.turns, received).await;
        }
    }
}

async fn think(queues: Queues, memory: Memory<Document>) {
    loop {
        let received =
            queues.server.read().await.receive_hidden(&queues.turns, 1, HIDDEN_SECS).await;
        for received in received {
            let turn = Document(received.json());
            let act = memory.hear(turn.id(), turn.text(), turn.clone());
            // A slow one is not to hold up who comes after it.
            if act == Act::SayOnceLet("re: slow".to_owned()) {
                let (queues, gate) = (queues.clone(), memory.gate.clone());
                tokio::spawn(async move {
                    gate.pass().await;
                    queues.say(&turn, &["re: slow"]).await;
                    queues.settle(&received, true).await;
                });
                continue;
            }
            let is_done = answer(&queues, &turn, act).await;
            queues.settle(&received, is_done).await;
        }
    }
}

async fn answer(queues: &Queues, turn: &Document, act: Act) -> bool {
    match act {
        Act::Say(texts) => {
            let texts: Vec<_> = texts.iter().map(String::as_str).collect();
            queues.say(turn, &texts).await;
        }
        Act::SayAndDie(text) => {
            queues.say(turn, &[&text]).await;
            return false;
        }
        Act::TalkGarbage => queues.send(turn, "<html>").await,
        Act::Die => return false,
        Act::Later | Act::SayOnceLet(_) => {}
    }
    true
}
