//! The pipeline with a channel and an agent that it has never seen, each in one file, by the public
//! traits alone: the same promises hold.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it cannot")]

mod agent;
mod channel;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use chimein::agent::later::{Batch, Outbox as _};
use chimein::agent::{Agent, Fate};
use chimein::channels::{Channels, Inlet, Markings, Seen};
use chimein::clock::Clock;
use chimein::concurrency::Limiter;
use chimein::jobs::recorder::Recorder;
use chimein::jobs::schedule::Schedule;
use chimein::jobs::status::Status;
use chimein::jobs::worker::{self, Station, Work};
use chimein::pipeline::handoff::{Handoff, Memory, Paused};
use chimein::pipeline::ingest::Ingest;
use chimein::pipeline::ingest::admission::Admission;
use chimein::pipeline::lists::Lists;
use chimein::pipeline::policy::routing::Routes;
use chimein::pipeline::policy::strategy::{Burst, Strategy};
use chimein::pipeline::report::Reports;
use chimein::pipeline::send::Sends;
use chimein::pipeline::send::answers::KeyedAnswers;
use chimein::pipeline::send::late::Late;
use chimein::pipeline::send::reply_ids::ReplyIds;
use chimein::pipeline::turn::Turns;
use chimein::pipeline::turn::busy::BusyTimes;
use chimein::pipeline::turn::histories::Histories;
use chimein::pipeline::upstreams::{Upstream, Upstreams};
use chimein::queue::{QueueName, Store, embedded};
use chimein::telemetry::journal::{Door, Journal, Stage};
use chimein::telemetry::metrics::Metrics;
use chimein::thread::{Medium, Pair, Reply, SkipReason, Thread, ThreadId, ThreadKind, TurnMessage};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agent::Loud;
use crate::channel::{Mishap, PostOffice};

/// How long something may take before the test has failed.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_is_answered_once_and_in_order() {
    let house = House::start().await;
    for n in 0..5 {
        house.write(1, n, &format!("a{n}")).await;
        house.write(2, n, &format!("b{n}")).await;
        // Another door tells of it too.
        house.write(1, n, &format!("a{n}")).await;
    }
    house.expect(1, &["A0", "A1", "A2", "A3", "A4"]).await;
    house.expect(2, &["B0", "B1", "B2", "B3", "B4"]).await;
    assert_eq!(house.agent.asked().len(), 10);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_with_an_unknown_outcome_is_looked_for_and_sent_once() {
    let house = House::start().await;
    house.office.expect(&[Mishap::LostAnswer]);
    house.write(1, 0, "one").await;
    house.write(1, 1, "two").await;
    house.expect(1, &["ONE", "TWO"]).await;
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_tried_again_and_keeps_its_place() {
    let house = House::start().await;
    house.office.expect(&[Mishap::Refused, Mishap::Refused]);
    house.agent.fail(2);
    house.write(1, 0, "one").await;
    house.write(1, 1, "two").await;
    house.expect(1, &["ONE", "TWO"]).await;
    assert_eq!(house.agent.asked().len(), 4, "the first turn three times");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_is_unwelcome_or_replaced_by_a_person_keeps_silent() {
    let house = House::start().await;
    house.office.shut(thread(1).id());
    house.handoff.set(thread(2).id(), true).await.unwrap();
    house.write(1, 0, "to nobody").await;
    house.write(2, 0, "to a person").await;
    house.skipped(1, SkipReason::Removed).await;
    house.skipped(2, SkipReason::Paused).await;
    house.handoff.set(thread(2).id(), false).await.unwrap();
    house.write(2, 1, "to the bot").await;
    house.expect(2, &["TO THE BOT"]).await;
    assert_eq!(house.office.letters(thread(1).id()), [""; 0]);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_late_reply_is_cut_to_what_its_channel_takes() {
    let house = House::start().await;
    house.say_late(1, "First one. Second one.").await;
    house.expect(1, &["First one.", "Second one."]).await;
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_answer_is_cut_to_what_its_channel_takes() {
    let house = House::start().await;
    house.write(1, 0, "First one. Second one.").await;
    house.expect(1, &["FIRST ONE.", "SECOND ONE."]).await;
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_to_a_person_is_kept_and_answered_when_the_thread_is_given_back() {
    let rules = Rules { paused: Paused::Hold, ..Rules::default() };
    let house = House::by(rules).await;
    house.handoff.set(thread(1).id(), true).await.unwrap();
    house.write(1, 0, "one").await;
    house.write(1, 1, "two").await;
    house.eventually(|| house.stages(thread(1).id()).contains(&Stage::Held)).await;
    assert_eq!(house.agent.asked(), [""; 0], "a person has the thread");
    house.handoff.set(thread(1).id(), false).await.unwrap();
    house.expect(1, &["ONE", "TWO"]).await;
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_in_one_go_is_one_turn() {
    let hour = Duration::from_secs(3600);
    let burst = Burst { quiet: hour, longest: hour, messages_max: 3 };
    let house = House::by(Rules { strategy: Strategy::Burst(burst), ..Rules::default() }).await;
    let seen = ["one", "two", "three"].into_iter().zip(0..).map(|(body, n)| house.seen(1, n, body));
    assert_eq!(house.ingest.messages(seen.collect()).await.unwrap(), 3);
    house.expect(1, &["ONE", "TWO", "THREE"]).await;
    assert_eq!(house.agent.asked().len(), 1);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_is_told_what_became_of_its_replies() {
    let house = House::by(Rules { tells: true, ..Rules::default() }).await;
    house.office.expect(&[Mishap::Refused; RETRIES + 1]);
    house.write(1, 0, "one").await;
    house.write(1, 1, "two").await;
    house.expect(1, &["TWO"]).await;
    house.eventually(|| house.agent.told().len() == 2).await;
    let told = house.agent.told();
    assert!(matches!(told[..], [Fate::Dead { .. }, Fate::Sent { .. }]), "{told:?}");
    house.stop().await;
}

/// How many times what failed is tried again.
const RETRIES: usize = 5;

/// What the pipeline is told to do.
#[derive(Clone, Copy)]
struct Rules {
    paused: Paused,
    strategy: Strategy,
    tells: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { paused: Paused::Skip, strategy: Strategy::Queue, tells: false }
    }
}

/// The pipeline around the post office.
struct House {
    office: Arc<PostOffice>,
    agent: Arc<Loud>,
    handoff: Arc<Handoff>,
    ingest: Ingest,
    lists: Arc<Lists>,
    recorder: Recorder,
    store: Store,
    tasks: TaskTracker,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl House {
    async fn start() -> Self {
        Self::by(Rules::default()).await
    }

    async fn by(rules: Rules) -> Self {
        let loud = Arc::new(Loud::default());
        Self::around((Arc::<Loud>::clone(&loud), loud), rules).await
    }

    async fn around((thinks, agent): (Arc<dyn Agent>, Arc<Loud>), rules: Rules) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(embedded::Options::new(folder.path().join("queue.db"))).unwrap();
        let office = Arc::new(PostOffice::default());
        let clock = Clock::start();
        let recorder = Recorder {
            journal: Journal::new(1024),
            metrics: Metrics::new(),
            clock,
            tally: Arc::default(),
        };
        let handoff = Arc::new(Handoff {
            markings: Markings::default()
                .with(ThreadKind::Direct, Arc::<PostOffice>::clone(&office)),
            inbox: store.queue(QueueName::Inbox),
            outbox: store.queue(QueueName::Outbox),
            marks: store.marks(),
            documents: store.documents(),
            admission: Arc::new(Admission::new(Duration::from_secs(3600), 100)),
            clock,
            memory: Memory::default(),
        });
        let ingest = Ingest {
            inbox: store.queue(QueueName::Inbox),
            outbox: store.queue(QueueName::Outbox),
            webhook_grace: Duration::ZERO,
            handoff: Arc::clone(&handoff),
            told: None,
            repeated: Arc::default(),
            recorder: recorder.clone(),
        };
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let lists = Arc::new(Lists::open(store.documents(), false).await);
        let house = Self {
            office,
            agent,
            handoff,
            ingest,
            lists,
            recorder,
            store,
            tasks,
            stop,
            _folder: folder,
        };
        house.work(&thinks, rules);
        house
    }

    fn work(&self, agent: &Arc<dyn Agent>, rules: Rules) {
        let Rules { paused, strategy, tells } = rules;
        let channels = self.channels();
        let status = Arc::new(Status::default());
        let schedule = || Schedule::new(vec![Duration::from_millis(10); RETRIES]);
        let upstream =
            Upstream { tells, schedule: schedule(), ..Upstream::plain(Arc::clone(agent)) };
        let upstreams = Upstreams::new(vec![upstream], Routes::default(), self.store.documents());
        self.run(Reports {
            late: self.late(),
            upstreams: upstreams.clone(),
            reports: self.store.queue(QueueName::Reports),
            order: None,
            handoff: Arc::clone(&self.handoff),
            paused,
            files: None,
            recorder: self.recorder.clone(),
        });
        self.run(Turns {
            upstreams: upstreams.clone(),
            channels: channels.clone(),
            handoff: Arc::clone(&self.handoff),
            inbox: self.store.queue(QueueName::Inbox),
            admission: Arc::clone(&self.handoff.admission),
            paused,
            ids: ReplyIds::of(&"secret".into()),
            answers: self.answers(),
            strategy,
            lists: Arc::clone(&self.lists),
            busy: BusyTimes::default(),
            histories: Histories::default(),
            schedule: schedule(),
            status: Arc::clone(&status),
            files: None,
            recorder: self.recorder.clone(),
        });
        self.run(Sends {
            channels,
            handoff: Arc::clone(&self.handoff),
            paused,
            lists: Arc::clone(&self.lists),
            upstreams,
            schedule: schedule(),
            outbox: self.store.queue(QueueName::Outbox),
            reports: self.store.queue(QueueName::Reports),
            told: None,
            status,
            recorder: self.recorder.clone(),
        });
    }

    fn channels(&self) -> Channels {
        Channels::default().with(ThreadKind::Direct, Arc::<PostOffice>::clone(&self.office))
    }

    fn run<W: Work>(&self, work: W) {
        let queue = self.store.queue(W::QUEUE);
        let station = Station { queue, slots: Limiter::fixed(8), recorder: self.recorder.clone() };
        self.tasks.spawn(worker::run(station, Arc::new(work), self.stop.clone()));
    }

    /// Somebody writes.
    async fn write(&self, who: u8, n: u8, body: &str) {
        let _new = self.ingest.messages(vec![self.seen(who, n, body)]).await.unwrap();
    }

    /// What the channel sees of it.
    fn seen(&self, who: u8, n: u8, body: &str) -> Seen {
        let message = TurnMessage {
            sid: format!("SM{who:016x}{n:016x}").parse().unwrap(),
            index: None,
            author: "+15555550123".into(),
            body: Some(body.into()),
            attributes: serde_json::Map::new(),
            media: Vec::new(),
            participant: None,
            created: Some(self.recorder.clock.wall()),
            extras: None,
        };
        Seen { thread: thread(who), speaker: None, message, door: Door::Webhook }
    }

    /// The agent says something after its turn.
    async fn say_late(&self, who: u8, text: &str) {
        let batch = Batch::new(thread(who), "late", vec![Reply::text(text)]);
        assert_eq!(self.late().put(batch).await.unwrap(), 2);
    }

    fn answers(&self) -> KeyedAnswers {
        KeyedAnswers::new(self.store.queue(QueueName::Outbox), self.store.documents())
    }

    fn late(&self) -> Late {
        Late {
            outbox: self.answers(),
            channels: self.channels(),
            ids: ReplyIds::of(&"secret".into()),
            tells: false,
            agent: None,
            inbox: self.store.queue(QueueName::Inbox),
            documents: self.store.documents(),
            reports: None,
            recorder: self.recorder.clone(),
        }
    }

    async fn expect(&self, who: u8, letters: &[&str]) {
        let id = thread(who).id();
        self.eventually(|| self.office.letters(id).len() >= letters.len()).await;
        assert_eq!(self.office.letters(id), letters);
    }

    async fn skipped(&self, who: u8, reason: SkipReason) {
        self.eventually(|| self.stages(thread(who).id()).contains(&Stage::Skipped { reason }))
            .await;
    }

    fn stages(&self, thread: ThreadId) -> Vec<Stage> {
        self.recorder.journal.recent(thread).iter().map(|record| record.stage).collect()
    }

    async fn eventually(&self, holds: impl Fn() -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        waited.await.unwrap();
    }

    async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.store.close().await;
    }
}

fn thread(who: u8) -> Thread {
    let theirs = format!("+155555501{who:02}").as_str().into();
    Thread::Direct(Box::new(Pair { medium: Medium::Sms, ours: "+15555550100".into(), theirs }))
}
