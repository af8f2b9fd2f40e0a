//! Every state with every event, order and fairness, and long random walks beside a naive model.

use proptest::prelude::*;

use super::*;

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
    Extend,
    Begin,
    GiveBack,
    GiveBackUnseen,
    Finish,
    Hold,
}

impl Event {
    const ALL: [Self; 10] = [
        Self::Enter,
        Self::BringForward,
        Self::Take,
        Self::LeaseRunsOut,
        Self::Extend,
        Self::Begin,
        Self::GiveBack,
        Self::GiveBackUnseen,
        Self::Finish,
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
        (In::Leased, E::GiveBack | E::GiveBackUnseen, true) => (In::Waiting, false),
        (In::Leased, E::Extend, true) => (In::Leased, false),
        (In::Settling, E::Finish, true) => (In::Gone, false),
        (In::Settling, E::Hold, true) => (In::Waiting, false),
        (state, E::Extend | E::Begin, _) => (state, true),
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

/// A job as the naive model sees it: a row in a list that is searched from end to end.
#[derive(Clone, Debug)]
struct Row {
    key: u8,
    entry: Entry,
    out: Option<(LeaseId, Moment, bool)>,
}

#[derive(Clone, Debug)]
enum Step {
    Enter { key: u8, position: Option<u64>, delay: u64 },
    BringForward { pick: usize, delay: u64 },
    Take,
    Extend { pick: usize },
    Begin { pick: usize },
    Finish { pick: usize },
    Hold { pick: usize, delay: u64 },
    GiveBack { pick: usize },
    Wait { seconds: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pick = 0..8_usize;
    let position = prop_oneof![Just(None), (0..6_u64).prop_map(Some)];
    let step = prop_oneof![
        4 => (0..4_u8, position, prop_oneof![Just(0), 0..40_u64])
            .prop_map(|(key, position, delay)| Step::Enter { key, position, delay }),
        1 => (pick.clone(), 0..40_u64).prop_map(|(pick, delay)| Step::BringForward { pick, delay }),
        5 => Just(Step::Take),
        1 => pick.clone().prop_map(|pick| Step::Extend { pick }),
        3 => pick.clone().prop_map(|pick| Step::Begin { pick }),
        3 => pick.clone().prop_map(|pick| Step::Finish { pick }),
        1 => (pick.clone(), 0..40_u64).prop_map(|(pick, delay)| Step::Hold { pick, delay }),
        1 => pick.prop_map(|pick| Step::GiveBack { pick }),
        3 => (0..50_u64).prop_map(|seconds| Step::Wait { seconds }),
    ];
    prop::collection::vec(step, 1..300)
}

#[derive(Default)]
struct Model {
    lanes: Lanes,
    rows: Vec<Row>,
    /// Leases ever given, the lost ones included: nobody stops a consumer from trying.
    leases: Vec<LeaseId>,
    now: u64,
    seq: u64,
}

impl Model {
    fn step(&mut self, step: Step) {
        let now = at(self.now);
        match step {
            Step::Enter { key: lane, position, delay } => {
                self.seq += 1;
                let entry = Entry { position, not_before: at(self.now + delay), ..entry(self.seq) };
                self.lanes.enter(now, &key(&lane.to_string()), entry);
                self.rows.push(Row { key: lane, entry, out: None });
            }
            Step::BringForward { pick, delay } => {
                let Some(row) = pick_from(&mut self.rows, pick) else { return };
                let earlier = at(self.now + delay);
                let lane = key(&row.key.to_string());
                self.lanes.bring_forward(now, &lane, row.entry.seq, earlier);
                if row.entry.attempts == 0 && row.out.is_none() {
                    row.entry.not_before = row.entry.not_before.min(earlier);
                }
            }
            Step::Take => self.take(now),
            Step::Extend { pick } => {
                let Some(&lease) = self.leases.get(pick) else { return };
                let holder = self.holder(lease, now, false);
                assert_eq!(self.lanes.extend(now, lease, LEASE).is_ok(), holder.is_some());
                if let Some(at) = holder {
                    self.rows[at].out = Some((lease, now + LEASE, false));
                }
            }
            Step::Begin { pick } => {
                let Some(&lease) = self.leases.get(pick) else { return };
                let holder = self.holder(lease, now, false);
                assert_eq!(self.lanes.begin(now, lease).is_ok(), holder.is_some());
                if let Some(at) = holder {
                    self.rows[at].out = Some((lease, now, true));
                }
            }
            Step::Finish { pick } => {
                let Some(&lease) = self.leases.get(pick) else { return };
                self.lanes.finish(now, lease);
                if let Some(at) = self.holder(lease, now, true) {
                    self.rows.remove(at);
                }
            }
            Step::Hold { pick, delay } => {
                let Some(&lease) = self.leases.get(pick) else { return };
                let until = at(self.now + delay);
                self.lanes.hold(now, lease, until);
                if let Some(at) = self.holder(lease, now, true) {
                    self.rows[at].come_back();
                    self.rows[at].entry.not_before = until;
                }
            }
            Step::GiveBack { pick } => {
                let Some(&lease) = self.leases.get(pick) else { return };
                self.lanes.give_back(now, lease);
                if let Some(at) = self.holder(lease, now, false) {
                    self.rows[at].come_back();
                }
            }
            Step::Wait { seconds } => self.now += seconds,
        }
        check_indexes(&self.lanes);
        self.check_counts();
    }

    fn take(&mut self, now: Moment) {
        for row in &mut self.rows {
            if matches!(row.out, Some((_, until, false)) if until <= now) {
                row.come_back();
            }
        }
        let due = |row: &&Row| {
            let lane = || self.rows.iter().filter(|other| other.key == row.key);
            row.out.is_none()
                && row.entry.not_before <= now
                && lane().all(|other| other.out.is_none())
                && lane().all(|other| !goes_before(other, row))
        };
        let due: Vec<u64> = self.rows.iter().filter(due).map(|row| row.entry.seq).collect();
        let Some(taken) = self.lanes.take(now, LEASE) else {
            // In a mixed lane more than one job may go first; one that is delayed may be it.
            let sure = due.iter().filter(|&&seq| !self.is_mixed(seq)).count();
            assert_eq!(sure, 0, "{due:?} were due");
            return;
        };
        assert!(due.contains(&taken.seq), "{} was taken, due were {due:?}", taken.seq);
        let row = self.rows.iter_mut().find(|row| row.entry.seq == taken.seq).unwrap();
        assert_eq!(taken.attempt, row.entry.attempts + 1);
        assert_eq!(taken.redelivered, taken.attempt > 1);
        row.out = Some((taken.lease, now + LEASE, false));
        assert!(!self.leases.contains(&taken.lease), "tokens are never used again");
        self.leases.insert(0, taken.lease);
    }

    /// The row that is out under this lease, if the lease still holds.
    fn holder(&self, lease: LeaseId, now: Moment, settling: bool) -> Option<usize> {
        self.rows.iter().position(|row| {
            row.out.is_some_and(|(held, until, is_settling)| {
                held == lease && is_settling == settling && (settling || until > now)
            })
        })
    }

    fn is_mixed(&self, seq: u64) -> bool {
        let lane = self.rows.iter().find(|row| row.entry.seq == seq).unwrap().key;
        let mut lane = self.rows.iter().filter(|row| row.key == lane);
        let with_position = lane.next().unwrap().entry.position.is_some();
        lane.any(|row| row.entry.position.is_some() != with_position)
    }

    fn check_counts(&self) {
        let now = at(self.now);
        let counts = self.lanes.counts(now);
        let count = |is: &dyn Fn(&Row) -> bool| {
            u64::try_from(self.rows.iter().filter(|row| is(row)).count()).unwrap()
        };
        assert_eq!(counts.leased, count(&|row| row.out.is_some()));
        assert_eq!(counts.delayed, count(&|row| row.out.is_none() && row.entry.not_before > now));
        assert_eq!(counts.ready, count(&|row| row.out.is_none() && row.entry.not_before <= now));
        assert_eq!(counts.oldest_seq, self.rows.iter().map(|row| row.entry.seq).min());
    }
}

impl Row {
    const fn come_back(&mut self) {
        self.out = None;
        self.entry.attempts += 1;
    }
}

/// What the contract says of two waiting jobs of a lane: positions by number, others by append.
/// Of one with and one without it says only that the latter stays behind what waited before it.
fn goes_before(a: &Row, b: &Row) -> bool {
    match (a.entry.position, b.entry.position) {
        (Some(x), Some(y)) => (x, a.entry.seq) < (y, b.entry.seq),
        (None, None) | (Some(_), None) => a.entry.seq < b.entry.seq,
        (None, Some(_)) => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lanes_behave_like_a_list_searched_from_end_to_end(steps in steps()) {
        let mut model = Model::default();
        for step in steps {
            model.step(step);
        }
        // Whatever happened, everything can be brought to an end.
        model.now += 1000;
        let leases = model.leases.clone();
        for lease in leases {
            model.lanes.finish(at(model.now), lease);
        }
        drain(&mut model.lanes, at(model.now + 1000));
        prop_assert!(model.lanes.lanes.is_empty());
    }
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
