//! Reports: tells the agent what became of the replies that it asked about.
//!
//! A report is stored in the transaction that settles its reply (or before a dead letter is one), so
//! none is lost; the agent may be told twice. A report that the agent does not take is tried again by
//! the schedule of turns and is a dead letter after it. Decides nothing about what a report means.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::agent::{Error, Fate, Report, Sign};
use crate::channels::{Fared, SentReply};
use crate::clock::Moment;
use crate::concurrency::Slot;
use crate::config::kinds::AgentName;
use crate::jobs::recorder::Recorder;
use crate::jobs::settle;
use crate::jobs::worker::Work;
use crate::jobs::{encode, lane};
use crate::media::Files;
use crate::pipeline::failure::{self, reason};
use crate::pipeline::handoff::{Handoff, Paused};
use crate::pipeline::origins;
use crate::pipeline::record::{self, Settled};
use crate::pipeline::report::order::Order;
use crate::pipeline::send::late::Late;
use crate::pipeline::upstreams::{Upstream, Upstreams};
use crate::queue::{self, Append, Delivery, Queue, QueueName};
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::Stage;
use crate::telemetry::trace::{TraceContext, TraceId};
use crate::thread::{Speaker, ThreadId};

pub mod order;
pub mod room;
mod silence;

/// How soon a report is looked at again whose agent is told as many as it may be at once.
const PLACE_LOOK_EVERY: Duration = Duration::from_secs(1);

/// Works on the reports.
pub struct Reports {
    /// Who is told.
    pub upstreams: Upstreams,
    /// The queue itself, where it is noted which turns the agent has said something to.
    pub reports: Queue,
    /// What was told last of each reply, where the agent is told of each step.
    pub order: Option<Order>,
    /// Which threads a person has, whose turns are not asked anew.
    pub handoff: Arc<Handoff>,
    /// What becomes of messages while a person has the thread.
    pub paused: Paused,
    /// The files of turns, if they are made something of.
    pub files: Option<Arc<Files>>,
    /// Where an answer goes that an agent gives when it is asked anew; of no agent of its own.
    pub late: Late,
    /// Where the stages are noted.
    pub recorder: Recorder,
}

/// Makes the job of a report on the reply of a trace; those of one thread keep their order.
#[must_use]
pub fn job(report: Report, trace: Option<TraceId>) -> Append {
    Append {
        id: record::report_id(&report),
        key: lane(&report.thread),
        position: None,
        not_before: None,
        payload: encode(&Settled::V1 { report, trace }),
    }
}

/// Makes the job of a report on how a reply fares; none if nobody wants to know of that reply.
#[must_use]
pub fn of_fared(fared: Fared) -> Option<Append> {
    let Fared { reply, message, sent, status, code, recipient, at } = fared;
    let origin = origins::read(&sent.note?)?;
    let SentReply { thread, turn, .. } = sent;
    let fate = Fate::Fares { status, code, message: Some(message), recipient };
    Some(job(Report { reply, thread, turn, origin, fate, at }, None))
}

impl Work for Reports {
    const QUEUE: QueueName = QueueName::Reports;

    async fn wait(&self) {
        if let Some(only) = self.upstreams.only() {
            only.told_health.wait(&self.recorder.clock).await;
        }
    }

    async fn work(&self, delivery: Delivery, stop: &CancellationToken) {
        let (report, trace) = match serde_json::from_slice(delivery.payload()) {
            Ok(Settled::V1 { report, trace }) => (report, trace),
            Ok(Settled::AwaitedAs { speaker, of }) => {
                return self.look(delivery, (of, speaker), stop).await;
            }
            // An older release did not say, and told the agent so when it asked anew.
            Ok(Settled::Awaited(of)) => {
                return self.look(delivery, (of, Speaker::Identity(String::new())), stop).await;
            }
            // It is there to be found.
            Ok(Settled::Heard { .. }) => {
                return settle::report(Self::QUEUE, delivery.ack().await);
            }
            Err(error) => return settle::unreadable(delivery, Self::QUEUE, &error).await,
        };
        self.tell(delivery, (report, trace), stop).await;
    }
}

impl Reports {
    async fn tell(
        &self,
        delivery: Delivery,
        (report, trace): (Report, Option<TraceId>),
        stop: &CancellationToken,
    ) {
        let thread = report.thread.id();
        let trace = trace.unwrap_or_else(|| TraceContext::of_thread(thread).trace());
        TraceContext::of_trace(trace, thread, None).record();
        let clock = &self.recorder.clock;
        let agent = report.origin.agent.as_deref();
        let Some(upstream) = self.upstreams.named(agent) else {
            return self.nobodys(delivery, thread, agent).await;
        };
        let Some((delivery, _place)) = self.placed(delivery, upstream).await else { return };
        if let Err(pause) = upstream.told_health.pass(clock) {
            return settle::report(Self::QUEUE, delivery.park(pause).await);
        }
        match self.is_news(upstream, &report).await {
            Ok(true) => {}
            Ok(false) => return settle::report(Self::QUEUE, delivery.ack().await),
            Err(error) => return settle::lost(Self::QUEUE, &error),
        }
        let began = clock.now();
        let told = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            lost = delivery.keep_alive() => return settle::lost(Self::QUEUE, &lost),
            told = upstream.agent.report(&report) => told,
        };
        match told {
            Ok(()) => {
                upstream.told_health.succeeded(clock);
                let noted = match self.order_of(upstream) {
                    Some(order) => order.told(&report).await,
                    None => Ok(()),
                };
                // What is not noted is told again, which the agent knows by its id.
                let settled = match noted {
                    Ok(()) => delivery.ack().await,
                    Err(error) => Err(error),
                };
                settle::report(Self::QUEUE, settled);
            }
            Err(error) => match self.parks((upstream, thread), &error, began) {
                Some(pause) => settle::report(Self::QUEUE, delivery.park(pause).await),
                None => self.fail(delivery, (upstream, &report), &error).await,
            },
        }
    }

    /// Gives the delivery back with a place at the agent; nothing if it waits for one. One agent alone has
    /// given it with the worker.
    async fn placed(
        &self,
        delivery: Delivery,
        upstream: &Upstream,
    ) -> Option<(Delivery, Option<Slot>)> {
        if self.upstreams.only().is_some() {
            return Some((delivery, None));
        }
        let place = upstream.reports_room.try_acquire();
        if place.is_none() {
            let pause = settle::spread(PLACE_LOOK_EVERY);
            settle::report(Self::QUEUE, delivery.put_off(pause).await);
            return None;
        }
        Some((delivery, place))
    }

    /// Lets what is of an agent be that there is no more.
    async fn nobodys(&self, delivery: Delivery, thread: ThreadId, agent: Option<&str>) {
        tracing::warn!(conversation_sid = %thread, agent = agent.unwrap_or(AgentName::PLAIN),
            "what became of a reply is told to nobody: its agent is configured no more");
        settle::report(Self::QUEUE, delivery.ack().await);
    }

    fn order_of(&self, upstream: &Upstream) -> Option<&Order> {
        self.order.as_ref().filter(|_| upstream.tells)
    }

    async fn is_news(&self, upstream: &Upstream, report: &Report) -> Result<bool, queue::Error> {
        match self.order_of(upstream) {
            Some(order) => order.is_news(report).await,
            None => Ok(true),
        }
    }

    /// How long a report is parked because the agent is away; nothing if it is its own failure.
    pub(super) fn parks(
        &self,
        (upstream, thread): (&Upstream, ThreadId),
        error: &Error,
        began: Moment,
    ) -> Option<Duration> {
        let (health, clock) = (&upstream.told_health, &self.recorder.clock);
        match error.sign() {
            Sign::Alive | Sign::Busy => {
                health.succeeded(clock);
                None
            }
            Sign::Away | Sign::Doubtful => {
                let subject = *thread.as_bytes();
                health.failed(Some(subject), clock.now().since(began), reason(error), clock);
                health.parks(clock)
            }
        }
    }

    async fn fail(
        &self,
        delivery: Delivery,
        (upstream, report): (&Upstream, &Report),
        error: &Error,
    ) {
        let attempt = delivery.attempt();
        let delay = failure::delay(error, attempt, &upstream.schedule);
        let cause = failure::cause(error);
        if let Some(delay) = delay {
            tracing::warn!(conversation_sid = %report.thread, attempt,
                retry_in_ms = settle::millis(delay), error = %Chain(error),
                "agent could not be told what became of a reply; trying again");
            return settle::report(Self::QUEUE, delivery.retry_in(delay, cause).await);
        }
        tracing::error!(conversation_sid = %report.thread, attempt, error = %Chain(error),
            "agent could not be told what became of a reply; the report is a dead letter");
        let queue = Self::QUEUE.as_str();
        let stage = Stage::Dead { queue, reason: failure::class(error), code: None };
        let settled = delivery.dead(cause).await;
        if settled.is_ok() {
            self.recorder.stage(&report.thread, None, stage);
        }
        settle::report(Self::QUEUE, settled);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use futures::future::BoxFuture;

    use super::*;
    use crate::agent::{Agent, Answer, Origin, Turn};
    use crate::channels::{Channels, Markings};
    use crate::clock::{Clock, Timestamp};
    use crate::jobs::schedule::Schedule;
    use crate::pipeline::handoff::Memory;
    use crate::pipeline::ingest::admission::Admission;
    use crate::pipeline::policy::routing::Routes;
    use crate::pipeline::send::answers::KeyedAnswers;
    use crate::pipeline::send::reply_ids::ReplyIds;
    use crate::queue::{Filter, Page, Store, embedded};
    use crate::telemetry::journal::Journal;
    use crate::telemetry::metrics::Metrics;
    use crate::thread::Thread;
    use crate::twilio::sid::{ConversationSid, MessageSid};

    #[tokio::test]
    async fn a_report_is_told_until_the_agent_takes_it() {
        let place = tempfile::tempdir().unwrap();
        let (store, agent) = (store(&place), Arc::new(Deaf::for_the_first(2)));
        let (work, queue) = (reports(&agent, &store, 2), store.queue(QueueName::Reports));
        queue.append(vec![job(report(), None), job(report(), None)]).await.unwrap();
        for attempt in [1, 2, 2] {
            let delivery = queue.next().await.unwrap();
            assert_eq!(delivery.attempt(), attempt);
            work.work(delivery, &CancellationToken::new()).await;
        }
        assert_eq!(agent.told.load(Ordering::Relaxed), 3);
        let stats = queue.stats().await.unwrap();
        assert_eq!(stats.open() + stats.dead, 0, "told, and once");
    }

    #[tokio::test]
    async fn a_report_that_is_not_taken_while_others_are_is_a_dead_letter() {
        let place = tempfile::tempdir().unwrap();
        let bad = uuid::Uuid::from_u128(7);
        let (store, agent) = (store(&place), Arc::new(Deaf::for_the_report_on(bad)));
        let (work, queue) = (reports(&agent, &store, 1), store.queue(QueueName::Reports));
        for other in [8, 9] {
            let reply = uuid::Uuid::from_u128(other.into());
            let thread = Thread::Conversation(ConversationSid::from_bytes([other; 16]));
            let taken = Report { reply, thread, ..report() };
            queue.append(vec![job(report(), None), job(taken, None)]).await.unwrap();
            for _ in 0..2 {
                work.work(queue.next().await.unwrap(), &CancellationToken::new()).await;
            }
        }
        let page = Page { after: None, limit: 10 };
        let dead = queue.list(Filter::default(), page).await.unwrap();
        assert_eq!(dead.letters.len(), 1);
        assert_eq!(dead.letters[0].cause.class, "agent_bus");
    }

    #[tokio::test]
    async fn a_bus_that_is_away_makes_no_dead_letter() {
        let place = tempfile::tempdir().unwrap();
        let (store, agent) = (store(&place), Arc::new(Deaf::for_the_first(9)));
        let (work, queue) = (reports(&agent, &store, 1), store.queue(QueueName::Reports));
        queue.append(vec![job(report(), None)]).await.unwrap();
        for attempt in [1, 2, 2] {
            let delivery = queue.next().await.unwrap();
            assert_eq!(delivery.attempt(), attempt, "one may be its own, the others are not");
            work.work(delivery, &CancellationToken::new()).await;
        }
        assert_eq!(queue.stats().await.unwrap().dead, 0);
    }

    struct Deaf {
        until: u32,
        to: Option<uuid::Uuid>,
        told: AtomicU32,
    }

    impl Deaf {
        fn for_the_first(until: u32) -> Self {
            Self { until, to: None, told: AtomicU32::new(0) }
        }

        fn for_the_report_on(reply: uuid::Uuid) -> Self {
            Self { to: Some(reply), ..Self::for_the_first(9) }
        }
    }

    impl Agent for Deaf {
        fn kind(&self) -> &'static str {
            "deaf"
        }

        fn take<'a>(&'a self, _turn: &'a Turn) -> BoxFuture<'a, Result<Answer, Error>> {
            Box::pin(std::future::ready(Ok(Answer::Later)))
        }

        fn report<'a>(&'a self, report: &'a Report) -> BoxFuture<'a, Result<(), Error>> {
            let before = self.told.fetch_add(1, Ordering::Relaxed);
            let (about, source) = (report.reply.to_string(), "no answer".into());
            let is_deaf = before < self.until && self.to.is_none_or(|to| to == report.reply);
            let answer = if is_deaf { Err(Error::Bus { about, source }) } else { Ok(()) };
            Box::pin(std::future::ready(answer))
        }
    }

    fn store(place: &tempfile::TempDir) -> Store {
        Store::open(embedded::Options::new(place.path().join("queue.db"))).unwrap()
    }

    fn reports(agent: &Arc<Deaf>, store: &Store, retries: usize) -> Reports {
        let recorder = Recorder {
            journal: Journal::new(16),
            metrics: Metrics::new(),
            clock: Clock::start(),
            tally: Arc::default(),
        };
        let agent: Arc<dyn Agent> = Arc::<Deaf>::clone(agent);
        let schedule = Schedule::new(vec![Duration::from_millis(1); retries]);
        let upstream = Upstream { schedule, ..Upstream::plain(agent) };
        let upstreams = Upstreams::new(vec![upstream], Routes::default(), store.documents());
        let handoff = Arc::new(Handoff {
            markings: Markings::default(),
            inbox: store.queue(QueueName::Inbox),
            outbox: store.queue(QueueName::Outbox),
            marks: store.marks(),
            documents: store.documents(),
            admission: Arc::new(Admission::new(Duration::from_secs(3600), 100)),
            clock: recorder.clock,
            memory: Memory::default(),
        });
        Reports {
            upstreams,
            reports: store.queue(QueueName::Reports),
            order: None,
            handoff,
            paused: Paused::Skip,
            files: None,
            late: Late {
                outbox: KeyedAnswers::new(store.queue(QueueName::Outbox), store.documents()),
                channels: Channels::default(),
                ids: ReplyIds::of(&"secret".into()),
                tells: false,
                agent: None,
                inbox: store.queue(QueueName::Inbox),
                documents: store.documents(),
                reports: Some(store.queue(QueueName::Reports)),
                recorder: recorder.clone(),
            },
            recorder,
        }
    }

    fn report() -> Report {
        let message = MessageSid::from_bytes([7; 16]).into();
        Report {
            reply: uuid::Uuid::from_u128(7),
            thread: Thread::Conversation(ConversationSid::from_bytes([1; 16])),
            turn: None,
            origin: Origin::new("evt_1".into()),
            fate: Fate::Sent { message },
            at: Timestamp::from_millis(1_795_000_000_000),
        }
    }
}
