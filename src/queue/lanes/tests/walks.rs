//! Long random walks beside a naive model: a list that is searched from end to end.

use proptest::prelude::*;

use super::*;

/// A job as the naive model sees it: a row in a list that is searched from end to end.
#[derive(Clone, Debug)]
struct Row {
    key: u8,
    entry: Entry,
    out: Option<(LeaseId, Moment, bool)>,
    /// Whether it is out because another took it along.
    is_absorbed: bool,
    put_off: bool,
    came: Moment,
}

#[derive(Clone, Debug)]
enum Step {
    Enter { key: u8, position: Option<u64>, delay: u64 },
    BringForward { pick: usize, delay: u64 },
    Take,
    Absorb { pick: usize, max: usize },
    Restore { pick: usize },
    Extend { pick: usize },
    Begin { pick: usize },
    Finish { pick: usize },
    Hold { pick: usize, delay: u64 },
    FinishFirst { pick: usize },
    GiveBack { pick: usize },
    PutOff { pick: usize, delay: u64 },
    Park { pick: usize, delay: u64 },
    Wake { key: u8 },
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
        3 => (pick.clone(), 1..4_usize).prop_map(|(pick, max)| Step::Absorb { pick, max }),
        1 => pick.clone().prop_map(|pick| Step::Restore { pick }),
        1 => pick.clone().prop_map(|pick| Step::Extend { pick }),
        3 => pick.clone().prop_map(|pick| Step::Begin { pick }),
        3 => pick.clone().prop_map(|pick| Step::Finish { pick }),
        1 => (pick.clone(), 0..40_u64).prop_map(|(pick, delay)| Step::Hold { pick, delay }),
        1 => pick.clone().prop_map(|pick| Step::FinishFirst { pick }),
        1 => pick.clone().prop_map(|pick| Step::GiveBack { pick }),
        1 => (pick.clone(), 0..40_u64).prop_map(|(pick, delay)| Step::PutOff { pick, delay }),
        1 => (pick, 0..40_u64).prop_map(|(pick, delay)| Step::Park { pick, delay }),
        1 => (0..4_u8).prop_map(|key| Step::Wake { key }),
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
                self.rows.push(Row::new(lane, entry, now));
            }
            Step::BringForward { pick, delay } => {
                let Some(row) = pick_from(&mut self.rows, pick) else { return };
                let earlier = at(self.now + delay);
                let lane = key(&row.key.to_string());
                self.lanes.bring_forward(now, &lane, row.entry.seq, earlier);
                if row.entry.attempts == 0 && !row.put_off && row.out.is_none() {
                    row.entry.not_before = row.entry.not_before.min(earlier);
                }
            }
            Step::Take => self.take(now),
            Step::Wake { key: lane } => {
                self.lanes.wake(now, &key(&lane.to_string()));
                for row in self.rows.iter_mut().filter(|row| row.key == lane && row.put_off) {
                    if row.out.is_none() {
                        row.entry.not_before = row.entry.not_before.min(now);
                        row.put_off = false;
                    }
                }
            }
            Step::Absorb { pick, .. }
            | Step::Restore { pick }
            | Step::Extend { pick }
            | Step::Begin { pick }
            | Step::Finish { pick }
            | Step::FinishFirst { pick }
            | Step::Hold { pick, .. }
            | Step::GiveBack { pick }
            | Step::PutOff { pick, .. }
            | Step::Park { pick, .. } => {
                let Some(&lease) = self.leases.get(pick) else { return };
                self.use_lease(&step, lease, now);
            }
            Step::Wait { seconds } => self.now += seconds,
        }
        check_indexes(&self.lanes);
        self.check_counts();
    }

    /// Does what the step says under a lease, which may be lost, and the same to the rows.
    fn use_lease(&mut self, step: &Step, lease: LeaseId, now: Moment) {
        let (held, settling) = (self.out(lease, now, false), self.out(lease, now, true));
        let later = |delay: u64| now + Duration::from_secs(delay);
        match *step {
            Step::Absorb { max, .. } => self.absorb(lease, now, max),
            Step::Restore { .. } => {
                let mut along = held.into_iter().filter(|&at| self.rows[at].is_absorbed);
                let Some(at) = along.next() else { return };
                self.lanes.restore(now, lease, &[self.rows[at].entry.seq], now);
                self.rows[at].end(|entry| entry.not_before = now);
            }
            Step::Extend { .. } => {
                assert_eq!(self.lanes.extend(now, lease, LEASE).is_ok(), !held.is_empty());
                self.each(&held, |row| row.out = Some((lease, now + LEASE, false)));
            }
            Step::Begin { .. } => {
                let begun = self.lanes.begin(now, lease).map(|begun| 1 + begun.absorbed.len());
                assert_eq!(begun.unwrap_or(0), held.len());
                self.each(&held, |row| row.out = Some((lease, now, true)));
            }
            Step::Finish { .. } => {
                self.lanes.finish(now, lease);
                self.remove(&settling);
            }
            Step::FinishFirst { .. } => {
                self.lanes.finish_first(now, lease);
                let first = settling.iter().copied().find(|&at| !self.rows[at].is_absorbed);
                self.each(&settling, Row::come_back);
                self.remove(first.as_slice());
            }
            Step::Hold { delay, .. } => {
                self.lanes.hold(now, lease, later(delay));
                self.each(&settling, |row| {
                    row.come_back();
                    row.entry.not_before = later(delay);
                });
            }
            Step::GiveBack { .. } => {
                self.lanes.give_back(now, lease);
                self.each(&held, Row::come_back);
            }
            Step::PutOff { delay, .. } => {
                let put_off = self.lanes.put_off(now, lease, later(delay));
                assert_eq!(put_off.is_ok(), !held.is_empty());
                self.each(&held, |row| {
                    row.end(|entry| entry.not_before = later(delay));
                    row.put_off = true;
                });
            }
            Step::Park { delay, .. } => {
                let parked = self.lanes.park(now, lease, later(delay));
                assert_eq!(parked.is_ok(), !held.is_empty());
                self.each(&held, |row| {
                    row.end(|entry| {
                        entry.not_before = later(delay);
                        entry.suspect = true;
                    });
                    row.put_off = true;
                });
            }
            Step::Enter { .. }
            | Step::BringForward { .. }
            | Step::Take
            | Step::Wake { .. }
            | Step::Wait { .. } => unreachable!("needs no lease"),
        }
    }

    fn absorb(&mut self, lease: LeaseId, now: Moment, max: usize) {
        let held = self.out(lease, now, false);
        let Ok(along) = self.lanes.absorb(now, lease, max) else {
            assert!(held.is_empty(), "the lease holds");
            return;
        };
        assert!(!held.is_empty(), "the lease is lost");
        let lane = self.rows[held[0]].key;
        let until = self.rows[held[0]].out.unwrap().1;
        assert!(along.len() <= max);
        for along in &along {
            let first = |row: &&Row| {
                let mut waiting =
                    self.rows.iter().filter(|other| other.key == lane && other.out.is_none());
                row.entry.not_before <= now && waiting.all(|other| !goes_before(other, row))
            };
            let row = self.rows.iter().find(|row| row.entry.seq == along.seq).unwrap();
            assert!(row.key == lane && row.out.is_none() && first(&row), "{} came", along.seq);
            let row = self.rows.iter_mut().find(|row| row.entry.seq == along.seq).unwrap();
            assert_eq!(along.attempt, row.entry.attempts + 1);
            assert_eq!(along.redelivered, along.attempt > 1 || row.entry.suspect);
            row.out = Some((lease, until, false));
            row.is_absorbed = true;
        }
        let rest: Vec<u64> = self.waiting(lane).map(|row| row.entry.seq).collect();
        if along.len() < max && !rest.iter().any(|&seq| self.is_mixed(seq)) {
            let first = self
                .waiting(lane)
                .find(|row| self.waiting(lane).all(|other| !goes_before(other, row)));
            assert!(first.is_none_or(|row| row.entry.not_before > now), "more was due");
        }
    }

    fn waiting(&self, lane: u8) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.key == lane && row.out.is_none())
    }

    fn each(&mut self, all: &[usize], change: impl Fn(&mut Row)) {
        for &at in all {
            change(&mut self.rows[at]);
        }
    }

    fn remove(&mut self, all: &[usize]) {
        for &at in all.iter().rev() {
            self.rows.remove(at);
        }
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
        assert_eq!(taken.redelivered, taken.attempt > 1 || row.entry.suspect);
        row.out = Some((taken.lease, now + LEASE, false));
        assert!(!self.leases.contains(&taken.lease), "tokens are never used again");
        self.leases.insert(0, taken.lease);
    }

    /// The rows that are out under this lease, if the lease still holds.
    fn out(&self, lease: LeaseId, now: Moment, settling: bool) -> Vec<usize> {
        let is_out = |row: &Row| {
            row.out.is_some_and(|(held, until, is_settling)| {
                held == lease && is_settling == settling && (settling || until > now)
            })
        };
        (0..self.rows.len()).filter(|&at| is_out(&self.rows[at])).collect()
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
        let (on_time, at_once): (Vec<&Row>, Vec<&Row>) =
            self.rows.iter().partition(|row| row.is_put_on_time());
        assert_eq!(counts.oldest_seq, at_once.iter().map(|row| row.entry.seq).min());
        let due = on_time.iter().map(|row| row.entry.not_before).filter(|&due| due <= now).min();
        assert_eq!(counts.overdue, due.map(|due| now.since(due)));
    }
}

impl Row {
    const fn new(key: u8, entry: Entry, came: Moment) -> Self {
        Self { key, entry, out: None, is_absorbed: false, put_off: false, came }
    }

    /// Whether it was to wait until a later time and was not tried yet.
    fn is_put_on_time(&self) -> bool {
        let was_tried = self.entry.attempts > 0 || self.entry.suspect || self.put_off;
        !was_tried && self.entry.not_before > self.came
    }

    /// After a delivery that may have had effects.
    fn come_back(&mut self) {
        self.end(|entry| entry.attempts += 1);
        self.put_off = false;
    }

    fn end(&mut self, change: impl Fn(&mut Entry)) {
        (self.out, self.is_absorbed) = (None, false);
        change(&mut self.entry);
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
