//! What is particular where this program is the first process of a container.
//!
//! The system hands the first process every orphan of the container, and keeps each that has ended until it
//! is asked for: an agent's program that leaves some behind would fill the table of processes. So where
//! programs can be run at all, the first process does nothing but start the command again below itself, pass
//! signals on to it, and take in who has ended; it ends as the command does. In an image without a shell
//! nothing can be run, and the command is the first process itself.
//!
//! The health check is another process of the container, and tells by the first one's command line what it
//! has to ask.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::ExitCode;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use tokio::signal::unix::{SignalKind, signal};

use super::signals::stop_signal;

/// The number of the first process. Source: pid_namespaces(7), "The namespace init process", read 2026-11-30.
const FIRST: u32 = 1;

/// The first process's command line, a word after another, each with a zero at its end.
/// Source: proc(5), "/proc/pid/cmdline", read 2026-11-30.
const COMMAND_LINE: &str = "/proc/1/cmdline";

/// What agents' programs are started by.
const SHELL: &str = "/bin/sh";

/// What a shell adds to the number of the signal that ended a command.
const SIGNALLED: i32 = 128;

/// Whether this process has to take in orphans: it is the first one, and programs can be run.
pub(super) fn must_reap() -> bool {
    std::process::id() == FIRST && Path::new(SHELL).exists()
}

/// Starts the command again as a process of its own and waits for its end; takes in all who end meanwhile.
///
/// # Errors
///
/// If the process cannot be started, or signals cannot be heard.
pub(super) fn reap() -> io::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut ended = signal(SignalKind::child())?;
        let mut words = std::env::args_os();
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command.arg0(words.next().unwrap_or_default()).args(words);
        let mut told = Box::pin(stop_signal()?);
        let service = Pid::from_child(&command.spawn()?);
        loop {
            while let Some((gone, status)) = wait(WaitOptions::NOHANG)? {
                if gone == service {
                    return Ok(code(status));
                }
            }
            tokio::select! {
                name = &mut told => {
                    told = Box::pin(stop_signal()?);
                    // Who has just ended is met in the next round.
                    let _passed_on = kill_process(service, named(name));
                }
                _ = ended.recv() => {}
            }
        }
    })
}

/// The signal of a name that [`stop_signal`] gives.
fn named(name: &str) -> Signal {
    match name {
        "SIGINT" => Signal::INT,
        "SIGHUP" => Signal::HUP,
        _ => Signal::TERM,
    }
}

/// The exit code of a process, as a shell tells it.
fn code(status: WaitStatus) -> ExitCode {
    let signalled = || status.terminating_signal().map(|signal| SIGNALLED + signal);
    let code = status.exit_status().or_else(signalled);
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// The command line of the first process from our own name on, if it is this program.
pub(super) fn command_line() -> Option<Vec<String>> {
    ours(&std::fs::read(COMMAND_LINE).ok()?)
}

/// The words of a command line from our own name on. What starts us, as `docker-init --`, may stand before it.
pub(super) fn ours(command_line: &[u8]) -> Option<Vec<String>> {
    let words = command_line.strip_suffix(&[0])?.split(|byte| *byte == 0);
    let words = words.map(|word| String::from_utf8_lossy(word).into_owned());
    let is_other = |word: &String| Path::new(word).file_name().is_none_or(|name| name != "chimein");
    let ours: Vec<_> = words.skip_while(is_other).collect();
    (!ours.is_empty()).then_some(ours)
}
