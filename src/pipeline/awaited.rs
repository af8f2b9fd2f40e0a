//! Turns that the agent has taken over and answers later: looked at when their time is over.
//!
//! Where the operator sets a time, a turn that is left to the agent leaves a job behind that is due then,
//! and whatever the agent says to the turn leaves a note. A job that finds no note tells of the silence,
//! once, and has the turn asked anew if that is wished. Both are on disk, so that neither a restart nor
//! another instance makes a silence of an answer. Here the jobs are made; who reports looks at them.

use crate::agent::{Patience, Turn};
use crate::clock::Timestamp;
use crate::jobs::encode;
use crate::json;
use crate::pipeline::record::{self, Awaited, Settled};
use crate::queue::{Append, Documents, Error, JobId, Key, Queue};
use crate::thread::{MessageId, ThreadId};

/// How much may be kept of a turn to ask it anew; a longer one is only told of.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// Makes the job that looks at a turn when its time is over; `asked` counts how often it was asked anew, and
/// `agent` names the one that has it, of several. It was asked at the first of the two times, and has taken the
/// turn at the second one.
#[must_use]
pub fn job(
    turn: &Turn,
    (asked, agent): (u32, Option<String>),
    patience: Patience,
    (since, now): (Timestamp, Timestamp),
) -> Append {
    let of = |messages| {
        let speaker = turn.speaker.clone();
        let (thread, turn) = (turn.thread.clone(), turn.id);
        let of =
            Awaited { thread, turn, asked, agent: agent.clone(), since: Some(since), messages };
        encode(&Settled::AwaitedAs { speaker, of })
    };
    // What may be a dead letter is kept whole, so that it can be redriven.
    let is_kept = patience.asks_anew && (asked == 0 || patience.buries);
    let payload = of(if is_kept { turn.messages.clone() } else { Vec::new() });
    Append {
        id: record::awaited_id(turn.id, asked),
        key: record::turn_lane(turn.id),
        position: None,
        not_before: Some(now + patience.within),
        payload: if payload.len() > KEPT_BYTES_MAX { of(Vec::new()) } else { payload },
    }
}

/// Makes the note that the agent has said something to a turn.
#[must_use]
pub fn heard(turn: MessageId) -> Append {
    note(turn, record::heard_id(turn))
}

/// Makes the note that a turn is a dead letter for the agent's silence, after it was asked anew so often: by
/// it a look that comes again is told from one that is redriven.
#[must_use]
pub fn buried(turn: MessageId, asked: u32) -> Append {
    note(turn, record::buried_id(turn, asked))
}

/// Notes that an agent has said something in a thread without a word on which turn it answers, so that it counts
/// for all that wait there.
///
/// # Errors
///
/// A storage error.
pub async fn heard_in(documents: &Documents, thread: ThreadId, at: Timestamp) -> Result<(), Error> {
    let at = at.as_millis().to_be_bytes().to_vec();
    documents.update(&said_in(thread), |_| Some(at.clone())).await.map(drop)
}

/// Whether an agent has said such a thing in a thread since a turn was asked there.
///
/// # Errors
///
/// A storage error.
pub async fn is_heard_in(
    documents: &Documents,
    thread: ThreadId,
    since: Timestamp,
) -> Result<bool, Error> {
    let noted = documents.read(&said_in(thread)).await?;
    let at: Option<[u8; 8]> = noted.and_then(|noted| noted.try_into().ok());
    Ok(at.is_some_and(|at| i64::from_be_bytes(at) >= since.as_millis()))
}

/// The lanes of a thread's turns that are awaited, or are dead letters for the agent's silence: no lane of a
/// turn names its thread.
///
/// # Errors
///
/// A storage error.
pub async fn lanes(reports: &Queue, thread: ThreadId) -> Result<Vec<Key>, Error> {
    let is_its = move |payload: &[u8]| match json::from_slice(payload) {
        Ok(Settled::Awaited(of) | Settled::AwaitedAs { of, .. }) => of.thread.id() == thread,
        Ok(Settled::V1 { .. } | Settled::Heard { .. }) | Err(_) => false,
    };
    reports.keys_holding(record::TURN_LANES, is_its).await
}

fn said_in(thread: ThreadId) -> String {
    format!("{}said.{thread}", Documents::SHORT_LIVED)
}

fn note(turn: MessageId, id: JobId) -> Append {
    Append {
        id,
        key: record::turn_lane(turn),
        position: None,
        not_before: None,
        payload: encode(&Settled::Heard { turn }),
    }
}
