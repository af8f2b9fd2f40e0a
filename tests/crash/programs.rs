//! A program as the agent, in each of its modes: the service, the program, or both are killed while it thinks,
//! and at each step of what it said.

use std::path::PathBuf;
use std::process::Command;

use chimein::fault_points::Point;
use tempfile::TempDir;

use crate::child;
use crate::child::tally::Tally;
use crate::points::{PATIENCE, Rig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_a_program_with_all_turns_is_heard_once_and_in_order() {
    survives("stream").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_a_program_with_one_turn_is_heard_once_and_in_order() {
    survives("spawn").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_a_coding_agent_is_heard_once_and_in_order() {
    survives("acp").await;
}

async fn survives(mode: &str) {
    let program = Program::new();
    let command = program.command(mode);
    let mut rig = Rig::start(&[
        ("CHIMEIN_AGENT_KIND", "stdio"),
        ("CHIMEIN_STDIO_MODE", mode),
        ("CHIMEIN_STDIO_COMMAND", command.as_str()),
    ])
    .await;
    for point in [Point::AgentAnswered, Point::TurnSettled] {
        rig.die_at(point, 1).await;
        rig.expect_kept(point.as_str()).await;
    }
    for (kills_service, kills_program) in [(true, false), (false, true), (true, true)] {
        let before = program.asked();
        program.hold();
        rig.service.start(&[]);
        rig.say().await;
        assert!(child::within(PATIENCE, || program.asked() > before).await, "{mode}: it is asked");
        if kills_program {
            program.kill();
        }
        if kills_service {
            rig.service.kill().await;
        }
        program.let_go();
        if !kills_service {
            let answered = child::within(PATIENCE, || Tally::of(&rig.control).is_complete()).await;
            assert!(answered, "{mode}\n{}", rig.service.log_tail());
            rig.service.kill().await;
        }
        rig.expect_kept(&format!("{mode}, service {kills_service}, program {kills_program}")).await;
    }
    rig.end().await;
}

/// The folder of a program.
struct Program(TempDir);

impl Program {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn command(&self, mode: &str) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crash/program.py");
        format!("exec python3 {script} {} {mode}", self.0.path().display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// How often it was asked.
    fn asked(&self) -> usize {
        self.lines("asked").len()
    }

    /// Lets it answer nothing.
    fn hold(&self) {
        std::fs::write(self.path("hold"), "").unwrap();
    }

    /// Lets it answer.
    fn let_go(&self) {
        std::fs::remove_file(self.path("hold")).unwrap();
    }

    /// Kills all of it that runs.
    fn kill(&self) {
        for pid in self.lines("pids") {
            // Most of them have ended long since; a number is not given anew so soon.
            let _ = Command::new("kill").args(["-KILL", &pid]).output().unwrap();
        }
    }
}
