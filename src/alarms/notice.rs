//! A notice of an alarm, as it is posted. Pure.

use serde::Serialize;

use super::rules::{Alarm, AlarmChange, Severity};
use crate::clock::Timestamp;

/// The version of the document.
const VERSION: u32 = 1;

/// Who tells.
#[derive(Clone, Debug)]
pub struct Teller {
    /// The service's name.
    pub service: String,
    /// The instance's.
    pub instance: String,
}

/// The document.
#[derive(Debug, Serialize)]
pub struct Notice<'a> {
    version: u32,
    /// The same as `webhook-id`: whoever has seen it has seen this.
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    service: &'a str,
    instance: &'a str,
    alarm: Alarm,
    state: NoticeState,
    severity: Severity,
    /// With whom: an identity, an agent, a queue.
    #[serde(skip_serializing_if = "str::is_empty")]
    subject: &'a str,
    since: String,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<u64>,
    summary: String,
    remedy: &'static str,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum NoticeState {
    Firing,
    Resolved,
}

impl<'a> Notice<'a> {
    /// Writes a change.
    #[must_use]
    pub fn of(id: &'a str, change: &'a AlarmChange, teller: &'a Teller, at: Timestamp) -> Self {
        Self {
            version: VERSION,
            id,
            kind: "chimein.alarm",
            service: &teller.service,
            instance: &teller.instance,
            alarm: change.alarm,
            state: if change.is_firing { NoticeState::Firing } else { NoticeState::Resolved },
            severity: change.alarm.severity(),
            subject: &change.subject,
            since: change.since.to_string(),
            at: at.to_string(),
            value: change.value,
            threshold: change.threshold,
            summary: summary(change),
            remedy: remedy(change.alarm),
        }
    }
}

/// What is wrong, in one line, or that it is over.
#[must_use]
pub fn summary(change: &AlarmChange) -> String {
    let AlarmChange { alarm, subject, value, .. } = change;
    let value = value.unwrap_or_default();
    let what = match alarm {
        Alarm::StoreFailing => "the store takes nothing; webhooks are answered with 503".to_owned(),
        Alarm::TwilioRefuses => "Twilio refuses the credentials".to_owned(),
        Alarm::TwilioDown => "Twilio does not answer requests".to_owned(),
        Alarm::SocketDown => format!("the socket of the identity {subject} is not connected"),
        Alarm::AgentDown => format!("the agent {subject} does not answer"),
        Alarm::TurnsFailing => format!("{value} turns failed within ten minutes, more than half"),
        Alarm::QueueDepth => format!("{value} jobs wait in the queue {subject}"),
        Alarm::QueueOldest => {
            format!("the oldest job of the queue {subject} waits for {value} s")
        }
        Alarm::DeadLetters => format!("{value} dead letters in the queue {subject}"),
        Alarm::SeatsRunOut => format!("the identity {subject} sits in {value} conversations"),
    };
    if change.is_firing { what } else { format!("over: {what}") }
}

/// What helps.
#[must_use]
pub const fn remedy(alarm: Alarm) -> &'static str {
    match alarm {
        Alarm::StoreFailing => {
            "chimein doctor says whether the disk is full or NATS away; once it is mended, what Twilio was told to \
             bring again comes by itself"
        }
        Alarm::TwilioRefuses => {
            "chimein doctor names the credential, the grant or the setting that is wrong"
        }
        Alarm::TwilioDown => "look at status.twilio.com, proxy and firewall; all waits and goes on",
        Alarm::SocketDown => {
            "chimein doctor opens a socket and says what keeps it from opening; webhooks and the sweep go on"
        }
        Alarm::AgentDown => {
            "look at the agent's own log, and at what chimein doctor says of it; its turns wait"
        }
        Alarm::TurnsFailing | Alarm::DeadLetters => {
            "chimein dead-letters list has the causes; once they are mended, chimein dead-letters redrive"
        }
        Alarm::QueueDepth | Alarm::QueueOldest => {
            "/readyz says who is away: the agent (inbox) or Twilio (joins, outbox)"
        }
        Alarm::SeatsRunOut => {
            "give the bot another identity, or let it leave closed conversations (seats.leave_closed)"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_says_what_is_wrong_since_when_and_what_helps() {
        let teller = Teller { service: "chimein".to_owned(), instance: "a-1".to_owned() };
        let mut change = AlarmChange {
            alarm: Alarm::DeadLetters,
            subject: "inbox".to_owned(),
            is_firing: true,
            since: Timestamp::from_millis(1_000),
            value: Some(3),
            threshold: Some(0),
        };
        let written =
            serde_json::to_value(Notice::of("n-1", &change, &teller, change.since)).unwrap();
        let expected = serde_json::json!({
            "version": 1,
            "id": "n-1",
            "type": "chimein.alarm",
            "service": "chimein",
            "instance": "a-1",
            "alarm": "dead_letters",
            "state": "firing",
            "severity": "ticket",
            "subject": "inbox",
            "since": "1970-01-01T00:00:01.000Z",
            "at": "1970-01-01T00:00:01.000Z",
            "value": 3,
            "threshold": 0,
            "summary": "3 dead letters in the queue inbox",
            "remedy": "chimein dead-letters list has the causes; once they are mended, chimein dead-letters redrive",
        });
        assert_eq!(written, expected);
        change.is_firing = false;
        let over = serde_json::to_value(Notice::of("n-1", &change, &teller, change.since)).unwrap();
        assert_eq!(
            (&over["state"], &over["summary"]),
            (&"resolved".into(), &"over: 3 dead letters in the queue inbox".into())
        );
    }
}
