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
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use tokio::signal::unix::{SignalKind, signal};

use super::signals::stop_signal;
use super::{Cli, Command};

/// The number of the first process. Source: pid_namespaces(7), "The namespace init process", read 2026-11-30.
const FIRST: u32 = 1;

/// The first process's command line, a word after another, each with a zero at its end.
/// Source: proc(5), "/proc/pid/cmdline", read 2026-11-30.
const COMMAND_LINE: &str = "/proc/1/cmdline";

/// What agents' programs are started by.
const SHELL: &str = "/bin/sh";

/// What a shell adds to the number of the signal that ended a command.
const SIGNALLED: i32 = 128;

/// Whether this process has to take in orphans: it is the first one, and its command can bring some about.
pub(super) fn must_reap(command: &Command) -> bool {
    let runs_programs = matches!(command, Command::Serve(_) | Command::Dev(_) | Command::Demo(_));
    runs_programs && std::process::id() == FIRST && Path::new(SHELL).exists()
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

/// Where the first process has a local Twilio, if that is what it was started for.
pub(super) fn emulator() -> Option<SocketAddr> {
    emulator_of(&std::fs::read(COMMAND_LINE).ok()?)
}

/// Where a process of this command line has a local Twilio. What starts us, as `docker-init --`, may stand
/// before our own name.
fn emulator_of(command_line: &[u8]) -> Option<SocketAddr> {
    let words = command_line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let words: Vec<_> = words.map(|word| word.into_owned()).collect();
    let is_ours = |word: &String| Path::new(word).file_name().is_some_and(|name| name == "chimein");
    let ours = words.iter().position(is_ours)?;
    let words = words.get(ours..words.len().saturating_sub(1))?;
    match Cli::try_parse_from(words).ok()?.command {
        Command::Emulator(args) => args.listens(),
        Command::Demo(args) => Some(args.listen),
        Command::Dev(args) => Some(args.listen),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_twilio_is_known_by_the_command_line_and_a_service_is_none() {
        for (words, found) in [
            (&["chimein", "emulator", "--listen", "0.0.0.0:8080"][..], Some("0.0.0.0:8080")),
            (&["/usr/local/bin/chimein", "emulator"], Some("127.0.0.1:0")),
            (&["/sbin/docker-init", "--", "chimein", "demo", "--listen=[::]:80"], Some("[::]:80")),
            (&["chimein", "dev", "--agent", "http://agent/"], Some("127.0.0.1:8017")),
            (&["chimein", "emulator", "fault", "--at", "http://twilio/", "list"], None),
            (&["chimein", "serve"], None),
            (&["chimein", "sing"], None),
            (&["/sbin/init"], None),
            (&["chimein"], None),
            (&[], None),
        ] {
            let line: String = words.iter().map(|word| format!("{word}\0")).collect();
            let address = emulator_of(line.as_bytes()).map(|address| address.to_string());
            assert_eq!(address.as_deref(), found, "{words:?}");
        }
    }
}
