//! A bot written for Chatwoot, as a process of its own.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::kept::Kept;
use crate::peer::Peer;
use crate::ports::free_port;
use crate::rig::Rig;

const TOKEN: &str = "token-of-the-bot-1234567";

/// The bot, which is started again when it has died, until it is told to be away.
pub struct Chatwoot {
    folder: TempDir,
    port: u16,
    bot: Kept,
}

impl Peer for Chatwoot {
    const IS_ASKED_AFTER_ITS_ANSWER: bool = false;

    async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("chatwoot-").tempdir().unwrap();
        let (port, place) = (free_port(), folder.path().to_owned());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agents/chatwoot_peer.py");
        let bot = Kept::start(move || {
            let mut command = Command::new("python3");
            command.arg(&script).arg(port.to_string()).arg(TOKEN).arg(&place);
            command
        });
        Self { folder, port, bot }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("CHIMEIN_AGENT_KIND", "chatwoot".to_owned()),
            ("CHIMEIN_CHATWOOT_URL", format!("http://127.0.0.1:{}/", self.port)),
            ("CHIMEIN_CHATWOOT_TOKEN", TOKEN.to_owned()),
            // It may well say nothing.
            ("CHIMEIN_CHATWOOT_ANSWER_WITHIN", "0s".to_owned()),
        ]
    }

    fn patience(&self) -> Vec<(&'static str, String)> {
        vec![("CHIMEIN_CHATWOOT_ANSWER_WITHIN", "2s".to_owned())]
    }

    fn meets(&self, rig: &Rig) {
        let base = format!("http://{}", rig.app().address());
        std::fs::write(self.folder.path().join("service"), base).unwrap();
    }

    fn asked(&self) -> Vec<String> {
        let heard = std::fs::read_to_string(self.folder.path().join("heard"));
        // The last line may be under way.
        let events = heard.unwrap_or_default();
        let events = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.filter_map(|event| Some(event["content"].as_str()?.to_owned())).collect()
    }

    fn let_go_on(&self) {
        std::fs::write(self.folder.path().join("go"), "").unwrap();
    }

    /// Once it has returned the words have been taken: what was said before the next message comes is of the one
    /// before.
    async fn say_later(&self, rig: &Rig, text: &str) {
        let said = || std::fs::read_to_string(self.folder.path().join("said"));
        let count = || said().map_or(0, |said| said.lines().count());
        let before = count();
        self.bot.tell(&format!("say {text}"));
        rig.eventually("its words were taken", |_| count() > before).await;
    }

    async fn go_away(&mut self) {
        self.bot.end();
    }

    async fn come_back(&mut self) {
        self.bot.begin();
    }
}
