//! Links to files, which nobody else can make. Pure.
//!
//! A link is the public base, [`PATH`] and a token: the thread, the file, the second at which it ends, and an
//! HMAC over these with a key of the installation, in base64. It opens one file until then, to whoever has
//! it, so it is a secret like the file. Nothing is kept of it: all instances read each other's links, and
//! with another secret all older links are none.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;

use crate::clock::Timestamp;
use crate::derived_key::DerivedKey;
use crate::pii::Pii;
use crate::thread::ThreadId;
use crate::twilio::rest::FileName;
use crate::twilio::sid::{MediaSid, MmsSid, SmsSid, TextSid};

/// Where links lead, below the public base; the token follows.
pub const PATH: &str = "/media/";

/// What tells these keys from all else that is made with the same secret.
const LABEL: &[u8] = b"chimein media links 1";

/// The form of what is signed.
const VERSION: u8 = 1;

/// Bytes of what is signed: version, thread with its kind, file with its kind, end.
const CLAIM_BYTES: usize = 1 + 2 + 16 + 1 + 16 + 16 + 8;

/// Bytes of the signature.
const MAC_BYTES: usize = 32;

/// The longest text that can be a token.
const TOKEN_BYTES_MAX: usize = (CLAIM_BYTES + MAC_BYTES).div_ceil(3) * 4;

/// What a link opens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileGrant {
    /// The thread that the file was said in.
    pub thread: ThreadId,
    /// The file.
    pub file: FileName,
    /// When it ends.
    pub until: Timestamp,
}

/// A link, and until when it counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// The whole URL, as secret as the file.
    pub url: Pii,
    /// When it ends.
    pub until: Timestamp,
}

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidLink {
    /// It is none of ours: made by somebody else, changed, or of an older secret.
    #[error("the link is none that was given out here")]
    Forged,
    /// It was one.
    #[error("the link has expired")]
    Expired,
}

/// Makes and reads links.
#[derive(Clone, Debug)]
pub struct Links {
    key: DerivedKey,
    base: Option<String>,
    lifetime: Duration,
}

impl Links {
    /// Derives the key from a secret of the installation. `base` is how this service is reached from outside,
    /// without a slash at its end; where that is not known no link is made.
    #[must_use]
    pub fn new(secret: &SecretString, base: Option<String>, lifetime: Duration) -> Self {
        Self { key: DerivedKey::of(secret, LABEL), base, lifetime }
    }

    /// Makes a link to a file of a thread; none if it is not known how this service is reached.
    #[must_use]
    pub fn link(&self, thread: ThreadId, file: FileName, now: Timestamp) -> Option<Link> {
        let base = self.base.as_deref()?;
        let lifetime = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX);
        let ends = now.as_secs().saturating_add(lifetime);
        let until = Timestamp::from_millis(ends.saturating_mul(1000));
        let token = self.token(FileGrant { thread, file, until });
        Some(Link { url: Pii::new(format!("{base}{PATH}{token}")), until })
    }

    /// Makes the same link anew, if a URL is one of this thread, so that it counts for as long as a new one.
    ///
    /// A reply may wait for its turn to be sent, and with it a link that an agent has answered with.
    #[must_use]
    pub fn renewed(&self, url: &Pii, thread: ThreadId, now: Timestamp) -> Option<Pii> {
        let token = url.reveal().strip_prefix(self.base.as_deref()?)?.strip_prefix(PATH)?;
        let grant = self.proven(token).filter(|grant| grant.thread == thread)?;
        Some(self.link(thread, grant.file, now)?.url)
    }

    /// Reads a token.
    ///
    /// # Errors
    ///
    /// See [`InvalidLink`].
    pub fn read(&self, token: &str, now: Timestamp) -> Result<FileGrant, InvalidLink> {
        let grant = self.proven(token).ok_or(InvalidLink::Forged)?;
        if grant.until <= now { Err(InvalidLink::Expired) } else { Ok(grant) }
    }

    /// The token of a grant.
    #[must_use]
    pub fn token(&self, grant: FileGrant) -> String {
        let mut bytes = claim(grant);
        let mac = self.key.sign(&bytes);
        bytes.extend_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a token says, if it was made here; compared in constant time.
    fn proven(&self, token: &str) -> Option<FileGrant> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        if bytes.len() != CLAIM_BYTES + MAC_BYTES {
            return None;
        }
        let (claimed, mac) = bytes.split_at(CLAIM_BYTES);
        if self.key.signed(claimed, mac) { read(claimed) } else { None }
    }
}

/// What is signed. Every part has its fixed place, so that nothing can be read as something else.
fn claim(grant: FileGrant) -> Vec<u8> {
    let FileGrant { thread, file, until } = grant;
    let (kind, message, file) = match file {
        FileName::OfConversation(file) => (b'C', [0; 16], file),
        FileName::OfText { message: TextSid::Sms(sid), file } => (b'S', *sid.as_bytes(), file),
        FileName::OfText { message: TextSid::Mms(sid), file } => (b'M', *sid.as_bytes(), file),
    };
    // The prefix of a thread's name is that of its kind.
    let name = thread.to_string();
    let seconds = until.as_secs().to_be_bytes();
    let parts: [&[u8]; 7] = [
        &[VERSION],
        &name.as_bytes()[..2],
        thread.as_bytes(),
        &[kind],
        &message,
        file.as_bytes(),
        &seconds,
    ];
    parts.concat()
}

/// Reads what was signed.
fn read(bytes: &[u8]) -> Option<FileGrant> {
    let (version, rest) = bytes.split_first_chunk::<1>()?;
    let (prefix, rest) = rest.split_first_chunk::<2>()?;
    let (thread, rest) = rest.split_first_chunk::<16>()?;
    let (kind, rest) = rest.split_first_chunk::<1>()?;
    let (message, rest) = rest.split_first_chunk::<16>()?;
    let (file, rest) = rest.split_first_chunk::<16>()?;
    let (seconds, rest) = rest.split_first_chunk::<8>()?;
    let file = MediaSid::from_bytes(*file);
    let file = match kind {
        b"C" => FileName::OfConversation(file),
        b"S" => FileName::OfText { message: TextSid::Sms(SmsSid::from_bytes(*message)), file },
        b"M" => FileName::OfText { message: TextSid::Mms(MmsSid::from_bytes(*message)), file },
        _ => return None,
    };
    let mut name = std::str::from_utf8(prefix).ok()?.to_owned();
    for byte in thread {
        write!(name, "{byte:02x}").ok()?;
    }
    let thread = name.parse().ok()?;
    let until = Timestamp::from_millis(i64::from_be_bytes(*seconds).saturating_mul(1000));
    (*version == [VERSION] && rest.is_empty()).then_some(FileGrant { thread, file, until })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_link_opens_its_file_until_it_ends() {
        let links = links("secret");
        for file in files() {
            for thread in threads() {
                let link = links.link(thread, file, at(0)).unwrap();
                assert_eq!(link.until, at(3600));
                let token = token(&link);
                assert!(
                    token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
                );
                let grant = FileGrant { thread, file, until: at(3600) };
                assert_eq!(links.read(token, at(3599)), Ok(grant));
                assert_eq!(links.read(token, at(3600)), Err(InvalidLink::Expired));
            }
        }
    }

    #[test]
    fn a_token_with_any_letter_changed_is_forged() {
        let links = links("secret");
        let link = links.link(threads()[0], files()[1], at(0)).unwrap();
        let token = token(&link);
        for place in 0..token.len() {
            for letter in ["A", "B", "_", "=", "/"] {
                let mut changed = token.to_owned();
                changed.replace_range(place..=place, letter);
                if changed != token {
                    assert_eq!(links.read(&changed, at(0)), Err(InvalidLink::Forged), "{place}");
                }
            }
        }
        for other in ["", "A", &token[1..], &token[..token.len() - 1], &format!("{token}A")] {
            assert_eq!(links.read(other, at(0)), Err(InvalidLink::Forged), "{other}");
        }
    }

    #[test]
    fn the_signature_of_one_link_fits_no_other() {
        let links = links("secret");
        let [one, other] = threads().map(|thread| links.link(thread, files()[1], at(0)).unwrap());
        let decode = |link: &Link| URL_SAFE_NO_PAD.decode(token(link)).unwrap();
        let (one, other) = (decode(&one), decode(&other));
        let mixed = [&one[..CLAIM_BYTES], &other[CLAIM_BYTES..]].concat();
        let mixed = URL_SAFE_NO_PAD.encode(mixed);
        assert_eq!(links.read(&mixed, at(0)), Err(InvalidLink::Forged));
        let own = links.link(threads()[0], files()[0], at(0)).unwrap();
        let elsewhere = super::tests::links("another");
        assert_eq!(elsewhere.read(token(&own), at(0)), Err(InvalidLink::Forged));
    }

    #[test]
    fn a_link_is_made_anew_for_its_own_thread_alone() {
        let links = links("secret");
        let [own, others] = threads();
        let link = links.link(own, files()[0], at(0)).unwrap();
        // However late: it was proven to be ours.
        let anew = links.renewed(&link.url, own, at(9000)).unwrap();
        let token = anew.reveal().strip_prefix("https://h/p/media/").unwrap();
        assert_eq!(links.read(token, at(9001)).unwrap().until, at(12_600));
        assert_eq!(links.renewed(&link.url, others, at(0)), None);
        for url in ["https://h/p/media/x", "https://h/p/other", "https://files.example/a"] {
            assert_eq!(links.renewed(&url.into(), own, at(0)), None, "{url}");
        }
    }

    #[test]
    fn without_a_public_base_there_are_no_links_and_no_secret_is_shown() {
        let secret = SecretString::from("planted");
        let links = Links::new(&secret, None, HOUR);
        assert_eq!(links.link(threads()[0], files()[0], at(0)), None);
        assert!(!format!("{links:?}").contains("planted"));
        let link = super::tests::links("planted").link(threads()[0], files()[0], at(0));
        assert!(!format!("{link:?}").contains("/media/"), "{link:?}");
    }

    fn links(secret: &str) -> Links {
        Links::new(&SecretString::from(secret), Some("https://h/p".to_owned()), HOUR)
    }

    fn token(link: &Link) -> &str {
        link.url.reveal().strip_prefix("https://h/p/media/").unwrap()
    }

    fn threads() -> [ThreadId; 2] {
        ["CH", "TH"].map(|kind| format!("{kind}{:032x}", 7).parse().unwrap())
    }

    fn files() -> [FileName; 3] {
        let file = MediaSid::from_bytes([9; 16]);
        let text = |kind: &str| FileName::OfText {
            message: format!("{kind}{:032x}", 8).parse().unwrap(),
            file,
        };
        [FileName::OfConversation(file), text("SM"), text("MM")]
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }
}
