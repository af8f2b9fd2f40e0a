//! Listens to one identity's realtime client and brings in what it says.
//!
//! Events that are there together are stored together, in their order. The watermark of a
//! conversation is raised only after its messages are on disk, so a crash in between costs a second
//! look and no message. If the store fails, nothing more is taken from the client, which then slows
//! the socket down.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;

use crate::channels::Seen;
use crate::channels::conversations::arrivals::Arrivals;
use crate::channels::conversations::attributes::attributes;
use crate::channels::conversations::contiguous::ContiguousWatermarks;
use crate::channels::conversations::facts::ConversationFacts;
use crate::channels::conversations::policy::removal::Word;
use crate::channels::conversations::removals::Removals;
use crate::channels::conversations::seats::Seats;
use crate::channels::{Inlet, MarkSource};
use crate::clock::Timestamp;
use crate::fault_points::{self, Point};
use crate::queue::Marks;
use crate::realtime::{self, Client, Event};
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::{Door, Stage};
use crate::telemetry::trace::TraceContext;
use crate::thread::{Speaker, Thread, TurnMessage};
use crate::twilio::SKEW_MAX;
use crate::twilio::sid::ConversationSid;

/// How many events are taken together at most.
const EVENTS_MAX: usize = 256;
/// How many seats are noted at once.
const NOTES_MAX: usize = 32;
/// How long to wait before the store is asked again.
const REST_AFTER_ERROR: Duration = Duration::from_secs(1);

/// One identity's listener.
pub struct Listener {
    /// The identity that listens.
    pub identity: String,
    /// Its client, to be told what is handled.
    pub client: Client,
    /// Where messages go.
    pub arrivals: Arrivals,
    /// How far each conversation is known.
    pub watermarks: Arc<ContiguousWatermarks>,
    /// Knows how conversations are.
    pub facts: Arc<ConversationFacts>,
    /// What the pipeline is to hear.
    pub inlet: Arc<dyn Inlet>,
    /// From which conversations somebody has removed it.
    pub removals: Arc<Removals>,
    /// Who sits where.
    pub seats: Arc<Seats>,
    /// How far each conversation has been read.
    pub marks: Marks,
}

impl Listener {
    /// Listens until the client ends or `stop` is cancelled.
    pub async fn run(self, events: impl Stream<Item = Event> + Unpin, stop: CancellationToken) {
        self.seats.deafen(&self.identity);
        let mut chunks = events.ready_chunks(EVENTS_MAX);
        loop {
            let chunk = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                chunk = chunks.next() => chunk,
            };
            let Some(chunk) = chunk else { return };
            let mut heard = HeardTogether::default();
            for event in chunk {
                self.hear(event, &mut heard);
            }
            let HeardTogether { seen, whole, watermarks, told, seats } = heard;
            if !self.store(seen, &whole, &stop).await {
                return;
            }
            self.note_seats(seats).await;
            for (conversation, index) in watermarks {
                fault_points::hit(Point::EventsStored);
                self.handled(conversation, index).await;
            }
            for (conversation, changed) in told {
                self.watermarks.tell(conversation, changed);
            }
        }
    }

    fn hear(&self, event: Event, heard: &mut HeardTogether) {
        let recorder = &self.arrivals.recorder;
        let _within = way(&event).map(|way| way.span("socket").entered());
        match event {
            Event::MessageAdded(message) => {
                let (conversation, changed) = (message.conversation, Some(message.created));
                // A date that somebody chose is none of what the socket told.
                let changed = changed.filter(|at| *at <= recorder.clock.wall() + SKEW_MAX);
                heard.reach(conversation, Some(message.index), changed);
                heard.seen.push(of_socket(&self.identity, message));
            }
            Event::CaughtUp { conversation, through, updated } => {
                heard.reach(conversation, through, updated);
                heard.whole.push(conversation);
            }
            Event::Joined { conversation, details } => {
                self.seats.hear(conversation, &self.identity, recorder.clock.wall());
                heard.seats.insert(conversation, SeatChange::Taken);
                if let Some(details) = details {
                    self.hear_details(conversation, &details);
                }
                recorder.stage(conversation, None, Stage::SocketJoined);
                tracing::info!(conversation_sid = %conversation, "socket joined the conversation");
            }
            Event::ConversationUpdated { conversation, details } => {
                self.hear_details(conversation, &details);
            }
            Event::Left { conversation } => {
                let since = self.seats.heard_since(conversation);
                self.seats.leave(conversation, &self.identity);
                // Another one of ours may sit there.
                if !self.seats.is_held(conversation) {
                    heard.seats.insert(conversation, SeatChange::Lost { since });
                }
                tracing::info!(conversation_sid = %conversation, "bot has left the conversation");
            }
            Event::Live { .. } => self.set_live(true),
            Event::Connected { .. } => {
                self.set_live(false);
                tracing::info!(identity = %self.identity, "socket is connected");
            }
            Event::Fatal { reason } => {
                tracing::error!(identity = %self.identity, reason = ?reason,
                    "twilio refuses the socket; check the API key, its secret and the identity. It is \
                     opened again after half a minute growing to five; webhooks and the sweep go on");
            }
            Event::Disconnected { .. } => {
                self.set_live(false);
                recorder.metrics.socket_lost();
                tracing::warn!(identity = %self.identity, "socket is lost; the client reconnects");
            }
            // Nothing is done about these yet: changed and removed messages, rosters, typing.
            _ => {}
        }
    }

    fn set_live(&self, is_live: bool) {
        let lines = self.seats.members().iter().filter(|line| line.identity == self.identity);
        lines.for_each(|line| line.set_live(is_live));
    }

    fn hear_details(&self, conversation: ConversationSid, details: &realtime::Details) {
        let attributes = details.attributes.as_ref().map(|attributes| attributes.reveal());
        let source = MarkSource::Socket(details.updated);
        self.facts.changed(conversation);
        self.inlet.marked(conversation.into(), attributes, source);
    }

    /// Stores messages, however long it takes; false if told to stop before.
    async fn store(
        &self,
        seen: Vec<Seen>,
        whole: &[ConversationSid],
        stop: &CancellationToken,
    ) -> bool {
        let (mut failing, clock) = (false, self.arrivals.clock());
        while let Err(error) = self.arrivals.caught_up(seen.clone(), whole).await {
            if !failing {
                tracing::error!(
                    error = %Chain(&error),
                    count = seen.len(),
                    "messages of the socket cannot be stored; trying until they can"
                );
                failing = true;
            }
            tokio::select! {
                () = stop.cancelled() => return false,
                () = clock.sleep(REST_AFTER_ERROR) => {}
            }
        }
        if failing {
            tracing::info!(count = seen.len(), "messages of the socket are stored again");
        }
        true
    }

    /// Notes from where the bot was removed, and where it is again.
    async fn note_seats(&self, seats: BTreeMap<ConversationSid, SeatChange>) {
        let noted = seats.into_iter().map(|(conversation, change)| async move {
            let noted = match change {
                SeatChange::Taken => self.removals.seated(conversation).await,
                SeatChange::Lost { since } => {
                    self.arrivals.seat_lost(conversation, Word::Socket(since)).await
                }
            };
            if let Err(error) = noted {
                tracing::warn!(conversation_sid = %conversation, error = %Chain(&error),
                    "whether the bot was removed from the conversation could not be noted");
            }
        });
        futures::stream::iter(noted).buffer_unordered(NOTES_MAX).collect::<()>().await;
    }

    async fn handled(&self, conversation: ConversationSid, index: u64) {
        self.watermarks.raise(conversation, index);
        if let Err(error) = self.marks.raise(&conversation.to_string(), index).await {
            tracing::warn!(conversation_sid = %conversation, error = %Chain(&error),
                "watermark could not be raised; messages may be looked at again");
        }
        self.client.mark_handled(conversation, index).await;
    }
}

/// What was heard together.
#[derive(Default)]
struct HeardTogether {
    /// Messages to store.
    seen: Vec<Seen>,
    /// Which conversations are known to their end with them.
    whole: Vec<ConversationSid>,
    /// Up to which message each conversation is known once they are.
    watermarks: BTreeMap<ConversationSid, u64>,
    /// Up to which change.
    told: BTreeMap<ConversationSid, Timestamp>,
    /// What became of seats.
    seats: BTreeMap<ConversationSid, SeatChange>,
}

/// What became of a seat.
enum SeatChange {
    /// The bot has it.
    Taken,
    /// It has it no longer.
    Lost {
        /// Since when the socket had it, if that was told.
        since: Option<Timestamp>,
    },
}

impl HeardTogether {
    fn reach(
        &mut self,
        conversation: ConversationSid,
        index: Option<u64>,
        changed: Option<Timestamp>,
    ) {
        if let Some(index) = index {
            let last = self.watermarks.entry(conversation).or_insert(index);
            *last = (*last).max(index);
        }
        if let Some(changed) = changed {
            let last = self.told.entry(conversation).or_insert(changed);
            *last = (*last).max(changed);
        }
    }
}

/// Whose way an event is on; messages have theirs where they are stored.
fn way(event: &Event) -> Option<TraceContext> {
    match event {
        Event::Joined { conversation, .. } | Event::Left { conversation } => {
            Some(TraceContext::of_thread(*conversation))
        }
        _ => None,
    }
}

fn of_socket(identity: &str, message: realtime::Message) -> Seen {
    let door = match message.door {
        realtime::MessageSource::Live => Door::Socket,
        realtime::MessageSource::Replay => Door::Replay,
        realtime::MessageSource::CatchUp => Door::CatchUp,
    };
    let thread = Thread::Conversation(message.conversation);
    let message = TurnMessage {
        sid: message.sid.into(),
        index: Some(message.index),
        author: message.author,
        body: message.body,
        attributes: attributes(message.attributes.as_ref()),
        media: message.media.into_iter().map(Into::into).collect(),
        participant: message.participant,
        created: Some(message.created),
        extras: None,
    };
    let speaker = Some(Speaker::Identity(identity.to_owned()));
    Seen { thread, speaker, message, door }
}
