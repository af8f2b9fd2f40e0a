//! The program in a process of its own, the emulator and an agent.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use chimein::emulator::control::Webhook;
use chimein::emulator::{self, Control, Credentials, Emulator, Received};
use chimein::http;
use chimein::twilio::sid::{ChatServiceSid, ConversationSid};
use chimein::twilio::signature::{self, Algorithm, Body};
use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::planted::{
    ADMIN_TOKEN, AGENT_REPLY, AGENT_SECRET, API_SECRET, AUTH_TOKEN, BREAKING, FAILING, MARK,
    NUMBER, PHONE,
};
use crate::ports::free_address;

/// How long something may take before the test has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that runs.
pub struct Service {
    emulator: Emulator,
    process: Child,
    variables: Vec<(&'static str, String)>,
    public: SocketAddr,
    admin: SocketAddr,
    client: reqwest::Client,
    agent: (CancellationToken, TaskTracker),
    folder: TempDir,
}

impl Service {
    /// Starts all three and waits until the service is ready.
    pub async fn start() -> Self {
        let credentials = Credentials {
            account_sid: "AC0123456789abcdef0123456789abcdef".parse().unwrap(),
            auth_token: SecretString::from(AUTH_TOKEN),
            api_key: "SK0123456789abcdef0123456789abcdef".parse().unwrap(),
            api_secret: SecretString::from(API_SECRET),
            service_sid: ChatServiceSid::from_bytes([0; 16]),
        };
        let options =
            emulator::Options { credentials: Some(credentials), ..emulator::Options::default() };
        let emulator = Emulator::start(options).await.unwrap();
        let agent_listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let agent_url = format!("http://{}/turns", agent_listener.local_addr().unwrap());
        let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
        let router = Router::new().route("/turns", post(think));
        tasks.spawn(http::serve(agent_listener, router, http::Options::default(), cancel.clone()));
        tasks.close();
        let (public, admin) = (free_address(), free_address());
        let folder = TempDir::new().unwrap();
        let variables = variables(&emulator, &agent_url, public, admin, &folder);
        let process = program(&variables, &["serve"]).kill_on_drop(true).spawn().unwrap();
        let client = chimein::net::http::direct().unwrap().build().unwrap();
        let agent = (cancel, tasks);
        let service = Self { emulator, process, variables, public, admin, client, agent, folder };
        service
            .until("the service is ready", async || {
                let url = format!("http://{public}/readyz");
                let answer = service.client.get(url).send().await;
                answer.is_ok_and(|answer| answer.status().is_success())
            })
            .await;
        let post_url = Some(format!("http://{public}/webhooks/twilio"));
        service.control().set_webhook(Webhook { post_url, ..Webhook::default() });
        service
    }

    pub fn control(&self) -> Control {
        self.emulator.control()
    }

    /// The phone writes.
    pub async fn sms(&self, body: &str) -> ConversationSid {
        match self.control().receive_sms(PHONE, NUMBER, body).await.unwrap() {
            Received::Stored { conversation, .. } => conversation,
            Received::Dropped => panic!("the message was dropped"),
        }
    }

    /// Posts to the public listener and gives the status.
    pub async fn post(&self, path: &str, body: &str, signature: Option<&str>) -> u16 {
        let mut request = self
            .client
            .post(format!("http://{}{path}", self.public))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.to_owned());
        if let Some(signature) = signature {
            request = request.header(signature::HEADER, signature);
        }
        request.send().await.unwrap().status().as_u16()
    }

    /// Posts a well-signed webhook that cannot be read.
    pub async fn signed_garbage(&self) {
        let body = format!(
            "EventType=onMessageAdded&Author=%2B{}&Body={MARK}&ConversationSid={MARK}",
            &PHONE[1..]
        );
        let url = format!("http://{}/webhooks/twilio", self.public);
        let token = SecretString::from(AUTH_TOKEN);
        let signed =
            signature::sign(&token, Algorithm::HmacSha1, &url, Body::Form(body.as_bytes()));
        let status = self.post("/webhooks/twilio", &body, Some(&signed)).await;
        assert_ne!(status, 403, "the signature was not taken");
    }

    /// Waits until the bot has said something.
    pub async fn until_said(&self, conversation: ConversationSid, body: &str) {
        self.until("the bot answers", async || {
            let messages = self.control().messages(conversation);
            messages.iter().any(|message| message.body.as_deref() == Some(body))
        })
        .await;
    }

    /// Waits until the timeline tells a step of a conversation: it is written a few times a second.
    pub async fn until_traced(&self, conversation: ConversationSid, step: &str) {
        let path = format!("/v1/timeline?thread={conversation}");
        self.until("the timeline tells it", async || self.admin_page(&path).await.contains(step))
            .await;
    }

    /// Waits until a queue has at least so many dead letters.
    pub async fn until_dead(&self, queue: &str, count: usize) {
        self.until("a dead letter", async || self.letters(queue).await.len() >= count).await;
    }

    /// One dead letter with everything in it.
    pub async fn revealed_letter(&self, queue: &str) -> String {
        let letter = &self.letters(queue).await[0];
        let id = letter["id"].as_str().unwrap();
        self.admin_page(&format!("/v1/dead-letters/{queue}/{id}?reveal=true")).await
    }

    /// The messages that the timeline tells of in a thread.
    pub async fn messages_of(&self, thread: &str) -> Vec<String> {
        let page = self.admin_page(&format!("/v1/timeline?thread={thread}&limit=1000")).await;
        let page: Value = serde_json::from_str(&page).unwrap();
        let records = page["records"].as_array().unwrap().iter();
        let named = records.filter_map(|record| record["message"].as_str().map(str::to_owned));
        let mut all: Vec<_> = named.collect();
        all.dedup();
        all
    }

    /// Where the admin listener is.
    pub fn admin_base(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// Every page that there is, with what it says.
    pub async fn pages(&self) -> Vec<(String, String)> {
        let mut pages = Vec::new();
        for path in chimein::admin::PUBLIC_PATHS {
            for token in [None, Some(ADMIN_TOKEN)] {
                let url = format!("http://{}{path}", self.public);
                pages.push((format!("{path} {}", token.is_some()), self.page(url, token).await));
            }
        }
        let mut paths = vec!["/metrics".to_owned(), "/v1/queues".to_owned()];
        paths.extend(chimein::admin::DEBUG_PATHS.iter().map(|&path| path.to_owned()));
        paths.push("/v1/dead-letters".to_owned());
        paths.push(format!("/v1/timeline?message={MARK}"));
        for conversation in self.control().conversations() {
            paths.push(format!("/v1/timeline?thread={}&limit=1000", conversation.sid));
        }
        paths.push(format!("/v1/dead-letters?queue={MARK}"));
        for queue in ["inbox", "outbox"] {
            for letter in self.letters(queue).await {
                paths.push(format!("/v1/dead-letters/{queue}/{}", letter["id"].as_str().unwrap()));
            }
        }
        for path in paths {
            let text = self.admin_page(&path).await;
            pages.push((path, text));
        }
        pages
    }

    /// Somebody has set where the account's events go, with a secret in the URL.
    async fn foreign_webhook(&self) {
        let credentials = self.emulator.credentials();
        let url = self.emulator.urls().conversations.join("v1/Configuration/Webhooks").unwrap();
        let form = format!("PostWebhookUrl=https://{MARK}:{MARK}@else.example.com/hook?k={MARK}");
        let request = self.client.post(url).basic_auth(credentials.account_sid, Some(AUTH_TOKEN));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        assert!(request.body(form).send().await.unwrap().status().is_success());
    }

    /// What the commands print that an operator uses beside the service.
    pub async fn commands(&self) -> Vec<(String, String)> {
        self.foreign_webhook().await;
        let mut printed = Vec::new();
        for words in [
            &["config"][..],
            &["config", "--json"],
            &["doctor"],
            &["dead-letters", "list"],
            &["trace", PHONE],
            &["trace", MARK],
            &["dead-letters", "list", "--json"],
            &["dead-letters", "redrive", "--all", "--class", "loop", "--yes"],
            &["setup", "--take-over"],
            &["setup", "--take-over", "--json"],
            &["setup", "--take-over", "--address", NUMBER, "--print", "curl"],
            &["setup", "--take-over", "--address", NUMBER, "--yes"],
            &["setup", "--undo"],
            &["setup", "--undo", "--yes"],
            &["setup", "--take-over", "--yes"],
            &["send", "--conversation", "CH0123456789abcdef0123456789abcdef", "--body", MARK],
        ] {
            let output = program(&self.variables, words).output().await.unwrap();
            let text = [output.stdout, output.stderr].concat();
            printed.push((words.join(" "), String::from_utf8(text).unwrap()));
        }
        let kept = self.folder.path().join("chimein.db.setup.json");
        let kept = std::fs::read_to_string(kept).unwrap();
        assert!(kept.contains("PostWebhookUrl"), "no old value is kept: {kept}");
        printed.push(("the old values".to_owned(), kept));
        printed
    }

    /// Ends everything in good order and gives the service's log.
    pub async fn stop(mut self) -> String {
        let id = self.process.id().unwrap().to_string();
        assert!(Command::new("kill").arg(id).status().await.unwrap().success());
        let output = tokio::time::timeout(PATIENCE, async {
            let (mut out, mut err) =
                (self.process.stdout.take().unwrap(), self.process.stderr.take().unwrap());
            let (mut log, mut errors) = (String::new(), String::new());
            use tokio::io::AsyncReadExt as _;
            let (read_out, read_err) =
                tokio::join!(out.read_to_string(&mut log), err.read_to_string(&mut errors));
            read_out.unwrap();
            read_err.unwrap();
            (self.process.wait().await.unwrap(), log + &errors)
        });
        let (status, log) = output.await.expect("the service does not stop");
        assert!(status.success(), "{status}: {log}");
        self.agent.0.cancel();
        self.agent.1.wait().await;
        self.emulator.shutdown().await;
        log
    }

    /// The dead letters of a queue.
    pub async fn letters(&self, queue: &str) -> Vec<Value> {
        let page = self.admin_page(&format!("/v1/dead-letters?queue={queue}")).await;
        let page: Value = serde_json::from_str(&page).unwrap();
        page["letters"].as_array().unwrap().clone()
    }

    async fn admin_page(&self, path: &str) -> String {
        self.page(format!("http://{}{path}", self.admin), Some(ADMIN_TOKEN)).await
    }

    async fn page(&self, url: String, token: Option<&str>) -> String {
        let mut request = self.client.get(url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        format!("{}", String::from_utf8_lossy(&answer.bytes().await.unwrap()))
    }

    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(waited.await.is_ok(), "not within {} s: {what}", PATIENCE.as_secs());
    }
}

/// The agent: answers, refuses, or answers nonsense, by the text.
async fn think(body: Bytes) -> (StatusCode, String) {
    let turn = String::from_utf8_lossy(&body);
    if turn.contains(FAILING) {
        return (StatusCode::BAD_REQUEST, format!("cannot answer {FAILING} of {PHONE}"));
    }
    if turn.contains(BREAKING) {
        return (StatusCode::OK, format!("{{\"replies\": {MARK}}}"));
    }
    (StatusCode::OK, format!("{{\"replies\": [\"{AGENT_REPLY}\"]}}"))
}

fn variables(
    emulator: &Emulator,
    agent_url: &str,
    public: SocketAddr,
    admin: SocketAddr,
    folder: &TempDir,
) -> Vec<(&'static str, String)> {
    let ours = [
        ("TWILIO_AUTH_TOKEN_NEXT", format!("{MARK}-next")),
        ("TWILIO_IDENTITY", "bot".to_owned()),
        ("CHIMEIN_WEBHOOK_PUBLIC_URL", format!("http://{public}")),
        ("SERVICE_PORT", public.port().to_string()),
        ("CHIMEIN_SERVER_LISTEN", public.ip().to_string()),
        ("CHIMEIN_ADMIN_LISTEN", admin.to_string()),
        ("CHIMEIN_ADMIN_DEBUG_TOKEN", ADMIN_TOKEN.to_owned()),
        ("CHIMEIN_QUEUE_PATH", folder.path().join("chimein.db").display().to_string()),
        ("CHIMEIN_AGENT_KIND", "http".to_owned()),
        ("CHIMEIN_AGENT_URL", agent_url.to_owned()),
        ("CHIMEIN_AGENT_SECRET", AGENT_SECRET.to_owned()),
        ("CHIMEIN_AGENT_SCHEDULE", "10ms".to_owned()),
        ("CHIMEIN_SEND_SCHEDULE", "10ms".to_owned()),
        ("LOG_LEVEL", "info".to_owned()),
    ];
    emulator.variables().into_iter().chain(ours).collect()
}

/// The program with these variables and no others that it would read.
fn program(variables: &[(&'static str, String)], words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chimein"));
    command.args(words).env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    for (name, value) in variables {
        command.env(name, value);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
