//! Notes what operators do where it is kept of each thread: in the timeline, without who and what was said.

use crate::clock::Clock;
use crate::telemetry::journal::{Journal, OperatorAct, Record, Stage};
use crate::thread::ThreadId;

/// Where it is noted.
#[derive(Clone, Debug)]
pub struct Notes {
    /// The journal, which the timeline keeps.
    pub journal: Journal,
    /// Dates it.
    pub clock: Clock,
}

impl Notes {
    /// Notes that an operator did something in a thread.
    pub fn note(&self, thread: ThreadId, act: OperatorAct) {
        let stage = Stage::Operator { act };
        let at = self.clock.wall();
        self.journal.record(Record { at, thread, message: None, reply_id: None, stage });
    }
}
