//! How far back a reply that may have been sent is searched for. Pure.
//!
//! The listing is walked from the newest message on. It ends where the reply is found, where the
//! messages are older than the reply, since it cannot stand before them, and at a bound: past it
//! nobody knows, and what nobody knows is not sent again. Nor does anybody know what stands in a
//! message that could not be read.

use crate::clock::Timestamp;
use crate::twilio::SKEW_MAX;

/// The most messages that one search looks at: ten pages of the API.
pub const MESSAGES_MAX: usize = 1000;

/// What the search needs to know of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Candidate<S> {
    /// Its sid.
    pub sid: S,
    /// Whether it is the reply.
    pub is_it: bool,
    /// When Twilio stored it.
    pub created: Option<Timestamp>,
}

/// What is known after another page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step<S> {
    /// The reply is there.
    Found(S),
    /// It is not there.
    Absent,
    /// It may be further back.
    GoOn,
    /// It may be further back than anybody looks.
    TooFar,
    /// It may be among those that could not be read.
    Unread,
}

/// One search, page after page.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    oldest: Timestamp,
    looked_at: usize,
    unread: usize,
}

impl Search {
    /// Starts a search for a reply that was accepted at a time, so that no attempt was before it.
    #[must_use]
    pub fn new(accepted: Timestamp) -> Self {
        Self { oldest: accepted.before(SKEW_MAX), looked_at: 0, unread: 0 }
    }

    /// From when on the reply can have been sent.
    #[must_use]
    pub const fn since(&self) -> Timestamp {
        self.oldest
    }

    /// Hears how many messages of all pages, the next one's among them, could not be read.
    pub const fn unread(&mut self, count: usize) {
        self.unread = count;
    }

    /// Takes the next page, newest first; an empty one ends the listing, unless all of it was unread.
    pub fn page<S>(&mut self, page: impl IntoIterator<Item = Candidate<S>>) -> Step<S> {
        let before = self.looked_at;
        let mut is_over = false;
        for message in page {
            if message.is_it {
                return Step::Found(message.sid);
            }
            self.looked_at += 1;
            is_over |= message.created.is_some_and(|created| created < self.oldest);
        }
        if is_over || self.looked_at == before {
            if self.unread == 0 { Step::Absent } else { Step::Unread }
        } else if self.looked_at >= MESSAGES_MAX {
            Step::TooFar
        } else {
            Step::GoOn
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ACCEPTED: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    #[test]
    fn a_search_ends_at_the_reply_or_before_its_time() {
        let late = ACCEPTED.before(SKEW_MAX);
        let early = late.before(Duration::from_millis(1));
        for (page, step) in [
            (vec![], Step::Absent),
            (vec![other(Some(ACCEPTED))], Step::GoOn),
            (vec![other(Some(late))], Step::GoOn),
            (vec![other(Some(early))], Step::Absent),
            (vec![other(None)], Step::GoOn),
            (vec![other(Some(ACCEPTED)), reply(ACCEPTED)], Step::Found(1)),
            (vec![other(Some(early)), reply(early)], Step::Found(1)),
        ] {
            assert_eq!(Search::new(ACCEPTED).page(page.clone()), step, "{page:?}");
        }
    }

    #[test]
    fn every_page_counts_until_nobody_looks_further() {
        let mut search = Search::new(ACCEPTED);
        let page = || vec![other(Some(ACCEPTED)); 100];
        for _ in 1..MESSAGES_MAX / 100 {
            assert_eq!(search.page(page()), Step::GoOn);
        }
        assert_eq!(search.page(page()), Step::TooFar);
    }

    #[test]
    fn the_last_page_may_hold_the_reply_or_end_the_search() {
        for (last, step) in
            [(reply(ACCEPTED), Step::Found(1)), (other(Some(epoch())), Step::Absent)]
        {
            let mut search = Search::new(ACCEPTED);
            assert_eq!(search.page(vec![other(None); MESSAGES_MAX - 1]), Step::GoOn);
            assert_eq!(search.page([last]), step);
        }
    }

    #[test]
    fn what_could_not_be_read_may_be_the_reply() {
        let old = other(Some(epoch()));
        for (page, step) in [
            (vec![], Step::Unread),
            (vec![old], Step::Unread),
            (vec![other(Some(ACCEPTED))], Step::GoOn),
            (vec![old, reply(ACCEPTED)], Step::Found(1)),
        ] {
            let mut search = Search::new(ACCEPTED);
            search.unread(1);
            assert_eq!(search.page(page.clone()), step, "{page:?}");
        }
    }

    const fn epoch() -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn reply(created: Timestamp) -> Candidate<u8> {
        Candidate { sid: 1, is_it: true, created: Some(created) }
    }

    fn other(created: Option<Timestamp>) -> Candidate<u8> {
        Candidate { sid: 2, is_it: false, created }
    }
}
