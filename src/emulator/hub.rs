//! Where the emulator's doors meet: REST, socket, phones and control all act on one [`World`] here.
//!
//! Thin: takes the lock, makes one pure mutation, and hands its effects on in their order, all before
//! the lock is given back, so that no subscriber sees events out of order. Nothing waits while the
//! lock is held. The time enters here, read from the emulator's clock.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::defects::{self, Defect};
use super::faults::{Action, Faults, Occasion, SWAPPED_FOR_MAX};
use super::options::{Credentials, Options, Urls};
use super::pairs::Pairs;
use super::record::{Happening, Record, Records};
use super::sockets::Sockets;
use super::state::command::{Actor, Amendment, Command, Outcome};
use super::state::event::Occurrence;
use super::state::model::{DeliveryStatus, Media};
use super::state::refusal::Refusal;
use super::state::{Effect, Target, World};
use super::visitors::Visitors;
use super::webhooks::caller::{Caller, Verdict};
use super::webhooks::{self, OutgoingWebhook, Product, request};
use crate::clock::{Clock, Moment, Timestamp};
use crate::twilio::sid::{ConversationSid, MessageSid, ParticipantSid};

/// Records that a slow watcher may lag behind before it misses some.
const WATCH_LAG_MAX: usize = 16_384;
/// Webhooks that can be sent again, the newest; the phones' page shows as many.
const SENT_KEPT: usize = 200;
/// Messages on their way to phones.
const DELIVERIES_MAX: usize = 50_000;

/// A message on its way to a phone.
pub(super) type PhoneDelivery = (ConversationSid, MessageSid, ParticipantSid);

/// How that ends, and why.
pub(super) type PhoneDeliveryEnd = (DeliveryStatus, Option<u32>);

/// What the lock guards.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) world: World,
    pub(super) records: Records,
    pub(super) faults: Faults,
    pub(super) sockets: Sockets,
    /// A webhook held back until the next one has gone, a fault, and when it goes at the latest.
    swapped: Option<(Timestamp, OutgoingWebhook)>,
    /// The newest post-action webhooks, which can be sent again.
    sent: VecDeque<OutgoingWebhook>,
    /// Contents of media files.
    pub(super) files: HashMap<crate::twilio::sid::MediaSid, bytes::Bytes>,
}

impl Core {
    /// Forgets the webhooks that wait or can be sent again.
    pub(super) fn forget_webhooks(&mut self) {
        self.swapped = None;
        self.sent.clear();
    }

    /// Keeps a file; the oldest goes where there are too many.
    pub(super) fn keep_file(&mut self, media: Media, bytes: bytes::Bytes) {
        self.files.insert(media.sid, bytes);
        if let Some(forgotten) = self.world.add_media(media) {
            self.files.remove(&forgotten);
        }
    }
}

/// The meeting place.
#[derive(Debug)]
pub(super) struct Hub {
    core: Mutex<Core>,
    clock: Clock,
    pub(super) options: Options,
    pub(super) visitors: Visitors,
    pub(super) credentials: Credentials,
    pub(super) urls: Urls,
    caller: Caller,
    outgoing: mpsc::Sender<OutgoingWebhook>,
    /// Post-action webhooks that are neither answered nor lost.
    open_hooks: AtomicUsize,
    deliveries: mpsc::Sender<(Moment, PhoneDelivery, PhoneDeliveryEnd)>,
    watchers: broadcast::Sender<Record>,
    /// When the world has something to do by itself.
    deadline: watch::Sender<Option<Timestamp>>,
    pub(super) pairs: Pairs,
    trailing_crlf: AtomicBool,
    /// How far its time is ahead, in milliseconds.
    ahead_ms: AtomicU64,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

/// What a hub is made of.
pub(super) struct HubParts {
    pub(super) world: World,
    pub(super) options: Options,
    pub(super) credentials: Credentials,
    pub(super) urls: Urls,
    pub(super) caller: Caller,
    pub(super) clock: Clock,
    pub(super) seed: u64,
}

/// What a hub leaves to the tasks that work for it.
pub(super) struct HubWork {
    /// Post-action webhooks to send.
    pub(super) outgoing: mpsc::Receiver<OutgoingWebhook>,
    /// Messages to take to phones, each when it is due.
    pub(super) deliveries: mpsc::Receiver<(Moment, PhoneDelivery, PhoneDeliveryEnd)>,
    /// When the world has something to do by itself.
    pub(super) deadline: watch::Receiver<Option<Timestamp>>,
}

impl Hub {
    /// Builds the hub, and what is to be done for it.
    pub(super) fn new(parts: HubParts) -> (Arc<Self>, HubWork) {
        let HubParts { mut world, options, credentials, urls, caller, clock, seed } = parts;
        world.set_messaging(options.delivery_delay, urls.api.as_str());
        let (outgoing, to_send) = mpsc::channel(webhooks::WAITING_MAX);
        let (deliveries, to_deliver) = mpsc::channel(DELIVERIES_MAX);
        let (deadline, due) = watch::channel(world.deadline());
        let core = Core {
            world,
            records: Records::new(options.records),
            faults: Faults::new(seed),
            sockets: Sockets::default(),
            swapped: None,
            sent: VecDeque::new(),
            files: HashMap::new(),
        };
        let trailing_crlf = AtomicBool::new(options.trailing_crlf);
        let visitors = Visitors::new(options.listen, options.public_url.as_ref(), &options.hosts);
        let hub = Arc::new(Self {
            trailing_crlf,
            ahead_ms: AtomicU64::new(0),
            core: Mutex::new(core),
            clock,
            options,
            visitors,
            credentials,
            urls,
            caller,
            outgoing,
            open_hooks: AtomicUsize::new(0),
            deliveries,
            watchers: broadcast::channel(WATCH_LAG_MAX).0,
            deadline,
            pairs: Pairs::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        (hub, HubWork { outgoing: to_send, deliveries: to_deliver, deadline: due })
    }

    /// The clock.
    pub(super) const fn clock(&self) -> Clock {
        self.clock
    }

    /// The emulated Twilio's time: the clock's, and as far ahead as it was made to jump.
    pub(super) fn wall(&self) -> Timestamp {
        self.clock.wall() + Duration::from_millis(self.ahead_ms.load(Ordering::Acquire))
    }

    /// Lets time jump, and everything happen that is due by then.
    pub(super) fn jump(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        // Beyond all time there is nothing: it stays at its end.
        let ahead = |now: u64| Some(now.saturating_add(ms));
        let _ = self.ahead_ms.fetch_update(Ordering::AcqRel, Ordering::Acquire, ahead);
        self.tick();
    }

    /// Lets everything happen that is due.
    pub(super) fn tick(&self) {
        self.with(|core, at| {
            core.world.tick(at);
            core.sockets.release(at);
            if let Some((_, late)) = core.swapped.take_if(|(due, _)| *due <= at) {
                self.send(core, at, late);
            }
        });
    }

    /// Whether a CRLF follows a frame's payload.
    pub(super) fn has_trailing_crlf(&self) -> bool {
        self.trailing_crlf.load(Ordering::Relaxed)
    }

    /// Whether a mistake is made on purpose.
    pub(super) fn has(&self, defect: Defect) -> bool {
        self.options.defect == Some(defect)
    }

    /// Sets whether a CRLF follows a frame's payload.
    pub(super) fn set_trailing_crlf(&self, on: bool) {
        self.trailing_crlf.store(on, Ordering::Relaxed);
    }

    /// Waits, but not beyond the emulator's stop.
    pub(super) async fn sleep(&self, duration: Duration) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.clock.sleep_until(self.clock.now() + duration) => {}
        }
    }

    /// What happens from now on.
    pub(super) fn watch(&self) -> broadcast::Receiver<Record> {
        self.watchers.subscribe()
    }

    /// Reads or changes the world, and hands the effects on.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Core, Timestamp) -> T) -> T {
        let mut core = self.lock();
        let at = self.wall();
        let result = act(&mut core, at);
        self.settle(&mut core, at);
        result
    }

    /// Keeps a record and tells the watchers.
    pub(super) fn record(&self, what: Happening) {
        let mut core = self.lock();
        self.note(&mut core, self.wall(), what);
    }

    /// Gives the fault that is due on this occasion.
    pub(super) fn fault(&self, occasion: Occasion<'_>) -> Option<Action> {
        let mut core = self.lock();
        self.fault_in(&mut core, occasion)
    }

    /// Makes a write: asks the pre-action webhook, applies what came of it, tells everybody.
    ///
    /// # Errors
    ///
    /// The reason if it was refused.
    pub(super) async fn perform(
        &self,
        actor: &Actor,
        mut command: Command,
    ) -> Result<Outcome, Refusal> {
        let asked = self.with(|core, at| {
            let asked = core.world.ask(at, actor, &command)?;
            Ok::<_, Refusal>(asked.and_then(|asked| self.pre_action(core, asked)))
        })?;
        if let Some(question) = asked {
            command.amend(self.ask(&question).await?);
        }
        self.with(|core, at| core.world.apply(at, actor, command))
    }

    /// The pre-action webhook of an event, if one is set.
    pub(super) fn pre_action(&self, core: &mut Core, asked: Occurrence) -> Option<OutgoingWebhook> {
        let target = core.world.targets(&asked).into_iter().next()?;
        let outgoing = self.outgoing(core, &asked, target);
        match self.fault_in(core, Occasion::Webhook(outgoing.event)) {
            Some(Action::MisSign) => Some(OutgoingWebhook { mis_sign: true, ..outgoing }),
            Some(Action::Delay { ms }) => {
                Some(OutgoingWebhook { delay: Some(Duration::from_millis(ms)), ..outgoing })
            }
            // A lost question is one without an answer in time: the change goes through.
            Some(Action::Lose) => None,
            Some(_) | None => Some(outgoing),
        }
    }

    /// Calls a pre-action webhook and reads its verdict.
    ///
    /// # Errors
    ///
    /// If the webhook refuses the change.
    pub(super) async fn ask(&self, question: &OutgoingWebhook) -> Result<Amendment, Refusal> {
        if let Some(delay) = question.delay {
            self.sleep(delay).await;
        }
        let answer = webhooks::call(&self.caller, question, |what| self.record(what)).await;
        match answer.verdict() {
            Verdict::Go(amendment) => Ok(amendment),
            Verdict::Refused | Verdict::Failed if self.has(Defect::DeafToRefusals) => {
                Ok(Amendment::default())
            }
            Verdict::Refused => Err(Refusal::HookRefused),
            Verdict::Failed => Err(Refusal::HookFailed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        // A panic under the lock is a bug of the emulator; its state is still the best there is.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, core: &mut Core, at: Timestamp) {
        while let Some(effect) = core.world.poll() {
            match effect {
                Effect::Sync(mut emitted) => {
                    defects::spoil_event(self.options.defect, emitted.kind, &mut emitted.event);
                    let occasion = Occasion::SocketEvent(emitted.event_type.as_str());
                    let wanted = core.sockets.is_wanted(&emitted);
                    let fault = if wanted { self.fault_in(core, occasion) } else { None };
                    let Core { world, sockets, .. } = core;
                    sockets.publish(at, &emitted, fault, world.ids_mut());
                }
                Effect::Hook(occurrence) => {
                    for target in core.world.targets(&occurrence) {
                        self.post_action(core, at, &occurrence, target);
                    }
                }
                Effect::HookLate(occurrence, target) => {
                    self.post_action(core, at, &occurrence, target);
                }
                Effect::Ring(ring) => self.ring(core, at, ring),
                Effect::Deliver { .. } if self.has(Defect::NoReceipts) => {}
                Effect::Deliver { conversation, message, participant } => {
                    self.take_to_phone(core, at, (conversation, message, participant));
                }
                Effect::Typing { conversation, participant, identity, mut listeners } => {
                    if self.has(Defect::TypingEcho) {
                        listeners.push(identity.clone());
                    }
                    let Core { world, sockets, .. } = core;
                    let typing = (conversation, participant, identity.as_str());
                    sockets.publish_typing(typing, &listeners, world.ids_mut());
                }
                Effect::Happened(what) => self.note(core, at, what),
            }
        }
        self.deadline.send_if_modified(|known| {
            let swapped = core.swapped.as_ref().map(|(due, _)| *due);
            let due = [core.world.deadline(), core.sockets.deadline(), swapped];
            let due = due.into_iter().flatten().min();
            std::mem::replace(known, due) != due
        });
    }

    /// Puts a message in line that is on its way to a phone.
    pub(super) fn arrives(&self, delivery: PhoneDelivery, end: PhoneDeliveryEnd) {
        let due = self.clock.now() + self.options.delivery_delay;
        if self.deliveries.try_send((due, delivery, end)).is_err() {
            tracing::warn!(message_sid = %delivery.1, "a delivery to a phone was lost");
        }
    }

    fn post_action(&self, core: &mut Core, at: Timestamp, occurrence: &Occurrence, target: Target) {
        let outgoing = self.outgoing(core, occurrence, target);
        self.post(core, at, outgoing);
    }

    /// Puts a webhook in line, if no fault is in its way.
    pub(super) fn post(&self, core: &mut Core, at: Timestamp, outgoing: OutgoingWebhook) {
        let fault = self.fault_in(core, Occasion::Webhook(outgoing.event));
        let held = core.swapped.take();
        match fault {
            Some(Action::Lose) => {
                let lost = Happening::WebhookLost {
                    event_type: outgoing.event,
                    reason: "a fault lost it",
                };
                self.note(core, at, lost);
            }
            Some(Action::Swap) => core.swapped = Some((at + SWAPPED_FOR_MAX, outgoing)),
            Some(Action::Duplicate) => {
                self.send(core, at, outgoing.clone());
                self.send(core, at, outgoing);
            }
            Some(Action::MisSign) => {
                self.send(core, at, OutgoingWebhook { mis_sign: true, ..outgoing });
            }
            Some(Action::Delay { ms }) => {
                let delay = Some(Duration::from_millis(ms));
                self.send(core, at, OutgoingWebhook { delay, ..outgoing });
            }
            Some(_) | None => self.send(core, at, outgoing),
        }
        if let Some((_, late)) = held {
            self.send(core, at, late);
        }
    }

    /// Sends a post-action webhook once more, as it was and without a fault; says whether it is known still.
    pub(super) fn send_again(&self, delivery_id: &str) -> bool {
        self.with(|core, at| {
            let sent = core.sent.iter().rfind(|sent| sent.delivery_id == delivery_id).cloned();
            let Some(sent) = sent else { return false };
            let mis_sign = self.has(Defect::WrongSignature);
            self.send(core, at, OutgoingWebhook { delay: None, mis_sign, ..sent });
            true
        })
    }

    fn send(&self, core: &mut Core, at: Timestamp, outgoing: OutgoingWebhook) {
        if core.sent.len() >= SENT_KEPT {
            core.sent.pop_front();
        }
        core.sent.push_back(outgoing.clone());
        let event_type = outgoing.event;
        self.open_hooks.fetch_add(1, Ordering::AcqRel);
        if self.outgoing.try_send(outgoing).is_err() {
            self.hook_ended();
            let lost = Happening::WebhookLost { event_type, reason: "too many webhooks wait" };
            self.note(core, at, lost);
        }
    }

    /// Counts a post-action webhook as answered or lost.
    pub(super) fn hook_ended(&self) {
        self.open_hooks.fetch_sub(1, Ordering::AcqRel);
    }

    /// How many post-action webhooks are on their way, those that a fault holds back included.
    pub(super) fn open_hooks(&self) -> usize {
        let held = usize::from(self.lock().swapped.is_some());
        self.open_hooks.load(Ordering::Acquire) + held
    }

    fn outgoing(
        &self,
        core: &mut Core,
        occurrence: &Occurrence,
        target: Target,
    ) -> OutgoingWebhook {
        OutgoingWebhook {
            target,
            event: occurrence.kind.as_str(),
            product: Product::Conversations,
            conversation: occurrence.conversation,
            fields: request::fields(core.world.account(), occurrence),
            delivery_id: core.world.ids_mut().uuid().to_string(),
            delay: None,
            mis_sign: self.has(Defect::WrongSignature),
            about: None,
            fallback: None,
        }
    }

    pub(super) fn fault_in(&self, core: &mut Core, occasion: Occasion<'_>) -> Option<Action> {
        let (fault_id, action) = core.faults.take(occasion)?;
        let applied = Happening::FaultApplied { fault_id, action: action.name() };
        self.note(core, self.wall(), applied);
        Some(action)
    }

    fn note(&self, core: &mut Core, at: Timestamp, what: Happening) {
        let record = core.records.add(at, what);
        // Nobody need be watching.
        let _ = self.watchers.send(record);
    }
}
