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
use super::client_factory::ClientFactory;
use super::counted::Counted;
use super::handover::Hands;
use super::health::Health;
#[cfg(feature = "nats")]
use super::instances;
use super::intake::StoreFirst;
use super::join_settings::{begin, join_policy, leaving, rejoin};
use super::parts::{Group, Parts};
use super::replies::Asked;
use super::resume_store::ResumeStore;
use super::sockets::Sockets;
use crate::admin::access::Access;
use crate::admin::dead_letters::DeadLetters;
use crate::admin::operate;
use crate::admin::{handoff, replies};
#[cfg(feature = "nats")]
use crate::agent::bitbrat::Watched;
use crate::agent::{Agent, later};
use crate::channels::conversations::arrivals::Arrivals;
use crate::channels::conversations::beginnings::{Beginnings, Kept};
use crate::channels::conversations::catch_up::CatchUp;
use crate::channels::conversations::channel::{ConversationMarks, Conversations};
use crate::channels::conversations::departures::Departures;
use crate::channels::conversations::join::{INITIALIZING_MAX, Joins};
use crate::channels::conversations::join_rules::JoinRules;
use crate::channels::conversations::leave::Leaver;
use crate::channels::conversations::number_limits::NumberLimits;
use crate::channels::conversations::policy::authors::Authors;
use crate::channels::conversations::reconcile::{Duty, Reconciler};
use crate::channels::conversations::removals::Removals;
use crate::channels::conversations::seats::{Listening, PoolMember, Seats};
use crate::channels::conversations::send_limits::SendLimits;
use crate::channels::conversations::service_check::ServiceCheck;
use crate::channels::conversations::sweep_pace::SweepPace;
use crate::channels::instances::Instances;
use crate::channels::{Channels, Inlet, Markings};
use crate::concurrency::Limiter;
use crate::config::Settings;
use crate::config::kinds::{AgentKind, Listen, QueueEngine, TurnStrategy, WhilePaused};
use crate::config::settings;
use crate::jobs::recorder::Recorder;
use crate::jobs::schedule::Schedule;
use crate::jobs::worker::{self, Station, Work};
use crate::net::tls;
use crate::pipeline::awaited::Patience;
use crate::pipeline::handoff::{Handoff, Memory, Paused};
use crate::pipeline::ingest::Ingest;
use crate::pipeline::ingest::admission::Admission;
use crate::pipeline::ingest::repeated::Repeated;
use crate::pipeline::policy::strategy::{Burst, Strategy};
use crate::pipeline::report::Reports;
use crate::pipeline::send::Sends;
use crate::pipeline::send::late::Late;
use crate::pipeline::send::reply_ids::ReplyIds;
use crate::pipeline::turn::Turns;
use crate::pipeline::turn::busy::BusyTimes;
use crate::queue::{self, QueueName, Store};
use crate::recent::Recent;
use crate::thread::ThreadKind;
use crate::twilio::{rest, signature};
use crate::webhook::{self, Intakes, Nameable, PublicBase};

/// What the running service offers to the outside.
pub struct Service {
    /// The routes of webhook and late replies.
    pub router: Router,
    /// The routes of the operator, for the admin listener.
    pub operate: Router,
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
        let clock = self.recorder.clock;
        let options = rest_options(self.twilio, self.settings.proxy.proxies());
        let (metrics, status) = (self.recorder.metrics.clone(), self.health.status());
        let counted: Arc<dyn rest::Observer> = Arc::new(Counted { metrics, status, clock });
        let rest = rest::Client::new(options, tls.clone(), clock, Some(counted))?;
        let thinker = agents::make(self, &tls).await?;
        let agent = Arc::clone(&thinker.agent);
        let clients = ClientFactory::new(self, &tls);
        let seats = Arc::new(Seats::new(self.pool(clients.is_some())));
        let handoff = self.handoff(&rest, &seats);
        let inlet: Arc<dyn Inlet> = Arc::new(self.ingest(&handoff));
        let arrivals = self.arrivals(&rest, &seats, inlet).await;
        let catch_up =
            CatchUp { rest: rest.clone(), arrivals: arrivals.clone(), marks: self.store.marks() };
        let service = Arc::new(ServiceCheck::new(rest.clone(), clock));
        let conversations = self.conversations(&rest, &seats, &catch_up, &service);
        let channels = Channels::default().with(ThreadKind::Conversation, Arc::new(conversations));
        self.health.watch(Arc::clone(&seats), self.store.clone());
        if let Some(clients) = clients {
            self.listen(clients, &seats, &arrivals);
        }
        self.spawn(self.joins(&rest, &seats, &catch_up, service), self.join_room(), tasks, stop);
        self.work(agent, &channels, &handoff, tasks, stop);
        let outbox = self.outbox(&channels);
        self.think(thinker, &outbox, tasks, stop);
        let operate = self.operate(&rest, &handoff, &outbox);
        let router = self.router(arrivals, outbox)?;
        self.sweep(self.reconciler(rest, seats, catch_up), tasks, stop);
        Ok(Service { router, operate })
    }

    /// Where the realtime clients' places are kept: beside the queue's file, if there is one.
    pub fn resume_store(&self) -> Option<ResumeStore> {
        match self.settings.queue.engine {
            QueueEngine::Embedded => {
                let queue = self.settings.queue.path.clone();
                Some(ResumeStore::beside(queue, self.conversations.chat_service_sid))
            }
            // Whoever listens next may be another instance.
            QueueEngine::Nats => None,
        }
    }

    /// All identities of the pool, each once, the default one first.
    pub fn identities(&self) -> Vec<String> {
        let bot = &self.conversations.bot;
        let mut identities: Vec<String> = Vec::new();
        for identity in std::iter::once(&bot.name).chain(&bot.pool.0) {
            if identities.iter().all(|known| known != identity.as_str()) {
                identities.push(identity.as_str().to_owned());
            }
        }
        identities
    }

    fn pool(&self, has_sockets: bool) -> Vec<PoolMember> {
        let ear = if has_sockets { Listening::Elsewhere } else { Listening::Off };
        self.identities()
            .into_iter()
            .map(|identity| PoolMember::new(identity, ear.clone()))
            .collect()
    }

    /// Listens for the identities: for all of them, or for those that are this instance's.
    fn listen(&self, clients: ClientFactory, seats: &Arc<Seats>, arrivals: &Arrivals) {
        let Group { tasks, stop } = self.sockets;
        let (seats, arrivals, marks) = (Arc::clone(seats), arrivals.clone(), self.store.marks());
        let sockets = Arc::new(Sockets { clients, seats, arrivals, marks });
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
            if !reconciler.arrivals.departures.policy.is_off() {
                let leaving = Reconciler { duty: Duty::Leave, ..reconciler.clone() };
                tasks.spawn(leaving.run(stop.clone()));
            }
            let reconciler = Reconciler { duty: Duty::Find, ..reconciler };
            let sweep =
                move |_, stop| -> BoxFuture<'static, ()> { Box::pin(reconciler.clone().run(stop)) };
            tasks.spawn(instances::hold(cluster.sweep(), sweep, stop.clone()));
            tasks.spawn(cluster.count(self.recorder.clock, stop.clone()));
            return;
        }
        tasks.spawn(reconciler.run(stop.clone()));
    }

    fn reconciler(&self, rest: rest::Client, seats: Arc<Seats>, catch_up: CatchUp) -> Reconciler {
        let pace = Arc::new(SweepPace::new(self.recorder.clock));
        let arrivals = catch_up.arrivals.clone();
        let leaver = Leaver {
            rest: rest.clone(),
            seats: Arc::clone(&seats),
            arrivals: arrivals.clone(),
            pace: Arc::clone(&pace),
            queues: QueueName::ALL.map(|name| self.store.queue(name)).to_vec(),
        };
        Reconciler {
            rest,
            seats,
            arrivals,
            catch_up,
            leaver,
            pace,
            status: self.health.status(),
            duty: Duty::Both,
            interval: self.settings.reconcile.interval,
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

    fn joins(
        &self,
        rest: &rest::Client,
        seats: &Arc<Seats>,
        catch_up: &CatchUp,
        service: Arc<ServiceCheck>,
    ) -> Joins {
        Joins {
            rest: rest.clone(),
            outbox: self.store.queue(QueueName::Outbox),
            seats: Arc::clone(seats),
            catch_up: catch_up.clone(),
            schedule: Schedule::new(self.settings.join.schedule.0.clone()),
            status: self.health.status(),
            service,
            initializing: Recent::new(INITIALIZING_MAX),
            recorder: self.recorder.clone(),
        }
    }

    fn join_room(&self) -> Limiter {
        Limiter::fixed(self.settings.join.concurrency.get())
    }

    /// Starts what works on turns, replies and reports, of whatever channel they are.
    fn work(
        &self,
        agent: Arc<dyn Agent>,
        channels: &Channels,
        handoff: &Arc<Handoff>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let (settings, recorder) = (self.settings, self.recorder);
        let agent_room = Limiter::fixed(settings.agent.concurrency.get());
        let reports = Reports {
            agent: Arc::clone(&agent),
            agent_health: self.health.agent(),
            schedule: Schedule::new(settings.agent.schedule.0.clone()),
            reports: self.store.queue(QueueName::Reports),
            patience: patience(settings),
            recorder: recorder.clone(),
        };
        let turns = Turns {
            agent,
            channels: channels.clone(),
            handoff: Arc::clone(handoff),
            inbox: self.store.queue(QueueName::Inbox),
            admission: Arc::clone(&handoff.admission),
            paused: self.paused(),
            ids: self.reply_ids(),
            strategy: strategy(&settings.turns),
            busy: BusyTimes::default(),
            schedule: Schedule::new(settings.agent.schedule.0.clone()),
            status: self.health.status(),
            agent_health: self.health.agent(),
            patience: patience(settings),
            agent_room: agent_room.clone(),
            recorder: recorder.clone(),
        };
        let sends = Sends {
            channels: channels.clone(),
            handoff: Arc::clone(handoff),
            paused: self.paused(),
            schedule: Schedule::new(settings.send.schedule.0.clone()),
            reports: self.store.queue(QueueName::Reports),
            status: self.health.status(),
            recorder: recorder.clone(),
        };
        self.spawn(turns, agent_room, tasks, stop);
        self.spawn(sends, Limiter::fixed(settings.send.concurrency.get()), tasks, stop);
        self.spawn(reports, Limiter::fixed(settings.agent.concurrency.get()), tasks, stop);
    }

    /// The channel of conversations, on the side on which the bot speaks.
    fn conversations(
        &self,
        rest: &rest::Client,
        seats: &Arc<Seats>,
        catch_up: &CatchUp,
        service: &Arc<ServiceCheck>,
    ) -> Conversations {
        let (send, clock) = (&self.settings.send, self.recorder.clock);
        Conversations {
            rest: rest.clone(),
            seats: Arc::clone(seats),
            catch_up: catch_up.clone(),
            number_limits: send
                .sender_rate
                .map(|rate| NumberLimits::new(rate, self.instances(), rest.clone(), clock)),
            send_limits: SendLimits::within(send.conversation_rate.get(), send.service_rate.get())
                .shared_by(self.instances()),
            status: self.health.status(),
            service: Arc::clone(service),
            recorder: self.recorder.clone(),
        }
    }

    fn reply_ids(&self) -> ReplyIds {
        ReplyIds::of(&self.conversations.api_secret)
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
        let station = Station { queue, places, recorder: self.recorder.clone() };
        tasks.spawn(worker::run(station, Arc::new(work), stop.clone()));
    }

    fn handoff(&self, rest: &rest::Client, seats: &Arc<Seats>) -> Arc<Handoff> {
        let turns_per_minute = self.settings.guard.turns_per_minute.get();
        let admission = Admission::new(self.settings.turns.stale_after, turns_per_minute)
            .answering_keywords(self.settings.turns.answer_keywords);
        let marks = ConversationMarks { rest: rest.clone(), seats: Arc::clone(seats) };
        Arc::new(Handoff {
            markings: Markings::default().with(ThreadKind::Conversation, Arc::new(marks)),
            inbox: self.store.queue(QueueName::Inbox),
            outbox: self.store.queue(QueueName::Outbox),
            marks: self.store.marks(),
            admission: Arc::new(admission),
            clock: self.recorder.clock,
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

    /// The way in of messages, of whatever channel they are.
    fn ingest(&self, handoff: &Arc<Handoff>) -> Ingest {
        Ingest {
            inbox: self.store.queue(QueueName::Inbox),
            webhook_grace: webhook_grace(&self.settings.turns),
            handoff: Arc::clone(handoff),
            repeated: Arc::new(Repeated::new(self.is_one_of_several())),
            recorder: self.recorder.clone(),
        }
    }

    /// The channel of conversations, on the side on which messages come.
    async fn arrivals(
        &self,
        rest: &rest::Client,
        seats: &Arc<Seats>,
        inlet: Arc<dyn Inlet>,
    ) -> Arrivals {
        let (store, recorder) = (self.store, self.recorder.clone());
        let (begin, authors) = (begin(&self.settings.turns), Authors::new(self.identities()));
        let now = recorder.clock.wall();
        let kept = Kept { marks: store.marks(), documents: store.documents() };
        let beginnings = Beginnings::open(begin, now, authors.clone(), kept).await;
        let (policy, rejoin) = (join_policy(&self.settings.join), rejoin(&self.settings.join));
        let rules = JoinRules::new(policy, rest.clone(), Arc::clone(seats), recorder.clone());
        let departures = Arc::new(Departures::new(leaving(&self.settings.seats), store.marks()));
        let known = (Arc::clone(seats), Arc::clone(&departures), recorder.clone());
        Arrivals {
            joins: store.queue(QueueName::Joins),
            inlet,
            authors,
            join_rules: Arc::new(rules),
            removals: Arc::new(Removals::new(rejoin, store.marks(), rest.clone(), known)),
            departures,
            beginnings: Arc::new(beginnings),
            watermarks: Arc::default(),
            recorder,
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
            chat_service_sid: Some(self.conversations.chat_service_sid),
            text_paths: self.settings.messaging.paths.0.clone(),
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

    fn router(&self, arrivals: Arrivals, outbox: Arc<dyn later::Outbox>) -> Result<Router, Error> {
        let Recorder { metrics, clock, .. } = self.recorder;
        let intakes = Intakes { conversations: Some(Arc::new(StoreFirst(arrivals))), texts: None };
        let mut router = webhook::router(self.webhook_options(), intakes, metrics.clone(), *clock);
        if let Some(secret) = agents::secret(&self.settings.agent)? {
            let door = later::Door { outbox, secret, clock: *clock };
            router = router.merge(later::router(door));
        }
        Ok(router)
    }

    fn operate(
        &self,
        rest: &rest::Client,
        handoff: &Arc<Handoff>,
        outbox: &Arc<dyn later::Outbox>,
    ) -> Router {
        let settings = &self.settings.admin;
        // A listener that is off serves nothing, whoever may call.
        let access = match settings.listen {
            Listen::Off => Access::Closed,
            Listen::On(address) => Access::new(address, settings.debug_token.clone()),
        };
        let dead_letters = DeadLetters::new(self.store.clone(), self.recorder.clock);
        let handover = Arc::new(Hands(Arc::clone(handoff)));
        let asked = Asked { rest: rest.clone(), outbox: self.store.queue(QueueName::Outbox) };
        let others = later::trusted_router(Arc::clone(outbox))
            .merge(handoff::router(handover))
            .merge(replies::router(Arc::new(asked)));
        operate::router(dead_letters, others, access)
    }

    fn outbox(&self, channels: &Channels) -> Arc<dyn later::Outbox> {
        let outbox = self.store.queue(QueueName::Outbox);
        let channels = channels.clone();
        let reports = patience(self.settings).map(|_| self.store.queue(QueueName::Reports));
        let (ids, clock) = (self.reply_ids(), self.recorder.clock);
        Arc::new(Late { outbox, channels, ids, reports, clock })
    }
}

/// How long a platform may be silent about a turn, if that is watched.
fn patience(settings: &Settings) -> Option<Patience> {
    let asks_anew = settings.bitbrat.ask_again;
    let within = settings.bitbrat.answer_within?;
    (settings.agent.kind == AgentKind::BitBrat).then_some(Patience { within, asks_anew })
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
