//! What an agent is told of the files of its turn: a link to each, the bytes of small ones, or why not.
//!
//! A link is made of what the message says, without asking anybody. The bytes are fetched, if the agent takes
//! them and the configuration lets it: so many of one file, of one turn, and of all turns that are thought
//! about. What is too large or gone is said, and the turn goes to the agent all the same; where Twilio is away
//! the turn waits, a few times, and then goes without.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use super::fetch::{Error, Fetch};
use super::link::{Link, Links};
use crate::clock::Clock;
use crate::thread::{Media, ThreadId, TurnMessage};
use crate::twilio::rest::FileName;
use crate::twilio::sid::AccountSid;

/// Bytes of files that one turn holds at most.
pub const TURN_BYTES_MAX: u64 = 16 << 20;

/// Bytes of files that all turns hold at once.
pub const HELD_BYTES_MAX: usize = 64 << 20;

/// How long a turn waits for others to give bytes back, before it goes without its own.
const ROOM_WITHIN: Duration = Duration::from_secs(10);

/// How long all files of a turn may take.
const FETCHED_WITHIN: Duration = Duration::from_secs(60);

/// Why the bytes of a file, or a link to it, are missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// It has more bytes than are passed on at all.
    TooLarge,
    /// It has more bytes than a turn holds; the link has them.
    OverInline,
    /// Twilio has it no more.
    Gone,
    /// It could not be fetched; the link may work later.
    Unavailable,
    /// Other turns hold too many bytes; the link has them.
    NoRoom,
    /// It is not known how this service is reached, so there is no link.
    NoPublicUrl,
    /// It is not where files of the account are.
    UnknownPlace,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::TooLarge,
        Self::OverInline,
        Self::Gone,
        Self::Unavailable,
        Self::NoRoom,
        Self::NoPublicUrl,
        Self::UnknownPlace,
    ];

    /// The word for agents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::OverInline => "over_inline",
            Self::Gone => "gone",
            Self::Unavailable => "unavailable",
            Self::NoRoom => "no_room",
            Self::NoPublicUrl => "no_public_url",
            Self::UnknownPlace => "unknown_place",
        }
    }
}

/// What there is of one file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Offer {
    /// The link to it.
    pub link: Option<Link>,
    /// The file itself.
    pub data: Option<Data>,
    /// Why one of them is missing that could have been expected.
    pub reason: Option<Reason>,
}

/// The bytes of a file, which are not printed.
#[derive(Clone, Eq, PartialEq)]
pub struct Data(pub Bytes);

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

/// What there is of all files of a turn, in their order.
#[derive(Clone, Debug, Default)]
pub struct Offers {
    /// By message and by file.
    of: Vec<Vec<Offer>>,
    /// What the bytes take of the room of all; given back with the last copy.
    held: Vec<Arc<OwnedSemaphorePermit>>,
}

impl Offers {
    /// What there is of a file: of the message at this place in the turn, the file at that place in it.
    #[must_use]
    pub fn of(&self, message: usize, file: usize) -> Option<&Offer> {
        self.of.get(message)?.get(file)
    }
}

/// What there is of files by message, which takes no room.
impl FromIterator<Vec<Offer>> for Offers {
    fn from_iter<I: IntoIterator<Item = Vec<Offer>>>(of: I) -> Self {
        Self { of: of.into_iter().collect(), held: Vec::new() }
    }
}

/// The files of turns.
#[derive(Debug)]
pub struct Files {
    links: Links,
    fetch: Fetch,
    account: AccountSid,
    limits: Limits,
    clock: Clock,
    room: Arc<Semaphore>,
}

/// How large files may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The largest file that is passed on.
    pub bytes_max: u64,
    /// The largest file that a turn holds; none does if it is zero.
    pub inline_max: u64,
}

impl Files {
    /// Takes what links are made with and what fetches.
    #[must_use]
    pub fn new(
        links: Links,
        fetch: Fetch,
        account: AccountSid,
        (limits, clock): (Limits, Clock),
    ) -> Self {
        let room = Arc::new(Semaphore::new(HELD_BYTES_MAX));
        Self { links, fetch, account, limits, clock, room }
    }

    /// Makes links to all files of a turn, asking nobody.
    #[must_use]
    pub fn linked(&self, thread: ThreadId, messages: &[TurnMessage]) -> Offers {
        let of_message =
            |one: &TurnMessage| one.media.iter().map(|file| self.link(thread, file).1).collect();
        messages.iter().map(of_message).collect()
    }

    /// Makes links to all files of a turn, and fetches those that it may hold.
    ///
    /// # Errors
    ///
    /// Where one could not be fetched and the turn can wait; one that cannot goes without.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives the files up.
    pub async fn offer(
        &self,
        thread: ThreadId,
        messages: &[TurnMessage],
        can_wait: bool,
    ) -> Result<Offers, Error> {
        let mut offers = Offers::default();
        let within = self.clock.now() + FETCHED_WITHIN;
        let mut left = TURN_BYTES_MAX;
        for message in messages {
            let mut of_message = Vec::with_capacity(message.media.len());
            for file in &message.media {
                let (name, mut offer) = self.link(thread, file);
                if let Some(name) = name.filter(|_| self.limits.inline_max > 0) {
                    let bytes_max = self.limits.inline_max.min(left);
                    let patience = within.since(self.clock.now());
                    let filled = self.fill(name, file.size, bytes_max);
                    let filled = tokio::time::timeout(patience, filled).await;
                    match filled.unwrap_or(Err(Error::Late(FETCHED_WITHIN))) {
                        Ok(Filled::Data(data, room)) => {
                            left = left.saturating_sub(length(&data));
                            offer.data = Some(Data(data));
                            offers.held.push(Arc::new(room));
                        }
                        Ok(Filled::Without(reason)) => offer = offer.without(reason),
                        Err(error) if can_wait => return Err(error),
                        Err(_) => offer = offer.without(Reason::Unavailable),
                    }
                }
                of_message.push(offer);
            }
            offers.of.push(of_message);
        }
        Ok(offers)
    }

    /// The name of a file by which it can be fetched, if it can, and what there is of it without that.
    fn link(&self, thread: ThreadId, file: &Media) -> (Option<FileName>, Offer) {
        let Some(name) = name(file, self.account) else {
            return (None, Offer::default().without(Reason::UnknownPlace));
        };
        if file.size.is_some_and(|size| size > self.limits.bytes_max) {
            return (None, Offer::default().without(Reason::TooLarge));
        }
        let link = self.links.link(thread, name, self.clock.wall());
        let reason = link.is_none().then_some(Reason::NoPublicUrl);
        (Some(name), Offer { link, data: None, reason })
    }

    async fn fill(
        &self,
        name: FileName,
        size: Option<u64>,
        bytes_max: u64,
    ) -> Result<Filled, Error> {
        if bytes_max == 0 || size.is_some_and(|size| size > bytes_max) {
            return Ok(Filled::Without(Reason::OverInline));
        }
        let permits = u32::try_from(bytes_max).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(permits);
        let Ok(Ok(room)) = tokio::time::timeout(ROOM_WITHIN, room).await else {
            return Ok(Filled::Without(Reason::NoRoom));
        };
        match self.read(name, bytes_max).await {
            Ok(Some(data)) => Ok(Filled::Data(data.clone(), fitting(room, &data))),
            Ok(None) => Ok(Filled::Without(Reason::OverInline)),
            Err(Error::Gone) => Ok(Filled::Without(Reason::Gone)),
            Err(Error::TooLarge { .. }) => Ok(Filled::Without(Reason::TooLarge)),
            Err(Error::Misled(_)) => Ok(Filled::Without(Reason::Unavailable)),
            Err(error) => Err(error),
        }
    }

    /// Reads a file; nothing if it has more bytes than a turn holds.
    async fn read(&self, name: FileName, bytes_max: u64) -> Result<Option<Bytes>, Error> {
        let mut opened = self.fetch.open(name, self.limits.bytes_max).await?;
        if opened.length.is_some_and(|length| length > bytes_max) {
            return Ok(None);
        }
        let mut data = BytesMut::new();
        while let Some(piece) = opened.next().await? {
            if length(&data) + length(&piece) > bytes_max {
                return Ok(None);
            }
            data.extend_from_slice(&piece);
        }
        Ok(Some(data.freeze()))
    }
}

/// What came of fetching a file.
enum Filled {
    Data(Bytes, OwnedSemaphorePermit),
    Without(Reason),
}

impl Offer {
    /// With a reason for what is missing. Whom no link helps gets none.
    fn without(self, reason: Reason) -> Self {
        let link = match reason {
            Reason::TooLarge | Reason::Gone | Reason::UnknownPlace => None,
            Reason::OverInline | Reason::Unavailable | Reason::NoRoom | Reason::NoPublicUrl => {
                self.link
            }
        };
        Self { link, data: None, reason: Some(reason) }
    }
}

/// Keeps of the room what the bytes take, and gives the rest back.
fn fitting(mut room: OwnedSemaphorePermit, data: &Bytes) -> OwnedSemaphorePermit {
    room.split(data.len()).unwrap_or(room)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// By which sids a file is found: those in its place, which must be one of the account's messages, or its own
/// in a conversation. Source: Messages, media, read 2026-11-21.
fn name(file: &Media, account: AccountSid) -> Option<FileName> {
    let Some(place) = &file.url else {
        return file.sid.map(FileName::OfConversation);
    };
    let place = Url::parse(place.reveal()).ok()?;
    let parts: Vec<&str> = place.path_segments()?.collect();
    let [_, "Accounts", of, "Messages", message, "Media", file] = *parts.as_slice() else {
        return None;
    };
    let is_ours = of.parse::<AccountSid>().is_ok_and(|of| of == account);
    let name = FileName::OfText { message: message.parse().ok()?, file: file.parse().ok()? };
    is_ours.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::sid::MediaSid;

    const H: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_file_is_found_by_the_sids_in_its_place_or_by_its_own() {
        let account = format!("AC{H}").parse().unwrap();
        let file: MediaSid = format!("ME{H}").parse().unwrap();
        let place = format!("/2010-04-01/Accounts/AC{H}/Messages/MM{H}/Media/ME{H}");
        let message = format!("MM{H}").parse().unwrap();
        let other = place.replacen("AC0", "AC1", 1);
        for (url, sid, expected) in [
            (None, Some(file), Some(FileName::OfConversation(file))),
            (None, None, None),
            (
                Some(format!("https://api.twilio.com{place}")),
                None,
                Some(FileName::OfText { message, file }),
            ),
            (Some(format!("https://api.twilio.com{other}")), Some(file), None),
            (Some(format!("https://api.twilio.com{place}/Content")), Some(file), None),
            (Some("https://api.twilio.com/0".to_owned()), Some(file), None),
            (Some("file:///etc/passwd".to_owned()), Some(file), None),
            (Some("nothing".to_owned()), Some(file), None),
        ] {
            let media = Media {
                sid,
                url: url.clone().map(Into::into),
                content_type: None,
                filename: None,
                size: None,
            };
            assert_eq!(name(&media, account), expected, "{url:?}");
        }
    }

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<&str> =
            Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
    }
}
