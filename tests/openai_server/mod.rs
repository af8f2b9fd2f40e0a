//! Servers that speak the OpenAI API, as child processes, from PyPI: `litellm`, a gateway whose models answer what
//! they are set to, and `llmock`, which fails as it is told.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../ci_tools/mod.rs"]
mod ci_tools;

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::ports::free_port;

/// How long a server may take to start: the first time its modules are compiled.
const PATIENCE: Duration = Duration::from_secs(240);
const PAUSE: Duration = Duration::from_millis(50);

/// What the gateway wants to be given.
pub const GATEWAY_KEY: &str = "sk-0123456789abcdef0123456789abcdef";

/// The gateway's models: one that answers, and one for each way in which it fails.
const MODELS: &str = r#"
model_list:
  - model_name: mock
    litellm_params: {model: openai/mock, api_key: none, mock_response: "Hello from behind the gateway"}
  - model_name: limited
    litellm_params: {model: openai/mock, api_key: none, mock_response: litellm.RateLimitError}
  - model_name: long
    litellm_params: {model: openai/mock, api_key: none, mock_response: litellm.ContextWindowExceededError}
  - model_name: broken
    litellm_params: {model: openai/mock, api_key: none, mock_response: litellm.InternalServerError}
router_settings: {num_retries: 0, disable_cooldowns: true}
"#;

/// A server of models; gone when dropped.
pub struct OpenAiServer {
    port: u16,
    child: Child,
    http: reqwest::Client,
    _folder: TempDir,
}

impl OpenAiServer {
    /// Starts the gateway.
    pub async fn gateway() -> Self {
        let folder = tempfile::Builder::new().prefix("litellm-").tempdir().unwrap();
        let models = folder.path().join("models.yaml");
        std::fs::write(&models, MODELS).unwrap();
        let mut command = Command::new(ci_tools::program("openai", "litellm"));
        command.arg("--config").arg(models);
        // Else it asks a server of its maker for the prices of models, and the network for its own news.
        command.env("LITELLM_LOCAL_MODEL_COST_MAP", "True").env("LITELLM_TELEMETRY", "False");
        command.env("LITELLM_MASTER_KEY", GATEWAY_KEY);
        Self::start(command, folder, "/health/liveliness").await
    }

    /// Starts the one that fails as these arguments tell it.
    pub async fn that_fails(arguments: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("llmock-").tempdir().unwrap();
        let mut command = Command::new(ci_tools::program("openai", "llmock"));
        command.args(["serve", "--response-style", "echo"]).args(arguments);
        Self::start(command, folder, "/v1/models").await
    }

    async fn start(mut command: Command, folder: TempDir, path: &str) -> Self {
        let log = folder.path().join("server.log");
        let out = File::create(&log).unwrap();
        let port = free_port();
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        command.current_dir(folder.path()).stdin(Stdio::null());
        let child = command.stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap();
        let http = chimein::net::http::direct().unwrap().build().unwrap();
        let mut server = Self { port, child, http, _folder: folder };
        let url = format!("http://127.0.0.1:{port}{path}");
        let told = || std::fs::read_to_string(&log).unwrap_or_default();
        let started = tokio::time::timeout(PATIENCE, async {
            while server.http.get(&url).send().await.is_err() {
                let ended = server.child.try_wait().unwrap();
                assert!(ended.is_none(), "the server has ended, {ended:?}: {}", told());
                tokio::time::sleep(PAUSE).await;
            }
        });
        assert!(started.await.is_ok(), "the server has not started: {}", told());
        server
    }

    /// What makes the service ask a model of it.
    pub fn settings(&self, model: &str) -> Vec<(&'static str, String)> {
        vec![
            ("CHIMEIN_AGENT_KIND", "openai".to_owned()),
            ("OPENAI_BASE_URL", format!("http://127.0.0.1:{}/v1", self.port)),
            ("OPENAI_API_KEY", GATEWAY_KEY.to_owned()),
            ("CHIMEIN_OPENAI_MODEL", model.to_owned()),
            ("CHIMEIN_OPENAI_HISTORY_MESSAGES", "0".to_owned()),
        ]
    }

    /// Tells llmock what to do with the requests that come next.
    pub async fn is_to(&self, behaviors: &Value) {
        let request = self.http.post(self.control("scenario"));
        let answer = request.body(json!({ "behaviors": behaviors }).to_string()).send().await;
        assert_eq!(answer.unwrap().status(), 201);
    }

    /// What llmock says of how it was asked.
    pub async fn verdict(&self) -> Value {
        let answer = self.http.get(self.control("verdict")).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// With which statuses llmock has answered whoever asked a model, oldest first.
    pub async fn answered(&self) -> Vec<u64> {
        let answer = self.http.get(self.control("requests")).send().await.unwrap();
        let journal: Value = answer.json().await.unwrap();
        let asked = journal["requests"].as_array().unwrap().iter();
        let asked = asked.filter(|request| request["method"] == "POST");
        asked.map(|request| request["status"].as_u64().unwrap()).collect()
    }

    fn control(&self, what: &str) -> String {
        format!("http://127.0.0.1:{}/_llmock/{what}", self.port)
    }
}

impl Drop for OpenAiServer {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
