//! The one thread that writes.
//!
//! Takes whatever came in since the last commit, up to a bound, into one transaction, and answers
//! when it is on disk. Only then do the lanes hear of it. If the transaction fails, everybody in it
//! is told so and nothing has changed; the next batch starts afresh. The times it stores came with what
//! it was asked to do; it reads a clock of its own only to hold what could not be settled.

use std::sync::{Arc, mpsc as std_mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::batch::{Batch, CommitEffect, Settle, Write, WriteAnswer};
use super::checkpoint::Checkpoints;
use super::lock::Lock;
use super::shared::Shared;
use super::sweep::Sweep;
use super::tidy::{self, Step, Tidy, WritingOver};
use crate::clock::{Clock, Timestamp};
use crate::fault_points::{self, Point};
use crate::queue::engine::Trouble;
use crate::queue::{Appended, Error, QueueName};
use crate::telemetry::chain::Chain;

/// How many calls wait for the writer before callers wait to be let in.
pub(super) const OPS_WAITING_MAX: usize = 1024;

/// How many calls share a transaction. Larger batches gain little and make the first wait longer.
pub(super) const OPS_PER_BATCH_MAX: usize = 512;

/// How long the writer waits for more calls when several came together, and how often at most. Each
/// wait that brings nothing is the last one. A commit costs more than such a wait, and those who were
/// answered together mostly ask again together.
const GATHER_STEP: Duration = Duration::from_micros(50);
const GATHER_STEPS_MAX: u32 = 10;

/// How often marks are flushed and old rows looked for.
const TICK: Duration = Duration::from_millis(500);

/// How long a job is held when settling it failed, so that a full disk does not make a storm.
const HOLD_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Gets what one call became.
pub(super) type Answer = oneshot::Sender<WriteAnswer>;

/// What the writer is told.
pub(super) enum Op {
    /// Joins the next transaction.
    Write(Write, Answer),
    /// Writes the raised marks now.
    Flush(Answer),
    /// Takes out of the files now what was deleted.
    WriteOver(Answer),
    /// Time to look after marks and old rows.
    Tick(Timestamp),
    /// Finishes what came before and ends.
    Stop,
}

/// Lets calls in to the writer.
#[derive(Clone)]
pub(super) struct Submit(mpsc::Sender<Op>);

impl Submit {
    /// Waits for a place. Nothing is submitted until the place is used.
    pub(super) async fn reserve(&self) -> Result<mpsc::Permit<'_, Op>, Error> {
        self.0.reserve().await.map_err(|_| Error::Closed)
    }

    /// Tells the writer to finish and end.
    pub(super) async fn stop(&self) {
        // An error means that it has ended already.
        let _ = self.0.send(Op::Stop).await;
    }

    /// As [`Submit::stop`], from where nothing can be awaited.
    pub(super) fn stop_now(&self) {
        while let Err(mpsc::error::TrySendError::Full(_)) = self.0.try_send(Op::Stop) {
            std::thread::sleep(Duration::from_millis(1)); // The writer is making room.
        }
    }

    /// Submits and waits for the answer.
    pub(super) async fn call(&self, op: impl FnOnce(Answer) -> Op) -> Result<Vec<Appended>, Error> {
        let (answer, answered) = oneshot::channel();
        self.reserve().await?.send(op(answer));
        answered.await.map_err(|_| Error::Closed)?
    }
}

/// The writer's threads.
pub(super) struct Threads {
    writer: JoinHandle<()>,
    ticker: JoinHandle<()>,
    stop_ticker: std_mpsc::Sender<()>,
}

impl Threads {
    /// Waits until both have ended. Reader and writer must have been told to stop.
    pub(super) fn join(self) {
        drop(self.stop_ticker);
        for thread in [self.ticker, self.writer] {
            if thread.join().is_err() {
                tracing::error!("a thread of the queue panicked");
            }
        }
    }
}

/// Starts the threads.
pub(super) fn start(state: Writer) -> std::io::Result<(Submit, Threads)> {
    let (sender, receiver) = mpsc::channel(OPS_WAITING_MAX);
    let (stop_ticker, stopped) = std_mpsc::channel::<()>();
    let (ticks, clock) = (sender.downgrade(), state.clock);
    let writer = std::thread::Builder::new()
        .name("queue-writer".into())
        .spawn(move || state.run(receiver))?;
    let ticker = std::thread::Builder::new().name("queue-ticker".into()).spawn(move || {
        while stopped.recv_timeout(TICK) == Err(std_mpsc::RecvTimeoutError::Timeout) {
            let Some(ticks) = ticks.upgrade() else { return };
            // A full channel means that the writer is busy; the next tick will do.
            let _ = ticks.try_send(Op::Tick(clock.wall()));
        }
    })?;
    Ok((Submit(sender), Threads { writer, ticker, stop_ticker }))
}

/// Those who wait until what was deleted is out of the files.
#[derive(Default)]
pub(super) struct Wishes {
    /// Who asked since the work for others has begun, which may have passed over what they deleted.
    next: Vec<Answer>,
    /// What is under way, and for whom.
    now: Option<(WritingOver, Vec<Answer>)>,
}

/// What the writing thread owns.
pub(super) struct Writer {
    pub(super) db: Connection,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Clock,
    pub(super) seq_last: i64,
    pub(super) sweep: Sweep,
    /// Reader and checkpointer end first: the connection that closes last empties the log.
    pub(super) reading: JoinHandle<()>,
    pub(super) checkpoints: Checkpoints,
    /// A probe goes with every second tick.
    pub(super) is_odd_tick: bool,
    pub(super) tidy: Tidy,
    pub(super) wishes: Wishes,
    /// Released last, when the connection is closed.
    pub(super) lock: Lock,
}

impl Writer {
    fn run(mut self, mut receiver: mpsc::Receiver<Op>) {
        // However this ends, consumers must not wait for a writer that is gone.
        let _closed = self.shared.closed.clone().drop_guard();
        let mut ops = Vec::with_capacity(OPS_PER_BATCH_MAX);
        let mut writes = Vec::with_capacity(OPS_PER_BATCH_MAX);
        let mut ops_last = 0;
        loop {
            if self.is_writing_over() && receiver.is_empty() {
                self.write_over(false);
                continue;
            }
            if self.sweep.is_behind() && receiver.is_empty() {
                self.sweep(Sweep::step);
                continue;
            }
            if receiver.blocking_recv_many(&mut ops, OPS_PER_BATCH_MAX) == 0 {
                break;
            }
            if ops_last.max(ops.len()) > 1 {
                gather(&mut ops, &mut receiver);
            }
            ops_last = ops.len();
            for op in ops.drain(..) {
                match op {
                    Op::Write(write, answer) => writes.push((write, answer)),
                    Op::Flush(answer) => drop(answer.send(self.flush_marks().map(|()| Vec::new()))),
                    Op::WriteOver(answer) => self.wishes.next.push(answer),
                    Op::Tick(at) => {
                        self.write_over(true);
                        self.tick(at);
                    }
                    Op::Stop => receiver.close(),
                }
            }
            self.write(&mut writes);
            self.write_over(false);
            self.sweep(Sweep::step);
        }
        self.tick_marks();
        self.close();
    }

    /// Writes one batch and answers everybody in it.
    fn write(&mut self, writes: &mut Vec<(Write, Answer)>) {
        if writes.is_empty() {
            return;
        }
        match self.commit(writes) {
            Ok((answers, effects)) => {
                self.recovers(false);
                self.tell(effects);
                self.checkpoints.committed(writes.len());
                for ((_, caller), answer) in writes.drain(..).zip(answers) {
                    // A caller that went away does not need its answer.
                    let _ = caller.send(answer);
                }
            }
            Err(error) => {
                let error = self.shared.fault.sqlite("write to", error);
                self.fails(&error, writes.len());
                for (write, caller) in writes.drain(..) {
                    self.release(&write);
                    let _ = caller.send(Err(error.clone()));
                }
            }
        }
    }

    /// Says once that nothing is kept, not at each batch.
    fn fails(&self, error: &Error, calls: usize) {
        let is_at_bound = matches!(error, Error::Full { .. }) && self.is_at_bound();
        let trouble = if is_at_bound { Trouble::AtItsBound } else { Trouble::NotWritten };
        if self.shared.trouble.send_replace(trouble) != Trouble::None {
            tracing::debug!(error = %Chain(error), queue_depth = calls, "batch not stored");
        } else {
            tracing::error!(error = %Chain(error), queue_depth = calls,
                "queue file takes nothing more; nothing is acknowledged until it does");
        }
    }

    /// Whether the file is as large as `bytes_max` lets it be.
    fn is_at_bound(&self) -> bool {
        let read = |pragma| self.db.query_row(pragma, [], |row| row.get::<_, i64>(0));
        matches!((read("PRAGMA page_count"), read("PRAGMA max_page_count")),
            (Ok(pages), Ok(most)) if pages >= most)
    }

    /// Ends a trouble. That work could be settled does not show that there is room for more.
    fn recovers(&self, has_room: bool) {
        let ends = |trouble: &mut Trouble| {
            let is_over = match trouble {
                Trouble::None => false,
                Trouble::AtItsBound => has_room,
                Trouble::NotWritten => true,
            };
            if is_over {
                *trouble = Trouble::None;
            }
            is_over
        };
        if self.shared.trouble.send_if_modified(ends) {
            tracing::info!("queue file is written again; work goes on");
        }
    }

    /// Looks whether there is room again, while nobody else writes: who was told that nothing is kept
    /// may not come back before it says otherwise.
    fn probe(&self) {
        if *self.shared.trouble.borrow() == Trouble::None {
            return;
        }
        let written = self.db.execute_batch(
            "BEGIN IMMEDIATE;
             CREATE TABLE IF NOT EXISTS probe (bytes BLOB);
             INSERT INTO probe VALUES (zeroblob(65536));
             COMMIT;
             DROP TABLE probe;",
        );
        match written {
            Ok(()) => self.recovers(true),
            Err(error) => {
                let error = self.shared.fault.sqlite("write to", error);
                tracing::debug!(error = %Chain(&error), "queue file cannot be written yet");
                if !self.db.is_autocommit() {
                    // It fails where SQLite has ended the transaction itself.
                    let _ = self.db.execute_batch("ROLLBACK");
                }
            }
        }
    }

    fn commit(
        &mut self,
        writes: &mut [(Write, Answer)],
    ) -> rusqlite::Result<(Vec<WriteAnswer>, Vec<CommitEffect>)> {
        let transaction = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate)?;
        let mut batch = Batch::new(&transaction, self.seq_last);
        let answers = writes
            .iter_mut()
            .map(|(write, _)| batch.apply(write))
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let (seq_last, effects) = batch.into_effects();
        fault_points::hit(Point::BeforeCommit);
        transaction.commit()?;
        fault_points::hit(Point::Committed);
        self.seq_last = seq_last;
        Ok((answers, effects))
    }

    /// Tells the lanes what is on disk now; what was stored in one go is seen in one go.
    fn tell(&self, mut effects: Vec<CommitEffect>) {
        for effect in &mut effects {
            if let CommitEffect::Enter { entry, loaded, .. } = effect
                && let Some(loaded) = loaded.take()
            {
                self.shared.fresh.keep(entry.seq, loaded);
            }
        }
        for queue in QueueName::ALL {
            let its = effects.extract_if(.., |effect| effect.queue() == queue).collect();
            self.shared.dispatch(queue).carry_out(its);
        }
    }

    /// Lets a job go whose settlement was not stored.
    fn release(&self, write: &Write) {
        if let Write::Settle(Settle { queue, lease, .. }) = write {
            let now = self.clock.now();
            self.shared
                .dispatch(*queue)
                .change(|lanes| lanes.hold(now, *lease, now + HOLD_AFTER_FAILURE));
        }
    }

    fn tick(&mut self, at: Timestamp) {
        self.is_odd_tick = !self.is_odd_tick;
        if self.is_odd_tick {
            self.probe();
        }
        self.tick_marks();
        self.sweep(|sweep, db| sweep.tick(db, at));
        if let Err(error) = self.tidy() {
            let error = self.shared.fault.sqlite("write over what was deleted in", error);
            tracing::debug!(error = %Chain(&error), "deleted bytes are still there, will try again");
            self.tidy.rest();
        }
    }

    /// Whether there is a step to do for those who wait, other than to wait for who reads the log.
    fn is_writing_over(&self) -> bool {
        match &self.wishes.now {
            Some((over, _)) => over.part().is_some(),
            None => !self.wishes.next.is_empty(),
        }
    }

    /// Does the next step of taking what was deleted out of the file and its log, if somebody waits for that.
    /// Who reads the log is waited for from tick to tick, so that others are not held up.
    fn write_over(&mut self, is_tick: bool) {
        let Wishes { next, now } = &mut self.wishes;
        if now.is_none() && !next.is_empty() {
            *now = Some((WritingOver::new(), std::mem::take(next)));
        }
        let Some((mut over, answers)) = now.take() else { return };
        let is_late = is_tick && over.is_over_late();
        let ended = match self.write_over_step(&mut over) {
            Ok(false) if is_late => Err(self.shared.fault.busy()),
            Ok(false) => {
                self.wishes.now = Some((over, answers));
                return;
            }
            Ok(true) => Ok(()),
            Err(error) => Err(error),
        };
        for answer in answers {
            // A caller that went away does not need its answer.
            let _ = answer.send(ended.clone().map(|()| Vec::new()));
        }
    }

    /// Writes a part anew, or empties the log after all; true once that is done.
    fn write_over_step(&self, over: &mut WritingOver) -> Result<bool, Error> {
        let fault = &self.shared.fault;
        let failed = |error| fault.sqlite("write over what was deleted in", error);
        if let Some(part) = over.part() {
            if !tidy::scrub_part(&self.db, part, tidy::BY_WISH).map_err(failed)? {
                return Err(fault.crowded(part.as_str()));
            }
            over.done();
            if over.part().is_some() {
                return Ok(false);
            }
        }
        tidy::empty_log(&self.db).map_err(failed)
    }

    /// Takes what was deleted out of the file and its log. That takes room for a moment, so not while
    /// there is none.
    fn tidy(&mut self) -> rusqlite::Result<()> {
        if *self.shared.trouble.borrow() != Trouble::None {
            return Ok(());
        }
        match self.tidy.tick(self.db.total_changes()) {
            Step::Nothing => return Ok(()),
            Step::AskForLog => {
                self.checkpoints.want();
                return Ok(());
            }
            Step::Scrub => {
                tidy::scrub(&self.db, tidy::BESIDE_WORK)?;
                self.tidy.scrubbed(self.db.total_changes());
            }
            Step::EmptyLog => {}
        }
        if tidy::empty_log(&self.db)? {
            self.tidy.emptied();
        }
        Ok(())
    }

    /// Writes the marks; they are kept in memory until that works.
    fn tick_marks(&self) {
        if let Err(error) = self.flush_marks() {
            self.fails(&error, 0);
        }
    }

    fn flush_marks(&self) -> Result<(), Error> {
        let Shared { marks, fault, .. } = &*self.shared;
        marks.flush(&self.db).map_err(|error| fault.sqlite("write marks to", error))
    }

    fn sweep(&mut self, act: impl FnOnce(&mut Sweep, &Connection) -> rusqlite::Result<()>) {
        if let Err(error) = act(&mut self.sweep, &self.db) {
            let error = self.shared.fault.sqlite("forget old jobs in", error);
            tracing::warn!(error = %Chain(&error), "old jobs not forgotten, will try again");
            self.sweep.rest();
        }
    }

    fn close(self) {
        let Self { db, shared, reading, checkpoints, lock, .. } = self;
        checkpoints.stop();
        if reading.join().is_err() {
            tracing::error!("the reader of the queue panicked");
        }
        let tidied = tidy::scrub(&db, tidy::ALONE).and_then(|()| tidy::empty_log(&db));
        if let Err(error) = tidied {
            let error = shared.fault.sqlite("write over what was deleted in", error);
            tracing::warn!(error = %Chain(&error), "deleted bytes may be left in the queue file");
        }
        if let Err((_, error)) = db.close() {
            let error = shared.fault.sqlite("close", error);
            tracing::warn!(error = %Chain(&error), "queue file not closed cleanly");
        }
        drop(lock);
    }
}

/// Waits a little for calls that can share the transaction.
fn gather(ops: &mut Vec<Op>, receiver: &mut mpsc::Receiver<Op>) {
    for _ in 0..GATHER_STEPS_MAX {
        std::thread::sleep(GATHER_STEP);
        let before = ops.len();
        while ops.len() < OPS_PER_BATCH_MAX
            && let Ok(op) = receiver.try_recv()
        {
            ops.push(op);
        }
        if ops.len() == before || ops.len() == OPS_PER_BATCH_MAX {
            return;
        }
    }
}
