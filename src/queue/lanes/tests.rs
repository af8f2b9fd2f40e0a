//! Every state with every event, order and fairness, absorbing and putting off.

use super::*;

mod walks;

const LEASE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum In {
    Waiting,
    Leased,
    Settling,
    Gone,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Enter,
    BringForward,
    Take,
    LeaseRunsOut,
    Absorb,
    Restore,
    Extend,
    Begin,
    GiveBack,
    GiveBackUnseen,
    PutOff,
    Shelve,
    Park,
    Wake,
    Finish,
    FinishFirst,
    Hold,
}

impl Event {
    const ALL: [Self; 17] = [
        Self::Enter,
        Self::BringForward,
        Self::Take,
        Self::LeaseRunsOut,
        Self::Absorb,
        Self::Restore,
        Self::Extend,
        Self::Begin,
        Self::GiveBack,
        Self::GiveBackUnseen,
        Self::PutOff,
        Self::Shelve,
        Self::Park,
        Self::Wake,
        Self::Finish,
        Self::FinishFirst,
        Self::Hold,
    ];

    /// Applies it at second 1, and says whether the caller was told that the lease is lost.
    fn apply(self, lanes: &mut Lanes, lease: LeaseId) -> bool {
        let now = at(1);
        match self {
            Self::Enter => lanes.enter(now, &key("a"), entry(9)),
            Self::BringForward => lanes.bring_forward(now, &key("a"), 1, at(0)),
            Self::Take => drop(lanes.take(now, LEASE)),
            // Taking is what notices; whatever is due goes out and comes straight back.
            Self::LeaseRunsOut => lanes.expire(at(61)),
            Self::Absorb => return lanes.absorb(now, lease, 9).is_err(),
            Self::Restore => lanes.restore(now, lease, &[1], now),
            Self::PutOff => return lanes.put_off(now, lease, at(9)).is_err(),
            Self::Shelve => return lanes.shelve(now, lease, at(9)).is_err(),
            Self::Park => return lanes.park(now, lease, at(9)).is_err(),
            Self::Wake => lanes.wake(now, &key("a")),
            Self::FinishFirst => lanes.finish_first(now, lease),
            Self::Extend => return lanes.extend(now, lease, LEASE).is_err(),
            Self::Begin => return lanes.begin(now, lease).is_err(),
            Self::GiveBack => lanes.give_back(now, lease),
            Self::GiveBackUnseen => lanes.give_back_unseen(now, lease, now),
            Self::Finish => lanes.finish(now, lease),
            Self::Hold => lanes.hold(now, lease, at(9)),
        }
        false
    }
}

/// The transition table: where the lane is after the event, and whether the caller lost.
const fn expected(state: In, event: Event, is_holder: bool) -> (In, bool) {
    use Event as E;
    match (state, event, is_holder) {
        (In::Waiting, E::Take, _) => (In::Leased, false),
        (In::Leased, E::LeaseRunsOut, _) => (In::Waiting, false),
        (In::Leased, E::Begin, true) => (In::Settling, false),
        (In::Leased, E::GiveBack | E::GiveBackUnseen | E::PutOff | E::Shelve | E::Park, true) => {
            (In::Waiting, false)
        }
        (In::Leased, E::Extend | E::Absorb, true) => (In::Leased, false),
        (In::Settling, E::Finish | E::FinishFirst, true) => (In::Gone, false),
        (In::Settling, E::Hold, true) => (In::Waiting, false),
        (state, E::Extend | E::Absorb | E::Begin | E::PutOff | E::Shelve | E::Park, _) => {
            (state, true)
        }
        // An event in a lane that is gone opens it anew.
        (In::Gone, E::Enter, _) => (In::Waiting, false),
        (state, _, _) => (state, false),
    }
}

#[test]
fn every_state_meets_every_event() {
    for state in [In::Waiting, In::Leased, In::Settling, In::Gone] {
        for event in Event::ALL {
            for is_holder in [true, false] {
                let (mut lanes, holder) = lane_in(state);
                let stranger = LeaseId { token: holder.token + 100, ..holder };
                let lost = event.apply(&mut lanes, if is_holder { holder } else { stranger });
                let after = (state_of(&lanes), lost);
                assert_eq!(after, expected(state, event, is_holder), "{state:?} {event:?}");
                check_indexes(&lanes);
            }
        }
    }
}

#[test]
fn a_lane_is_taken_by_its_key_in_whatever_state_it_is() {
    let key = Key::new("a").unwrap();
    for (state, is_taken) in
        [(In::Waiting, true), (In::Leased, false), (In::Settling, false), (In::Gone, false)]
    {
        let (mut lanes, _) = lane_in(state);
        let key = lanes.by_key.keys().next().cloned().unwrap_or_else(|| key.clone());
        let head = lanes.take_of(at(0), &key, LEASE);
        let expected = match state {
            In::Gone => matches!(head, HeadOfLane::Nothing),
            In::Leased | In::Settling => matches!(head, HeadOfLane::Out),
            In::Waiting => matches!(head, HeadOfLane::Taken(_)),
        };
        assert!(expected, "{state:?} {head:?}");
        assert_eq!(matches!(head, HeadOfLane::Taken(_)), is_taken);
        check_indexes(&lanes);
    }
}

#[test]
fn a_lease_is_over_at_its_end_even_if_nobody_took_the_job() {
    let (mut lanes, lease) = lane_in(In::Leased);
    let end = at(0) + LEASE;
    assert_eq!(lanes.deadline(), Some(end));
    assert_eq!(lanes.begin(end, lease), Err(Lost));
    assert_eq!(lanes.extend(end, lease, LEASE), Err(Lost));
    let again = lanes.take(end, LEASE).unwrap();
    assert_eq!((again.attempt, again.redelivered), (2, true));
    assert_ne!(again.lease, lease);
}

#[test]
fn an_extended_lease_runs_from_the_extension() {
    let (mut lanes, lease) = lane_in(In::Leased);
    lanes.extend(at(59), lease, LEASE).unwrap();
    assert!(lanes.take(at(118), LEASE).is_none());
    assert_eq!(lanes.deadline(), Some(at(119)));
    assert!(lanes.begin(at(118), lease).is_ok());
    assert!(lanes.take(at(9999), LEASE).is_none(), "settling does not run out");
    assert_eq!(lanes.deadline(), None);
}

#[test]
fn lower_positions_go_first_and_others_in_order_of_append() {
    let mut lanes = Lanes::default();
    for (seq, position) in [(1, Some(7)), (2, None), (3, Some(5)), (4, None), (5, Some(6))] {
        lanes.enter(at(0), &key("a"), Entry { position, ..entry(seq) });
    }
    assert_eq!(drain(&mut lanes, at(0)), [3, 5, 1, 2, 4]);
}

#[test]
fn a_held_first_job_holds_back_its_lane_alone() {
    let mut lanes = Lanes::default();
    for (lane, seq) in [("a", 1), ("a", 2), ("b", 3)] {
        lanes.enter(at(0), &key(lane), entry(seq));
    }
    let first = lanes.take(at(0), LEASE).unwrap();
    lanes.begin(at(0), first.lease).unwrap();
    lanes.hold(at(0), first.lease, at(10));
    assert_eq!(drain(&mut lanes, at(9)), [3]);
    assert_eq!(lanes.deadline(), Some(at(10)));
    let again = lanes.take(at(10), LEASE).unwrap();
    assert_eq!((again.seq, again.attempt, again.redelivered), (1, 2, true));
}

#[test]
fn a_lower_position_passes_a_job_that_waits_for_its_retry() {
    let mut lanes = Lanes::default();
    lanes.enter(at(0), &key("a"), Entry { position: Some(5), ..entry(1) });
    let taken = lanes.take(at(0), LEASE).unwrap();
    lanes.begin(at(0), taken.lease).unwrap();
    lanes.hold(at(0), taken.lease, at(100));
    lanes.enter(at(1), &key("a"), Entry { position: Some(4), ..entry(2) });
    assert_eq!(drain(&mut lanes, at(1)), [2]);
    assert_eq!(drain(&mut lanes, at(100)), [1]);
}

#[test]
fn bringing_forward_never_shortens_a_retry_and_never_delays() {
    let mut lanes = Lanes::default();
    lanes.enter(at(0), &key("a"), Entry { not_before: at(50), ..entry(1) });
    lanes.bring_forward(at(0), &key("a"), 1, at(60));
    assert_eq!(lanes.deadline(), Some(at(50)));
    lanes.bring_forward(at(0), &key("a"), 1, at(20));
    assert_eq!(lanes.deadline(), Some(at(20)));
    let taken = lanes.take(at(20), LEASE).unwrap();
    lanes.begin(at(20), taken.lease).unwrap();
    lanes.hold(at(20), taken.lease, at(90));
    lanes.bring_forward(at(21), &key("a"), 1, at(22));
    assert_eq!(lanes.deadline(), Some(at(90)));
}

#[test]
fn a_job_behind_the_first_may_be_brought_forward_too() {
    let mut lanes = Lanes::default();
    lanes.enter(at(0), &key("a"), entry(1));
    lanes.enter(at(0), &key("a"), Entry { not_before: at(50), ..entry(2) });
    lanes.bring_forward(at(0), &key("a"), 2, at(0));
    assert_eq!(drain(&mut lanes, at(1)), [1, 2]);
}

#[test]
fn a_holder_sees_when_the_next_job_is_due() {
    let (mut lanes, lease) = lane_in(In::Leased);
    assert_eq!(lanes.behind(at(0), lease), Ok(None));
    lanes.enter(at(0), &key("a"), Entry { not_before: at(5), ..entry(9) });
    assert_eq!(lanes.behind(at(0), lease), Ok(Some(at(5))));
    assert_eq!(lanes.behind(at(0) + LEASE, lease), Err(Lost), "the lease is over");
}

#[test]
fn a_job_absorbs_what_is_due_behind_it_and_no_more() {
    let (mut lanes, lease) = lane_in(In::Leased);
    for (seq, not_before) in [(2, 0), (3, 0), (4, 0), (5, 7), (6, 0)] {
        lanes.enter(at(0), &key("a"), Entry { not_before: at(not_before), ..entry(seq) });
    }
    let seqs = |along: Result<Vec<Along>, Lost>| -> Vec<u64> {
        along.unwrap().iter().map(|along| along.seq).collect()
    };
    assert_eq!(seqs(lanes.absorb(at(1), lease, 2)), [2, 3]);
    assert_eq!(seqs(lanes.absorb(at(1), lease, 9)), [4], "one that must wait holds back the rest");
    assert_eq!(lanes.behind(at(1), lease), Ok(Some(at(7))));
    assert_eq!(lanes.counts(at(1)).leased, 4);
    assert_eq!(seqs(lanes.absorb(at(7), lease, 9)), [5, 6]);
    let begun = lanes.begin(at(8), lease).unwrap();
    assert_eq!(begun.first.seq, 1);
    assert_eq!(begun.absorbed.iter().map(|job| job.seq).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    lanes.finish(at(8), lease);
    assert!(lanes.lanes.is_empty());
}

#[test]
fn what_was_absorbed_ends_as_its_lease_ends() {
    type End = fn(&mut Lanes, LeaseId);
    let ends: [(End, &[(u64, u32)]); 6] = [
        (|lanes, lease| lanes.give_back(at(1), lease), &[(1, 2), (2, 2), (3, 1)]),
        (|lanes, _| lanes.expire(at(60)), &[(1, 2), (2, 2), (3, 1)]),
        (|lanes, lease| lanes.put_off(at(1), lease, at(9)).unwrap(), &[(1, 1), (2, 1), (3, 1)]),
        (|lanes, lease| lanes.park(at(1), lease, at(9)).unwrap(), &[(1, 1), (2, 1), (3, 1)]),
        (
            |lanes, lease| {
                lanes.begin(at(1), lease).unwrap();
                lanes.hold(at(1), lease, at(9));
            },
            &[(1, 2), (2, 2), (3, 1)],
        ),
        (
            |lanes, lease| {
                lanes.begin(at(1), lease).unwrap();
                lanes.finish_first(at(1), lease);
            },
            &[(2, 2), (3, 1)],
        ),
    ];
    for (n, (end, wanted)) in ends.into_iter().enumerate() {
        let (mut lanes, lease) = lane_in(In::Leased);
        lanes.enter(at(0), &key("a"), entry(2));
        lanes.absorb(at(0), lease, 1).unwrap();
        lanes.enter(at(0), &key("a"), entry(3));
        end(&mut lanes, lease);
        check_indexes(&lanes);
        let came: Vec<_> = std::iter::from_fn(|| {
            let taken = lanes.take(at(61), LEASE)?;
            lanes.begin(at(61), taken.lease).unwrap();
            lanes.finish(at(61), taken.lease);
            Some((taken.seq, taken.attempt))
        })
        .collect();
        assert_eq!(came, wanted, "end {n}");
    }
}

#[test]
fn an_absorbed_job_that_nobody_saw_waits_as_before() {
    let (mut lanes, lease) = lane_in(In::Leased);
    for seq in [2, 3] {
        lanes.enter(at(0), &key("a"), entry(seq));
    }
    lanes.absorb(at(0), lease, 9).unwrap();
    lanes.restore(at(1), lease, &[2, 77], at(5));
    assert_eq!(lanes.behind(at(1), lease), Ok(Some(at(5))));
    lanes.begin(at(5), lease).unwrap();
    lanes.finish(at(5), lease);
    let taken = lanes.take(at(5), LEASE).unwrap();
    assert_eq!((taken.seq, taken.attempt, taken.redelivered), (2, 1, false));
}

#[test]
fn what_was_put_off_is_woken_and_a_retry_is_not() {
    let (mut lanes, lease) = lane_in(In::Leased);
    lanes.put_off(at(1), lease, at(900)).unwrap();
    assert_eq!(lanes.deadline(), Some(at(900)));
    lanes.wake(at(2), &key("a"));
    lanes.wake(at(2), &key("nobody"));
    let again = lanes.take(at(2), LEASE).unwrap();
    assert_eq!((again.seq, again.attempt, again.redelivered), (1, 1, false));
    lanes.begin(at(2), again.lease).unwrap();
    lanes.hold(at(2), again.lease, at(900));
    lanes.wake(at(3), &key("a"));
    assert_eq!(lanes.deadline(), Some(at(900)));
}

#[test]
fn what_was_parked_comes_again_as_redelivered_and_counts_no_attempt() {
    let (mut lanes, lease) = lane_in(In::Leased);
    lanes.park(at(1), lease, at(900)).unwrap();
    assert_eq!(lanes.deadline(), Some(at(900)));
    let again = lanes.take(at(900), LEASE).unwrap();
    assert_eq!((again.seq, again.attempt, again.redelivered), (1, 1, true));
    lanes.park(at(901), again.lease, at(999)).unwrap();
    lanes.wake(at(902), &key("a"));
    let woken = lanes.take(at(902), LEASE).unwrap();
    assert_eq!((woken.seq, woken.attempt, woken.redelivered), (1, 1, true));
}

#[test]
fn what_is_put_on_a_time_ages_from_then_on_and_from_its_append_once_it_was_tried() {
    let mut lanes = Lanes::default();
    lanes.enter(at(0), &key("a"), Entry { not_before: at(900), ..entry(1) });
    let ages = |lanes: &Lanes, now| {
        let counts = lanes.counts(at(now));
        (counts.oldest_seq, counts.overdue.map(|overdue| overdue.as_secs()))
    };
    assert_eq!(ages(&lanes, 899), (None, None), "nobody waits for it yet");
    assert_eq!(ages(&lanes, 902), (None, Some(2)));
    lanes.enter(at(902), &key("b"), entry(2));
    assert_eq!(ages(&lanes, 903), (Some(2), Some(3)));
    let taken = lanes.take(at(903), LEASE).unwrap();
    lanes.begin(at(903), taken.lease).unwrap();
    lanes.hold(at(903), taken.lease, at(1000));
    assert_eq!(ages(&lanes, 904).0, Some(1), "its consumer has failed since it was asked for");
}

#[test]
fn a_job_rests_since_its_consumer_may_last_have_acted() {
    let (mut lanes, lease) = lane_in(In::Leased);
    let rested = |lanes: &mut Lanes, now| {
        let taken = lanes.take(at(now), LEASE).unwrap();
        (taken.lease, taken.rested.as_secs())
    };
    lanes.park(at(3), lease, at(10)).unwrap();
    let (lease, since_park) = rested(&mut lanes, 10);
    // Who puts it off did nothing, so that it rests on.
    lanes.put_off(at(11), lease, at(20)).unwrap();
    let (lease, since_park_too) = rested(&mut lanes, 20);
    lanes.give_back(at(21), lease);
    let (lease, since_drop) = rested(&mut lanes, 25);
    lanes.begin(at(26), lease).unwrap();
    lanes.hold(at(27), lease, at(30));
    let (_, since_retry) = rested(&mut lanes, 30);
    let (_, since_expiry) = rested(&mut lanes, 30 + LEASE.as_secs());
    let all = [since_park, since_park_too, since_drop, since_retry, since_expiry];
    assert_eq!(all, [7, 17, 4, 3, 0]);
}

#[test]
fn an_absorbed_job_keeps_its_rank_for_those_that_come() {
    let (mut lanes, lease) = lane_in(In::Leased);
    lanes.enter(at(0), &key("a"), Entry { position: Some(8), ..entry(2) });
    lanes.absorb(at(0), lease, 9).unwrap();
    lanes.enter(at(0), &key("a"), entry(3));
    lanes.give_back(at(1), lease);
    assert_eq!(drain(&mut lanes, at(1)), [1, 2, 3]);
}

#[test]
fn lanes_take_turns() {
    let mut lanes = Lanes::default();
    for (lane, seq) in [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("b", 5), ("c", 6)] {
        lanes.enter(at(0), &key(lane), entry(seq));
    }
    assert_eq!(drain(&mut lanes, at(0)), [1, 4, 6, 2, 5, 3]);
}

#[test]
fn delayed_lanes_are_not_starved_by_busy_ones() {
    let mut lanes = Lanes::default();
    lanes.enter(at(0), &key("late"), Entry { not_before: at(5), ..entry(1) });
    lanes.enter(at(6), &key("busy"), entry(2));
    assert_eq!(lanes.take(at(6), LEASE).unwrap().seq, 1, "due since second 5");
}

#[test]
fn idle_lanes_cost_nothing() {
    let mut lanes = Lanes::default();
    for seq in 1..=1000 {
        lanes.enter(at(0), &key(&seq.to_string()), entry(seq));
    }
    assert_eq!(drain(&mut lanes, at(0)).len(), 1000);
    assert!(lanes.by_key.is_empty() && lanes.lanes.is_empty());
    assert!(lanes.waiting.is_empty() && lanes.leased.is_empty());
}

/// Takes and finishes everything that is due, and says in which order it came.
fn drain(lanes: &mut Lanes, now: Moment) -> Vec<u64> {
    std::iter::from_fn(|| {
        let taken = lanes.take(now, LEASE)?;
        lanes.begin(now, taken.lease).unwrap();
        lanes.finish(now, taken.lease);
        Some(taken.seq)
    })
    .collect()
}

/// Says that the indexes agree with the lanes.
fn check_indexes(lanes: &Lanes) {
    assert_eq!(lanes.by_key.len(), lanes.lanes.len());
    let (mut waiting, mut leased) = (0, 0);
    for (&id, lane) in &lanes.lanes {
        assert_eq!(lanes.by_key[&lane.key], id);
        assert!(lane.jobs.iter().map(Job::order).is_sorted());
        match lane.state {
            State::Waiting { due, ticket } => {
                waiting += 1;
                assert!(lanes.waiting.contains(&(due, ticket, id)));
                assert!(lane.jobs.front().unwrap().not_before <= due);
            }
            State::Leased { until, .. } => {
                leased += 1;
                assert!(lanes.leased.contains(&(until, id)));
            }
            State::Settling { .. } => {}
        }
    }
    assert_eq!((waiting, leased), (lanes.waiting.len(), lanes.leased.len()));
}

/// A lane with one job in the given state, and the lease of that job or the last one it had.
fn lane_in(state: In) -> (Lanes, LeaseId) {
    let mut lanes = Lanes::default();
    lanes.enter(at(0), &key("a"), entry(1));
    let first = lanes.take(at(0), LEASE).unwrap();
    let lease = match state {
        In::Waiting => {
            lanes.give_back(at(0), first.lease);
            first.lease
        }
        In::Leased => first.lease,
        In::Settling | In::Gone => {
            lanes.begin(at(0), first.lease).unwrap();
            first.lease
        }
    };
    if state == In::Gone {
        lanes.finish(at(0), lease);
    }
    assert_eq!(state_of(&lanes), state);
    (lanes, lease)
}

fn state_of(lanes: &Lanes) -> In {
    lanes.by_key.get(&key("a")).map_or(In::Gone, |id| match lanes.lanes[id].state {
        State::Waiting { .. } => In::Waiting,
        State::Leased { .. } => In::Leased,
        State::Settling { .. } => In::Settling,
    })
}

fn pick_from<T>(all: &mut [T], pick: usize) -> Option<&mut T> {
    let len = all.len();
    if len == 0 { None } else { all.get_mut(pick % len) }
}

const fn entry(seq: u64) -> Entry {
    Entry { seq, position: None, not_before: Moment::ORIGIN, attempts: 0, suspect: false }
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn at(seconds: u64) -> Moment {
    Moment::ORIGIN + Duration::from_secs(seconds)
}
