//! What the pages look at and act with: the same parts that the admin API calls.

use std::fmt;
use std::sync::Arc;

use crate::admin::dead_letters::DeadLetters;
use crate::admin::notes::Notes;
use crate::admin::texts::KeptTexts;
use crate::admin::threads::ThreadSearch;
use crate::agent::later::Outbox;

/// What is looked at and acted with; there is none where Twilio is switched off.
#[derive(Clone)]
pub struct Workbench {
    /// Dead letters.
    pub dead_letters: DeadLetters,
    /// Threads, who has them and what happened in them.
    pub threads: ThreadSearch,
    /// What was said and is still kept.
    pub texts: KeptTexts,
    /// Where goes what an operator says.
    pub outbox: Arc<dyn Outbox>,
    /// Where it is noted what an operator does.
    pub notes: Notes,
}

impl fmt::Debug for Workbench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workbench").finish_non_exhaustive()
    }
}
