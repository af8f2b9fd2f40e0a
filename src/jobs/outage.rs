//! Tells an outage of something that many jobs need from the failing of single jobs. Pure.
//!
//! Something that is away is one fact, not one failure for each job that meets it: while it is away,
//! jobs are parked without an attempt counted, one goes as a probe after each pause, and its first
//! success lets the others follow, slowly at first. Where one subject (a conversation) fails alone
//! while others succeed it is that one's failure, and has a schedule.
//!
//! | state | a success | a failure | time |
//! | --- | --- | --- | --- |
//! | up | stays | suspected: one failure | |
//! | suspected | up | counts; away once there are five in a row, of two subjects at least | |
//! | away | recovering | of a probe: the pause grows from a second to five | after the pause, counted from the last probe's start, one may go; one that lives much longer than failing took shows it is back |
//! | recovering | stays | away | ever more may go, until all may: up |
//!
//! A success is any answer that shows it at work, a refusal too.

use std::time::Duration;

use crate::clock::Moment;

/// Failures in a row after which it is away, if they are not all of one subject.
const FAILURES_MAX: u32 = 5;
/// From how many failures in a row a job that failed is parked instead of counted.
const FAILURES_SUSPICIOUS: u32 = 2;
/// The pauses between probes; the last one stays.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
    Duration::from_secs(5),
];
/// How many may go in the first second after it is back; twice as many in each one that follows.
const RELEASED_FIRST: u32 = 32;
/// After how many seconds all may go.
const RELEASE_SECS: u64 = 5;
/// How long a probe must at least have lived to be taken for a sign of life.
const ALIVE_AFTER_MIN: Duration = Duration::from_secs(1);
/// How much too early a request may go. What a job needs may be two things, both away: the leave to take
/// the job comes from the one, and its first request meets the other, whose pause began as long later as
/// the job took to get there.
const NEARLY: Duration = Duration::from_millis(250);

/// What a request is about: the bytes of a conversation's sid, or whatever stands for another thread.
pub type Subject = [u8; 16];

/// Whether requests may go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pass {
    /// Go.
    Go,
    /// Ask again then.
    Wait(Moment),
}

/// What changed for those who watch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// Nothing.
    None,
    /// It is away from now on.
    Away,
    /// It is back.
    Back,
}

/// What is known of something that jobs need.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Outage {
    /// It works.
    #[default]
    Up,
    /// It has failed since it last worked, and that may be somebody's own failure.
    Suspected {
        /// Failures in a row.
        failures: u32,
        /// Whose; none if it was nobody's in particular.
        subject: Option<Subject>,
        /// Whether they are of more than one subject.
        is_shared: bool,
    },
    /// It does not work.
    Away {
        /// When the next probe may go.
        next_at: Moment,
        /// When the next job may be taken for one.
        take_at: Moment,
        /// Which pause is the next.
        pauses: usize,
        /// Since when a probe is out.
        probing_since: Option<Moment>,
        /// How long failing took.
        failed_within: Duration,
    },
    /// It works again, and those who waited follow.
    Recovering {
        /// Since when.
        since: Moment,
        /// When the next one may go.
        due: Moment,
    },
}

impl Outage {
    /// Decides about one more request.
    pub fn pass(&mut self, now: Moment) -> Pass {
        self.notice_life(now);
        match self {
            Self::Up | Self::Suspected { .. } | Self::Recovering { .. } => Pass::Go,
            Self::Away { next_at, .. } if now + NEARLY < *next_at => Pass::Wait(*next_at),
            Self::Away { next_at, take_at, pauses, probing_since, .. } => {
                *next_at = now + pause(*pauses);
                *take_at = *next_at;
                *probing_since = Some(probing_since.unwrap_or(now));
                Pass::Go
            }
        }
    }

    /// Decides whether one more job may be taken up that will make a request.
    pub fn admit(&mut self, now: Moment) -> Pass {
        self.notice_life(now);
        match self {
            Self::Up | Self::Suspected { .. } => Pass::Go,
            Self::Away { next_at, take_at, pauses, probing_since, failed_within } => {
                let at = (*next_at).max(*take_at);
                if now >= at {
                    // Its request is to come; if it makes none, another one goes after the pause.
                    *take_at = now + pause(*pauses);
                    return Pass::Go;
                }
                let alive_at = probing_since.map(|since| since + alive_after(*failed_within));
                Pass::Wait(alive_at.map_or(at, |alive_at| alive_at.min(at)))
            }
            Self::Recovering { since, due } => {
                let seconds = now.since(*since).as_secs();
                if seconds >= RELEASE_SECS {
                    *self = Self::Up;
                    return Pass::Go;
                }
                if now < *due {
                    return Pass::Wait(*due);
                }
                let rate = RELEASED_FIRST << seconds;
                // What nobody used is not made up for.
                *due = now + Duration::from_secs(1) / rate;
                Pass::Go
            }
        }
    }

    /// Notes that it worked.
    pub fn succeeded(&mut self, now: Moment) -> Change {
        match self {
            Self::Up | Self::Recovering { .. } => Change::None,
            Self::Suspected { .. } => {
                *self = Self::Up;
                Change::None
            }
            Self::Away { .. } => {
                *self = Self::Recovering { since: now, due: now };
                Change::Back
            }
        }
    }

    /// Notes a failure that may show it away, and how long that took.
    pub fn failed(&mut self, subject: Option<Subject>, took: Duration, now: Moment) -> Change {
        match self {
            Self::Up => {
                *self = Self::Suspected { failures: 1, subject, is_shared: false };
                Change::None
            }
            Self::Suspected { failures, subject: first, is_shared } => {
                *failures = failures.saturating_add(1);
                *is_shared |= subject.is_none() || subject != *first;
                if *is_shared && *failures >= FAILURES_MAX {
                    *self = Self::away(now, took);
                    return Change::Away;
                }
                Change::None
            }
            Self::Away { next_at, take_at, pauses, probing_since, failed_within } => {
                // Those that were out before it was away say nothing new.
                if probing_since.take().is_some() {
                    *failed_within = took;
                    // The pause has begun with the probe; one that was slow to fail is no reason to wait
                    // for longer.
                    *next_at = (*next_at).max(now + PAUSES[0]);
                    *take_at = *next_at;
                    *pauses = pauses.saturating_add(1);
                }
                Change::None
            }
            Self::Recovering { .. } => {
                *self = Self::away(now, took);
                Change::Away
            }
        }
    }

    /// Notes that something is back that may have been away for the same reason: a probe may go at once.
    pub fn nudged(&mut self, now: Moment) {
        if let Self::Away { next_at, take_at, .. } = self {
            *next_at = (*next_at).min(now);
            *take_at = *next_at;
        }
    }

    /// How long a job is to be parked that has just failed for it; nothing if it is the job's own
    /// failure.
    #[must_use]
    pub fn parks(&self, now: Moment) -> Option<Duration> {
        match self {
            Self::Up => None,
            Self::Suspected { failures, .. } => {
                let before = failures.checked_sub(FAILURES_SUSPICIOUS)?;
                Some(pause(usize::try_from(before).unwrap_or(usize::MAX)))
            }
            Self::Away { next_at, .. } => Some(next_at.since(now)),
            Self::Recovering { .. } => Some(PAUSES[0]),
        }
    }

    /// Whether it is away.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        matches!(self, Self::Away { .. })
    }

    fn away(now: Moment, took: Duration) -> Self {
        let next_at = now + pause(0);
        Self::Away {
            next_at,
            take_at: next_at,
            pauses: 1,
            probing_since: None,
            failed_within: took,
        }
    }

    /// A probe that has lived much longer than failing took is taken for one that is being answered:
    /// who thinks for a quarter of a minute is not to keep the others waiting for as long.
    fn notice_life(&mut self, now: Moment) {
        if let Self::Away { probing_since: Some(since), failed_within, .. } = *self
            && now.since(since) >= alive_after(failed_within)
        {
            *self = Self::Recovering { since: now, due: now };
        }
    }
}

fn pause(at: usize) -> Duration {
    PAUSES[at.min(PAUSES.len() - 1)]
}

fn alive_after(failed_within: Duration) -> Duration {
    (failed_within * 2).max(ALIVE_AFTER_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(20);

    #[test]
    fn one_failure_counts_for_its_job_and_more_in_a_row_do_not() {
        let mut outage = Outage::default();
        assert_eq!(outage.parks(at(0)), None);
        outage.failed(Some(A), QUICK, at(0));
        assert_eq!(outage.parks(at(0)), None, "it may be the job's own");
        let parked = (0..5).map(|_| {
            outage.failed(Some(A), QUICK, at(0));
            outage.parks(at(0)).map(|pause| pause.as_secs())
        });
        assert_eq!(parked.collect::<Vec<_>>(), [Some(1), Some(2), Some(3), Some(5), Some(5)]);
    }

    #[test]
    fn a_subject_that_fails_alone_holds_up_nobody() {
        let mut outage = Outage::default();
        for n in 0..1000 {
            assert_eq!(outage.failed(Some(A), QUICK, at(n)), Change::None);
            assert_eq!((outage.admit(at(n)), outage.pass(at(n))), (Pass::Go, Pass::Go));
        }
        assert_eq!(outage.succeeded(at(1000)), Change::None);
        outage.failed(Some(A), QUICK, at(1001));
        assert_eq!(outage.parks(at(1001)), None, "while others succeed its failures count");
    }

    #[test]
    fn failures_that_others_successes_interrupt_show_no_outage() {
        let mut outage = Outage::default();
        for n in 0..100 {
            for subject in [A, B, C, B] {
                assert_eq!(outage.failed(Some(subject), QUICK, at(n)), Change::None);
            }
            assert_eq!(outage.succeeded(at(n)), Change::None);
        }
    }

    #[test]
    fn while_it_is_away_one_probe_goes_after_each_pause_of_one_to_five_seconds() {
        let (mut outage, mut now, mut pauses) = (away(), at(0), Vec::new());
        for _ in 0..6 {
            let Pass::Wait(until) = outage.pass(now) else { panic!("{now:?}") };
            assert_eq!(outage.admit(now), Pass::Wait(until));
            pauses.push(until.since(now).as_secs());
            now = until;
            assert_eq!(outage.admit(now), Pass::Go);
            assert!(matches!(outage.admit(now), Pass::Wait(_)), "one job is taken up");
            assert_eq!(outage.pass(now), Pass::Go);
            assert!(matches!(outage.pass(now), Pass::Wait(_)), "and makes one request");
            outage.failed(Some(B), QUICK, now);
            outage.failed(Some(C), QUICK, now);
        }
        assert_eq!(pauses, [1, 2, 3, 5, 5, 5]);
        assert_eq!(outage.parks(now), Some(Duration::from_secs(5)), "until the next probe");
    }

    #[test]
    fn the_wait_after_its_end_is_five_seconds_however_long_it_was() {
        for hours in [0, 1, 100] {
            let (mut outage, mut now) = (away(), at(0));
            while now < at(hours * 3600) {
                let Pass::Wait(until) = outage.pass(now) else { panic!("a pause") };
                now = until;
                assert_eq!(outage.pass(now), Pass::Go);
                outage.failed(Some(A), QUICK, now);
            }
            let Pass::Wait(until) = outage.pass(now) else { panic!("a pause") };
            assert!(until.since(now) <= Duration::from_secs(5));
            assert_eq!(outage.pass(until), Pass::Go);
            assert_eq!(outage.succeeded(until), Change::Back);
        }
    }

    #[test]
    fn a_probe_that_is_slow_to_fail_does_not_make_the_pause_longer() {
        let (mut outage, slow) = (away(), Duration::from_secs(4));
        for (goes, next) in [(1, 6), (6, 11), (11, 16), (16, 21)] {
            assert_eq!(outage.pass(at(goes)), Pass::Go);
            outage.failed(Some(B), slow, at(goes + 4));
            assert_eq!(outage.pass(at(goes + 4)), Pass::Wait(at(next)));
        }
        let limit = Duration::from_secs(15);
        let mut outage = Outage::away(at(0), limit);
        for goes in [1, 3, 6, 11, 15] {
            assert_eq!(outage.pass(at(goes)), Pass::Go, "while others are out");
        }
        outage.failed(Some(A), limit, at(16));
        assert_eq!(outage.pass(at(16)), Pass::Wait(at(17)));
    }

    #[test]
    fn a_probe_goes_at_once_when_something_beside_it_is_back() {
        let mut outage = away();
        assert_eq!(outage.admit(at(0)), Pass::Wait(at(1)));
        outage.nudged(at(0));
        assert_eq!((outage.admit(at(0)), outage.pass(at(0))), (Pass::Go, Pass::Go));
        assert!(matches!(outage.pass(at(0)), Pass::Wait(_)), "one");
        let mut outage = Outage::Up;
        outage.nudged(at(0));
        assert_eq!(outage, Outage::Up);
    }

    #[test]
    fn a_job_that_makes_no_request_is_followed_by_another() {
        let mut outage = away();
        assert_eq!(outage.admit(at(1)), Pass::Go);
        assert_eq!(outage.admit(at(1)), Pass::Wait(at(3)));
        assert_eq!(outage.admit(at(3)), Pass::Go);
    }

    #[test]
    fn a_probe_that_never_ends_is_followed_by_another() {
        let mut outage = away();
        assert_eq!(outage.pass(at(1)), Pass::Go);
        // Failing took two minutes, so this one may be failing still.
        let slow = Duration::from_secs(120);
        outage.failed(Some(A), slow, at(1));
        assert_eq!(outage.pass(at(3)), Pass::Go);
        assert_eq!(outage.pass(at(4)), Pass::Wait(at(6)));
        assert_eq!(outage.pass(at(6)), Pass::Go);
    }

    #[test]
    fn once_it_is_back_ever_more_may_go_until_all_may() {
        let mut outage = away();
        assert_eq!(outage.succeeded(at(10)), Change::Back);
        let mut went = Vec::new();
        let (mut now, mut count) = (at(10), 0_u32);
        while now < at(16) {
            match outage.admit(now) {
                Pass::Go if outage == Outage::Up => now = at(16),
                Pass::Go => count += 1,
                Pass::Wait(until) => {
                    if until.since(at(10)).as_secs() > now.since(at(10)).as_secs() {
                        went.push(std::mem::take(&mut count));
                    }
                    now = until;
                }
            }
        }
        assert_eq!(went, [32, 64, 128, 256, 512]);
        assert_eq!(outage, Outage::Up);
    }

    #[test]
    fn a_failure_while_it_recovers_shows_it_away_again() {
        let mut outage = away();
        outage.succeeded(at(10));
        assert_eq!(outage.parks(at(10)), Some(Duration::from_secs(1)));
        assert_eq!(outage.failed(Some(C), QUICK, at(11)), Change::Away);
        assert_eq!(outage.pass(at(11)), Pass::Wait(at(12)));
    }

    #[test]
    fn a_probe_that_lives_much_longer_than_failing_took_lets_the_others_go() {
        let mut outage = away();
        assert_eq!(outage.pass(at(1)), Pass::Go);
        assert_eq!(outage.admit(at(1)), Pass::Wait(at(2)), "then it is seen whether it lives");
        assert_eq!(outage.admit(at(2)), Pass::Go);
        assert!(!outage.is_away());
        assert_eq!(outage.failed(Some(A), Duration::from_secs(9), at(10)), Change::Away);
        assert_eq!(outage.pass(at(11)), Pass::Go);
        assert!(matches!(outage.pass(at(12)), Pass::Wait(_)), "failing took nine seconds");
    }

    fn away() -> Outage {
        let mut outage = Outage::default();
        let changes = [A, B, A, B, A].map(|subject| outage.failed(Some(subject), QUICK, at(0)));
        assert_eq!(changes[4], Change::Away);
        assert!(changes[..4].iter().all(|change| *change == Change::None));
        outage
    }

    const A: Subject = [1; 16];
    const B: Subject = [2; 16];
    const C: Subject = [3; 16];

    fn at(secs: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(secs)
    }
}
