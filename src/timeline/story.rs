//! Puts a message's story together of its own records and its thread's. Pure.

use serde_json::Value;

use crate::json;
use crate::thread::{MessageId, ThreadId};

/// How long before a message's first record something of its thread belongs to its story: a
/// conversation is told of, and joined, in the same moment. Chosen: a minute.
const BEFORE_MS: i64 = 60_000;

/// Reads lines; what is no record, a line that a crash cut off, is left out.
pub(super) fn parsed(lines: &[String]) -> Vec<Value> {
    lines.iter().filter_map(|line| json::from_slice(line.as_bytes()).ok()).collect()
}

/// When a record happened, in milliseconds.
pub(super) fn at(record: &Value) -> i64 {
    record["at"].as_i64().unwrap_or_default()
}

/// The thread that records are of.
pub(super) fn thread_of(records: &[Value]) -> Option<ThreadId> {
    records.first()?["conversation"].as_str()?.parse().ok()
}

/// Adds to a message's records those that its thread has of the same time without any message.
pub(super) fn of_message(
    message: MessageId,
    mut own: Vec<Value>,
    of_thread: Vec<Value>,
) -> Vec<Value> {
    let times = || own.iter().map(at);
    let from = times().min().unwrap_or_default().saturating_sub(BEFORE_MS);
    let to = times().max().unwrap_or_default();
    let name = message.to_string();
    let is_own = |record: &Value| {
        ["message", "reply", "turn"].iter().any(|key| record[*key].as_str() == Some(&name))
    };
    let beside = of_thread.into_iter().filter(|record| {
        let at = at(record);
        record["message"].is_null() && !is_own(record) && from <= at && at <= to
    });
    own.extend(beside);
    own
}

/// Puts records in the order in which things happened; what happened at once stays as it was told.
pub(super) fn sort(records: &mut [Value]) {
    records.sort_by_key(at);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_story_has_the_joins_of_its_time_and_nothing_of_other_messages() {
        let message: MessageId = format!("IM{}", "1".repeat(32)).parse().unwrap();
        let own = |at: i64| json!({"at": at, "message": message.to_string()});
        let beside = |at: i64| json!({"at": at});
        let other = json!({"at": 100_000, "message": format!("IM{}", "2".repeat(32))});
        let of_thread =
            vec![beside(1), beside(60_000), other, beside(100_000), own(110_000), beside(200_000)];
        let mut story = of_message(message, vec![own(110_000), own(150_000)], of_thread);
        sort(&mut story);
        assert_eq!(story.iter().map(at).collect::<Vec<_>>(), [60_000, 100_000, 110_000, 150_000]);
    }

    #[test]
    fn a_line_that_was_cut_off_is_left_out() {
        let lines = ["{\"at\":1}", "{\"at\":2,\"sta", "", "{\"at\":3}"].map(str::to_owned);
        assert_eq!(parsed(&lines).iter().map(at).collect::<Vec<_>>(), [1, 3]);
    }
}
