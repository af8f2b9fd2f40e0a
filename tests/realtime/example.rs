//! The bot of `examples/` against the emulator: it takes its seat, answers, and answers nothing twice.

#[path = "../../examples/bot.rs"]
#[expect(dead_code, reason = "the command line starts it by main")]
mod bot;

use std::time::Duration;

use chimein::pii::Pii;
use chimein::twilio::rest;
use chimein::twilio::sid::ConversationSid;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::rig::{PATIENCE, Rig};

#[tokio::test]
async fn the_example_answers_every_message_once_also_after_a_restart() {
    let rig = Rig::start().await;
    let conversation = rig.text("+15550001111", "one").await;
    let first = Running::start(&rig);
    rig.until_said(conversation, &["one", "echo: one"]).await;
    rig.text("+15550001111", "two").await;
    rig.until_said(conversation, &["one", "echo: one", "two", "echo: two"]).await;
    first.stop().await;

    rig.text("+15550001111", "three").await;
    let second = Running::start(&rig);
    let all = ["one", "echo: one", "two", "echo: two", "three", "echo: three"];
    rig.until_said(conversation, &all).await;
    second.stop().await;
    assert_eq!(rig.said(conversation).await, all);
    rig.emulator.shutdown().await;
}

#[tokio::test]
async fn the_example_does_not_answer_again_what_it_had_no_time_to_mark() {
    let rig = Rig::start().await;
    let conversation = rig.seated("+15550001111", "one").await;
    let first = Running::start(&rig);
    rig.until_said(conversation, &["one", "echo: one"]).await;
    // As if it were killed: no read horizon is written.
    first.task.abort();

    let second = Running::start(&rig);
    rig.text("+15550001111", "two").await;
    let all = ["one", "echo: one", "two", "echo: two"];
    rig.until_said(conversation, &all).await;
    second.stop().await;
    assert_eq!(rig.said(conversation).await, all);
    rig.emulator.shutdown().await;
}

/// The example while it runs.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Starts it with what `chimein emulator` prints.
    fn start(rig: &Rig) -> Self {
        let settings = serde_json::from_value(rig.emulator.info()).expect("the example reads it");
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async {
            bot::run(settings, stopped).await.expect("the example runs");
        });
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("the example ends");
    }
}

impl Rig {
    /// The texts of a conversation, oldest first.
    async fn said(&self, conversation: ConversationSid) -> Vec<String> {
        let found = self.rest.messages_after(conversation, None, 100).await.expect("they are read");
        let text =
            |message: rest::Message| message.body.map_or_else(String::new, Pii::into_revealed);
        found.messages.into_iter().map(text).collect()
    }

    async fn until_said(&self, conversation: ConversationSid, wanted: &[&str]) {
        let wait = async {
            while self.said(conversation).await != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("it is not said");
    }
}
