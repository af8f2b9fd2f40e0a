//! The signals that ask a process to stop.
//!
//! SIGTERM is what service managers and containers send, an interrupt is Ctrl-C, and SIGHUP is what a
//! terminal sends that is closed: each lets the work under way end. Who starts a process so that it
//! outlives its terminal, as `nohup` does, has SIGHUP ignored, and then it stays so.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Where Linux says which signals a process ignores. Source: proc(5), "/proc/pid/status", read
/// 2026-11-29.
const STATUS: &str = "/proc/self/status";

/// Waits for a signal that asks for an end; gives its name. Listens from the call on.
pub(super) fn stop_signal() -> io::Result<impl Future<Output = &'static str>> {
    let status = std::fs::read_to_string(STATUS).unwrap_or_default();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = match ignores_hangup(&status) {
        true => None,
        false => Some(signal(SignalKind::hangup())?),
    };
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            () = received(hangup.as_mut()) => "SIGHUP",
        }
    })
}

/// Waits for a signal; for ever if it is not listened to.
async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether SIGHUP, the first signal and so the lowest bit, was ignored before the process began;
/// false where the system does not say.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hangup_is_ignored_only_if_the_system_says_so() {
        for (status, expected) in [
            ("SigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n", false),
            ("SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0\n", true),
            ("SigIgn:\tmany\n", false),
            ("", false),
        ] {
            assert_eq!(ignores_hangup(status), expected, "{status}");
        }
    }
}
