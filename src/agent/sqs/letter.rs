//! What comes by the reply queue: replies to a turn, read as strictly as every answer. Pure.
//!
//! `{"turn":"IM…","thread":"CH…","replies":[…]}`. One message a turn counts, however often it comes and
//! whatever the queue calls it: a consumer that is run twice for one turn answers once. Who sends several
//! gives each an `id` of its own.

use crate::agent::form::{AnswerForm, optional};
use crate::agent::{Parting, answer};
use crate::json::Members;
use crate::thread::{MessageId, Reply, ThreadId};

/// The longest id that is taken.
const ID_BYTES_MAX: usize = 128;

/// What a message of the reply queue is made of.
const LETTER: AnswerForm = AnswerForm {
    names: &["turn", "thread", "conversation", "id", "replies", "handoff", "end"],
    meant: &[
        ("answer", "replies"),
        ("messages", "replies"),
        ("reply", "replies"),
        ("response", "replies"),
        ("text", "replies"),
        ("turn_id", "turn"),
    ],
};

/// Replies to a turn.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Letter {
    /// The turn.
    pub(super) turn: MessageId,
    /// Where it came from.
    pub(super) thread: ThreadId,
    /// The same for what is to count once.
    pub(super) key: String,
    /// The replies; none says that there is nothing to say.
    pub(super) replies: Vec<Reply>,
    /// What becomes of the thread after them.
    pub(super) parting: Parting,
}

/// Reads a message's body.
///
/// # Errors
///
/// What is wrong, without a word of the body but the names of its fields.
pub(super) fn read(body: &str) -> Result<Letter, String> {
    let mut room = Vec::new();
    let wanted = ("the message", "{\"turn\":…,\"thread\":…,\"replies\":[…]}");
    let members = answer::members(body.as_bytes(), &mut room, wanted)?;
    LETTER.check(&members).map_err(|stranger| stranger.to_string())?;
    let turn = optional::<MessageId>(&members, "turn", "message", "the id of a turn")?;
    let turn = turn.ok_or("there is no `turn`, whose id a reply must have")?;
    let thread = thread(&members)?;
    let id = optional::<String>(&members, "id", "message", "a text")?;
    if id.as_ref().is_some_and(|id| id.len() > ID_BYTES_MAX) {
        return Err(format!("`message.id` has more than {ID_BYTES_MAX} bytes"));
    }
    let key = id.map_or_else(|| format!("sqs:{turn}"), |id| format!("sqs:{turn}:{id}"));
    let (replies, parting) = answer::listed(&members)?;
    Ok(Letter { turn, thread, key, replies, parting })
}

fn thread(members: &Members<'_>) -> Result<ThreadId, String> {
    let named = |name| optional::<ThreadId>(members, name, "message", "the name of a thread");
    match (named("thread")?, named("conversation")?) {
        (Some(one), Some(other)) if one != other => {
            Err("`thread` and `conversation` are not the same".to_owned())
        }
        (Some(thread), _) | (None, Some(thread)) => Ok(thread),
        (None, None) => Err("there is no `thread`, which is the turn's own".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const H: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_letter_names_turn_and_thread_and_counts_once() {
        let letter = letter(json!({})).unwrap();
        assert_eq!(letter.turn.to_string(), format!("IM{H}"));
        assert_eq!(letter.thread.to_string(), format!("CH{H}"));
        assert_eq!(letter.replies, [Reply::text("one"), Reply::text("two")]);
        assert_eq!(letter.key, format!("sqs:IM{H}"));
        assert_eq!(letter.parting, Parting::Stays);
    }

    #[test]
    fn a_letter_may_give_the_thread_to_a_person() {
        for (word, parting) in [("handoff", Parting::Handoff), ("end", Parting::End)] {
            assert_eq!(letter(json!({word: true})).unwrap().parting, parting);
        }
    }

    #[test]
    fn several_letters_about_a_turn_differ_by_their_ids() {
        let key = |id| letter(json!({ "id": id })).unwrap().key;
        assert_ne!(key(json!("a")), key(json!("b")));
        assert_eq!(key(json!(null)), format!("sqs:IM{H}"));
        assert!(letter(json!({"id": "x".repeat(ID_BYTES_MAX + 1)})).is_err());
    }

    #[test]
    fn what_is_wrong_is_told_without_a_word_of_it() {
        for (change, told) in [
            (json!({"turn": null}), "there is no `turn`"),
            (json!({"turn": "secret"}), "`message.turn` is not the id of a turn"),
            (json!({"thread": null}), "there is no `thread`"),
            (json!({"thread": "secret"}), "`message.thread` is not the name"),
            (json!({"conversation": format!("CH{}", "f".repeat(32))}), "are not the same"),
            (json!({"replies": "secret"}), "`replies` is no list"),
            (json!({"replies": [{"text": "secret"}]}), "did you mean `body`?"),
            (json!({"id": 7}), "`message.id` is not a text"),
            (json!({"turn_id": "secret"}), "did you mean `turn`?"),
        ] {
            let error = letter(change.clone()).unwrap_err();
            assert!(error.contains(told), "{change}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(read("hello").unwrap_err().contains("line 1"));
    }

    fn letter(change: Value) -> Result<Letter, String> {
        let mut whole = json!({
            "turn": format!("IM{H}"), "thread": format!("CH{H}"), "replies": ["one", {"body": "two"}],
        });
        for (name, value) in change.as_object().unwrap() {
            whole[name] = value.clone();
        }
        read(&whole.to_string())
    }
}
