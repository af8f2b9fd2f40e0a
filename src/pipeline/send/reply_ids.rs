//! The ids that replies bear at Twilio: as mutation id on the socket and as mark in the attributes.
//!
//! Pure. Whoever knew such an id beforehand could send under it first and so keep the reply from being
//! sent. So it is not the id of the job, which follows from a message's sid, but that id under a secret of
//! the installation: the API key's, which all instances have and nobody in a conversation. The id is made
//! once and stored with its reply; from then on the stored one counts, so a reply is found after the secret
//! has been changed, and replies that older releases stored keep their ids. A mark alone proves nothing, see
//! [`crate::channels::conversations::policy::authors`].

use secrecy::SecretString;
use uuid::Uuid;

use crate::derived_key::DerivedKey;
use crate::queue::JobId;

/// What tells these ids from all else that is made with the same secret.
const LABEL: &[u8] = b"chimein reply ids 1";

/// Makes the ids.
#[derive(Clone, Debug)]
pub struct ReplyIds(DerivedKey);

impl ReplyIds {
    /// Derives the key from a secret of the installation.
    #[must_use]
    pub fn of(secret: &SecretString) -> Self {
        Self(DerivedKey::of(secret, LABEL))
    }

    /// Gives the id of the reply that a job brings: a UUID of version 8 (free form).
    #[must_use]
    pub fn id(&self, job: JobId) -> Uuid {
        let digest = self.0.sign(job.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Uuid::new_v8(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_same_on_every_machine_and_nobody_elses() {
        let ids = |secret: &str| ReplyIds::of(&SecretString::from(secret));
        let jobs = [1, 2].map(|n| JobId::from_bytes([n; 16]));
        assert_eq!(ids("a").id(jobs[0]), ids("a").id(jobs[0]));
        assert_ne!(ids("a").id(jobs[0]), ids("a").id(jobs[1]));
        assert_ne!(ids("a").id(jobs[0]), ids("b").id(jobs[0]));
        // Two releases that run beside each other during an update make the same ids.
        assert_eq!(ids("a").id(jobs[0]).to_string(), "7d0200ad-b38b-8a54-bf91-352823b0838e");
    }

    #[test]
    fn the_key_is_not_printed() {
        let shown = format!("{:?}", ReplyIds::of(&SecretString::from("planted")));
        assert!(shown.contains("REDACTED") && !shown.contains(", "), "{shown}");
    }
}
