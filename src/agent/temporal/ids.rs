//! The ids that workflows have, and what they say of where a workflow comes from. Pure.

use crate::thread::{MessageId, ThreadId};

/// What the id of a workflow says of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum StartedFor {
    /// It was started for a turn.
    Turn(MessageId),
    /// It is a thread's.
    Thread(ThreadId),
    /// It is none of ours: a schedule's, or somebody started it by hand.
    Other,
}

/// The id of a turn's workflow; `asked` counts how often the turn was asked anew.
pub(super) fn of_turn(turn: MessageId, asked: u32) -> String {
    if asked == 0 { turn.to_string() } else { format!("{turn}-{asked}") }
}

/// What a workflow is.
pub(super) fn origin(workflow: &str) -> StartedFor {
    let (name, asked) = workflow.split_once('-').unwrap_or((workflow, "0"));
    let is_turns = asked.bytes().all(|byte| byte.is_ascii_digit()) && !asked.is_empty();
    if let Some(turn) = name.parse().ok().filter(|_| is_turns) {
        return StartedFor::Turn(turn);
    }
    workflow.parse().map_or(StartedFor::Other, StartedFor::Thread)
}

/// What makes the replies of an activity count once, however often Temporal runs it.
///
/// The activities of a workflow are numbered, those of its next run from one again. A turn has one answer,
/// whichever run gives it; a thread's workflow may have any number of runs that all have something to say.
pub(super) fn key(workflow: &str, run: &str, activity: &str) -> String {
    match origin(workflow) {
        StartedFor::Turn(turn) => format!("temporal:{turn}:{activity}"),
        StartedFor::Thread(_) | StartedFor::Other => {
            format!("temporal:{workflow}:{run}:{activity}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const H: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_workflow_says_where_it_comes_from() {
        let turn: MessageId = format!("SM{H}").parse().unwrap();
        for asked in [0, 1, 12] {
            assert_eq!(origin(&of_turn(turn, asked)), StartedFor::Turn(turn), "{asked}");
        }
        let thread: ThreadId = format!("CH{H}").parse().unwrap();
        assert_eq!(origin(&thread.to_string()), StartedFor::Thread(thread));
        for other in ["", "reminder_7_20261130", &format!("SM{H}-"), &format!("SM{H}-x"), "CH1"] {
            assert_eq!(origin(other), StartedFor::Other, "{other}");
        }
    }

    #[test]
    fn what_answers_a_turn_counts_once_and_what_a_thread_says_counts_in_each_run() {
        let (turn, thread) = (format!("IM{H}"), format!("CH{H}"));
        assert_eq!(key(&turn, "run 1", "1"), key(&turn, "run 2", "1"));
        assert_eq!(key(&turn, "run 1", "1"), key(&format!("{turn}-1"), "run 2", "1"));
        assert_ne!(key(&turn, "run 1", "1"), key(&turn, "run 1", "2"));
        for workflow in [thread.as_str(), "reminder"] {
            assert_ne!(key(workflow, "run 1", "1"), key(workflow, "run 2", "1"));
        }
    }
}
