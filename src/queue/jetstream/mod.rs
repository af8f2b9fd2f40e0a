//! The engine on NATS `JetStream`: several processes, one queue.
//!
//! A job is one subject of a stream that keeps each subject's newest message, so that every change of a
//! job is a message that the server stores only if the one before it is still the newest. That exchange
//! is the fence, and appending is the exchange of nothing for a job.
//!
//! Keys are shared out over partitions. [`Holdings`] says which of them this process works on; only
//! their jobs go out here, in the order of `Lanes`, which are built by reading the partition's part of
//! the stream. Leases live in memory, so they end with the holding. Anybody appends, lists, shows,
//! redrives and drops; [`Stats`] count the jobs of the partitions that are held here, and all dead
//! letters.
//!
//! # Where the promises differ from the embedded engine's
//!
//! * **Durability.** The server answers when it has written, and calls `fsync` every two minutes by
//!   default. For a promise that holds in a power cut set `sync_interval: always` in its configuration,
//!   or three replicas in different places. Source: NATS docs, "Configuring `JetStream`", read
//!   2026-11-21.
//! * **An append of several jobs** is stored job by job. If it fails or the process dies, some may be
//!   stored: append again with the same ids, as after any error.
//! * **An acknowledgement with appends or absorbed jobs** is decided in one write, and carried out before
//!   its lane goes on, by this holder or the next. If the server goes away in between, the call fails
//!   and the decision stands; the job does not come again, its appends do.
//! * **Identity.** An id comes with one key. Under another key it is known for two minutes, by the
//!   server's own check of duplicates.
//! * **What may be open** is known where the partition of the key is held, of what the server has
//!   brought back by then; everywhere else the answer is yes.
//! * **What was deleted** is not written over. The message of a settled job replaces that of its
//!   payload, and the server then counts the older one as deleted; its bytes stay in a block of the
//!   server's store until it compacts or removes that block, at a time of its own. Assumed, from the
//!   server's default of not erasing what a limit removes. Where texts must not be on that disk, let
//!   the server encrypt its store (`jetstream { cipher, key }` in its configuration) and the volume
//!   below it. Source: NATS docs, "Encryption at Rest", read 2026-11-29.
//! * **Size.** A job has to fit into the server's `max_payload`, one mebibyte by default.
//!
//! # Rooms within
//!
//! Pure: `names`, `record`, `book`. Around them: `log` (the stream), `tail` (reading it), `dead`, `marks`,
//! `setup`; `holder` and `house` are the tasks, `deliver`, `lease`, `settle`, `letters` the calls.
//! Time enters through [`Clock`] in `shared`, secrets not at all: the client is connected by the caller.

mod book;
mod dead;
mod dead_letters;
mod deliver;
mod dispatch;
mod examine;
mod holder;
mod holding;
mod holdings;
mod lease;
mod log;
mod maintenance;
mod marks;
mod names;
mod record;
mod settle;
mod setup;
mod shared;
mod stamp;
mod tail;
mod walk;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::ContextBuilder;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::examine::examine;
pub use self::holdings::{Change, Everything, HeldPartition, Holdings, partition_names};
pub use self::names::jobs_stream;

use self::dead::DeadIndex;
use self::log::Log;
use self::marks::MarkBucket;
use self::names::Names;
use self::setup::StoreNeeds;
use self::shared::Shared;
use super::engine::{Engine, Fits, LaneHead, Leased, StoredDocument, Trouble, Value};
use super::{
    Append, Appended, DeadCauses, DeadLetter, DeadLetters, DocumentCursor, DocumentPage, Error,
    Filter, JobId, JobStatus, Key, LanesAsked, OpenLane, Page, QueueName, Stats,
};
use crate::clock::Clock;
use crate::telemetry::chain::Chain;

/// How many messages may be on their way to the server.
const IN_FLIGHT_MAX: usize = 1024;

/// How long one answer is awaited while streams are made: a server that starts, or makes several
/// replicas, takes its time.
const MAKING: Duration = Duration::from_secs(15);

/// How long closing waits for calls that are under way, and then for tasks.
const CLOSING: Duration = Duration::from_secs(4);

/// How to open the engine.
#[derive(Clone, Debug)]
pub struct Options {
    /// The connection; it reconnects by itself and outlives the store.
    pub client: Client,
    /// What the names of streams, bucket and subjects start with: 1 to 32 letters, digits, `-`, `_`.
    pub prefix: String,
    /// Into how many partitions keys are shared out. Fixed once the stream is made.
    pub partitions: u16,
    /// On how many servers of a cluster everything is kept.
    pub replicas: usize,
    /// How long a delivery belongs to its consumer before it is extended.
    pub lease: Duration,
    /// How long the id of a job is remembered after it was acknowledged or dropped.
    pub retention: Duration,
    /// How long a dead letter is kept.
    pub dead_retention: Duration,
    /// How many bytes of payloads that wait are kept in memory; others are read again.
    pub bytes_in_memory: usize,
    /// Reads the time.
    pub clock: Clock,
}

impl Options {
    /// Into how many partitions keys are shared out by default.
    pub const PARTITIONS: u16 = 64;

    /// Takes the defaults: prefix `chimein`, one replica, leases of a minute, seven days of ids, thirty
    /// of dead letters, 64 MiB of payloads.
    #[must_use]
    pub fn new(client: Client) -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            client,
            prefix: "chimein".to_owned(),
            partitions: Self::PARTITIONS,
            replicas: 1,
            lease: Duration::from_secs(60),
            retention: 7 * DAY,
            dead_retention: 30 * DAY,
            bytes_in_memory: 64 << 20,
            clock: Clock::start(),
        }
    }
}

/// The opened engine.
pub(super) struct JetStream {
    shared: Arc<Shared>,
}

impl JetStream {
    /// Makes or checks what it needs on the server and starts to work on what `holdings` gives.
    pub(super) async fn open(options: Options, holdings: Box<dyn Holdings>) -> Result<Self, Error> {
        let names = Names::new(&options.prefix).ok_or(Error::Invalid {
            what: "a prefix has 1 to 32 letters, digits, hyphens and underscores",
        })?;
        if options.partitions == 0 {
            return Err(Error::Invalid { what: "there is at least one partition" });
        }
        let client = options.client;
        let patient = ContextBuilder::new().timeout(MAKING).build(client.clone());
        let context = ContextBuilder::new()
            .timeout(log::ANSWER)
            .ack_timeout(log::ANSWER)
            .max_ack_inflight(IN_FLIGHT_MAX)
            .build(client);
        let Options { partitions, replicas, .. } = options;
        let wanted =
            StoreNeeds { names: &names, partitions, replicas, retention: options.retention };
        let created = setup::prepare(&patient, &wanted).await?;
        let bucket = setup::made_bucket(&context, names.marks_bucket()).await?;
        let recent = setup::made_bucket(&context, names.recent_bucket()).await?;
        let shared = Arc::new(Shared {
            clock: options.clock,
            lease_time: options.lease,
            retention: options.retention,
            dead_retention: options.dead_retention,
            partitions,
            bytes_in_memory: options.bytes_in_memory,
            log: Log::new(context.clone(), names.clone()).await?,
            dead: DeadIndex::new(context, names).await?,
            marks: MarkBucket::new(bucket, recent),
            dispatch: Default::default(),
            holdings: Default::default(),
            closed: CancellationToken::new(),
            calls: TaskTracker::new(),
            tasks: TaskTracker::new(),
            me: uuid::Uuid::new_v4().simple().to_string(),
            written: AtomicU64::new(0),
            created,
        });
        shared.tasks.spawn(holder::follow(Arc::clone(&shared), holdings));
        shared.tasks.spawn(maintenance::keep(Arc::clone(&shared)));
        Ok(Self { shared })
    }

    /// How many partitions are worked on, everything that was there before having been read.
    #[cfg(test)]
    pub(super) fn worked_on(&self) -> usize {
        let holdings = self.shared.holdings();
        let is_up = |holding: &&Arc<holding::Holding>| holding.book().is_caught_up();
        holdings.values().filter(is_up).count()
    }

    async fn count(&self, queue: QueueName) -> Result<Stats, Error> {
        let shared = &self.shared;
        let _call = shared.call()?;
        let (now, at) = (shared.clock.now(), shared.clock.wall());
        let mut stats = Stats::default();
        for (holding, counts) in shared.dispatch(queue).counts(now) {
            stats.ready += counts.ready;
            stats.delayed += counts.delayed;
            stats.leased += counts.leased;
            stats.held += counts.held;
            let oldest = counts.oldest_seq.and_then(|seq| holding.book().appended_at(seq));
            let age = counts.oldest_age(oldest.map(|appended_at| at.since(appended_at)));
            stats.oldest_age = stats.oldest_age.max(age);
        }
        stats.dead = shared.dead.count(queue).await?;
        Ok(stats)
    }

    fn lanes(&self, queue: QueueName, asked: &LanesAsked) -> Result<Vec<OpenLane>, Error> {
        let shared = &self.shared;
        let _call = shared.call()?;
        let now = shared.clock.wall();
        let held = shared.dispatch(queue).open(asked).into_iter();
        let open = held.filter_map(|(holding, lane)| {
            let oldest_age = now.since(holding.book().appended_at(lane.oldest_seq)?);
            Some(OpenLane { key: lane.key, waiting: lane.waiting, out: lane.out, oldest_age })
        });
        let mut open: Vec<_> = open.collect();
        open.sort_by_key(|lane| std::cmp::Reverse(lane.oldest_age));
        open.truncate(asked.most());
        Ok(open)
    }

    async fn shut(&self) {
        let shared = &self.shared;
        shared.closed.cancel();
        shared.calls.close();
        shared.tasks.close();
        for under_way in [&shared.calls, &shared.tasks] {
            let give_up = shared.clock.now() + CLOSING;
            tokio::select! {
                () = under_way.wait() => {}
                () = shared.clock.sleep_until(give_up) => {
                    tracing::warn!("closing the queue was cut short");
                }
            }
        }
        if let Err(error) = shared.marks.flush().await {
            tracing::warn!(error = %Chain(&error), "marks not stored");
        }
    }
}

impl Engine for JetStream {
    fn append(
        &self,
        jobs: Vec<(QueueName, Append)>,
    ) -> BoxFuture<'_, Result<Vec<Appended>, Error>> {
        async move {
            let _call = self.shared.call()?;
            self.shared.append(&jobs).await
        }
        .boxed()
    }

    fn appends_whole(&self) -> bool {
        false
    }

    fn next(&self, queue: QueueName) -> BoxFuture<'_, Result<Leased, Error>> {
        deliver::next(&self.shared, queue).boxed()
    }

    fn take(&self, queue: QueueName, key: &Key) -> BoxFuture<'_, Result<LaneHead<Leased>, Error>> {
        let key = key.clone();
        async move {
            let _call = self.shared.call()?;
            deliver::take(&self.shared, queue, &key).await
        }
        .boxed()
    }

    fn open_jobs(&self, queue: QueueName, key: &Key) -> Option<usize> {
        let holding = self.shared.holding(self.shared.partition_of(key));
        let holding = holding.filter(|holding| holding.is_held())?;
        self.shared.dispatch(queue).look(&holding, |lanes| lanes.count_of(key))
    }

    fn keys_holding(
        &self,
        queue: QueueName,
        beginning: String,
        fits: Fits,
    ) -> BoxFuture<'_, Result<Vec<Key>, Error>> {
        async move {
            let _call = self.shared.call()?;
            walk::keys_holding(&self.shared, (queue, &beginning), &fits).await
        }
        .boxed()
    }

    /// The server's files are the server's, see the room's own page.
    fn write_over(&self) -> BoxFuture<'_, Result<(), Error>> {
        std::future::ready(Ok(())).boxed()
    }

    fn list_short_lived(
        &self,
        beginning: String,
        after: Option<DocumentCursor>,
    ) -> BoxFuture<'_, Result<DocumentPage, Error>> {
        async move {
            let _call = self.shared.call()?;
            self.shared.marks.list_short_lived(&beginning, after).await
        }
        .boxed()
    }

    fn wake(&self, queue: QueueName, key: &Key) {
        let Some(holding) = self.shared.holding(self.shared.partition_of(key)) else { return };
        let now = self.shared.clock.now();
        self.shared.dispatch(queue).change(&holding, |lanes| lanes.wake(now, key));
    }

    fn trouble(&self) -> &watch::Sender<Trouble> {
        // A server that is away is the connection's to tell.
        self.shared.log.trouble()
    }

    fn may_be_open(&self, queue: QueueName, key: &Key) -> bool {
        let holding = self.shared.holding(self.shared.partition_of(key));
        let Some(holding) = holding.filter(|holding| holding.is_held()) else { return true };
        // Lanes are there once everything that was stored before is.
        self.shared.dispatch(queue).look(&holding, |lanes| lanes.has(key)).unwrap_or(true)
    }

    fn stats(&self, queue: QueueName) -> BoxFuture<'_, Result<Stats, Error>> {
        self.count(queue).boxed()
    }

    fn open_lanes(
        &self,
        queue: QueueName,
        asked: LanesAsked,
    ) -> BoxFuture<'_, Result<Vec<OpenLane>, Error>> {
        std::future::ready(self.lanes(queue, &asked)).boxed()
    }

    fn dead_letters(
        &self,
        queue: QueueName,
        filter: Filter,
        page: Page,
    ) -> BoxFuture<'_, Result<DeadLetters, Error>> {
        async move {
            let shared = &self.shared;
            let _call = shared.call()?;
            shared.dead.list((&shared.log, shared.clock), queue, &filter, page).await
        }
        .boxed()
    }

    fn dead_causes(
        &self,
        queue: QueueName,
        filter: Filter,
        letters_max: u32,
    ) -> BoxFuture<'_, Result<DeadCauses, Error>> {
        async move {
            let shared = &self.shared;
            let _call = shared.call()?;
            let from = (&shared.log, shared.clock);
            shared.dead.causes(from, queue, (&filter, letters_max)).await
        }
        .boxed()
    }

    fn find(
        &self,
        queue: QueueName,
        id: JobId,
        key: &Key,
    ) -> BoxFuture<'_, Result<Option<JobStatus>, Error>> {
        let subject = self.shared.subject((queue, id), key);
        async move {
            let _call = self.shared.call()?;
            let found = self.shared.log.read(&subject).await?;
            Ok(found.map(|(_, record)| record.status()))
        }
        .boxed()
    }

    fn payload(
        &self,
        queue: QueueName,
        id: JobId,
        key: &Key,
    ) -> BoxFuture<'_, Result<Option<Vec<u8>>, Error>> {
        let (subject, key) = (self.shared.subject((queue, id), key), key.clone());
        async move {
            let _call = self.shared.call()?;
            // Several keys share a subject.
            let found = self.shared.log.read(&subject).await?;
            let own = found.filter(|(_, record)| record.key == key);
            Ok(own.and_then(|(_, record)| record.payload()))
        }
        .boxed()
    }

    fn dead_letter(&self, queue: QueueName, id: JobId) -> BoxFuture<'_, Result<DeadLetter, Error>> {
        async move {
            let _call = self.shared.call()?;
            self.shared.show((queue, id)).await
        }
        .boxed()
    }

    fn redrive(&self, queue: QueueName, id: JobId) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            let _call = self.shared.call()?;
            self.shared.redrive((queue, id)).await
        }
        .boxed()
    }

    fn discard(&self, queue: QueueName, id: JobId) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            let _call = self.shared.call()?;
            self.shared.discard((queue, id)).await
        }
        .boxed()
    }

    fn read_mark(&self, name: String) -> BoxFuture<'_, Result<Option<u64>, Error>> {
        async move {
            let _call = self.shared.call()?;
            self.shared.marks.read(&name).await
        }
        .boxed()
    }

    fn raise_mark(&self, name: String, value: u64) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            let _call = self.shared.call()?;
            if self.shared.marks.raise(name, value) > marks::DIRTY_MAX {
                self.shared.marks.flush().await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn document(&self, name: String) -> BoxFuture<'_, Result<Option<StoredDocument>, Error>> {
        async move {
            let _call = self.shared.call()?;
            self.shared.marks.document(&name).await
        }
        .boxed()
    }

    fn put_document(
        &self,
        (name, value): (String, Value),
        revision: Option<u64>,
    ) -> BoxFuture<'_, Result<bool, Error>> {
        async move {
            let _call = self.shared.call()?;
            self.shared.marks.put_document(&name, value.bytes, revision).await
        }
        .boxed()
    }

    fn list_documents(
        &self,
        beginning: String,
        after: Option<DocumentCursor>,
    ) -> BoxFuture<'_, Result<DocumentPage, Error>> {
        async move {
            let _call = self.shared.call()?;
            self.shared.marks.list_documents(&beginning, after).await
        }
        .boxed()
    }

    fn remove_document(&self, name: String, revision: u64) -> BoxFuture<'_, Result<bool, Error>> {
        async move {
            let _call = self.shared.call()?;
            self.shared.marks.remove_document(&name, revision).await
        }
        .boxed()
    }

    fn sync(&self, key: &Key) -> BoxFuture<'_, Result<(), Error>> {
        let partition = self.shared.partition_of(key);
        async move {
            let _call = self.shared.call()?;
            self.shared.sync(partition).await
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.shut().boxed()
    }
}

impl Drop for JetStream {
    /// Lets the tasks end.
    fn drop(&mut self) {
        self.shared.closed.cancel();
    }
}

#[cfg(test)]
mod tests;
