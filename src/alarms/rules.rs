//! Which alarms fire, by what is seen of the service. Pure: the time is an argument.
//!
//! What is bad for as long as its alarm waits fires; what is bad no longer, or is not there any more, is over
//! at once. What goes on firing is told again after a while, and dead letters that grow earlier than that.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::Serialize;

use crate::clock::{Moment, Timestamp};

/// Over how long it is counted how many turns fail.
const TURNS_WINDOW: Duration = Duration::from_secs(10 * 60);

/// From how many failed turns on more than half of them are an alarm.
const TURNS_MIN: u64 = 10;

/// Looks that are remembered of the window; older ones go first.
const SAMPLES_MAX: usize = 1_024;

/// How long after it was told that there are dead letters more of them are told.
const GROWN_AFTER: Duration = Duration::from_secs(15 * 60);

/// What can be wrong.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Alarm {
    /// The store takes nothing.
    StoreFailing,
    /// Twilio refuses the credentials.
    TwilioRefuses,
    /// Twilio does not answer requests.
    TwilioDown,
    /// An identity's socket is not connected.
    SocketDown,
    /// An agent does not answer.
    AgentDown,
    /// More than half of the turns fail.
    TurnsFailing,
    /// Too many jobs wait in a queue.
    QueueDepth,
    /// The oldest job of a queue waits too long.
    QueueOldest,
    /// There are dead letters.
    DeadLetters,
    /// An identity sits in nearly as many conversations as it may.
    SeatsRunOut,
}

/// Whether it can wait for the morning.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Somebody should be woken.
    Page,
    /// It waits for the morning.
    Ticket,
}

impl Alarm {
    /// How urgent it is.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::DeadLetters | Self::SeatsRunOut | Self::QueueDepth => Severity::Ticket,
            Self::StoreFailing
            | Self::TwilioRefuses
            | Self::TwilioDown
            | Self::SocketDown
            | Self::AgentDown
            | Self::TurnsFailing
            | Self::QueueOldest => Severity::Page,
        }
    }

    /// Whether it may pass by itself within moments, so that it is not told at once.
    const fn may_pass(self) -> bool {
        !matches!(self, Self::DeadLetters | Self::SeatsRunOut | Self::TurnsFailing)
    }
}

/// From where on it is bad, and when it is told.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// Open jobs of one queue.
    pub depth: u64,
    /// How old its oldest may be.
    pub oldest: Duration,
    /// Conversations of one identity.
    pub seats: u64,
    /// How long what may pass by itself has to last.
    pub hold: Duration,
    /// How often what goes on is told again.
    pub repeat: Duration,
}

/// What is seen of the service.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Whether the store takes nothing.
    pub store_fails: bool,
    /// Whether Twilio refuses the credentials.
    pub twilio_refuses: bool,
    /// Whether Twilio does not answer.
    pub twilio_is_down: bool,
    /// The identities whose socket is to be here, and whether it is connected.
    pub sockets: Vec<(String, bool)>,
    /// The agents, and whether each is away.
    pub agents: Vec<(String, bool)>,
    /// The queues.
    pub queues: Vec<QueueFacts>,
    /// The identities, and how many conversations each sits in.
    pub seats: Vec<(String, u64)>,
    /// The turns that ended so far.
    pub turns: TurnFacts,
}

/// What is seen of a queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueFacts {
    /// Its name.
    pub name: &'static str,
    /// Jobs that are not settled.
    pub open: u64,
    /// Dead letters.
    pub dead: u64,
    /// How old the oldest open job is.
    pub oldest: Duration,
}

/// How many turns ended since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct TurnFacts {
    /// All that reached the agent and ended, the failed ones included.
    pub ended: u64,
    /// The failed ones.
    pub failed: u64,
}

/// One thing that is well or not.
struct AlarmReading {
    alarm: Alarm,
    subject: String,
    value: Option<u64>,
    threshold: Option<u64>,
    is_bad: bool,
}

/// Something to be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AlarmChange {
    /// What is wrong, or was.
    pub alarm: Alarm,
    /// With whom: an identity, an agent, a queue; empty where there is but one.
    pub subject: String,
    /// Whether it is wrong now.
    pub is_firing: bool,
    /// Since when it has been wrong.
    pub since: Timestamp,
    /// How many, or how many seconds.
    pub value: Option<u64>,
    /// From where on it is bad.
    pub threshold: Option<u64>,
}

/// Something that is wrong.
struct StandingAlarm {
    from: Moment,
    since: Timestamp,
    told: Option<ToldAlarm>,
    value: Option<u64>,
    threshold: Option<u64>,
}

#[derive(Clone, Copy)]
struct ToldAlarm {
    at: Moment,
    value: Option<u64>,
}

/// What is wrong, and what was told of it.
pub struct AlarmWatch {
    thresholds: Thresholds,
    standing: BTreeMap<(Alarm, String), StandingAlarm>,
    turns: VecDeque<(Moment, TurnFacts)>,
}

impl AlarmWatch {
    /// Begins with nothing wrong.
    #[must_use]
    pub const fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, standing: BTreeMap::new(), turns: VecDeque::new() }
    }

    /// Takes in what is seen now; gives what is to be told, what is worst first.
    pub fn look(&mut self, now: Moment, wall: Timestamp, facts: &Facts) -> Vec<AlarmChange> {
        let mut changes = Vec::new();
        let mut over = std::mem::take(&mut self.standing);
        for reading in self.readings(now, facts) {
            if !reading.is_bad {
                continue;
            }
            let key = (reading.alarm, reading.subject);
            let mut standing = over.remove(&key).unwrap_or(StandingAlarm {
                from: now,
                since: wall,
                told: None,
                value: None,
                threshold: reading.threshold,
            });
            standing.value = reading.value;
            if self.is_due(key.0, &standing, now) {
                standing.told = Some(ToldAlarm { at: now, value: standing.value });
                changes.push(standing.change(&key, true));
            }
            self.standing.insert(key, standing);
        }
        let ended = over.iter().filter(|(_, standing)| standing.told.is_some());
        changes.extend(ended.map(|(key, standing)| standing.change(key, false)));
        changes
    }

    fn is_due(&self, alarm: Alarm, standing: &StandingAlarm, now: Moment) -> bool {
        let Some(told) = standing.told else {
            return !alarm.may_pass() || now.since(standing.from) >= self.thresholds.hold;
        };
        let quiet = now.since(told.at);
        let has_grown = alarm == Alarm::DeadLetters && standing.value > told.value;
        quiet >= self.thresholds.repeat || (has_grown && quiet >= GROWN_AFTER)
    }

    fn readings(&mut self, now: Moment, facts: &Facts) -> Vec<AlarmReading> {
        let plain = |alarm, subject: &str, is_bad| AlarmReading {
            alarm,
            subject: subject.to_owned(),
            value: None,
            threshold: None,
            is_bad,
        };
        let above = |alarm, subject: &str, value, threshold| AlarmReading {
            alarm,
            subject: subject.to_owned(),
            value: Some(value),
            threshold: Some(threshold),
            is_bad: value > threshold,
        };
        let of = self.thresholds;
        let mut all = vec![
            plain(Alarm::StoreFailing, "", facts.store_fails),
            plain(Alarm::TwilioRefuses, "", facts.twilio_refuses),
            plain(Alarm::TwilioDown, "", facts.twilio_is_down),
        ];
        let sockets = facts.sockets.iter();
        all.extend(sockets.map(|(name, is_up)| plain(Alarm::SocketDown, name, !is_up)));
        let agents = facts.agents.iter();
        all.extend(agents.map(|(name, is_away)| plain(Alarm::AgentDown, name, *is_away)));
        all.push(self.turns(now, facts.turns));
        for queue in &facts.queues {
            let (oldest, oldest_max) = (queue.oldest.as_secs(), of.oldest.as_secs());
            all.push(above(Alarm::QueueDepth, queue.name, queue.open, of.depth));
            all.push(above(Alarm::QueueOldest, queue.name, oldest, oldest_max));
            all.push(above(Alarm::DeadLetters, queue.name, queue.dead, 0));
        }
        let seats = facts.seats.iter();
        all.extend(seats.map(|(name, count)| above(Alarm::SeatsRunOut, name, *count, of.seats)));
        all
    }

    /// Compares with the turns before the window.
    fn turns(&mut self, now: Moment, turns: TurnFacts) -> AlarmReading {
        let is_old = |(at, _): &(Moment, TurnFacts)| now.since(*at) > TURNS_WINDOW;
        while self.turns.front().is_some_and(is_old) || self.turns.len() >= SAMPLES_MAX {
            self.turns.pop_front();
        }
        self.turns.push_back((now, turns));
        let before = self.turns.front().map(|(_, turns)| *turns).unwrap_or_default();
        let failed = turns.failed.saturating_sub(before.failed);
        let ended = turns.ended.saturating_sub(before.ended);
        AlarmReading {
            alarm: Alarm::TurnsFailing,
            subject: String::new(),
            value: Some(failed),
            threshold: Some(ended / 2),
            is_bad: failed >= TURNS_MIN && failed > ended / 2,
        }
    }
}

impl StandingAlarm {
    fn change(&self, (alarm, subject): &(Alarm, String), is_firing: bool) -> AlarmChange {
        AlarmChange {
            alarm: *alarm,
            subject: subject.clone(),
            is_firing,
            since: self.since,
            value: self.value,
            threshold: self.threshold,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(120);
    const REPEAT: Duration = Duration::from_secs(4 * 3600);

    fn watch() -> AlarmWatch {
        let oldest = Duration::from_secs(300);
        AlarmWatch::new(Thresholds { depth: 100, oldest, seats: 800, hold: HOLD, repeat: REPEAT })
    }

    /// What is told at a second: alarm, subject, whether it fires, the value.
    fn look(
        watch: &mut AlarmWatch,
        second: u64,
        facts: &Facts,
    ) -> Vec<(Alarm, String, bool, Option<u64>)> {
        let after = Duration::from_secs(second);
        let wall = Timestamp::from_millis(1_000_000) + after;
        let changes = watch.look(Moment::ORIGIN + after, wall, facts);
        let told =
            |change: AlarmChange| (change.alarm, change.subject, change.is_firing, change.value);
        changes.into_iter().map(told).collect()
    }

    fn queue(open: u64, dead: u64, oldest_s: u64) -> Facts {
        let oldest = Duration::from_secs(oldest_s);
        Facts { queues: vec![QueueFacts { name: "inbox", open, dead, oldest }], ..Facts::default() }
    }

    #[test]
    fn what_lasts_is_told_once_again_after_hours_and_when_it_is_over() {
        let mut watch = watch();
        let away = Facts { agents: vec![("support".to_owned(), true)], ..Facts::default() };
        let fires = (Alarm::AgentDown, "support".to_owned(), true, None);
        assert_eq!(look(&mut watch, 0, &away), []);
        assert_eq!(look(&mut watch, 119, &away), []);
        assert_eq!(look(&mut watch, 120, &away), std::slice::from_ref(&fires));
        assert_eq!(look(&mut watch, 121, &away), []);
        assert_eq!(look(&mut watch, 120 + REPEAT.as_secs(), &away), [fires]);
        let back = Facts { agents: vec![("support".to_owned(), false)], ..Facts::default() };
        let over = (Alarm::AgentDown, "support".to_owned(), false, None);
        assert_eq!(look(&mut watch, 15_000, &back), [over]);
        assert_eq!(look(&mut watch, 15_001, &back), []);
    }

    #[test]
    fn what_passes_by_itself_is_not_told_and_begins_anew() {
        let mut watch = watch();
        let fails = Facts { store_fails: true, ..Facts::default() };
        for (second, facts) in [(0, &fails), (119, &Facts::default()), (120, &fails), (239, &fails)]
        {
            assert_eq!(look(&mut watch, second, facts), [], "{second}");
        }
        assert_eq!(look(&mut watch, 240, &fails).len(), 1);
    }

    #[test]
    fn who_is_not_there_any_more_is_over() {
        let mut watch = watch();
        let down = Facts { sockets: vec![("bot".to_owned(), false)], ..Facts::default() };
        let _first = look(&mut watch, 0, &down);
        assert_eq!(look(&mut watch, 120, &down).len(), 1);
        let over = (Alarm::SocketDown, "bot".to_owned(), false, None);
        assert_eq!(look(&mut watch, 121, &Facts::default()), [over]);
    }

    #[test]
    fn dead_letters_are_told_at_once_and_when_there_are_more() {
        let mut watch = watch();
        let fires = |count| (Alarm::DeadLetters, "inbox".to_owned(), true, Some(count));
        assert_eq!(look(&mut watch, 0, &queue(0, 1, 0)), [fires(1)]);
        assert_eq!(look(&mut watch, 60, &queue(0, 5, 0)), [], "not each of a flood");
        assert_eq!(look(&mut watch, 900, &queue(0, 5, 0)), [fires(5)]);
        assert_eq!(look(&mut watch, 1_800, &queue(0, 5, 0)), []);
        assert_eq!(look(&mut watch, 1_801, &queue(0, 0, 0)).len(), 1);
    }

    #[test]
    fn each_bound_is_the_last_value_that_is_well() {
        for (well, bad, alarm) in [
            (queue(100, 0, 0), queue(101, 0, 0), Alarm::QueueDepth),
            (queue(0, 0, 300), queue(0, 0, 301), Alarm::QueueOldest),
            (seats(800), seats(801), Alarm::SeatsRunOut),
        ] {
            let mut watch = watch();
            assert_eq!(look(&mut watch, 0, &well), []);
            assert_eq!(look(&mut watch, 120, &well), []);
            let told = [130, 250].map(|second| look(&mut watch, second, &bad)).concat();
            assert_eq!(told.len(), 1, "{alarm:?}");
            assert_eq!(told[0].0, alarm);
        }
    }

    fn seats(count: u64) -> Facts {
        Facts { seats: vec![("bot".to_owned(), count)], ..Facts::default() }
    }

    #[test]
    fn turns_fail_where_more_than_half_of_ten_minutes_do() {
        let turns =
            |ended, failed| Facts { turns: TurnFacts { ended, failed }, ..Facts::default() };
        let mut watch = watch();
        assert_eq!(look(&mut watch, 0, &turns(1_000, 5)), []);
        assert_eq!(look(&mut watch, 60, &turns(1_009, 14)), [], "too few to judge by");
        assert_eq!(look(&mut watch, 120, &turns(1_040, 25)), [], "half of them");
        let told = look(&mut watch, 180, &turns(1_045, 30));
        assert_eq!(told, [(Alarm::TurnsFailing, String::new(), true, Some(25))]);
        let told = look(&mut watch, 781, &turns(1_100, 31));
        assert!(!told[0].2, "what is older than ten minutes does not count");
    }

    #[test]
    fn the_window_has_a_bound() {
        let mut watch = watch();
        for second in 0..2_000 {
            let _told = look(&mut watch, second / 100, &Facts::default());
        }
        assert!(watch.turns.len() <= SAMPLES_MAX);
    }
}
