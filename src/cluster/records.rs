//! What members write into the bucket, and under which keys. Pure.
//!
//! `member.<instance>.<incarnation>` is one life of one process: it beats there, and once the record
//! says `ended` that life is over for ever. `lease.<kind>.<name>` says which life holds a name; the
//! name is in base64url, because keys take only some characters. Readers ignore what they do not know.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::InstanceId;
use crate::bytes16;

/// One life of one process: its instance's name, and a part that no other life has.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct MemberId(String);

impl MemberId {
    /// Names a life; the incarnation is letters and digits.
    pub fn new(instance: &InstanceId, incarnation: &str) -> Self {
        Self(format!("{instance}.{incarnation}"))
    }

    /// Reads what [`as_str`](Self::as_str) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (instance, incarnation) = text.split_once('.')?;
        let is_word = !incarnation.is_empty() && incarnation.bytes().all(is_key_byte);
        (InstanceId::parse(instance).is_some() && is_word).then(|| Self(text.to_owned()))
    }

    /// The text in keys and records.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The instance whose life this is.
    pub fn instance(&self) -> InstanceId {
        let (instance, _) = self.0.split_once('.').expect("written with a dot");
        InstanceId::parse(instance).expect("written from an instance's name")
    }
}

/// What one lease is about.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct LeaseKey {
    /// What kind of thing it is, such as `partition`.
    pub kind: String,
    /// Its name, any text.
    pub name: String,
}

/// A key of the bucket.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Key {
    /// Where a life beats.
    Member(MemberId),
    /// Where a name's holder stands.
    Lease(LeaseKey),
}

impl Key {
    /// Reads a key; `None` for one that this version does not know.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(member) = text.strip_prefix("member.") {
            return MemberId::parse(member).map(Self::Member);
        }
        let (kind, name) = text.strip_prefix("lease.")?.split_once('.')?;
        let name = String::from_utf8(URL_SAFE_NO_PAD.decode(name).ok()?).ok()?;
        Some(Self::Lease(LeaseKey { kind: kind.to_owned(), name }))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(member) => write!(f, "member.{}", member.as_str()),
            Self::Lease(LeaseKey { kind, name }) => {
                write!(f, "lease.{kind}.{}", URL_SAFE_NO_PAD.encode(name))
            }
        }
    }
}

/// What stands under a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Record {
    /// A life, or the end of one.
    Member(MemberRecord),
    /// A name's holder.
    Lease(LeaseRecord),
}

/// A life, or the end of one.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct MemberRecord {
    /// The number of the beat.
    pub beat: u64,
    /// The kinds it takes a share of, each with the digest of the names it knows.
    #[serde(default)]
    pub kinds: BTreeMap<String, String>,
    /// Whether this life is over.
    #[serde(default)]
    pub ended: bool,
}

/// A name's holder.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct LeaseRecord {
    /// The life that holds it; `None` where it was given back.
    pub holder: Option<String>,
}

impl LeaseRecord {
    /// The life that holds it, if the record can be read.
    pub fn holder(&self) -> Option<MemberId> {
        self.holder.as_deref().and_then(MemberId::parse)
    }
}

impl Record {
    /// Reads what stands under `key`.
    ///
    /// A lease that cannot be read is free to take; a life that cannot be read lives, takes no share,
    /// and is waited for like any other.
    pub fn decode(key: &Key, value: &[u8]) -> Self {
        match key {
            Key::Member(_) => Self::Member(serde_json::from_slice(value).unwrap_or_default()),
            Key::Lease(_) => Self::Lease(serde_json::from_slice(value).unwrap_or_default()),
        }
    }

    /// The bytes to write.
    pub fn encode(&self) -> Vec<u8> {
        let written = match self {
            Self::Member(record) => serde_json::to_vec(record),
            Self::Lease(record) => serde_json::to_vec(record),
        };
        written.expect("plain records can be written as JSON")
    }
}

/// Tells sets of names apart.
pub(super) fn digest<'a>(names: impl Iterator<Item = &'a str>) -> String {
    URL_SAFE_NO_PAD.encode(&bytes16::digest(names.map(str::as_bytes))[..9])
}

const fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        let member = MemberId::parse("chimein-1.1f3a").unwrap();
        assert_eq!(member.instance().as_str(), "chimein-1");
        let name = "bot / Übung *.>".to_owned();
        let lease = LeaseKey { kind: "identity".into(), name };
        for key in [Key::Member(member), Key::Lease(lease)] {
            let text = key.to_string();
            assert!(text.bytes().all(|b| is_key_byte(b) || b == b'.'), "{text}");
            assert_eq!(Key::parse(&text), Some(key));
        }
        for stranger in ["", "member", "member.x", "member.a b.c", "lease.k", "lease.k.***", "x.y"]
        {
            assert_eq!(Key::parse(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn records_are_written_the_same_for_ever() {
        let kinds = BTreeMap::from([("identity".to_owned(), "d1".to_owned())]);
        let life = Record::Member(MemberRecord { beat: 7, kinds, ended: false });
        let lease = Record::Lease(LeaseRecord { holder: Some("a.b".into()) });
        let texts = [
            (&life, r#"{"beat":7,"kinds":{"identity":"d1"},"ended":false}"#),
            (&lease, r#"{"holder":"a.b"}"#),
        ];
        for (record, text) in texts {
            assert_eq!(String::from_utf8(record.encode()).unwrap(), text);
        }
        let key = Key::parse("member.a.b").unwrap();
        assert_eq!(Record::decode(&key, &life.encode()), life);
    }

    #[test]
    fn a_lease_that_cannot_be_read_is_free_and_a_life_lives() {
        let key = Key::parse("lease.identity.Ym90").unwrap();
        assert_eq!(Record::decode(&key, b"{"), Record::Lease(LeaseRecord { holder: None }));
        let life = Record::decode(&Key::parse("member.a.b").unwrap(), b"");
        assert_eq!(life, Record::Member(MemberRecord::default()));
    }

    #[test]
    fn sets_of_names_have_digests_of_their_own() {
        let digest = |names: &[&str]| digest(names.iter().copied());
        assert_eq!(digest(&["a", "b"]), digest(&["a", "b"]));
        assert_ne!(digest(&["a", "b"]), digest(&["ab"]));
        assert_ne!(digest(&[]), digest(&[""]));
    }
}
