//! The only reader of time.
//!
//! Decisions take the time as an argument; only drivers hold a [`Clock`]. The two kinds of time are
//! two types, so that a timer cannot be set by a wall clock that somebody adjusts: [`Moment`] for
//! deadlines and durations, [`Timestamp`] for what is stored, logged or sent.

use std::fmt;
use std::ops::Add;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Reads both kinds of time. Clones agree with each other.
///
/// Follows tokio's clock, so a test with paused time moves it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    /// Starts a clock whose [`Moment::ORIGIN`] is now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads time")]
    pub fn start() -> Self {
        Self { origin: tokio::time::Instant::now() }
    }

    /// Reads the monotonic time.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }

    /// Reads the wall clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads time")]
    pub fn wall(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    /// Waits for so long.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now() + duration).await;
    }

    /// Waits until `moment`; returns at once if it has passed.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    pub async fn sleep_until(&self, moment: Moment) {
        tokio::time::sleep_until(self.origin + moment.0).await;
    }

    /// Waits until `moment`, or for ever without one.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    pub async fn sleep_until_or_never(&self, moment: Option<Moment>) {
        match moment {
            Some(moment) => self.sleep_until(moment).await,
            None => std::future::pending().await,
        }
    }
}

/// A point of monotonic time: the time passed since its clock's origin.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Moment(Duration);

impl Moment {
    /// The origin of every clock; tests count from here.
    pub const ORIGIN: Self = Self(Duration::ZERO);

    /// The time from `earlier` to `self`, zero if it is the other way round.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// Saturates at the end of time.
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(rhs))
    }
}

/// A point of wall-clock time, in whole milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Takes milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Gives milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Gives whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Reads RFC 3339, as Twilio writes it with or without milliseconds.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|at| Self(at.as_millisecond()))
    }

    /// Reads RFC 2822, as Twilio's older APIs write it: `Thu, 24 Aug 2023 05:01:45 +0000`.
    #[must_use]
    pub fn parse_rfc2822(text: &str) -> Option<Self> {
        let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        Some(Self(at.as_millisecond()))
    }

    /// The time from `earlier` to `self`, zero if it is the other way round.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The moment `duration` before this one.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Saturates at the end of time.
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(rhs.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Timestamp {
    /// As RFC 3339 without parts of a second.
    #[must_use]
    pub fn in_whole_seconds(self) -> String {
        Self::from_millis(self.as_secs().saturating_mul(1000)).to_string().replace(".000Z", "Z")
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds: `2026-11-21T03:48:05.120Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_print_as_they_parse() {
        for text in
            ["2026-11-21T03:48:05.120Z", "1970-01-01T00:00:00.000Z", "2021-08-10T18:00:58.111Z"]
        {
            assert_eq!(Timestamp::parse_rfc3339(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Timestamp::parse_rfc3339("2015-12-16T22:18:37Z").unwrap().to_string(),
            "2015-12-16T22:18:37.000Z"
        );
        assert_eq!(Timestamp::parse_rfc3339("yesterday"), None);
    }

    #[test]
    fn an_older_form_says_the_same_time() {
        for text in ["Thu, 24 Aug 2023 05:01:45 +0000", "Thu, 24 Aug 2023 07:01:45 +0200"] {
            let at = Timestamp::parse_rfc2822(text).unwrap();
            assert_eq!(at.to_string(), "2023-08-24T05:01:45.000Z", "{text}");
        }
        assert_eq!(Timestamp::parse_rfc2822("2023-08-24T05:01:45Z"), None);
    }

    #[test]
    fn differences_never_go_below_zero() {
        let early = Moment::ORIGIN + Duration::from_secs(1);
        let late = Moment::ORIGIN + Duration::from_secs(3);
        assert_eq!(late.since(early), Duration::from_secs(2));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(Timestamp::from_millis(5).since(Timestamp::from_millis(9)), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_moves_only_by_waiting() {
        let clock = Clock::start();
        assert_eq!(clock.now(), Moment::ORIGIN);
        clock.sleep_until(Moment::ORIGIN + Duration::from_secs(3600)).await;
        assert_eq!(clock.now(), Moment::ORIGIN + Duration::from_secs(3600));
    }
}
