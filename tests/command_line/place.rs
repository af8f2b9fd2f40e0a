//! A place to run the pages' commands in: a local Twilio, a folder, and a shell in which `chimein` and
//! `cargo run` mean the program that was built for this test.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::Json;
use axum::routing::{get, post};
use axum::{Router, response::IntoResponse as _};
use chimein::emulator::control::Webhook;
use chimein::emulator::state::messaging::Number;
use chimein::emulator::{self, Emulator, Incoming};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::ports::free_port;

/// A person's phone.
pub const PHONE: &str = "+15555550123";
/// The number that the pages show.
pub const NUMBER: &str = "+15555550100";
/// How long anything may take before a test has failed.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often something is looked for.
const BETWEEN: Duration = Duration::from_millis(20);

/// Numbers the shells, whose output is in files.
static SHELLS: AtomicU32 = AtomicU32::new(0);

/// A local Twilio, a folder for everything, and what a shell is given.
pub struct Place {
    pub emulator: Emulator,
    folder: TempDir,
    /// Where the service and the agent listen; nothing else of the pages' ports is left.
    service: u16,
    agent: u16,
    /// What stands in the pages for something that everybody has to choose or to copy.
    values: BTreeMap<&'static str, String>,
    environment: BTreeMap<&'static str, String>,
    model: Option<JoinHandle<()>>,
}

impl Place {
    pub async fn new() -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let emulator = Emulator::start(emulator::Options::default()).await.unwrap();
        let (service, agent) = (free_port(), free_port());
        let (urls, credentials) = (emulator.urls(), emulator.credentials());
        let values = BTreeMap::from([
            ("TWILIO_ACCOUNT_SID", credentials.account_sid.to_string()),
            ("TWILIO_AUTH_TOKEN", credentials.auth_token.expose_secret().to_owned()),
            ("TWILIO_API_KEY", credentials.api_key.to_string()),
            ("TWILIO_API_SECRET", credentials.api_secret.expose_secret().to_owned()),
            ("TWILIO_CHAT_SERVICE_SID", credentials.service_sid.to_string()),
            ("CHIMEIN_WEBHOOK_PUBLIC_URL", format!("http://127.0.0.1:{service}")),
            ("CHIMEIN_AGENT_SECRET", "whsec_cGxhbnRlZCBmb3IgdGhlIHBhZ2VzIGFsb25l".to_owned()),
            ("CHIMEIN_AGENT_URL", format!("http://127.0.0.1:{agent}/")),
            ("CHATWOOT_URL", format!("http://127.0.0.1:{service}")),
            ("OPENAI_API_KEY", "sk-planted".to_owned()),
        ]);
        let path = std::env::var("PATH").unwrap();
        let environment = BTreeMap::from([
            ("PATH", format!("{}:{path}", folder.path().join("bin").display())),
            ("HOME", std::env::var("HOME").unwrap_or_default()),
            ("TMPDIR", folder.path().display().to_string()),
            ("TWILIO_CONVERSATIONS_BASE_URL", urls.conversations.to_string()),
            ("TWILIO_API_BASE_URL", urls.api.to_string()),
            ("TWILIO_MESSAGING_BASE_URL", urls.api.to_string()),
            ("TWILIO_MEDIA_BASE_URL", urls.api.to_string()),
            ("TWILIO_TWILSOCK_URL", urls.twilsock.to_string()),
            ("PORT", service.to_string()),
            ("CHIMEIN_ADMIN_LISTEN", format!("127.0.0.1:{}", free_port())),
            ("CHIMEIN_QUEUE_PATH", folder.path().join("chimein.db").display().to_string()),
        ]);
        lay_out(folder.path());
        Self { emulator, folder, service, agent, values, environment, model: None }
    }

    /// Gives the shell what a page takes for granted.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.environment.insert(name, value.to_owned());
    }

    /// Gives the shell the settings of a plain number, for pages that are about something else.
    pub fn set_number(&mut self) {
        for name in ["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "CHIMEIN_WEBHOOK_PUBLIC_URL"] {
            self.environment.insert(name, self.values[name].clone());
        }
        self.set("TWILIO_PHONE_NUMBER", NUMBER);
    }

    /// Lets Twilio tell the service of messages, by the road of the account's settings.
    pub fn leads_here(&self, is_conversation: bool) {
        let url = |route: &str| format!("http://127.0.0.1:{}{route}", self.service);
        let control = self.emulator.control();
        if is_conversation {
            let post_url = Some(url(chimein::webhook::ROUTE));
            control.set_webhook(Webhook { post_url, ..Webhook::default() });
        } else {
            control.set_number(Number::told_to(NUMBER, url("/webhooks/twilio/sms"))).unwrap();
        }
    }

    /// Starts what the README calls an agent, a page's block in Python.
    pub fn starts_agent(&self, python: &str) -> Running {
        self.writes("agent.py", python);
        self.starts("exec python3 agent.py")
    }

    /// Starts a model behind the OpenAI API.
    pub async fn starts_model(&mut self) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        self.environment.insert("OPENAI_BASE_URL", url);
        let router = Router::new()
            .route("/v1/models", get(async || Json(json!({"data": [{"id": "gpt-5-mini"}]}))))
            .route("/v1/chat/completions", post(completion));
        self.model = Some(tokio::spawn(async { axum::serve(listener, router).await.unwrap() }));
    }

    /// Writes a page's placeholders out: values by the names of their variables, ports by free ones.
    ///
    /// # Panics
    ///
    /// If something is left that nobody could type.
    pub fn filled(&self, block: &str) -> String {
        let agent = self.agent.to_string();
        let mut text = block.replace("9000", &agent).replace("8081", &agent);
        text = text.replace("127.0.0.1:8080", &format!("127.0.0.1:{}", self.service));
        for (name, value) in &self.values {
            let Some(start) = assigned(&text, name) else { continue };
            let end = text[start..].find([' ', '\n']).map_or(text.len(), |end| start + end);
            // What the page computes or takes from another variable stays.
            if !text[start..end].contains('$') {
                text.replace_range(start..end, value);
            }
        }
        // This shell stops at the first failure. A doctor fails who finds it broken: not by a warning, nor since
        // the service, which is started next, does not answer yet.
        text = text.replace("chimein doctor\n", "chimein doctor || [ $? -ne 2 ]\n");
        // Wherever the page with the phones is, nobody else is there.
        text = text.replace("chimein dev ", "chimein dev --listen 127.0.0.1:0 ");
        assert!(!text.contains('…'), "a placeholder is left: {text}");
        text
    }

    /// Starts a shell with this to do.
    pub fn starts(&self, script: &str) -> Running {
        let place = self.folder.path();
        let number = SHELLS.fetch_add(1, Ordering::Relaxed);
        let [out, err] = ["out", "err"].map(|name| place.join(format!("{number}.{name}")));
        let child = Command::new("sh")
            .args(["-e", "-c", script])
            .current_dir(place)
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        let group = child.id().unwrap();
        Running { child, group, out, err }
    }

    /// Somebody writes to the number.
    pub async fn somebody_writes(&self, body: &str) {
        self.emulator.control().text(Incoming::new(PHONE, NUMBER, body)).await.unwrap();
    }

    /// What the bot has said, by whichever road.
    pub fn said(&self) -> Vec<String> {
        let control = self.emulator.control();
        let texts = control.texts_to(PHONE).into_iter().map(|text| text.body.into_revealed());
        let all = control.conversations().into_iter().flat_map(|one| control.messages(one.sid));
        let chats = all.filter(|one| one.author != PHONE);
        texts.chain(chats.filter_map(|one| one.body)).collect()
    }

    /// Whether the service answers 200 to this.
    pub fn answers(&self, path: &str) -> bool {
        let asked = TcpStream::connect(("127.0.0.1", self.service)).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer)?;
            Ok(answer)
        });
        asked.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
    }

    /// Writes a file into the shell's folder, as a page shows it.
    pub fn writes(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), self.filled(text)).unwrap();
    }

    /// The text of a file in the shell's folder, as far as it is written.
    pub fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    pub async fn end(self) {
        if let Some(model) = self.model {
            model.abort();
        }
        self.emulator.shutdown().await;
    }
}

/// Where the value of a variable begins that a text sets.
fn assigned(text: &str, name: &str) -> Option<usize> {
    let assignment = format!("{name}=");
    let found = text
        .match_indices(&assignment)
        .map(|(at, _)| at)
        .find(|&at| text[..at].chars().next_back().is_none_or(|before| before.is_whitespace()))?;
    Some(found + assignment.len())
}

/// Waits until the service says that it is ready.
pub async fn is_ready(place: &Place, running: &mut Running) {
    running.until("ready", |_| place.answers("/readyz")).await;
}

/// The programs and files that the pages name.
fn lay_out(folder: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::os::unix::fs::symlink(root.join("examples"), folder.join("examples")).unwrap();
    let bin = folder.join("bin");
    fs::create_dir(&bin).unwrap();
    let program = env!("CARGO_BIN_EXE_chimein");
    std::os::unix::fs::symlink(program, bin.join("chimein")).unwrap();
    // `cargo run` has built it already; the example waits for what it reads, as a build would have.
    let cargo = format!(
        "#!/bin/sh\n[ \"$1\" = run ] || exit 99\ncase \"$*\" in *\"--example bot -- \"*)\n\
         while [ ! -s twilio.json ]; do sleep 0.05; done\nexec '{}' \"$8\";; esac\n\
         while [ \"$1\" != -- ]; do shift; done\nshift\nexec '{program}' \"$@\"\n",
        example_program().display()
    );
    fs::write(bin.join("cargo"), cargo).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(bin.join("cargo"), executable).unwrap();
}

/// The example of the client, which a full `cargo test` builds.
pub fn example_program() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_chimein")).with_file_name("examples").join("bot")
}

/// A model that repeats what it was told last.
async fn completion(Json(request): Json<Value>) -> axum::response::Response {
    let last = request["messages"].as_array().unwrap().last().unwrap();
    let said = format!("You said: {}", last["content"].as_str().unwrap());
    let piece = |delta: Value, reason: Value| {
        let choice = json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
        format!("data: {choice}\n\n")
    };
    let text = piece(json!({"content": said}), Value::Null);
    let body = text + &piece(json!({}), json!("stop")) + "data: [DONE]\n\n";
    ([("content-type", "text/event-stream")], body).into_response()
}

/// A shell and all that it has started.
pub struct Running {
    child: Child,
    group: u32,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    /// What it has printed on standard output.
    pub fn out(&self) -> String {
        fs::read_to_string(&self.out).unwrap()
    }

    /// Everything that it has printed, for a test that fails.
    pub fn all(&self) -> String {
        format!("{}{}", self.out(), fs::read_to_string(&self.err).unwrap())
    }

    /// Waits until it has said this.
    pub async fn says(&mut self, words: &str) {
        self.until(words, |running| running.out().contains(words)).await;
    }

    /// Waits until something has come true, while it runs.
    pub async fn until(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !is_so(self) {
                let ended = self.child.try_wait().unwrap();
                let has_failed = ended.is_some_and(|status| !status.success());
                assert!(!has_failed, "it ended before {what}: {}", self.all());
                tokio::time::sleep(BETWEEN).await;
            }
        });
        assert!(waited.await.is_ok(), "never {what}: {}", self.all());
    }

    /// Waits until it has ended by itself, and well; gives what it has printed on standard output.
    pub async fn ends_well(mut self) -> String {
        let waited = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let code = waited.ok().and_then(|status| status.unwrap().code());
        assert_eq!(code, Some(0), "{}", self.all());
        self.out()
    }

    /// Tells all of it to stop, and waits until nothing of it is left.
    pub async fn stop(mut self) {
        assert!(self.signal("TERM"), "nothing of it runs: {}", self.all());
        let gone = tokio::time::timeout(PATIENCE, async {
            let _ = self.child.wait().await.unwrap();
            while self.signal("0") {
                tokio::time::sleep(BETWEEN).await;
            }
        });
        assert!(gone.await.is_ok(), "it does not end: {}", self.all());
    }

    /// Sends all of it a signal; false if there is nobody.
    fn signal(&self, signal: &str) -> bool {
        let mut kill = std::process::Command::new("kill");
        kill.args([&format!("-{signal}"), "--", &format!("-{}", self.group)]);
        kill.stderr(Stdio::null()).status().unwrap().success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.signal("KILL");
    }
}
