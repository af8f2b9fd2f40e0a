//! Dead letters counted by cause, each with what helps: the count that comes before an act.

use serde::{Deserialize, Serialize};

use super::{DeadLetters, ParsedSelection, Selection};
use crate::admin::remedies;
use crate::queue::{CAUSE_LETTERS_MAX, Error};

/// Dead letters of one queue that died of one cause.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CauseLine {
    /// The queue's name.
    pub queue: String,
    /// The class, a word of a closed set.
    pub class: String,
    /// The other side's code.
    pub code: Option<u32>,
    /// How many there are.
    pub count: u64,
    /// When the first of them died.
    pub oldest: String,
    /// When the last of them died.
    pub newest: String,
    /// What the cause means, in a few words.
    pub meaning: String,
    /// What helps.
    pub helps: String,
}

/// Dead letters by cause.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Causes {
    /// The causes, the most frequent first.
    pub causes: Vec<CauseLine>,
    /// How many letters there are in all.
    pub count: u64,
    /// Whether all were counted; of more than 100,000 in a queue the first are.
    pub whole: bool,
    /// Until when letters were counted; an act that passes it on as `before` touches none that died later.
    pub before: String,
}

impl DeadLetters {
    /// Counts dead letters by cause.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the selection is malformed, or a storage error.
    pub async fn causes(&self, selection: &Selection) -> Result<Causes, Error> {
        let mut wanted = self.parse(selection).await?;
        self.border(&mut wanted.filter);
        self.count(&wanted).await
    }

    pub(super) async fn count(&self, wanted: &ParsedSelection) -> Result<Causes, Error> {
        let before = wanted.filter.before.map(|before| before.to_string()).unwrap_or_default();
        let mut all = Causes { causes: Vec::new(), count: 0, whole: true, before };
        for name in wanted.queues_from(None) {
            let queue = self.store.queue(name);
            let found = queue.causes(wanted.filter.clone(), CAUSE_LETTERS_MAX).await?;
            all.whole &= found.is_whole;
            for cause in found.causes {
                all.count = all.count.saturating_add(cause.count);
                let help = remedies::of(&cause.class, cause.code);
                all.causes.push(CauseLine {
                    queue: name.to_string(),
                    class: cause.class,
                    code: cause.code,
                    count: cause.count,
                    oldest: cause.oldest.to_string(),
                    newest: cause.newest.to_string(),
                    meaning: help.meaning.to_owned(),
                    helps: help.helps.to_owned(),
                });
            }
        }
        all.causes.sort_by_key(|cause| std::cmp::Reverse(cause.count));
        Ok(all)
    }
}
