//! Keeps words of progress before the answer that they belong to.
//!
//! They come by the topic that all connectors share, the answer by our own, and neither waits for the
//! other. So a word is let through only where its answer has not come and it is fresh, and an answer
//! waits while a word is being stored. Where another instance took the answer its age alone decides.
//! Bounded, never on disk.

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

use crate::recent::Recent;

/// How many answered requests are remembered at most.
const REQUESTS_MAX: usize = 20_000;

/// How old a word of progress may be. Chosen: what is said later than this has nothing to say.
const AGE_MAX: Duration = Duration::from_secs(5);

/// The memory, and who is first.
pub(super) struct ProgressWords {
    first: Mutex<()>,
    answered: Recent<String, ()>,
}

impl ProgressWords {
    /// Starts with no memory.
    pub(super) fn new() -> Self {
        Self { first: Mutex::default(), answered: Recent::new(REQUESTS_MAX) }
    }

    /// Notes that the answer to a request is here; words that are just being stored go first.
    pub(super) async fn answer(&self, request: &str) {
        let _first = self.first.lock().await;
        self.answered.insert(request.to_owned(), ());
    }

    /// Lets a word through; what is given has to be kept until it is stored.
    pub(super) async fn admit(
        &self,
        request: Option<&str>,
        age: Duration,
    ) -> Option<MutexGuard<'_, ()>> {
        let first = self.first.lock().await;
        let is_over = request.is_some_and(|request| self.answered.get(request).is_some());
        (age <= AGE_MAX && !is_over).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_word_goes_before_its_answer_or_not_at_all() {
        let words = ProgressWords::new();
        let fresh = Duration::from_secs(1);
        assert!(words.admit(Some("c-1"), fresh).await.is_some());
        words.answer("c-1").await;
        assert!(words.admit(Some("c-1"), fresh).await.is_none(), "its answer is here");
        assert!(words.admit(Some("c-2"), fresh).await.is_some());
        assert!(words.admit(None, AGE_MAX).await.is_some());
        assert!(words.admit(None, AGE_MAX + fresh).await.is_none(), "it is old");
    }
}
