//! The service as a child process: the real binary, its own queue file, killed and started again.
//!
//! Shared by the crash tests and the benches. The emulator lives in the parent, so Twilio survives
//! the service. Nothing of the service is looked at but what Twilio saw and what is left on disk.

#![allow(dead_code, reason = "each of the binaries that include this uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

pub mod autopsy;
pub mod measure;
#[path = "../ports/mod.rs"]
mod ports;
pub mod siege;
pub mod tally;
pub mod weather;

use std::fs::{File, OpenOptions};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use chimein::emulator::control::Webhook;
use chimein::emulator::{Control, Emulator};
#[cfg(debug_assertions)]
use chimein::fault_points::{Point, VARIABLE};
use chimein::queue::embedded::Options;
use chimein::queue::{QueueName, Store};
use tempfile::TempDir;
use tokio::process::{Child, Command};

pub use self::ports::free_port;

/// The bot's identities; Twilio gives each of them a thousand conversations.
pub const BOTS: [&str; 3] = ["bot", "bot-2", "bot-3"];
/// A number that autocreates conversations.
pub const NUMBER: &str = "+15555550100";

/// How long anything may take before the run has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// The service, running or not, and what it needs to run.
pub struct Service {
    folder: TempDir,
    port: u16,
    environment: Vec<(String, String)>,
    child: Option<Child>,
}

impl Service {
    /// Sets a service up against an emulator, which sends its webhooks there from now on.
    pub fn of(emulator: &Emulator, extra: &[(&str, &str)]) -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let port = free_port();
        let given = [
            ("TWILIO_IDENTITY", BOTS[0].to_owned()),
            ("CHIMEIN_IDENTITY_POOL", BOTS[1..].join(",")),
            // Several instances are reached by their balancer's port.
            ("CHIMEIN_WEBHOOK_HOSTS", "127.0.0.1".to_owned()),
            ("CHIMEIN_QUEUE_PATH", folder.path().join("chimein.db").display().to_string()),
            ("CHIMEIN_SERVER_LISTEN", "127.0.0.1".to_owned()),
            ("SERVICE_PORT", port.to_string()),
            ("CHIMEIN_ADMIN_LISTEN", "off".to_owned()),
            ("CHIMEIN_GUARD_TURNS_PER_MINUTE", "100000".to_owned()),
            ("LOG_LEVEL", "warn".to_owned()),
        ];
        let given = emulator.variables().into_iter().chain(given);
        let given = given.map(|(name, value)| (name.to_owned(), value));
        let extra = extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment = given.chain(extra).collect();
        let url = format!("http://127.0.0.1:{port}{}", chimein::webhook::ROUTE);
        emulator.control().set_webhook(Webhook { post_url: Some(url), ..Webhook::default() });
        Self { folder, port, environment, child: None }
    }

    /// Gives the process one more variable, from its next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Another command of the program, with the service's variables and no terminal.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chimein"));
        command.args(words).env_clear().envs(self.environment.iter().cloned());
        command.stdin(Stdio::null());
        command
    }

    /// Starts the process, with more variables for this one time.
    pub fn start(&mut self, extra: &[(&str, &str)]) {
        // Whoever runs the tests by `nohup` has SIGHUP ignored, and so would all that they start.
        let mut program = Command::new("env");
        program.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_chimein")]);
        self.spawn(program, extra);
    }

    /// Starts the process, to die when it passes a point for the nth time. A debug build alone has points.
    #[cfg(debug_assertions)]
    pub fn start_to_die_at(&mut self, point: Point, nth: u32) {
        self.start(&[(VARIABLE, &format!("{}:{nth}", point.as_str()))]);
    }

    /// Waits for its death at a point that it has to pass.
    #[cfg(debug_assertions)]
    pub async fn dies_at(&mut self, point: Point, within: Duration) {
        let status = self.ended(within).await;
        let (died, log) = (status.is_some_and(|status| !status.success()), self.log_tail());
        assert!(died, "{point:?} was not reached\n{log}");
    }

    /// Starts the process where it may have so many descriptors open and no more.
    pub fn start_with_descriptors(&mut self, count: u32) {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!(r#"ulimit -n {count} && exec "$0" "$@""#)]);
        shell.arg(env!("CARGO_BIN_EXE_chimein"));
        self.spawn(shell, &[]);
    }

    /// Starts the process as the first one of a namespace of its own, as a container's is. `unshare` dies with it,
    /// and takes it along.
    pub fn start_as_first_process(&mut self, unshare: &[&str]) {
        let mut program = Command::new(unshare[0]);
        program.args(&unshare[1..]).arg(env!("CARGO_BIN_EXE_chimein"));
        self.spawn(program, &[]);
    }

    /// Starts the process by a program and its arguments, which becomes the service and keeps its number.
    pub fn start_by(&mut self, becomes_it: &[&str]) {
        let mut program = Command::new(becomes_it[0]);
        program.args(&becomes_it[1..]).arg(env!("CARGO_BIN_EXE_chimein"));
        self.spawn(program, &[]);
    }

    fn spawn(&mut self, mut command: Command, extra: &[(&str, &str)]) {
        let log = |name: &str| -> File {
            let path = self.folder.path().join(name);
            OpenOptions::new().create(true).append(true).open(path).unwrap()
        };
        let child = command
            .arg("serve")
            .env_clear()
            .envs(self.environment.iter().cloned())
            .envs(extra.iter().copied())
            .stdin(Stdio::null())
            .stdout(log("out.log"))
            .stderr(log("err.log"))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// The port that it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).expect("the service runs")
    }

    /// Whether the process has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Kills the process with SIGKILL.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.unwrap();
        }
    }

    /// Waits until the process has ended by itself; `None` if it does not in time.
    pub async fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        let child = self.child.as_mut().expect("the service runs");
        let status = tokio::time::timeout(within, child.wait()).await.ok()?.unwrap();
        self.child = None;
        Some(status)
    }

    /// Tells the process to stop, with SIGTERM.
    pub async fn tell_to_stop(&self) {
        self.tell("TERM").await;
    }

    /// Sends the process a signal.
    pub async fn tell(&self, signal: &str) {
        tell(self.pid(), signal).await;
    }

    /// Stops the process as an operator does, with SIGTERM.
    pub async fn stop(&mut self) {
        self.tell_to_stop().await;
        let status = self.ended(PATIENCE).await;
        assert!(
            status.is_some_and(|status| status.success()),
            "the stop was not clean: {status:?}\n{}",
            self.log_tail()
        );
    }

    /// How many jobs wait in the queues of the running service. SQLite lets others look.
    pub fn open_jobs(&self) -> i64 {
        let db = rusqlite::Connection::open_with_flags(
            self.queue_path(),
            rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
        );
        let count = db.and_then(|db| {
            db.query_row("SELECT count(*) FROM jobs WHERE state = 0", [], |row| row.get(0))
        });
        count.unwrap_or(i64::MAX) // It is being written to; the next look will tell.
    }

    /// What is left in the queues of the stopped service: open jobs and dead letters.
    pub async fn leftovers(&self) -> (u64, u64) {
        assert!(self.child.is_none(), "the service has the file");
        let store = Store::open(Options::new(self.queue_path())).unwrap();
        let (mut open, mut dead) = (0, 0);
        for name in QueueName::ALL {
            let stats = store.queue(name).stats().await.unwrap();
            open += stats.open();
            dead += stats.dead;
        }
        store.close().await;
        (open, dead)
    }

    /// The queue's file.
    pub fn queue_path(&self) -> PathBuf {
        self.folder.path().join("chimein.db")
    }

    /// What the service has written to standard output and to standard error.
    pub fn log(&self) -> [String; 2] {
        ["out.log", "err.log"]
            .map(|name| std::fs::read_to_string(self.folder.path().join(name)).unwrap())
    }

    /// Leaves the folder where it is, to be looked at; gives its path.
    pub fn keep_folder(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }

    /// The last lines of the service's log.
    pub fn log_tail(&self) -> String {
        let log = self.log().concat();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Service {
    /// Waits until the process takes connections; false if it does not in time.
    pub async fn is_listening(&self) -> bool {
        within(PATIENCE, || TcpStream::connect(("127.0.0.1", self.port)).is_ok()).await
    }
}

/// Sends a process a signal.
pub async fn tell(pid: u32, signal: &str) {
    let told = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status().await;
    assert!(told.unwrap().success(), "the process ended before it was told to");
}

/// Waits until something holds; false if it does not in time.
pub async fn eventually(holds: impl FnMut() -> bool) -> bool {
    within(PATIENCE, holds).await
}

/// Waits a given time until something holds; false if it does not.
pub async fn within(patience: Duration, holds: impl FnMut() -> bool) -> bool {
    within_looking(patience, Duration::from_millis(10), holds).await
}

/// As [`within`], with this time between two looks.
async fn within_looking(
    patience: Duration,
    every: Duration,
    mut holds: impl FnMut() -> bool,
) -> bool {
    let waited = tokio::time::timeout(patience, async {
        while !holds() {
            tokio::time::sleep(every).await;
        }
    });
    waited.await.is_ok()
}

/// Waits until the service's sockets are open at Twilio.
pub async fn connected(control: &Control) -> bool {
    within(Duration::from_secs(5), || control.connected().len() >= BOTS.len()).await
}

/// Random numbers that are the same for the same seed.
pub struct Dice(u64);

impl Dice {
    /// Starts from a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Rolls a number below a bound. Splitmix64, <https://prng.di.unimi.it/splitmix64.c>.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// Rolls a number of milliseconds below a bound.
    pub fn millis(&mut self, bound: u64) -> Duration {
        Duration::from_millis(self.below(bound))
    }
}
