//! A program beside a test, started again whenever it ends, as whoever runs it would.

#![allow(dead_code, reason = "each of the binaries that include this uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

/// How often it is looked whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A program that is started again whenever it ends; gone when dropped.
pub struct Kept {
    program: Arc<Program>,
    keeping: JoinHandle<()>,
}

struct Program {
    command: Box<dyn Fn() -> Command + Send + Sync>,
    /// None while it is to be away.
    child: Mutex<Option<Child>>,
}

impl Kept {
    /// Starts what a function makes, each time anew.
    pub fn start(command: impl Fn() -> Command + Send + Sync + 'static) -> Self {
        let program = Program { command: Box::new(command), child: Mutex::default() };
        let program = Arc::new(program);
        *program.child() = Some(program.spawn());
        let kept = Arc::clone(&program);
        let keeping = tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                kept.begin_again();
            }
        });
        Self { program, keeping }
    }

    /// Kills it at once; it is started again.
    pub fn kill(&self) {
        if let Some(child) = &mut *self.program.child() {
            child.kill().unwrap();
        }
    }

    /// Kills it at once, and lets it be.
    pub fn end(&self) {
        self.program.end();
    }

    /// Starts it where it was ended.
    pub fn begin(&self) {
        *self.program.child() = Some(self.program.spawn());
    }

    /// Writes a line to its input.
    pub fn tell(&self, line: &str) {
        let mut child = self.program.child();
        let input = child.as_mut().unwrap().stdin.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.keeping.abort();
        self.program.end();
    }
}

impl Program {
    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self) -> Child {
        (self.command)().stdin(Stdio::piped()).spawn().unwrap()
    }

    fn begin_again(&self) {
        let mut child = self.child();
        if let Some(running) = child.as_mut()
            && running.try_wait().unwrap().is_some()
        {
            *child = Some(self.spawn());
        }
    }

    fn end(&self) {
        if let Some(mut child) = self.child().take() {
            let _ended = child.kill();
            let _status = child.wait();
        }
    }
}
