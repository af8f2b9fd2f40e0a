//! The memory of an idle service: the real binary against an emulator in this process, its socket up.
//!
//! Prints the resident memory as the system counts it, after the service has said that it is ready.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chimein::emulator::{Emulator, Options};

/// What an idle service may need.
const AIM_MEBIBYTES: f64 = 20.0;
/// How long the service gets to come to rest after its socket is up.
const REST: Duration = Duration::from_millis(1500);

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        let emulator = Emulator::start(Options::default()).await.unwrap();
        let mut service = serve(&emulator, folder.path());
        wait_for(&mut service, "socket is connected");
        tokio::time::sleep(REST).await;
        let mebibytes = resident_mebibytes(service.id());
        println!(
            "resident memory of an idle service: {mebibytes:.1} MiB (aim: {AIM_MEBIBYTES} MiB)"
        );
        service.kill().unwrap();
        service.wait().unwrap();
        emulator.shutdown().await;
    });
}

fn serve(emulator: &Emulator, folder: &std::path::Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_chimein"))
        .arg("serve")
        .env_clear()
        .envs(emulator.variables())
        .env("TWILIO_IDENTITY", "bot")
        .env("CHIMEIN_WEBHOOK_PUBLIC_URL", "https://bot.example.com")
        .env("SERVICE_PORT", free_port().to_string())
        .env("CHIMEIN_SERVER_LISTEN", "127.0.0.1")
        .env("CHIMEIN_ADMIN_LISTEN", "off")
        .env("CHIMEIN_QUEUE_PATH", folder.join("chimein.db"))
        .env("CHIMEIN_LOG_FORMAT", "text")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Reads the service's log until a line says this; ends with the log, so it is bounded by the child.
fn wait_for(service: &mut Child, words: &str) {
    let log = BufReader::new(service.stdout.take().unwrap());
    let found = log.lines().map_while(Result::ok).any(|line| line.contains(words));
    assert!(found, "the service ended without saying: {words}");
}

fn resident_mebibytes(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kibibytes: u32 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    f64::from(kibibytes) / 1024.0
}
