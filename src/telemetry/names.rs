//! The names of log fields, each spelled once.
//!
//! Log lines write fields as identifiers, which the compiler does not check; `tests/house.rs` holds
//! every log line of the sources against this table. The same words are BitBrat's where it has one.

/// A field that log lines may carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Field {
    /// Its one spelling.
    pub name: &'static str,
    /// What it says, and in which unit.
    pub meaning: &'static str,
}

/// Every field that a log line of this program may carry, in alphabetical order.
pub const FIELDS: &[Field] = &[
    field("action", "what an operator asked for: redrive or drop"),
    field("address", "the network address listened on or connected to"),
    field("agent", "the name of an agent, as the configuration has it"),
    field("attempt", "the number of this try, counted from 1"),
    field("check", "the id of one of the doctor's checks"),
    field("close_code", "the code that closed a WebSocket"),
    field("code", "Twilio's error code"),
    field("conn_id", "our number of a connection, counted from 1"),
    field("connections", "a number of connections"),
    field(
        "conversation_sid",
        "the thread it is about: a conversation (CH…) or a pair of addresses (TH…)",
    ),
    field("count", "a number of things that the sentence names"),
    field("dependency", "what jobs need and what is away: a part of Twilio's API, or the agent"),
    field("elapsed_ms", "how long it took, in milliseconds"),
    field("error", "what went wrong, with its causes"),
    field("event_type", "Twilio's name of the event"),
    field("fallback", "the name of the agent that is asked in the place of another"),
    field("field", "the name of a field of Twilio's answer or event"),
    field("format", "the number of the queue file's format"),
    field("frame", "a frame of the socket, under targets wire::* only"),
    field("identity", "the bot's own identity, never a person's"),
    field("job_id", "the queue's job, 32 hexadecimal digits"),
    field("key", "the setting it is about"),
    field("left_out", "lines of this kind that were left out since the last one, to bound the log"),
    field(
        "line",
        "what an agent's program wrote to its standard error: one line, cut, numbers masked",
    ),
    field("message_sid", "the message it is about (IM…, SM… or MM…)"),
    field("mode", "the rights to a file that were found, as three octal digits"),
    field("outcome", "how it ended, one of a closed set of words"),
    field("participant_sid", "the participant it is about (MB…)"),
    field("partition", "a partition of the queue on NATS, counted from 0"),
    field("path", "a file's path, or the path of a URL"),
    field("queue", "the queue it is about: joins, inbox, outbox or reports"),
    field("queue_depth", "jobs waiting in the queue"),
    field("reason", "why, one of a closed set of words or an error's text"),
    field("request_id", "Twilio's id of a request"),
    field("rest_op", "the REST operation, such as add_participant"),
    field("retry_in_ms", "milliseconds until the next try"),
    field("seq", "the number of a frame or a stored row"),
    field("session_id", "the id of a session on the socket"),
    field("sid", "the sid of a thing of any kind, where it has one that can be read"),
    field("signal", "the signal that ended the process"),
    field("since", "since when it is so, RFC 3339"),
    field(
        "source",
        "the door it came by: webhook, messaging_webhook, socket, replay, catch_up or reconcile",
    ),
    field(
        "stage",
        "the part of the service: a door (webhook, messaging_webhook, socket, catch_up, reconcile) or a queue",
    ),
    field("state", "the state that was entered"),
    field("status", "an HTTP status code"),
    field("step", "the step of a message's way that was noted, in the journal's word"),
    field("trace_id", "the trace of a message's way, 32 hexadecimal digits"),
    field("urls", "the URLs that a signature was checked against, without their queries and cut"),
    field("version", "the version of this program"),
    field("via", "the road that a reply went by: socket or rest"),
];

const fn field(name: &'static str, meaning: &'static str) -> Field {
    Field { name, meaning }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_said_once() {
        for pair in FIELDS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} before {}", pair[0].name, pair[1].name);
        }
    }
}
