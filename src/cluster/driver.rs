//! The one task of a member: carries out what the core decides.
//!
//! Decides only the order in which it looks at its inputs. All I/O and time of the room enter here and
//! in `bucket`. It starts no task of its own and ends when everything is given back, or a bounded time
//! after that was asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::kv::{Entry, Watch};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Options;
use super::bucket::{self, Bucket, Error};
use super::claims::{Change, Inbox, Shared};
use super::core::{Core, Input, Output, Timing, Wrote};
use super::records::{Key, LeaseKey};
use crate::clock::{Clock, Moment};
use crate::telemetry::chain::Chain;

/// How long a member that stops waits for NATS to know.
const LEAVE_MAX: Duration = Duration::from_secs(2);

/// Everything the task owns.
pub(super) struct Driver {
    client: async_nats::Client,
    options: Options,
    bucket: Bucket,
    clock: Clock,
    core: Core,
    shared: Arc<Shared>,
    inboxes: BTreeMap<&'static str, Arc<Inbox>>,
    live: watch::Sender<usize>,
    follow: Option<Watch>,
    work: FuturesUnordered<BoxFuture<'static, MemberHappened>>,
    leave_by: Option<Moment>,
    has_left: bool,
}

enum MemberHappened {
    Found(Input),
    Nothing,
    Followed(Option<Box<(Bucket, Watch)>>),
    Entry(Option<Entry>),
    Asked,
    Time,
}

impl Driver {
    /// Begins, with the first beat written: a bucket that cannot be used is told at once.
    pub async fn new(
        client: &async_nats::Client,
        bucket: Bucket,
        options: Options,
        shared: Arc<Shared>,
        live: watch::Sender<usize>,
    ) -> Result<Self, Error> {
        let clock = shared.belief.clock;
        let timing = Timing { heartbeat: options.heartbeat, patience: options.patience };
        let seed = Uuid::new_v4().simple().to_string()[..12].to_owned();
        let core = Core::new(clock.now(), timing, options.instance.clone(), seed);
        let mut driver = Self {
            client: client.clone(),
            options,
            bucket,
            clock,
            core,
            shared,
            inboxes: BTreeMap::new(),
            live,
            follow: None,
            work: FuturesUnordered::new(),
            leave_by: None,
            has_left: false,
        };
        let use_error = |source| Error::Use { bucket: driver.bucket.name().to_owned(), source };
        let watch = driver.bucket.follow().await.map_err(|error| use_error(error.into()))?;
        driver.follow = Some(watch);
        driver.core.handle(clock.now(), Input::Reading);
        Ok(driver)
    }

    /// Runs until everything is given back; then cancels `left`.
    pub async fn run(mut self, left: CancellationToken) {
        // The first output asks to follow, which is done already.
        self.core.poll();
        self.drain();
        while !self.has_left {
            let happened = self.happened().await;
            self.take(happened);
            self.drain();
            let is_late = self.leave_by.is_some_and(|by| self.clock.now() >= by);
            self.has_left |= is_late;
        }
        self.shared.revoke_all();
        self.inboxes.values().for_each(|inbox| inbox.close());
        left.cancel();
    }

    async fn happened(&mut self) -> MemberHappened {
        let deadline = self.core.deadline(self.clock.now());
        let deadline = self.leave_by.map_or(deadline, |by| by.min(deadline));
        let follow = self.follow.as_mut();
        let entry = async {
            let Some(watch) = follow else { return std::future::pending().await };
            match watch.next().await? {
                Ok(entry) => Some(entry),
                Err(error) => {
                    tracing::debug!(error = %Chain(&error), "cluster's records are read again");
                    None
                }
            }
        };
        tokio::select! {
            Some(done) = self.work.next() => done,
            () = self.shared.wake.notified() => MemberHappened::Asked,
            entry = entry => MemberHappened::Entry(entry),
            () = self.clock.sleep_until(deadline) => MemberHappened::Time,
        }
    }

    fn take(&mut self, happened: MemberHappened) {
        match happened {
            MemberHappened::Found(input) => self.tell(input),
            MemberHappened::Nothing | MemberHappened::Time => self.tell(Input::Tick),
            MemberHappened::Asked => self.asked(),
            MemberHappened::Followed(Some(opened)) => {
                let (bucket, watch) = *opened;
                self.bucket = bucket;
                self.follow = Some(watch);
                self.tell(Input::Reading);
            }
            MemberHappened::Followed(None) => self.follow_again(self.options.heartbeat),
            MemberHappened::Entry(None) => {
                self.follow = None;
                self.follow_again(Duration::ZERO);
            }
            MemberHappened::Entry(Some(entry)) => {
                let is_current = entry.seen_current;
                if let Some(key) = Key::parse(&entry.key) {
                    self.tell(bucket::found(key, &entry.value, entry.revision, entry.operation));
                }
                if is_current {
                    self.tell(Input::Read);
                }
            }
        }
    }

    fn tell(&mut self, input: Input) {
        self.core.handle(self.clock.now(), input);
    }

    fn asked(&mut self) {
        let asks = std::mem::take(&mut *self.shared.asks());
        for (kind, inbox) in asks.unclaimed {
            // A later claim of this kind may have taken its place.
            if self.inboxes.get(kind).is_some_and(|known| Arc::ptr_eq(known, &inbox)) {
                self.inboxes.remove(kind);
                self.tell(Input::Unclaim { kind: kind.to_owned() });
            }
        }
        for (kind, names, inbox) in asks.claims {
            self.inboxes.insert(kind, inbox);
            let names = names.into_iter().collect();
            self.tell(Input::Claim { kind: kind.to_owned(), names });
        }
        for lease in asks.released {
            self.tell(Input::Released(lease));
        }
        for (lease, answer) in asks.holders {
            // Whoever asked may be gone, and then nobody wants the answer.
            let _ = answer.send(self.core.holder(&lease));
        }
        if asks.is_leaving && self.leave_by.is_none() {
            self.leave_by = Some(self.clock.now() + LEAVE_MAX);
            self.tell(Input::Leave);
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.core.poll() {
            self.carry_out(output);
        }
        // Only now: what was lost above must not come alive again by a later beat.
        self.shared.belief.set(self.core.held_until());
        let live = self.core.live();
        self.live.send_if_modified(|known| std::mem::replace(known, live) != live);
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Write { key, record, expected } => {
                let (bucket, patience) = (self.bucket.clone(), self.options.heartbeat);
                self.work.push(Box::pin(async move {
                    let written = bucket.write(&key, &record, expected);
                    let wrote = tokio::time::timeout(patience, written).await;
                    let wrote = wrote.unwrap_or(Wrote::Unknown);
                    MemberHappened::Found(Input::Written { key, wrote })
                }));
            }
            Output::Look(key) => {
                let (bucket, patience) = (self.bucket.clone(), self.options.heartbeat);
                self.work.push(Box::pin(async move {
                    let looked = tokio::time::timeout(patience, bucket.look(key)).await;
                    looked.ok().flatten().map_or(MemberHappened::Nothing, MemberHappened::Found)
                }));
            }
            Output::Follow => {
                self.follow = None;
                self.follow_again(Duration::ZERO);
            }
            Output::Gained { lease, epoch } => {
                tracing::debug!(outcome = "gained", seq = epoch, "lease changed");
                let inbox = self.inbox(&lease);
                let claim = self.shared.grant(lease, epoch);
                push(inbox, Change::Gained(claim));
            }
            Output::Yield(lease) => push(self.inbox(&lease), Change::Yield(lease.name)),
            Output::Lost(lease) => {
                self.shared.revoke(&lease);
                push(self.inbox(&lease), Change::Lost(lease.name));
            }
            Output::Ended => {
                tracing::warn!(
                    "this instance was silent for too long and is taken for dead; it joins anew"
                );
            }
            Output::Left => self.has_left = true,
        }
    }

    fn inbox(&self, lease: &LeaseKey) -> Option<Arc<Inbox>> {
        self.inboxes.get(lease.kind.as_str()).map(Arc::clone)
    }

    fn follow_again(&self, after: Duration) {
        let (client, clock) = (self.client.clone(), self.clock);
        let (name, replicas) = (self.options.bucket.clone(), self.options.replicas);
        let due = clock.now() + after;
        self.work.push(Box::pin(async move {
            clock.sleep_until(due).await;
            let opened = async {
                // The server may have lost it with its disk.
                let bucket = Bucket::open(&client, &name, replicas).await.ok()?;
                let watch = bucket.follow().await.ok()?;
                Some(Box::new((bucket, watch)))
            };
            MemberHappened::Followed(opened.await)
        }));
    }
}

fn push(inbox: Option<Arc<Inbox>>, change: Change) {
    if let Some(inbox) = inbox {
        inbox.push(change);
    }
}
