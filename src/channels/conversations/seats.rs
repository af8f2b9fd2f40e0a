//! Who sits where: the identities of the pool, their realtime clients, and which of them holds the
//! seat of each conversation.
//!
//! Many tasks meet here by conversation (the joiner, the listeners, the turns, the senders), so the
//! directory is a concurrent map. Time is an argument. It is a memory of what Twilio said, never the
//! truth: where it says nothing, whoever must know for certain asks Twilio, and the others take the
//! first identity.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::clock::{Moment, Timestamp};
use crate::realtime::{Client, State};
use crate::twilio::rest;
use crate::twilio::sid::ConversationSid;

/// How many open conversations one identity may be in.
/// Source: Conversations limits, "conversations per identity", read 2026-11-21.
pub const SEATS_MAX: usize = 1000;
/// From how many on the operator is warned: four fifths.
const SEATS_WARNED: usize = SEATS_MAX / 5 * 4;

/// How long Twilio's word that an identity has no room is taken for granted. Room comes back unheard,
/// since a conversation that is closed by its timer does not tell whoever sits there.
pub const FULL_FOR: Duration = Duration::from_secs(60);

/// Who listens for an identity.
#[derive(Clone, Debug)]
pub enum Listening {
    /// Nobody: the service runs on webhooks and REST alone.
    Off,
    /// Another instance, or none for the moment: what is sent from here goes by REST.
    Elsewhere,
    /// This realtime client.
    Here(Client),
}

/// One identity of the pool and its ear.
#[derive(Debug)]
pub struct PoolMember {
    /// The bot's identity.
    pub identity: String,
    listening: RwLock<Listening>,
    /// Whether all that the socket had to tell when it was opened has been heard.
    is_live: AtomicBool,
    seats: AtomicUsize,
    /// Until when it is full; kept after that time, so that it is said once.
    full_until: RwLock<Option<Moment>>,
}

impl PoolMember {
    /// Starts without a seat.
    #[must_use]
    pub const fn new(identity: String, listening: Listening) -> Self {
        let (is_live, seats) = (AtomicBool::new(false), AtomicUsize::new(0));
        Self {
            identity,
            listening: RwLock::new(listening),
            is_live,
            seats,
            full_until: RwLock::new(None),
        }
    }

    /// Who listens now.
    #[must_use]
    pub fn listening(&self) -> Listening {
        self.listening.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that another one listens from now on.
    pub fn set_listening(&self, listening: Listening) {
        *self.listening.write().unwrap_or_else(PoisonError::into_inner) = listening;
    }

    /// Its realtime client, if the socket is up.
    #[must_use]
    pub fn connected(&self) -> Option<Client> {
        let Listening::Here(client) = self.listening() else { return None };
        let state = *client.state().borrow();
        state.is_up().then_some(client)
    }

    /// Whether nothing is heard on the socket, and nothing will be soon: it is switched off, lost or
    /// refused. One that is just being opened is not deaf, and one that is elsewhere is looked after
    /// there.
    #[must_use]
    pub fn is_deaf(&self) -> bool {
        match self.listening() {
            Listening::Off => true,
            Listening::Elsewhere => false,
            Listening::Here(client) => {
                let state = *client.state().borrow();
                matches!(state, State::Waiting | State::Refused)
            }
        }
    }

    /// Notes whether all that the socket had to tell when it was opened has been heard.
    pub fn set_live(&self, is_live: bool) {
        self.is_live.store(is_live, Ordering::Relaxed);
    }

    /// Whether nothing that happens from here on can be missed: the socket is up, and what happened
    /// before has been heard.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let Listening::Here(client) = self.listening() else { return false };
        self.is_live.load(Ordering::Relaxed) && *client.state().borrow() == State::Live
    }

    /// Whether its socket is just being opened here.
    #[must_use]
    pub fn is_opening(&self) -> bool {
        matches!(self.listening(), Listening::Here(_)) && !self.is_live() && !self.is_deaf()
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
        self.set_full(None);
    }

    fn count(&self) -> usize {
        self.seats.load(Ordering::Relaxed)
    }

    fn has_room(&self, now: Moment) -> bool {
        let until = *self.full_until.read().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|until| now >= until)
    }

    /// Says until when it was full by the word before, if it was.
    fn set_full(&self, until: Option<Moment>) -> Option<Moment> {
        let mut full = self.full_until.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *full, until)
    }
}

/// Who holds a seat, after which listing that was noted last, and since when its socket has it.
#[derive(Clone, Copy, Debug)]
struct HeldSeat {
    at: u16,
    /// Since when its socket has it, if it does.
    heard: Option<Timestamp>,
    noted: SeatListing,
}

/// Names a listing of an identity's conversations: the later one is the greater.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct SeatListing(u64);

/// The directory of seats.
#[derive(Debug)]
pub struct Seats {
    members: Vec<PoolMember>,
    held: DashMap<ConversationSid, HeldSeat>,
    listings: AtomicU64,
}

impl Seats {
    /// Takes the pool; the first identity is the default one.
    ///
    /// # Panics
    ///
    /// If the pool is empty, which the configuration refuses.
    #[must_use]
    pub fn new(members: Vec<PoolMember>) -> Self {
        assert!(!members.is_empty(), "the configuration refuses an empty identity pool");
        Self { members, held: DashMap::new(), listings: AtomicU64::new(0) }
    }

    /// All identities with their clients.
    #[must_use]
    pub fn members(&self) -> &[PoolMember] {
        &self.members
    }

    /// The member that holds the seat of a conversation, else the first.
    #[must_use]
    pub fn member_of(&self, conversation: ConversationSid) -> &PoolMember {
        self.remembered(conversation).unwrap_or(&self.members[0])
    }

    /// The member that holds the seat of a conversation, else the one that heard something there, else
    /// the first: after a start nothing is remembered until socket and sweep have told.
    #[must_use]
    pub fn speaks_in(&self, conversation: ConversationSid, heard_by: Option<&str>) -> &PoolMember {
        let heard = || self.members.iter().find(|member| Some(&*member.identity) == heard_by);
        self.remembered(conversation).or_else(heard).unwrap_or(&self.members[0])
    }

    /// Finds the member that holds the seat of a conversation, by memory, else by asking Twilio.
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
    ) -> Result<Option<&PoolMember>, rest::Error> {
        if self.members.len() == 1 {
            return Ok(self.members.first());
        }
        match self.remembered(conversation) {
            Some(member) => Ok(Some(member)),
            None => self.look(rest, conversation).await,
        }
    }

    /// Asks Twilio which member holds the seat of a conversation, whatever is remembered, and remembers
    /// the answer.
    ///
    /// # Errors
    ///
    /// If Twilio did not say; then the memory is as before.
    pub async fn look(
        &self,
        rest: &rest::Client,
        conversation: ConversationSid,
    ) -> Result<Option<&PoolMember>, rest::Error> {
        let first = self.remembered(conversation);
        let is_first =
            |member: &&PoolMember| first.is_some_and(|first| first.identity == member.identity);
        let others = self.members.iter().filter(|member| !is_first(member));
        for member in first.into_iter().chain(others) {
            if sits(rest, conversation, member).await? {
                self.take(conversation, &member.identity);
                return Ok(Some(member));
            }
        }
        self.forget(conversation);
        Ok(None)
    }

    /// Forgets who holds the seat of a conversation: Twilio says that it is otherwise.
    pub fn forget(&self, conversation: ConversationSid) {
        let removed = self.held.remove(&conversation);
        if let Some(member) = removed.and_then(|(_, held)| self.member(held)) {
            member.went();
        }
    }

    /// The members that may take a seat in a conversation, the best one first: the one that sits there
    /// already, else those with room, the emptiest first.
    #[must_use]
    pub fn candidates(&self, conversation: ConversationSid, now: Moment) -> Vec<&PoolMember> {
        if let Some(member) = self.remembered(conversation) {
            return vec![member];
        }
        let mut members: Vec<_> =
            self.members.iter().filter(|member| member.has_room(now)).collect();
        members.sort_by_key(|member| member.count());
        members
    }

    /// How many more conversations the pool has room for, as far as is known.
    #[must_use]
    pub fn room(&self, now: Moment) -> usize {
        let with_room = self.members.iter().filter(|member| member.has_room(now));
        with_room.map(|member| SEATS_MAX.saturating_sub(member.count())).sum()
    }

    /// Notes that Twilio gives an identity no more seats (50214), until it leaves one, a listing
    /// shows room or [`FULL_FOR`] is over.
    pub fn note_full(&self, member: &PoolMember, now: Moment) {
        if member.set_full(Some(now + FULL_FOR)).is_none() {
            tracing::error!(identity = %member.identity,
                "identity is in as many conversations as twilio allows; others of the pool are taken");
        }
    }

    /// Notes that an identity sits in a conversation.
    pub fn take(&self, conversation: ConversationSid, identity: &str) {
        self.note(conversation, identity, None);
    }

    /// Notes that the socket of an identity has a conversation, in which it sits.
    pub fn hear(&self, conversation: ConversationSid, identity: &str, now: Timestamp) {
        self.note(conversation, identity, Some(now));
    }

    fn note(&self, conversation: ConversationSid, identity: &str, heard: Option<Timestamp>) {
        let Some(at) = self.members.iter().position(|member| member.identity == identity) else {
            return;
        };
        let noted = SeatListing(self.listings.load(Ordering::Relaxed));
        let mut held = HeldSeat { at: u16::try_from(at).unwrap_or(0), heard, noted };
        let before = match self.held.entry(conversation) {
            Entry::Occupied(mut seat) => {
                let before = *seat.get();
                let kept = before.heard.filter(|_| before.at == held.at);
                held.heard = held.heard.or(kept);
                let _ = seat.insert(held);
                Some(before)
            }
            Entry::Vacant(seat) => {
                let _ = seat.insert(held);
                None
            }
        };
        if before.map(|before| before.at) != Some(held.at) {
            if let Some(member) = before.and_then(|before| self.member(before)) {
                member.went();
            }
            self.members[at].came();
        }
    }

    /// Notes that the conversations of an identity are being listed from now on. What is listed
    /// [takes](Self::take) its seat, unless it is closed: that one counts for no limit.
    #[must_use]
    pub fn listing(&self) -> SeatListing {
        SeatListing(self.listings.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Notes that a listing has come to its end: seats of the identity that it did not show, and that
    /// nobody took meanwhile, are free.
    pub fn listed(&self, listing: SeatListing, member: &PoolMember) {
        self.held.retain(|_, held| {
            let is_theirs = self.member(*held).is_some_and(|one| one.identity == member.identity);
            let stays = !is_theirs || held.noted >= listing;
            if !stays {
                member.went();
            }
            stays
        });
        if member.count() < SEATS_MAX {
            member.set_full(None);
        }
    }

    /// Notes that an identity sits in a conversation no longer.
    pub fn leave(&self, conversation: ConversationSid, identity: &str) {
        let is_theirs =
            |held: &HeldSeat| self.member(*held).is_some_and(|member| member.identity == identity);
        let removed = self.held.remove_if(&conversation, |_, held| is_theirs(held));
        if let Some(member) = removed.and_then(|(_, held)| self.member(held)) {
            member.went();
        }
    }

    /// Notes that the socket of an identity has nothing yet.
    pub fn deafen(&self, identity: &str) {
        let Some(at) = self.members.iter().position(|member| member.identity == identity) else {
            return;
        };
        self.members[at].set_live(false);
        for mut held in self.held.iter_mut().filter(|held| usize::from(held.at) == at) {
            held.heard = None;
        }
    }

    /// Whether the socket would tell of whatever happens in a conversation, and has told of what
    /// happened before.
    #[must_use]
    pub fn hears(&self, conversation: ConversationSid) -> bool {
        let held =
            self.held.get(&conversation).map(|held| *held).filter(|held| held.heard.is_some());
        held.and_then(|held| self.member(held)).is_some_and(PoolMember::is_live)
    }

    /// Since when the socket has a conversation, if it does.
    #[must_use]
    pub fn heard_since(&self, conversation: ConversationSid) -> Option<Timestamp> {
        self.held.get(&conversation).and_then(|held| held.heard)
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
        self.members.iter().map(|member| (member.identity.as_str(), member.count()))
    }

    fn member(&self, held: HeldSeat) -> Option<&PoolMember> {
        self.members.get(usize::from(held.at))
    }

    fn remembered(&self, conversation: ConversationSid) -> Option<&PoolMember> {
        let held = self.held.get(&conversation).map(|held| *held);
        held.and_then(|held| self.member(held))
    }
}

/// Asks Twilio whether an identity sits in a conversation.
async fn sits(
    rest: &rest::Client,
    conversation: ConversationSid,
    member: &PoolMember,
) -> Result<bool, rest::Error> {
    rest.fetch_participant(conversation, &member.identity).await.map(|found| found.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_new_conversation_goes_to_the_emptiest_line_and_stays_there() {
        let seats = pool();
        seats.take(sid(1), "bot");
        assert_eq!(names(&seats, sid(2)), ["bot-2", "bot"]);
        seats.take(sid(2), "bot-2");
        assert_eq!(names(&seats, sid(2)), ["bot-2"], "who sits there is asked first and alone");
        assert_eq!(seats.member_of(sid(2)).identity, "bot-2");
        assert_eq!(seats.member_of(sid(9)).identity, "bot", "unknown ones belong to the first");
    }

    #[test]
    fn who_heard_a_message_speaks_until_it_is_known_who_sits_there() {
        let seats = pool();
        let speaks = |heard_by| seats.speaks_in(sid(1), heard_by).identity.clone();
        assert_eq!([speaks(None), speaks(Some("a stranger"))], ["bot", "bot"]);
        assert_eq!(speaks(Some("bot-2")), "bot-2", "nothing else is known after a start");
        seats.take(sid(1), "bot");
        assert_eq!(speaks(Some("bot-2")), "bot");
    }

    #[test]
    fn a_full_line_is_passed_over_until_it_leaves_a_seat() {
        let seats = pool();
        seats.take(sid(1), "bot");
        let now = Clock::start().now();
        seats.note_full(&seats.members()[0], now);
        assert_eq!(names_at(&seats, sid(2), now), ["bot-2"]);
        seats.leave(sid(1), "bot");
        assert_eq!(names_at(&seats, sid(2), now), ["bot", "bot-2"]);
    }

    #[test]
    fn twilio_is_asked_again_whether_a_line_is_still_full() {
        let (seats, now) = (pool(), Clock::start().now());
        for member in seats.members() {
            seats.note_full(member, now);
        }
        assert!(names_at(&seats, sid(1), now).is_empty());
        assert_eq!(seats.room(now), 0);
        assert_eq!(names_at(&seats, sid(1), now + FULL_FOR), ["bot", "bot-2"]);
        assert_eq!(seats.room(now + FULL_FOR), 2 * SEATS_MAX);
    }

    #[test]
    fn a_listing_frees_the_seats_that_it_did_not_show() {
        let (seats, now) = (pool(), Clock::start().now());
        seats.take(sid(1), "bot");
        seats.take(sid(2), "bot");
        seats.take(sid(3), "bot-2");
        seats.note_full(&seats.members()[0], now);
        let listing = seats.listing();
        seats.take(sid(2), "bot");
        seats.take(sid(4), "bot");
        seats.listed(listing, &seats.members()[0]);
        assert!(!seats.is_held(sid(1)), "it was not shown");
        assert!([2, 3, 4].into_iter().all(|n| seats.is_held(sid(n))));
        assert_eq!(seats.counts().collect::<Vec<_>>(), [("bot", 2), ("bot-2", 1)]);
        assert_eq!(names_at(&seats, sid(5), now), ["bot-2", "bot"], "there is room again");
    }

    #[test]
    fn a_listing_that_shows_no_room_leaves_a_line_full() {
        let (seats, now) = (pool(), Clock::start().now());
        let full = &seats.members()[0];
        let listing = seats.listing();
        for n in 0..SEATS_MAX {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            seats.take(ConversationSid::from_bytes(bytes), "bot");
        }
        seats.note_full(full, now);
        seats.listed(listing, full);
        assert_eq!(names_at(&seats, sid(255), now), ["bot-2"]);
        assert_eq!(seats.room(now), SEATS_MAX);
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
        Seats::new(vec![
            PoolMember::new("bot".into(), Listening::Off),
            PoolMember::new("bot-2".into(), Listening::Off),
        ])
    }

    fn names(seats: &Seats, conversation: ConversationSid) -> Vec<&str> {
        names_at(seats, conversation, Clock::start().now())
    }

    fn names_at(seats: &Seats, conversation: ConversationSid, now: Moment) -> Vec<&str> {
        let members = seats.candidates(conversation, now).into_iter();
        members.map(|member| member.identity.as_str()).collect()
    }

    fn sid(n: u8) -> ConversationSid {
        ConversationSid::from_bytes([n; 16])
    }
}
