//! What was said before the turns that may come again, so that it is read once a turn. Bounded.

use crate::recent::Recent;
use crate::thread::{Budget, MessageId, Past, ThreadId};

/// How many threads' histories are remembered. With the default budget they are some megabytes at most.
const THREADS_MAX: usize = 256;

/// The histories of each thread's newest turn.
#[derive(Debug)]
pub struct Histories(Recent<ThreadId, ((MessageId, Budget), Vec<Past>)>);

impl Default for Histories {
    fn default() -> Self {
        Self(Recent::new(THREADS_MAX))
    }
}

impl Histories {
    /// What is remembered of a turn, as much as an agent asks for.
    #[must_use]
    pub fn of(&self, thread: ThreadId, turn: (MessageId, Budget)) -> Option<Vec<Past>> {
        let (known, history) = self.0.get(&thread)?;
        (known == turn).then_some(history)
    }

    /// Remembers a turn's, instead of the thread's last one.
    pub fn remember(&self, thread: ThreadId, turn: (MessageId, Budget), history: Vec<Past>) {
        let _before = self.0.insert(thread, (turn, history));
    }
}
