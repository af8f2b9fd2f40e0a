//! The times of which a store does not know what was done: since the backup that it was restored from was
//! taken, until a service first started on it.
//!
//! They are a document of the store. Opening a copy notes that one began; the service's start ends it. Pure,
//! but for reading and writing that.

use serde::{Deserialize, Serialize};

use super::documents::Documents;
use super::error::Error;
use crate::clock::Timestamp;

/// The document's name.
pub(super) const DOCUMENT: &str = "restored";

/// How many are remembered; of more, the oldest are forgotten, whose messages are long settled.
const TIMES_MAX: usize = 16;

/// All of them, the oldest first.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct LostTimes(Vec<LostTime>);

/// One of them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct LostTime {
    /// When the backup was taken.
    from: Timestamp,
    /// When a service first started on what was restored; not yet, if there is none.
    until: Option<Timestamp>,
}

impl LostTimes {
    /// Makes one, for those who decide by it.
    #[must_use]
    pub fn one(from: Timestamp, until: Timestamp) -> Self {
        Self(vec![LostTime { from, until: Some(until) }])
    }

    /// Reads them, and ends the one that lasts until now.
    ///
    /// # Errors
    ///
    /// If the store could not be read or written.
    pub async fn end(documents: &Documents, now: Timestamp) -> Result<Self, Error> {
        let ended = |before: Option<&[u8]>| {
            let times = Self::read(before?);
            times.0.iter().any(|time| time.until.is_none()).then(|| times.ended(now).written())
        };
        let kept = documents.update(DOCUMENT, ended).await?;
        Ok(kept.map(|kept| Self::read(&kept)).unwrap_or_default())
    }

    /// Whether there is none, as of most stores.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something that was done at a time may be unknown. Twilio dates to the second, so all of the
    /// second counts in which the backup was taken.
    #[must_use]
    pub fn covers(&self, at: Timestamp) -> bool {
        let is_in = |time: &LostTime| {
            at.as_secs() >= time.from.as_secs() && time.until.is_none_or(|until| at <= until)
        };
        self.0.iter().any(is_in)
    }

    /// Whether what became of something may be unknown that was there at a time: it was before one of them, or
    /// in it.
    #[must_use]
    pub fn follow(&self, at: Timestamp) -> bool {
        self.0.iter().any(|time| time.until.is_none_or(|until| at <= until))
    }

    /// Adds one that begins with a backup.
    pub(super) fn begun(mut self, from: Timestamp) -> Self {
        self.0.push(LostTime { from, until: None });
        let beyond = self.0.len().saturating_sub(TIMES_MAX);
        self.0.drain(..beyond);
        self
    }

    fn ended(mut self, now: Timestamp) -> Self {
        for time in &mut self.0 {
            time.until = time.until.or(Some(now));
        }
        self
    }

    pub(super) fn read(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_else(|_| {
            tracing::error!(
                "since when the store was restored cannot be read; it is taken for none"
            );
            Self::default()
        })
    }

    pub(super) fn written(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers are always JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_lost_from_the_second_of_the_backup_to_the_first_start() {
        let times = LostTimes::default().begun(at(1_500));
        assert!(times.covers(at(1_000)) && times.covers(at(9_000_000)), "nothing has started yet");
        let times = times.ended(at(3_000)).ended(at(7_000));
        for (millis, is_lost, is_followed) in
            [(999, false, true), (1_000, true, true), (3_000, true, true), (3_001, false, false)]
        {
            assert_eq!(times.covers(at(millis)), is_lost, "{millis}");
            assert_eq!(times.follow(at(millis)), is_followed, "{millis}");
        }
        assert_eq!(LostTimes::read(&times.written()), times);
        assert_eq!(times.written(), br#"[{"from":1500,"until":3000}]"#);
    }

    #[test]
    fn the_latest_are_remembered() {
        let times = (0..20).fold(LostTimes::default(), |times, n| times.begun(at(n)).ended(at(n)));
        assert_eq!(times.0.len(), TIMES_MAX);
        assert!(times.covers(at(19)) && !times.covers(at(20_000)));
        assert!(LostTimes::default().is_empty() && LostTimes::read(b"?").is_empty());
    }

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }
}
