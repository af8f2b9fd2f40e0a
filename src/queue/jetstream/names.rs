//! What things are called on the server: streams, the bucket, subjects; and which partition a key is of.
//!
//! Pure. Every name starts with the configured prefix, so that several services share one account.
//!
//! | name | what |
//! | --- | --- |
//! | stream `<prefix>-jobs`, subject `<prefix>.job.<queue>.<partition>.<id>` | one job, its newest record only |
//! | the same stream, subject `<prefix>.job.gain.<partition>.at` | a holder's note that marks the end of what came before it |
//! | stream `<prefix>-dead`, subject `<prefix>.dead.<queue>.<id>` | where a dead letter lies |
//! | bucket `<prefix>-marks`, keys `m.<name>`, `d.<name>` and `f.<stream>.<partition>` | marks, documents, and where reading a partition starts |

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::queue::{JobId, Key, QueueName};

/// The longest prefix.
const PREFIX_BYTES_MAX: usize = 32;

/// Makes names from the prefix.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    /// Takes a prefix of 1 to 32 letters, digits, `-` and `_`; `None` for any other.
    pub(super) fn new(prefix: &str) -> Option<Self> {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let fits = !prefix.is_empty() && prefix.len() <= PREFIX_BYTES_MAX;
        (fits && prefix.bytes().all(valid)).then(|| Self { prefix: prefix.to_owned() })
    }

    pub(super) fn jobs_stream(&self) -> String {
        jobs_stream(&self.prefix)
    }

    /// Every subject of the stream of jobs.
    pub(super) fn jobs_subjects(&self) -> String {
        format!("{}.job.*.*.*", self.prefix)
    }

    pub(super) fn dead_stream(&self) -> String {
        format!("{}-dead", self.prefix)
    }

    /// Every subject of the stream of dead letters.
    pub(super) fn dead_subjects(&self) -> String {
        format!("{}.dead.*.*", self.prefix)
    }

    /// The bucket of documents that are forgotten.
    pub(super) fn recent_bucket(&self) -> String {
        format!("{}-recent", self.prefix)
    }

    pub(super) fn marks_bucket(&self) -> String {
        format!("{}-marks", self.prefix)
    }

    /// The subject of one job.
    pub(super) fn job(&self, queue: QueueName, partition: u16, id: JobId) -> String {
        format!("{}.job.{queue}.{partition}.{id}", self.prefix)
    }

    /// The jobs of one queue, in all partitions.
    pub(super) fn jobs_of(&self, queue: QueueName) -> String {
        format!("{}.job.{queue}.*.*", self.prefix)
    }

    /// Everything of one partition.
    pub(super) fn partition(&self, partition: u16) -> String {
        format!("{}.job.*.{partition}.*", self.prefix)
    }

    /// Where a holder notes that it has gained a partition.
    pub(super) fn gain(&self, partition: u16) -> String {
        format!("{}.job.gain.{partition}.at", self.prefix)
    }

    /// The subject of one dead letter.
    pub(super) fn dead(&self, queue: QueueName, id: JobId) -> String {
        format!("{}.dead.{queue}.{id}", self.prefix)
    }

    /// The dead letters of one queue.
    pub(super) fn dead_of(&self, queue: QueueName) -> String {
        format!("{}.dead.{queue}.*", self.prefix)
    }

    /// The job that a subject names; `None` for a holder's note.
    pub(super) fn parse_job(&self, subject: &str) -> Option<(QueueName, JobId)> {
        let rest = subject.strip_prefix(&self.prefix)?.strip_prefix(".job.")?;
        let mut tokens = rest.split('.');
        let (queue, _, id) = (tokens.next()?, tokens.next()?, tokens.next()?);
        let queue = QueueName::ALL.into_iter().find(|name| name.as_str() == queue)?;
        Some((queue, id.parse().ok()?))
    }
}

/// The stream of jobs, also for those who only look whether it is there.
#[must_use]
pub fn jobs_stream(prefix: &str) -> String {
    format!("{prefix}-jobs")
}

/// The bucket's key of a mark. Names may hold what keys may not.
pub(super) fn mark(name: &str) -> String {
    format!("m.{}", URL_SAFE_NO_PAD.encode(name))
}

/// The bucket's key of a document.
pub(super) fn document(name: &str) -> String {
    format!("d.{}", URL_SAFE_NO_PAD.encode(name))
}

/// The bucket's keys of all documents.
pub(super) const DOCUMENTS: &str = "d.*";

/// The name of the document of a key; none for a key of another kind.
pub(super) fn parse_document(key: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(key.strip_prefix("d.")?).ok()?;
    String::from_utf8(bytes).ok()
}

/// The bucket's key of a partition's floor. It names the stream's birth: the numbers of another stream
/// say nothing about this one's.
pub(super) fn floor(stream_created: i64, partition: u16) -> String {
    format!("f.{stream_created}.{partition}")
}

/// The partition that a key is of. Stored jobs depend on it: it never changes.
pub(super) fn partition_of(key: &Key, partitions: u16) -> u16 {
    let hash = Sha256::digest(key.as_str().as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    let partition = u64::from_be_bytes(first) % u64::from(partitions.max(1));
    u16::try_from(partition).expect("less than a u16 after the modulo")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_bounded() {
        for prefix in ["chimein", "a", "A-b_9", &"p".repeat(32)] {
            assert!(Names::new(prefix).is_some(), "{prefix}");
        }
        for prefix in ["", "a.b", "a b", "a*", ">", "é", &"p".repeat(33)] {
            assert!(Names::new(prefix).is_none(), "{prefix}");
        }
    }

    #[test]
    fn a_job_is_found_in_its_subject() {
        let names = Names::new("ci").unwrap();
        let id = JobId::digest("test", &[b"1"]);
        for queue in QueueName::ALL {
            let subject = names.job(queue, 7, id);
            assert_eq!(names.parse_job(&subject), Some((queue, id)));
        }
        for subject in [&names.gain(7), "ci.job.inbox.7", "other.job.inbox.7.00", "ci.job"] {
            assert_eq!(names.parse_job(subject), None, "{subject}");
        }
    }

    #[test]
    fn partitions_never_move_and_are_all_used() {
        let of = |key: &str| partition_of(&Key::new(key).unwrap(), 64);
        assert_eq!([of("CH1"), of("CH2"), of("a")], [29, 8, 10], "stored jobs would be lost");
        let mut seen = [false; 64];
        for n in 0..2000 {
            seen[usize::from(of(&format!("CH{n}")))] = true;
        }
        assert!(seen.iter().all(|seen| *seen));
    }

    #[test]
    fn any_name_of_a_mark_is_a_key() {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=/".contains(&byte);
        for name in ["CH1", "a b*>.", "é"] {
            assert!(mark(name).bytes().all(valid), "{name}");
            assert_eq!(parse_document(&document(name)).as_deref(), Some(name));
            assert_eq!(parse_document(&mark(name)), None);
        }
    }
}
