//! What is stored of a job: one record, of which the stream keeps the newest.
//!
//! Pure: encodes and decodes, and says what each change makes of a record. A record is one line of JSON
//! and, after it, payloads as they are. Keys and payloads may be personal, so there is no `Debug`.
//!
//! | from | change | to |
//! | --- | --- | --- |
//! | nothing | append | `Open` |
//! | `Open` | delivered by a new holder ([`JobWork::stamp`]), tried in vain, brought forward | `Open` |
//! | `Open` | acknowledged | `Done` |
//! | `Open` | acknowledged with appends or absorbed jobs | `Moved`, and `Done` once all is carried out |
//! | `Open` | given up | `Dead` |
//! | `Dead` | redriven | `Open` |
//! | `Dead` | dropped | `Done` |

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::queue::{Append, Attempt, Cause, JobId, JobState, JobStatus, Key, QueueName};

/// The format written here.
const VERSION: u32 = 1;

/// How much of a long history is kept: how it began and how it went lately.
const ATTEMPTS_FIRST: usize = 5;
const ATTEMPTS_LAST: usize = 45;

/// One job as it is stored.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Record {
    pub(super) key: Key,
    pub(super) position: Option<u64>,
    pub(super) appended_at: Timestamp,
    /// The sequence of the job's first record; `None` in that one.
    pub(super) born: Option<u64>,
    /// Who wrote this as the holder, and its how manieth record; `None` if anybody may have.
    pub(super) by: Option<String>,
    pub(super) state: State,
}

/// Where a job is in its life.
#[derive(Clone, Eq, PartialEq)]
pub(super) enum State {
    /// Waits or is out.
    Open(JobWork),
    /// Acknowledged; what that brings is still to be carried out.
    Moved(Moved),
    /// Settled; only the id is remembered.
    Done,
    /// Given up at this time, the last attempt says why.
    Dead(JobWork, Timestamp),
}

/// What is needed to deliver a job, and how that went so far.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct JobWork {
    pub(super) payload: Bytes,
    pub(super) not_before: Option<Timestamp>,
    /// Deliveries that failed, since the last redrive.
    pub(super) attempts: u32,
    /// Whether it was a dead letter.
    pub(super) redriven: bool,
    /// The holder that delivered it after it had been open under another.
    pub(super) stamp: Option<String>,
    pub(super) history: Vec<Attempt>,
}

/// What an acknowledgement brings.
#[derive(Clone, Default, Eq, PartialEq)]
pub(super) struct Moved {
    /// To be appended.
    pub(super) appends: Vec<(QueueName, Append)>,
    /// Jobs of the same lane that are acknowledged with it.
    pub(super) along: Vec<JobId>,
}

/// Says that stored bytes are no record of a version known here.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a record of the stream is not one that this version of chimein writes")]
pub(super) struct UnreadableRecord;

impl Record {
    /// A job as it is appended.
    pub(super) fn appended(job: &Append, at: Timestamp) -> Self {
        Self {
            key: job.key.clone(),
            position: job.position,
            appended_at: at,
            born: None,
            by: None,
            state: State::Open(JobWork {
                payload: Bytes::from(job.payload.clone()),
                not_before: job.not_before,
                attempts: 0,
                redriven: false,
                stamp: None,
                history: Vec::new(),
            }),
        }
    }

    /// The next record of the job that this one of sequence `rev` is of.
    pub(super) fn then(&self, rev: u64, state: State, by: Option<String>) -> Self {
        Self {
            key: self.key.clone(),
            position: self.position,
            appended_at: self.appended_at,
            born: Some(self.born.unwrap_or(rev)),
            by,
            state,
        }
    }

    /// The work of an open job.
    pub(super) const fn open(&self) -> Option<&JobWork> {
        match &self.state {
            State::Open(work) => Some(work),
            State::Moved(_) | State::Done | State::Dead(..) => None,
        }
    }

    /// What the record says of the job to those who only look.
    pub(super) const fn status(&self) -> JobStatus {
        let state = match &self.state {
            State::Open(_) => JobState::Open,
            State::Moved(_) | State::Done => JobState::Done,
            State::Dead(..) => JobState::Dead,
        };
        JobStatus { appended_at: self.appended_at, state }
    }

    /// What the job holds, while it is open or dead.
    pub(super) fn payload(&self) -> Option<Vec<u8>> {
        match &self.state {
            State::Open(work) | State::Dead(work, _) => Some(work.payload.to_vec()),
            State::Moved(_) | State::Done => None,
        }
    }

    /// Writes the record.
    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = serde_json::to_vec(&self.head()).expect("no map with odd keys, no failure");
        bytes.push(b'\n');
        match &self.state {
            State::Open(work) | State::Dead(work, _) => bytes.extend_from_slice(&work.payload),
            State::Moved(moved) => {
                moved.appends.iter().for_each(|(_, job)| bytes.extend_from_slice(&job.payload));
            }
            State::Done => {}
        }
        Bytes::from(bytes)
    }

    /// Reads a record.
    pub(super) fn decode(bytes: &Bytes) -> Result<Self, UnreadableRecord> {
        let end = bytes.iter().position(|&byte| byte == b'\n').ok_or(UnreadableRecord)?;
        let head: Head = serde_json::from_slice(&bytes[..end]).map_err(|_| UnreadableRecord)?;
        if head.version != VERSION {
            return Err(UnreadableRecord);
        }
        let rest = bytes.slice(end + 1..);
        let state = match head.state {
            StateHead::Open(work) => State::Open(work.with(rest)),
            StateHead::Moved { appends, along } => {
                let along = along.iter().map(|id| id.parse()).collect::<Result<_, _>>();
                let along = along.map_err(|_| UnreadableRecord)?;
                State::Moved(Moved { appends: cut(appends, &rest)?, along })
            }
            StateHead::Done => State::Done,
            StateHead::Dead(work, at) => State::Dead(work.with(rest), at),
        };
        Ok(Self {
            key: Key::new(head.key).map_err(|_| UnreadableRecord)?,
            position: head.position,
            appended_at: head.appended_at,
            born: head.born,
            by: head.by,
            state,
        })
    }

    fn head(&self) -> Head {
        Head {
            version: VERSION,
            key: self.key.as_str().to_owned(),
            position: self.position,
            appended_at: self.appended_at,
            born: self.born,
            by: self.by.clone(),
            state: match &self.state {
                State::Open(work) => StateHead::Open(WorkHead::of(work)),
                State::Moved(moved) => StateHead::Moved {
                    appends: moved.appends.iter().map(AppendHead::of).collect(),
                    along: moved.along.iter().map(JobId::to_string).collect(),
                },
                State::Done => StateHead::Done,
                State::Dead(work, at) => StateHead::Dead(WorkHead::of(work), *at),
            },
        }
    }
}

impl JobWork {
    /// The work after an attempt that failed.
    pub(super) fn failed(&self, at: Timestamp, cause: &Cause) -> Self {
        let mut work = self.clone();
        let number = work.history.last().map_or(0, |last| last.number).saturating_add(1);
        let cause = Cause { detail: cause.bounded_detail().to_owned(), ..cause.clone() };
        work.history.push(Attempt { number, at, cause });
        if work.history.len() > ATTEMPTS_FIRST + ATTEMPTS_LAST {
            work.history.remove(ATTEMPTS_FIRST);
        }
        work
    }

    /// The work of a dead letter that is to be done after all.
    pub(super) fn redriven(&self) -> Self {
        Self { not_before: None, attempts: 0, redriven: true, stamp: None, ..self.clone() }
    }
}

#[derive(Deserialize, Serialize)]
struct Head {
    #[serde(rename = "v")]
    version: u32,
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    appended_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    born: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    state: StateHead,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum StateHead {
    Open(WorkHead),
    Moved {
        appends: Vec<AppendHead>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        along: Vec<String>,
    },
    Done,
    Dead(WorkHead, Timestamp),
}

#[derive(Deserialize, Serialize)]
struct WorkHead {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before: Option<Timestamp>,
    attempts: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    redriven: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stamp: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    history: Vec<AttemptHead>,
}

#[derive(Deserialize, Serialize)]
struct AttemptHead {
    number: u32,
    at: Timestamp,
    class: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<u32>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    detail: String,
}

/// A job to append, its payload by length.
#[derive(Deserialize, Serialize)]
struct AppendHead {
    queue: String,
    id: String,
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before: Option<Timestamp>,
    bytes: usize,
}

impl WorkHead {
    fn of(work: &JobWork) -> Self {
        let attempt = |attempt: &Attempt| AttemptHead {
            number: attempt.number,
            at: attempt.at,
            class: attempt.cause.class.clone().into_owned(),
            code: attempt.cause.code,
            detail: attempt.cause.detail.clone(),
        };
        Self {
            not_before: work.not_before,
            attempts: work.attempts,
            redriven: work.redriven,
            stamp: work.stamp.clone(),
            history: work.history.iter().map(attempt).collect(),
        }
    }

    fn with(self, payload: Bytes) -> JobWork {
        let attempt = |head: AttemptHead| Attempt {
            number: head.number,
            at: head.at,
            cause: Cause { class: head.class.into(), code: head.code, detail: head.detail },
        };
        JobWork {
            payload,
            not_before: self.not_before,
            attempts: self.attempts,
            redriven: self.redriven,
            stamp: self.stamp,
            history: self.history.into_iter().map(attempt).collect(),
        }
    }
}

impl AppendHead {
    fn of((queue, job): &(QueueName, Append)) -> Self {
        Self {
            queue: queue.as_str().to_owned(),
            id: job.id.to_string(),
            key: job.key.as_str().to_owned(),
            position: job.position,
            not_before: job.not_before,
            bytes: job.payload.len(),
        }
    }
}

/// Cuts the payloads of appends out of what follows the head.
fn cut(heads: Vec<AppendHead>, rest: &Bytes) -> Result<Vec<(QueueName, Append)>, UnreadableRecord> {
    let mut from = 0_usize;
    let mut appends = Vec::with_capacity(heads.len());
    for head in heads {
        let to = from.checked_add(head.bytes).ok_or(UnreadableRecord)?;
        let queue = QueueName::ALL.into_iter().find(|queue| queue.as_str() == head.queue);
        let id: Result<JobId, _> = head.id.parse();
        let append = Append {
            id: id.map_err(|_| UnreadableRecord)?,
            key: Key::new(head.key).map_err(|_| UnreadableRecord)?,
            position: head.position,
            not_before: head.not_before,
            payload: rest.get(from..to).ok_or(UnreadableRecord)?.to_vec(),
        };
        appends.push((queue.ok_or(UnreadableRecord)?, append));
        from = to;
    }
    Ok(appends)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn job(payload: &[u8], position: Option<u64>) -> Append {
        Append {
            id: JobId::digest("test", &[payload]),
            key: Key::new("a\n\"b\"").unwrap(),
            position,
            not_before: position.map(|_| Timestamp::from_millis(7)),
            payload: payload.to_vec(),
        }
    }

    fn same(record: &Record) {
        let again = Record::decode(&record.encode());
        assert!(again == Ok(record.clone()), "it reads as it was written");
    }

    proptest! {
        #[test]
        fn records_read_as_they_were_written(
            payload in prop::collection::vec(any::<u8>(), 0..60),
            position in prop::option::of(0..u64::MAX / 2),
            failures in 0..70_u32,
            rev in 1..u64::MAX,
        ) {
            let first = Record::appended(&job(&payload, position), Timestamp::from_millis(5));
            same(&first);
            let mut work = first.open().unwrap().clone();
            for n in 0..failures {
                let cause = Cause::new("busy").with_code(n).with_detail("told\nby the test");
                work = work.failed(Timestamp::from_millis(i64::from(n)), &cause);
            }
            let appends: Vec<_> =
                QueueName::ALL.into_iter().map(|queue| (queue, job(&payload, position))).collect();
            for state in [
                State::Open(work.clone()),
                State::Open(work.redriven()),
                State::Moved(Moved { appends, along: vec![JobId::digest("test", &[b"1"])] }),
                State::Moved(Moved::default()),
                State::Done,
                State::Dead(work.clone(), Timestamp::from_millis(9)),
            ] {
                let next = first.then(rev, state, Some("me.1".into()));
                prop_assert_eq!(next.born, Some(rev));
                same(&next);
                prop_assert_eq!(next.then(rev - 1, State::Done, None).born, Some(rev));
            }
        }

        #[test]
        fn no_bytes_are_read_as_something_else(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(Record::decode(&Bytes::from(bytes)) == Err(UnreadableRecord));
        }
    }

    #[test]
    fn a_newer_format_is_not_read() {
        let record = Record::appended(&job(b"1", None), Timestamp::from_millis(5));
        let text = String::from_utf8(record.encode().to_vec()).unwrap();
        let newer = text.replace("\"v\":1", "\"v\":2");
        assert!(Record::decode(&Bytes::from(newer)) == Err(UnreadableRecord));
    }

    #[test]
    fn a_moved_record_without_all_of_its_payloads_is_not_read() {
        let appends = vec![(QueueName::Outbox, job(b"hello", None))];
        let moved = State::Moved(Moved { appends, along: Vec::new() });
        let record =
            Record::appended(&job(b"1", None), Timestamp::from_millis(5)).then(3, moved, None);
        let bytes = record.encode();
        assert!(Record::decode(&bytes.slice(..bytes.len() - 1)) == Err(UnreadableRecord));
    }

    #[test]
    fn a_long_history_keeps_its_start_and_its_end() {
        let first = Record::appended(&job(b"1", None), Timestamp::from_millis(5));
        let mut work = first.open().unwrap().clone();
        for _ in 0..60 {
            work = work.failed(Timestamp::from_millis(5), &Cause::new("busy"));
        }
        let kept: Vec<_> = work.history.iter().map(|attempt| attempt.number).collect();
        assert_eq!(kept, (1..=5).chain(16..=60).collect::<Vec<_>>());
    }

    #[test]
    fn the_stored_form_never_changes() {
        let first = Record::appended(&job(b"hello", Some(4)), Timestamp::from_millis(5));
        let work = first.open().unwrap().failed(Timestamp::from_millis(6), &Cause::new("busy"));
        let dead = first.then(3, State::Dead(work, Timestamp::from_millis(8)), Some("me.1".into()));
        let text = String::from_utf8(dead.encode().to_vec()).unwrap();
        insta::assert_snapshot!(text, @r#"
        {"v":1,"key":"a\n\"b\"","position":4,"appended_at":5,"born":3,"by":"me.1","state":{"dead":[{"not_before":7,"attempts":0,"history":[{"number":1,"at":6,"class":"busy"}]},8]}}
        hello
        "#);
    }
}
