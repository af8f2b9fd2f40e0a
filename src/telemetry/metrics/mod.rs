//! The metrics: a registry that is a value, and one typed method for each thing that is counted.
//!
//! There is no global. Labels come from closed sets ([`labels`]) and from the configured names of
//! identities and agents; a sid, an address or a text cannot become one. Names, kinds and helps come from one
//! table ([`table`]). Time enters as measured durations.

pub mod format;
pub mod labels;
pub mod table;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric as Registrable, Registry};

use self::format::Format;
use self::labels::{
    JobState, JoinOutcome, Known, Queue, ReplyOutcome, RestOutcome, SocketState, Stage,
    TurnOutcome, WebhookOutcome,
};
use self::table::{Kind, Metric};
use crate::telemetry::journal::{Door, Via};

/// All metrics; clones count into the same registry.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<MetricsInner>,
}

struct MetricsInner {
    registry: Registry,
    webhook_requests: Family<WebhookLabels, Counter>,
    webhook_ack_seconds: Histogram,
    joins: Family<JoinLabels, Counter>,
    messages: Family<MessageLabels, Counter>,
    turns: Family<TurnLabels, Counter>,
    agent_seconds: Family<AgentLabels, Histogram, fn() -> Histogram>,
    agent_up: Family<AgentLabels, Gauge>,
    findings: Family<VerdictLabels, Gauge>,
    agent_wordless: Family<ReasonLabels, Counter>,
    agent_bad_lines: Family<ReasonLabels, Counter>,
    replies: Family<ReplyLabels, Counter>,
    text_statuses: Family<StatusLabels, Counter>,
    rest_requests: Family<RestLabels, Counter>,
    rest_seconds: Family<OpLabels, Histogram, fn() -> Histogram>,
    stage_seconds: Family<StageLabels, Histogram, fn() -> Histogram>,
    socket_state: Family<SocketLabels, Gauge>,
    socket_reconnects: Counter,
    instances: Gauge,
    held: Family<HeldLabels, Gauge>,
    seats: Family<SeatLabels, Gauge>,
    queue_jobs: Family<JobLabels, Gauge>,
    queue_oldest_seconds: Family<QueueLabels, Gauge>,
    timeline_dropped: Counter,
    logins_refused: Counter,
    dead_letters: Family<QueueLabels, Counter>,
}

impl Metrics {
    /// Registers every metric of the table.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let r = &mut registry;
        let build_info = register(r, table::BUILD_INFO, Family::<BuildLabels, Gauge>::default());
        build_info.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        let inner = MetricsInner {
            webhook_requests: register(r, table::WEBHOOK_REQUESTS, Family::default()),
            webhook_ack_seconds: register(
                r,
                table::WEBHOOK_ACK_SECONDS,
                Histogram::new(ACK_BUCKETS_SECONDS),
            ),
            joins: register(r, table::JOINS, Family::default()),
            messages: register(r, table::MESSAGES, Family::default()),
            turns: register(r, table::TURNS, Family::default()),
            agent_seconds: register(
                r,
                table::AGENT_SECONDS,
                Family::new_with_constructor(|| Histogram::new(AGENT_BUCKETS_SECONDS)),
            ),
            agent_up: register(r, table::AGENT_UP, Family::default()),
            findings: register(r, table::FINDINGS, Family::default()),
            agent_wordless: register(r, table::AGENT_WORDLESS, Family::default()),
            agent_bad_lines: register(r, table::AGENT_BAD_LINES, Family::default()),
            replies: register(r, table::REPLIES, Family::default()),
            text_statuses: register(r, table::TEXT_STATUSES, Family::default()),
            rest_requests: register(r, table::REST_REQUESTS, Family::default()),
            rest_seconds: register(
                r,
                table::REST_SECONDS,
                Family::new_with_constructor(|| Histogram::new(REST_BUCKETS_SECONDS)),
            ),
            stage_seconds: register(
                r,
                table::STAGE_SECONDS,
                Family::new_with_constructor(|| Histogram::new(STAGE_BUCKETS_SECONDS)),
            ),
            socket_state: register(r, table::SOCKET_STATE, Family::default()),
            socket_reconnects: register(r, table::SOCKET_RECONNECTS, Counter::default()),
            instances: register(r, table::INSTANCES, Gauge::default()),
            held: register(r, table::HELD, Family::default()),
            seats: register(r, table::SEATS, Family::default()),
            queue_jobs: register(r, table::QUEUE_JOBS, Family::default()),
            queue_oldest_seconds: register(r, table::QUEUE_OLDEST_SECONDS, Family::default()),
            timeline_dropped: register(r, table::TIMELINE_DROPPED, Counter::default()),
            logins_refused: register(r, table::LOGINS_REFUSED, Counter::default()),
            dead_letters: register(r, table::DEAD_LETTERS, Family::default()),
            registry,
        };
        // An alarm that counts what is new has to see that there was none.
        for &queue in Queue::ALL {
            inner.dead_letters.get_or_create(&QueueLabels { queue }).inc_by(0);
        }
        Self { inner: Arc::new(inner) }
    }

    /// Counts a webhook request and the time to its answer.
    pub fn webhook(&self, outcome: WebhookOutcome, event_type: Known, took: Duration) {
        let labels = WebhookLabels { outcome, event_type };
        self.inner.webhook_requests.get_or_create(&labels).inc();
        self.inner.webhook_ack_seconds.observe(took.as_secs_f64());
    }

    /// Counts an attempt to join.
    pub fn join(&self, outcome: JoinOutcome) {
        self.inner.joins.get_or_create(&JoinLabels { outcome }).inc();
    }

    /// Counts a message that was seen.
    pub fn message(&self, door: Door) {
        let door = Known(match door {
            Door::Webhook => "webhook",
            Door::MessagingWebhook => "messaging_webhook",
            Door::Socket => "socket",
            Door::Replay => "replay",
            Door::CatchUp => "catch_up",
            Door::Reconcile => "reconcile",
        });
        self.inner.messages.get_or_create(&MessageLabels { door }).inc();
    }

    /// Counts a turn.
    pub fn turn(&self, outcome: TurnOutcome) {
        self.inner.turns.get_or_create(&TurnLabels { outcome }).inc();
    }

    /// How many turns ended so.
    #[must_use]
    pub fn turns(&self, outcome: TurnOutcome) -> u64 {
        self.inner.turns.get_or_create(&TurnLabels { outcome }).get()
    }

    /// Counts the time that an agent took, by its name among the settings.
    pub fn agent(&self, agent: &str, took: Duration) {
        let labels = AgentLabels { agent: agent.to_owned() };
        self.inner.agent_seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Shows whether an agent is there.
    pub fn agent_up(&self, agent: &str, is_up: bool) {
        let labels = AgentLabels { agent: agent.to_owned() };
        self.inner.agent_up.get_or_create(&labels).set(i64::from(is_up));
    }

    /// Shows how many of the doctor's cheap checks ended so.
    pub fn findings(&self, verdict: &'static str, count: usize) {
        let labels = VerdictLabels { verdict: Known(verdict) };
        self.inner.findings.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a turn to which a model said nothing that a person can be given.
    pub fn wordless(&self, reason: Known) {
        self.inner.agent_wordless.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Counts a line of an agent's program that is none of those that were agreed on.
    pub fn agent_bad_line(&self, reason: Known) {
        self.inner.agent_bad_lines.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Counts an attempt to send a reply.
    pub fn reply(&self, outcome: ReplyOutcome, via: Via) {
        let via = Known(via.as_str());
        self.inner.replies.get_or_create(&ReplyLabels { outcome, via }).inc();
    }

    /// Counts how a message that was sent by a number fares.
    pub fn text_status(&self, status: Known) {
        self.inner.text_statuses.get_or_create(&StatusLabels { status }).inc();
    }

    /// Counts a request to Twilio's REST API and the time that it took.
    pub fn rest(&self, op: Known, outcome: RestOutcome, took: Duration) {
        self.inner.rest_requests.get_or_create(&RestLabels { op, outcome }).inc();
        self.inner.rest_seconds.get_or_create(&OpLabels { op }).observe(took.as_secs_f64());
    }

    /// Counts the time from a job's append to its end as done.
    pub fn stage(&self, stage: Stage, took: Duration) {
        self.inner.stage_seconds.get_or_create(&StageLabels { stage }).observe(took.as_secs_f64());
    }

    /// Notes the state that an identity's socket is in.
    pub fn socket(&self, identity: &str, state: SocketState) {
        for &other in SocketState::ALL {
            let labels = SocketLabels { identity: identity.to_owned(), state: other };
            self.inner.socket_state.get_or_create(&labels).set(i64::from(other == state));
        }
    }

    /// Counts a loss of the socket.
    pub fn socket_lost(&self) {
        self.inner.socket_reconnects.inc();
    }

    /// Notes how many instances share the work.
    pub fn instances(&self, count: usize) {
        self.inner.instances.set(gauge_of(count));
    }

    /// Notes how much of a kind this instance of several holds.
    pub fn held(&self, kind: Known, count: usize) {
        self.inner.held.get_or_create(&HeldLabels { kind }).set(gauge_of(count));
    }

    /// Notes how many conversations an identity of ours sits in.
    pub fn seats(&self, identity: &str, seats: usize) {
        let labels = SeatLabels { identity: identity.to_owned() };
        self.inner.seats.get_or_create(&labels).set(gauge_of(seats));
    }

    /// Notes how many jobs of a queue are in a state.
    pub fn queue_jobs(&self, queue: Queue, state: JobState, jobs: usize) {
        self.inner.queue_jobs.get_or_create(&JobLabels { queue, state }).set(gauge_of(jobs));
    }

    /// Notes the age of the oldest waiting job of a queue.
    pub fn queue_oldest(&self, queue: Queue, age: Duration) {
        let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        self.inner.queue_oldest_seconds.get_or_create(&QueueLabels { queue }).set(seconds);
    }

    /// Counts records that the timeline could not keep.
    pub fn timeline_dropped(&self, records: u64) {
        self.inner.timeline_dropped.inc_by(records);
    }

    /// Counts an attempt to sign in to the console that was refused.
    pub fn login_refused(&self) {
        self.inner.logins_refused.inc();
    }

    /// Counts a job that became a dead letter.
    pub fn dead_letter(&self, queue: Queue) {
        self.inner.dead_letters.get_or_create(&QueueLabels { queue }).inc();
    }

    /// Writes all metrics in the OpenMetrics text format.
    #[must_use]
    pub fn page(&self) -> String {
        let mut page = String::new();
        text::encode(&mut page, &self.inner.registry)
            .expect("writing to a String does not fail, and no label writes anything but text");
        page
    }

    /// Writes all metrics in a format.
    #[must_use]
    pub fn page_in(&self, format: Format) -> String {
        format.write(self.page())
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Upper bounds of the acknowledgement times: an fsync takes under a millisecond, Twilio waits 5 s.
const ACK_BUCKETS_SECONDS: [f64; 12] =
    [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Upper bounds of the agent's times: echo takes microseconds, a language model minutes.
const AGENT_BUCKETS_SECONDS: [f64; 12] =
    [0.001, 0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// Upper bounds of the requests' times: by default one waits 15 s for its place, 15 s for the answer.
const REST_BUCKETS_SECONDS: [f64; 12] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0];

/// Upper bounds of a stage's times: a reply is sent in a tenth of a second, and tried for an hour.
const STAGE_BUCKETS_SECONDS: [f64; 14] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0];

macro_rules! label_sets {
    ($($name:ident { $($field:ident: $kind:ty),* })*) => {$(
        #[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
        struct $name {
            $($field: $kind),*
        }
    )*};
}

label_sets! {
    BuildLabels { version: &'static str }
    WebhookLabels { outcome: WebhookOutcome, event_type: Known }
    JoinLabels { outcome: JoinOutcome }
    MessageLabels { door: Known }
    TurnLabels { outcome: TurnOutcome }
    AgentLabels { agent: String }
    ReasonLabels { reason: Known }
    VerdictLabels { verdict: Known }
    ReplyLabels { outcome: ReplyOutcome, via: Known }
    StatusLabels { status: Known }
    RestLabels { op: Known, outcome: RestOutcome }
    OpLabels { op: Known }
    StageLabels { stage: Stage }
    SocketLabels { identity: String, state: SocketState }
    SeatLabels { identity: String }
    HeldLabels { kind: Known }
    JobLabels { queue: Queue, state: JobState }
    QueueLabels { queue: Queue }
}

/// Registers under the table's name; the encoder itself appends `_total` and the help's full stop.
fn register<M: Registrable + Clone>(registry: &mut Registry, metric: Metric, value: M) -> M {
    let name = match metric.kind {
        Kind::Counter => metric.name.trim_end_matches("_total"),
        Kind::Gauge | Kind::Histogram => metric.name,
    };
    registry.register(name, metric.help.trim_end_matches('.'), value.clone());
    value
}

fn gauge_of(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    static_assertions::assert_impl_all!(Metrics: Send, Sync, Clone);

    #[test]
    fn every_metric_of_the_table_is_on_the_page_as_the_table_says() {
        let page = one_of_each().page();
        for metric in table::ALL {
            let base = metric.name.trim_end_matches("_total");
            let kind = metric.kind.as_str();
            assert!(page.contains(&format!("# TYPE {base} {kind}\n")), "{base}\n{page}");
            assert!(page.contains(&format!("# HELP {base} {}\n", metric.help)), "{base}\n{page}");
            let sample = sample_of(&page, metric);
            for label in metric.labels {
                assert!(sample.contains(&format!("{label}=\"")), "{label} in {sample}");
            }
            assert_eq!(sample.matches("=\"").count(), metric.labels.len(), "{sample}");
        }
        let described = page.lines().filter(|line| line.starts_with("# HELP")).count();
        assert_eq!(described, table::ALL.len(), "a metric is missing from the table");
    }

    #[test]
    fn plain_text_describes_every_metric_under_the_name_that_its_samples_have() {
        let metrics = one_of_each();
        assert_eq!(metrics.page_in(Format::OpenMetrics), metrics.page());
        let page = metrics.page_in(Format::Plain);
        for metric in table::ALL {
            let Metric { name, kind, help, .. } = metric;
            assert!(page.contains(&format!("# TYPE {name} {}\n", kind.as_str())), "{page}");
            assert!(page.contains(&format!("# HELP {name} {help}\n")), "{page}");
            let _sample = sample_of(&page, metric);
        }
        assert!(page.ends_with('\n') && !page.contains("# EOF"), "{page}");
        let samples = |page: &str| -> Vec<String> {
            page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
        };
        assert_eq!(samples(&page), samples(&metrics.page()));
    }

    #[test]
    fn exactly_one_socket_state_of_an_identity_is_set() {
        let metrics = Metrics::new();
        metrics.socket("bot", SocketState::Refused);
        metrics.socket("bot-2", SocketState::Connecting);
        metrics.socket("bot-2", SocketState::Connected);
        let page = metrics.page();
        let set: Vec<_> = page
            .lines()
            .filter(|line| line.starts_with("chimein_socket_state{") && line.ends_with(" 1"))
            .collect();
        let one = r#"chimein_socket_state{identity="bot",state="refused"} 1"#;
        let other = r#"chimein_socket_state{identity="bot-2",state="connected"} 1"#;
        assert_eq!(set.len(), 2, "{page}");
        assert!(set.contains(&one) && set.contains(&other), "{page}");
    }

    #[test]
    fn the_first_dead_letter_is_seen_as_one_more() {
        let metrics = Metrics::new();
        let shown = |count| format!("chimein_dead_letters_total{{queue=\"inbox\"}} {count}\n");
        assert!(metrics.page().contains(&shown(0)), "{}", metrics.page());
        metrics.dead_letter(Queue::Inbox);
        assert!(metrics.page().contains(&shown(1)), "{}", metrics.page());
    }

    #[test]
    fn clones_count_together() {
        let metrics = Metrics::new();
        metrics.clone().turn(TurnOutcome::Answered);
        metrics.turn(TurnOutcome::Answered);
        assert!(metrics.page().contains("chimein_turns_total{outcome=\"answered\"} 2\n"));
    }

    fn one_of_each() -> Metrics {
        let metrics = Metrics::new();
        let brief = Duration::from_millis(3);
        metrics.webhook(WebhookOutcome::Accepted, Known("onMessageAdded"), brief);
        metrics.join(JoinOutcome::Added);
        metrics.message(Door::CatchUp);
        metrics.turn(TurnOutcome::Answered);
        metrics.agent("default", brief);
        metrics.agent_up("default", true);
        metrics.findings("warn", 2);
        metrics.wordless(Known("empty"));
        metrics.agent_bad_line(Known("no_json"));
        metrics.reply(ReplyOutcome::Sent, Via::Socket);
        metrics.text_status(Known("delivered"));
        metrics.rest(Known("add_participant"), RestOutcome::Done, brief);
        metrics.stage(Stage::Turn, brief);
        metrics.socket("bot", SocketState::Off);
        metrics.socket_lost();
        metrics.instances(3);
        metrics.held(Known("partition"), 22);
        metrics.seats("bot", 7);
        metrics.queue_jobs(Queue::Inbox, JobState::Ready, 3);
        metrics.queue_oldest(Queue::Inbox, brief);
        metrics.dead_letter(Queue::Outbox);
        metrics
    }

    /// The first line that shows a value of the metric.
    fn sample_of<'a>(page: &'a str, metric: &Metric) -> &'a str {
        let start = match metric.kind {
            Kind::Counter | Kind::Gauge => metric.name.to_owned(),
            Kind::Histogram => format!("{}_sum", metric.name),
        };
        page.lines().find(|line| line.starts_with(&start)).expect(metric.name)
    }
}
