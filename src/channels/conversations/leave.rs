//! Leaves conversations that need no bot any more, so that their seats are free for others.
//!
//! The sweep hands over the seats that it saw. What is left is decided in
//! [`policy::leaving`](crate::channels::conversations::policy::leaving); here Twilio is asked for what the listing does not
//! tell, and a conversation with an open job is never left. With several instances each leaves what
//! it can say that of: the conversations whose partitions it holds.
//!
//! Assumed: Twilio lets a participant go from a closed conversation too. A refusal is survived.
//!
//! That the bot leaves is on record before it does: a message that comes in between sends it back.

use std::sync::Arc;
use std::time::Duration;

use crate::channels::conversations::arrivals::Arrivals;
use crate::channels::conversations::departures::Departures;
use crate::channels::conversations::policy::leaving::{Absence, Facts, Newest, Seat};
use crate::channels::conversations::removals::Removals;
use crate::channels::conversations::seats::Seats;
use crate::channels::conversations::sweep_pace::SweepPace;
use crate::channels::{Error, Inlet};
use crate::clock::Timestamp;
use crate::jobs::lane;
use crate::queue::Queue;
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::{LeaveReason, Stage};
use crate::telemetry::metrics::labels::JoinOutcome;
use crate::twilio::events::ConversationState;
use crate::twilio::rest::{self, ParticipantConversation};
use crate::twilio::sid::{ConversationSid, ParticipantSid};

/// How many conversations one sweep leaves at most; the next one goes on.
const LEAVES_MAX: usize = 100;
/// For how many conversations one sweep asks for the newest message at most before it leaves them.
const LOOKS_MAX: usize = 1000;
/// The pause after each request: a sweep that leaves all that it may takes some ten seconds.
const PAUSE: Duration = Duration::from_millis(100);

/// What leaving needs.
#[derive(Clone)]
pub struct Leaver {
    /// Twilio's REST API.
    pub rest: rest::Client,
    /// The identities and their seats.
    pub seats: Arc<Seats>,
    /// Knows what was left, and sends the bot back.
    pub arrivals: Arrivals,
    /// Which conversations the bot has left.
    pub departures: Arc<Departures>,
    /// From which conversations somebody has removed it.
    pub removals: Arc<Removals>,
    /// What the pipeline is to hear.
    pub inlet: Arc<dyn Inlet>,
    /// How fast requests may follow each other.
    pub pace: Arc<SweepPace>,
    /// The queues whose jobs keep the bot in a conversation, in the order in which one leads to the next.
    pub queues: Vec<Queue>,
}

/// A seat that the sweep saw.
pub(crate) struct SeenSeat {
    conversation: ConversationSid,
    participant: ParticipantSid,
    identity: String,
    state: Option<ConversationState>,
    updated: Option<Timestamp>,
}

impl SeenSeat {
    /// Takes what the listing of an identity tells; none if it does not say what to leave by.
    pub(crate) fn new(identity: &str, of: &ParticipantConversation) -> Option<Self> {
        Some(Self {
            conversation: of.conversation_sid,
            participant: of.participant_sid?,
            identity: identity.to_owned(),
            state: of.conversation_state,
            updated: of.conversation_updated,
        })
    }
}

impl Leaver {
    /// Whether the listing alone says that a seat is kept.
    pub(crate) fn keeps(&self, seat: &SeenSeat) -> bool {
        self.judge(seat, Newest::Unknown) == Seat::Keep
    }

    /// Leaves what is to be left of these, as much as one sweep may. Says how many it left.
    ///
    /// # Errors
    ///
    /// If Twilio or the store failed; what was left before stays left.
    pub(crate) async fn leave(&self, seats: Vec<SeenSeat>) -> Result<usize, Error> {
        let (mut left, mut looks) = (0, 0);
        for seat in seats {
            if left >= LEAVES_MAX || looks >= LOOKS_MAX {
                break;
            }
            if self.is_busy(seat.conversation) {
                continue;
            }
            let mut verdict = self.judge(&seat, Newest::Unknown);
            if verdict == Seat::Look {
                looks += 1;
                verdict = self.judge(&seat, self.newest(seat.conversation).await?);
            }
            match verdict {
                Seat::Leave(reason) => left += usize::from(self.go(&seat, reason).await?),
                Seat::Keep | Seat::Look => {}
            }
        }
        Ok(left)
    }

    /// What becomes of an open conversation without the bot, if it is one that the bot left.
    ///
    /// # Errors
    ///
    /// If Twilio or the store failed.
    pub(crate) async fn absence(
        &self,
        conversation: ConversationSid,
        updated: Option<Timestamp>,
    ) -> Result<Option<Absence>, Error> {
        let Some(left) = self.departures.since(conversation).await? else {
            return Ok(None);
        };
        let departures = &self.departures;
        let judge = |newest| {
            let facts = Facts { state: None, updated, newest };
            departures.judge_absence(left, &facts, self.arrivals.clock().wall())
        };
        let mut verdict = judge(Newest::Unknown);
        if verdict == Absence::Look {
            verdict = judge(self.newest(conversation).await?);
        }
        Ok(Some(verdict))
    }

    fn judge(&self, seat: &SeenSeat, newest: Newest) -> Seat {
        let facts = Facts { state: seat.state, updated: seat.updated, newest };
        self.departures.judge(&facts, self.arrivals.clock().wall())
    }

    async fn newest(&self, conversation: ConversationSid) -> Result<Newest, Error> {
        self.pace.wait(1).await;
        let newest = self.rest.newest_message(conversation).await?;
        self.arrivals.clock().sleep(PAUSE).await;
        Ok(newest.and_then(|message| message.created).map_or(Newest::Undated, Newest::At))
    }

    fn is_busy(&self, conversation: ConversationSid) -> bool {
        let key = lane(conversation);
        self.queues.iter().any(|queue| queue.may_be_open(&key))
    }

    /// Leaves one conversation, unless something has come up there. Says whether it did.
    async fn go(&self, seat: &SeenSeat, reason: LeaveReason) -> Result<bool, Error> {
        let &SeenSeat { conversation, participant, .. } = seat;
        let recorder = &self.arrivals.recorder;
        self.departures.note(conversation, recorder.clock.wall()).await?;
        // Whatever was heard of a removal before: the bot sits there.
        self.removals.let_in(conversation).await?;
        if self.is_busy(conversation) {
            return Ok(false);
        }
        self.pace.wait(1).await;
        let removed = self.rest.remove_participant(conversation, participant).await;
        self.arrivals.clock().sleep(PAUSE).await;
        if let Err(error) = removed {
            let is_refused = error.status().is_some_and(|status| matches!(status, 400..=428));
            if !is_refused {
                return Err(error.into());
            }
            tracing::warn!(conversation_sid = %conversation, error = %Chain(&error),
                "twilio does not let the bot leave the conversation");
            return Ok(false);
        }
        self.seats.leave(conversation, &seat.identity);
        self.inlet.forget(conversation.into());
        recorder.metrics.join(JoinOutcome::Left);
        recorder.stage(conversation, None, Stage::Left { reason });
        tracing::debug!(conversation_sid = %conversation, reason = reason.as_str(),
            "bot leaves the conversation to free its seat");
        if self.is_busy(conversation) {
            // A message came in while Twilio was asked; its turn finds the bot there again.
            self.arrivals.conversation_back(conversation, None).await?;
        }
        Ok(true)
    }
}
