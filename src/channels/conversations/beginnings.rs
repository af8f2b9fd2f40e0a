//! What each conversation's messages were answered by before this service was there.
//!
//! Whatever a door brings of what was said under the bot's identities is looked at here before anything
//! is stored, and a turn asks here before it is taken. What that means is decided in
//! [`policy::beginning`](crate::channels::conversations::policy::beginning). What was found is kept in the
//! store, so that restarts and other instances know it too, for as long as a message may be answered; most
//! conversations have nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::channels::Seen;
use crate::channels::conversations::memory::ConversationMemory;
use crate::channels::conversations::policy::authors::{Author, Authors};
use crate::channels::conversations::policy::beginning::{
    self, Answered, Begin, Facts, Standing, Start, Whose,
};
use crate::clock::Timestamp;
use crate::queue::{Documents, Error, LostTimes, Marks};
use crate::telemetry::chain::Chain;
use crate::thread::TurnMessage;
use crate::twilio::sid::ConversationSid;

/// The document that says when the store was first used.
const BEGAN: &str = "began";

/// What is kept, and what is remembered of it.
#[derive(Debug)]
pub struct Beginnings {
    begin: Begin,
    start: Start,
    authors: Authors,
    kept: Kept,
}

/// Where things are kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// How far each conversation has been read.
    pub marks: Marks,
    /// What each was answered by.
    pub documents: Documents,
    /// What need not be read again.
    pub memory: Arc<ConversationMemory>,
}

/// A message that waits for its turn.
#[derive(Clone, Copy, Debug)]
pub struct Waiting<'a> {
    /// The message.
    pub message: &'a TurnMessage,
    /// When it was taken in.
    pub stored: Timestamp,
    /// Whether its conversation was read to its end since this process began.
    pub is_whole: bool,
}

impl Beginnings {
    /// Starts with what is known of the store.
    #[must_use]
    pub const fn new(begin: Begin, start: Start, authors: Authors, kept: Kept) -> Self {
        Self { begin, start, authors, kept }
    }

    /// Starts now, on a store that may have been used before, and does not know some times. What it cannot say
    /// counts as never used.
    pub async fn open(
        begin: Begin,
        (now, lost): (Timestamp, LostTimes),
        authors: Authors,
        kept: Kept,
    ) -> Self {
        let store = began(&kept.documents, now).await.unwrap_or_else(|error| {
            tracing::warn!(error = %Chain(&error),
                "store did not say since when it is used; it is taken for a new one");
            now
        });
        Self::new(begin, Start { process: now, store, lost }, authors, kept)
    }

    /// Looks at what doors have seen for words of who spoke as the bot before.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub async fn notice(&self, seen: &[Seen]) -> Result<(), Error> {
        if !self.looks_back() {
            return Ok(());
        }
        let mut last = BTreeMap::<_, Answered>::new();
        for Seen { thread, message, .. } in seen {
            let Some(conversation) = thread.id().conversation() else { continue };
            if let Some(answered) = self.word_of_before(conversation, message).await? {
                let last = last.entry(conversation).or_insert(answered);
                *last = last.later(answered);
            }
        }
        let kept = last.into_iter().map(|(conversation, last)| self.keep(conversation, last));
        futures::future::try_join_all(kept).await.map(drop)
    }

    /// What a message answers, if it is a word of who spoke as the bot before.
    async fn word_of_before(
        &self,
        conversation: ConversationSid,
        message: &TurnMessage,
    ) -> Result<Option<Answered>, Error> {
        let author = message.author.reveal();
        let (Some(index), Some(at)) = (message.index, message.created) else { return Ok(None) };
        if self.authors.judge(author) != Author::Ours {
            return Ok(None);
        }
        let is_marked = self.authors.reply(author, &message.attributes).is_some();
        let is_of_before = match self.start.whose(Some(at), is_marked) {
            Whose::Ours => false,
            Whose::Before => true,
            Whose::BeforeIfUnknown => {
                self.kept.marks.read(&conversation.to_string()).await?.is_none()
            }
        };
        Ok(is_of_before.then_some(Answered { index, at }))
    }

    async fn keep(&self, conversation: ConversationSid, answered: Answered) -> Result<(), Error> {
        if self.known(conversation).is_some_and(|last| last.index >= answered.index) {
            return Ok(());
        }
        let later = |before: Option<&[u8]>| match before.and_then(read) {
            Some(before) if before.index >= answered.index => None,
            Some(_) | None => Some(written(answered)),
        };
        let kept = self.kept.documents.update(&name(conversation), later).await?;
        self.knows(conversation, kept.and_then(|text| read(&text)).unwrap_or(answered));
        Ok(())
    }

    /// Whether a message is still to be answered.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub async fn standing(
        &self,
        conversation: ConversationSid,
        waiting: Waiting<'_>,
    ) -> Result<Standing, Error> {
        let Waiting { message, stored, is_whole } = waiting;
        let Some(index) = message.index else { return Ok(Standing::Open) };
        let created = message.created;
        let answered = if self.start.is_before(created) && self.looks_back() {
            self.answered(conversation).await?
        } else {
            None
        };
        let facts = Facts { index, created, stored, answered, is_whole };
        Ok(beginning::judge(self.begin, &self.start, &facts))
    }

    /// Whether anything that was said before answers anything.
    const fn looks_back(&self) -> bool {
        !matches!(self.begin, Begin::All) || self.start.is_restored()
    }

    async fn answered(&self, conversation: ConversationSid) -> Result<Option<Answered>, Error> {
        if let Some(answered) = self.known(conversation) {
            return Ok(Some(answered));
        }
        let Some(kept) = self.kept.documents.read(&name(conversation)).await? else {
            return Ok(None);
        };
        let answered = read(&kept);
        if let Some(answered) = answered {
            self.knows(conversation, answered);
        }
        Ok(answered)
    }

    fn known(&self, conversation: ConversationSid) -> Option<Answered> {
        self.kept.memory.of(conversation).answered
    }

    fn knows(&self, conversation: ConversationSid, answered: Answered) {
        self.kept.memory.change(conversation, |known| known.answered = Some(answered));
    }
}

/// Since when the store is used: from now on, if it never was.
async fn began(documents: &Documents, now: Timestamp) -> Result<Timestamp, Error> {
    let first =
        |before: Option<&[u8]>| before.is_none().then(|| now.as_millis().to_string().into_bytes());
    let kept = documents.update(BEGAN, first).await?;
    let millis = kept.and_then(|text| std::str::from_utf8(&text).ok()?.parse().ok());
    Ok(millis.map_or(now, Timestamp::from_millis))
}

/// The place and the time, in this order.
fn written(answered: Answered) -> Vec<u8> {
    format!("{} {}", answered.index, answered.at.as_millis()).into_bytes()
}

fn read(kept: &[u8]) -> Option<Answered> {
    let (index, at) = std::str::from_utf8(kept).ok()?.split_once(' ')?;
    Some(Answered { index: index.parse().ok()?, at: Timestamp::from_millis(at.parse().ok()?) })
}

fn name(conversation: ConversationSid) -> String {
    format!("{}answered.{conversation}", Documents::SHORT_LIVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again() {
        let answered = Answered { index: 7, at: Timestamp::from_millis(1_795_000_000_000) };
        assert_eq!(written(answered), b"7 1795000000000");
        assert_eq!(read(&written(answered)), Some(answered));
        assert_eq!(read(b"7"), None);
    }
}
