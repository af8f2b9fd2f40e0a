//! A program on its standard streams: one for all turns, one a turn, and one that speaks the Agent Client
//! Protocol, written with the protocol's own SDK.

use std::marker::PhantomData;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::ci_tools;
use crate::http::{self, SECRET};
use crate::peer::{Document, Peer};
use crate::rig::{PHONE, Rig};

/// How a program is run.
pub trait Run {
    /// The setting's word.
    const MODE: &'static str;

    /// What comes of two things that are said.
    const SEVERAL: &'static [&'static str] = &["one", "two"];

    /// The script that is run, and what runs it.
    fn script() -> (PathBuf, &'static str) {
        ("python3".into(), "stdio_peer.py")
    }

    /// What was said, by what the script has noted.
    fn text(noted: &Value) -> String {
        Document(noted.clone()).text().to_owned()
    }
}

/// One for all turns.
pub struct Stream;

/// One for each turn.
pub struct Spawn;

/// One for all turns, which speaks the Agent Client Protocol.
pub struct Acp;

impl Run for Stream {
    const MODE: &'static str = "stream";
}

impl Run for Spawn {
    const MODE: &'static str = "spawn";
}

impl Run for Acp {
    const MODE: &'static str = "acp";
    const SEVERAL: &'static [&'static str] = &["one\ntwo"];

    fn script() -> (PathBuf, &'static str) {
        (ci_tools::program("acp", "python"), "acp_peer.py")
    }

    fn text(noted: &Value) -> String {
        noted.as_array().unwrap().last().unwrap().as_str().unwrap().to_owned()
    }
}

pub struct Program<R> {
    folder: TempDir,
    run: PhantomData<R>,
}

impl<R: Run> Program<R> {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it has noted.
    fn noted(&self) -> Vec<Value> {
        let noted = std::fs::read_to_string(self.path("asked")).unwrap_or_default();
        // The last line may be in the making.
        noted.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Kills it, if it runs.
    fn kill(&self) {
        if let Ok(pid) = std::fs::read_to_string(self.path("pid")) {
            // One that has one turn may have ended by itself.
            let _ = Command::new("kill").args(["-KILL", &pid]).output().unwrap();
        }
    }
}

impl<R: Run> Peer for Program<R> {
    const SEVERAL: &'static [&'static str] = R::SEVERAL;

    async fn start() -> Self {
        let program = Self { folder: tempfile::tempdir().unwrap(), run: PhantomData };
        let (python, script) = R::script();
        let script = format!("{}/tests/agents/{script}", env!("CARGO_MANIFEST_DIR"));
        let place = program.folder.path().display();
        let text = format!("#!/bin/sh\nexec {} {script} {place}\n", python.display());
        std::fs::write(program.path("bot"), text).unwrap();
        let may_run = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(program.path("bot"), may_run).unwrap();
        program
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("CHIMEIN_AGENT_KIND", "stdio".to_owned()),
            ("CHIMEIN_STDIO_MODE", R::MODE.to_owned()),
            ("CHIMEIN_STDIO_COMMAND", self.path("bot").display().to_string()),
            // For replies that come later.
            ("CHIMEIN_AGENT_SECRET", SECRET.to_owned()),
        ]
    }

    fn patience(&self) -> Vec<(&'static str, String)> {
        vec![("CHIMEIN_STDIO_ANSWER_WITHIN", "2s".to_owned())]
    }

    fn room(&self) -> Vec<(&'static str, String)> {
        vec![("CHIMEIN_STDIO_CREDITS", "1000".to_owned())]
    }

    fn asked(&self) -> Vec<String> {
        self.noted().iter().map(R::text).collect()
    }

    fn document(&self, text: &str) -> Value {
        self.noted().into_iter().find(|noted| R::text(noted) == text).unwrap()
    }

    fn let_go_on(&self) {
        std::fs::write(self.path("go"), "").unwrap();
    }

    async fn say_later(&self, rig: &Rig, text: &str) {
        let turn = self.noted().into_iter().find(|noted| R::text(noted) == "late").unwrap();
        http::post_later(rig, &Document(turn), text).await;
    }

    async fn go_away(&mut self) {
        std::fs::rename(self.path("bot"), self.path("gone")).unwrap();
        self.kill();
    }

    async fn come_back(&mut self) {
        std::fs::rename(self.path("gone"), self.path("bot")).unwrap();
    }
}

/// A service whose program is told what was said before.
async fn told_of_before<R: Run>(program: &Program<R>) -> Rig {
    let mut settings = program.settings();
    settings.push(("CHIMEIN_STDIO_HISTORY_MESSAGES", "10".to_owned()));
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Rig::start(&settings).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_is_told_what_was_said_before() {
    let program = Program::<Stream>::start().await;
    let rig = told_of_before(&program).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["re: hello"]).await;
    rig.sms(PHONE, "bye").await;
    rig.expect(conversation, &["re: hello", "re: bye"]).await;
    let noted = program.noted();
    assert!(noted[0].get("history").is_none());
    let before: Vec<_> = noted[1]["history"].as_array().unwrap().iter().collect();
    let before: Vec<_> = before.iter().map(|past| (&past["own"], &past["body"])).collect();
    let expected = [(Value::from(false), Value::from("hello")), (true.into(), "re: hello".into())];
    assert_eq!(before, [(&expected[0].0, &expected[0].1), (&expected[1].0, &expected[1].1)]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_remembers_and_is_told_what_was_said_before_once_it_has_died() {
    let program = Program::<Acp>::start().await;
    let rig = told_of_before(&program).await;
    let conversation = rig.sms(PHONE, "one").await;
    rig.expect(conversation, &["re: one"]).await;
    rig.sms(PHONE, "two").await;
    rig.expect(conversation, &["re: one", "re: two"]).await;
    program.kill();
    rig.sms(PHONE, "three").await;
    rig.expect(conversation, &["re: one", "re: two", "re: three"]).await;
    let noted = program.noted();
    assert_eq!(noted[..2], [serde_json::json!(["one"]), serde_json::json!(["two"])]);
    let last = noted.last().unwrap();
    let before = last[0].as_str().unwrap();
    assert!(before.contains("person: one\nyou: re: one\nperson: two\nyou: re: two\n"), "{before}");
    assert_eq!(last[1], "three");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_is_told_to_stop_what_nobody_waits_for() {
    let program = Program::<Acp>::start().await;
    let mut settings = program.settings();
    settings.push(("CHIMEIN_TURNS_STRATEGY", "supersede".to_owned()));
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let rig = Rig::start(&settings).await;
    let conversation = rig.sms(PHONE, "slow").await;
    rig.eventually("it thinks", |_| !program.asked().is_empty()).await;
    rig.sms(PHONE, "hello").await;
    // Nothing else ends its thinking.
    let stopped = |_: &Rig| std::fs::read_to_string(program.path("stopped")).unwrap_or_default();
    rig.eventually("it has stopped", |rig| stopped(rig) == "\"slow\"\n").await;
    rig.expect(conversation, &["re: slow\nhello"]).await;
    rig.end().await;
}
