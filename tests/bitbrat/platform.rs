//! The services of the platform that meet a message: `event-router` and `llm-bot`, as one consumer.
//!
//! It takes messages of people as they do (a durable push consumer with a queue group, explicit
//! acknowledgement, attributes in lower case) and answers to `egress.destination` behind the prefix.
//! Beside it everything that passes on the bus is written down.
//! Source: `BitBrat` 0.33.3, `src/services/message-bus/nats-driver.ts`, `src/common/base-server.ts`,
//! read 2026-11-21.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, push};
use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::{self, Context};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::nats_server::NatsServer;
use crate::rig::Rig;

/// The prefix of every topic.
pub const PREFIX: &str = "local.";
/// Where replies are asked.
pub const OWN: &str = "internal.egress.v1.twilio-ingress";
/// Where everybody's replies are.
pub const SHARED: &str = "internal.egress.v1";
/// Where records of delivery go.
pub const SNAPSHOT: &str = "internal.persistence.snapshot.v1";
/// Where undeliverable replies go.
pub const DEAD_LETTER: &str = "internal.deadletter.v1";
/// How often the bus is looked at for more.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Where messages of people go.
pub const INGRESS: &str = "internal.ingress.v1";

/// One message that passed on the bus.
#[derive(Clone, Debug)]
pub struct Passed {
    pub topic: String,
    /// Its number in the stream.
    pub sequence: u64,
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

/// The platform's side of a bus.
pub struct Platform {
    pub context: Context,
    passed: Arc<Mutex<Vec<Passed>>>,
    tasks: Vec<JoinHandle<()>>,
}

/// Starts the service with the platform as its agent, and with more settings.
pub async fn service(server: &NatsServer, more: &[(&'static str, &str)]) -> Rig {
    let url = server.url();
    let mut extra =
        vec![("CHIMEIN_AGENT_KIND", "bitbrat"), ("NATS_URL", url.as_str()), ("BUS_PREFIX", PREFIX)];
    extra.extend_from_slice(more);
    Rig::start(&extra).await
}

/// What the platform answers to a text; none is silence.
pub type Think = fn(&str) -> Option<String>;

impl Platform {
    /// Joins the bus, makes the stream as its services do, and answers.
    pub async fn start(server: &NatsServer, think: Think) -> Self {
        let client = async_nats::connect(server.url()).await.unwrap();
        let context = jetstream::new(client.clone());
        let stream = jetstream::stream::Config {
            name: "BITBRAT".into(),
            subjects: vec![format!("{PREFIX}>")],
            ..jetstream::stream::Config::default()
        };
        let stream = context.get_or_create_stream(stream).await.unwrap();
        let config = push::Config {
            durable_name: Some("local-internal-ingress-v1-event-router-durable".into()),
            deliver_subject: client.new_inbox(),
            deliver_group: Some("event-router".into()),
            filter_subject: format!("{PREFIX}{INGRESS}"),
            ack_policy: AckPolicy::Explicit,
            ack_wait: Duration::from_secs(60),
            ..push::Config::default()
        };
        let consumer = stream.create_consumer(config).await.unwrap();
        let passed = Arc::<Mutex<Vec<Passed>>>::default();
        let watch = tokio::spawn(watch(stream, Arc::clone(&passed)));
        let publisher = context.clone();
        let answer = tokio::spawn(async move {
            loop {
                let Ok(mut messages) = consumer.messages().await else { continue };
                while let Some(Ok(message)) = messages.next().await {
                    let event: Value = serde_json::from_slice(&message.payload).unwrap();
                    let text = event["message"]["text"].as_str().and_then(think);
                    if let Some(text) = text.filter(|_| event["type"] == "chat.message.v1") {
                        let destination = event["egress"]["destination"].as_str().unwrap();
                        let answer = delivered(&event, "cand-1", &text);
                        publish(&publisher, destination, &answer).await;
                    }
                    message.ack().await.unwrap();
                }
            }
        });
        Self { context, passed, tasks: vec![watch, answer] }
    }

    /// Publishes an event as the platform's services do.
    pub async fn publish(&self, topic: &str, event: &Value) {
        publish(&self.context, topic, event).await;
    }

    /// What passed on a topic, oldest first.
    pub fn passed(&self, topic: &str) -> Vec<Passed> {
        let passed = self.passed.lock().unwrap();
        passed.iter().filter(|one| one.topic == topic).cloned().collect()
    }

    /// The events of people's messages that passed, oldest first.
    pub fn asked(&self) -> Vec<Passed> {
        let is_one = |passed: &Passed| passed.body["type"] == "chat.message.v1";
        self.passed(INGRESS).into_iter().filter(is_one).collect()
    }

    /// Everything that passed, oldest first.
    pub fn all(&self) -> Vec<Passed> {
        self.passed.lock().unwrap().clone()
    }

    /// Waits until so many messages have passed on a topic.
    pub async fn await_passed(&self, rig: &Rig, topic: &str, count: usize) -> Vec<Passed> {
        let what = format!("{count} on {topic}");
        rig.eventually(&what, |_| self.passed(topic).len() >= count).await;
        self.passed(topic)
    }

    /// How many events of a topic the service has not acknowledged.
    pub async fn unacknowledged(&self, durable: &str) -> u64 {
        let stream = self.context.get_stream("BITBRAT").await.unwrap();
        let info = stream.consumer_info(durable).await.unwrap();
        info.num_pending + u64::try_from(info.num_ack_pending).unwrap()
    }

    /// Waits until the service has acknowledged everything of a topic.
    pub async fn await_acknowledged(&self, durable: &str) {
        for _ in 0..1000 {
            if self.unacknowledged(durable).await == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{durable} has events that are not acknowledged");
    }

    /// Leaves the bus.
    pub fn end(self) {
        drop(self);
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// What becomes of a person's event on its way through the platform: a candidate, a used slip, and
/// another type. `egress.channel` is dropped, as some services do.
pub fn delivered(event: &Value, candidate: &str, text: &str) -> Value {
    let mut event = event.clone();
    event["type"] = json!("egress.deliver.v1");
    event["candidates"] = json!([{
        "id": candidate, "kind": "text", "source": "llm-bot", "status": "selected",
        "createdAt": "2026-11-21T12:00:05.000Z", "priority": 10, "text": text,
    }]);
    event["routing"] =
        json!({"stage": "response", "slip": [{"id": "llm-bot", "status": "OK"}], "history": []});
    event["egress"].as_object_mut().unwrap().remove("channel");
    event
}

/// Writes down everything that is in the stream, also what passed while the bus was away from us.
async fn watch(stream: Stream, passed: Arc<Mutex<Vec<Passed>>>) {
    for sequence in 1.. {
        let message = loop {
            match stream.get_raw_message(sequence).await {
                Ok(message) => break message,
                // It is not there yet, or the bus is away.
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        };
        let topic = message.subject.strip_prefix(PREFIX).unwrap().to_owned();
        let Ok(body) = serde_json::from_slice(&message.payload) else { continue };
        let headers = pairs(&message.headers);
        passed.lock().unwrap().push(Passed { topic, sequence, headers, body });
    }
}

async fn publish(context: &Context, topic: &str, event: &Value) {
    let mut headers = HeaderMap::new();
    for (name, value) in [("correlationid", &event["correlationId"]), ("type", &event["type"])] {
        headers.insert(name, value.as_str().unwrap_or_default());
    }
    headers.insert("source", "llm-bot");
    let body = serde_json::to_vec(event).unwrap();
    let stored =
        context.publish_with_headers(format!("{PREFIX}{topic}"), headers, body.into()).await;
    stored.unwrap().await.unwrap();
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let pairs = headers.iter().flat_map(|(name, values)| {
        values.iter().map(move |value| (name.to_string(), value.as_str().to_owned()))
    });
    pairs.collect()
}
