//! Who sits where: the identities of the pool, their realtime clients, and which of them holds the
//! seat of each conversation.
//!
//! Many tasks meet here by conversation (the joiner, the listeners, the turns, the senders), so the
//! directory is a concurrent map. It is a memory of what Twilio said, never the truth: where it says
//! nothing, whoever must know for certain asks Twilio, and the others take the first identity.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use dashmap::DashMap;

use crate::realtime::{Client, State};
use crate::twilio::rest;
use crate::twilio::sid::ConversationSid;

/// How many open conversations one identity may be in.
/// Source: Conversations limits, "conversations per identity", read 2026-11-21.
pub const SEATS_MAX: usize = 1000;
/// From how many on the operator is warned: four fifths.
const SEATS_WARNED: usize = SEATS_MAX / 5 * 4;

/// How often Twilio is asked at once who sits in a conversation. A look changes nothing, and what
/// waits for it, a join or a reply, has its own schedule for what lasts.
const LOOKS_MAX: u32 = 3;

/// Who listens for an identity.
#[derive(Clone, Debug)]
pub enum Ear {
    /// Nobody: the service runs on webhooks and REST alone.
    Off,
    /// Another instance, or none for the moment: what is sent from here goes by REST.
    Elsewhere,
    /// This realtime client.
    Here(Client),
}

/// One identity of the pool and its ear.
#[derive(Debug)]
pub struct Line {
    /// The bot's identity.
    pub identity: String,
    ear: RwLock<Ear>,
    seats: AtomicUsize,
    is_full: AtomicBool,
}

impl Line {
    /// Starts without a seat.
    #[must_use]
    pub const fn new(identity: String, ear: Ear) -> Self {
        let (seats, is_full) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { identity, ear: RwLock::new(ear), seats, is_full }
    }

    /// Who listens now.
    #[must_use]
    pub fn ear(&self) -> Ear {
        self.ear.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that another one listens from now on.
    pub fn set_ear(&self, ear: Ear) {
        *self.ear.write().unwrap_or_else(PoisonError::into_inner) = ear;
    }

    /// Its realtime client, if the socket is up.
    #[must_use]
    pub fn connected(&self) -> Option<Client> {
        let Ear::Here(client) = self.ear() else { return None };
        let state = *client.state().borrow();
        matches!(state, State::Connected | State::Live).then_some(client)
    }

    /// Whether nothing is heard on the socket, and nothing will be soon: it is switched off, lost or
    /// refused. One that is just being opened is not deaf, and one that is elsewhere is looked after
    /// there.
    #[must_use]
    pub fn is_deaf(&self) -> bool {
        match self.ear() {
            Ear::Off => true,
            Ear::Elsewhere => false,
            Ear::Here(client) => {
                let state = *client.state().borrow();
                matches!(state, State::Waiting | State::Stopped)
            }
        }
    }

    fn came(&self) {
        if self.seats.fetch_add(1, Ordering::Relaxed) + 1 == SEATS_WARNED {
            tracing::warn!(identity = %self.identity, count = SEATS_WARNED,
                "identity is in four fifths of the conversations that twilio allows it; add one to \
                 CHIMEIN_IDENTITY_POOL");
        }
    }

    fn went(&self) {
        self.seats.fetch_sub(1, Ordering::Relaxed);
        self.is_full.store(false, Ordering::Relaxed);
    }
}

/// The directory of seats.
#[derive(Debug)]
pub struct Seats {
    lines: Vec<Line>,
    held: DashMap<ConversationSid, u16>,
}

impl Seats {
    /// Takes the pool; the first identity is the default one.
    ///
    /// # Panics
    ///
    /// If the pool is empty, which the configuration refuses.
    #[must_use]
    pub fn new(lines: Vec<Line>) -> Self {
        assert!(!lines.is_empty(), "the configuration refuses an empty identity pool");
        Self { lines, held: DashMap::new() }
    }

    /// All identities with their clients.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The line that holds the seat of a conversation, else the first.
    #[must_use]
    pub fn line_of(&self, conversation: ConversationSid) -> &Line {
        let at = self.held.get(&conversation).map_or(0, |at| usize::from(*at));
        self.lines.get(at).unwrap_or(&self.lines[0])
    }

    /// Finds the line that holds the seat of a conversation, by memory, else by asking Twilio.
    ///
    /// After a start the memory is empty until socket and sweep have filled it, and a reply that was
    /// left on disk must not go out under an identity that sits elsewhere. A pool of one asks nobody.
    ///
    /// # Errors
    ///
    /// If Twilio did not say.
    pub async fn find(
        &self,
        rest: &rest::Client,
        conversation: ConversationSid,
    ) -> Result<Option<&Line>, rest::Error> {
        if self.lines.len() == 1 {
            return Ok(self.lines.first());
        }
        if let Some(at) = self.held.get(&conversation).map(|at| usize::from(*at)) {
            return Ok(self.lines.get(at));
        }
        for line in &self.lines {
            if sits(rest, conversation, line).await? {
                self.take(conversation, &line.identity);
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// Forgets who holds the seat of a conversation: Twilio says that it is otherwise.
    pub fn forget(&self, conversation: ConversationSid) {
        let removed = self.held.remove(&conversation);
        if let Some(line) = removed.and_then(|(_, at)| self.lines.get(usize::from(at))) {
            line.went();
        }
    }

    /// The lines that may take a seat in a conversation, the best one first: the one that sits there
    /// already, else those with room, the emptiest first.
    #[must_use]
    pub fn candidates(&self, conversation: ConversationSid) -> Vec<&Line> {
        if let Some(at) = self.held.get(&conversation).map(|at| usize::from(*at)) {
            return self.lines.get(at).into_iter().collect();
        }
        let with_room = |line: &&Line| !line.is_full.load(Ordering::Relaxed);
        let mut lines: Vec<_> = self.lines.iter().filter(with_room).collect();
        lines.sort_by_key(|line| line.seats.load(Ordering::Relaxed));
        lines
    }

    /// Notes that Twilio gives an identity no more seats (50214), until it leaves one.
    pub fn note_full(&self, line: &Line) {
        if !line.is_full.swap(true, Ordering::Relaxed) {
            tracing::error!(identity = %line.identity,
                "identity is in as many conversations as twilio allows; others of the pool are taken");
        }
    }

    /// Notes that an identity sits in a conversation.
    pub fn take(&self, conversation: ConversationSid, identity: &str) {
        let Some(at) = self.lines.iter().position(|line| line.identity == identity) else { return };
        let before = self.held.insert(conversation, u16::try_from(at).unwrap_or(0));
        if before.map(usize::from) != Some(at) {
            if let Some(line) = before.and_then(|before| self.lines.get(usize::from(before))) {
                line.went();
            }
            self.lines[at].came();
        }
    }

    /// Notes that an identity sits in a conversation no longer.
    pub fn leave(&self, conversation: ConversationSid, identity: &str) {
        let is_theirs = |at: &u16| {
            self.lines.get(usize::from(*at)).is_some_and(|line| line.identity == identity)
        };
        let removed = self.held.remove_if(&conversation, |_, at| is_theirs(at));
        if let Some(line) = removed.and_then(|(_, at)| self.lines.get(usize::from(at))) {
            line.went();
        }
    }

    /// Whether one of ours is known to sit in a conversation.
    #[must_use]
    pub fn is_held(&self, conversation: ConversationSid) -> bool {
        self.held.contains_key(&conversation)
    }

    /// Some of the conversations that are known to be held, at most `count`.
    #[must_use]
    pub fn held(&self, count: usize) -> Vec<ConversationSid> {
        self.held.iter().take(count).map(|held| *held.key()).collect()
    }

    /// How many conversations are known to be held by each identity, in the pool's order.
    pub fn counts(&self) -> impl Iterator<Item = (&str, usize)> {
        self.lines.iter().map(|line| (line.identity.as_str(), line.seats.load(Ordering::Relaxed)))
    }
}

/// Asks Twilio whether an identity sits in a conversation; asks again at once if no answer came.
async fn sits(
    rest: &rest::Client,
    conversation: ConversationSid,
    line: &Line,
) -> Result<bool, rest::Error> {
    let mut looks = 1;
    loop {
        match rest.fetch_participant(conversation, &line.identity).await {
            Ok(found) => return Ok(found.is_some()),
            Err(rest::Error::Refused { status, .. }) if looks < LOOKS_MAX && status >= 500 => {}
            Err(rest::Error::Unknown { .. } | rest::Error::NotSent { .. }) if looks < LOOKS_MAX => {
            }
            Err(error) => return Err(error),
        }
        looks += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_conversation_goes_to_the_emptiest_line_and_stays_there() {
        let seats = pool();
        seats.take(sid(1), "bot");
        assert_eq!(names(&seats, sid(2)), ["bot-2", "bot"]);
        seats.take(sid(2), "bot-2");
        assert_eq!(names(&seats, sid(2)), ["bot-2"], "who sits there is asked first and alone");
        assert_eq!(seats.line_of(sid(2)).identity, "bot-2");
        assert_eq!(seats.line_of(sid(9)).identity, "bot", "unknown ones belong to the first");
    }

    #[test]
    fn a_full_line_is_passed_over_until_it_leaves_a_seat() {
        let seats = pool();
        seats.take(sid(1), "bot");
        seats.note_full(&seats.lines()[0]);
        assert_eq!(names(&seats, sid(2)), ["bot-2"]);
        seats.leave(sid(1), "bot");
        assert_eq!(names(&seats, sid(2)), ["bot", "bot-2"]);
    }

    #[test]
    fn counts_follow_moves_and_ignore_repeats() {
        let seats = pool();
        seats.take(sid(1), "bot");
        seats.take(sid(1), "bot");
        seats.take(sid(1), "bot-2");
        seats.leave(sid(1), "bot");
        seats.take(sid(3), "a stranger");
        let counts: Vec<_> = seats.counts().collect();
        assert_eq!(counts, [("bot", 0), ("bot-2", 1)]);
    }

    fn pool() -> Seats {
        Seats::new(vec![Line::new("bot".into(), Ear::Off), Line::new("bot-2".into(), Ear::Off)])
    }

    fn names(seats: &Seats, conversation: ConversationSid) -> Vec<&str> {
        seats.candidates(conversation).into_iter().map(|line| line.identity.as_str()).collect()
    }

    fn sid(n: u8) -> ConversationSid {
        ConversationSid::from_bytes([n; 16])
    }
}
