//! The one table of all metrics: what is registered, documented and tested comes from here.

use std::fmt::Write as _;

/// A metric as the outside sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Metric {
    /// Its full name, with the unit and `_total` where it has one.
    pub name: &'static str,
    /// What can be done with its values.
    pub kind: Kind,
    /// The names of its labels, in order.
    pub labels: &'static [&'static str],
    /// What it counts or measures.
    pub help: &'static str,
}

/// The kinds of metrics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Only grows; ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts values by size.
    Histogram,
}

impl Kind {
    /// The word of the exposition format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

macro_rules! metrics {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric =
                Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };
        )*

        /// All metrics in the order of the page.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    BUILD_INFO: Gauge "chimein_build_info" ["version"]
        "Always 1; the label says which version runs.";
    WEBHOOK_REQUESTS: Counter "chimein_webhook_requests_total" ["outcome", "event_type"]
        "Webhook requests by how they were answered and by Twilio's event type.";
    WEBHOOK_ACK_SECONDS: Histogram "chimein_webhook_ack_seconds" []
        "Time from a webhook's arrival to its answer, the durable write included.";
    JOINS: Counter "chimein_joins_total" ["outcome"]
        "Attempts to make the bot a participant, by how they ended.";
    MESSAGES: Counter "chimein_messages_total" ["door"]
        "Messages seen, by the door they came in by; one message may come by several.";
    TURNS: Counter "chimein_turns_total" ["outcome"]
        "Turns of the agent, by how they ended.";
    AGENT_SECONDS: Histogram "chimein_agent_seconds" ["agent"]
        "Time an agent took for one turn that it answered, by its name.";
    AGENT_UP: Gauge "chimein_agent_up" ["agent"]
        "1 while an agent answers, 0 while turns wait for it to be back, by its name.";
    AGENT_WORDLESS: Counter "chimein_agent_wordless_total" ["reason"]
        "Turns to which a model said nothing that a person can be given, by why; tool calls among them.";
    AGENT_BAD_LINES: Counter "chimein_agent_bad_lines_total" ["reason"]
        "Lines of an agent's program that are none of those that were agreed on, by why.";
    REPLIES: Counter "chimein_replies_total" ["outcome", "via"]
        "Attempts to send a reply, by how they ended and by which road.";
    TEXT_STATUSES: Counter "chimein_text_statuses_total" ["status"]
        "What Twilio told of replies on their way to phones, each step of a reply once for each receiver.";
    REST_REQUESTS: Counter "chimein_rest_requests_total" ["op", "outcome"]
        "Requests to Twilio's REST API, by operation and by how they ended.";
    REST_SECONDS: Histogram "chimein_rest_seconds" ["op"]
        "Time of one request to Twilio's REST API, failed ones included, and the wait for one of the places that `twilio.requests_max` gives.";
    STAGE_SECONDS: Histogram "chimein_stage_seconds" ["stage"]
        "Time from the durable append of a stage's job to its end as done, by the wall clock: waiting, retries and redrives included; skipped messages too, dead letters and messages that a turn took along not.";
    SOCKET_STATE: Gauge "chimein_socket_state" ["identity", "state"]
        "1 for the state that a bot identity's Conversations socket is in, 0 for the others.";
    SOCKET_RECONNECTS: Counter "chimein_socket_reconnects_total" []
        "Times that the Conversations socket was lost after it had been up.";
    INSTANCES: Gauge "chimein_instances" []
        "Instances that share the work, this one included; 0 where there can be no others.";
    HELD: Gauge "chimein_held" ["kind"]
        "What this instance of several holds: partitions of the queue, identities, the sweep.";
    SEATS: Gauge "chimein_seats" ["identity"]
        "Conversations that a bot identity sits in.";
    QUEUE_JOBS: Gauge "chimein_queue_jobs" ["queue", "state"]
        "Jobs in a queue by state.";
    QUEUE_OLDEST_SECONDS: Gauge "chimein_queue_oldest_seconds" ["queue"]
        "Age of the oldest job that waits in a queue, 0 if none does.";
    TIMELINE_DROPPED: Counter "chimein_timeline_dropped_total" []
        "Steps of messages that the timeline could not keep: its disk or its stream failed, or it did not keep up.";
    LOGINS_REFUSED: Counter "chimein_console_logins_refused_total" []
        "Attempts to sign in to the console that were refused: wrong tokens, and those too soon after them.";
    FINDINGS: Gauge "chimein_findings" ["verdict"]
        "What the doctor's cheap checks found at the last look: `warn`, `fail` or `not_checked`.";
    DEAD_LETTERS: Counter "chimein_dead_letters_total" ["queue"]
        "Jobs that became dead letters.";
}

/// Writes the metrics as a table in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut table =
        String::from("| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n");
    for metric in ALL {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing to a String does not fail.
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {} |",
            metric.name,
            metric.kind.as_str(),
            labels.join(", "),
            metric.help,
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_row_for_each_metric() {
        let table = markdown();
        assert_eq!(table.lines().count(), ALL.len() + 2);
        let row = "| `chimein_queue_jobs` | gauge | `queue`, `state` | Jobs in a queue by state. |";
        assert!(table.lines().any(|line| line == row), "{table}");
    }

    #[test]
    fn names_follow_the_house_rule() {
        for metric in ALL {
            assert!(metric.name.starts_with("chimein_"), "{}", metric.name);
            let counts = metric.name.ends_with("_total");
            assert_eq!(counts, metric.kind == Kind::Counter, "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
            assert!(!metric.labels.iter().any(|label| label.ends_with("sid")), "{}", metric.name);
        }
    }

    #[test]
    fn names_are_said_once() {
        for (at, metric) in ALL.iter().enumerate() {
            assert!(ALL[at + 1..].iter().all(|other| other.name != metric.name), "{}", metric.name);
        }
    }
}
