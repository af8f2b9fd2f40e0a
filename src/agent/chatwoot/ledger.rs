//! Which number each conversation has with the bot, which of its messages wait for the bot's word, and
//! which of its calls are under way: a small document a conversation, in the store for all instances.
//!
//! It is written before a message is posted, so that no call of the bot is faster, and holds nothing that
//! people wrote. A call is noted before its words are stored and crossed out as it is answered; what is
//! not crossed out was broken off, so the same words are that call once more, whatever was asked meanwhile.
//! A document is forgotten with the ids of jobs, after which the next message gives the conversation
//! the same number again.

use serde::{Deserialize, Serialize};

use super::ids;
use crate::json;
use crate::queue::{Documents, Error};
use crate::thread::{MessageId, ThreadId};

/// How many messages of a conversation may wait for the bot's word at once, and how many that have it are
/// remembered.
const TURNS_MAX: usize = 32;

/// How many calls of a conversation may be under way, or broken off, at once.
const CALLS_MAX: usize = 16;

/// How often a turn may have been asked anew whose message a word names; who redrives it asks once more.
const ASKED_MAX: u32 = 16;

/// What is known of a conversation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct TalkNote {
    /// The conversation.
    pub(super) thread: ThreadId,
    /// The turns that were posted and that the bot has said nothing to, oldest first.
    #[serde(default, deserialize_with = "json::null_as_default")]
    pub(super) open: Vec<MessageId>,
    /// Those that it has said something to, oldest first.
    #[serde(default, deserialize_with = "json::null_as_default")]
    pub(super) heard: Vec<MessageId>,
    /// The turn that is being posted, if one is: what the bot says meanwhile it says to that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) posting: Option<MessageId>,
    /// The calls that were not answered yet, oldest first.
    #[serde(
        default,
        deserialize_with = "json::null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(super) calls: Vec<OpenCall>,
}

/// A call of the bot that was not answered yet.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct OpenCall {
    /// A digest of what it says.
    words: String,
    /// The turn that its words belong to, which is part of what makes them count once.
    pub(super) turn: Option<MessageId>,
    /// The turns that it answers.
    pub(super) answers: Vec<MessageId>,
}

/// What a turn is posted under.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Noted {
    /// The conversation's number.
    pub(super) number: u64,
    /// Whether the bot has said something to the turn already.
    pub(super) is_heard: bool,
}

impl TalkNote {
    fn new(thread: ThreadId) -> Self {
        Self { thread, open: Vec::new(), heard: Vec::new(), posting: None, calls: Vec::new() }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        // One that this release cannot read is none.
        json::from_slice(bytes).ok()
    }

    fn written(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("names and keys are always JSON")
    }

    fn ask(&mut self, turn: MessageId) {
        self.open.retain(|open| *open != turn);
        self.open.push(turn);
        self.posting = Some(turn);
        keep_newest(&mut self.open);
    }

    /// The turns that a word of the bot answers: the one that it names, else the one that it is told of at that
    /// moment, else all that wait.
    pub(super) fn answered_by(&self, in_reply_to: Option<u64>) -> Vec<MessageId> {
        let is_named = |turn: &&MessageId| {
            (0..=ASKED_MAX).any(|asked| Some(ids::of_message(**turn, asked)) == in_reply_to)
        };
        match self.open.iter().chain(&self.heard).find(is_named) {
            Some(turn) => vec![*turn],
            None => match self.posting.filter(|posting| self.open.contains(posting)) {
                Some(posting) => vec![posting],
                None => self.open.clone(),
            },
        }
    }

    /// The turn that what is said now belongs to.
    pub(super) fn latest(&self) -> Option<MessageId> {
        self.open.last().or(self.heard.last()).copied()
    }

    /// The call that says this: the one that was broken off, else a new one.
    fn call(&self, words: u128, in_reply_to: Option<u64>) -> OpenCall {
        let words = format!("{words:032x}");
        if let Some(call) = self.calls.iter().find(|call| call.words == words) {
            return call.clone();
        }
        let answers = self.answered_by(in_reply_to);
        let turn = answers.last().copied().or_else(|| self.latest());
        OpenCall { words, turn, answers }
    }

    fn begin(&mut self, call: &OpenCall) {
        if self.calls.iter().all(|known| known.words != call.words) {
            self.calls.push(call.clone());
            let _oldest = self.calls.drain(..self.calls.len().saturating_sub(CALLS_MAX));
        }
    }

    fn hear(&mut self, turns: &[MessageId]) {
        self.open.retain(|open| !turns.contains(open));
        self.heard.retain(|heard| !turns.contains(heard));
        self.heard.extend(turns);
        keep_newest(&mut self.heard);
    }
}

fn keep_newest(turns: &mut Vec<MessageId>) {
    let _oldest = turns.drain(..turns.len().saturating_sub(TURNS_MAX));
}

/// The documents.
#[derive(Clone, Debug)]
pub(super) struct Ledger(pub(super) Documents);

impl Ledger {
    /// Notes that a turn is about to be posted; on disk when it returns.
    ///
    /// # Errors
    ///
    /// If the store failed, or more conversations want the same numbers than chance gives.
    pub(super) async fn ask(&self, thread: ThreadId, turn: MessageId) -> Result<Noted, Error> {
        let change = |before: Option<&[u8]>| {
            let mut note = before.and_then(TalkNote::read).unwrap_or(TalkNote::new(thread));
            if note.thread != thread || note.heard.contains(&turn) {
                return None;
            }
            note.ask(turn);
            Some(note.written())
        };
        for at in 0..ids::TRIES_MAX {
            let number = ids::of_thread(thread, at);
            let stands = self.0.update(&name(number), change).await?;
            let note = stands.as_deref().and_then(TalkNote::read);
            if let Some(note) = note.filter(|note| note.thread == thread) {
                return Ok(Noted { number, is_heard: note.heard.contains(&turn) });
            }
        }
        Err(Error::Invalid { what: "all numbers of the conversation are taken" })
    }

    /// Notes that the post of a turn has ended, however it did.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub(super) async fn posted(&self, number: u64, turn: MessageId) -> Result<(), Error> {
        let posted = |note: &mut TalkNote| {
            note.posting = note.posting.filter(|posting| *posting != turn);
        };
        self.change(number, posted).await.map(drop)
    }

    /// Notes that a turn was not posted after all.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub(super) async fn unask(&self, number: u64, turn: MessageId) -> Result<(), Error> {
        let unask = |note: &mut TalkNote| {
            note.open.retain(|open| *open != turn);
            note.heard.retain(|heard| *heard != turn);
        };
        self.change(number, unask).await.map(drop)
    }

    /// Looks up a conversation by its number.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub(super) async fn find(&self, number: u64) -> Result<Option<TalkNote>, Error> {
        Ok(self.0.read(&name(number)).await?.as_deref().and_then(TalkNote::read))
    }

    /// Notes that a call says these words, before they are stored; gives the call.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub(super) async fn begin(
        &self,
        (number, note): (u64, &TalkNote),
        words: u128,
        in_reply_to: Option<u64>,
    ) -> Result<OpenCall, Error> {
        let begin = |note: &mut TalkNote| note.begin(&note.call(words, in_reply_to));
        let stands = self.change(number, begin).await?;
        Ok(stands.as_ref().unwrap_or(note).call(words, in_reply_to))
    }

    /// Notes that a call's words are stored, and that it is answered now.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub(super) async fn end(&self, number: u64, call: &OpenCall) -> Result<(), Error> {
        let end = |note: &mut TalkNote| {
            note.hear(&call.answers);
            note.calls.retain(|known| known.words != call.words);
        };
        self.change(number, end).await.map(drop)
    }

    /// Notes that the bot has said something to these turns.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub(super) async fn hear(&self, number: u64, turns: &[MessageId]) -> Result<(), Error> {
        self.change(number, |note| note.hear(turns)).await.map(drop)
    }

    /// Changes what is known of a conversation, if anything is; gives that.
    async fn change(
        &self,
        number: u64,
        change: impl Fn(&mut TalkNote) + Send,
    ) -> Result<Option<TalkNote>, Error> {
        let change = move |before: Option<&[u8]>| {
            let before = before.and_then(TalkNote::read)?;
            let mut note = before.clone();
            change(&mut note);
            (note != before).then(|| note.written())
        };
        let stands = self.0.update(&name(number), change).await?;
        Ok(stands.as_deref().and_then(TalkNote::read))
    }
}

fn name(number: u64) -> String {
    format!("{}chatwoot/{number}", Documents::SHORT_LIVED)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::queue::{Store, embedded};
    use crate::twilio::sid::{ConversationSid as Sid, MessageSid};

    fn turn(n: u8) -> MessageId {
        MessageSid::from_bytes([n; 16]).into()
    }

    fn thread(n: u8) -> ThreadId {
        ThreadId::of_conversation(Sid::from_bytes([n; 16]))
    }

    fn open(place: &TempDir) -> Store {
        Store::open(embedded::Options::new(place.path().join("queue.db"))).unwrap()
    }

    #[tokio::test]
    async fn a_conversation_has_one_number_also_after_a_restart() {
        let place = TempDir::new().unwrap();
        let store = open(&place);
        let ledger = Ledger(store.documents());
        let noted = ledger.ask(thread(1), turn(1)).await.unwrap();
        assert!(!noted.is_heard);
        store.close().await;
        let store = open(&place);
        let ledger = Ledger(store.documents());
        assert_eq!(ledger.ask(thread(1), turn(2)).await.unwrap().number, noted.number);
        let note = ledger.find(noted.number).await.unwrap().unwrap();
        assert_eq!((note.thread, note.open), (thread(1), vec![turn(1), turn(2)]));
        assert_eq!(ledger.find(noted.number + 1).await.unwrap(), None);
        store.close().await;
    }

    #[tokio::test]
    async fn whoever_comes_second_to_a_number_gets_another_and_keeps_it() {
        let place = TempDir::new().unwrap();
        let store = open(&place);
        let ledger = Ledger(store.documents());
        let taken = TalkNote::new(thread(9)).written();
        let wanted = ids::of_thread(thread(1), 0);
        ledger.0.update(&name(wanted), |_| Some(taken.clone())).await.unwrap();
        for n in [1, 2] {
            let noted = ledger.ask(thread(1), turn(n)).await.unwrap();
            assert_eq!(noted.number, ids::of_thread(thread(1), 1));
        }
        assert_eq!(ledger.find(wanted).await.unwrap().unwrap().thread, thread(9));
        store.close().await;
    }

    #[tokio::test]
    async fn a_turn_that_was_heard_is_not_posted_again() {
        let place = TempDir::new().unwrap();
        let store = open(&place);
        let ledger = Ledger(store.documents());
        let number = ledger.ask(thread(1), turn(1)).await.unwrap().number;
        ledger.hear(number, &[turn(1)]).await.unwrap();
        assert!(ledger.ask(thread(1), turn(1)).await.unwrap().is_heard);
        let note = ledger.find(number).await.unwrap().unwrap();
        assert!(note.open.is_empty());
        assert_eq!(note.latest(), Some(turn(1)));
        store.close().await;
    }

    #[test]
    fn a_word_answers_what_it_names_else_all_that_wait() {
        let mut note = TalkNote::new(thread(1));
        for n in 0..=40 {
            note.ask(turn(n));
        }
        assert_eq!(note.answered_by(None), [turn(40)], "it is told of that one");
        note.posting = None;
        assert_eq!(note.open.len(), TURNS_MAX);
        assert_eq!(note.answered_by(None).len(), TURNS_MAX);
        assert_eq!(note.answered_by(Some(ids::of_message(turn(20), 1))), [turn(20)]);
        assert_eq!(note.answered_by(Some(7)).len(), TURNS_MAX, "a number of nothing that is known");
        note.hear(&[turn(20)]);
        let named = Some(ids::of_message(turn(20), 0));
        assert_eq!(note.answered_by(named), [turn(20)], "said to it once more");
    }

    #[tokio::test]
    async fn a_call_that_was_broken_off_is_the_same_call_whatever_was_asked_meanwhile() {
        let place = TempDir::new().unwrap();
        let store = open(&place);
        let ledger = Ledger(store.documents());
        let number = ledger.ask(thread(1), turn(1)).await.unwrap().number;
        ledger.posted(number, turn(1)).await.unwrap();
        let begin = async |words| {
            let note = ledger.find(number).await.unwrap().unwrap();
            ledger.begin((number, &note), words, None).await.unwrap()
        };
        let first = begin(7).await;
        assert_eq!((first.turn, first.answers.as_slice()), (Some(turn(1)), &[turn(1)][..]));
        // Here it breaks off, and somebody writes.
        ledger.ask(thread(1), turn(2)).await.unwrap();
        assert_eq!(begin(7).await, first);
        assert_eq!(begin(8).await.turn, Some(turn(2)), "other words are another call");
        ledger.end(number, &first).await.unwrap();
        let note = ledger.find(number).await.unwrap().unwrap();
        assert_eq!((note.open.as_slice(), note.heard.as_slice()), (&[turn(2)][..], &[turn(1)][..]));
        assert_eq!(begin(7).await.turn, Some(turn(2)), "that one was answered");
        for words in 100..140 {
            begin(words).await;
        }
        let note = ledger.find(number).await.unwrap().unwrap();
        assert_eq!(note.calls.len(), CALLS_MAX);
        store.close().await;
    }
}
