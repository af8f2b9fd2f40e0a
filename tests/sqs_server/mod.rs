//! A server that speaks SQS, as a child process: `ministack` from PyPI, with SQS alone and its state on disk.
//!
//! The test speaks to it by SQS's JSON protocol, without the SDK that is tested.

#![allow(dead_code, reason = "each of the binaries that include this uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[allow(clippy::duplicate_mod, reason = "what a binary includes beside this may include it too")]
#[path = "../ci_tools/mod.rs"]
mod ci_tools;
#[allow(clippy::duplicate_mod, reason = "what a binary includes beside this may include it too")]
#[path = "../ports/mod.rs"]
mod ports;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long the server may take to start and to stop.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);
/// How long what is received by a test is hidden from others.
const HIDDEN_SECS: u32 = 30;

/// A server with queues, running or not.
pub struct SqsServer {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
    http: reqwest::Client,
}

/// A message that was received.
#[derive(Clone, Debug)]
pub struct Received {
    pub id: String,
    pub receipt: String,
    pub body: String,
    /// All of it, as the server said it.
    pub whole: Value,
}

impl Received {
    /// Its body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl SqsServer {
    /// Starts a server and waits until it answers.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("sqs-").tempdir().unwrap();
        let http = chimein::net::http::direct().unwrap().build().unwrap();
        let mut server = Self { folder, port: ports::free_port(), child: None, http };
        server.begin().await;
        server
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts it again on the same port, with what is on its disk.
    pub async fn begin(&mut self) {
        let log = self.folder.path().join("server.log");
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let child = Command::new(ci_tools::program("sqs", "ministack"))
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", self.port.to_string())
            .env("SERVICES", "sqs")
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            .env("DOCKER_HOST", "unix:///nowhere")
            .env("PERSIST_STATE", "1")
            .env("STATE_DIR", self.folder.path().join("state"))
            .env("LOG_LEVEL", "WARNING")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let started = tokio::time::timeout(PATIENCE, async {
            while self.try_call("ListQueues", &json!({})).await.is_none() {
                tokio::time::sleep(PAUSE).await;
            }
        });
        assert!(started.await.is_ok(), "the server has not started: {}", self.log());
    }

    /// Stops it; what is in its queues is kept.
    pub async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        signal("TERM", &child);
        let stopped = tokio::time::timeout(PATIENCE, async {
            while child.try_wait().unwrap().is_none() {
                tokio::time::sleep(PAUSE).await;
            }
        });
        assert!(stopped.await.is_ok(), "the server does not stop: {}", self.log());
    }

    /// Kills it at once; what is in its queues is lost, and so are they.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Makes a queue; gives its URL.
    pub async fn queue(&self, name: &str, attributes: &Value) -> String {
        let asked = json!({"QueueName": name, "Attributes": attributes});
        self.call("CreateQueue", &asked).await["QueueUrl"].as_str().unwrap().to_owned()
    }

    /// Makes a queue and its dead-letter queue, which is called `dead-NAME`; gives the queue's URL.
    pub async fn queue_with_dead_letters(&self, name: &str, receives_max: u32) -> String {
        let is_fifo = name.ends_with(".fifo");
        let kind = if is_fifo { json!({"FifoQueue": "true"}) } else { json!({}) };
        let dead = self.queue(&format!("dead-{name}"), &kind).await;
        let arn = self.attribute(&dead, "QueueArn").await;
        let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": receives_max});
        let mut attributes = kind;
        attributes["RedrivePolicy"] = json!(policy.to_string());
        self.queue(name, &attributes).await
    }

    /// The URL of a queue.
    pub async fn url_of(&self, name: &str) -> String {
        let found = self.call("GetQueueUrl", &json!({ "QueueName": name })).await;
        found["QueueUrl"].as_str().unwrap().to_owned()
    }

    /// One of a queue's attributes.
    pub async fn attribute(&self, queue: &str, name: &str) -> String {
        let asked = json!({"QueueUrl": queue, "AttributeNames": [name]});
        let answer = self.call("GetQueueAttributes", &asked).await;
        answer["Attributes"][name].as_str().unwrap_or_default().to_owned()
    }

    /// How many messages are in a queue, whether somebody has them or not.
    pub async fn depth(&self, queue: &str) -> u64 {
        let asked = json!({"QueueUrl": queue, "AttributeNames": ["All"]});
        let Some(answer) = self.try_call("GetQueueAttributes", &asked).await else { return 0 };
        let count = |name: &str| answer["Attributes"][name].as_str().unwrap().parse::<u64>();
        count("ApproximateNumberOfMessages").unwrap()
            + count("ApproximateNumberOfMessagesNotVisible").unwrap()
    }

    /// Sends a message; in a FIFO queue in this group, and each one anew.
    pub async fn send(&self, queue: &str, group: &str, body: &str) {
        let mut message = json!({"QueueUrl": queue, "MessageBody": body});
        if queue.ends_with(".fifo") {
            message["MessageGroupId"] = json!(group);
            message["MessageDeduplicationId"] = json!(uuid::Uuid::new_v4().to_string());
        }
        self.call("SendMessage", &message).await;
    }

    /// Receives what is there, or what comes within so many seconds; hidden from others from then on.
    pub async fn receive(&self, queue: &str, wait_secs: u32) -> Vec<Received> {
        self.receive_hidden(queue, wait_secs, HIDDEN_SECS).await
    }

    /// As [`SqsServer::receive`], hidden for so many seconds.
    pub async fn receive_hidden(&self, queue: &str, wait: u32, hidden: u32) -> Vec<Received> {
        let asked = json!({
            "QueueUrl": queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": wait,
            "VisibilityTimeout": hidden, "MessageAttributeNames": ["All"],
            "MessageSystemAttributeNames": ["All"], "AttributeNames": ["All"],
        });
        // While it is away nothing is received.
        let answer = self.try_call("ReceiveMessage", &asked).await.unwrap_or_default();
        let messages = answer["Messages"].as_array().cloned().unwrap_or_default().into_iter();
        let text = |message: &Value, name: &str| message[name].as_str().unwrap().to_owned();
        let received = messages.map(|whole| Received {
            id: text(&whole, "MessageId"),
            receipt: text(&whole, "ReceiptHandle"),
            body: text(&whole, "Body"),
            whole,
        });
        received.collect()
    }

    /// Deletes a message that was received.
    pub async fn delete(&self, queue: &str, received: &Received) {
        let message = json!({"QueueUrl": queue, "ReceiptHandle": received.receipt});
        self.try_call("DeleteMessage", &message).await;
    }

    /// Lets a message that was received be seen by all again, as if its consumer had died.
    pub async fn give_back(&self, queue: &str, received: &Received) {
        let message = json!({
            "QueueUrl": queue, "ReceiptHandle": received.receipt, "VisibilityTimeout": 0,
        });
        self.try_call("ChangeMessageVisibility", &message).await;
    }

    /// Does something to it.
    pub async fn call(&self, action: &str, body: &Value) -> Value {
        let answer = self.try_call(action, body).await;
        answer.unwrap_or_else(|| panic!("{action} failed: {}", self.log()))
    }

    async fn try_call(&self, action: &str, body: &Value) -> Option<Value> {
        // What it signs is not checked; the region is read out of it.
        let authorization = "AWS4-HMAC-SHA256 Credential=test/20261130/us-east-1/sqs/aws4_request, \
            SignedHeaders=host, Signature=0";
        let request = self
            .http
            .post(self.url())
            .header("authorization", authorization)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("AmazonSQS.{action}"))
            .body(body.to_string());
        let answer = request.send().await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        let text = answer.text().await.ok()?;
        Some(serde_json::from_str(&text).unwrap_or_default())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }
}

impl Drop for SqsServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What the service is told to reach queues at a server.
pub fn settings(server: &SqsServer, turns: &str, replies: &str) -> Vec<(&'static str, String)> {
    vec![
        ("CHIMEIN_AGENT_KIND", "sqs".to_owned()),
        ("SQS_QUEUE_URL", turns.to_owned()),
        ("CHIMEIN_SQS_REPLY_QUEUE_URL", replies.to_owned()),
        ("AWS_ENDPOINT_URL_SQS", server.url()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
    ]
}

fn signal(name: &str, child: &Child) {
    let status = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
    assert!(status.unwrap().success());
}

/// The Python that has AWS's library beside the server.
pub fn python() -> PathBuf {
    ci_tools::program("sqs", "python")
}
