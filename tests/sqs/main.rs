//! The agent `sqs` against a real server of queues: what it sends, what it takes, what it leaves.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../sqs_server/mod.rs"]
mod sqs_server;

mod examined;
mod lambda;
mod replies;
#[allow(dead_code, reason = "the scenarios use the rest of it")]
#[path = "../scenarios/rig.rs"]
mod rig;
mod turns;

use serde_json::{Value, json};

use self::rig::Rig;
use self::sqs_server::{Received, SqsServer, settings};

/// A server, its two queues, and the service that asks by them.
struct Setting {
    server: SqsServer,
    turns: String,
    replies: String,
    rig: Rig,
}

impl Setting {
    /// With FIFO queues.
    async fn fifo(more: &[(&'static str, &str)]) -> Self {
        Self::start(["turns.fifo", "replies.fifo"], more).await
    }

    /// With queues of these names.
    async fn start(names: [&str; 2], more: &[(&'static str, &str)]) -> Self {
        let server = SqsServer::start().await;
        let turns = server.queue_with_dead_letters(names[0], 3).await;
        let replies = server.queue_with_dead_letters(names[1], 3).await;
        let settings = settings(&server, &turns, &replies);
        let mut all: Vec<_> =
            settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        all.extend_from_slice(more);
        let rig = Rig::start(&all).await;
        Self { server, turns, replies, rig }
    }

    /// Takes one turn off its queue, for good.
    async fn turn(&self) -> Received {
        for _ in 0..6 {
            if let Some(turn) = self.server.receive(&self.turns, 10).await.pop() {
                self.server.delete(&self.turns, &turn).await;
                return turn;
            }
        }
        panic!("there is no turn");
    }

    /// Answers a turn.
    async fn answer(&self, turn: &Received, replies: &Value) {
        let turn = turn.json();
        let letter = json!({"turn": turn["id"], "thread": turn["thread"], "replies": replies});
        self.send(turn["thread"].as_str().unwrap(), &letter.to_string()).await;
    }

    /// Sends a message to the queue of replies.
    async fn send(&self, group: &str, body: &str) {
        self.server.send(&self.replies, group, body).await;
    }

    /// Waits until a queue holds so many messages.
    async fn until_depth(&self, queue: &str, depth: u64) {
        for _ in 0..1500 {
            if self.server.depth(queue).await == depth {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("{queue} holds {}, not {depth}", self.server.depth(queue).await);
    }
}
