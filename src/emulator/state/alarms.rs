//! What a conversation does by itself when time passes: a group becomes active, a silent
//! conversation falls asleep and closes.
//!
//! Pure: [`World::deadline`] says when [`World::tick`] has something to do. Source: webhook notes 1.7
//! (`initializing`, about 700 ms) and conversation states and timers in the REST notes 2.3, read
//! 2026-11-21. That both timers count from the last change is assumed.
//!
//! | state | after | becomes | reason |
//! | --- | --- | --- | --- |
//! | initializing | the time that a group takes | active | EVENT |
//! | active | `Timers.Inactive` | inactive | TIMER |
//! | active, inactive | `Timers.Closed` | closed | TIMER |
//! | inactive | a message | active | EVENT |

use std::time::Duration;

use super::command::Actor;
use super::conversations::iso_seconds;
use super::event::{EventKind, state_fields};
use super::limits::Limits;
use super::model::{Conversation, State};
use super::{World, about};
use crate::clock::Timestamp;
use crate::emulator::record::Happening;
use crate::twilio::sid::ConversationSid;

/// Why a state changed, in the webhook's word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reason {
    Timer,
    Event,
}

impl Reason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Timer => "TIMER",
            Self::Event => "EVENT",
        }
    }
}

impl Conversation {
    /// When it falls asleep if nothing is said, if it does.
    #[must_use]
    pub fn inactive_at(&self) -> Option<Timestamp> {
        matches!(self.state, State::Active).then_some(())?;
        Some(self.updated + span(self.timers.inactive.as_deref())?)
    }

    /// When it closes if nothing is said, if it does.
    #[must_use]
    pub fn closed_at(&self) -> Option<Timestamp> {
        matches!(self.state, State::Active | State::Inactive).then_some(())?;
        Some(self.updated + span(self.timers.closed.as_deref())?)
    }

    /// What it does next by itself.
    fn next_move(&self, group_setup: Duration) -> Option<(Timestamp, State, Reason)> {
        match self.state {
            State::Initializing => {
                Some((self.state_changed + group_setup, State::Active, Reason::Event))
            }
            State::Active | State::Inactive => {
                let asleep = self.inactive_at().map(|at| (at, State::Inactive, Reason::Timer));
                let closed = self.closed_at().map(|at| (at, State::Closed, Reason::Timer));
                asleep.into_iter().chain(closed).min_by_key(|(at, ..)| *at)
            }
            State::Closed => None,
        }
    }
}

impl World {
    /// When [`World::tick`] has something to look at.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.next_look().into_iter().chain(self.messaging.due()).min()
    }

    /// When a conversation is to be looked at.
    fn next_look(&self) -> Option<Timestamp> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// Lets everything happen that is due by `at`.
    pub fn tick(&mut self, at: Timestamp) {
        self.tick_texts(at);
        while self.next_look().is_some_and(|due| due <= at) {
            let Some((_, sid)) = self.alarms.pop_first() else { return };
            let setup = self.group_setup();
            let next = self.conversation(sid).and_then(|one| one.next_move(setup));
            match next {
                Some((due, to, reason)) if due <= at => self.move_state(at, sid, to, reason),
                // Something was said meanwhile; the conversation is looked at again when it is due.
                Some(_) | None => self.schedule(sid),
            }
        }
    }

    /// Remembers when a conversation is to be looked at. To be called after every change that may
    /// bring its next move forward; one that puts it off is noticed when the time has come.
    pub(super) fn schedule(&mut self, sid: ConversationSid) {
        let setup = self.group_setup();
        let Some((due, ..)) = self.conversation(sid).and_then(|one| one.next_move(setup)) else {
            return;
        };
        // One a conversation, so that they cannot pile up.
        self.alarms.retain(|(_, other)| *other != sid);
        self.alarms.insert((due, sid));
    }

    /// Adjusts the limits; a group that is not set up yet is so when the new ones say.
    pub fn set_limits(&mut self, limits: Limits) {
        self.settings.limits = limits;
        let waiting = self.conversations.values().filter(|one| one.state == State::Initializing);
        for sid in waiting.map(|one| one.sid).collect::<Vec<_>>() {
            self.schedule(sid);
        }
    }

    /// Wakes a conversation in which something is said.
    pub(super) fn wake(&mut self, at: Timestamp, sid: ConversationSid) {
        if self.conversation(sid).is_some_and(|one| one.state == State::Inactive) {
            self.move_state(at, sid, State::Active, Reason::Event);
        }
    }

    fn move_state(&mut self, at: Timestamp, sid: ConversationSid, to: State, reason: Reason) {
        let Ok(conversation) = self.conversation_mut(sid) else { return };
        let from = conversation.state;
        conversation.state = to;
        conversation.state_changed = at;
        let moved = about(
            conversation,
            EventKind::ConversationStateUpdated,
            state_fields(conversation, from.as_str(), reason.as_str()),
        );
        if to == State::Closed {
            let closed = conversation.clone();
            self.release_pairs(&closed);
        }
        self.project_conversation(at, sid);
        self.happened(Happening::ConversationUpdated { conversation_sid: sid, state: to.as_str() });
        // Nobody asked for it, so nobody could have asked for silence.
        self.fire(&Actor::Api { hooks: true }, moved);
        self.schedule(sid);
    }

    const fn group_setup(&self) -> Duration {
        Duration::from_millis(self.settings.limits.group_setup_ms)
    }
}

/// A timer's length; none if it is not set. What cannot be read was refused when it was set.
fn span(timer: Option<&str>) -> Option<Duration> {
    let seconds = iso_seconds(timer.filter(|text| !text.is_empty())?)?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}
