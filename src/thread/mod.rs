//! Where something is said and by whom: the words that the pipeline shares with every channel. Pure.
//!
//! A [`Thread`] is a conversation, or a pair of addresses that write to each other directly. Which of
//! the two it is concerns its channel alone; everybody else names it by its [`ThreadId`].

mod cause;
mod message;
mod message_id;
mod past;
mod skip;
mod speaker;

use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::cause::CauseClass;
pub use self::message::{Button, Extras, Media, Reply, TurnMessage};
pub use self::message_id::{MessageId, ParseMessageIdError};
pub use self::past::{Budget, Gathered, HISTORY_CHARS_MAX, HISTORY_MESSAGES_MAX, Past, merged};
pub use self::skip::SkipReason;
pub use self::speaker::Speaker;
use crate::bytes16;
use crate::pii::Pii;
use crate::twilio::sid::{self, ConversationSid};

/// Where a turn comes from and its replies go: what keeps order.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Thread {
    /// A conversation of Twilio Conversations.
    Conversation(ConversationSid),
    /// Two addresses that write to each other without one.
    Direct(Box<Pair>),
}

/// An address of ours and one of somebody else, and the medium between them.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Pair {
    /// The medium.
    pub medium: Medium,
    /// Our address, or the messaging service that stands for several.
    pub ours: Pii,
    /// Theirs.
    pub theirs: Pii,
}

/// By what a direct message goes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Medium {
    /// SMS and MMS.
    Sms,
    /// WhatsApp.
    Whatsapp,
    /// RCS.
    Rcs,
}

impl Medium {
    /// Its word, as in addresses such as `whatsapp:+15555550100`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Whatsapp => "whatsapp",
            Self::Rcs => "rcs",
        }
    }
}

/// Names a thread, and nobody's number: what maps, lanes, logs and traces use.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ThreadId {
    kind: ThreadKind,
    bytes: [u8; 16],
}

/// Of which kind a thread is: by this its channel is found, and nothing else is to be asked of it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ThreadKind {
    /// A conversation.
    Conversation,
    /// A pair of addresses.
    Direct,
}

impl ThreadKind {
    /// What the ids of such threads begin with.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Conversation => CONVERSATION,
            Self::Direct => DIRECT,
        }
    }
}

/// Says why a text names no thread. Never holds the text itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a thread: wanted {CONVERSATION} or {DIRECT} followed by 32 hexadecimal digits")]
pub struct ParseThreadIdError;

/// What the id of a conversation begins with: it is the conversation's own sid.
const CONVERSATION: &str = ConversationSid::PREFIX;
/// What the id of a direct thread begins with.
const DIRECT: &str = "TH";

impl From<Pair> for Thread {
    fn from(pair: Pair) -> Self {
        Self::Direct(Box::new(pair))
    }
}

impl Thread {
    /// The thread that an id alone says all of.
    #[must_use]
    pub fn named(id: ThreadId) -> Option<Self> {
        id.conversation().map(Self::Conversation)
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> ThreadId {
        match self {
            Self::Conversation(sid) => (*sid).into(),
            Self::Direct(pair) => ThreadId::of_pair(pair),
        }
    }

    /// By what it goes, in a word for who is outside: `conversation`, or a medium's.
    #[must_use]
    pub fn channel(&self) -> &'static str {
        self.pair().map_or("conversation", |pair| pair.medium.as_str())
    }

    /// Our address, where it is of two that write to each other directly.
    #[must_use]
    pub fn ours(&self) -> Option<&Pii> {
        self.pair().map(|pair| &pair.ours)
    }

    /// The other's address, where it is of two that write to each other directly.
    #[must_use]
    pub fn theirs(&self) -> Option<&Pii> {
        self.pair().map(|pair| &pair.theirs)
    }

    /// The two addresses, for the channel whose threads are of two that write to each other directly.
    #[must_use]
    pub fn pair(&self) -> Option<&Pair> {
        match self {
            Self::Conversation(_) => None,
            Self::Direct(pair) => Some(pair),
        }
    }
}

impl Pair {
    /// The first bytes of a digest of the pair, however its addresses are written.
    fn digest(&self) -> [u8; 16] {
        let parts = [self.medium.as_str(), &plain(&self.ours), &plain(&self.theirs)];
        bytes16::digest(parts.map(str::as_bytes))
    }
}

/// An address as it is compared: without its medium's word and the marks that people put into numbers.
#[must_use]
pub(crate) fn plain(address: &Pii) -> String {
    let address = address.reveal().trim();
    let media = [Medium::Sms, Medium::Whatsapp, Medium::Rcs];
    let bare =
        media.iter().find_map(|medium| address.strip_prefix(medium.as_str())?.strip_prefix(':'));
    let bare = bare.unwrap_or(address);
    if bare.starts_with('+') {
        bare.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')')).collect()
    } else {
        bare.to_owned()
    }
}

impl ThreadId {
    /// The name of a conversation.
    #[must_use]
    pub const fn of_conversation(sid: ConversationSid) -> Self {
        Self { kind: ThreadKind::Conversation, bytes: *sid.as_bytes() }
    }

    /// The name of a pair's thread.
    #[must_use]
    pub fn of_pair(pair: &Pair) -> Self {
        Self { kind: ThreadKind::Direct, bytes: pair.digest() }
    }

    /// Of which kind its thread is.
    #[must_use]
    pub const fn kind(&self) -> ThreadKind {
        self.kind
    }

    /// The conversation that it names, for the channel of conversations.
    #[must_use]
    pub fn conversation(&self) -> Option<ConversationSid> {
        match self.kind {
            ThreadKind::Conversation => Some(ConversationSid::from_bytes(self.bytes)),
            ThreadKind::Direct => None,
        }
    }

    /// The 16 bytes of its digits.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.bytes
    }
}

impl From<ConversationSid> for ThreadId {
    fn from(sid: ConversationSid) -> Self {
        Self::of_conversation(sid)
    }
}

impl From<ConversationSid> for Thread {
    fn from(sid: ConversationSid) -> Self {
        Self::Conversation(sid)
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        sid::write_sid(f, self.kind.prefix(), &self.bytes)
    }
}

/// A thread is printed by its name, which holds nobody's number.
impl fmt::Display for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id().fmt(f)
    }
}

/// Of a conversation, whose name says all; a pair cannot be made of its name.
impl FromStr for Thread {
    type Err = ParseThreadIdError;

    fn from_str(text: &str) -> Result<Self, ParseThreadIdError> {
        text.parse().map(Self::Conversation).map_err(|_| ParseThreadIdError)
    }
}

impl From<&Thread> for ThreadId {
    fn from(thread: &Thread) -> Self {
        thread.id()
    }
}

impl fmt::Debug for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ThreadId {
    type Err = ParseThreadIdError;

    fn from_str(text: &str) -> Result<Self, ParseThreadIdError> {
        let mut kinds = [ThreadKind::Conversation, ThreadKind::Direct].into_iter();
        kinds
            .find_map(|kind| Some(Self { kind, bytes: sid::parse(kind.prefix(), text)? }))
            .ok_or(ParseThreadIdError)
    }
}

impl Serialize for ThreadId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ThreadId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// A conversation is written as its sid, as releases did that knew no other kind; a pair as an object.
impl Serialize for Thread {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Conversation(sid) => sid.serialize(serializer),
            Self::Direct(pair) => pair.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Thread {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum StoredThread {
            Conversation(ConversationSid),
            Direct(Pair),
            Other(IgnoredAny),
        }
        match StoredThread::deserialize(deserializer)? {
            StoredThread::Conversation(sid) => Ok(Self::Conversation(sid)),
            StoredThread::Direct(pair) => Ok(Self::Direct(Box::new(pair))),
            // Not told by what is there, which may be a number.
            StoredThread::Other(_) => Err(D::Error::custom("not a thread")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SID: &str = "CH0123456789abcdef0123456789abcdef";

    #[test]
    fn a_conversation_is_named_by_its_own_sid() {
        let sid: ConversationSid = SID.parse().unwrap();
        let thread = Thread::from(sid);
        assert_eq!(thread.id().to_string(), SID);
        assert_eq!(thread.id().as_bytes(), sid.as_bytes());
        assert_eq!(SID.parse(), Ok(thread.id()));
        assert_eq!(serde_json::to_string(&thread).unwrap(), format!("\"{SID}\""));
        assert_eq!(serde_json::from_str::<Thread>(&format!("\"{SID}\"")).unwrap(), thread);
    }

    #[test]
    fn a_pair_is_named_by_who_writes_to_whom_however_that_is_written() {
        let id = |medium, ours: &str, theirs: &str| pair(medium, ours, theirs).id();
        let first = id(Medium::Whatsapp, "whatsapp:+15555550100", "whatsapp:+15555550123");
        assert_eq!(first, id(Medium::Whatsapp, "+15555550100", " +1 (555) 555-0123"));
        for other in [
            id(Medium::Sms, "+15555550100", "+15555550123"),
            id(Medium::Whatsapp, "+15555550123", "+15555550100"),
            id(Medium::Whatsapp, "+1555555010", "0+15555550123"),
        ] {
            assert_ne!(first, other);
        }
        assert!(first.to_string().starts_with("TH"));
        assert_eq!(first.to_string().parse(), Ok(first));
        // What is stored, in logs and in queues must mean the same in the next release.
        assert_eq!(first.to_string(), PINNED);
    }

    #[test]
    fn a_pair_is_kept_whole_and_printed_by_nobody() {
        let thread = pair(Medium::Sms, "+15555550100", "+15555550123");
        let stored = serde_json::to_string(&thread).unwrap();
        assert_eq!(stored, r#"{"medium":"sms","ours":"+15555550100","theirs":"+15555550123"}"#);
        assert_eq!(serde_json::from_str::<Thread>(&stored).unwrap(), thread);
        assert!(!format!("{thread:?} {}", thread.id()).contains("5555"));
    }

    #[test]
    fn what_names_no_thread_is_refused_without_being_repeated() {
        for text in ["", "CH", "TH12", "IM0123456789abcdef0123456789abcdef", "+15555550123"] {
            assert_eq!(text.parse::<ThreadId>(), Err(ParseThreadIdError), "{text}");
            let stored = serde_json::to_string(text).unwrap();
            let error = serde_json::from_str::<Thread>(&stored).unwrap_err();
            assert!(!error.to_string().contains("5555"), "{error}");
        }
    }

    fn pair(medium: Medium, ours: &str, theirs: &str) -> Thread {
        Thread::Direct(Box::new(Pair { medium, ours: ours.into(), theirs: theirs.into() }))
    }

    /// Made once by another program, see [`Pair::digest`].
    const PINNED: &str = "THfa71b98b9c3fc2f2d36ea71f6ded7946";
}
