//! A bot written for Chatwoot, as a process of its own.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::peer::Peer;
use crate::ports::free_port;
use crate::rig::Rig;

const TOKEN: &str = "token-of-the-bot-1234567";
/// How often it is looked whether the process has died.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The bot, which is started again when it has died, until it is told to be away.
pub struct Chatwoot {
    bot: Arc<Bot>,
    is_watched: tokio::task::JoinHandle<()>,
}

struct Bot {
    folder: TempDir,
    port: u16,
    /// None while it is away.
    child: Mutex<Option<Child>>,
}

impl Peer for Chatwoot {
    const IS_ASKED_AFTER_ITS_ANSWER: bool = false;

    async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("chatwoot-").tempdir().unwrap();
        let bot = Bot { folder, port: free_port(), child: Mutex::default() };
        let bot = Arc::new(bot);
        bot.begin();
        let watched = Arc::clone(&bot);
        let is_watched = tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                watched.begin_again();
            }
        });
        Self { bot, is_watched }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("CHIMEIN_AGENT_KIND", "chatwoot".to_owned()),
            ("CHIMEIN_CHATWOOT_URL", format!("http://127.0.0.1:{}/", self.bot.port)),
            ("CHIMEIN_CHATWOOT_TOKEN", TOKEN.to_owned()),
            // It may well say nothing.
            ("CHIMEIN_CHATWOOT_ANSWER_WITHIN", "0s".to_owned()),
        ]
    }

    fn meets(&self, rig: &Rig) {
        let base = format!("http://{}", rig.app().address());
        std::fs::write(self.bot.folder.path().join("service"), base).unwrap();
    }

    fn asked(&self) -> Vec<String> {
        let heard = std::fs::read_to_string(self.bot.folder.path().join("heard"));
        // The last line may be under way.
        let events = heard.unwrap_or_default();
        let events = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.filter_map(|event| Some(event["content"].as_str()?.to_owned())).collect()
    }

    fn let_go_on(&self) {
        std::fs::write(self.bot.folder.path().join("go"), "").unwrap();
    }

    async fn say_later(&self, _rig: &Rig, text: &str) {
        let mut child = self.bot.child.lock().unwrap();
        let said = child.as_mut().unwrap().stdin.as_mut().unwrap();
        writeln!(said, "say {text}").unwrap();
    }

    async fn go_away(&mut self) {
        self.bot.end();
    }

    async fn come_back(&mut self) {
        self.bot.begin();
    }
}

impl Drop for Chatwoot {
    fn drop(&mut self) {
        self.is_watched.abort();
        self.bot.end();
    }
}

impl Bot {
    fn begin(&self) {
        *self.child.lock().unwrap() = Some(self.spawn());
    }

    fn begin_again(&self) {
        let mut child = self.child.lock().unwrap();
        if let Some(running) = child.as_mut()
            && running.try_wait().unwrap().is_some()
        {
            *child = Some(self.spawn());
        }
    }

    /// Kills it with SIGKILL, and lets it be.
    fn end(&self) {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut child) = child {
            let _ended = child.kill();
            let _status = child.wait();
        }
    }

    fn spawn(&self) -> Child {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agents/chatwoot_peer.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(self.port.to_string()).arg(TOKEN).arg(self.folder.path());
        command.stdin(Stdio::piped()).spawn().unwrap()
    }
}
