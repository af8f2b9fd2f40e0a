//! What a workflow is asked: the turn's document within what Temporal takes, or six arguments. Pure.

use serde_json::{Value, json};

use super::settings::TemporalInput;
use crate::agent::Turn;
use crate::agent::fitted::{self, TooLarge};
use crate::clock::Timestamp;
use crate::pii::Pii;

/// How large what a workflow is given may be.
/// Source: docs.temporal.io, "Temporal Platform limits": a payload of 2 MB is refused, read 2026-11-30; the rest
/// of it is for what stands around.
pub(super) const BYTES_MAX: usize = 2_000_000;

/// Writes a turn's arguments, each as JSON, with when its answer is due if somebody watches.
///
/// # Errors
///
/// If it has no room, even without what was said before.
pub(super) fn arguments(
    turn: &Turn,
    input: TemporalInput,
    due: Option<Timestamp>,
) -> Result<Vec<String>, TooLarge> {
    match input {
        TemporalInput::Document => Ok(vec![fitted::document(turn, due, BYTES_MAX)?]),
        TemporalInput::Positional => positional(turn),
    }
}

/// Writes what the workflow of a thread is started with; its turns come afterwards.
pub(super) fn of_thread(turn: &Turn) -> String {
    let thread = &turn.thread;
    let document = json!({
        "type": "thread",
        "version": 1,
        "thread": thread.id(),
        "channel": thread.channel(),
        "ours": thread.ours().map(Pii::reveal),
        "theirs": thread.theirs().map(Pii::reveal),
    });
    document.to_string()
}

/// Who asks: the other one of two, or who wrote last.
pub(super) fn asker(turn: &Turn) -> &Pii {
    let last = || turn.messages.last().map(|message| &message.author);
    turn.thread.theirs().or_else(last).expect("a turn has a message")
}

/// `user_message, channel, user_id, conversation_id, conversation_history, user_context`: what was said before is
/// left out from its oldest on where there is no room for it.
fn positional(turn: &Turn) -> Result<Vec<String>, TooLarge> {
    let said: Vec<_> =
        turn.messages.iter().filter_map(|one| one.body.as_ref()).map(Pii::reveal).collect();
    // A conversation is one of texts as far as such a workflow knows.
    let channel = match turn.thread.channel() {
        "conversation" => "sms",
        channel => channel,
    };
    let from = asker(turn).reveal();
    let conversation = format!("{channel}_{}", turn.id);
    let context = json!({ "from": from });
    let texts = [json!(said.join("\n")), json!(channel), json!(from), json!(conversation)];
    let mut arguments: Vec<_> = texts.iter().map(Value::to_string).collect();
    let taken: usize = arguments.iter().map(String::len).sum::<usize>() + context.to_string().len();
    let free = BYTES_MAX.checked_sub(taken + "[]".len()).ok_or(TooLarge)?;
    arguments.push(history(turn, free));
    arguments.push(context.to_string());
    Ok(arguments)
}

/// The newest of what was said before, in the words of models.
fn history(turn: &Turn, free: usize) -> String {
    let said = turn.history.iter().rev().map(|past| {
        let role = if past.is_own { "assistant" } else { "user" };
        let content = past.body.as_ref().map_or("", Pii::reveal);
        json!({ "role": role, "content": content }).to_string()
    });
    let mut newest: Vec<_> = fitted::that_fit(said, free).collect();
    newest.reverse();
    format!("[{}]", newest.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::fitted::tests::{H, turn};

    #[test]
    fn six_arguments_are_what_the_older_system_gave() {
        let mut turn = turn("hello", &["before", "and then"]);
        turn.history[1].is_own = true;
        let arguments = arguments(&turn, TemporalInput::Positional, None).unwrap();
        let read: Vec<Value> =
            arguments.iter().map(|one| serde_json::from_str(one).unwrap()).collect();
        let history = json!([
            {"role": "user", "content": "before"}, {"role": "assistant", "content": "and then"},
        ]);
        let from = "+15555550123";
        let expected = [
            json!("hello"),
            json!("sms"),
            json!(from),
            json!(format!("sms_IM{H}")),
            history,
            json!({ "from": from }),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn neither_way_is_larger_than_what_temporal_takes() {
        let long = "x".repeat(90_000);
        let turn = turn("hello", &[long.as_str(); 40]);
        for input in [TemporalInput::Document, TemporalInput::Positional] {
            let arguments = arguments(&turn, input, None).unwrap();
            let bytes: usize = arguments.iter().map(String::len).sum();
            assert!((1_800_000..=BYTES_MAX).contains(&bytes), "{input:?}: {bytes}");
        }
        let turn = crate::agent::fitted::tests::turn(&"x".repeat(BYTES_MAX), &[]);
        for input in [TemporalInput::Document, TemporalInput::Positional] {
            assert_eq!(super::arguments(&turn, input, None), Err(TooLarge));
        }
    }
}
