//! Many members against a bucket in memory, in virtual time: joins, kills, pauses, cut-off networks,
//! lost answers. Holds the two promises after every step: nobody else holds what a member believes
//! that it holds, and after a quiet time everything is held, evenly.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use super::InstanceId;
use super::core::{Core, Input, Output, Timing, Wrote};
use super::records::{Key, LeaseKey, Record};
use crate::clock::Moment;

const TIMING: Timing =
    Timing { heartbeat: Duration::from_millis(1500), patience: Duration::from_secs(6) };
const STEP: Duration = Duration::from_millis(50);
const NAMES: usize = 13;

#[derive(Clone, Debug)]
enum Event {
    Join,
    Kill(usize),
    Leave(usize),
    /// The process stands still for some tenths of a second.
    Pause(usize, u8),
    /// The network is cut for some tenths of a second.
    Cut(usize, u8),
    /// The bucket answers nobody for some tenths of a second.
    Outage(u8),
    /// Some tenths of a second pass.
    Pass(u8),
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => Just(Event::Join),
        1 => (0_usize..6).prop_map(Event::Kill),
        1 => (0_usize..6).prop_map(Event::Leave),
        2 => ((0_usize..6), 1_u8..150).prop_map(|(who, tenths)| Event::Pause(who, tenths)),
        2 => ((0_usize..6), 1_u8..150).prop_map(|(who, tenths)| Event::Cut(who, tenths)),
        1 => (1_u8..150).prop_map(Event::Outage),
        5 => (1_u8..120).prop_map(Event::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn two_never_hold_the_same_and_after_quiet_all_is_held_evenly(
        seed in 1_u64..u64::MAX,
        history in proptest::collection::vec(events(), 1..25),
    ) {
        let mut world = SimulatedWorld::new(seed);
        world.apply(&Event::Join);
        for event in &history {
            world.apply(event);
            world.pass(Duration::from_millis(100));
        }
        world.apply(&Event::Join);
        // What was paused or cut may still be, for 15 s; then the promise is 10 s.
        world.pass(Duration::from_secs(15));
        world.pass(Duration::from_secs(10));
        world.assert_even();
    }
}

#[test]
fn a_killed_members_names_are_held_again_within_seven_seconds_and_a_left_ones_at_once() {
    for (event, bound) in [(Event::Kill(0), 7500), (Event::Leave(0), 1500)] {
        let mut world = SimulatedWorld::new(7);
        for _ in 0..3 {
            world.apply(&Event::Join);
        }
        world.pass(Duration::from_secs(10));
        world.assert_even();
        let held = world.held();
        let first: BTreeSet<_> = held.iter().filter(|(_, who)| **who == 0).collect();
        assert!(!first.is_empty());
        world.apply(&event);
        world.pass(Duration::from_millis(bound));
        world.assert_even();
        let after = world.held();
        let moved = held.iter().filter(|(name, who)| after.get(*name) != Some(*who)).count();
        assert!(moved <= NAMES.div_ceil(3) + 1, "{moved} names moved");
    }
}

#[test]
fn a_joining_member_gets_its_share_and_little_moves() {
    let mut world = SimulatedWorld::new(11);
    world.apply(&Event::Join);
    world.apply(&Event::Join);
    world.pass(Duration::from_secs(10));
    let before = world.held();
    world.apply(&Event::Join);
    world.pass(Duration::from_secs(5));
    world.assert_even();
    let after = world.held();
    let moved = before.iter().filter(|(name, who)| after.get(*name) != Some(*who)).count();
    assert!(moved <= NAMES.div_ceil(3) + 1, "{moved} names moved");
}

#[test]
fn what_is_claimed_when_all_has_settled_is_held_too() {
    for members in 1..4 {
        let mut world = SimulatedWorld::new(13);
        for _ in 0..members {
            world.apply(&Event::Join);
        }
        world.pass(Duration::from_secs(10));
        for who in 0..members {
            let names = BTreeSet::from(["sweep".to_owned()]);
            world.tell(who, Input::Claim { kind: "sweep".into(), names });
        }
        world.pass(Duration::from_secs(2));
        let sweep = LeaseKey { kind: "sweep".into(), name: "sweep".into() };
        assert!(world.held().contains_key(&sweep), "{members} members");
    }
}

#[test]
fn epochs_rise_with_every_holder() {
    let mut world = SimulatedWorld::new(3);
    world.apply(&Event::Join);
    for _ in 0..4 {
        world.apply(&Event::Join);
        world.pass(Duration::from_secs(5));
        let oldest = world.nodes.iter().position(|node| node.is_up).unwrap();
        world.apply(&Event::Kill(oldest));
        world.pass(Duration::from_secs(9));
    }
    assert!(world.highest.len() == NAMES && world.gains > NAMES * 3);
}

#[test]
fn an_outage_of_the_bucket_ends_nobody() {
    let mut world = SimulatedWorld::new(5);
    for _ in 0..3 {
        world.apply(&Event::Join);
    }
    world.pass(Duration::from_secs(10));
    let before = world.held();
    world.apply(&Event::Outage(120));
    world.pass(Duration::from_secs(11));
    assert!(world.held().is_empty(), "nobody can know, so nobody believes");
    world.pass(Duration::from_secs(5));
    world.assert_even();
    assert_eq!(world.held(), before, "nothing has moved");
    assert_eq!(world.ended, 0);
}

struct SimulatedWorld {
    now: Moment,
    random: u64,
    revision: u64,
    bucket: BTreeMap<Key, (u64, Record)>,
    nodes: Vec<Node>,
    outage_until: Moment,
    highest: BTreeMap<LeaseKey, u64>,
    gains: usize,
    ended: usize,
}

struct Node {
    core: Core,
    is_up: bool,
    has_left: bool,
    paused_until: Moment,
    cut_until: Moment,
    deadline: Moment,
    claims: BTreeMap<LeaseKey, u64>,
    held_until: Option<Moment>,
    /// What comes to it, in order.
    inputs: VecDeque<(Moment, Input)>,
    is_following: bool,
    wants_follow: bool,
    asks: Vec<SimulatedAsk>,
    winding_down: Vec<(Moment, LeaseKey)>,
}

enum SimulatedAsk {
    Write { at: Moment, gives_up: Moment, key: Key, record: Record, expected: u64, is_heard: bool },
    Look { at: Moment, key: Key },
}

impl SimulatedWorld {
    fn new(seed: u64) -> Self {
        Self {
            now: Moment::ORIGIN + Duration::from_secs(100),
            random: seed,
            revision: 0,
            bucket: BTreeMap::new(),
            nodes: Vec::new(),
            outage_until: Moment::ORIGIN,
            highest: BTreeMap::new(),
            gains: 0,
            ended: 0,
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn delay(&mut self) -> Duration {
        let slow = if self.random(20) == 0 { 600 } else { 0 };
        Duration::from_millis(1 + self.random(40) + slow)
    }

    fn apply(&mut self, event: &Event) {
        let tenths = |tenths: u8| Duration::from_millis(u64::from(tenths) * 100);
        let now = self.now;
        match event {
            Event::Join => self.join(),
            Event::Kill(who) => {
                if let Some(node) = self.nodes.get_mut(*who) {
                    node.is_up = false;
                }
            }
            Event::Leave(who) => {
                if let Some(node) = self.nodes.get_mut(*who).filter(|node| node.is_up) {
                    node.claims.clear();
                    node.inputs.push_front((now, Input::Leave));
                }
            }
            Event::Pause(who, length) => {
                if let Some(node) = self.nodes.get_mut(*who) {
                    node.paused_until = now + tenths(*length);
                }
            }
            Event::Cut(who, length) => {
                if let Some(node) = self.nodes.get_mut(*who) {
                    node.cut_until = now + tenths(*length);
                }
            }
            Event::Outage(length) => self.outage_until = now + tenths(*length),
            Event::Pass(length) => self.pass(tenths(*length)),
        }
    }

    fn join(&mut self) {
        if self.nodes.iter().filter(|node| node.is_up).count() >= 5 {
            return;
        }
        let number = self.nodes.len();
        let instance = InstanceId::parse(&format!("chimein-{number}")).unwrap();
        let mut core = Core::new(self.now, TIMING, instance, format!("s{number}"));
        let names = (0..NAMES).map(|n| n.to_string()).collect();
        core.handle(self.now, Input::Claim { kind: "identity".into(), names });
        self.nodes.push(Node {
            core,
            is_up: true,
            has_left: false,
            paused_until: self.now,
            cut_until: self.now,
            deadline: self.now,
            claims: BTreeMap::new(),
            held_until: None,
            inputs: VecDeque::new(),
            is_following: false,
            wants_follow: false,
            asks: Vec::new(),
            winding_down: Vec::new(),
        });
        self.drain(number);
    }

    fn pass(&mut self, length: Duration) {
        let end = self.now + length;
        while self.now < end {
            self.now = self.now + STEP;
            for who in 0..self.nodes.len() {
                self.serve(who);
                self.run(who);
            }
            self.assert_exclusive();
        }
    }

    fn is_cut(&self, who: usize) -> bool {
        self.now < self.nodes[who].cut_until || self.now < self.outage_until
    }

    /// What the bucket does with what a node has asked.
    fn serve(&mut self, who: usize) {
        let (now, is_cut) = (self.now, self.is_cut(who));
        let asks = std::mem::take(&mut self.nodes[who].asks);
        for ask in asks {
            match ask {
                SimulatedAsk::Write { gives_up, key, .. } if now >= gives_up => {
                    self.answer(who, Input::Written { key, wrote: Wrote::Unknown });
                }
                SimulatedAsk::Write { at, key, record, expected, is_heard, .. }
                    if now >= at && !is_cut =>
                {
                    let known = self.bucket.get(&key).map_or(0, |(revision, _)| *revision);
                    let wrote = if known == expected {
                        Wrote::Done(self.store(&key, record))
                    } else {
                        Wrote::Conflict
                    };
                    // An answer may be lost; what was written stays written.
                    let wrote = if is_heard { wrote } else { Wrote::Unknown };
                    self.answer(who, Input::Written { key, wrote });
                }
                SimulatedAsk::Look { at, key } if now >= at && !is_cut => {
                    let found = self.bucket.get(&key).cloned();
                    let revision = found.as_ref().map_or(0, |(revision, _)| *revision);
                    let record = found.map(|(_, record)| record);
                    self.answer(who, Input::Found { key, revision, record });
                }
                SimulatedAsk::Write { .. } | SimulatedAsk::Look { .. } => {
                    self.nodes[who].asks.push(ask)
                }
            }
        }
        if self.nodes[who].wants_follow && !is_cut {
            self.nodes[who].wants_follow = false;
            self.nodes[who].is_following = true;
            self.answer(who, Input::Reading);
            let mut all: Vec<_> = self.bucket.clone().into_iter().collect();
            all.sort_by_key(|(_, (revision, _))| *revision);
            for (key, (revision, record)) in all {
                self.answer(who, Input::Found { key, revision, record: Some(record) });
            }
            self.answer(who, Input::Read);
        }
    }

    fn store(&mut self, key: &Key, record: Record) -> u64 {
        self.revision += 1;
        let revision = self.revision;
        self.bucket.insert(key.clone(), (revision, record.clone()));
        for other in 0..self.nodes.len() {
            if self.nodes[other].is_following {
                let (key, record) = (key.clone(), Some(record.clone()));
                self.answer(other, Input::Found { key, revision, record });
            }
        }
        revision
    }

    fn answer(&mut self, who: usize, input: Input) {
        let at = self.now + self.delay();
        self.nodes[who].inputs.push_back((at, input));
    }

    fn run(&mut self, who: usize) {
        let (now, is_cut) = (self.now, self.is_cut(who));
        let node = &mut self.nodes[who];
        if !node.is_up || node.has_left || now < node.paused_until {
            return;
        }
        let is_done = |(at, _): &mut (Moment, LeaseKey)| *at <= now;
        for (_, lease) in node.winding_down.extract_if(.., is_done).collect::<Vec<_>>() {
            self.nodes[who].claims.remove(&lease);
            self.tell(who, Input::Released(lease));
        }
        while let Some((at, input)) = self.nodes[who].inputs.pop_front() {
            let comes_through = match &input {
                Input::Leave | Input::Written { wrote: Wrote::Unknown, .. } => true,
                _ => !is_cut,
            };
            if at > now || !comes_through || self.nodes[who].has_left {
                self.nodes[who].inputs.push_front((at, input));
                break;
            }
            self.tell(who, input);
        }
        if now >= self.nodes[who].deadline && !self.nodes[who].has_left {
            self.tell(who, Input::Tick);
        }
    }

    fn tell(&mut self, who: usize, input: Input) {
        let now = self.now;
        self.nodes[who].core.handle(now, input);
        self.drain(who);
    }

    fn drain(&mut self, who: usize) {
        while let Some(output) = self.nodes[who].core.poll() {
            self.carry_out(who, output);
        }
        let now = self.now;
        let node = &mut self.nodes[who];
        node.held_until = node.core.held_until();
        node.deadline = node.core.deadline(now);
        assert!(node.deadline > now, "a deadline in the past would spin");
    }

    fn carry_out(&mut self, who: usize, output: Output) {
        let at = self.now + self.delay();
        match output {
            Output::Write { key, record, expected } => {
                let gives_up = self.now + TIMING.heartbeat;
                let is_heard = self.random(30) > 0;
                let ask = SimulatedAsk::Write { at, gives_up, key, record, expected, is_heard };
                self.nodes[who].asks.push(ask);
            }
            Output::Look(key) => self.nodes[who].asks.push(SimulatedAsk::Look { at, key }),
            Output::Follow => {
                self.nodes[who].is_following = false;
                self.nodes[who].wants_follow = true;
            }
            Output::Gained { lease, epoch } => {
                self.gains += 1;
                let before = self.highest.insert(lease.clone(), epoch);
                assert!(before.is_none_or(|before| before < epoch), "an epoch is a fence");
                self.nodes[who].claims.insert(lease, epoch);
            }
            Output::Yield(lease) => {
                let done = self.now + Duration::from_millis(self.random(1000));
                self.nodes[who].winding_down.push((done, lease));
            }
            Output::Lost(lease) => {
                self.nodes[who].claims.remove(&lease);
            }
            Output::Ended => self.ended += 1,
            Output::Left => self.nodes[who].has_left = true,
        }
    }

    /// Who believes to hold what, whether it is running or stands still.
    fn held(&self) -> BTreeMap<LeaseKey, usize> {
        let mut held = BTreeMap::new();
        for (who, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_up) {
            if node.held_until.is_some_and(|until| self.now < until) {
                for lease in node.claims.keys() {
                    let other = held.insert(lease.clone(), who);
                    assert!(other.is_none(), "{who} and {other:?} both hold {lease:?}");
                }
            }
        }
        held
    }

    fn assert_exclusive(&self) {
        self.held();
    }

    fn assert_even(&self) {
        let held = self.held();
        let up = self.nodes.iter().enumerate().filter(|(_, node)| node.is_up && !node.has_left);
        let shares: Vec<_> =
            up.map(|(who, _)| held.values().filter(|holder| **holder == who).count()).collect();
        assert_eq!(held.len(), NAMES, "everything is held: {shares:?}");
        let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        assert!(most - least <= 1, "evenly: {shares:?}");
    }
}
