//! Makes the outbox's jobs of an agent's replies. Pure: ids and cuts follow from what it is given.
//!
//! The same turn with the same replies gives the same jobs, on every attempt and every machine; that
//! is what lets the queue drop the second set.
//!
//! Whether a long reply is cut depends on who reads along, and somebody may have come between two
//! attempts. So a long reply takes as many jobs as it has parts either way: left whole, the first job
//! has all of it and the others are blank, which the sender lets go unsent. Whichever attempt is stored
//! first has all the ids, and the other one, cut or not, adds nothing. (An engine that stores an append
//! job by job can break off within one; only there, and only if a phone comes or goes before the next
//! attempt, is the end of a reply said twice or not at all.)

use serde_json::{Value, json};
use uuid::Uuid;

use crate::agent::later::Batch;
use crate::agent::{Origin, Parting, Turn};
use crate::channels::Fallen;
use crate::clock::Timestamp;
use crate::jobs::{encode, lane};
use crate::pii::Pii;
use crate::pipeline::origins;
use crate::pipeline::policy::{buttons, split};
use crate::pipeline::record::{self, After, AnswerName, Outbound};
use crate::pipeline::send::reply_ids::ReplyIds;
use crate::queue::{Append, Cause, JobId, Queue};
use crate::telemetry::trace::TraceId;
use crate::text::is_longer_than;
use crate::thread::{MessageId, Reply, Thread};

/// The most jobs that one answer or batch takes: what one append takes.
pub const PARTS_MAX: usize = Queue::APPEND_JOBS_MAX;
/// The most that the jobs of a turn's answer weigh together. They are stored with the end of the turn
/// in one write, and a server of NATS takes a mebibyte in one.
/// Source: NATS server configuration, `max_payload`, read 2026-11-21.
pub const TURN_BYTES_MAX: usize = 896 * 1024;
/// The most that the jobs of a batch weigh together: what is sensible to hold in memory for one call.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a job weighs beside its payload.
const JOB_BYTES: usize = 256;

/// Replies take more room than the outbox gives. The same replies would never fit.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// There are too many of them, or of their parts.
    #[error("the replies have {parts} parts, {PARTS_MAX} are taken")]
    Parts {
        /// How many there are.
        parts: usize,
    },
    /// One is too large.
    #[error(
        "a reply takes {bytes} bytes with its attributes, {} are taken",
        Append::PAYLOAD_BYTES_MAX
    )]
    Reply {
        /// How large it is.
        bytes: usize,
    },
    /// All together are too large.
    #[error("the replies take {bytes} bytes, attributes with each part, {bytes_max} are taken")]
    Together {
        /// How large they are.
        bytes: usize,
        /// How large they may be.
        bytes_max: usize,
    },
}

/// What all replies of one answer or batch have in common.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// Makes the ids that they bear at Twilio.
    pub ids: &'a ReplyIds,
    /// When they were accepted.
    pub at: Timestamp,
    /// Whether their agent is told of each step of theirs.
    pub tells: bool,
    /// Which agent gave them, of several; none is the plain section's.
    pub agent: Option<&'a str>,
    /// The longest text, in UTF-16 units, that goes out whole where a phone reads.
    pub units_max: usize,
}

impl Stamp<'_> {
    /// What comes back with what is told of a part.
    fn origin(&self, part: &ReplyPart, mut note: Value) -> Option<Origin> {
        let ReplyPart { index, part: n, parts, .. } = *part;
        note["index"] = index.into();
        (self.tells && !part.reply.is_empty()).then(|| {
            let agent = self.agent.map(str::to_owned);
            Origin { note, part: n, parts, agent }
        })
    }
}

/// A part of a reply, or a blank that keeps the place of one.
struct ReplyPart {
    reply: Reply,
    /// Which of the replies it is of.
    index: usize,
    /// Which of its parts it is, from 1.
    part: usize,
    /// How many say something.
    parts: usize,
}

/// Jobs for the outbox, to be appended together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Jobs {
    /// The jobs.
    pub appends: Vec<Append>,
    /// Which of them say something; the others keep a place.
    pub speaks: Vec<bool>,
}

impl Jobs {
    /// How many of them say something.
    pub fn said(&self) -> usize {
        self.speaks.iter().filter(|speaks| **speaks).count()
    }

    /// The ids that the replies bear which say something.
    pub fn reply_ids(&self, ids: &ReplyIds) -> Vec<Uuid> {
        let said = self.appends.iter().zip(&self.speaks).filter(|(_, speaks)| **speaks);
        said.map(|(append, _)| ids.id(append.id)).collect()
    }

    /// Adds the one that gives the thread to a person, or ends it.
    fn part(
        &mut self,
        (id, parting): (JobId, Parting),
        (thread, turn, trace): (Thread, Option<MessageId>, Option<TraceId>),
        (at, late, taken_back): (Timestamp, bool, Option<u64>),
    ) {
        let ends = parting == Parting::End;
        let outbound = Outbound::V1 {
            id: Uuid::from_bytes(*id.as_bytes()),
            thread,
            turn,
            trace,
            reply: Reply::default(),
            at,
            late: late && ends,
            origin: None,
            after: None,
            hands_over: parting == Parting::Handoff,
            taken_back: taken_back.filter(|_| !ends),
            ends,
        };
        self.appends.push(job(id, &outbound));
        self.speaks.push(false);
    }

    /// Gives the jobs if the queue takes them all.
    fn within(self, bytes_max: usize) -> Result<Self, Error> {
        let parts = self.appends.len();
        if parts > PARTS_MAX {
            return Err(Error::Parts { parts });
        }
        let sizes = || self.appends.iter().map(|job| job.payload.len());
        if let Some(bytes) = sizes().find(|bytes| *bytes > Append::PAYLOAD_BYTES_MAX) {
            return Err(Error::Reply { bytes });
        }
        let bytes = sizes().map(|payload| payload + JOB_BYTES).sum();
        if bytes > bytes_max {
            return Err(Error::Together { bytes, bytes_max });
        }
        Ok(self)
    }
}

/// Whether one of these is longer than what its channel brings to a phone.
#[must_use]
pub fn is_long(replies: &[Reply], units_max: usize) -> bool {
    let is_long_body = |body: &Pii| is_longer_than(body.reveal(), units_max);
    let is_long = |reply: &Reply| reply.body.as_ref().is_some_and(is_long_body);
    let is_long_written = |reply: &Reply| is_long(&buttons::written(reply.clone()));
    replies
        .iter()
        .any(|reply| is_long(reply) || !reply.buttons.is_empty() && is_long_written(reply))
}

/// Makes the jobs of the replies to a turn, long ones cut if a phone reads along.
///
/// Each part is a job with an id of its own, and so is what gives the thread to a person after them.
///
/// # Errors
///
/// If the queue would not take them.
pub fn of_turn(
    turn: &Turn,
    (replies, parting): (Vec<Reply>, Parting),
    is_cut: bool,
    stamp: Stamp<'_>,
) -> Result<Jobs, Error> {
    let Stamp { ids, at, units_max, .. } = stamp;
    let parts = parts(replies, is_cut, units_max);
    let speaks = parts.iter().map(|part| !part.reply.is_empty()).collect();
    let job = |(n, part): (usize, ReplyPart)| {
        let id = record::reply_job(turn.id, n);
        let origin = stamp.origin(&part, json!({}));
        let reply = part.reply;
        let outbound = Outbound::V1 {
            id: ids.id(id),
            thread: turn.thread.clone(),
            turn: Some(turn.id),
            trace: Some(turn.trace()),
            reply,
            at,
            late: false,
            origin,
            after: None,
            hands_over: false,
            taken_back: None,
            ends: false,
        };
        job(id, &outbound)
    };
    let appends = parts.into_iter().enumerate().map(job).collect();
    let mut jobs = Jobs { appends, speaks };
    let id = match parting {
        Parting::Stays => None,
        Parting::Handoff => Some(record::handoff_job(turn.id)),
        Parting::End => Some(record::end_job(turn.id)),
    };
    if let Some(id) = id {
        let of = (turn.thread.clone(), Some(turn.id), Some(turn.trace()));
        jobs.part((id, parting), of, (at, false, None));
    }
    jobs.within(TURN_BYTES_MAX)
}

/// Makes the jobs of replies that came after their turn: under its ids if they are its answer, else under those of
/// their idempotency key.
///
/// # Errors
///
/// If the queue would not take them.
pub fn of_key(batch: Batch, stamp: Stamp<'_>) -> Result<Jobs, Error> {
    let Stamp { ids, at, units_max, .. } = stamp;
    let Batch { parting, taken_back, .. } = batch;
    let Batch { thread, key, replies, turn, trace, late, cut: is_cut, origin, .. } = batch;
    let name = AnswerName::of(thread.id(), turn.filter(|_| batch.is_answer), &key);
    let parts = parts(replies, is_cut, units_max);
    let speaks: Vec<_> = parts.iter().map(|part| !part.reply.is_empty()).collect();
    let count = speaks.iter().filter(|speaks| **speaks).count();
    let mut said = 0;
    let job = |(n, part): (usize, ReplyPart)| {
        let job_id = name.reply_job(n);
        let id = ids.id(job_id);
        said += usize::from(!part.reply.is_empty());
        let given = origin.clone().filter(|_| !part.reply.is_empty());
        let given = given.map(|origin| {
            let agent = stamp.agent.map(str::to_owned);
            Origin { part: said, parts: count, agent, ..origin }
        });
        // What an operator says is no agent's to hear of.
        let own = || stamp.origin(&part, json!({ "key": key })).filter(|_| late);
        let origin = given.or_else(own);
        let reply = part.reply;
        let (thread, after) = (thread.clone(), None);
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
            hands_over: false,
            taken_back: None,
            ends: false,
        };
        job(job_id, &outbound)
    };
    let appends = parts.into_iter().enumerate().map(job).collect();
    let mut jobs = Jobs { appends, speaks };
    let id = match parting {
        Parting::Stays => None,
        Parting::Handoff => Some(name.handoff_job()),
        Parting::End => Some(name.end_job()),
    };
    if let Some(id) = id {
        jobs.part((id, parting), (thread, turn, trace), (at, late, taken_back));
    }
    jobs.within(BATCH_BYTES_MAX)
}

/// Makes the job of a reply that failed after Twilio had taken it.
#[must_use]
pub fn of_failure(fallen: Fallen, at: Timestamp) -> Append {
    let Fallen { reply: id, sent, again, cause } = fallen;
    let Cause { class, code, detail } = cause;
    let outbound = Outbound::V1 {
        id: record::again_id(id),
        thread: sent.thread,
        turn: sent.turn,
        trace: None,
        reply: sent.reply,
        at,
        late: false,
        origin: sent.note.as_ref().and_then(origins::read),
        after: Some(Box::new(After { again, class: class.into_owned(), code, detail })),
        hands_over: false,
        taken_back: None,
        ends: false,
    };
    job(record::failed_reply_job(id), &outbound)
}

fn job(id: JobId, outbound: &Outbound) -> Append {
    let Outbound::V1 { thread, .. } = outbound;
    Append { id, key: lane(thread), position: None, not_before: None, payload: encode(outbound) }
}

/// All parts of replies that say something, and the blanks that keep a place.
fn parts(replies: Vec<Reply>, is_cut: bool, units_max: usize) -> Vec<ReplyPart> {
    let said = replies.into_iter().map(buttons::written).enumerate();
    let said = said.filter(|(_, reply)| !reply.is_empty());
    let cut = |(index, reply)| {
        let all = if is_cut { cut(reply, units_max) } else { leave_whole(reply, units_max) };
        let parts = all.iter().filter(|part| !part.is_empty()).count();
        (1..).zip(all).map(move |(part, reply)| ReplyPart { reply, index, part, parts })
    };
    said.flat_map(cut).collect()
}

/// Cuts a reply's text if it is long; files and a template go with the first part, attributes with
/// each, and what may be chosen with the last.
fn cut(mut reply: Reply, units_max: usize) -> Vec<Reply> {
    let buttons = std::mem::take(&mut reply.buttons);
    let Some(parts) = parts_of(&reply, units_max) else { return vec![Reply { buttons, ..reply }] };
    let mut parts = parts.into_iter().map(Pii::new);
    let first = Reply { body: parts.next(), ..reply.clone() };
    let rest =
        parts.map(|part| Reply { attributes: reply.attributes.clone(), ..Reply::text(part) });
    let mut all: Vec<_> = std::iter::once(first).chain(rest).collect();
    if let Some(last) = all.last_mut() {
        last.buttons = buttons;
    }
    all
}

/// Leaves a reply as it is, with as many blanks as it would have further parts.
fn leave_whole(reply: Reply, units_max: usize) -> Vec<Reply> {
    let further = parts_of(&reply, units_max).map_or(0, |parts| parts.len().saturating_sub(1));
    std::iter::once(reply).chain(std::iter::repeat_n(Reply::default(), further)).collect()
}

/// The parts of a long reply's text; white space alone has none.
fn parts_of(reply: &Reply, units_max: usize) -> Option<Vec<&str>> {
    let body = reply.body.as_ref().filter(|body| is_longer_than(body.reveal(), units_max))?;
    Some(split::split(body.reveal(), units_max))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use serde_json::Map;

    use super::*;
    use crate::channels::PHONE_TEXT_UNITS_MAX;
    use crate::config::AGENT_RESPONSE_BYTES_MAX;
    use crate::thread::{Speaker, Thread, TurnMessage};
    use crate::twilio::sid::{ConversationSid, MediaSid, MessageSid};

    const AT: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    fn stamp() -> Stamp<'static> {
        static IDS: LazyLock<ReplyIds> = LazyLock::new(|| ReplyIds::of(&"secret".into()));
        Stamp { ids: &IDS, at: AT, tells: false, agent: None, units_max: PHONE_TEXT_UNITS_MAX }
    }

    #[test]
    fn the_same_turn_gives_the_same_jobs_on_every_attempt() {
        let replies = || vec![Reply::text("one"), Reply::text("two")];
        let first =
            of_turn(&turn("+15555550123", 1), (replies(), Parting::Stays), true, stamp()).unwrap();
        let second =
            of_turn(&turn("+15555550123", 2), (replies(), Parting::Stays), true, stamp()).unwrap();
        assert_eq!(first, second);
        let [one, two] = &first.appends[..] else { panic!("two jobs") };
        assert_ne!(one.id, two.id);
        assert_eq!(one.key, two.key);
    }

    #[test]
    fn what_a_reply_bears_at_twilio_does_not_follow_from_its_job() {
        let replies = || vec![Reply::text("one"), Reply::text("two")];
        let other = ReplyIds::of(&"another secret".into());
        let mine = of_turn(&turn("alice", 1), (replies(), Parting::Stays), true, stamp()).unwrap();
        let others = Stamp { ids: &other, ..stamp() };
        let others = of_turn(&turn("alice", 1), (replies(), Parting::Stays), true, others).unwrap();
        let jobs = |jobs: &Jobs| jobs.appends.iter().map(|job| job.id).collect::<Vec<_>>();
        assert_eq!(jobs(&mine), jobs(&others), "the queue drops the second set");
        for ((Outbound::V1 { id, .. }, Outbound::V1 { id: other, .. }), job) in
            stored(&mine).into_iter().zip(stored(&others)).zip(jobs(&mine))
        {
            assert_ne!(id, other);
            assert_ne!(id.as_bytes(), job.as_bytes());
        }
    }

    #[test]
    fn a_long_reply_is_cut_for_a_phone_and_not_for_a_chat() {
        let media = vec![MediaSid::from_bytes([9; 16])];
        let reply = || Reply { media_sids: media.clone(), ..Reply::text(long()) };
        let cut = of_turn(
            &turn("whatsapp:+15555550123", 1),
            (vec![reply()], Parting::Stays),
            true,
            stamp(),
        )
        .unwrap();
        let whole =
            of_turn(&turn("alice", 1), (vec![reply()], Parting::Stays), false, stamp()).unwrap();
        assert_eq!((cut.said(), whole.said()), (2, 1));
        let files: Vec<_> =
            stored(&cut).iter().map(|Outbound::V1 { reply, .. }| reply.media_sids.len()).collect();
        assert_eq!(files, [1, 0], "files go with the first part");
        let Outbound::V1 { reply: sent, .. } = stored(&whole).remove(0);
        assert_eq!(sent, reply());
    }

    #[test]
    fn cut_or_not_the_same_replies_have_the_same_ids() {
        let replies = || vec![Reply::text("one"), Reply::text(long()), Reply::text("two")];
        let ids = |jobs: &Jobs| jobs.appends.iter().map(|job| job.id).collect::<Vec<_>>();
        let of_turn = |is_cut| {
            of_turn(&turn("alice", 1), (replies(), Parting::Stays), is_cut, stamp()).unwrap()
        };
        assert_eq!(ids(&of_turn(true)), ids(&of_turn(false)));
        let thread = || Thread::from(ConversationSid::from_bytes([1; 16]));
        let of_key = |cut| {
            let batch = Batch { cut, ..Batch::new(thread(), "evt_1", replies()) };
            of_key(batch, stamp()).unwrap()
        };
        assert_eq!(ids(&of_key(true)), ids(&of_key(false)));
        assert_eq!(of_key(false).speaks, [true, true, false, true]);
        assert_eq!(of_key(true).said(), 4);
    }

    #[test]
    fn nothing_longer_than_a_phone_takes_is_left_of_a_cut_reply() {
        let padded = format!("{}{}", "x".repeat(1590), " ".repeat(20));
        let silent = Reply {
            media_sids: vec![MediaSid::from_bytes([9; 16])],
            ..Reply::text(" ".repeat(1601))
        };
        let replies = vec![Reply::text(padded), silent, Reply::text("x".repeat(1601))];
        assert!(is_long(&replies, PHONE_TEXT_UNITS_MAX));
        let jobs =
            of_turn(&turn("+15555550123", 1), (replies, Parting::Stays), true, stamp()).unwrap();
        for Outbound::V1 { reply, .. } in stored(&jobs) {
            assert!(!reply.is_empty() && !is_long(&[reply], PHONE_TEXT_UNITS_MAX));
        }
        assert_eq!(jobs.said(), 4);
        assert!(!is_long(
            &[Reply::text("\u{1f600}".repeat(800)), Reply::default()],
            PHONE_TEXT_UNITS_MAX
        ));
        assert!(is_long(&[Reply::text("\u{1f600}".repeat(801))], PHONE_TEXT_UNITS_MAX));
    }

    #[test]
    fn a_person_gets_the_thread_after_what_is_said_with_it() {
        let of_turn = |replies| {
            of_turn(&turn("alice", 1), (replies, Parting::Handoff), false, stamp()).unwrap()
        };
        let thread = Thread::Conversation(ConversationSid::from_bytes([1; 16]));
        let late = Batch {
            parting: Parting::Handoff,
            ..Batch::new(thread, "evt_1", vec![Reply::text("wait")])
        };
        for (jobs, said) in [
            (of_turn(vec![Reply::text("wait")]), 1),
            (of_turn(Vec::new()), 0),
            (of_key(late, stamp()).unwrap(), 1),
        ] {
            let hands: Vec<_> =
                stored(&jobs).iter().map(|Outbound::V1 { hands_over, .. }| *hands_over).collect();
            assert_eq!(jobs.said(), said);
            assert_eq!(hands, [vec![false; said], vec![true]].concat());
        }
    }

    #[test]
    fn blank_replies_make_no_jobs() {
        let replies = vec![Reply::text("  "), Reply::default(), Reply::text("hi")];
        assert_eq!(
            of_turn(&turn("alice", 1), (replies.clone(), Parting::Stays), false, stamp())
                .unwrap()
                .appends
                .len(),
            1
        );
        let thread = Thread::Conversation(ConversationSid::from_bytes([1; 16]));
        assert_eq!(of_key(Batch::new(thread, "evt_1", replies), stamp()).unwrap().appends.len(), 1);
    }

    #[test]
    fn each_part_of_a_late_reply_knows_its_place_among_them() {
        let thread = Thread::Conversation(ConversationSid::from_bytes([1; 16]));
        let places = |cut| {
            let origin = Some(Origin::new("note".into()));
            let batch = Batch::new(thread.clone(), "evt_1", vec![Reply::text(long())]);
            let jobs = of_key(Batch { cut, origin, ..batch }, stamp()).unwrap();
            let origins = stored(&jobs).into_iter().map(|Outbound::V1 { origin, .. }| origin);
            origins.map(|origin| origin.map(|of| (of.part, of.parts))).collect::<Vec<_>>()
        };
        assert_eq!(places(true), [Some((1, 2)), Some((2, 2))]);
        assert_eq!(places(false), [Some((1, 1)), None]);
    }

    #[test]
    fn each_part_knows_which_reply_it_is_of_where_its_agent_is_told() {
        let replies = || vec![Reply::default(), Reply::text(long()), Reply::text("two")];
        let stamp = Stamp { tells: true, ..stamp() };
        let told = |jobs: &Jobs| {
            let origins = stored(jobs).into_iter().map(|Outbound::V1 { origin, .. }| origin);
            origins.map(|of| of.map(|of| (of.note, of.part, of.parts))).collect::<Vec<_>>()
        };
        let of = |note: Value, part, parts| Some((note, part, parts));
        let first = |part, parts| of(json!({"index": 1}), part, parts);
        let cut = of_turn(&turn("alice", 1), (replies(), Parting::Stays), true, stamp).unwrap();
        assert_eq!(told(&cut), [first(1, 2), first(2, 2), of(json!({"index": 2}), 1, 1)]);
        let whole = of_turn(&turn("alice", 1), (replies(), Parting::Stays), false, stamp).unwrap();
        assert_eq!(told(&whole), [first(1, 1), None, of(json!({"index": 2}), 1, 1)]);
        let thread = Thread::Conversation(ConversationSid::from_bytes([1; 16]));
        let batch =
            |late| Batch { late, ..Batch::new(thread.clone(), "k", vec![Reply::text("x")]) };
        let late = of_key(batch(true), stamp).unwrap();
        assert_eq!(told(&late), [of(json!({"key": "k", "index": 0}), 1, 1)]);
        assert_eq!(told(&of_key(batch(false), stamp).unwrap()), [None], "an operator's");
    }

    #[test]
    fn the_largest_answer_that_is_read_fits_cut_or_not() {
        let sentences = "A sentence of some length. ".repeat(AGENT_RESPONSE_BYTES_MAX / 27);
        for text in [sentences, "x".repeat(AGENT_RESPONSE_BYTES_MAX)] {
            for is_cut in [true, false] {
                let replies = vec![Reply::text(text.clone())];
                let jobs =
                    of_turn(&turn("alice", 1), (replies, Parting::Stays), is_cut, stamp()).unwrap();
                assert!(jobs.appends.len() > 300);
            }
        }
    }

    #[test]
    fn what_the_outbox_would_not_take_is_told_before() {
        let turn = turn("+15555550123", 1);
        let refused =
            |replies| of_turn(&turn, (replies, Parting::Stays), true, stamp()).unwrap_err();
        let many = vec![Reply::text("x"); PARTS_MAX + 1];
        assert_eq!(refused(many), Error::Parts { parts: PARTS_MAX + 1 });
        let wide = |bytes: usize| {
            let attributes = Map::from_iter([("a".to_owned(), "x".repeat(bytes).into())]);
            Reply { attributes, ..Reply::text("x") }
        };
        let one = refused(vec![wide(Append::PAYLOAD_BYTES_MAX)]);
        assert!(matches!(one, Error::Reply { .. }), "{one}");
        let all = refused(vec![wide(TURN_BYTES_MAX / 2), wide(TURN_BYTES_MAX / 2)]);
        assert!(matches!(all, Error::Together { .. }), "{all}");
        let thread = Thread::Conversation(ConversationSid::from_bytes([1; 16]));
        let late = vec![wide(BATCH_BYTES_MAX / 16); 16];
        let late = of_key(Batch::new(thread, "evt_1", late), stamp()).unwrap_err();
        assert!(matches!(late, Error::Together { .. }), "{late}");
    }

    /// A text of two parts.
    fn long() -> String {
        "A sentence of some length. ".repeat(100)
    }

    fn stored(jobs: &Jobs) -> Vec<Outbound> {
        jobs.appends.iter().map(|job| serde_json::from_slice(&job.payload).unwrap()).collect()
    }

    fn turn(author: &str, attempt: u32) -> Turn {
        let sid = MessageSid::from_bytes([7; 16]).into();
        Turn {
            id: sid,
            thread: Thread::Conversation(ConversationSid::from_bytes([1; 16])),
            speaker: Speaker::Identity("bot".into()),
            messages: vec![TurnMessage {
                sid,
                index: Some(0),
                author: author.into(),
                body: Some("hello".into()),
                attributes: Map::new(),
                media: Vec::new(),
                participant: None,
                created: None,
                extras: None,
            }],
            history: Vec::new(),
            attempt,
            files: crate::media::Offers::default(),
        }
    }
}
