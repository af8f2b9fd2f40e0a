//! This instance among several: the connection, the membership, and what is shared out by it.
//!
//! Decides which work goes by whose lease: partitions of the queue, identities with their sockets, the
//! sweep. Each piece of work runs while its name is held, winds down when others should have it, and
//! stops at once when the lease is lost. All tasks end on the token they are given.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::SharedDuty;
use crate::admin;
use crate::app::store;
use crate::channels::instances::Instances;
use crate::clock::{Clock, Moment};
use crate::cluster::{self, Change, Claims, InstanceId, Membership};
use crate::config::Settings;
use crate::config::kinds::QueueEngine;
use crate::nats;
use crate::net::tls;
use crate::queue::jetstream;
use crate::queue::{self, Store};
use crate::telemetry::chain::Chain;
use crate::timeline::{self, Timeline};

/// The kinds of names that are shared out, as the records and the metrics call them.
const PARTITION: &str = "partition";
const IDENTITY: &str = "identity";
const SWEEP: &str = "sweep";
/// The kind of claim on the sweep of plain numbers.
const TEXT_SWEEP: &str = "text_sweep";

/// How long a start waits for NATS in all before it fails: a server that is restarted beside it is back
/// by then, and whoever restarts what fails has not lost patience.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How long until the start tries again.
const START_PAUSE: Duration = Duration::from_secs(1);

/// This instance among several. Clones are the same.
#[derive(Clone, Debug)]
pub struct Cluster {
    client: nats::Client,
    membership: Membership,
    patience: Duration,
    tasks: TaskTracker,
    instances: Instances,
}

/// Why this instance could not take part.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store could not be opened.
    #[error("the queue could not be opened")]
    Store(#[from] queue::Error),
    /// There is no connection to NATS.
    #[error("nats could not be connected to")]
    Nats(#[from] nats::Error),
    /// This instance cannot take part among several.
    #[error("this instance could not join the others")]
    Cluster(#[from] cluster::Error),
    /// The TLS configuration could not be made.
    #[error("the TLS configuration could not be made")]
    Tls(#[from] tls::Error),
}

/// Opens the queues, and takes part among the instances if they are shared.
///
/// # Errors
///
/// See [`Error`].
pub async fn open(
    settings: &Settings,
    instance: &str,
    clock: Clock,
) -> Result<(Option<Cluster>, Store), Error> {
    match settings.queue.engine {
        QueueEngine::Embedded => Ok((None, store::open(settings, clock)?)),
        QueueEngine::Nats => {
            let (tls, _) = tls::client_config()?;
            let (cluster, store) = Cluster::join(settings, instance, (&tls, clock)).await?;
            Ok((Some(cluster), store))
        }
    }
}

impl Cluster {
    /// Connects, takes part, and opens the queues on NATS.
    ///
    /// # Errors
    ///
    /// If NATS does not let this instance in, or what stands there is not as it must be.
    async fn join(
        settings: &Settings,
        instance: &str,
        (tls, clock): (&rustls::ClientConfig, Clock),
    ) -> Result<(Self, Store), Error> {
        let served = &settings.nats;
        let name = settings.server.name.as_str();
        let start = PatientStart { clock, gives_up_at: clock.now() + START_PATIENCE };
        let connect = || async { Ok(nats::connect(nats::Options::of(served, name, tls)).await?) };
        let client = start.patiently(connect).await?;
        let prefix = served.prefix.as_str();
        let options = cluster::Options {
            replicas: served.replicas.get(),
            clock,
            ..cluster::Options::new(instance_id(instance), format!("{prefix}-cluster"))
        };
        let (patience, tasks) = (options.patience, TaskTracker::new());
        let join = || async { Ok(Membership::join(&client, options.clone(), &tasks).await?) };
        let membership = start.patiently(join).await?;
        let options = jetstream::Options {
            prefix: prefix.to_owned(),
            replicas: served.replicas.get(),
            clock,
            lease: settings.queue.lease,
            retention: settings.queue.retention,
            dead_retention: settings.queue.dead_retention,
            ..jetstream::Options::new(client.clone())
        };
        let names = jetstream::partition_names(options.partitions);
        let open = || async {
            let partitions = membership.claim(PARTITION, names.clone());
            Ok(Store::open_jetstream(options.clone(), partitions).await?)
        };
        let store = start.patiently(open).await?;
        tracing::info!(count = *membership.live().borrow(), "this instance is one of several");
        let instances = Instances::default();
        tasks.close();
        Ok((Self { client, membership, patience, tasks, instances }, store))
    }

    /// Runs `work` for each name of a duty while it is this instance's, until `stop` is cancelled.
    pub fn hold<W>(
        &self,
        duty: SharedDuty,
        work: W,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()>
    where
        W: Fn(String, CancellationToken) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    {
        let (kind, names) = match duty {
            SharedDuty::Identities(identities) => (IDENTITY, identities),
            SharedDuty::Sweep => (SWEEP, vec![SWEEP.to_owned()]),
            SharedDuty::TextSweep => (TEXT_SWEEP, vec![TEXT_SWEEP.to_owned()]),
        };
        Box::pin(hold(self.membership.claim(kind, names), work, stop))
    }

    /// With whom the limits of the account are shared.
    pub fn instances(&self) -> Instances {
        self.instances.clone()
    }

    /// Keeps count of those that share the service's limits, until `stop`. One more counts at once; one
    /// less only after a time in which it may still have been sending.
    pub fn count(&self, clock: Clock, stop: CancellationToken) -> BoxFuture<'static, ()> {
        let (live, instances) = (self.membership.live(), self.instances.clone());
        let patience = self.patience;
        Box::pin(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = follow(live, instances, patience, clock) => {}
            }
        })
    }

    fn is_connected(&self) -> bool {
        nats::is_connected(&self.client)
    }

    /// Opens the timeline that all instances share.
    ///
    /// # Errors
    ///
    /// If its stream can neither be used nor made.
    pub async fn timeline(
        &self,
        settings: &Settings,
        bytes_max: u64,
    ) -> Result<Timeline, timeline::Error> {
        let options = timeline::jetstream::Options {
            prefix: settings.nats.prefix.as_str().to_owned(),
            replicas: settings.nats.replicas.get(),
            retention: settings.timeline.retention,
            bytes_max,
        };
        timeline::jetstream::open(self.client.clone(), options).await
    }

    /// What the debug pages show.
    pub fn view(&self) -> admin::Cluster {
        let kinds = [PARTITION, IDENTITY, SWEEP, TEXT_SWEEP];
        let mut held: BTreeMap<_, Vec<_>> = kinds.map(|kind| (kind, Vec::new())).into();
        for (kind, claim) in self.membership.held() {
            if let Some(names) = held.get_mut(kind.as_str()) {
                names.push(claim.name().to_owned());
            }
        }
        let instance = self.membership.instance().as_str().to_owned();
        let instances = *self.membership.live().borrow();
        admin::Cluster { instance, instances, is_connected: self.is_connected(), held }
    }

    /// Gives everything back, so that others need not wait.
    pub async fn leave(&self) {
        self.membership.leave().await;
        self.tasks.wait().await;
    }
}

/// The start, as far as it waits for NATS.
struct PatientStart {
    clock: Clock,
    gives_up_at: Moment,
}

impl PatientStart {
    /// Tries again what fails because NATS is away for a moment, until the patience is over.
    async fn patiently<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        loop {
            match attempt().await {
                Err(error) if may_pass(&error) && self.clock.now() < self.gives_up_at => {
                    tracing::warn!(error = %Chain(&error), "the start waits for nats");
                    self.clock.sleep_until(self.clock.now() + START_PAUSE).await;
                }
                ended => return ended,
            }
        }
    }
}

/// Whether an error may be over by itself: a server that starts, or is being replaced.
const fn may_pass(error: &Error) -> bool {
    matches!(
        error,
        Error::Nats(nats::Error::Unreachable { .. })
            | Error::Cluster(cluster::Error::NoJetStream(_) | cluster::Error::Make { .. })
            | Error::Store(queue::Error::Away { .. })
    )
}

/// An instance's name may have dots, which keys take apart.
fn instance_id(name: &str) -> InstanceId {
    let text = name.replace('.', "-");
    InstanceId::parse(&text).expect("settings take only names of letters, digits, -, _ and dots")
}

async fn follow(
    mut live: watch::Receiver<usize>,
    instances: Instances,
    patience: Duration,
    clock: Clock,
) {
    loop {
        let now = *live.borrow_and_update();
        if now < instances.count() {
            let due = clock.now() + patience;
            let changed = tokio::time::timeout(due.since(clock.now()), live.changed()).await;
            if matches!(changed, Ok(Ok(()))) {
                continue;
            }
        }
        instances.set(now);
        if live.changed().await.is_err() {
            return;
        }
    }
}

/// Runs `work` for each name while it is held, until `stop` is cancelled.
///
/// The work of a name ends by itself on the token it is given; a name that is gained again while its
/// former work is still ending begins after it.
async fn hold<W>(mut claims: Claims, work: W, stop: CancellationToken)
where
    W: Fn(String, CancellationToken) -> BoxFuture<'static, ()>,
{
    let mut works =
        Works { work, names: HashMap::new(), tasks: JoinSet::new(), again: BTreeSet::new() };
    let mut yielding = BTreeSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            change = claims.next() => match change {
                Some(Change::Gained(claim)) => works.begin(claim.name(), &stop),
                Some(Change::Yield(name)) => {
                    if works.end(&name) {
                        yielding.insert(name);
                    } else {
                        claims.released(&name);
                    }
                }
                Some(Change::Lost(name)) => {
                    yielding.remove(&name);
                    works.end(&name);
                }
                None => break,
            },
            Some(ended) = works.tasks.join_next_with_id() => {
                let id = match ended {
                    Ok((id, ())) => id,
                    Err(error) => {
                        tracing::error!(error = %Chain(&error), "work that was held has failed");
                        error.id()
                    }
                };
                let name = works.ended(id, &stop);
                if let Some(name) = name.filter(|name| yielding.remove(name)) {
                    claims.released(&name);
                }
            }
        }
    }
    works.end_all();
    while works.tasks.join_next().await.is_some() {}
}

/// The work on names that are held.
struct Works<W> {
    work: W,
    names: HashMap<Id, (String, CancellationToken)>,
    tasks: JoinSet<()>,
    again: BTreeSet<String>,
}

impl<W: Fn(String, CancellationToken) -> BoxFuture<'static, ()>> Works<W> {
    fn begin(&mut self, name: &str, stop: &CancellationToken) {
        if self.names.values().any(|(known, _)| known == name) {
            self.again.insert(name.to_owned());
            return;
        }
        let token = stop.child_token();
        let task = self.tasks.spawn((self.work)(name.to_owned(), token.clone()));
        self.names.insert(task.id(), (name.to_owned(), token));
    }

    /// Ends the work on a name; says whether there is any.
    fn end(&mut self, name: &str) -> bool {
        self.again.remove(name);
        let theirs = self.names.values().find(|(known, _)| known == name);
        theirs.map(|(_, token)| token.cancel()).is_some()
    }

    fn end_all(&self) {
        self.names.values().for_each(|(_, token)| token.cancel());
    }

    /// Takes note that work has ended; begins it again if its name was gained meanwhile.
    fn ended(&mut self, id: Id, stop: &CancellationToken) -> Option<String> {
        let (name, token) = self.names.remove(&id)?;
        if self.again.remove(&name) {
            self.begin(&name, stop);
        } else if !token.is_cancelled() {
            tracing::warn!(
                "work that is held has ended by itself; it begins when it is gained again"
            );
        }
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    const PATIENCE: Duration = Duration::from_secs(6);

    #[tokio::test(start_paused = true)]
    async fn one_more_counts_at_once_and_one_less_after_the_patience() {
        let (sender, live) = watch::channel(1);
        let (instances, clock) = (Instances::default(), Clock::start());
        let followed = tokio::spawn(follow(live, instances.clone(), PATIENCE, clock));
        let at = async |seconds: u64| {
            clock.sleep_until(Moment::ORIGIN + Duration::from_secs(seconds)).await;
        };
        at(1).await;
        sender.send(3).unwrap();
        at(2).await;
        assert_eq!(instances.count(), 3);
        sender.send(2).unwrap();
        at(7).await;
        assert_eq!(instances.count(), 3, "it may still be sending");
        at(9).await;
        assert_eq!(instances.count(), 2);
        drop(sender);
        followed.await.unwrap();
    }

    #[test]
    fn an_instances_name_becomes_a_key() {
        assert_eq!(instance_id("chimein.eu-1").as_str(), "chimein-eu-1");
    }
}
