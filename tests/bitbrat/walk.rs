//! The guide, walked step by step as far as that goes without the platform: the compose file's
//! environment, the overlay's values, the real binary, and every command of the guide that asks it
//! something. `tests/house` looks at the commands of the platform's own tool.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chimein::emulator::control::Webhook;
use chimein::emulator::{self, Emulator, Received};
use chimein::twilio::form;
use chimein::twilio::sid::ConversationSid;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use crate::nats_server::{NatsServer, free_port};
use crate::platform::{PREFIX, Platform};
use crate::rig::{NUMBER, PHONE};

const IDENTITY: &str = "BitBratBot";
const TOKEN: &str = "planted-for-the-walk";
/// How often something is tried that takes a while.
const TRIES: u32 = 300;
const BETWEEN: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_leads_there_and_back_again() {
    let server = NatsServer::start();
    let platform = Platform::start(&server, |text| Some(format!("re: {text}"))).await;
    let emulator = Emulator::start(emulator::Options::default()).await.unwrap();
    let mut walk = Walk::begin(&emulator, &server);
    // The built-in connector has answered one text and not the other.
    let conversation = text(&emulator, "one").await;
    walk.say(&emulator, conversation, "built in: one").await;
    text(&emulator, "two").await;

    // The change, step 1: switched off.
    let asked = commands("curl");
    let [health, ready, connected] = &asked[..] else { panic!("{asked:?}") };
    walk.serve("false");
    walk.holds(health).await;
    assert!(!walk.run(connected), "it is off");
    walk.answers_as_the_platform_does();
    // Steps 3 to 5: on, the webhook leads here, somebody writes.
    walk.serve("true");
    walk.holds(ready).await;
    walk.holds(connected).await;
    for command in commands("chimein") {
        walk.runs(&command);
    }
    let url = format!("http://127.0.0.1:{}{}", walk.port, chimein::webhook::ROUTE);
    emulator.control().set_webhook(Webhook { post_url: Some(url), ..Webhook::default() });
    text(&emulator, "three").await;
    let said = ["built in: one", "re: two", "re: three"];
    walk.hears(&emulator, conversation, &said).await;
    // The way back.
    walk.serve("false");
    walk.holds(health).await;
    walk.answers_as_the_platform_does();
    walk.hears(&emulator, conversation, &said).await;
    walk.stop();
    emulator.shutdown().await;
    platform.end();
}

/// The service on the way through the guide.
struct Walk {
    folder: TempDir,
    port: u16,
    environment: Vec<(String, String)>,
    service: Option<Child>,
}

impl Walk {
    /// The environment that compose file and overlay make, with what the platform's shared file holds.
    fn begin(emulator: &Emulator, server: &NatsServer) -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let (port, admin) = (free_port(), free_port());
        let (urls, credentials) = (emulator.urls(), emulator.credentials());
        let shared = [
            ("BUS_PREFIX", PREFIX.to_owned()),
            ("NATS_URL", server.url()),
            ("MESSAGE_BUS_DRIVER", "nats".to_owned()),
            // The built-in connector's switch, which is none of ours.
            ("TWILIO_ENABLED", "false".to_owned()),
            ("TWILIO_IDENTITY", IDENTITY.to_owned()),
            ("CHIMEIN_ADMIN_DEBUG_TOKEN", TOKEN.to_owned()),
            ("TWILIO_ACCOUNT_SID", credentials.account_sid.to_string()),
            ("TWILIO_AUTH_TOKEN", credentials.auth_token.expose_secret().to_owned()),
            ("TWILIO_API_KEY", credentials.api_key.to_string()),
            ("TWILIO_API_SECRET", credentials.api_secret.expose_secret().to_owned()),
            ("TWILIO_CHAT_SERVICE_SID", credentials.service_sid.to_string()),
            ("PATH", std::env::var("PATH").unwrap()),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let overlay = pairs(&read("twilio-ingress.yaml"));
        let mut given: Vec<(String, String)> = shared.into_iter().chain(overlay).collect();
        let compose = read("twilio-ingress.compose.yaml");
        let (_, of_service) = compose.split_once("    environment:\n").unwrap();
        let (of_service, _) = of_service.split_once("    ports:\n").unwrap();
        for (name, value) in pairs(of_service) {
            // The switch is filled in by each start.
            if name != "TWILIO_ENABLED" {
                let value = filled_in(&value, &given);
                given.push((name, value));
            }
        }
        // What the container and the emulator make different.
        let queue = folder.path().join("chimein.db").display().to_string();
        let here = [
            ("SERVICE_PORT", port.to_string()),
            ("TWILIO_INGRESS_HOST_PORT", port.to_string()),
            ("CHIMEIN_QUEUE_PATH", queue),
            ("CHIMEIN_SERVER_LISTEN", "127.0.0.1".to_owned()),
            ("CHIMEIN_ADMIN_LISTEN", format!("127.0.0.1:{admin}")),
            ("CHIMEIN_WEBHOOK_PUBLIC_URL", format!("http://127.0.0.1:{port}")),
            ("TWILIO_CONVERSATIONS_BASE_URL", urls.conversations.to_string()),
            ("TWILIO_API_BASE_URL", urls.api.to_string()),
            ("TWILIO_TWILSOCK_URL", urls.twilsock.to_string()),
        ];
        given.extend(here.map(|(name, value)| (name.to_owned(), value)));
        Self { folder, port, environment: given, service: None }
    }

    /// Deploys: the process before ends, another one begins with the switch as the overlay has it.
    fn serve(&mut self, is_on: &str) {
        self.stop();
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_chimein"));
        let command = command.arg("serve").env_clear().envs(self.environment.iter().cloned());
        let command = command.env("TWILIO_ENABLED", is_on).stdin(Stdio::null());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.service = Some(child);
    }

    fn stop(&mut self) {
        let Some(mut child) = self.service.take() else { return };
        let ended = Command::new("kill").arg(child.id().to_string()).status().unwrap();
        assert!(ended.success() && child.wait().unwrap().success());
    }

    /// Waits until a command of the guide succeeds.
    async fn holds(&self, command: &str) {
        for _ in 0..TRIES {
            if self.run(command) {
                return;
            }
            tokio::time::sleep(BETWEEN).await;
        }
        panic!("{command}\n{}", self.log());
    }

    fn run(&self, command: &str) -> bool {
        self.shell(command).status.success()
    }

    /// A command of ours is one that there is, whatever it finds.
    fn runs(&self, command: &str) {
        let output = self.shell(command);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{command}: {told}");
        assert!(!output.stdout.is_empty(), "{command}: {told}");
    }

    fn shell(&self, command: &str) -> std::process::Output {
        let program = Path::new(env!("CARGO_BIN_EXE_chimein")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", command]).env_clear().envs(self.environment.iter().cloned());
        shell.env("TWILIO_ENABLED", "true").env("PATH", path).output().unwrap()
    }

    /// Switched off, a webhook finds what it would find at the platform.
    fn answers_as_the_platform_does(&self) {
        let url = format!("localhost:{}{}", self.port, chimein::webhook::ROUTE);
        let output = self.shell(&format!("curl -s -d a=b {url}"));
        let answer = String::from_utf8(output.stdout).unwrap();
        assert_eq!(answer, r#"{"error":"unknown_platform","platform":"twilio"}"#);
    }

    /// Somebody else's program speaks as the bot.
    async fn say(&self, emulator: &Emulator, conversation: ConversationSid, body: &str) {
        let (urls, credentials) = (emulator.urls(), emulator.credentials());
        let base = urls.conversations.as_str().trim_end_matches('/');
        let service = credentials.service_sid;
        let url = format!("{base}/v1/Services/{service}/Conversations/{conversation}/Messages");
        let client = chimein::net::http::direct().unwrap().build().unwrap();
        let secret = credentials.auth_token.expose_secret();
        let request = client.post(url).basic_auth(credentials.account_sid, Some(secret));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let fields = form::encode([("Author", IDENTITY), ("Body", body)]);
        assert!(request.body(fields).send().await.unwrap().status().is_success());
    }

    /// Waits until the bot has said these things, and no others.
    async fn hears(&self, emulator: &Emulator, conversation: ConversationSid, said: &[&str]) {
        let by_bot = || -> Vec<String> {
            let messages = emulator.control().messages(conversation).into_iter();
            let messages = messages.filter(|message| message.author == IDENTITY);
            messages.map(|message| message.body.unwrap_or_default()).collect()
        };
        for _ in 0..TRIES {
            if by_bot().len() >= said.len() {
                break;
            }
            tokio::time::sleep(BETWEEN).await;
        }
        assert_eq!(by_bot(), said, "{}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        if let Some(child) = &mut self.service {
            let _ended = child.kill().and_then(|()| child.wait());
        }
    }
}

async fn text(emulator: &Emulator, body: &str) -> ConversationSid {
    match emulator.control().receive_sms(PHONE, NUMBER, body).await.unwrap() {
        Received::Stored { conversation, .. } => conversation,
        Received::Dropped => panic!("the text was dropped"),
    }
}

/// The guide's commands that begin with a word, in order.
fn commands(program: &str) -> Vec<String> {
    let guide = read("../../src/manual/bitbrat.md");
    let blocks = guide.split("```sh\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let lines = blocks.flat_map(str::lines).map(str::trim);
    lines.filter(|line| line.starts_with(program)).map(str::to_owned).collect()
}

/// The names and values of lines such as `NAME: value`.
fn pairs(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once(": "));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect()
}

/// A value of the compose file with what is given, or its default.
fn filled_in(value: &str, given: &[(String, String)]) -> String {
    let Some(rest) = value.strip_prefix("${") else { return value.to_owned() };
    let (name, default) = rest.strip_suffix('}').unwrap().split_once(":-").unwrap();
    let found = given.iter().rev().find(|(known, _)| known == name);
    found.map_or(default, |(_, value)| value).to_owned()
}

fn read(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/bitbrat");
    std::fs::read_to_string(folder.join(name)).unwrap()
}
