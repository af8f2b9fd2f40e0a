//! What is known of a queue, and what an operator is told of it. Pure.

use std::collections::HashMap;

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;

use crate::agent::kind::CHECK;
use crate::finding::Finding;
use crate::json;

/// The limit of a message where the queue does not say its own.
/// Source: Amazon SQS, `CreateQueue`, `MaximumMessageSize`, what it was until 2025, read 2026-11-30.
pub(super) const BYTES_MAX_DEFAULT: usize = 256 * 1024;

/// What a queue is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// Turns go out by it.
    Turns,
    /// Replies come in by it.
    Replies,
}

impl Role {
    /// Its name in a sentence.
    const fn named(self) -> &'static str {
        match self {
            Self::Turns => "the queue of turns",
            Self::Replies => "the queue of replies",
        }
    }

    /// What becomes of a message that nobody can deal with, where there is no dead-letter queue.
    const fn without_dead_letters(self) -> &'static str {
        match self {
            Self::Turns => "a turn that its consumer fails at comes again until it expires",
            Self::Replies => "a message that cannot be read comes again until it expires",
        }
    }
}

/// What a queue says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Facts {
    /// How large a message may be, its attributes included.
    pub(super) bytes_max: usize,
    /// Where messages go that are received too often.
    pub(super) redrive: Option<Redrive>,
}

/// Where messages go that are received too often.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Redrive {
    /// The name of the dead-letter queue.
    pub(super) name: String,
    /// Whose it is.
    pub(super) account: String,
    /// After how many receptions.
    pub(super) receives_max: u64,
}

/// What was seen of a dead-letter queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Letters {
    /// So many messages are in it.
    Hold(u64),
    /// There is none of that name.
    Missing,
    /// We may not look.
    Unseen,
}

impl Facts {
    /// Reads a queue's attributes.
    pub(super) fn of(attributes: &HashMap<QueueAttributeName, String>) -> Self {
        let bytes_max = attributes.get(&QueueAttributeName::MaximumMessageSize);
        let redrive = attributes.get(&QueueAttributeName::RedrivePolicy);
        Self {
            bytes_max: bytes_max.and_then(|text| text.parse().ok()).unwrap_or(BYTES_MAX_DEFAULT),
            redrive: redrive.and_then(|text| Redrive::of(text)),
        }
    }
}

impl Redrive {
    /// Reads `{"deadLetterTargetArn":"arn:aws:sqs:REGION:ACCOUNT:NAME","maxReceiveCount":3}`; the count may
    /// be a text, as it was set.
    /// Source: AWS SDK for Ruby, "Redirecting Dead Letters in Amazon SQS", read 2026-11-30; `SetQueueAttributes`,
    /// `RedrivePolicy`, as infrastructure tools write it, with a number, read 2026-11-30.
    fn of(policy: &str) -> Option<Self> {
        let policy: Value = json::from_str(policy).ok()?;
        let arn = policy.get("deadLetterTargetArn")?.as_str()?;
        let (rest, name) = arn.rsplit_once(':')?;
        let (_, account) = rest.rsplit_once(':')?;
        let count = policy.get("maxReceiveCount")?;
        let receives_max = count.as_u64().or_else(|| count.as_str()?.parse().ok())?;
        Some(Self { name: name.to_owned(), account: account.to_owned(), receives_max })
    }
}

/// Judges a queue.
pub(super) fn judge(
    (role, name): (Role, &str),
    facts: &Facts,
    letters: Option<Letters>,
) -> Vec<Finding> {
    let what = format!("{} {name}", role.named());
    let Some(redrive) = &facts.redrive else {
        let found = format!("{what} has no dead-letter queue: {}", role.without_dead_letters());
        let remedy =
            "give it a redrive policy with a dead-letter queue and a maxReceiveCount of 3 or so";
        return vec![Finding::warn(CHECK, found, remedy)];
    };
    let Redrive { name: dead, receives_max, .. } = redrive;
    let mut findings = Vec::new();
    if *receives_max < 2 {
        let found =
            format!("{what} has a maxReceiveCount of {receives_max}: one failure is the end");
        findings.push(Finding::warn(CHECK, found, "let maxReceiveCount be 3 or so"));
    }
    match letters {
        Some(Letters::Missing) => {
            let found = format!("{what} names the dead-letter queue {dead}, which is not there");
            let remedy = "make that queue, in the same region and account";
            findings.push(Finding::warn(CHECK, found, remedy));
        }
        Some(Letters::Hold(count)) if count > 0 => {
            let found = format!("{dead}, the dead-letter queue of {name}, holds {count} messages");
            let remedy = "see why the consumer failed at them, then redrive them";
            findings.push(Finding::warn(CHECK, found, remedy));
        }
        Some(Letters::Hold(_) | Letters::Unseen) | None => {}
    }
    if findings.is_empty() {
        let found = format!(
            "{what} takes {} bytes a message; after {receives_max} failures one goes to {dead}",
            facts.bytes_max
        );
        findings.push(Finding::ok(CHECK, found));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Verdict;

    #[test]
    fn attributes_are_read_as_queues_write_them() {
        for policy in [
            r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-central-1:123456789012:dead","maxReceiveCount":3}"#,
            r#"{"maxReceiveCount":"3","deadLetterTargetArn":"arn:aws:sqs:eu-central-1:123456789012:dead"}"#,
        ] {
            let facts = facts(&[("MaximumMessageSize", "1048576"), ("RedrivePolicy", policy)]);
            let redrive = facts.redrive.unwrap();
            assert_eq!(facts.bytes_max, 1 << 20);
            assert_eq!((redrive.name.as_str(), redrive.receives_max), ("dead", 3));
            assert_eq!(redrive.account, "123456789012");
        }
        assert_eq!(facts(&[]), Facts { bytes_max: BYTES_MAX_DEFAULT, redrive: None });
        assert_eq!(facts(&[("RedrivePolicy", "{}")]).redrive, None);
    }

    #[test]
    fn a_queue_without_a_way_out_is_told_of_with_a_remedy() {
        for (receives_max, letters, verdict, told) in [
            (None, None, Verdict::Warn, "comes again until it expires"),
            (Some(1), Some(Letters::Hold(0)), Verdict::Warn, "one failure is the end"),
            (Some(3), Some(Letters::Missing), Verdict::Warn, "which is not there"),
            (Some(3), Some(Letters::Hold(2)), Verdict::Warn, "holds 2 messages"),
            (Some(3), Some(Letters::Hold(0)), Verdict::Ok, "after 3 failures"),
            (Some(3), Some(Letters::Unseen), Verdict::Ok, "after 3 failures"),
        ] {
            let redrive = receives_max.map(|receives_max| Redrive {
                name: "dead".to_owned(),
                account: "123456789012".to_owned(),
                receives_max,
            });
            let facts = Facts { bytes_max: 1 << 20, redrive };
            for role in [Role::Turns, Role::Replies] {
                let findings = judge((role, "q"), &facts, letters);
                assert_eq!(findings.len(), 1, "{told}");
                assert_eq!(findings[0].verdict, verdict, "{told}");
                assert!(findings[0].found.contains(told), "{}", findings[0].found);
                assert_eq!(findings[0].remedy.is_empty(), verdict == Verdict::Ok);
            }
        }
    }

    fn facts(attributes: &[(&str, &str)]) -> Facts {
        let named =
            |(name, value): &(&str, &str)| (QueueAttributeName::from(*name), (*value).to_owned());
        Facts::of(&attributes.iter().map(named).collect())
    }
}
