//! Random walks beside a naive model: a list that is searched from end to end.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::clock::Moment;
use crate::queue::Stats;

#[derive(Clone, Copy, Debug)]
enum Step {
    Append { key: u8, name: u8, position: Option<u64>, in_an_hour: bool },
    Next,
    Absorb { pick: usize, max: usize },
    PutOff { pick: usize },
    Wake { key: u8 },
    Ack { pick: usize },
    AckAndAppend { pick: usize, name: u8 },
    Retry { pick: usize, in_an_hour: bool },
    Dead { pick: usize },
    GiveBack { pick: usize },
    Redrive { name: u8 },
    Drop { name: u8 },
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (name, pick) = (0..40_u8, 0..4_usize);
    // A lane has positions or has none: of mixed ones the contract says less than a list does.
    let lane = prop_oneof![
        (0..2_u8).prop_map(|key| (key, None)),
        (2..4_u8, 0..9_u64).prop_map(|(key, position)| (key, Some(position))),
    ];
    let step = prop_oneof![
        8 => (lane, name.clone(), prop::bool::weighted(0.2)).prop_map(
            |((key, position), name, in_an_hour)| Step::Append { key, name, position, in_an_hour }
        ),
        8 => Just(Step::Next),
        3 => (pick.clone(), 1..3_usize).prop_map(|(pick, max)| Step::Absorb { pick, max }),
        1 => pick.clone().prop_map(|pick| Step::PutOff { pick }),
        1 => (0..4_u8).prop_map(|key| Step::Wake { key }),
        3 => pick.clone().prop_map(|pick| Step::Ack { pick }),
        1 => (pick.clone(), name.clone()).prop_map(|(pick, name)| Step::AckAndAppend { pick, name }),
        2 => (pick.clone(), prop::bool::weighted(0.2))
            .prop_map(|(pick, in_an_hour)| Step::Retry { pick, in_an_hour }),
        2 => pick.clone().prop_map(|pick| Step::Dead { pick }),
        1 => pick.prop_map(|pick| Step::GiveBack { pick }),
        2 => name.clone().prop_map(|name| Step::Redrive { name }),
        1 => name.prop_map(|name| Step::Drop { name }),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..70)
}

pub(super) async fn random_walks_agree_with_a_list<H: Harness + 'static>(harness: H) {
    drop(harness); // Each walk has a place of its own.
    let runtime = tokio::runtime::Handle::current();
    let walks = move || {
        let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
        TestRunner::new(config).run(&steps(), |steps| {
            runtime.block_on(walk(&H::empty(), steps));
            Ok(())
        })
    };
    tokio::task::spawn_blocking(walks).await.unwrap().unwrap();
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum At {
    Open { delayed: bool },
    PutOff,
    Out,
    Done,
    Dead,
}

#[derive(Clone, Debug)]
struct Row {
    name: u8,
    key: u8,
    position: Option<u64>,
    at: At,
    attempts: u32,
    /// As many of them as ended by settling.
    settled: u32,
    suspect: bool,
}

#[derive(Default)]
struct Model {
    /// In the order of the appends.
    rows: Vec<Row>,
    /// Deliveries, and what each took along.
    out: Vec<(Delivery, Vec<JobId>)>,
}

async fn walk(harness: &impl Harness, steps: Vec<Step>) {
    let mut store = harness.open().await;
    let mut model = Model::default();
    for step in steps {
        if matches!(step, Step::Reopen) {
            store.close().await;
            model.out.clear();
            for row in &mut model.rows {
                row.reopened();
            }
            store = harness.open().await;
        } else {
            model.step(&inbox(&store), step).await;
        }
        model.check(&inbox(&store)).await;
    }
    drop(model);
    store.close().await;
}

impl Model {
    async fn step(&mut self, queue: &Queue, step: Step) {
        match step {
            Step::Append { key, name, position, in_an_hour } => {
                let answer = append(queue, append_of(key, name, position, in_an_hour)).await;
                assert_eq!(answer, self.append(key, name, position, in_an_hour));
            }
            Step::Next => self.next(queue).await,
            Step::Absorb { pick, max } => self.absorb(pick, max).await,
            Step::PutOff { pick } => {
                let Some((delivery, rows)) = self.pick(pick) else { return };
                rows.into_iter().for_each(|row| row.at = At::PutOff);
                delivery.put_off(HOUR).await.unwrap();
            }
            Step::Wake { key } => self.wake(queue, key),
            Step::Ack { pick } => {
                let Some((delivery, rows)) = self.pick(pick) else { return };
                rows.into_iter().for_each(|row| row.at = At::Done);
                delivery.ack().await.unwrap();
            }
            Step::AckAndAppend { pick, name } => {
                let Some((delivery, rows)) = self.pick(pick) else { return };
                let key = rows[0].key;
                rows.into_iter().for_each(|row| row.at = At::Done);
                let position = (key >= 2).then_some(3);
                let job = append_of(key, name, position, false);
                let answer = delivery.ack_and_append(vec![(QueueName::Inbox, job)]).await.unwrap();
                assert_eq!(answer, [self.append(key, name, position, false)]);
            }
            Step::Retry { pick, in_an_hour } => {
                let Some((delivery, rows)) = self.pick(pick) else { return };
                for row in rows {
                    row.at = At::Open { delayed: in_an_hour };
                    row.attempts += 1;
                    row.settled = row.attempts;
                }
                let delay = if in_an_hour { HOUR } else { Duration::ZERO };
                delivery.retry_in(delay, cause("busy", 1)).await.unwrap();
            }
            Step::Dead { pick } => {
                let Some((delivery, rows)) = self.pick(pick) else { return };
                rows.into_iter().for_each(Row::given_back);
                self.row(delivery.id()).at = At::Dead;
                delivery.dead(cause("refused", 2)).await.unwrap();
            }
            Step::GiveBack { pick } => {
                let Some((delivery, rows)) = self.pick(pick) else { return };
                rows.into_iter().for_each(Row::given_back);
                drop(delivery);
            }
            Step::Redrive { name } => {
                let row = self.dead(name);
                assert_eq!(queue.redrive(id(&name.to_string())).await.is_ok(), row.is_some());
                if let Some(row) = row {
                    row.at = At::Open { delayed: false };
                    (row.attempts, row.settled, row.suspect) = (0, 0, true);
                }
            }
            Step::Drop { name } => {
                let row = self.dead(name);
                assert_eq!(queue.drop(id(&name.to_string())).await.is_ok(), row.is_some());
                if let Some(row) = row {
                    row.at = At::Done;
                }
            }
            Step::Reopen => unreachable!("done by the walk"),
        }
    }

    fn wake(&mut self, queue: &Queue, key: u8) {
        for row in self.rows.iter_mut().filter(|row| row.key == key && row.at == At::PutOff) {
            row.at = At::Open { delayed: false };
        }
        queue.wake(&Key::new(key.to_string()).unwrap());
    }

    fn append(&mut self, key: u8, name: u8, position: Option<u64>, in_an_hour: bool) -> Appended {
        if let Some(row) = self.rows.iter_mut().find(|row| row.name == name) {
            let unseen = row.at == At::Open { delayed: true } && row.attempts == 0;
            if unseen && !in_an_hour {
                row.at = At::Open { delayed: false };
            }
            return Appended::Duplicate;
        }
        let at = At::Open { delayed: in_an_hour };
        self.rows.push(Row { name, key, position, at, attempts: 0, settled: 0, suspect: false });
        Appended::Added
    }

    async fn next(&mut self, queue: &Queue) {
        let due: Vec<u8> = (0..4).filter_map(|key| self.due(key)).collect();
        let wait = if due.is_empty() { Duration::from_millis(1) } else { PATIENCE };
        let Ok(delivery) = tokio::time::timeout(wait, queue.next()).await else {
            assert!(due.is_empty(), "{due:?} never came");
            return;
        };
        let delivery = delivery.unwrap();
        let came: u8 = name(&delivery).parse().unwrap();
        assert!(due.contains(&came), "{came} came, due were {due:?}");
        let row = self.rows.iter_mut().find(|row| row.name == came).unwrap();
        assert_eq!(delivery.attempt(), row.attempts + 1);
        assert_eq!(delivery.redelivered(), row.attempts > 0 || row.suspect);
        row.at = At::Out;
        self.out.push((delivery, Vec::new()));
    }

    /// The job of this lane that may go out now.
    fn due(&self, key: u8) -> Option<u8> {
        let mut lane = self.rows.iter().filter(|row| row.key == key);
        if lane.any(|row| row.at == At::Out) { None } else { self.first_due(key) }
    }

    /// The first job that waits in this lane, if it is due.
    fn first_due(&self, key: u8) -> Option<u8> {
        let lane = self.rows.iter().filter(|row| row.key == key);
        let open = lane.filter(|row| matches!(row.at, At::Open { .. } | At::PutOff));
        // `min_by_key` gives the first of equals: the one that was appended first.
        let first = open.min_by_key(|row| row.position)?;
        (first.at == At::Open { delayed: false }).then_some(first.name)
    }

    async fn absorb(&mut self, pick: usize, max: usize) {
        let Some((delivery, _)) = self.out.get(pick) else { return };
        let key: u8 = delivery.key().as_str().parse().unwrap();
        let along = delivery.absorb(max).await.unwrap();
        for absorbed in along {
            // By the list, as if nothing of the lane were out.
            assert_eq!(Some(absorbed.id), self.first_due(key).map(|name| id(&name.to_string())));
            let row = self.row(absorbed.id);
            assert_eq!(absorbed.attempt, row.attempts + 1);
            assert_eq!(absorbed.redelivered, row.attempts > 0 || row.suspect);
            row.at = At::Out;
            self.out[pick].1.push(absorbed.id);
        }
        if self.out[pick].1.len() < max {
            assert_eq!(self.first_due(key), None, "more was due");
        }
    }

    /// Takes a delivery out of the model's hands, with the rows of all that is out with it.
    fn pick(&mut self, pick: usize) -> Option<(Delivery, Vec<&mut Row>)> {
        if pick >= self.out.len() {
            return None;
        }
        let (delivery, along) = self.out.remove(pick);
        let is_out = |row: &Row| {
            let id = id(&row.name.to_string());
            id == delivery.id() || along.contains(&id)
        };
        let rows = self.rows.iter_mut().filter(|row| is_out(row)).collect();
        Some((delivery, rows))
    }

    fn row(&mut self, wanted: JobId) -> &mut Row {
        self.rows.iter_mut().find(|row| id(&row.name.to_string()) == wanted).unwrap()
    }

    fn dead(&mut self, name: u8) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| row.name == name && row.at == At::Dead)
    }

    /// Waits until the queue counts as the list does: on a busy machine an engine may read what it wrote
    /// a moment later.
    async fn check(&self, queue: &Queue) {
        let count =
            |at: At| u64::try_from(self.rows.iter().filter(|row| row.at == at).count()).unwrap();
        let delayed = count(At::Open { delayed: true }) + count(At::PutOff);
        let wanted = [count(At::Open { delayed: false }), delayed, count(At::Out), count(At::Dead)];
        let clock = Clock::start();
        loop {
            let Stats { ready, delayed, leased, dead, .. } = queue.stats().await.unwrap();
            let found = [ready, delayed, leased, dead];
            if found == wanted {
                return;
            }
            assert!(clock.now().since(Moment::ORIGIN) < PATIENCE, "{found:?}, wanted {wanted:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Row {
    fn given_back(&mut self) {
        self.at = At::Open { delayed: false };
        self.attempts += 1;
    }

    /// What a restart makes of it: leases end, and attempts count only as far as they were settled.
    fn reopened(&mut self) {
        match self.at {
            At::Out | At::PutOff => self.at = At::Open { delayed: false },
            At::Open { .. } | At::Done | At::Dead => {}
        }
        self.attempts = self.settled;
        self.suspect = true;
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn append_of(key: u8, name: u8, position: Option<u64>, in_an_hour: bool) -> Append {
    let not_before = in_an_hour.then(|| Clock::start().wall() + HOUR);
    Append { position, not_before, ..job(&key.to_string(), &name.to_string()) }
}
