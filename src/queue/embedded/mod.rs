//! The embedded engine: one SQLite file, one writer thread.
//!
//! Appends and settlements meet in the writer, which puts what came in since the last `fsync` into
//! one transaction and then answers all of it. Which job is next is decided in memory by
//! `Lanes`, rebuilt from the open rows at start; payloads are read from
//! disk when they are delivered, but for the freshest, which are still at hand. Leases live in memory, so they end with the process.
//!
//! Time enters here: a caller's clock readings travel with what it asks for. Four threads
//! (writer, its ticker, reader, checkpointer) end when the store is closed or dropped.
//!
//! A `not_before` is turned into a deadline when the job is appended or the store opened; setting the
//! wall clock in between moves no job that waits.
//!
//! The file does not shrink. Pages of settled payloads are used again, so its size is bounded by the
//! most that was open at one time and the ids remembered, about 130 bytes each.
//!
//! What is settled is taken out of the files too: a payload is zeros once its job is acknowledged, and
//! the last copies of it, in the log and in gaps of pages, go within seconds and at a clean stop. See
//! `tidy`. Dead letters are kept on purpose, and gone when they are dropped, redriven or too old.

mod backup;
mod batch;
mod checkpoint;
mod copy;
mod dispatch;
mod documents;
mod fault;
mod fresh;
mod held;
mod lease;
mod lock;
mod lost;
mod marks;
mod reader;
mod rows;
mod schema;
mod shared;
mod sweep;
mod tidy;
mod upgrade;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::backup::{Contents, QueueContents, Restoring, back_up};
use self::batch::{LetterName, Write};
use self::checkpoint::Checkpoints;
use self::documents::NewDocument;
use self::fault::Fault;
use self::fresh::Fresh;
use self::lease::{EmbeddedLease, HOLD_AFTER_UNREADABLE, new_jobs};
use self::lock::Lock;
use self::marks::DirtyMarks;
use self::reader::Reader;
use self::rows::Loaded;
use self::shared::Shared;
use self::sweep::{Retention, Sweep};
use self::tidy::Tidy;
use self::writer::{Op, Submit, Threads, Wishes, Writer};
use super::engine::{Engine, Fits, LaneHead, Leased, StoredDocument, Trouble, Value};
use super::lanes::{Entry, HeadOfLane, Lanes, Taken};
use super::{
    Append, Appended, DeadCauses, DeadLetter, DeadLetters, DocumentCursor, DocumentPage, Error,
    Filter, JobId, JobStatus, Key, LanesAsked, OpenLane, Page, QueueName, Stats,
};
use crate::clock::{Clock, Timestamp};
use crate::files;
use crate::telemetry::chain::Chain;

/// The size of a page, SQLite's default. Source: SQLite, "PRAGMA page_size", read 2026-11-21.
const PAGE_BYTES: u64 = 4096;

/// How to open the embedded engine.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file; `-wal`, `-shm` and `.lock` files appear beside it.
    pub path: PathBuf,
    /// How long a delivery belongs to its consumer before it is extended.
    pub lease: Duration,
    /// How long the id of a job is remembered after it was acknowledged or dropped.
    pub retention: Duration,
    /// How long a dead letter is kept.
    pub dead_retention: Duration,
    /// The largest size of the file; past four fifths of it the oldest settled jobs are forgotten.
    pub bytes_max: u64,
    /// Reads the time.
    pub clock: Clock,
}

impl Options {
    /// Takes the defaults: leases of a minute, seven days of ids, thirty of dead letters, 8 GiB, a clock of
    /// its own.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            path: path.into(),
            lease: Duration::from_secs(60),
            retention: 7 * DAY,
            dead_retention: 30 * DAY,
            bytes_max: 8 << 30,
            clock: Clock::start(),
        }
    }
}

/// Which format a file has that no service has open, and which one this release brings it to. Changes nothing.
///
/// # Errors
///
/// [`Error::InUse`] if a service has it open, [`Error::Newer`], or what opening it may give.
pub fn format(path: &Path) -> Result<Format, Error> {
    let fault = Fault::new(path);
    let _lock = Lock::take(path, &fault)?;
    let db = copy::read_only(path).map_err(|error| fault.sqlite("open", error))?;
    Ok(Format { found: upgrade::refuse_newer(&db, path)?, newest: schema::NEWEST })
}

/// The format of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Format {
    /// That it has; 0 if nothing is in it.
    pub found: u32,
    /// That it has once it was opened.
    pub newest: u32,
}

/// The opened engine.
pub(super) struct Embedded {
    clock: Clock,
    lease_time: Duration,
    shared: Arc<Shared>,
    reader: Reader,
    submit: Submit,
    threads: Mutex<Option<Threads>>,
}

impl Embedded {
    /// Opens or makes the file, brings it to the newest format and reads the open jobs.
    pub(super) fn open(options: Options) -> Result<Self, Error> {
        let Options { path, lease, retention, dead_retention, bytes_max, clock } = options;
        let fault = Fault::new(&path);
        if let Some(parent) = path.parent() {
            files::make_folder(parent).map_err(|error| fault.io("make the directory of", error))?;
        }
        let lock = Lock::take(&path, &fault)?;
        let pages_max = i64::try_from(bytes_max / PAGE_BYTES).unwrap_or(i64::MAX);
        let db = connect(&path, &fault, (pages_max, clock.wall()))?;
        upgrade::forget_copies(&path, dead_retention, clock.wall());
        let shared = Arc::new(Shared {
            dispatch: Default::default(),
            fresh: Fresh::default(),
            marks: DirtyMarks::default(),
            fault: fault.clone(),
            closed: CancellationToken::new(),
            trouble: watch::Sender::new(Trouble::None),
        });
        let seq_last = restore(&db, &shared, clock)?;
        let (reader, reading) = Reader::start(&path, &fault, &shared.closed)?;
        let retention =
            Retention { done: retention, dead: dead_retention, pages_max: pages_max / 5 * 4 };
        let writer = Writer {
            db,
            shared: Arc::clone(&shared),
            clock,
            seq_last,
            sweep: Sweep::new(retention),
            reading,
            checkpoints: Checkpoints::start(&path, &fault)?,
            is_odd_tick: false,
            tidy: Tidy::new(),
            wishes: Wishes::default(),
            lock,
        };
        let (submit, threads) =
            writer::start(writer).map_err(|error| fault.io("start the writer of", error))?;
        let threads = Mutex::new(Some(threads));
        Ok(Self { clock, lease_time: lease, shared, reader, submit, threads })
    }

    async fn take_job(&self, queue: QueueName, key: Key) -> Result<LaneHead<Leased>, Error> {
        if self.shared.closed.is_cancelled() {
            return Err(Error::Closed);
        }
        let now = self.clock.now();
        let take = |lanes: &mut Lanes| lanes.take_of(now, &key, self.lease_time);
        let taken = match self.shared.dispatch(queue).change(take) {
            HeadOfLane::Nothing => return Ok(LaneHead::Nothing),
            HeadOfLane::Out => return Ok(LaneHead::Out),
            HeadOfLane::Taken(taken) => taken,
        };
        let unseen = Unseen { engine: self, queue, taken: Some(taken), hold: Duration::ZERO };
        Ok(LaneHead::Taken(self.load(unseen).await?))
    }

    async fn next_job(&self, queue: QueueName) -> Result<Leased, Error> {
        let dispatch = self.shared.dispatch(queue);
        let taken = dispatch.take(self.clock, self.lease_time, &self.shared.closed).await?;
        let unseen = Unseen { engine: self, queue, taken: Some(taken), hold: Duration::ZERO };
        self.load(unseen).await
    }

    /// Reads what was taken; gives it back if that fails or nobody waits for it any more.
    async fn load(&self, mut unseen: Unseen<'_>) -> Result<Leased, Error> {
        let queue = unseen.queue;
        let seq = unseen.taken.as_ref().map_or(0, |taken| taken.seq);
        let loaded = match self.shared.fresh.take(seq) {
            Some(loaded) => loaded,
            None => self.read(seq).await.inspect_err(|_| unseen.hold = HOLD_AFTER_UNREADABLE)?,
        };
        let Taken { lease, key, attempt, redelivered, rested, .. } =
            unseen.taken.take().expect("only this function takes it");
        Ok(Leased {
            id: loaded.id,
            key,
            position: loaded.position,
            appended_at: loaded.appended_at,
            payload: loaded.payload,
            attempt,
            redelivered,
            rested,
            lease_time: self.lease_time,
            lease: Box::new(EmbeddedLease {
                shared: Arc::clone(&self.shared),
                submit: self.submit.clone(),
                reader: self.reader.clone(),
                clock: self.clock,
                queue,
                lease,
                lease_time: self.lease_time,
                id: loaded.id,
            }),
        })
    }

    async fn read(&self, seq: u64) -> Result<Loaded, Error> {
        let fault = &self.shared.fault;
        let row = i64::try_from(seq).unwrap_or(0);
        let found = self.reader.read(fault, move |db| rows::load(db, row)).await?;
        found.ok_or_else(|| fault.damaged("payload missing"))
    }

    async fn count(&self, queue: QueueName) -> Result<Stats, Error> {
        let counts = self.shared.dispatch(queue).lanes().counts(self.clock.now());
        let oldest = counts.oldest_seq.and_then(|seq| i64::try_from(seq).ok());
        let (dead, oldest) = self
            .reader
            .read(&self.shared.fault, move |db| {
                let oldest = oldest.map(|seq| rows::appended_at(db, seq)).transpose()?;
                Ok((rows::count_dead(db, queue)?, oldest.flatten()))
            })
            .await?;
        Ok(Stats {
            ready: counts.ready,
            delayed: counts.delayed,
            leased: counts.leased,
            held: counts.held,
            dead,
            oldest_age: counts.oldest_age(oldest.map(|at| self.clock.wall().since(at))),
        })
    }

    fn letter(&self, queue: QueueName, id: JobId) -> LetterName {
        LetterName { queue, id, now: self.clock.now(), at: self.clock.wall() }
    }

    async fn write(&self, write: Write) -> Result<Vec<Appended>, Error> {
        self.submit.call(|answer| Op::Write(write, answer)).await
    }

    fn take_threads(&self) -> Option<Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Engine for Embedded {
    fn append(
        &self,
        jobs: Vec<(QueueName, Append)>,
    ) -> BoxFuture<'_, Result<Vec<Appended>, Error>> {
        let jobs = new_jobs(jobs, self.clock);
        self.write(Write::Append(jobs)).boxed()
    }

    fn next(&self, queue: QueueName) -> BoxFuture<'_, Result<Leased, Error>> {
        self.next_job(queue).boxed()
    }

    fn take(&self, queue: QueueName, key: &Key) -> BoxFuture<'_, Result<LaneHead<Leased>, Error>> {
        self.take_job(queue, key.clone()).boxed()
    }

    fn open_jobs(&self, queue: QueueName, key: &Key) -> Option<usize> {
        Some(self.shared.dispatch(queue).lanes().count_of(key))
    }

    fn keys_holding(
        &self,
        queue: QueueName,
        beginning: String,
        fits: Fits,
    ) -> BoxFuture<'_, Result<Vec<Key>, Error>> {
        self.find_keys(queue, beginning, fits).boxed()
    }

    fn write_over(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.submit.call(Op::WriteOver).map(|done| done.map(drop)).boxed()
    }

    fn list_short_lived(
        &self,
        beginning: String,
        after: Option<DocumentCursor>,
    ) -> BoxFuture<'_, Result<DocumentPage, Error>> {
        let after = after.map(|DocumentCursor(name)| name);
        let list = move |db: &_| documents::list_short_lived(db, &beginning, after.as_deref());
        self.reader.read(&self.shared.fault, list).boxed()
    }

    fn wake(&self, queue: QueueName, key: &Key) {
        self.shared.dispatch(queue).change(|lanes| lanes.wake(self.clock.now(), key));
    }

    fn trouble(&self) -> &watch::Sender<Trouble> {
        &self.shared.trouble
    }

    fn may_be_open(&self, queue: QueueName, key: &Key) -> bool {
        self.shared.dispatch(queue).lanes().has(key)
    }

    fn stats(&self, queue: QueueName) -> BoxFuture<'_, Result<Stats, Error>> {
        self.count(queue).boxed()
    }

    fn open_lanes(
        &self,
        queue: QueueName,
        asked: LanesAsked,
    ) -> BoxFuture<'_, Result<Vec<OpenLane>, Error>> {
        self.lanes(queue, asked).boxed()
    }

    fn dead_letters(
        &self,
        queue: QueueName,
        filter: Filter,
        page: Page,
    ) -> BoxFuture<'_, Result<DeadLetters, Error>> {
        self.reader
            .read(&self.shared.fault, move |db| rows::dead_letters(db, queue, &filter, page))
            .boxed()
    }

    fn dead_causes(
        &self,
        queue: QueueName,
        filter: Filter,
        letters_max: u32,
    ) -> BoxFuture<'_, Result<DeadCauses, Error>> {
        let count = move |db: &_| rows::dead_causes(db, queue, &filter, letters_max);
        self.reader.read(&self.shared.fault, count).boxed()
    }

    fn find(
        &self,
        queue: QueueName,
        id: JobId,
        key: &Key,
    ) -> BoxFuture<'_, Result<Option<JobStatus>, Error>> {
        let key = key.clone();
        self.reader.read(&self.shared.fault, move |db| rows::status(db, (queue, id), &key)).boxed()
    }

    fn payload(
        &self,
        queue: QueueName,
        id: JobId,
        key: &Key,
    ) -> BoxFuture<'_, Result<Option<Vec<u8>>, Error>> {
        let key = key.clone();
        self.reader.read(&self.shared.fault, move |db| rows::payload(db, (queue, id), &key)).boxed()
    }

    fn dead_letter(&self, queue: QueueName, id: JobId) -> BoxFuture<'_, Result<DeadLetter, Error>> {
        async move {
            self.reader
                .read(&self.shared.fault, move |db| rows::dead_letter(db, queue, id))
                .await?
                .ok_or(Error::NoDeadLetter { queue, id })
        }
        .boxed()
    }

    fn redrive(&self, queue: QueueName, id: JobId) -> BoxFuture<'_, Result<(), Error>> {
        let letter = self.letter(queue, id);
        self.write(Write::Redrive(letter)).map(|done| done.map(drop)).boxed()
    }

    fn discard(&self, queue: QueueName, id: JobId) -> BoxFuture<'_, Result<(), Error>> {
        let letter = self.letter(queue, id);
        self.write(Write::Discard(letter)).map(|done| done.map(drop)).boxed()
    }

    fn read_mark(&self, name: String) -> BoxFuture<'_, Result<Option<u64>, Error>> {
        async move {
            if let Some(value) = self.shared.marks.read(&name) {
                return Ok(Some(value));
            }
            self.reader.read(&self.shared.fault, move |db| rows::mark(db, &name)).await
        }
        .boxed()
    }

    fn raise_mark(&self, name: String, value: u64) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            if self.shared.closed.is_cancelled() {
                return Err(Error::Closed);
            }
            if self.shared.marks.raise(name, value) > marks::DIRTY_MAX {
                self.submit.call(Op::Flush).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn document(&self, name: String) -> BoxFuture<'_, Result<Option<StoredDocument>, Error>> {
        self.reader.read(&self.shared.fault, move |db| documents::read(db, &name)).boxed()
    }

    fn put_document(
        &self,
        (name, value): (String, Value),
        revision: Option<u64>,
    ) -> BoxFuture<'_, Result<bool, Error>> {
        let new = NewDocument { name, value, revision, at: self.clock.wall() };
        let written = self.write(Write::Document(new));
        written.map(|answer| answer.map(|all| all == [Appended::Added])).boxed()
    }

    fn list_documents(
        &self,
        beginning: String,
        after: Option<DocumentCursor>,
    ) -> BoxFuture<'_, Result<DocumentPage, Error>> {
        let after = after.map(|DocumentCursor(name)| name);
        let list = move |db: &_| documents::list(db, &beginning, after.as_deref());
        self.reader.read(&self.shared.fault, list).boxed()
    }

    fn remove_document(&self, name: String, revision: u64) -> BoxFuture<'_, Result<bool, Error>> {
        let removed = self.write(Write::Forget { name, revision });
        removed.map(|answer| answer.map(|all| all == [Appended::Added])).boxed()
    }

    fn sync(&self, _key: &Key) -> BoxFuture<'_, Result<(), Error>> {
        // Nobody else writes this file, and what is stored is in its lane before that is answered.
        std::future::ready(Ok(())).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            self.shared.closed.cancel();
            self.reader.stop().await;
            self.submit.stop().await;
            let Some(threads) = self.take_threads() else { return };
            if tokio::task::spawn_blocking(move || threads.join()).await.is_err() {
                tracing::error!("closing the queue was cut short");
            }
        }
        .boxed()
    }
}

impl Drop for Embedded {
    /// Waits for the writer to finish what it was given, so that the file is free afterwards.
    fn drop(&mut self) {
        self.shared.closed.cancel();
        if let Some(threads) = self.take_threads() {
            self.reader.stop_now();
            self.submit.stop_now();
            threads.join();
        }
    }
}

/// A job between the lanes and its consumer. Dropped, it goes back as if nobody had seen it.
struct Unseen<'a> {
    engine: &'a Embedded,
    queue: QueueName,
    taken: Option<Taken>,
    hold: Duration,
}

impl Drop for Unseen<'_> {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            let now = self.engine.clock.now();
            self.engine
                .shared
                .dispatch(self.queue)
                .change(|lanes| lanes.give_back_unseen(now, taken.lease, now + self.hold));
        }
    }
}

fn connect(
    path: &Path,
    fault: &Fault,
    (pages_max, at): (i64, Timestamp),
) -> Result<Connection, Error> {
    let wrap = |error| fault.sqlite("open", error);
    // SQLite gives the files beside it the same mode.
    // Source: SQLite, "Write-Ahead Logging", read 2026-11-21.
    let made = files::private().append(true).create(true).open(path);
    made.map_err(|error| fault.io("make", error))?;
    tighten(path);
    let mut db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(wrap)?;
    upgrade::refuse_newer(&db, path)?;
    schema::configure(&db, pages_max).map_err(wrap)?;
    upgrade::bring_forward(&mut db, path, at)?;
    lost::note(&mut db, at).map_err(|error| fault.sqlite("write to", error))?;
    if let Err(error) = tidy::zero_once(&db) {
        let error = fault.sqlite("write over what was deleted in", error);
        tracing::warn!(error = %Chain(&error),
            "what was deleted before may still be in the queue file; the next start tries again");
    }
    Ok(db)
}

/// Takes from others what rights they have to the file and those beside it, and says so.
fn tighten(path: &Path) {
    for ending in ["", "-wal", "-shm", ".lock"] {
        let file = files::with_ending(path, ending);
        match files::tighten(&file) {
            Ok(None) => {}
            Ok(Some(mode)) => tracing::warn!(path = %file.display(), mode = format!("{mode:03o}"),
                "others had rights to a file of the queue, and what people write is in it; they have \
                 none now"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(path = %file.display(), error = %Chain(&error),
                "others have rights to a file of the queue, and this user may not take them; let it \
                 own the file"),
        }
    }
}

/// Rebuilds the lanes from the open rows and gives the last `seq` in use.
fn restore(db: &Connection, shared: &Shared, clock: Clock) -> Result<i64, Error> {
    let (now, at) = (clock.now(), clock.wall());
    let mut all_valid = true;
    rows::for_each_open(db, |open| {
        let queue =
            QueueName::ALL.into_iter().find(|&queue| rows::queue_number(queue) == open.queue);
        let (Some(queue), Ok(key), Ok(seq)) = (queue, Key::new(&open.key), u64::try_from(open.seq))
        else {
            all_valid = false;
            return;
        };
        let entry = Entry {
            seq,
            position: open.position.and_then(|position| u64::try_from(position).ok()),
            not_before: open.not_before.map_or(now, |not_before| now + not_before.since(at)),
            attempts: open.attempts,
            suspect: true,
        };
        shared.dispatch(queue).lanes().enter(now, &key, entry);
    })
    .map_err(|error| shared.fault.sqlite("read the open jobs of", error))?;
    if !all_valid {
        return Err(shared.fault.damaged("an open job with an impossible queue, key or number"));
    }
    rows::last_seq(db).map_err(|error| shared.fault.sqlite("read", error))
}

#[cfg(test)]
mod tests;
