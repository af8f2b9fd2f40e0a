//! Who is signed in to the console, for how long. Pure: the time is an argument.
//!
//! A session is found by the digest of what the browser's cookie has, so that neither memory nor the time
//! that finding takes tells of a cookie. There are so many at most, each ends some time after its last
//! request and at the latest after a working day; a restart ends all.

use std::collections::HashMap;
use std::time::Duration;

use super::role::ConsoleRole;
use crate::clock::Moment;

/// ConsoleSessions at once; the one that was longest without a request goes for a further one.
const SESSIONS_MAX: usize = 256;

/// How long after its last request one ends.
const IDLE_MAX: Duration = Duration::from_secs(60 * 60);

/// How long after its beginning one ends.
pub(super) const AGE_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// The digest of a cookie's value.
pub(super) type SessionDigest = [u8; 32];

/// All sessions.
#[derive(Debug, Default)]
pub struct ConsoleSessions(HashMap<SessionDigest, SessionEntry>);

#[derive(Clone, Copy, Debug)]
struct SessionEntry {
    role: ConsoleRole,
    since: Moment,
    used: Moment,
}

impl SessionEntry {
    fn is_over(&self, now: Moment) -> bool {
        now.since(self.used) > IDLE_MAX || now.since(self.since) > AGE_MAX
    }
}

impl ConsoleSessions {
    /// Begins one.
    pub(super) fn open(&mut self, now: Moment, digest: SessionDigest, role: ConsoleRole) {
        self.0.retain(|_, entry| !entry.is_over(now));
        if self.0.len() >= SESSIONS_MAX {
            let oldest =
                self.0.iter().min_by_key(|(_, entry)| entry.used).map(|(digest, _)| *digest);
            if let Some(oldest) = oldest {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(digest, SessionEntry { role, since: now, used: now });
    }

    /// Finds what a session may do, and notes that it was used.
    pub(super) fn find(&mut self, now: Moment, digest: &SessionDigest) -> Option<ConsoleRole> {
        let entry = self.0.get_mut(digest).filter(|entry| !entry.is_over(now))?;
        entry.used = now;
        Some(entry.role)
    }

    /// Ends one.
    pub(super) fn close(&mut self, digest: &SessionDigest) {
        self.0.remove(digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn digest(n: usize) -> SessionDigest {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&n.to_le_bytes());
        digest
    }

    #[test]
    fn a_session_ends_an_hour_after_its_last_request_and_twelve_after_its_beginning() {
        let mut sessions = ConsoleSessions::default();
        let at = |minutes: u32| Moment::ORIGIN + MINUTE * minutes;
        sessions.open(at(0), digest(1), ConsoleRole::Act);
        for minutes in (0..=720).step_by(60) {
            assert_eq!(sessions.find(at(minutes), &digest(1)), Some(ConsoleRole::Act), "{minutes}");
        }
        assert_eq!(sessions.find(at(721), &digest(1)), None, "too old");
        sessions.open(at(0), digest(2), ConsoleRole::Read);
        assert_eq!(sessions.find(at(61), &digest(2)), None, "idle");
        assert_eq!(sessions.find(at(0), &digest(3)), None, "never begun");
    }

    #[test]
    fn there_are_so_many_and_the_longest_unused_goes_first() {
        let mut sessions = ConsoleSessions::default();
        let at = |n: usize| Moment::ORIGIN + Duration::from_millis(n.try_into().unwrap());
        for n in 0..SESSIONS_MAX {
            sessions.open(at(n), digest(n), ConsoleRole::Act);
        }
        assert!(sessions.find(at(1_000), &digest(0)).is_some());
        sessions.open(at(1_001), digest(SESSIONS_MAX), ConsoleRole::Read);
        assert_eq!(sessions.0.len(), SESSIONS_MAX);
        assert!(sessions.find(at(1_002), &digest(0)).is_some(), "it was used");
        assert!(sessions.find(at(1_002), &digest(1)).is_none(), "it was not");
    }

    #[test]
    fn who_signs_out_is_out() {
        let mut sessions = ConsoleSessions::default();
        sessions.open(Moment::ORIGIN, digest(1), ConsoleRole::Act);
        sessions.close(&digest(1));
        assert_eq!(sessions.find(Moment::ORIGIN, &digest(1)), None);
    }
}
