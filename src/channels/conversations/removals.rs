//! The conversations from which somebody has removed the bot.
//!
//! A mark of the store, so that restarts and other instances know it too; it is on disk about a second
//! after it was made. What it means is decided in [`policy::removal`](crate::channels::conversations::policy::removal). Where
//! the socket has the conversation nothing is read; where the mark says that the bot is removed,
//! Twilio is asked, once a minute, so that a word that came late or wrongly mutes nobody.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::channels::Error;
use crate::channels::conversations::departures::Departures;
use crate::channels::conversations::memory::{ConversationMemory, HeardRemoval};
use crate::channels::conversations::policy::removal::{self, Rejoin, Word};
use crate::channels::conversations::seats::Seats;
use crate::jobs::recorder::Recorder;
use crate::queue::{self, Marks};
use crate::telemetry::journal::{LeaveReason, Stage};
use crate::telemetry::metrics::labels::JoinOutcome;
use crate::twilio::rest;
use crate::twilio::sid::ConversationSid;

/// How long Twilio's word that the bot is not there is believed: a conversation in which people chat
/// costs a look a minute.
const ASKED_FOR: Duration = Duration::from_secs(60);

/// The marks, and who can say whether they hold.
pub struct Removals {
    /// What the operator wishes.
    pub rejoin: Rejoin,
    /// Twilio's REST API.
    pub rest: rest::Client,
    /// The identities and their seats.
    pub seats: Arc<Seats>,
    /// When the bot left by itself.
    pub departures: Arc<Departures>,
    /// Where removals are noted.
    pub recorder: Recorder,
    marks: Marks,
    memory: Arc<ConversationMemory>,
    /// Two words of one removal, by socket and by webhook, are noted one after the other.
    noting: Mutex<()>,
}

impl Removals {
    /// Starts with what the marks tell.
    #[must_use]
    pub fn new(
        rejoin: Rejoin,
        (marks, memory): (Marks, Arc<ConversationMemory>),
        rest: rest::Client,
        (seats, departures, recorder): (Arc<Seats>, Arc<Departures>, Recorder),
    ) -> Self {
        let noting = Mutex::default();
        Self { rejoin, rest, seats, departures, recorder, marks, memory, noting }
    }

    /// Hears that a seat was lost; says whether that was somebody's doing.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub async fn lost(
        &self,
        conversation: ConversationSid,
        word: Word,
    ) -> Result<bool, queue::Error> {
        let is_late = self.heard(conversation, |heard| match word {
            Word::Webhook { on_socket } => {
                heard.is_returning = false;
                heard.is_told |= on_socket;
                false
            }
            Word::Socket(_) => heard.is_returning || std::mem::take(&mut heard.is_told),
        });
        if is_late {
            return Ok(false);
        }
        if removal::is_own(word, self.departures.last(conversation).await?) {
            return Ok(false);
        }
        let _one = self.noting.lock().await;
        let before = self.marks.read(&name(conversation)).await?;
        let mark = removal::removed(before, self.recorder.clock.wall());
        self.marks.raise(&name(conversation), mark).await?;
        self.heard(conversation, |heard| {
            heard.asked = None;
            heard.is_awaited |= self.rejoin == Rejoin::Always;
        });
        if !removal::is_removed(before) {
            self.recorder.metrics.join(JoinOutcome::Left);
            self.recorder.stage(conversation, None, Stage::Left { reason: LeaveReason::Removed });
            tracing::info!(conversation_sid = %conversation, reason = LeaveReason::Removed.as_str(),
                "somebody has removed the bot from the conversation");
        }
        Ok(true)
    }

    /// Hears that the bot is to be in a conversation again, for which a join is asked.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub async fn wished(&self, conversation: ConversationSid) -> Result<(), queue::Error> {
        self.heard(conversation, |heard| heard.is_returning = true);
        self.let_in(conversation).await
    }

    /// Hears that a join has put the bot into a conversation.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub async fn joined(&self, conversation: ConversationSid) -> Result<(), queue::Error> {
        self.heard(conversation, |heard| heard.is_returning = false);
        self.let_in(conversation).await
    }

    /// Hears that the bot sits in a conversation: whoever says that it lost this seat says it anew.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub async fn seated(&self, conversation: ConversationSid) -> Result<(), queue::Error> {
        self.heard(conversation, |heard| heard.is_told = false);
        self.let_in(conversation).await
    }

    /// Hears that the bot is in a conversation, or is to be again.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub async fn let_in(&self, conversation: ConversationSid) -> Result<(), queue::Error> {
        self.heard(conversation, |heard| {
            heard.asked = None;
            heard.is_awaited = false;
        });
        let before = self.marks.read(&name(conversation)).await?;
        if removal::is_removed(before) {
            let mark = removal::back(before, self.recorder.clock.wall());
            self.marks.raise(&name(conversation), mark).await?;
            tracing::info!(conversation_sid = %conversation,
                "bot is let into the conversation again");
        }
        Ok(())
    }

    /// Whether the bot was removed, as far as was heard.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub async fn is_noted(&self, conversation: ConversationSid) -> Result<bool, queue::Error> {
        Ok(removal::is_removed(self.marks.read(&name(conversation)).await?))
    }

    /// Whether the next message is to bring the bot back; asked once.
    #[must_use]
    pub fn is_awaited(&self, conversation: ConversationSid) -> bool {
        self.heard(conversation, |heard| std::mem::take(&mut heard.is_awaited))
    }

    /// Whether the bot was removed and stays away; asks Twilio before it says so.
    ///
    /// # Errors
    ///
    /// If Twilio did not say, or the store failed.
    pub async fn stays_away(&self, conversation: ConversationSid) -> Result<bool, Error> {
        if self.rejoin == Rejoin::Always || self.seats.hears(conversation) {
            return Ok(false);
        }
        if !self.is_noted(conversation).await? {
            return Ok(false);
        }
        let now = self.recorder.clock.now();
        let asked = self.memory.of(conversation).removal.asked;
        if asked.is_some_and(|at| now.since(at) < ASKED_FOR) {
            return Ok(true);
        }
        if self.seats.look(&self.rest, conversation).await?.is_some() {
            self.seated(conversation).await?;
            return Ok(false);
        }
        self.heard(conversation, |heard| heard.asked = Some(now));
        Ok(true)
    }

    /// Changes what was heard of the bot being removed.
    fn heard<T>(
        &self,
        conversation: ConversationSid,
        change: impl FnOnce(&mut HeardRemoval) -> T,
    ) -> T {
        self.memory.change(conversation, |known| change(&mut known.removal))
    }
}

/// The name of the mark, unlike any watermark's, which is the bare sid.
fn name(conversation: ConversationSid) -> String {
    format!("removed.{conversation}")
}
