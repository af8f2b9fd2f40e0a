//! The rule for outages in virtual time: the workers' loop and their requests as events, nothing of it
//! on a socket or a clock.
//!
//! What it has shown so far: what a job needs was asked for one after the other once all of Twilio was
//! back (16.2 s), and an agent that had been away got one turn at a time, then two, then three (125 s where
//! it thinks for 15 s). Where Twilio is mute those wait for longest whose request is under way at the end:
//! 15 s until it is given up, and 2 s until it is looked for. A person a second for six hours are more
//! than 256 places bring in 10 s.
//!
//! A stage takes a job as [`chimein::jobs::worker`] does: a place, the outage's leave, the next job that
//! is due. Its requests end after as long as what is away takes to fail, also when the outage is over
//! meanwhile; what works takes 150 ms. Chance is at its worst: jitter waits longest, and an outage ends
//! at whichever of twenty moments between two probes makes people wait longest.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use chimein::clock::Moment;
use chimein::concurrency::Limit;
use chimein::jobs::outage::{Change, Outage, Pass};
use chimein::jobs::schedule::Schedule;
use comfy_table::Table;

/// How long a refusal takes, and whatever works.
const ANSWER: Duration = Duration::from_millis(150);
/// How long the agent thinks that does so for long.
const THOUGHT: Duration = Duration::from_secs(15);
/// `twilio.connect_timeout` by default.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// `twilio.request_timeout` by default.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// `join.concurrency` and `send.concurrency` by default.
const PLACES: usize = 256;
/// `agent.concurrency` by default.
const AGENT_PLACES: usize = 4096;
/// How much longer a pause is at most that is spread.
const SPREAD: f64 = 1.2;
/// When it is looked at the earliest for what may have been sent.
const ARRIVES_WITHIN: Duration = Duration::from_secs(2);
/// At how many moments between two probes an outage ends, and how far they are from each other.
const ENDS: u32 = 20;
const ENDS_EVERY: Duration = Duration::from_millis(250);
/// People who write during an outage, evenly.
const WRITERS: u32 = 30;
/// Within what all are to be answered, but for the agent's thought.
const AIM: Duration = Duration::from_secs(10);

/// Prints how long people wait after each kind of outage, beside the aim.
pub fn table() {
    let mut table = Table::new();
    table.set_header([
        "away for",
        "what",
        "failing takes s",
        "people",
        "all answered s after",
        "aim",
        "requests meanwhile",
        "attempts counted",
        "dead",
    ]);
    for (name, seconds) in [("45 s", 45_u32), ("10 min", 600), ("6 h", 21_600)] {
        for kind in KINDS {
            for people in [WRITERS, seconds] {
                let runs = (0..ENDS).map(|at| {
                    let end = Duration::from_secs(seconds.into()) + ENDS_EVERY * at;
                    World::new(kind, end).run(people)
                });
                let worst = runs.max_by_key(|tally| tally.waited).expect("several runs");
                table.add_row([
                    name.to_owned(),
                    kind.name.to_owned(),
                    kind.failing.as_secs_f64().to_string(),
                    people.to_string(),
                    format!("{:.1}", worst.waited.as_secs_f64()),
                    (AIM + kind.thought).as_secs().to_string(),
                    worst.requests.to_string(),
                    worst.counted.to_string(),
                    worst.dead.to_string(),
                ]);
            }
        }
    }
    println!("{table}");
}

/// What jobs need, each with an outage of its own.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Need {
    Adding,
    Reading,
    Sending,
    Agent,
}

impl Need {
    const fn index(self) -> usize {
        match self {
            Self::Adding => 0,
            Self::Reading => 1,
            Self::Sending => 2,
            Self::Agent => 3,
        }
    }
}

/// Where jobs are worked on.
#[derive(Clone, Copy)]
enum Stage {
    Join,
    Turn,
    Send,
}

/// An outage.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    away: &'static [Need],
    failing: Duration,
    /// Whether nobody knows afterwards if something was done.
    is_unknown: bool,
    /// How long the agent takes while it works.
    thought: Duration,
}

const TWILIO: &[Need] = &[Need::Adding, Need::Reading, Need::Sending];

const KINDS: [Kind; 7] = [
    Kind::of("adds are answered 503", &[Need::Adding], ANSWER),
    Kind { is_unknown: true, ..Kind::of("adds are cut off", &[Need::Adding], ANSWER) },
    Kind::of("all of twilio is away: refused", TWILIO, Duration::from_millis(1)),
    Kind::of("all of twilio is away: no connection", TWILIO, CONNECT_TIMEOUT),
    Kind { is_unknown: true, ..Kind::of("all of twilio is away: mute", TWILIO, REQUEST_TIMEOUT) },
    Kind::of("the agent answers 503", &[Need::Agent], ANSWER),
    Kind {
        thought: THOUGHT,
        ..Kind::of("the agent answers 503, and thinks 15 s", &[Need::Agent], ANSWER)
    },
];

impl Kind {
    const fn of(name: &'static str, away: &'static [Need], failing: Duration) -> Self {
        Self { name, away, failing, is_unknown: false, thought: ANSWER }
    }
}

/// What became of all.
#[derive(Default)]
struct Tally {
    /// How long after the end the last one was answered.
    waited: Duration,
    /// Requests that failed.
    requests: u64,
    counted: u64,
    dead: u64,
}

/// One person's message at its stage.
#[derive(Clone, Copy)]
struct Job {
    person: u32,
    attempt: u32,
    /// Whether an earlier delivery may have done something.
    is_again: bool,
    rested_at: Moment,
}

enum Event {
    Due(Stage, Job),
    /// The n-th request of a job has ended.
    Ended {
        stage: Stage,
        job: Job,
        nth: usize,
        began: Moment,
    },
    Wake(Stage),
}

/// A stage's loop.
struct Line {
    places: Limit,
    under_way: usize,
    /// Whether it has leave to take a job.
    has_leave: bool,
    ready: VecDeque<Job>,
    woken_at: Option<Moment>,
    schedule: Schedule,
}

impl Line {
    fn new(places: usize, schedule: &[u64]) -> Self {
        Self {
            places: Limit::new(places, places),
            under_way: 0,
            has_leave: false,
            ready: VecDeque::new(),
            woken_at: None,
            schedule: Schedule::new(schedule.iter().copied().map(Duration::from_secs).collect()),
        }
    }
}

struct World {
    kind: Kind,
    end: Moment,
    now: Moment,
    outages: [Outage; 4],
    lines: [Line; 3],
    /// By time, then in the order in which they were foreseen.
    events: BinaryHeap<Reverse<(Moment, usize)>>,
    foreseen: Vec<Option<Event>>,
    tally: Tally,
}

impl World {
    fn new(kind: Kind, end: Duration) -> Self {
        Self {
            kind,
            end: Moment::ORIGIN + end,
            now: Moment::ORIGIN,
            outages: [Outage::default(); 4],
            // The schedules by default.
            lines: [
                Line::new(PLACES, &[1, 2, 5, 15, 60, 300, 900]),
                Line::new(AGENT_PLACES, &[1, 5, 30, 120, 600]),
                Line::new(PLACES, &[1, 2, 5, 15, 60, 300, 900, 3600]),
            ],
            events: BinaryHeap::new(),
            foreseen: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Lets people write evenly until the end of the outage, and goes on until all are answered.
    fn run(mut self, people: u32) -> Tally {
        let time = self.end.since(Moment::ORIGIN);
        for person in 0..people {
            let rested_at = Moment::ORIGIN;
            let job = Job { person, attempt: 1, is_again: false, rested_at };
            self.foresee(Moment::ORIGIN + time * person / people, Event::Due(self.first(job), job));
        }
        while let Some(Reverse((at, index))) = self.events.pop() {
            self.now = at;
            match self.foreseen[index].take().expect("each happens once") {
                Event::Due(stage, job) => {
                    self.lines[index_of(stage)].ready.push_back(job);
                    self.take(stage);
                }
                Event::Wake(stage) => {
                    self.lines[index_of(stage)].woken_at = None;
                    self.take(stage);
                }
                Event::Ended { stage, job, nth, began } => self.ended(stage, job, nth, began),
            }
        }
        self.tally
    }

    /// Where a message begins: whether adding or the agent is away, that is what everybody needs; of
    /// those who meet all of Twilio away, each second one is in a conversation already.
    fn first(&self, job: Job) -> Stage {
        match self.kind.away {
            [Need::Agent] => Stage::Turn,
            [Need::Adding] => Stage::Join,
            _ if job.person.is_multiple_of(2) => Stage::Join,
            _ => Stage::Turn,
        }
    }

    /// Takes up what may be taken up.
    fn take(&mut self, stage: Stage) {
        loop {
            let now = self.now;
            let line = &mut self.lines[index_of(stage)];
            if line.under_way >= line.places.allowed() {
                return;
            }
            if !line.has_leave {
                match self.outages[need_of(stage).index()].admit(now) {
                    Pass::Go => line.has_leave = true,
                    Pass::Wait(until) => {
                        if line.woken_at.is_none_or(|at| until < at) {
                            line.woken_at = Some(until);
                            self.foresee(until, Event::Wake(stage));
                        }
                        return;
                    }
                }
            }
            let Some(job) = line.ready.pop_front() else { return };
            line.has_leave = false;
            if matches!(stage, Stage::Send) && job.is_again && now < job.rested_at {
                self.foresee(job.rested_at, Event::Due(stage, job));
            } else {
                line.under_way += 1;
                self.ask(stage, job, 0);
            }
        }
    }

    /// Makes the n-th request of a job, if there is one and it may go.
    fn ask(&mut self, stage: Stage, job: Job, nth: usize) {
        let Some(need) = needs(stage, job).get(nth).copied() else {
            return self.done(stage, job);
        };
        match self.outages[need.index()].pass(self.now) {
            Pass::Go => {
                let took = if self.is_away(need) {
                    self.kind.failing
                } else if need == Need::Agent {
                    self.kind.thought
                } else {
                    ANSWER
                };
                let began = self.now;
                self.foresee(began + took, Event::Ended { stage, job, nth, began });
            }
            Pass::Wait(until) => {
                let pause = until.since(self.now).mul_f64(SPREAD);
                self.give_back(stage, job, pause);
            }
        }
    }

    fn ended(&mut self, stage: Stage, mut job: Job, nth: usize, began: Moment) {
        let need = needs(stage, job)[nth];
        let outage = &mut self.outages[need.index()];
        if began >= self.end || !self.kind.away.contains(&need) {
            let is_back = outage.succeeded(self.now) == Change::Back;
            if is_back && need != Need::Agent {
                self.nudge();
            }
            let line = &mut self.lines[index_of(stage)];
            line.places.succeeded(line.under_way);
            return self.ask(stage, job, nth + 1);
        }
        self.tally.requests += 1;
        outage.failed(Some(subject(job)), self.now.since(began), self.now);
        let line = &mut self.lines[index_of(stage)];
        if need == Need::Agent && outage.parks(self.now).is_none() {
            line.places.doubted(line.under_way, self.now);
        }
        if self.kind.is_unknown || need == Need::Sending {
            job.is_again = true;
            job.rested_at = self.now + ARRIVES_WITHIN;
        }
        let pause = outage.parks(self.now).or_else(|| {
            self.tally.counted += 1;
            job.attempt += 1;
            line.schedule.delay_after(job.attempt - 1, None, 1.0)
        });
        match pause {
            Some(pause) => self.give_back(stage, job, pause),
            None => {
                self.tally.dead += 1;
                line.under_way -= 1;
                self.take(stage);
            }
        }
    }

    /// What is back for one operation is asked for the others at once.
    fn nudge(&mut self) {
        for need in TWILIO {
            self.outages[need.index()].nudged(self.now);
        }
        for stage in [Stage::Join, Stage::Send] {
            self.take(stage);
        }
    }

    fn give_back(&mut self, stage: Stage, job: Job, pause: Duration) {
        self.lines[index_of(stage)].under_way -= 1;
        self.foresee(self.now + pause, Event::Due(stage, job));
        self.take(stage);
    }

    fn done(&mut self, stage: Stage, job: Job) {
        self.lines[index_of(stage)].under_way -= 1;
        let fresh = Job { attempt: 1, is_again: false, ..job };
        match stage {
            Stage::Join => self.foresee(self.now, Event::Due(Stage::Turn, fresh)),
            Stage::Turn => self.foresee(self.now, Event::Due(Stage::Send, fresh)),
            Stage::Send => self.tally.waited = self.tally.waited.max(self.now.since(self.end)),
        }
        self.take(stage);
    }

    fn is_away(&self, need: Need) -> bool {
        self.now < self.end && self.kind.away.contains(&need)
    }

    fn foresee(&mut self, at: Moment, event: Event) {
        self.events.push(Reverse((at, self.foreseen.len())));
        self.foreseen.push(Some(event));
    }
}

/// The requests of a job, in their order: what may have been sent is looked for first.
const fn needs(stage: Stage, job: Job) -> &'static [Need] {
    match stage {
        Stage::Join => &[Need::Adding],
        Stage::Turn => &[Need::Agent],
        Stage::Send if job.is_again => &[Need::Reading, Need::Sending],
        Stage::Send => &[Need::Sending],
    }
}

/// Whose leave a stage asks for before it takes a job.
const fn need_of(stage: Stage) -> Need {
    match stage {
        Stage::Join => Need::Adding,
        Stage::Turn => Need::Agent,
        Stage::Send => Need::Sending,
    }
}

const fn index_of(stage: Stage) -> usize {
    match stage {
        Stage::Join => 0,
        Stage::Turn => 1,
        Stage::Send => 2,
    }
}

fn subject(job: Job) -> [u8; 16] {
    u128::from(job.person).to_be_bytes()
}
