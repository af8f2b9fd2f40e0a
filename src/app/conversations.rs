//! Builds the channel of conversations: the pool of identities, their sockets, joins and the sweep.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client_factory::ClientFactory;
use super::instances;
use super::intake::StoreFirst;
use super::join_settings::{begin, join_policy, leaving, rejoin};
use super::parts::{Group, Parts};
use super::sockets::IdentitySockets;
use crate::channels::Inlet;
use crate::channels::conversations::arrivals::Arrivals;
use crate::channels::conversations::beginnings::{Beginnings, Kept};
use crate::channels::conversations::catch_up::CatchUp;
use crate::channels::conversations::channel::{ConversationMarks, Conversations};
use crate::channels::conversations::contiguous::ContiguousWatermarks;
use crate::channels::conversations::deliveries::Deliveries;
use crate::channels::conversations::departures::Departures;
use crate::channels::conversations::facts::ConversationFacts;
use crate::channels::conversations::join::Joins;
use crate::channels::conversations::join_rules::JoinRules;
use crate::channels::conversations::leave::Leaver;
use crate::channels::conversations::number_limits::NumberLimits;
use crate::channels::conversations::other_road::OtherRoad;
use crate::channels::conversations::policy::authors::Authors;
use crate::channels::conversations::reconcile::{Duty, Reconciler};
use crate::channels::conversations::removals::Removals;
use crate::channels::conversations::seats::{Listening, PoolMember, Seats};
use crate::channels::conversations::send_limits::SendLimits;
use crate::channels::conversations::service_check::ServiceCheck;
use crate::channels::conversations::sweep_pace::SweepPace;
use crate::concurrency::Limiter;
use crate::config::settings::{Bot, ConversationsAccount};
use crate::jobs::schedule::Schedule;
use crate::queue::{LostTimes, QueueName};
use crate::twilio::rest;
use crate::webhook::Intake;

/// The channel, before messages have a way in.
pub struct Talks<'a> {
    parts: &'a Parts<'a>,
    rest: rest::Client,
    facts: Arc<ConversationFacts>,
    identities: Vec<String>,
    seats: Arc<Seats>,
    clients: Option<ClientFactory>,
}

/// The channel, before it is started.
pub struct OpenTalks<'a> {
    of: Talks<'a>,
    arrivals: Arrivals,
    catch_up: CatchUp,
    service: Arc<ServiceCheck>,
}

impl<'a> Talks<'a> {
    /// Makes the pool; none where the bot has numbers alone.
    pub fn of(
        parts: &'a Parts<'a>,
        rest: &rest::Client,
        tls: &rustls::ClientConfig,
    ) -> Option<Self> {
        let account: &ConversationsAccount = parts.twilio.conversations.as_ref()?;
        let clients = ClientFactory::new(parts, account, tls);
        let identities = identities(&account.bot);
        let listening = if clients.is_some() { Listening::Elsewhere } else { Listening::Off };
        let member = |identity: &String| PoolMember::new(identity.clone(), listening.clone());
        let seats = Arc::new(Seats::new(identities.iter().map(member).collect()));
        let rest = rest.clone();
        let facts = Arc::new(ConversationFacts::new(rest.clone(), parts.recorder.clock));
        Some(Self { parts, rest, facts, identities, seats, clients })
    }

    /// Who sits where.
    pub fn seats(&self) -> Arc<Seats> {
        Arc::clone(&self.seats)
    }

    /// How conversations are marked as a person's.
    pub fn marks(&self) -> ConversationMarks {
        let facts = Arc::clone(&self.facts);
        ConversationMarks { rest: self.rest.clone(), facts, seats: self.seats() }
    }

    /// Gives messages their way in.
    pub async fn open(self, inlet: Arc<dyn Inlet>, lost: LostTimes) -> OpenTalks<'a> {
        let arrivals = self.arrivals(inlet, lost).await;
        let (rest, marks) = (self.rest.clone(), self.parts.store.marks());
        let catch_up = CatchUp {
            rest: rest.clone(),
            watermarks: Arc::clone(&arrivals.watermarks),
            inlet: Arc::clone(&arrivals.inlet),
            beginnings: Arc::clone(&arrivals.beginnings),
            arrivals: arrivals.clone(),
            marks,
        };
        let service = Arc::new(ServiceCheck::new(rest, self.parts.recorder.clock));
        OpenTalks { of: self, arrivals, catch_up, service }
    }

    async fn arrivals(&self, inlet: Arc<dyn Inlet>, lost: LostTimes) -> Arrivals {
        let Parts { settings, store, recorder, .. } = *self.parts;
        let authors = Authors::new(self.identities.clone());
        let memory = || self.facts.memory();
        let kept = Kept { marks: store.marks(), documents: store.documents(), memory: memory() };
        let (begin, now) = (begin(&settings.turns), recorder.clock.wall());
        let beginnings = Beginnings::open(begin, (now, lost), authors.clone(), kept).await;
        let (policy, rejoin) =
            (join_policy(&settings.join, &settings.messaging), rejoin(&settings.join));
        let facts = || Arc::clone(&self.facts);
        let rules = JoinRules::new(policy, facts(), self.seats(), recorder.clone());
        let departures =
            Arc::new(Departures::new(leaving(&settings.seats), store.marks(), memory()));
        let known = (self.seats(), Arc::clone(&departures), recorder.clone());
        let removals = Removals::new(rejoin, (store.marks(), memory()), self.rest.clone(), known);
        let kept = (store.documents(), store.marks());
        let deliveries = Deliveries::new(kept, Arc::clone(&inlet), recorder.clone());
        Arrivals {
            joins: store.queue(QueueName::Joins),
            inlet,
            authors,
            beginnings: Arc::new(beginnings),
            join_rules: Arc::new(rules),
            removals: Arc::new(removals),
            departures,
            facts: facts(),
            seats: self.seats(),
            deliveries: Arc::new(deliveries),
            watermarks: Arc::new(ContiguousWatermarks(memory())),
            recorder: recorder.clone(),
        }
    }
}

impl OpenTalks<'_> {
    /// The side on which the bot speaks.
    pub fn channel(&self) -> Conversations {
        let Talks { parts, rest, facts, seats, .. } = &self.of;
        let facts = || Arc::clone(facts);
        let (send, clock) = (&parts.settings.send, parts.recorder.clock);
        let arrivals = &self.arrivals;
        let join_rules = || Arc::clone(&arrivals.join_rules);
        Conversations {
            rest: rest.clone(),
            facts: facts(),
            seats: Arc::clone(seats),
            arrivals: arrivals.clone(),
            watermarks: Arc::clone(&arrivals.watermarks),
            deliveries: Arc::clone(&arrivals.deliveries),
            removals: Arc::clone(&arrivals.removals),
            join_rules: join_rules(),
            catch_up: self.catch_up.clone(),
            number_limits: send
                .sender_rate
                .map(|rate| NumberLimits::new(rate, parts.instances(), facts(), clock)),
            other_road: OtherRoad::new(join_rules(), facts()),
            send_limits: SendLimits::within(send.conversation_rate, send.service_rate)
                .shared_by(parts.instances()),
            status: Arc::clone(parts.status),
            service: Arc::clone(&self.service),
            recorder: parts.recorder.clone(),
        }
    }

    /// What hears webhooks.
    pub fn intake(&self) -> Arc<dyn Intake> {
        Arc::new(StoreFirst(self.arrivals.clone()))
    }

    /// Starts sockets, joins and the sweep.
    pub fn start(self, tasks: &TaskTracker, stop: &CancellationToken) {
        let Self { of, arrivals, catch_up, service } = self;
        let Talks { parts, rest, facts, identities, seats, clients } = of;
        let joins = Joins {
            rest: rest.clone(),
            outbox: parts.store.queue(QueueName::Outbox),
            seats: Arc::clone(&seats),
            join_rules: Arc::clone(&arrivals.join_rules),
            removals: Arc::clone(&arrivals.removals),
            arrivals: arrivals.clone(),
            catch_up: catch_up.clone(),
            schedule: Schedule::new(parts.settings.join.schedule.0.clone()),
            status: Arc::clone(parts.status),
            service,
            facts,
            recorder: parts.recorder.clone(),
        };
        if let Some(clients) = clients {
            let (seats, marks) = (Arc::clone(&seats), parts.store.marks());
            let sockets = IdentitySockets { clients, seats, arrivals: arrivals.clone(), marks };
            listen(parts, identities, sockets);
        }
        let room = Limiter::fixed(parts.settings.join.concurrency.get());
        parts.spawn(joins, room, tasks, stop);
        sweep(parts, reconciler(parts, (rest, seats), catch_up), tasks, stop);
    }
}

/// All identities of the pool, each once, the default one first.
fn identities(bot: &Bot) -> Vec<String> {
    let mut identities: Vec<String> = Vec::new();
    for identity in std::iter::once(&bot.name).chain(&bot.pool.0) {
        if identities.iter().all(|known| known != identity.as_str()) {
            identities.push(identity.as_str().to_owned());
        }
    }
    identities
}

/// Listens for the identities: for all of them, or for those that are this instance's.
fn listen(parts: &Parts<'_>, identities: Vec<String>, sockets: IdentitySockets) {
    let Group { tasks, stop } = parts.sockets;
    let sockets = Arc::new(sockets);
    if let Some(cluster) = parts.cluster {
        let listen = move |identity, stop| -> BoxFuture<'static, ()> {
            let sockets = Arc::clone(&sockets);
            Box::pin(async move { sockets.listen(identity, stop).await })
        };
        let duty = instances::SharedDuty::Identities(identities);
        tasks.spawn(cluster.hold(duty, listen, stop.clone()));
        return;
    }
    for identity in identities {
        let (sockets, stop) = (Arc::clone(&sockets), stop.clone());
        tasks.spawn(async move { sockets.listen(identity, stop).await });
    }
}

/// Sweeps; finds what is missing on one instance of several.
fn sweep(parts: &Parts<'_>, reconciler: Reconciler, tasks: &TaskTracker, stop: &CancellationToken) {
    if let Some(cluster) = parts.cluster {
        if reconciler.leaves() {
            let leaving = Reconciler { duty: Duty::Leave, ..reconciler.clone() };
            tasks.spawn(leaving.run(stop.clone()));
        }
        let reconciler = Reconciler { duty: Duty::Find, ..reconciler };
        let sweep =
            move |_, stop| -> BoxFuture<'static, ()> { Box::pin(reconciler.clone().run(stop)) };
        tasks.spawn(cluster.hold(instances::SharedDuty::Sweep, sweep, stop.clone()));
        return;
    }
    tasks.spawn(reconciler.run(stop.clone()));
}

fn reconciler(
    parts: &Parts<'_>,
    (rest, seats): (rest::Client, Arc<Seats>),
    catch_up: CatchUp,
) -> Reconciler {
    let pace = Arc::new(SweepPace::new(parts.recorder.clock));
    let arrivals = catch_up.arrivals.clone();
    let leaver = Leaver {
        rest: rest.clone(),
        seats: Arc::clone(&seats),
        departures: Arc::clone(&arrivals.departures),
        removals: Arc::clone(&arrivals.removals),
        inlet: Arc::clone(&arrivals.inlet),
        arrivals: arrivals.clone(),
        pace: Arc::clone(&pace),
        queues: QueueName::ALL.map(|name| parts.store.queue(name)).to_vec(),
    };
    Reconciler {
        rest,
        seats,
        departures: Arc::clone(&arrivals.departures),
        join_rules: Arc::clone(&arrivals.join_rules),
        removals: Arc::clone(&arrivals.removals),
        watermarks: Arc::clone(&arrivals.watermarks),
        arrivals,
        catch_up,
        leaver,
        pace,
        status: Arc::clone(parts.status),
        duty: Duty::Both,
        interval: parts.settings.reconcile.interval,
    }
}
