//! What happened to a message, as bars over time. Pure.
//!
//! A record of the timeline tells when a step ended. It began where the step before it on the same track ended:
//! the message has one track, and each of its replies has one. What comes in by a door, and what somebody does, is
//! a moment. A failed attempt is followed by the wait until the next one.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use super::layout::span;

/// One row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Bar {
    /// What its colour means: a class of the style sheet.
    pub(super) kind: &'static str,
    /// What it is.
    pub(super) what: String,
    /// How it was done.
    pub(super) detail: String,
    /// When it began, in milliseconds since the first record.
    pub(super) from_ms: i64,
    /// When it ended.
    pub(super) to_ms: i64,
    /// Whether it is time in which nothing is done.
    pub(super) is_wait: bool,
    /// What stands at its end: when, or how long.
    pub(super) told: String,
}

/// A message's story.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Waterfall {
    /// The rows, in the order in which they ended.
    pub(super) bars: Vec<Bar>,
    /// How long all of it is.
    pub(super) total_ms: i64,
}

/// What is to be known of it in one look.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Headline {
    /// The headline.
    pub(super) title: String,
    /// Its colour: `good`, `warn`, `bad` or `idle`.
    pub(super) colour: &'static str,
    /// The word in the pill.
    pub(super) word: &'static str,
}

fn text<'a>(record: &'a Value, key: &str) -> &'a str {
    record[key].as_str().unwrap_or_default()
}

fn at(record: &Value) -> i64 {
    record["at"].as_i64().unwrap_or_default()
}

fn words(word: &str) -> String {
    word.replace('_', " ")
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(ms.max(0).unsigned_abs())
}

/// How a step reads, by which colour, and whether it took its time.
struct StepLook {
    kind: &'static str,
    what: String,
    detail: String,
    is_moment: bool,
}

impl StepLook {
    fn moment(kind: &'static str, what: &str, detail: String) -> Self {
        Self { kind, what: what.to_owned(), detail, is_moment: true }
    }

    fn lasting(kind: &'static str, what: &str, detail: String) -> Self {
        Self { kind, what: what.to_owned(), detail, is_moment: false }
    }

    fn of(record: &Value) -> Self {
        let (moment, lasting) = (Self::moment, Self::lasting);
        let code = || match record["code"].as_u64() {
            Some(code) => format!(" {code}"),
            None => String::new(),
        };
        let reason = || format!("{}{}", words(text(record, "reason")), code());
        let own = |key: &str| text(record, key).to_owned();
        match text(record, "stage") {
            "webhook_received" => moment("door", "Webhook received", own("event")),
            "webhook_acknowledged" => lasting("door", "Acknowledged", "after it was stored".into()),
            "joined" => lasting("queue", "Joined", words(text(record, "how"))),
            "socket_joined" => moment("door", "Socket joined", String::new()),
            "left" => moment("queue", "Left", reason()),
            "message_seen" => moment("door", "Seen", format!("by {}", words(text(record, "door")))),
            "message_again" => {
                moment("door", "Told of again", format!("by {}", words(text(record, "door"))))
            }
            "attempt_failed" => {
                let what = match text(record, "queue") {
                    "inbox" => "Agent",
                    "outbox" => "Send",
                    "joins" => "Join",
                    _ => "Report",
                };
                let attempt = record["attempt"].as_u64().unwrap_or(1);
                lasting("fail", &format!("{what}, attempt {attempt}"), reason())
            }
            "waits" => moment("queue", "Waits", "for what is away".into()),
            "agent_answered" => {
                let detail = match record["replies"].as_u64() {
                    Some(0) => "nothing to say".to_owned(),
                    Some(1) => "one reply".to_owned(),
                    Some(count) => format!("{count} replies"),
                    None => String::new(),
                };
                lasting("think", "Agent answered", detail)
            }
            "reply_stored" => moment("reply", "Reply stored", String::new()),
            "reply_looked_for" => {
                let found = record["found"].as_bool() == Some(true);
                let detail = if found { "found: not sent again" } else { "not found" };
                lasting("queue", "Looked for", detail.into())
            }
            "reply_sent" => lasting("reply", "Reply sent", format!("by {}", own("via"))),
            "reply_visible" => lasting("reply", "In the conversation", String::new()),
            "reply_fares" => {
                let kind = if record["code"].is_null() { "reply" } else { "fail" };
                lasting(kind, &format!("Reply {}", own("status")), code())
            }
            "reply_fell" => lasting("fail", "Reply did not arrive", code()),
            "bundled" => moment("queue", "Answered with a later one", own("turn")),
            "held" => moment("queue", "Held", "a person has the thread".into()),
            "handed_over" => moment("queue", "Given to a person", String::new()),
            "ended" => moment("queue", "Ended by the agent", String::new()),
            "skipped" => moment("queue", "No turn", reason()),
            "operator" => moment("queue", "Operator", words(text(record, "act"))),
            "dead" => moment("fail", "Dead letter", format!("{} in {}", reason(), own("queue"))),
            other => moment("queue", &words(other), String::new()),
        }
    }
}

impl Waterfall {
    /// Draws records, which are in order; what is not over lasts until `now`, in milliseconds.
    pub(super) fn of(records: &[Value], now: i64) -> Self {
        let Some(first) = records.first().map(at) else { return Self::default() };
        let last = records.last().map_or(first, at);
        let mut tracks: HashMap<&str, i64> = HashMap::new();
        let (mut bars, mut thinking) = (Vec::new(), None);
        for record in records {
            let (track, now_at) = (text(record, "reply_id"), at(record));
            if text(record, "stage") == "turn_started" {
                thinking = Some(now_at);
                tracks.insert(track, now_at);
                continue;
            }
            let look = StepLook::of(record);
            let begun = tracks.get(track).copied().unwrap_or(now_at);
            let from = if look.is_moment { now_at } else { begun.min(now_at) };
            if matches!(text(record, "stage"), "agent_answered" | "attempt_failed" | "dead") {
                thinking = None;
            }
            let span = BarTime { from, to: now_at, first };
            bars.push(Bar::of(look, span, false));
            let retry = record["retry_in_ms"].as_i64().unwrap_or(0);
            let until = now_at.saturating_add(retry).min(now.max(last));
            if text(record, "stage") == "attempt_failed" && until > now_at {
                let look = StepLook::lasting("queue", "Waiting", "until the next attempt".into());
                bars.push(Bar::of(look, BarTime { from: now_at, to: until, first }, true));
            }
            tracks.insert(track, until.max(now_at));
        }
        if let Some(since) = thinking.filter(|since| *since <= now) {
            let look = StepLook::lasting("think", "Agent thinks", "not answered yet".into());
            bars.push(Bar::of(look, BarTime { from: since, to: now, first }, false));
        }
        let total_ms = bars.iter().map(|bar| bar.to_ms).max().unwrap_or(0).max(1);
        Self { bars, total_ms }
    }

    /// How far apart the lines of its grid are, in milliseconds: two to six of them fit.
    pub(super) fn grid_ms(&self) -> i64 {
        let mut step = 1_i64;
        loop {
            for times in [1, 2, 5] {
                if self.total_ms / (step * times) <= 6 {
                    return step * times;
                }
            }
            step = step.saturating_mul(10);
        }
    }

    /// Where something is, in thousandths of the whole.
    pub(super) fn place(&self, ms: i64) -> i64 {
        ms.saturating_mul(1_000) / self.total_ms.max(1)
    }

    /// The same as lines of text.
    pub(super) fn as_text(&self) -> String {
        let line = |bar: &Bar| {
            let detail =
                if bar.detail.is_empty() { String::new() } else { format!(" ({})", bar.detail) };
            format!("{:>10}  {}{detail}\n", format!("+{}", span(millis(bar.to_ms))), bar.what)
        };
        self.bars.iter().map(line).collect()
    }
}

/// From when to when, both and the first record in milliseconds since 1970.
#[derive(Clone, Copy)]
struct BarTime {
    from: i64,
    to: i64,
    first: i64,
}

impl Bar {
    fn of(look: StepLook, BarTime { from, to, first }: BarTime, is_wait: bool) -> Self {
        let lasted = matches!(look.kind, "think" | "fail") || is_wait;
        let told = if lasted && to > from {
            span(millis(to - from))
        } else {
            format!("+{}", span(millis(to - first)))
        };
        Self {
            kind: look.kind,
            what: look.what,
            detail: look.detail,
            from_ms: from - first,
            to_ms: to - first,
            is_wait,
            told,
        }
    }
}

/// What is to be known of a message in one look.
pub(super) fn headline(records: &[Value]) -> Headline {
    let line = |title: String, colour, word| Headline { title, colour, word };
    let last_of = |stage: &str| records.iter().rev().find(|record| text(record, "stage") == stage);
    let redriven = last_of("operator").filter(|record| text(record, "act") == "redrove").map(at);
    if let Some(dead) = last_of("dead").filter(|dead| redriven.is_none_or(|again| again < at(dead)))
    {
        let title =
            format!("A dead letter in {}: {}", text(dead, "queue"), words(text(dead, "reason")));
        return line(title, "bad", "dead letter");
    }
    if let Some(skipped) = last_of("skipped") {
        return line(format!("No turn: {}", words(text(skipped, "reason"))), "idle", "skipped");
    }
    if let Some(sent) = last_of("reply_sent") {
        let begun = records.first().map_or_else(|| at(sent), at);
        let took = span(millis(at(sent) - begun));
        let fares = last_of("reply_fares").map(|record| text(record, "status")).unwrap_or_default();
        let (end, colour, word) = match fares {
            "delivered" | "read" => (format!(", {fares}"), "good", "done"),
            "failed" | "undelivered" => (format!(", {fares}"), "bad", "not delivered"),
            _ => (String::new(), "good", "sent"),
        };
        return line(format!("Answered in {took}{end}"), colour, word);
    }
    if last_of("bundled").is_some() {
        return line("Answered together with a later one".to_owned(), "good", "done");
    }
    if last_of("agent_answered").is_some_and(|record| record["replies"].as_u64() == Some(0)) {
        return line("The agent had nothing to say".to_owned(), "idle", "done");
    }
    if last_of("held").is_some() {
        return line("Held: a person has the thread".to_owned(), "warn", "held");
    }
    if last_of("attempt_failed").is_some() {
        return line("Not answered yet: it is tried again".to_owned(), "warn", "again");
    }
    if last_of("turn_started").is_some() {
        return line("The agent thinks".to_owned(), "idle", "thinking");
    }
    line("On its way".to_owned(), "idle", "on its way")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn story() -> Vec<Value> {
        let reply = "153f9eef-1ad8-8f27-a7ab-15548b687228";
        vec![
            json!({"at": 1000, "stage": "webhook_received", "event": "onMessageAdded"}),
            json!({"at": 1003, "stage": "webhook_acknowledged"}),
            json!({"at": 1004, "stage": "message_seen", "door": "webhook"}),
            json!({"at": 1010, "stage": "turn_started"}),
            json!({"at": 1710, "stage": "attempt_failed", "queue": "inbox", "attempt": 1,
                "reason": "agent_status", "code": 503, "retry_in_ms": 2000}),
            json!({"at": 3710, "stage": "turn_started"}),
            json!({"at": 9710, "stage": "agent_answered", "replies": 1}),
            json!({"at": 9711, "stage": "reply_stored", "reply_id": reply}),
            json!({"at": 9900, "stage": "reply_sent", "via": "socket", "reply_id": reply}),
            json!({"at": 11000, "stage": "reply_fares", "status": "delivered", "reply_id": reply}),
        ]
    }

    #[test]
    fn each_step_begins_where_the_one_before_it_ended() {
        let fall = Waterfall::of(&story(), 20_000);
        let shown: Vec<_> =
            fall.bars.iter().map(|bar| (bar.what.as_str(), bar.from_ms, bar.to_ms)).collect();
        assert_eq!(
            shown,
            [
                ("Webhook received", 0, 0),
                ("Acknowledged", 0, 3),
                ("Seen", 4, 4),
                ("Agent, attempt 1", 10, 710),
                ("Waiting", 710, 2710),
                ("Agent answered", 2710, 8710),
                ("Reply stored", 8711, 8711),
                ("Reply sent", 8711, 8900),
                ("Reply delivered", 8900, 10_000),
            ]
        );
        assert_eq!((fall.total_ms, fall.grid_ms()), (10_000, 2_000));
        assert_eq!((fall.place(5_000), fall.bars[3].told.as_str()), (500, "700 ms"));
        assert!(
            fall.as_text().contains("+710 ms  Agent, attempt 1 (agent status 503)"),
            "{}",
            fall.as_text()
        );
    }

    #[test]
    fn what_is_not_over_lasts_until_now() {
        let fall = Waterfall::of(&story()[..4], 3_000);
        let last = fall.bars.last().unwrap();
        assert_eq!((last.what.as_str(), last.from_ms, last.to_ms), ("Agent thinks", 10, 2_000));
        let waiting = Waterfall::of(&story()[..5], 2_000);
        assert_eq!(waiting.bars.last().unwrap().to_ms, 1_000, "the wait is not over yet");
        assert_eq!(Waterfall::of(&[], 5), Waterfall::default());
    }

    #[test]
    fn the_headline_says_what_became_of_it() {
        let story = story();
        let of = |records: &[Value]| {
            let line = headline(records);
            (line.title, line.word)
        };
        assert_eq!(of(&story), ("Answered in 8.9 s, delivered".to_owned(), "done"));
        assert_eq!(of(&story[..5]).1, "again");
        assert_eq!(of(&story[..4]).1, "thinking");
        assert_eq!(of(&story[..3]).1, "on its way");
        let mut dead = story[..5].to_vec();
        dead.push(json!({"at": 5000, "stage": "dead", "queue": "inbox", "reason": "agent_status"}));
        assert_eq!(of(&dead), ("A dead letter in inbox: agent status".to_owned(), "dead letter"));
        dead.push(json!({"at": 6000, "stage": "operator", "act": "redrove"}));
        assert_eq!(of(&dead).1, "again");
        let skipped = [json!({"at": 1, "stage": "skipped", "reason": "opted_out"})];
        assert_eq!(of(&skipped).0, "No turn: opted out");
    }

    #[test]
    fn what_is_no_record_is_drawn_without_harm() {
        let odd = [json!({}), json!({"at": "x", "stage": 5}), json!({"at": i64::MAX}), json!(null)];
        let fall = Waterfall::of(&odd, 0);
        assert_eq!(fall.bars.len(), 4);
        assert!(fall.grid_ms() > 0);
    }
}
