//! Replies on their way in.

use std::sync::Arc;
use std::time::Duration;

use chimein::agent::later::{Batch, Outbox, OutboxError};
use chimein::agent::sqs::{AwsKey, Options, Sqs, SqsAccess};
use chimein::agent::{Agent as _, Beside, Connection, Watched};
use chimein::clock::Clock;
use chimein::thread::Budget;
use futures::future::BoxFuture;
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::Setting;
use crate::rig::PHONE;
use crate::sqs_server::SqsServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_left_to_the_dead_letters_and_holds_up_nobody() {
    let setting = Setting::fifo(&[]).await;
    let conversation = setting.rig.sms(PHONE, "hello").await;
    let turn = setting.turn().await;
    let document = turn.json();
    let group = document["thread"].as_str().unwrap();
    let dead = setting.server.url_of("dead-replies.fifo").await;
    let nowhere = format!("CH{}", "0".repeat(32));
    let elsewhere = json!({"turn": document["id"], "thread": nowhere, "replies": [{"text": "x"}]});
    for garbage in ["no json", r#"{"replies":["whose?"]}"#, &elsewhere.to_string()] {
        // In the very group that the answer is in.
        setting.send(group, garbage).await;
    }
    setting.answer(&turn, &json!(["hi"])).await;
    setting.rig.expect(conversation, &["hi"]).await;
    setting.until_depth(&dead, 3).await;
    setting.until_depth(&setting.replies, 0).await;
    setting.rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_takes_long_to_store_stays_ours() {
    let server = SqsServer::start().await;
    let queues =
        (server.queue("turns", &json!({})).await, server.queue("replies", &json!({})).await);
    let secret = |text: &str| text.to_owned().into();
    let options = Options {
        queue: queues.0.parse().unwrap(),
        reply_queue: queues.1.parse().unwrap(),
        access: SqsAccess {
            endpoint: Some(server.url().parse().unwrap()),
            region: Some("us-east-1".to_owned()),
            keys: Some(AwsKey { id: secret("test"), secret: secret("test"), session: None }),
        },
        history: Budget::default(),
        patience: None,
        ours_for: Duration::from_secs(3),
    };
    let http = chimein::net::http::direct().unwrap().build().unwrap();
    let agent = Arc::new(Sqs::new(options, http, Clock::start()).await);
    let outbox = Arc::new(Slow::default());
    let stop = CancellationToken::new();
    let beside = Beside {
        outbox: Arc::<Slow>::clone(&outbox),
        service: Arc::new(Nothing),
        stop: stop.clone(),
    };
    let running = tokio::spawn(agent.run(beside));
    let (turn, thread) = (format!("IM{}", "1".repeat(32)), format!("CH{}", "2".repeat(32)));
    let letter = json!({"turn": turn, "thread": thread, "replies": ["hi"]});
    server.send(&queues.1, "", &letter.to_string()).await;
    outbox.began.notified().await;
    // Longer than it is ours without a word of ours.
    assert!(server.receive(&queues.1, 8).await.is_empty(), "it was given to somebody else");
    assert_eq!(server.depth(&queues.1).await, 1, "deleted before it was stored");
    outbox.go_on.notify_one();
    for _ in 0..1500 {
        if server.depth(&queues.1).await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.depth(&queues.1).await, 0, "not deleted");
    stop.cancel();
    running.await.unwrap();
}

/// Takes its time to store.
#[derive(Default)]
struct Slow {
    began: Notify,
    go_on: Notify,
}

impl Outbox for Slow {
    fn put(&self, batch: Batch) -> BoxFuture<'_, Result<usize, OutboxError>> {
        Box::pin(async move {
            self.began.notify_one();
            self.go_on.notified().await;
            Ok(batch.replies.len())
        })
    }
}

struct Nothing;

impl Watched for Nothing {
    fn connection(&self) -> Option<Connection> {
        None
    }
}
