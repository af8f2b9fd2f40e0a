//! Makes the outbox's jobs of an agent's replies. Pure: ids and cuts follow from the turn alone.
//!
//! The same turn with the same replies gives the same jobs, on every attempt and every machine; that
//! is what lets the queue drop the second set.

use crate::agent::later::Batch;
use crate::agent::{Origin, Reply, Turn};
use crate::clock::Timestamp;
use crate::pii::Pii;
use crate::pipeline::doors::encode;
use crate::pipeline::policy::split;
use crate::pipeline::record::{self, Outbound};
use crate::queue::{Append, JobId};

/// Makes the jobs of the replies to a turn.
///
/// What would be too long for the author's channel is cut; each part is a job with an id of its own.
#[must_use]
pub fn of_turn(turn: &Turn, replies: Vec<Reply>, at: Timestamp) -> Vec<Append> {
    let is_phone = turn.messages.iter().any(|message| is_phone(message.author.reveal()));
    let parts =
        replies.into_iter().flat_map(|reply| if is_phone { cut(reply) } else { vec![reply] });
    parts
        .filter(|reply| !reply.is_empty())
        .enumerate()
        .map(|(n, reply)| {
            let id = record::reply_id(turn.id, n);
            job(&Outbound::V1 {
                id,
                thread: turn.thread,
                turn: Some(turn.id),
                trace: Some(turn.trace()),
                reply,
                at,
                origin: None,
            })
        })
        .collect()
}

/// Makes the jobs of replies that came under an idempotency key of their own.
#[must_use]
pub fn of_key(batch: Batch, at: Timestamp) -> Vec<Append> {
    let Batch { thread, key, replies, turn, trace, cut: is_cut, origin } = batch;
    let parts: Vec<Reply> = replies
        .into_iter()
        .flat_map(|reply| if is_cut { cut(reply) } else { vec![reply] })
        .filter(|reply| !reply.is_empty())
        .collect();
    let count = parts.len();
    parts
        .into_iter()
        .enumerate()
        .map(|(n, reply)| {
            let id = record::late_reply_id(thread, &key, n);
            let origin = origin.clone();
            let origin = origin.map(|origin| Origin { part: n + 1, parts: count, ..origin });
            job(&Outbound::V1 { id, thread, turn, trace, reply, at, origin })
        })
        .collect()
}

fn job(outbound: &Outbound) -> Append {
    let Outbound::V1 { id, thread, .. } = outbound;
    Append {
        id: JobId::from_bytes(*id.as_bytes()),
        key: record::lane(*thread),
        position: None,
        not_before: None,
        payload: encode(outbound),
    }
}

/// Whether a message came over a channel with short messages: its author is a number.
fn is_phone(author: &str) -> bool {
    author.starts_with('+') || author.starts_with("whatsapp:")
}

/// Cuts a reply's text; files and a template go with the first part, attributes with each.
fn cut(reply: Reply) -> Vec<Reply> {
    let Some(body) = &reply.body else { return vec![reply] };
    let parts = split::split(body.reveal(), split::CHANNEL_UNITS_MAX);
    if parts.len() < 2 {
        return vec![reply];
    }
    let rest: Vec<_> = parts[1..]
        .iter()
        .map(|part| Reply { attributes: reply.attributes.clone(), ..Reply::text(*part) })
        .collect();
    let first = Reply { body: Some(Pii::new(parts[0])), ..reply.clone() };
    std::iter::once(first).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::agent::{Thread, TurnMessage};
    use crate::twilio::sid::{ConversationSid, MediaSid, MessageSid};

    const AT: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    #[test]
    fn the_same_turn_gives_the_same_jobs_on_every_attempt() {
        let replies = || vec![Reply::text("one"), Reply::text("two")];
        let first = of_turn(&turn("+15555550123", 1), replies(), AT);
        let second = of_turn(&turn("+15555550123", 2), replies(), AT);
        assert_eq!(first, second);
        assert_ne!(first[0].id, first[1].id);
        assert_eq!(first[0].key, first[1].key);
    }

    #[test]
    fn a_long_reply_is_cut_for_a_phone_and_not_for_a_chat() {
        let long = "A sentence of some length. ".repeat(100);
        let media = vec![MediaSid::from_bytes([9; 16])];
        let reply = || Reply { media_sids: media.clone(), ..Reply::text(long.clone()) };
        let cut = of_turn(&turn("whatsapp:+15555550123", 1), vec![reply()], AT);
        let whole = of_turn(&turn("alice", 1), vec![reply()], AT);
        assert_eq!((cut.len(), whole.len()), (2, 1));
        let stored: Vec<Outbound> =
            cut.iter().map(|job| serde_json::from_slice(&job.payload).unwrap()).collect();
        let files: Vec<_> =
            stored.iter().map(|Outbound::V1 { reply, .. }| reply.media_sids.len()).collect();
        assert_eq!(files, [1, 0], "files go with the first part");
    }

    #[test]
    fn blank_replies_make_no_jobs() {
        let replies = vec![Reply::text("  "), Reply::default(), Reply::text("hi")];
        assert_eq!(of_turn(&turn("alice", 1), replies.clone(), AT).len(), 1);
        let thread = Thread::Conversation(ConversationSid::from_bytes([1; 16]));
        assert_eq!(of_key(Batch::new(thread, "evt_1", replies), AT).len(), 1);
    }

    #[test]
    fn each_part_of_a_late_reply_knows_its_place_among_them() {
        let thread = Thread::Conversation(ConversationSid::from_bytes([1; 16]));
        let long = "A sentence of some length. ".repeat(100);
        let batch = Batch {
            cut: true,
            origin: Some(Origin::new("note".into())),
            ..Batch::new(thread, "evt_1", vec![Reply::text(long)])
        };
        let jobs = of_key(batch, AT);
        let places: Vec<_> = jobs
            .iter()
            .map(|job| serde_json::from_slice(&job.payload).unwrap())
            .map(|Outbound::V1 { origin, .. }| origin.unwrap())
            .map(|Origin { part, parts, .. }| (part, parts))
            .collect();
        assert_eq!(places, [(1, 2), (2, 2)]);
    }

    fn turn(author: &str, attempt: u32) -> Turn {
        let sid = MessageSid::from_bytes([7; 16]);
        Turn {
            id: sid,
            thread: Thread::Conversation(ConversationSid::from_bytes([1; 16])),
            identity: "bot".into(),
            messages: vec![TurnMessage {
                sid,
                index: Some(0),
                author: author.into(),
                body: Some("hello".into()),
                attributes: Map::new(),
                media: Vec::new(),
                participant: None,
                created: None,
            }],
            attempt,
        }
    }
}
