//! Builds the parts of the service from the settings and starts them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
#[cfg(feature = "nats")]
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Error;
use super::account::rest_options;
use super::agents::{self, Thinker};
use super::counted::Counted;
use super::ears::Opener;
use super::handover::Hands;
use super::health::Health;
#[cfg(feature = "nats")]
use super::instances::{self, Cluster};
use super::intake::StoreFirst;
use super::places::Places;
use super::replies::Asked;
use super::sockets::Sockets;
use super::wishes::{leaving, rejoin, which};
use crate::admin::access::Access;
use crate::admin::desk::Desk;
use crate::admin::operate;
use crate::admin::{handoff, replies};
#[cfg(feature = "nats")]
use crate::agent::bitbrat::Watched;
use crate::agent::{Agent, later};
use crate::concurrency::Limiter;
use crate::config::Settings;
use crate::config::kinds::{Listen, QueueEngine, TurnStrategy, WhilePaused};
use crate::config::settings::{self, Twilio};
use crate::net::tls;
use crate::pipeline::admit::Admission;
use crate::pipeline::catch_up::CatchUp;
use crate::pipeline::choice::Choice;
use crate::pipeline::doors::Doors;
use crate::pipeline::handoff::{Handoff, Memory, Paused};
use crate::pipeline::join::Joins;
use crate::pipeline::late::Late;
use crate::pipeline::leave::Leaver;
use crate::pipeline::left::Left;
use crate::pipeline::notes::Notes;
use crate::pipeline::paces::{Instances, Paces};
use crate::pipeline::phones::Phones;
use crate::pipeline::policy::authors::Authors;
use crate::pipeline::policy::schedule::Schedule;
use crate::pipeline::policy::strategy::{Burst, Strategy};
use crate::pipeline::reconcile::{Duty, Reconciler};
use crate::pipeline::removed::Removed;
use crate::pipeline::repeated::Repeated;
use crate::pipeline::reply_ids::ReplyIds;
use crate::pipeline::report::Reports;
use crate::pipeline::seats::{Ear, Line, Seats};
use crate::pipeline::send::Sends;
use crate::pipeline::senders::Senders;
use crate::pipeline::service::ServiceCheck;
use crate::pipeline::sweep_pace::SweepPace;
use crate::pipeline::thinking::Thinking;
use crate::pipeline::turn::Turns;
use crate::pipeline::worker::{self, Station, Work};
use crate::queue::{self, QueueName, Store};
use crate::twilio::{rest, signature};
use crate::webhook::{self, Nameable, PublicBase};

/// What the running service offers to the outside.
pub struct Service {
    /// The routes of webhook and late replies.
    pub router: Router,
    /// The routes of the operator, for the admin listener.
    pub operate: Router,
}

/// What everything is built from.
pub struct Parts<'a> {
    /// All settings.
    pub settings: &'a Settings,
    /// Twilio's part of them.
    pub twilio: &'a Twilio,
    /// Where notes go.
    pub notes: &'a Notes,
    /// What the health pages say.
    pub health: &'a Arc<Health>,
    /// The queues.
    pub store: &'a Store,
    /// What outlives the workers: the sockets.
    pub sockets: &'a Group,
    /// The other instances, if there may be some.
    #[cfg(feature = "nats")]
    pub cluster: Option<&'a Cluster>,
}

/// Tasks that end together.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The tasks.
    pub tasks: TaskTracker,
    /// Ends them.
    pub stop: CancellationToken,
}

/// Opens the embedded store.
///
/// # Errors
///
/// If the file cannot be opened, or another process has it.
pub fn store(settings: &Settings) -> Result<Store, queue::Error> {
    Store::open(queue::embedded::Options {
        lease: settings.queue.lease,
        retention: settings.queue.retention,
        dead_retention: settings.queue.dead_retention,
        bytes_max: u64::try_from(settings.queue.bytes_max.0).unwrap_or(u64::MAX),
        ..queue::embedded::Options::new(&settings.queue.path)
    })
}

impl Parts<'_> {
    /// Starts the workers and the realtime clients; gives the routes that feed them.
    ///
    /// # Errors
    ///
    /// If a client cannot be made of the settings.
    pub async fn start(
        &self,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Service, Error> {
        let (tls, roots) = tls::client_config()?;
        tracing::debug!(reason = ?roots, "trusted roots are loaded");
        let clock = self.notes.clock;
        let options = rest_options(&self.twilio.account, self.settings.proxy.proxies());
        let (metrics, status) = (self.notes.metrics.clone(), self.health.status());
        let counted: Arc<dyn rest::Observer> = Arc::new(Counted { metrics, status, clock });
        let rest = rest::Client::new(options, tls.clone(), clock, Some(counted))?;
        let thinker = agents::make(self, &tls).await?;
        let agent = Arc::clone(&thinker.agent);
        let opener = Opener::new(self, &tls);
        let seats = Arc::new(Seats::new(self.lines(opener.is_some())));
        let doors = self.doors(&rest, &seats);
        self.health.watch(Arc::clone(&seats), self.store.clone());
        if let Some(opener) = opener {
            self.listen(opener, &seats, &doors);
        }
        self.work(&rest, agent, &seats, &doors, tasks, stop);
        let outbox = self.outbox(&rest);
        self.think(thinker, &outbox, tasks, stop);
        let marks = self.store.marks();
        let catch_up = CatchUp { rest: rest.clone(), doors: doors.clone(), marks };
        let interval = self.settings.reconcile.interval;
        let pace = Arc::new(SweepPace::new(clock));
        let leaver = self.leaver(&rest, &seats, &doors, &pace);
        let operate = self.operate(&doors, &outbox);
        let (duty, sweep_doors) = (Duty::Both, doors.clone());
        let status = self.health.status();
        let reconciler = Reconciler {
            rest,
            seats,
            doors: sweep_doors,
            catch_up,
            leaver,
            pace,
            status,
            duty,
            interval,
        };
        self.sweep(reconciler, tasks, stop);
        Ok(Service { router: self.router(doors, outbox)?, operate })
    }

    /// Where the realtime clients' places are kept: beside the queue's file, if there is one.
    pub fn places(&self) -> Option<Places> {
        match self.settings.queue.engine {
            QueueEngine::Embedded => {
                let queue = self.settings.queue.path.clone();
                Some(Places::beside(queue, self.twilio.account.chat_service_sid))
            }
            // Whoever listens next may be another instance.
            QueueEngine::Nats => None,
        }
    }

    /// All identities of the pool, each once, the default one first.
    pub fn identities(&self) -> Vec<String> {
        let bot = &self.twilio.bot;
        let mut identities: Vec<String> = Vec::new();
        for identity in std::iter::once(&bot.name).chain(&bot.pool.0) {
            if identities.iter().all(|known| known != identity.as_str()) {
                identities.push(identity.as_str().to_owned());
            }
        }
        identities
    }

    fn lines(&self, has_sockets: bool) -> Vec<Line> {
        let ear = if has_sockets { Ear::Elsewhere } else { Ear::Off };
        self.identities().into_iter().map(|identity| Line::new(identity, ear.clone())).collect()
    }

    /// Listens for the identities: for all of them, or for those that are this instance's.
    fn listen(&self, opener: Opener, seats: &Arc<Seats>, doors: &Doors) {
        let Group { tasks, stop } = self.sockets;
        let (seats, doors, marks) = (Arc::clone(seats), doors.clone(), self.store.marks());
        let sockets = Arc::new(Sockets { opener, seats, doors, marks });
        #[cfg(feature = "nats")]
        if let Some(cluster) = self.cluster {
            let listen = move |identity, stop| -> BoxFuture<'static, ()> {
                let sockets = Arc::clone(&sockets);
                Box::pin(async move { sockets.listen(identity, stop).await })
            };
            tasks.spawn(instances::hold(
                cluster.identities(self.identities()),
                listen,
                stop.clone(),
            ));
            return;
        }
        for identity in self.identities() {
            let (sockets, stop) = (Arc::clone(&sockets), stop.clone());
            tasks.spawn(async move { sockets.listen(identity, stop).await });
        }
    }

    /// Sweeps; finds what is missing on one instance of several.
    fn sweep(&self, reconciler: Reconciler, tasks: &TaskTracker, stop: &CancellationToken) {
        #[cfg(feature = "nats")]
        if let Some(cluster) = self.cluster {
            if !reconciler.doors.left.policy.is_off() {
                let leaving = Reconciler { duty: Duty::Leave, ..reconciler.clone() };
                tasks.spawn(leaving.run(stop.clone()));
            }
            let reconciler = Reconciler { duty: Duty::Find, ..reconciler };
            let sweep =
                move |_, stop| -> BoxFuture<'static, ()> { Box::pin(reconciler.clone().run(stop)) };
            tasks.spawn(instances::hold(cluster.sweep(), sweep, stop.clone()));
            tasks.spawn(cluster.count(self.notes.clock, stop.clone()));
            return;
        }
        tasks.spawn(reconciler.run(stop.clone()));
    }

    fn leaver(
        &self,
        rest: &rest::Client,
        seats: &Arc<Seats>,
        doors: &Doors,
        pace: &Arc<SweepPace>,
    ) -> Leaver {
        Leaver {
            rest: rest.clone(),
            seats: Arc::clone(seats),
            doors: doors.clone(),
            pace: Arc::clone(pace),
            queues: QueueName::ALL.map(|name| self.store.queue(name)).to_vec(),
        }
    }

    /// With whom this instance shares the limits of the chat service.
    fn instances(&self) -> Instances {
        #[cfg(feature = "nats")]
        if let Some(cluster) = self.cluster {
            return cluster.instances.clone();
        }
        Instances::default()
    }

    fn work(
        &self,
        rest: &rest::Client,
        agent: Arc<dyn Agent>,
        seats: &Arc<Seats>,
        doors: &Doors,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let (settings, notes) = (self.settings, self.notes);
        let marks = self.store.marks();
        let catch_up = CatchUp { rest: rest.clone(), doors: doors.clone(), marks };
        let service = Arc::new(ServiceCheck::new(rest.clone(), notes.clock));
        let joins = Joins {
            rest: rest.clone(),
            outbox: self.store.queue(QueueName::Outbox),
            seats: Arc::clone(seats),
            catch_up: catch_up.clone(),
            schedule: Schedule::new(settings.join.schedule.0.clone()),
            status: self.health.status(),
            service: Arc::clone(&service),
            notes: notes.clone(),
        };
        let reports = Reports {
            agent: Arc::clone(&agent),
            agent_health: self.health.agent(),
            schedule: Schedule::new(settings.agent.schedule.0.clone()),
            notes: notes.clone(),
        };
        let agent_room = Limiter::fixed(settings.agent.concurrency.get());
        let turns = Turns {
            agent,
            seats: Arc::clone(seats),
            catch_up,
            admission: Arc::clone(&doors.handoff.admission),
            paused: self.paused(),
            phones: Phones { rest: rest.clone() },
            ids: self.reply_ids(),
            strategy: strategy(&settings.turns),
            thinking: Thinking::default(),
            schedule: Schedule::new(settings.agent.schedule.0.clone()),
            status: self.health.status(),
            agent_health: self.health.agent(),
            agent_room: agent_room.clone(),
            notes: notes.clone(),
        };
        let sends = self.sends(rest, seats, doors, service);
        self.spawn(joins, Limiter::fixed(settings.join.concurrency.get()), tasks, stop);
        self.spawn(turns, agent_room, tasks, stop);
        self.spawn(sends, Limiter::fixed(settings.send.concurrency.get()), tasks, stop);
        self.spawn(reports, Limiter::fixed(settings.agent.concurrency.get()), tasks, stop);
    }

    fn sends(
        &self,
        rest: &rest::Client,
        seats: &Arc<Seats>,
        doors: &Doors,
        service: Arc<ServiceCheck>,
    ) -> Sends {
        let (send, notes) = (&self.settings.send, self.notes);
        Sends {
            rest: rest.clone(),
            seats: Arc::clone(seats),
            authors: doors.authors.clone(),
            handoff: Arc::clone(&doors.handoff),
            removed: Arc::clone(&doors.removed),
            paused: self.paused(),
            schedule: Schedule::new(send.schedule.0.clone()),
            joins: self.store.queue(QueueName::Joins),
            through: Arc::clone(&doors.through),
            reports: self.store.queue(QueueName::Reports),
            senders: send
                .sender_rate
                .map(|rate| Senders::new(rate, self.instances(), rest.clone(), notes.clock)),
            paces: Paces::within(send.conversation_rate.get(), send.service_rate.get())
                .shared_by(self.instances()),
            status: self.health.status(),
            service,
            notes: notes.clone(),
        }
    }

    fn reply_ids(&self) -> ReplyIds {
        ReplyIds::of(&self.twilio.account.api_secret)
    }

    const fn paused(&self) -> Paused {
        match self.settings.turns.paused {
            WhilePaused::Skip => Paused::Skip,
            WhilePaused::Hold => Paused::Hold,
        }
    }

    fn spawn<W: Work>(
        &self,
        work: W,
        places: Limiter,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let queue = self.store.queue(W::QUEUE);
        let station = Station { queue, places, notes: self.notes.clone() };
        tasks.spawn(worker::run(station, Arc::new(work), stop.clone()));
    }

    fn handoff(&self, rest: &rest::Client, seats: &Arc<Seats>) -> Arc<Handoff> {
        let turns_per_minute = self.settings.guard.turns_per_minute.get();
        let admission = Admission::new(self.settings.turns.stale_after, turns_per_minute)
            .answering_keywords(self.settings.turns.answer_keywords);
        Arc::new(Handoff {
            rest: rest.clone(),
            seats: Arc::clone(seats),
            inbox: self.store.queue(QueueName::Inbox),
            outbox: self.store.queue(QueueName::Outbox),
            marks: self.store.marks(),
            admission: Arc::new(admission),
            clock: self.notes.clock,
            memory: Memory::default(),
        })
    }

    /// Starts what the agent does beside taking turns.
    fn think(
        &self,
        thinker: Thinker,
        outbox: &Arc<dyn later::Outbox>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) {
        #[cfg(feature = "nats")]
        if let Some(platform) = thinker.platform {
            self.health.watch_bus(Arc::clone(&platform));
            let watched: Arc<dyn Watched> = Arc::<Health>::clone(self.health);
            tasks.spawn(platform.run(Arc::clone(outbox), watched, stop.clone()));
        }
        #[cfg(not(feature = "nats"))]
        let _nothing = (thinker, outbox, tasks, stop);
    }

    fn doors(&self, rest: &rest::Client, seats: &Arc<Seats>) -> Doors {
        let which = which(&self.settings.join);
        let choice = Choice::new(which, rest.clone(), Arc::clone(seats), self.notes.clone());
        let left = Arc::new(Left::new(leaving(&self.settings.seats), self.store.marks()));
        let known = (Arc::clone(seats), Arc::clone(&left), self.notes.clone());
        let rejoin = rejoin(&self.settings.join);
        Doors {
            removed: Arc::new(Removed::new(rejoin, self.store.marks(), rest.clone(), known)),
            choice: Arc::new(choice),
            handoff: self.handoff(rest, seats),
            joins: self.store.queue(QueueName::Joins),
            inbox: self.store.queue(QueueName::Inbox),
            authors: Authors::new(self.identities()),
            left,
            through: Arc::default(),
            repeated: Arc::new(Repeated::new(self.is_one_of_several())),
            webhook_grace: webhook_grace(&self.settings.turns),
            notes: self.notes.clone(),
        }
    }

    /// Whether other instances may have known a message before this one.
    #[cfg(feature = "nats")]
    const fn is_one_of_several(&self) -> bool {
        self.cluster.is_some()
    }

    #[cfg(not(feature = "nats"))]
    const fn is_one_of_several(&self) -> bool {
        false
    }

    fn webhook_options(&self) -> webhook::Options {
        let (account, settings) = (&self.twilio.account, &self.settings.webhook);
        let next = account.auth_token_next.iter();
        let auth_tokens = std::iter::once(&account.auth_token).chain(next).cloned().collect();
        let public_url = settings.public_url.as_ref();
        // A list is kept to, whatever else is allowed.
        let nameable = if settings.hosts.is_empty() && settings.allow_unknown_host {
            Nameable::Any
        } else {
            Nameable::Listed(settings.hosts.clone())
        };
        webhook::Options {
            chat_service_sid: Some(account.chat_service_sid),
            public_base: public_url.map(|base| PublicBase::new(base.as_typed())),
            nameable,
            trust_forwarded: settings.trust_forwarded,
            body_bytes_max: settings.body_bytes_max.0,
            read_timeout: settings.read_timeout,
            answer_within: settings.answer_within,
            ..webhook::Options::new(
                account.account_sid,
                signature::Keys { auth_tokens, shared: Vec::new() },
            )
        }
    }

    fn router(&self, doors: Doors, outbox: Arc<dyn later::Outbox>) -> Result<Router, Error> {
        let Notes { metrics, clock, .. } = self.notes;
        let intake = Arc::new(StoreFirst(doors));
        let mut router = webhook::router(self.webhook_options(), intake, metrics.clone(), *clock);
        if let Some(secret) = agents::secret(&self.settings.agent)? {
            let door = later::Door { outbox, secret, clock: *clock };
            router = router.merge(later::router(door));
        }
        Ok(router)
    }

    fn operate(&self, doors: &Doors, outbox: &Arc<dyn later::Outbox>) -> Router {
        let settings = &self.settings.admin;
        // A listener that is off serves nothing, whoever may call.
        let access = match settings.listen {
            Listen::Off => Access::Closed,
            Listen::On(address) => Access::new(address, settings.debug_token.clone()),
        };
        let desk = Desk::new(self.store.clone(), self.notes.clock);
        let handover = Arc::new(Hands(Arc::clone(&doors.handoff)));
        let asked =
            Asked { rest: doors.handoff.rest.clone(), outbox: self.store.queue(QueueName::Outbox) };
        let others = later::trusted_router(Arc::clone(outbox))
            .merge(handoff::router(handover))
            .merge(replies::router(Arc::new(asked)));
        operate::router(desk, others, access)
    }

    fn outbox(&self, rest: &rest::Client) -> Arc<dyn later::Outbox> {
        let outbox = self.store.queue(QueueName::Outbox);
        let phones = Phones { rest: rest.clone() };
        Arc::new(Late { outbox, phones, ids: self.reply_ids(), clock: self.notes.clock })
    }
}

fn strategy(settings: &settings::Turns) -> Strategy {
    let messages_max = usize::try_from(settings.burst_max.get()).unwrap_or(usize::MAX);
    match settings.strategy {
        TurnStrategy::Queue => Strategy::Queue,
        TurnStrategy::Burst => Strategy::Burst(Burst {
            quiet: settings.quiet,
            longest: settings.longest_wait,
            messages_max,
        }),
        TurnStrategy::Supersede => Strategy::Supersede { messages_max },
        TurnStrategy::Drop => Strategy::Drop,
    }
}

/// How long a webhook's message waits for the socket's: a burst that is quiet for longer has waited.
fn webhook_grace(settings: &settings::Turns) -> Duration {
    let is_burst = settings.strategy == TurnStrategy::Burst;
    if is_burst && settings.quiet >= settings.webhook_grace {
        Duration::ZERO
    } else {
        settings.webhook_grace
    }
}
