//! The sessions of an agent: one a thread, bounded. Pure.

use std::collections::BTreeMap;

use crate::clock::Moment;
use crate::thread::{MessageId, ThreadId};

/// The sessions that the agent has for us.
#[derive(Debug)]
pub(super) struct Sessions {
    max: usize,
    of: BTreeMap<ThreadId, Session>,
    threads: BTreeMap<String, ThreadId>,
}

#[derive(Debug)]
struct Session {
    name: String,
    used: Moment,
    /// Whether nothing was said in it yet.
    is_fresh: bool,
    state: SessionState,
}

/// What goes on in a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum SessionState {
    /// Nothing.
    Free,
    /// It has been prompted by this call for a turn.
    Prompted { call: u64, turn: MessageId },
    /// It was told at this time that nobody waits for that.
    Cancelled { call: u64, since: Moment },
}

/// A session that is no more.
#[derive(Debug)]
pub(super) struct Freed {
    /// What the agent calls it.
    pub(super) name: String,
    /// The turn that it was prompted for, if somebody waits for it.
    pub(super) turn: Option<MessageId>,
}

impl Sessions {
    /// Begins with none and keeps so many.
    pub(super) const fn new(max: usize) -> Self {
        Self { max, of: BTreeMap::new(), threads: BTreeMap::new() }
    }

    /// Whether a thread has one.
    pub(super) fn has(&self, thread: ThreadId) -> bool {
        self.of.contains_key(&thread)
    }

    /// Adds one.
    pub(super) fn add(&mut self, thread: ThreadId, name: String, now: Moment) {
        let _before = self.forget(thread);
        self.threads.insert(name.clone(), thread);
        let session = Session { name, used: now, is_fresh: true, state: SessionState::Free };
        self.of.insert(thread, session);
    }

    /// Forgets the one that is idle for longest if there is no room for another; gives its name. Of those that
    /// are at work none is forgotten.
    pub(super) fn make_room(&mut self) -> Option<String> {
        if self.of.len() < self.max {
            return None;
        }
        let free = self.of.iter().filter(|(_, session)| session.state == SessionState::Free);
        let idle = free.min_by_key(|(_, session)| session.used).map(|(thread, _)| *thread)?;
        self.forget(idle).map(|freed| freed.name)
    }

    /// Takes a thread's session for a turn, if it is free; gives its name, and whether nothing was said in it.
    pub(super) fn take(
        &mut self,
        thread: ThreadId,
        turn: MessageId,
        now: Moment,
    ) -> Option<(String, bool)> {
        let session = self.of.get_mut(&thread)?;
        if session.state != SessionState::Free {
            return None;
        }
        session.state = SessionState::Prompted { call: 0, turn };
        session.used = now;
        Some((session.name.clone(), std::mem::take(&mut session.is_fresh)))
    }

    /// Notes by which call the session was prompted that was taken.
    pub(super) fn prompted(&mut self, thread: ThreadId, by: u64) {
        if let Some(session) = self.of.get_mut(&thread)
            && let SessionState::Prompted { call, .. } = &mut session.state
        {
            *call = by;
        }
    }

    /// Whether a thread's session was prompted by a call that has no answer yet.
    pub(super) fn is_prompted_by(&self, thread: ThreadId, by: u64) -> bool {
        self.of.get(&thread).is_some_and(|session| match session.state {
            SessionState::Free => false,
            SessionState::Prompted { call, .. } | SessionState::Cancelled { call, .. } => {
                call == by
            }
        })
    }

    /// The turn that somebody waits for in a session.
    pub(super) fn turn_of(&self, name: &str) -> Option<MessageId> {
        match self.of.get(self.threads.get(name)?)?.state {
            SessionState::Prompted { turn, .. } => Some(turn),
            SessionState::Free | SessionState::Cancelled { .. } => None,
        }
    }

    /// Notes that nobody waits for a turn any more; gives the name of the session that is prompted for it.
    pub(super) fn cancel(
        &mut self,
        thread: ThreadId,
        turn: MessageId,
        now: Moment,
    ) -> Option<String> {
        let session = self.of.get_mut(&thread)?;
        match session.state {
            SessionState::Prompted { call, turn: of } if of == turn => {
                session.state = SessionState::Cancelled { call, since: now };
                Some(session.name.clone())
            }
            SessionState::Prompted { .. } | SessionState::Free | SessionState::Cancelled { .. } => {
                None
            }
        }
    }

    /// Notes that a thread's session has answered; gives the turn, if somebody waits for it.
    pub(super) fn free(&mut self, thread: ThreadId, now: Moment) -> Option<MessageId> {
        let session = self.of.get_mut(&thread)?;
        session.used = now;
        match std::mem::replace(&mut session.state, SessionState::Free) {
            SessionState::Prompted { turn, .. } => Some(turn),
            SessionState::Free | SessionState::Cancelled { .. } => None,
        }
    }

    /// Forgets a thread's session.
    pub(super) fn forget(&mut self, thread: ThreadId) -> Option<Freed> {
        let Session { name, state, .. } = self.of.remove(&thread)?;
        self.threads.remove(&name);
        let turn = match state {
            SessionState::Prompted { turn, .. } => Some(turn),
            SessionState::Free | SessionState::Cancelled { .. } => None,
        };
        Some(Freed { name, turn })
    }

    /// Since when a thread's session was cancelled and has not answered, if it was.
    pub(super) fn cancelled_since(&self, thread: ThreadId) -> Option<Moment> {
        match self.of.get(&thread)?.state {
            SessionState::Cancelled { since, .. } => Some(since),
            SessionState::Free | SessionState::Prompted { .. } => None,
        }
    }
}
