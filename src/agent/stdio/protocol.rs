//! What is said with a program by lines of JSON: which turns it has, and what each of its lines means for
//! them. Pure: no process, no clock, no channel; the time is an argument.
//!
//! We write `{"type":"turn",…}`, the document that every agent gets, and `{"type":"cancel","turn":…}`. It writes
//! `{"type":"reply","turn":…,"body":…}` any number of times, with the fields of a reply (`text` may stand for
//! `body`), then `{"type":"done","turn":…}`, with `"handoff":true` for a person, or `{"type":"error","turn":…,"retry":true}`; `typing` at any time.
//! A line that is none of these, or of a turn that it has not, is bad: told of, and nothing else. A reply that
//! cannot be sent ends its turn, since the rest of its answer would be a silence that nobody can explain.
//!
//! | event \ the turn | not open | open |
//! | --- | --- | --- |
//! | `ask` | open, written | – |
//! | `reply` | bad | kept; ends it if it cannot be sent, or is too much |
//! | `done` / `error` | bad | ends it: the replies / given up |
//! | `forsake` | – | `cancel` is written, gone |
//! | its time is over | – | `cancel` is written, ends it; a program that said nothing since hangs |
//! | the program ends | – | ends it: broken off |
//!
//! The driver's rule: after each call, [`Talk::poll`] until there is nothing, then wait for what comes
//! first, [`Talk::deadline`] among it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use serde_json::{Map, Value, json};

use crate::agent::answer::{self, Asked, REPLIES_MAX};
use crate::agent::{Answer, Error};
use crate::clock::Moment;
use crate::json;
use crate::thread::{MessageId, Reply, ThreadId};

/// What is to be done.
pub(super) enum Output {
    /// Write this, its line's end included.
    Write(Vec<u8>),
    /// Tell whoever asked.
    Settle(MessageId, Result<Answer, TurnEnding>),
    /// The program hangs: end it.
    Kill,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(line) => write!(f, "Write({} bytes)", line.len()),
            Self::Settle(turn, told) => f.debug_tuple("Settle").field(turn).field(told).finish(),
            Self::Kill => f.write_str("Kill"),
        }
    }
}

/// How a turn ended that has no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum TurnEnding {
    /// Its time was over.
    TooSlow,
    /// The program ended.
    BrokenOff,
    /// The program says so itself, and whether it may be asked again.
    GivenUp {
        /// Whether that can help.
        retry: bool,
    },
    /// A reply cannot be sent; a sentence without a word of it.
    Malformed(String),
    /// The replies are larger than what is read.
    TooLarge,
}

/// Why a line is bad.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BadLine {
    /// It is no JSON object.
    NoJson,
    /// Its type is none that there is.
    UnknownType,
    /// It names no turn that the program has.
    UnknownTurn,
    /// It is longer than what is read.
    TooLong,
}

impl BadLine {
    /// The word for logs and metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NoJson => "no_json",
            Self::UnknownType => "unknown_type",
            Self::UnknownTurn => "unknown_turn",
            Self::TooLong => "too_long",
        }
    }
}

/// A turn that is to be asked.
#[derive(Clone)]
pub(super) struct AskedTurn {
    /// The turn.
    pub(super) turn: MessageId,
    /// Where it came from.
    pub(super) thread: ThreadId,
    /// The turn as JSON, in one line and without its end.
    pub(super) document: Vec<u8>,
}

impl fmt::Debug for AskedTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { turn, thread, document } = self;
        let mut shown = f.debug_struct("AskedTurn");
        shown.field("turn", turn).field("thread", thread);
        shown.field("bytes", &document.len()).finish()
    }
}

#[derive(Debug)]
struct OpenTurn {
    thread: ThreadId,
    replies: Vec<Reply>,
    bytes: usize,
    asked: Moment,
    deadline: Moment,
}

/// Everything that is open with one run of a program.
#[derive(Debug)]
pub(super) struct Talk {
    timeout: std::time::Duration,
    answer_bytes_max: usize,
    open: BTreeMap<MessageId, OpenTurn>,
    outputs: VecDeque<Output>,
    spoke: Option<Moment>,
    has_answered: bool,
}

impl Talk {
    /// Begins with a program that has just been started.
    pub(super) fn new(timeout: std::time::Duration, answer_bytes_max: usize) -> Self {
        Self {
            timeout,
            answer_bytes_max,
            open: BTreeMap::new(),
            outputs: VecDeque::new(),
            spoke: None,
            has_answered: false,
        }
    }

    /// What is to be done next.
    pub(super) fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Talk::elapse`] is due.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.open.values().map(|open| open.deadline).min()
    }

    /// How many turns the program has.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether the program has answered a turn, so that it is known to work.
    pub(super) const fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// Asks a turn.
    pub(super) fn ask(&mut self, now: Moment, question: AskedTurn) {
        let AskedTurn { turn, thread, mut document } = question;
        document.push(b'\n');
        let (asked, deadline) = (now, now + self.timeout);
        let open = OpenTurn { thread, replies: Vec::new(), bytes: 0, asked, deadline };
        // Whoever asked the same before does not wait any more.
        let _before = self.open.insert(turn, open);
        self.outputs.push_back(Output::Write(document));
    }

    /// Hears that nobody waits for a turn any more.
    pub(super) fn forsake(&mut self, turn: MessageId) {
        if self.open.remove(&turn).is_some() {
            self.cancel(turn);
        }
    }

    /// Takes a line.
    ///
    /// # Errors
    ///
    /// Why it is a bad one.
    pub(super) fn hear(&mut self, now: Moment, line: &[u8]) -> Result<(), BadLine> {
        self.spoke = Some(now);
        let mut said: Map<String, Value> = json::object(line).map_err(|_| BadLine::NoJson)?;
        let kind = said.remove("type");
        let turn = said.remove("turn");
        let turn = turn.as_ref().and_then(Value::as_str).and_then(|turn| turn.parse().ok());
        let open = turn.filter(|turn| self.open.contains_key(turn)).ok_or(BadLine::UnknownTurn);
        match kind.as_ref().and_then(Value::as_str) {
            Some("reply") => self.reply(open?, said, line.len()),
            Some("done") => {
                let hands_over = said.get("handoff").and_then(Value::as_bool).unwrap_or(false);
                self.done(open?, hands_over);
            }
            Some("error") => {
                let retry = said.get("retry").and_then(Value::as_bool).unwrap_or(false);
                self.end(open?, TurnEnding::GivenUp { retry });
            }
            // It is shown typing as long as it has a turn.
            Some("typing") => drop(open?),
            Some(_) | None => return Err(BadLine::UnknownType),
        }
        Ok(())
    }

    fn reply(&mut self, turn: MessageId, mut said: Map<String, Value>, bytes: usize) {
        let Some(open) = self.open.get_mut(&turn) else { return };
        if !said.contains_key("body")
            && let Some(text) = said.remove("text")
        {
            let _absent = said.insert("body".to_owned(), text);
        }
        open.bytes = open.bytes.saturating_add(bytes);
        if open.bytes > self.answer_bytes_max {
            return self.end(turn, TurnEnding::TooLarge);
        }
        if open.replies.len() >= REPLIES_MAX {
            let reason = format!("more than {REPLIES_MAX} replies, which are all that are allowed");
            return self.end(turn, TurnEnding::Malformed(reason));
        }
        let id = turn.to_string();
        let asked = Asked { id: &id, thread: open.thread, must_name: false };
        let answer = json!({ "replies": [said] }).to_string();
        match answer::parse(answer.as_bytes(), asked) {
            Ok(Answer::Replies(replies) | Answer::Handoff(replies)) => open.replies.extend(replies),
            Ok(Answer::Later) => {}
            Err(Error::Malformed { reason, .. }) => self.end(turn, TurnEnding::Malformed(reason)),
            Err(error) => self.end(turn, TurnEnding::Malformed(error.to_string())),
        }
    }

    fn done(&mut self, turn: MessageId, hands_over: bool) {
        if let Some(OpenTurn { replies, .. }) = self.open.remove(&turn) {
            self.has_answered = true;
            let answer =
                if hands_over { Answer::Handoff(replies) } else { Answer::Replies(replies) };
            self.outputs.push_back(Output::Settle(turn, Ok(answer)));
        }
    }

    fn end(&mut self, turn: MessageId, ending: TurnEnding) {
        if self.open.remove(&turn).is_some() {
            self.outputs.push_back(Output::Settle(turn, Err(ending)));
        }
    }

    fn cancel(&mut self, turn: MessageId) {
        // Scripts that read no JSON look at how a line begins.
        let line = format!("{{\"type\":\"cancel\",\"turn\":\"{turn}\"}}\n");
        self.outputs.push_back(Output::Write(line.into_bytes()));
    }

    /// Ends the turns whose time is over; a program that has said nothing since one of them was asked hangs.
    pub(super) fn elapse(&mut self, now: Moment) {
        let over = self.open.iter().filter(|(_, open)| open.deadline <= now);
        let over: Vec<(MessageId, Moment)> = over.map(|(turn, open)| (*turn, open.asked)).collect();
        let mut hangs = false;
        for (turn, asked) in over {
            hangs |= self.spoke.is_none_or(|spoke| spoke < asked);
            self.cancel(turn);
            self.end(turn, TurnEnding::TooSlow);
        }
        if hangs {
            self.outputs.push_back(Output::Kill);
        }
    }

    /// Hears that the program has said all that it will say, and went well if `is_well`: then what it has
    /// said to its one turn is the answer, where one process has one turn.
    pub(super) fn finish(&mut self, is_well: bool) {
        for turn in self.open.keys().copied().collect::<Vec<_>>() {
            if is_well {
                self.done(turn, false);
            } else {
                self.end(turn, TurnEnding::BrokenOff);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::twilio::sid::{ConversationSid as Sid, MessageSid};

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn turn(n: u8) -> MessageId {
        MessageSid::from_bytes([n; 16]).into()
    }

    fn open(now: Moment, turns: &[u8]) -> Talk {
        let mut talk = Talk::new(TIMEOUT, 1_000);
        for n in turns {
            let thread = ThreadId::of_conversation(Sid::from_bytes([9; 16]));
            talk.ask(now, AskedTurn { turn: turn(*n), thread, document: b"{}".to_vec() });
            assert!(matches!(talk.poll(), Some(Output::Write(line)) if line == b"{}\n"));
        }
        talk
    }

    fn settled(talk: &mut Talk) -> Vec<(MessageId, Result<Answer, TurnEnding>)> {
        std::iter::from_fn(|| talk.poll())
            .filter_map(|output| match output {
                Output::Settle(turn, end) => Some((turn, end)),
                Output::Write(_) | Output::Kill => None,
            })
            .collect()
    }

    fn line(kind: &str, n: u8, rest: &str) -> Vec<u8> {
        format!(r#"{{"type":"{kind}","turn":"{}"{rest}}}"#, turn(n)).into_bytes()
    }

    #[tokio::test]
    async fn a_turn_has_the_replies_that_came_before_its_end() {
        let now = Clock::start().now();
        let mut talk = open(now, &[1, 2]);
        for said in [
            line("typing", 1, ""),
            line("reply", 1, r#","body":"one""#),
            line("reply", 2, r#","text":"other""#),
            line("reply", 1, r#","text":"two","attributes":{"a":1}"#),
            line("done", 1, ""),
        ] {
            talk.hear(now, &said).unwrap();
        }
        let ended = settled(&mut talk);
        assert_eq!(ended.len(), 1);
        let (who, Ok(Answer::Replies(replies))) = &ended[0] else { panic!("{ended:?}") };
        assert_eq!((*who, replies.len(), talk.len()), (turn(1), 2, 1));
        assert_eq!(replies[0], Reply::text("one"));
        assert_eq!(replies[1].attributes["a"], 1);
    }

    #[tokio::test]
    async fn every_line_that_is_none_is_bad_and_changes_nothing() {
        let now = Clock::start().now();
        let mut talk = open(now, &[1]);
        for (said, why) in [
            (b"hello".to_vec(), BadLine::NoJson),
            (b"".to_vec(), BadLine::NoJson),
            (b"[1]".to_vec(), BadLine::NoJson),
            (vec![0xff; 9], BadLine::NoJson),
            (b"{}".to_vec(), BadLine::UnknownType),
            (line("answer", 1, ""), BadLine::UnknownType),
            (line("reply", 2, r#","body":"x""#), BadLine::UnknownTurn),
            (line("done", 2, ""), BadLine::UnknownTurn),
            (line("typing", 2, ""), BadLine::UnknownTurn),
            (br#"{"type":"error","turn":7}"#.to_vec(), BadLine::UnknownTurn),
            (br#"{"type":"done"}"#.to_vec(), BadLine::UnknownTurn),
        ] {
            assert_eq!(talk.hear(now, &said), Err(why), "{}", String::from_utf8_lossy(&said));
        }
        assert!(talk.poll().is_none());
        assert_eq!(talk.len(), 1);
    }

    #[tokio::test]
    async fn what_cannot_be_sent_ends_its_turn_and_says_why() {
        let now = Clock::start().now();
        let long = format!(r#","body":"{}""#, "x".repeat(1_000));
        for (said, ending) in [
            (line("error", 1, ""), TurnEnding::GivenUp { retry: false }),
            (line("error", 1, r#","retry":true"#), TurnEnding::GivenUp { retry: true }),
            (line("reply", 1, &long), TurnEnding::TooLarge),
        ] {
            let mut talk = open(now, &[1]);
            talk.hear(now, &said).unwrap();
            assert_eq!(settled(&mut talk), [(turn(1), Err(ending))]);
        }
        let mut talk = open(now, &[1]);
        talk.hear(now, &line("reply", 1, r#","bdoy":"planted""#)).unwrap();
        let ended = settled(&mut talk);
        let (_, Err(TurnEnding::Malformed(reason))) = &ended[0] else { panic!("{ended:?}") };
        assert!(reason.contains("did you mean `body`?") && !reason.contains("planted"), "{reason}");
    }

    #[tokio::test]
    async fn a_slow_turn_is_cancelled_and_a_program_that_says_nothing_hangs() {
        let now = Clock::start().now();
        for speaks in [true, false] {
            let mut talk = open(now, &[1]);
            assert_eq!(talk.deadline(), Some(now + TIMEOUT));
            if speaks {
                talk.hear(now + TIMEOUT / 2, &line("typing", 1, "")).unwrap();
            }
            talk.elapse(now + TIMEOUT / 2);
            assert!(talk.poll().is_none());
            talk.elapse(now + TIMEOUT);
            let Some(Output::Write(cancel)) = talk.poll() else { panic!("no cancel") };
            assert_eq!(cancel, [&line("cancel", 1, "")[..], b"\n"].concat());
            let slow = talk.poll();
            assert!(matches!(slow, Some(Output::Settle(_, Err(TurnEnding::TooSlow)))), "{slow:?}");
            assert_eq!(matches!(talk.poll(), Some(Output::Kill)), !speaks);
        }
    }

    #[tokio::test]
    async fn the_end_of_the_program_is_the_end_of_all_that_it_has() {
        let now = Clock::start().now();
        for (is_well, expected) in
            [(false, Err(TurnEnding::BrokenOff)), (true, Ok(Answer::Replies(Vec::new())))]
        {
            let mut talk = open(now, &[1, 2]);
            talk.finish(is_well);
            let all = [(turn(1), expected.clone()), (turn(2), expected)];
            assert_eq!(settled(&mut talk), all);
            assert_eq!(talk.deadline(), None);
        }
        let mut talk = open(now, &[1]);
        talk.hear(now, &line("done", 1, r#","handoff":true"#)).unwrap();
        assert_eq!(settled(&mut talk), [(turn(1), Ok(Answer::Handoff(Vec::new())))]);
        let mut talk = open(now, &[1]);
        talk.forsake(turn(1));
        assert!(matches!(talk.poll(), Some(Output::Write(_))));
        assert_eq!(talk.hear(now, &line("done", 1, "")), Err(BadLine::UnknownTurn));
    }
}
