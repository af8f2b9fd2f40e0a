//! A program and its three streams, in a process group of its own, which ends with us.
//!
//! It is started by `/bin/sh -c`, without the variables that hold secrets of ours. However a run ends, the
//! whole group is killed. If this process is killed itself, a watcher notices that its pipe from us is
//! closed and does the same; it is a shell that waits, on every system that has one.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;

use super::lines::{Cut, Cutter};
use super::noise::{Noise, NoiseLevel, NoiseLine};
use crate::clock::Clock;
use crate::telemetry::refusals::Refusals;

/// How much is read of a stream at a time.
const READ_BYTES: usize = 16 << 10;

/// How long its standard error is still read once it is let go: somebody may hold it who has left the group.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(1);

/// What a shell ends with that may not run a command, and one that does not find it. Source: POSIX, Shell
/// Command Language, section 2.8.2 "Exit Status for Commands", read 2026-11-30.
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

/// What the watcher does: waits for the end of its input, then kills the group that it was told of.
/// Source: POSIX, `kill`: `-s` before `--` is the form that every shell takes; dash takes no other.
const WATCHER: &str = r#"read -r _; kill -s KILL -- "-$0""#;

/// How a program is started.
#[derive(Clone, Debug)]
pub(super) struct Starting {
    /// The command, as a shell reads it.
    pub(super) command: Arc<str>,
    /// The variables that it does not get.
    pub(super) hidden: Arc<[String]>,
    /// Where it is started; where we are if that is not said.
    pub(super) folder: Option<PathBuf>,
    /// Bounds what of its standard error is logged.
    pub(super) noise: Refusals,
    /// Bounds the last words that are logged in spite of that.
    pub(super) last_words: Refusals,
    /// Reads the time.
    pub(super) clock: Clock,
}

/// A program that runs; killed with all that it started when dropped.
#[derive(Debug)]
pub(super) struct Program {
    /// What it is told by; none once it has been told all.
    pub(super) input: Option<ChildStdin>,
    /// What it answers by.
    pub(super) output: ChildStdout,
    child: Child,
    group: ProgramGroup,
    _lives: oneshot::Sender<()>,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ProgramEnd {
    /// With success.
    Well,
    /// With a failure, or killed.
    Ill,
    /// The shell has not found it, or may not run it.
    NotStarted,
}

/// A process group and who watches over it.
#[derive(Debug)]
struct ProgramGroup {
    id: Option<Pid>,
    _watcher: Option<Child>,
}

impl Drop for ProgramGroup {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            // Nobody may be left in it.
            let _gone = kill_process_group(id, Signal::KILL);
        }
    }
}

impl Starting {
    /// Starts the program.
    ///
    /// # Errors
    ///
    /// If the system does not let us.
    pub(super) fn start(&self) -> std::io::Result<Program> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(&*self.command).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in &*self.hidden {
            command.env_remove(name);
        }
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let mut child = command.spawn()?;
        let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let group = ProgramGroup { id, _watcher: id.and_then(|id| watcher(id).ok()) };
        let missing = || std::io::Error::other("a stream of the program is missing");
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or_else(missing)?;
        let errors = child.stderr.take().ok_or_else(missing)?;
        let (lives, ended) = oneshot::channel();
        let (starting, clock) = (self.clone(), self.clock);
        // Nobody has to wait for it: it ends soon after the program's owner has let go.
        tokio::spawn(async move {
            let end = async {
                // It is never sent to: what is waited for is that it is dropped.
                let _dropped = ended.await;
                clock.sleep(LAST_WORDS_WITHIN).await;
            };
            let mut noise = Noise::new();
            tokio::select! {
                () = log(errors, &mut noise, &starting.noise) => {}
                () = end => {}
            }
            let last = || starting.last_words.admit(None);
            noise.end(|| starting.noise.admit(None), last).into_iter().for_each(tell);
        });
        Ok(Program { input, output, child, group, _lives: lives })
    }
}

/// Starts the watcher of a group, in a group of its own.
fn watcher(group: Pid) -> std::io::Result<Child> {
    Command::new("/bin/sh")
        .arg("-c")
        .arg(WATCHER)
        .arg(group.as_raw_nonzero().to_string())
        .env_clear()
        .process_group(0)
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

impl Program {
    /// Reads what the program says next; none at its end.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when dropped.
    pub(super) async fn read(&mut self, cutter: &mut Cutter) -> Option<Vec<Cut>> {
        let mut piece = [0; READ_BYTES];
        match self.output.read(&mut piece).await {
            Ok(0) | Err(_) => None,
            Ok(length) => Some(cutter.take(&piece[..length])),
        }
    }

    /// Waits for the program's end; says how it ended.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when dropped.
    pub(super) async fn ended(&mut self) -> ProgramEnd {
        let _still_there = self.group.id;
        let status = self.child.wait().await.ok();
        match status.and_then(|status| status.code()) {
            Some(0) => ProgramEnd::Well,
            Some(NOT_EXECUTABLE | NOT_FOUND) => ProgramEnd::NotStarted,
            Some(_) | None => ProgramEnd::Ill,
        }
    }
}

/// Brings a program's standard error into the log, until its end.
async fn log(mut errors: ChildStderr, noise: &mut Noise, refusals: &Refusals) {
    let mut piece = [0; READ_BYTES];
    while let Ok(length @ 1..) = errors.read(&mut piece).await {
        noise.hear(&piece[..length], || refusals.admit(None)).into_iter().for_each(tell);
    }
}

fn tell(told: NoiseLine) {
    let NoiseLine { level, left_out, line } = told;
    match level {
        NoiseLevel::Error => tracing::error!(left_out, line, "agent's program writes"),
        NoiseLevel::Warn => tracing::warn!(left_out, line, "agent's program writes"),
        NoiseLevel::Info => tracing::info!(left_out, line, "agent's program writes"),
        NoiseLevel::Debug => tracing::debug!(left_out, line, "agent's program writes"),
    }
}
