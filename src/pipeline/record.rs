//! What the queues of turns, replies and reports hold: versioned records, written as JSON. Pure.
//!
//! A record read today may have been written by an older release, so every kind is an enum whose
//! variants carry their version, and a variant is never changed, only added to. The stored form of
//! each is pinned by a test below.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::agent::{Fate, Origin, Report};
use crate::clock::Timestamp;
use crate::json;
use crate::queue::{Cause, JobId, Key};
use crate::telemetry::trace::TraceId;
use crate::thread::{MessageId, Reply, Speaker, Thread, ThreadId, TurnMessage};

/// A message that waits for the agent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "v")]
pub enum Inbound {
    /// The first form.
    #[serde(rename = "1")]
    V1 {
        /// Where it was said.
        thread: Thread,
        /// What was said.
        message: TurnMessage,
        /// When it came in.
        at: Timestamp,
    },
    /// The second form: it says to whom of ours it was said.
    #[serde(rename = "2")]
    V2 {
        /// Where it was said.
        thread: Thread,
        /// As whom of ours it was heard or written to, where its door told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        speaker: Option<Speaker>,
        /// What was said.
        message: TurnMessage,
        /// When it came in.
        at: Timestamp,
    },
}

impl Inbound {
    /// What it holds, whichever form it has.
    #[must_use]
    pub fn into_said(self) -> Said {
        match self {
            Self::V1 { thread, message, at: _ } => Said { thread, speaker: None, message },
            Self::V2 { thread, speaker, message, at: _ } => Said { thread, speaker, message },
        }
    }
}

/// What an [`Inbound`] holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Said {
    /// Where it was said.
    pub thread: Thread,
    /// As whom of ours it was heard or written to, where that is known.
    pub speaker: Option<Speaker>,
    /// What was said.
    pub message: TurnMessage,
}

/// A reply that waits to be sent.
///
/// It says not as whom: a pair's thread has our address in it, and in a conversation it is whoever has the
/// seat when it is sent, which may be another than when it was stored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "v")]
pub enum Outbound {
    /// The first form.
    #[serde(rename = "1")]
    V1 {
        /// Never changes and is never made anew; the mutation id on the socket and the key in the
        /// message's attributes. Older releases stored the job's own.
        id: Uuid,
        /// Where it goes.
        thread: Thread,
        /// The turn that it answers, if one.
        turn: Option<MessageId>,
        /// The trace of the way that led here; without one it is the conversation's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace: Option<TraceId>,
        /// What to send.
        reply: Reply,
        /// When it was accepted.
        at: Timestamp,
        /// Whether its agent gave it after the turn, when a person may have had the conversation.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        late: bool,
        /// What its agent wants back once it is settled.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<Origin>,
        /// How it failed after Twilio had taken it, if it did; boxed, as it is rare.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Box<After>>,
        /// Whether a person is to have the thread now; then nothing is said, and older releases let it go.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        hands_over: bool,
        /// How often its agent had taken the thread back by then, if it does such things.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        taken_back: Option<u64>,
        /// Whether the thread is over now; then nothing is said, and older releases let it go.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ends: bool,
    },
}

/// How a reply failed after Twilio had taken it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct After {
    /// Whether it is to be sent once more; else it is a dead letter as soon as it is taken up, and is sent
    /// only once it is redriven.
    pub again: bool,
    /// The word for the cause.
    pub class: String,
    /// Twilio's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
    /// A sentence for the operator.
    pub detail: String,
}

impl After {
    /// The cause that is kept with the job.
    #[must_use]
    pub fn cause(&self) -> Cause {
        let Self { class, code, detail, .. } = self.clone();
        Cause { class: class.into(), code, detail }
    }
}

/// What became of a reply, to be told to its agent.
///
/// A report says not as whom it was said: the agent knows its reply by what it gave with it. Only what may be
/// asked anew needs a speaker, and has one in its second form.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "v")]
pub enum Settled {
    /// The first form.
    #[serde(rename = "1")]
    V1 {
        /// What is told.
        report: Report,
        /// The trace of the way that led here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace: Option<TraceId>,
    },
    /// A turn that the agent answers later, to be looked at when its time is over; first form.
    #[serde(rename = "awaited-1")]
    Awaited(Awaited),
    /// As before; second form: it says as whom the bot speaks there.
    #[serde(rename = "awaited-2")]
    AwaitedAs {
        /// As whom the bot speaks there.
        speaker: Speaker,
        /// The turn.
        #[serde(flatten)]
        of: Awaited,
    },
    /// The agent has said something to a turn; first form.
    #[serde(rename = "heard-1")]
    Heard {
        /// The turn.
        turn: MessageId,
    },
}

/// A turn that the agent answers later.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Awaited {
    /// Where it came from.
    pub thread: Thread,
    /// The turn.
    pub turn: MessageId,
    /// How often it was asked anew.
    #[serde(default)]
    pub asked: u32,
    /// Which agent has it, of several; none is the plain section's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// When it was asked last; older releases did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// What was said, where it may be asked anew.
    #[serde(
        default,
        deserialize_with = "json::null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub messages: Vec<TurnMessage>,
}

/// The turn's job id: the message's own sid.
#[must_use]
pub fn turn_id(message: MessageId) -> JobId {
    JobId::from_bytes(*message.as_bytes())
}

/// The job id of the n-th reply to a turn: the same on every attempt.
#[must_use]
pub fn reply_job(turn: MessageId, n: usize) -> JobId {
    let n = u64::try_from(n).unwrap_or(u64::MAX).to_be_bytes();
    as_uuid(JobId::digest("reply", &[turn.as_bytes(), &n]))
}

/// The job id of the n-th reply that came later under an idempotency key.
#[must_use]
pub fn late_reply_job(thread: ThreadId, key: &str, n: usize) -> JobId {
    let n = u64::try_from(n).unwrap_or(u64::MAX).to_be_bytes();
    let thread = thread.to_string();
    as_uuid(JobId::digest("late-reply", &[thread.as_bytes(), key.as_bytes(), &n]))
}

/// The job id of giving a thread to a person after what answers a turn.
#[must_use]
pub fn handoff_job(turn: MessageId) -> JobId {
    as_uuid(JobId::digest("handoff", &[turn.to_string().as_bytes()]))
}

/// The job id of ending a thread after what answers a turn.
#[must_use]
pub fn end_job(turn: MessageId) -> JobId {
    as_uuid(JobId::digest("end", &[turn.to_string().as_bytes()]))
}

/// The job id of ending a thread after what was said under a key.
#[must_use]
pub fn late_end_job(thread: ThreadId, key: &str) -> JobId {
    as_uuid(JobId::digest("late-end", &[thread.to_string().as_bytes(), key.as_bytes()]))
}

/// The job id of giving a thread to a person after what was said under a key.
#[must_use]
pub fn late_handoff_job(thread: ThreadId, key: &str) -> JobId {
    as_uuid(JobId::digest("late-handoff", &[thread.to_string().as_bytes(), key.as_bytes()]))
}

/// What an answer comes under, from which the ids of its jobs follow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AnswerName<'a> {
    /// The turn that it answers, of which there is one answer, whichever way it comes.
    Turn(MessageId),
    /// An idempotency key in a thread.
    Key(ThreadId, &'a str),
}

impl<'a> AnswerName<'a> {
    /// The turn's, if it is the answer to one, else the key's.
    #[must_use]
    pub const fn of(thread: ThreadId, turn: Option<MessageId>, key: &'a str) -> Self {
        match turn {
            Some(turn) => Self::Turn(turn),
            None => Self::Key(thread, key),
        }
    }

    /// The job id of its n-th reply.
    #[must_use]
    pub fn reply_job(self, n: usize) -> JobId {
        match self {
            Self::Turn(turn) => reply_job(turn, n),
            Self::Key(thread, key) => late_reply_job(thread, key, n),
        }
    }

    /// The job id of giving the thread to a person after it.
    #[must_use]
    pub fn handoff_job(self) -> JobId {
        match self {
            Self::Turn(turn) => handoff_job(turn),
            Self::Key(thread, key) => late_handoff_job(thread, key),
        }
    }

    /// The job id of ending the thread after it.
    #[must_use]
    pub fn end_job(self) -> JobId {
        match self {
            Self::Turn(turn) => end_job(turn),
            Self::Key(thread, key) => late_end_job(thread, key),
        }
    }

    /// The jobs of which every answer that says or does anything has one.
    #[must_use]
    pub fn first_jobs(self) -> [JobId; 3] {
        [self.reply_job(0), self.handoff_job(), self.end_job()]
    }
}

/// The job id of a reply that failed after Twilio had taken it: the same however often that is told.
#[must_use]
pub fn failed_reply_job(reply: Uuid) -> JobId {
    as_uuid(JobId::digest("failed-reply", &[reply.as_bytes()]))
}

/// What a reply bears that is sent once more: another id than before, so that what became of the first is
/// not taken for it.
#[must_use]
pub fn again_id(reply: Uuid) -> Uuid {
    Uuid::new_v8(*JobId::digest("again", &[reply.as_bytes()]).as_bytes())
}

/// The id of the report on a reply: one for each way to end, however often it is written; and one for each
/// death, since a reply that was redriven may die again.
#[must_use]
pub fn report_id(report: &Report) -> JobId {
    let reply = report.reply.as_bytes();
    match report.fate {
        Fate::Sent { .. } => JobId::digest("report", &[reply, b"sent"]),
        Fate::Dead { .. } => {
            let at = report.at.as_millis().to_be_bytes();
            JobId::digest("report", &[reply, b"dead", &at])
        }
        Fate::Fares { status, recipient, .. } => {
            let recipient = recipient.map(|one| *one.as_bytes()).unwrap_or_default();
            JobId::digest("report", &[reply, status.as_str().as_bytes(), b"fares", &recipient])
        }
        Fate::Silenced => JobId::digest("report", &[reply, b"silenced"]),
    }
}

/// The id of the look at a turn that the agent answers later: one for each time that it was asked.
#[must_use]
pub fn awaited_id(turn: MessageId, asked: u32) -> JobId {
    JobId::digest("awaited", &[turn.as_bytes(), &asked.to_be_bytes()])
}

/// The id of the note that the agent has said something to a turn.
#[must_use]
pub fn heard_id(turn: MessageId) -> JobId {
    JobId::digest("heard", &[turn.as_bytes()])
}

/// The id of the note that a turn is a dead letter for the agent's silence.
#[must_use]
pub fn buried_id(turn: MessageId, asked: u32) -> JobId {
    JobId::digest("buried", &[turn.as_bytes(), &asked.to_be_bytes()])
}

/// What the lanes of turns begin with of which something is awaited. They do not name the thread.
pub const TURN_LANES: &str = "turn.";

/// The lane of what is awaited of a turn: its own, since it holds up nothing else.
#[must_use]
pub fn turn_lane(turn: MessageId) -> Key {
    Key::new(format!("{TURN_LANES}{turn}")).expect("a turn's name is short and not empty")
}

/// The bytes of a UUID of version 8 (free form) made of a digest: what older releases stored.
fn as_uuid(id: JobId) -> JobId {
    JobId::from_bytes(*Uuid::new_v8(*id.as_bytes()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    use crate::thread::Media;
    use crate::twilio::sid::{ConversationSid, MessageSid};

    #[test]
    fn what_older_releases_stored_is_still_read() {
        // If one of these changes, jobs that an older release stored can no longer be read.
        assert_eq!(
            stored(&inbound()),
            concat!(
                r#"{"v":"1","thread":"CHcccccccccccccccccccccccccccccccc","message":"#,
                r#"{"sid":"IM07070707070707070707070707070707","index":4,"author":"+15555550123","#,
                r#""body":"hello","attributes":{},"media":[{"sid":"ME09090909090909090909090909090909","#,
                r#""content_type":"image/png","filename":null,"size":12}],"participant":null,"#,
                r#""created":1795000000000},"at":1795000000001}"#
            )
        );
        assert_eq!(
            stored(&outbound()),
            concat!(
                r#"{"v":"1","id":"153f9eef-1ad8-8f27-a7ab-15548b687228","#,
                r#""thread":"CHcccccccccccccccccccccccccccccccc","#,
                r#""turn":"IM07070707070707070707070707070707","reply":{"body":"hi"},"#,
                r#""at":1795000000002}"#
            )
        );
        assert_eq!(
            stored(&settled()),
            concat!(
                r#"{"v":"1","report":{"reply":"153f9eef-1ad8-8f27-a7ab-15548b687228","#,
                r#""thread":"CHcccccccccccccccccccccccccccccccc","#,
                r#""origin":{"note":"evt_1","part":1,"parts":1},"#,
                r#""fate":{"fate":"sent","message":"IM07070707070707070707070707070707"},"#,
                r#""at":1795000000003}}"#
            )
        );
        assert_eq!(stored(&awaited()), AWAITED);
        let heard = Settled::Heard { turn: message_id(7) };
        assert_eq!(
            stored(&heard),
            r#"{"v":"heard-1","turn":"IM07070707070707070707070707070707"}"#
        );
        assert_eq!(serde_json::from_str::<Settled>(AWAITED).unwrap(), awaited());
        assert_eq!(stored(&said()), SAID);
        assert_eq!(serde_json::from_str::<Inbound>(SAID).unwrap(), said());
        assert_eq!(stored(&awaited_as()), AWAITED_AS);
        assert_eq!(serde_json::from_str::<Settled>(AWAITED_AS).unwrap(), awaited_as());
        assert_eq!(serde_json::from_str::<Settled>(&stored(&settled())).unwrap(), settled());
        assert_eq!(serde_json::from_str::<Inbound>(&stored(&inbound())).unwrap(), inbound());
        assert_eq!(serde_json::from_str::<Outbound>(&stored(&outbound())).unwrap(), outbound());
    }

    #[test]
    fn a_reply_keeps_the_trace_of_its_turn() {
        let traced = stored(&outbound())
            .replace(r#","reply":"#, r#","trace":"07070707070707070707070707070707","reply":"#);
        let Outbound::V1 { trace, late, .. } = serde_json::from_str(&traced).unwrap();
        assert!(!late, "older releases did not say");
        assert_eq!(trace.map(|trace| trace.to_string()), Some("07".repeat(16)));
    }

    #[test]
    fn ids_are_the_same_on_every_attempt_and_differ_between_replies() {
        let turn = message_id(7);
        assert_eq!(reply_job(turn, 0), reply_job(turn, 0));
        assert_ne!(reply_job(turn, 0), reply_job(turn, 1));
        assert_ne!(reply_job(turn, 0), reply_job(message_id(8), 0));
        assert_ne!(late_reply_job(thread().id(), "a", 0), late_reply_job(thread().id(), "b", 0));
        // The ids of replies under way must survive an upgrade.
        assert_eq!(reply_job(turn, 0).to_string(), "153f9eef1ad88f27a7ab15548b687228");
    }

    #[test]
    fn each_death_of_a_reply_is_told_of_and_its_arrival_once() {
        let Settled::V1 { report, .. } = settled() else { panic!("a report") };
        let later = |report: &Report| Report {
            at: Timestamp::from_millis(report.at.as_millis() + 1),
            ..report.clone()
        };
        assert_eq!(report_id(&report), report_id(&later(&report)));
        let fate = Fate::Dead { class: "dead".to_owned(), code: None, detail: String::new() };
        let dead = Report { fate, ..report.clone() };
        assert_eq!(report_id(&dead), report_id(&dead.clone()));
        assert_ne!(report_id(&dead), report_id(&later(&dead)));
        assert_ne!(report_id(&dead), report_id(&report));
    }

    #[test]
    fn what_is_taken_from_outside_is_not_too_deep_to_be_read_again() {
        let levels = 300;
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        let attributes = crate::json::object(deep.as_bytes()).unwrap();
        let Said { thread, mut message, .. } = inbound().into_said();
        message.attributes.clone_from(&attributes);
        let (speaker, at) = (None, Timestamp::from_millis(1));
        let said = |message| Inbound::V2 { thread: thread.clone(), speaker, message, at };
        let inbound = said(message);
        assert_eq!(serde_json::from_str::<Inbound>(&stored(&inbound)).unwrap(), inbound);
        let Said { thread, message, .. } = inbound.into_said();
        let Settled::Awaited(of) = awaited() else { panic!("a turn") };
        let of = Awaited { messages: vec![message], ..of };
        let awaited = Settled::AwaitedAs { speaker: bot(), of };
        assert_eq!(serde_json::from_str::<Settled>(&stored(&awaited)).unwrap(), awaited);
        let note = json!({"v": "1", "event": attributes});
        let Outbound::V1 { id, turn, trace, reply, at, late, after, hands_over, .. } = outbound();
        let (taken_back, ends) = (None, false);
        let reply = Reply { attributes, ..reply };
        let origin = Some(crate::agent::Origin::new(note));
        let outbound = Outbound::V1 {
            id,
            thread,
            turn,
            trace,
            reply,
            at,
            late,
            origin,
            after,
            hands_over,
            taken_back,
            ends,
        };
        assert_eq!(serde_json::from_str::<Outbound>(&stored(&outbound)).unwrap(), outbound);
    }

    const AWAITED: &str = concat!(
        r#"{"v":"awaited-1","thread":"CHcccccccccccccccccccccccccccccccc","#,
        r#""turn":"IM07070707070707070707070707070707","asked":1}"#
    );

    const SAID: &str = concat!(
        r#"{"v":"2","thread":"CHcccccccccccccccccccccccccccccccc","speaker":{"identity":"bot"},"#,
        r#""message":{"sid":"IM07070707070707070707070707070707","index":4,"author":"+15555550123","#,
        r#""body":"hello","attributes":{},"media":[{"sid":"ME09090909090909090909090909090909","#,
        r#""content_type":"image/png","filename":null,"size":12}],"participant":null,"#,
        r#""created":1795000000000},"at":1795000000001}"#
    );

    const AWAITED_AS: &str = concat!(
        r#"{"v":"awaited-2","speaker":{"address":"+15555550100"},"#,
        r#""thread":"CHcccccccccccccccccccccccccccccccc","#,
        r#""turn":"IM07070707070707070707070707070707","asked":1}"#
    );

    fn said() -> Inbound {
        let Said { thread, message, .. } = inbound().into_said();
        let (speaker, at) = (Some(bot()), Timestamp::from_millis(1_795_000_000_001));
        Inbound::V2 { thread, speaker, message, at }
    }

    fn bot() -> Speaker {
        Speaker::Identity("bot".to_owned())
    }

    fn awaited_as() -> Settled {
        let Settled::Awaited(of) = awaited() else { panic!("a turn") };
        Settled::AwaitedAs { speaker: Speaker::Address("+15555550100".into()), of }
    }

    fn awaited() -> Settled {
        let (thread, turn) = (thread(), message_id(7));
        Settled::Awaited(Awaited {
            thread,
            turn,
            asked: 1,
            agent: None,
            since: None,
            messages: Vec::new(),
        })
    }

    /// What an older release made of the message 07…
    const ID: Uuid = Uuid::from_u128(0x153f_9eef_1ad8_8f27_a7ab_1554_8b68_7228);

    fn message_id(n: u8) -> MessageId {
        MessageSid::from_bytes([n; 16]).into()
    }

    fn stored<T: Serialize>(record: &T) -> String {
        serde_json::to_string(record).unwrap()
    }

    fn thread() -> Thread {
        Thread::Conversation(ConversationSid::from_bytes([0xcc; 16]))
    }

    fn inbound() -> Inbound {
        let message = TurnMessage {
            sid: message_id(7),
            index: Some(4),
            author: "+15555550123".into(),
            body: Some("hello".into()),
            attributes: Map::new(),
            media: vec![Media {
                sid: Some(crate::twilio::sid::MediaSid::from_bytes([9; 16])),
                url: None,
                content_type: Some("image/png".into()),
                filename: None,
                size: Some(12),
            }],
            participant: None,
            created: Some(Timestamp::from_millis(1_795_000_000_000)),
            extras: None,
        };
        Inbound::V1 { thread: thread(), message, at: Timestamp::from_millis(1_795_000_000_001) }
    }

    fn outbound() -> Outbound {
        let turn = message_id(7);
        Outbound::V1 {
            id: ID,
            thread: thread(),
            turn: Some(turn),
            trace: None,
            reply: Reply::text("hi"),
            at: Timestamp::from_millis(1_795_000_000_002),
            late: false,
            origin: None,
            after: None,
            hands_over: false,
            taken_back: None,
            ends: false,
        }
    }

    fn settled() -> Settled {
        let message = message_id(7);
        Settled::V1 {
            report: Report {
                reply: ID,
                thread: thread(),
                turn: None,
                origin: Origin::new("evt_1".into()),
                fate: Fate::Sent { message },
                at: Timestamp::from_millis(1_795_000_000_003),
            },
            trace: None,
        }
    }
}
