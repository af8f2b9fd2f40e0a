//! Builds the parts of the service from the settings and starts them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Error;
use super::account::rest_options;
use super::agents::MadeAgent;
use super::conversations::{OpenTalks, Talks};
use super::counted::Counted;
use super::directory::ChannelDirectory;
use super::handover::OperatorHands;
use super::instances::{self, Cluster};
use super::numbers::{NumbersChannel, OpenNumbers};
use super::parts::Parts;
use super::replies::AskedReplies;
use crate::admin::access::Access;
use crate::admin::dead_letters::DeadLetters;
use crate::admin::notes::Notes;
use crate::admin::operate;
use crate::admin::texts::KeptTexts;
use crate::admin::{forget, handoff, replies, threads, timeline};
use crate::agent::{later, unasked};
use crate::channels::conversations::seats::Seats;
use crate::channels::direct::marks::DirectMarks;
use crate::channels::handover::Handover;
use crate::channels::instances::Instances;
use crate::channels::{Channels, Inlet, Markings};
use crate::concurrency::Limiter;
use crate::config::kinds::{Listen, TurnStrategy, WhilePaused};
use crate::config::settings::{self, Twilio};
use crate::console::workbench::Workbench;
use crate::jobs::recorder::Recorder;
use crate::jobs::schedule::Schedule;
use crate::jobs::worker::{self, Station, Work};
use crate::media::Files;
use crate::net::tls;
use crate::pipeline::forget::Forget;
use crate::pipeline::handoff::{Handoff, Memory, Paused};
use crate::pipeline::ingest::Ingest;
use crate::pipeline::ingest::admission::Admission;
use crate::pipeline::ingest::repeated::Repeated;
use crate::pipeline::lists::Lists;
use crate::pipeline::policy::strategy::{Burst, Strategy};
use crate::pipeline::report::Reports;
use crate::pipeline::report::order::Order;
use crate::pipeline::report::room::Room;
use crate::pipeline::send::Sends;
use crate::pipeline::send::answers::KeyedAnswers;
use crate::pipeline::send::late::Late;
use crate::pipeline::send::reply_ids::ReplyIds;
use crate::pipeline::turn::Turns;
use crate::pipeline::turn::busy::BusyTimes;
use crate::pipeline::turn::histories::Histories;
use crate::pipeline::upstreams::Upstreams;
use crate::queue::{LostTimes, QueueName};
use crate::thread::ThreadKind;
use crate::twilio::{rest, signature};
use crate::webhook::{self, Intakes, Nameable, PublicBase};

/// How many turns may be between the queue and their agents.
const ON_THEIR_WAY: usize = 256;

/// How many may be at work in all, whatever rooms the agents have: a bound on memory.
const SLOTS_MAX: usize = 65_536;

/// What the running service offers to the outside.
pub struct Service {
    /// The routes of webhook and late replies.
    pub router: Router,
    /// The routes of the operator, for the admin listener.
    pub operate: Router,
    /// What the console's pages act with: the same.
    pub workbench: Workbench,
    /// Who sits where, if there are conversations.
    pub seats: Option<Arc<Seats>>,
    /// What thinks, and where its later replies go; each is still to begin what it does beside its turns.
    pub agents: Vec<(MadeAgent, Arc<dyn later::Outbox>)>,
    /// The same as upstreams of the turns.
    pub upstreams: Upstreams,
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
        let (metrics, status) = (self.recorder.metrics.clone(), Arc::clone(self.status));
        let counted: Arc<dyn rest::Observer> = Arc::new(Counted { metrics, status, clock });
        let rest = rest::Client::new(options, tls.clone(), clock, Some(counted))?;
        let documents = &self.store.documents();
        let made = self.make_agents(&tls).await?;
        let talks = Talks::of(self, &rest, &tls);
        let numbers = NumbersChannel::of(self, &rest);
        let handoff = self.handoff(talks.as_ref());
        let is_told = made.iter().any(|made| made.agent.is_told());
        let told = is_told.then(|| Room::new(self.store.queue(QueueName::Reports)));
        let inlet: Arc<dyn Inlet> = Arc::new(self.ingest(&handoff, told.clone()));
        let seats = talks.as_ref().map(Talks::seats);
        let lost = LostTimes::end(documents, clock.wall()).await.map_err(instances::Error::from)?;
        let talks = match talks {
            Some(talks) => Some(talks.open(Arc::clone(&inlet), lost.clone()).await),
            None => None,
        };
        let numbers = numbers.map(|numbers| numbers.open(inlet, lost));
        let mut channels = Channels::default();
        if let Some(talks) = &talks {
            channels = channels.with(ThreadKind::Conversation, Arc::new(talks.channel()));
        }
        if let Some(numbers) = &numbers {
            channels = channels.with(ThreadKind::Direct, Arc::new(numbers.channel()));
        }
        let intakes = Intakes {
            conversations: talks.as_ref().map(OpenTalks::intake),
            texts: numbers.as_ref().map(OpenNumbers::intake),
        };
        let (files, media) = self.files(&rest, &tls, tasks)?;
        let lists = Lists::open(self.store.documents(), self.cluster.is_some()).await;
        let upstreams = self.upstreams(&made);
        let answers =
            KeyedAnswers::new(self.store.queue(QueueName::Outbox), self.store.documents());
        let outboxes = (&channels, &answers);
        self.work((&upstreams, files), (outboxes, lists, told), &handoff, (tasks, stop));
        let (operate, workbench) = self.operate(&channels, &handoff, &self.outbox(outboxes, None));
        let with_outbox = |made: MadeAgent| {
            let outbox = self.outbox(outboxes, Some(&made));
            (made, outbox)
        };
        let agents: Vec<_> = made.into_iter().map(with_outbox).collect();
        let router = self.router(intakes, &agents, &handoff)?.merge(media);
        if let Some(talks) = talks {
            talks.start(tasks, stop);
        }
        if let Some(numbers) = numbers {
            numbers.start(tasks, stop);
        }
        self.count_instances(tasks, stop);
        Ok(Service { router, operate, workbench, seats, agents, upstreams })
    }

    /// Keeps count of those that share the account's limits.
    fn count_instances(&self, tasks: &TaskTracker, stop: &CancellationToken) {
        if let Some(cluster) = self.cluster {
            tasks.spawn(cluster.count(self.recorder.clock, stop.clone()));
        }
    }

    /// With whom this instance shares the limits of the account.
    pub(super) fn instances(&self) -> Instances {
        self.cluster.map_or_else(Instances::default, Cluster::instances)
    }

    /// Starts what works on turns, replies and reports, of whatever channel they are.
    fn work(
        &self,
        (upstreams, files): (&Upstreams, Arc<Files>),
        (outboxes, lists, told): ((&Channels, &KeyedAnswers), Lists, Option<Room>),
        handoff: &Arc<Handoff>,
        (tasks, stop): (&TaskTracker, &CancellationToken),
    ) {
        let (lists, (channels, answers)) = (Arc::new(lists), outboxes);
        let (settings, recorder) = (self.settings, self.recorder);
        let (turn_slots, report_slots) = slots(upstreams);
        let reports = Reports {
            upstreams: upstreams.clone(),
            reports: self.store.queue(QueueName::Reports),
            order: told.as_ref().map(|_| Order(self.store.documents())),
            handoff: Arc::clone(handoff),
            paused: self.paused(),
            files: Some(Arc::clone(&files)),
            late: Late {
                reports: Some(self.store.queue(QueueName::Reports)),
                ..self.late(outboxes, None)
            },
            recorder: recorder.clone(),
        };
        let turns = Turns {
            upstreams: upstreams.clone(),
            channels: channels.clone(),
            handoff: Arc::clone(handoff),
            inbox: self.store.queue(QueueName::Inbox),
            admission: Arc::clone(&handoff.admission),
            paused: self.paused(),
            ids: self.reply_ids(),
            answers: answers.clone(),
            strategy: strategy(&settings.turns),
            lists: Arc::clone(&lists),
            busy: BusyTimes::default(),
            histories: Histories::default(),
            schedule: Schedule::new(settings.agent.schedule.0.clone()),
            status: Arc::clone(self.status),
            files: Some(files),
            recorder: recorder.clone(),
        };
        let sends = Sends {
            channels: channels.clone(),
            handoff: Arc::clone(handoff),
            paused: self.paused(),
            lists,
            upstreams: upstreams.clone(),
            schedule: Schedule::new(settings.send.schedule.0.clone()),
            outbox: self.store.queue(QueueName::Outbox),
            reports: self.store.queue(QueueName::Reports),
            told: told.clone(),
            status: Arc::clone(self.status),
            recorder: recorder.clone(),
        };
        if let Some(room) = told {
            tasks.spawn(room.watch(recorder.clock, stop.clone()));
        }
        self.spawn(turns, turn_slots, tasks, stop);
        self.spawn(sends, Limiter::fixed(settings.send.concurrency.get()), tasks, stop);
        self.spawn(reports, report_slots, tasks, stop);
    }

    /// Whoever may sign access tokens may write as the bot; without them there are numbers alone, where the
    /// auth token is what nobody else has.
    pub(super) fn own_secret(&self) -> &SecretString {
        let Twilio { account, conversations } = self.twilio;
        conversations.as_ref().map_or(&account.auth_token, |of| &of.api_secret)
    }

    pub(super) fn reply_ids(&self) -> ReplyIds {
        ReplyIds::of(self.own_secret())
    }

    const fn paused(&self) -> Paused {
        match self.settings.turns.paused {
            WhilePaused::Skip => Paused::Skip,
            WhilePaused::Hold => Paused::Hold,
        }
    }

    pub(super) fn spawn<W: Work>(
        &self,
        work: W,
        slots: Limiter,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let queue = self.store.queue(W::QUEUE);
        let station = Station { queue, slots, recorder: self.recorder.clone() };
        tasks.spawn(worker::run(station, Arc::new(work), stop.clone()));
    }

    fn handoff(&self, talks: Option<&Talks<'_>>) -> Arc<Handoff> {
        let turns_per_minute = self.settings.guard.turns_per_minute.get();
        let admission = Admission::new(self.settings.turns.stale_after, turns_per_minute)
            .answering_keywords(self.settings.turns.answer_keywords);
        let (documents, clock) = (self.store.documents(), self.recorder.clock);
        let direct = Arc::new(DirectMarks { documents, clock });
        let mut markings = Markings::default().with(ThreadKind::Direct, direct);
        if let Some(talks) = talks {
            markings = markings.with(ThreadKind::Conversation, Arc::new(talks.marks()));
        }
        Arc::new(Handoff {
            markings,
            inbox: self.store.queue(QueueName::Inbox),
            outbox: self.store.queue(QueueName::Outbox),
            marks: self.store.marks(),
            documents: self.store.documents(),
            admission: Arc::new(admission),
            clock: self.recorder.clock,
            memory: Memory::default(),
        })
    }

    /// The way in of messages, of whatever channel they are.
    fn ingest(&self, handoff: &Arc<Handoff>, told: Option<Room>) -> Ingest {
        Ingest {
            inbox: self.store.queue(QueueName::Inbox),
            outbox: self.store.queue(QueueName::Outbox),
            webhook_grace: webhook_grace(&self.settings.turns),
            handoff: Arc::clone(handoff),
            told,
            repeated: Arc::new(Repeated::new(self.cluster.is_some())),
            recorder: self.recorder.clone(),
        }
    }

    /// How Twilio reaches this service, where that is known.
    pub(super) fn public_base(&self) -> Option<PublicBase> {
        let public_url = self.settings.webhook.public_url.as_ref();
        public_url.map(|base| PublicBase::new(base.as_typed()))
    }

    fn webhook_options(&self) -> webhook::Options {
        let Twilio { account, conversations } = self.twilio;
        let settings = &self.settings.webhook;
        let next = account.auth_token_next.iter();
        let auth_tokens = std::iter::once(&account.auth_token).chain(next).cloned().collect();
        // A list is kept to, whatever else is allowed.
        let nameable = if settings.hosts.is_empty() && settings.allow_unknown_host {
            Nameable::Any
        } else {
            Nameable::Listed(settings.hosts.clone())
        };
        webhook::Options {
            chat_service_sid: conversations.as_ref().map(|of| of.chat_service_sid),
            text_paths: self.settings.messaging.paths.0.clone(),
            public_base: self.public_base(),
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

    fn router(
        &self,
        intakes: Intakes,
        agents: &[(MadeAgent, Arc<dyn later::Outbox>)],
        handoff: &Arc<Handoff>,
    ) -> Result<Router, Error> {
        let Recorder { metrics, clock, .. } = self.recorder;
        let router = webhook::router(self.webhook_options(), intakes, metrics.clone(), *clock);
        let handover: Arc<dyn Handover> = Arc::new(OperatorHands(Arc::clone(handoff)));
        Ok(router.merge(self.doors(agents, &handover)?))
    }

    fn operate(
        &self,
        channels: &Channels,
        handoff: &Arc<Handoff>,
        outbox: &Arc<dyn later::Outbox>,
    ) -> (Router, Workbench) {
        let settings = &self.settings.admin;
        // A listener that is off serves nothing, whoever may call.
        let access = match settings.listen {
            Listen::Off => Access::Closed,
            Listen::On(address) => Access::new(address, settings.debug_token.clone()),
        };
        let Recorder { journal, clock, .. } = self.recorder;
        let notes = Notes { journal: journal.clone(), clock: *clock };
        let dead_letters = DeadLetters::new(self.store.clone(), *clock).noting(notes.clone());
        let handover = Arc::new(OperatorHands(Arc::clone(handoff)));
        let threads = threads::ThreadSearch {
            directory: Arc::new(ChannelDirectory(channels.clone())),
            handover: Arc::<OperatorHands>::clone(&handover),
            store: self.store.clone(),
            timeline: self.timeline.cloned(),
            clock: *clock,
        };
        let outbox_queue = self.store.queue(QueueName::Outbox);
        let ids = self.reply_ids();
        let asked = AskedReplies { channels: channels.clone(), outbox: outbox_queue, ids };
        let workbench = Workbench {
            dead_letters: dead_letters.clone(),
            threads: threads.clone(),
            texts: KeptTexts::new(self.store.clone(), notes.clone()),
            outbox: Arc::clone(outbox),
            notes: notes.clone(),
        };
        let others = later::trusted_router(Arc::clone(outbox))
            .merge(unasked::trusted_router(Arc::clone(outbox)))
            .merge(handoff::router(handover, notes))
            .merge(replies::router(Arc::new(asked)))
            .merge(timeline::router(self.timeline.cloned()))
            .merge(forget::router(Forget {
                store: self.store.clone(),
                channels: channels.clone(),
                timeline: self.timeline.cloned(),
                clock: self.recorder.clock,
            }))
            .merge(threads::router(threads));
        (operate::router(dead_letters, others, access), workbench)
    }
}

/// How many turns and reports are at work at once: as many as the agents have room for, and so many more that
/// are on their way to them. One agent alone gives its own places to the workers.
fn slots(upstreams: &Upstreams) -> (Limiter, Limiter) {
    if let Some(only) = upstreams.only() {
        return (only.room.clone(), only.reports_room.clone());
    }
    let rooms = upstreams.all().iter().map(|upstream| upstream.room.allowed());
    let all = rooms.fold(ON_THEIR_WAY, usize::saturating_add).min(SLOTS_MAX);
    (Limiter::fixed(all), Limiter::fixed(all))
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
