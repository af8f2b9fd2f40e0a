//! What is said with a program by lines of JSON: which turns it has, and what each of its lines means for
//! them. Pure: no process, no clock, no channel; the time is an argument.
//!
//! We write `{"type":"turn",…,"ask":7}`, the document that every agent gets and the number of this ask, and
//! `{"type":"cancel","turn":…,"ask":7}`. It writes `{"type":"reply","turn":…,"body":…}` any number of times, with
//! the fields of a reply (`text` may stand for `body`), then `{"type":"done","turn":…}`, with `"handoff":true` for a
//! person, `{"type":"later","turn":…}` if the replies come by the door for later ones, or
//! `{"type":"error","turn":…,"retry":true}`; `typing` at any time. Each may have the `ask` that it belongs to.
//! A line that is none of these, or of a turn that it has not, is bad: told of, and nothing else. A reply that
//! cannot be sent ends its turn, since the rest of its answer would be a silence that nobody can explain.
//!
//! The same turn may be asked again while the program still thinks about it: it was too slow. What it says to
//! the one ask is never taken for the other. Lines with an `ask` say it themselves; those without one belong to
//! the earlier ask until that is ended, and only then is the turn written again. A turn *owes* an end as long
//! as the program has not ended an ask that nobody waits for any more.
//!
//! | event \ the turn | not open | owes an end | waits for that end | open |
//! | --- | --- | --- | --- | --- |
//! | `ask` | open, written | waits; open if the program is known to write `ask` | – | as forsaken, then asked |
//! | `reply`, `typing` | bad | nothing | nothing | kept; ends it if it cannot be sent, or is too much |
//! | `done`, `later`, `error` | bad | owes nothing | open, written | ends it: the replies / later / given up |
//! | a line with another `ask` | bad | bad | bad | bad |
//! | `forsake` | – | – | gone | `cancel` is written, owes an end |
//! | its time is over | – | – | ends it; the program hangs | `cancel` is written, ends it, owes an end; a program that said nothing since hangs |
//! | the program ends | – | – | ends it: broken off | ends it: broken off |

use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;

use serde_json::{Map, Value, json};

use super::dialect::{AskedTurn, BadLine, Dialect, Output, TurnEnding};
use crate::agent::answer::{self, Asked, REPLIES_MAX};
use crate::agent::{Answer, Error, Parting};
use crate::clock::Moment;
use crate::json;
use crate::thread::{MessageId, Reply, ThreadId};

/// How many turns that owe an end are remembered; of more than that the rest are taken for ended. A program
/// that never ends what is cancelled is to cost no memory without end.
const OWED_MAX: usize = 4_096;

#[derive(Debug)]
struct OpenTurn {
    /// Counts the asks of one run of the program.
    ask: u64,
    thread: ThreadId,
    replies: Vec<Reply>,
    bytes: usize,
    asked: Moment,
    deadline: Moment,
    /// The line, as long as it waits for the end of an earlier ask.
    held: Option<Vec<u8>>,
}

/// Everything that is open with one run of a program.
#[derive(Debug)]
pub(super) struct Talk {
    timeout: std::time::Duration,
    answer_bytes_max: usize,
    open: BTreeMap<MessageId, OpenTurn>,
    /// The latest ask of each turn that owes an end.
    owed: BTreeMap<MessageId, u64>,
    asks: u64,
    /// Whether the program is known to write which ask a line belongs to.
    numbers: bool,
    outputs: VecDeque<Output>,
    spoke: Option<Moment>,
    has_answered: bool,
}

/// What a line is about.
#[derive(Clone, Copy, Eq, PartialEq)]
enum About {
    /// A turn that somebody waits for.
    Open(MessageId),
    /// An ask that nobody waits for any more.
    Owed(MessageId),
}

/// What a line says.
#[derive(Clone, Copy, Eq, PartialEq)]
enum LineKind {
    Reply,
    Typing,
    Done,
    Later,
    Error,
}

impl LineKind {
    fn of(kind: Option<&Value>) -> Option<Self> {
        match kind?.as_str()? {
            "reply" => Some(Self::Reply),
            "typing" => Some(Self::Typing),
            "done" => Some(Self::Done),
            "later" => Some(Self::Later),
            "error" => Some(Self::Error),
            _ => None,
        }
    }

    const fn is_end(self) -> bool {
        match self {
            Self::Done | Self::Later | Self::Error => true,
            Self::Reply | Self::Typing => false,
        }
    }
}

impl Talk {
    /// Begins with a program that has just been started.
    pub(super) fn new(timeout: std::time::Duration, answer_bytes_max: usize) -> Self {
        Self {
            timeout,
            answer_bytes_max,
            open: BTreeMap::new(),
            owed: BTreeMap::new(),
            asks: 0,
            numbers: false,
            outputs: VecDeque::new(),
            spoke: None,
            has_answered: false,
        }
    }

    /// How many turns the program has.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Which ask a line belongs to.
    fn about(&mut self, turn: MessageId, ask: Option<&Value>) -> Result<About, BadLine> {
        let open = self.open.get(&turn).filter(|open| open.held.is_none());
        let (open, owed) = (open.map(|open| open.ask), self.owed.get(&turn).copied());
        let Some(ask) = ask else {
            return match (open, owed) {
                (_, Some(_)) => Ok(About::Owed(turn)),
                (Some(_), None) => Ok(About::Open(turn)),
                (None, None) => Err(BadLine::UnknownTurn),
            };
        };
        let ask = ask.as_u64();
        let about = match (open, owed) {
            (Some(open), _) if ask == Some(open) => About::Open(turn),
            (_, Some(owed)) if ask == Some(owed) => About::Owed(turn),
            (None, None) if !self.open.contains_key(&turn) => return Err(BadLine::UnknownTurn),
            _ => return Err(BadLine::OldAsk),
        };
        self.numbers = true;
        Ok(about)
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
            return self.break_off(turn, TurnEnding::TooLarge);
        }
        if open.replies.len() >= REPLIES_MAX {
            let reason = format!("more than {REPLIES_MAX} replies, which are all that are allowed");
            return self.break_off(turn, TurnEnding::Malformed(reason));
        }
        let id = turn.to_string();
        let asked = Asked { id: &id, thread: open.thread, must_name: false };
        let answer = json!({ "replies": [said] }).to_string();
        let reason = match answer::parse(answer.as_bytes(), asked) {
            Ok(Answer::Replies(replies) | Answer::Handoff(replies) | Answer::End(replies)) => {
                return open.replies.extend(replies);
            }
            Ok(Answer::Later) => return,
            Err(Error::Malformed { reason, .. }) => reason,
            Err(error) => error.to_string(),
        };
        self.break_off(turn, TurnEnding::Malformed(reason));
    }

    fn done(&mut self, turn: MessageId, parting: Parting) {
        if let Some(OpenTurn { replies, .. }) = self.open.remove(&turn) {
            self.answered(turn, parting.after(replies));
        }
    }

    fn later(&mut self, turn: MessageId) {
        let Some(open) = self.open.remove(&turn) else { return };
        if open.replies.is_empty() {
            return self.answered(turn, Answer::Later);
        }
        let reason = "`later` after a reply: either all replies come later, or none does";
        let malformed = TurnEnding::Malformed(reason.to_owned());
        self.outputs.push_back(Output::Settle(turn, Err(malformed)));
    }

    fn answered(&mut self, turn: MessageId, answer: Answer) {
        self.has_answered = true;
        self.outputs.push_back(Output::Settle(turn, Ok(answer)));
    }

    fn end(&mut self, turn: MessageId, ending: TurnEnding) {
        if self.open.remove(&turn).is_some() {
            self.outputs.push_back(Output::Settle(turn, Err(ending)));
        }
    }

    /// Ends a turn that the program has not ended.
    fn break_off(&mut self, turn: MessageId, ending: TurnEnding) {
        self.owe(turn);
        self.end(turn, ending);
    }

    /// Notes that the program still has to end an ask.
    fn owe(&mut self, turn: MessageId) {
        let Some(open) = self.open.get(&turn).filter(|open| open.held.is_none()) else { return };
        if self.owed.len() >= OWED_MAX {
            let _taken_for_ended = self.owed.pop_first();
        }
        self.owed.insert(turn, open.ask);
    }

    /// The program has ended an ask that nobody waited for: what waited for that is written.
    fn pay(&mut self, now: Moment, turn: MessageId) {
        self.owed.remove(&turn);
        self.write_held(now, turn);
    }

    fn write_held(&mut self, now: Moment, turn: MessageId) {
        let Some(open) = self.open.get_mut(&turn) else { return };
        if let Some(line) = open.held.take() {
            (open.asked, open.deadline) = (now, now + self.timeout);
            self.outputs.push_back(Output::Write(line));
        }
    }

    /// Writes what waits, now that the program tells asks apart.
    fn write_all_held(&mut self, now: Moment) {
        let held = self.open.iter().filter(|(_, open)| open.held.is_some());
        for turn in held.map(|(turn, _)| *turn).collect::<Vec<_>>() {
            self.write_held(now, turn);
        }
    }

    /// Tells the program that nobody waits for what it was asked.
    fn cancel(&mut self, turn: MessageId) {
        let Some(open) = self.open.get(&turn).filter(|open| open.held.is_none()) else { return };
        // Scripts that read no JSON look at how a line begins.
        let line = format!("{{\"type\":\"cancel\",\"turn\":\"{turn}\",\"ask\":{}}}\n", open.ask);
        self.outputs.push_back(Output::Write(line.into_bytes()));
        self.owe(turn);
    }
}

impl Dialect for Talk {
    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn deadline(&self) -> Option<Moment> {
        self.open.values().map(|open| open.deadline).min()
    }

    fn has_answered(&self) -> bool {
        self.has_answered
    }

    fn ask(&mut self, now: Moment, question: AskedTurn) {
        let AskedTurn { turn, thread, document, context: _ } = question;
        // Whoever asked the same before does not wait any more.
        self.forsake(now, turn);
        self.asks += 1;
        let (ask, mut line) = (self.asks, Some(numbered(document, self.asks)));
        if !self.owed.contains_key(&turn) || self.numbers {
            self.outputs.extend(line.take().map(Output::Write));
        }
        let deadline = now + self.timeout;
        let open = OpenTurn {
            ask,
            thread,
            replies: Vec::new(),
            bytes: 0,
            asked: now,
            deadline,
            held: line,
        };
        self.open.insert(turn, open);
    }

    fn forsake(&mut self, _now: Moment, turn: MessageId) {
        self.cancel(turn);
        self.open.remove(&turn);
    }

    fn hear(&mut self, now: Moment, line: &[u8]) -> Result<(), BadLine> {
        self.spoke = Some(now);
        let mut said: Map<String, Value> = json::object(line).map_err(|_| BadLine::NoJson)?;
        let (kind, turn, ask) = (said.remove("type"), said.remove("turn"), said.remove("ask"));
        let kind = LineKind::of(kind.as_ref()).ok_or(BadLine::UnknownType)?;
        let turn = turn.as_ref().and_then(Value::as_str).and_then(|turn| turn.parse().ok());
        let numbered = self.numbers;
        let about = self.about(turn.ok_or(BadLine::UnknownTurn)?, ask.as_ref())?;
        if self.numbers && !numbered {
            self.write_all_held(now);
        }
        let is = |name: &str| said.get(name).and_then(Value::as_bool).unwrap_or(false);
        match (about, kind) {
            (About::Owed(turn), kind) if kind.is_end() => self.pay(now, turn),
            // It is shown typing as long as it has a turn.
            (About::Owed(_), _) | (About::Open(_), LineKind::Typing) => {}
            (About::Open(turn), LineKind::Done) => {
                let parting = match (is("handoff"), is("end")) {
                    (true, _) => Parting::Handoff,
                    (false, true) => Parting::End,
                    (false, false) => Parting::Stays,
                };
                self.done(turn, parting);
            }
            (About::Open(turn), LineKind::Later) => self.later(turn),
            (About::Open(turn), LineKind::Error) => {
                self.end(turn, TurnEnding::GivenUp { retry: is("retry") });
            }
            (About::Open(turn), LineKind::Reply) => self.reply(turn, said, line.len()),
        }
        Ok(())
    }

    /// Ends the turns whose time is over. A program hangs that has said nothing since one of them was asked,
    /// or that has ended neither of two asks of the same turn and does not tell them apart.
    fn elapse(&mut self, now: Moment) {
        let over = self.open.iter().filter(|(_, open)| open.deadline <= now);
        let over = over.map(|(turn, open)| (*turn, open.asked, open.held.is_some()));
        let mut hangs = false;
        for (turn, asked, waits) in over.collect::<Vec<_>>() {
            hangs |= waits || self.spoke.is_none_or(|spoke| spoke < asked);
            self.cancel(turn);
            self.end(turn, TurnEnding::TooSlow);
        }
        if hangs {
            self.outputs.push_back(Output::Kill);
        }
    }

    /// What a program that went well has said to its one turn is the answer, where one process has one turn.
    fn finish(&mut self, is_well: bool) {
        for turn in self.open.keys().copied().collect::<Vec<_>>() {
            if is_well {
                self.done(turn, Parting::Stays);
            } else {
                self.end(turn, TurnEnding::BrokenOff);
            }
        }
    }
}

/// A document, which is an object with members, with the number of its ask at its end; as a line.
fn numbered(mut document: Vec<u8>, ask: u64) -> Vec<u8> {
    let _end = document.pop();
    // Writing into memory cannot fail.
    let _ = writeln!(document, ",\"ask\":{ask}}}");
    document
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

    fn asked(n: u8) -> AskedTurn {
        let thread = ThreadId::of_conversation(Sid::from_bytes([9; 16]));
        let document = br#"{"type":"turn"}"#.to_vec();
        AskedTurn { turn: turn(n), thread, document, context: Vec::new() }
    }

    fn open(now: Moment, turns: &[u8]) -> Talk {
        let mut talk = Talk::new(TIMEOUT, 1_000);
        for n in turns {
            talk.ask(now, asked(*n));
            let Some(Output::Write(line)) = talk.poll() else { panic!("it is not written") };
            assert!(line.starts_with(br#"{"type":"turn","ask":"#) && line.ends_with(b"}\n"));
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
            assert_eq!(cancel, [&line("cancel", 1, r#","ask":1"#)[..], b"\n"].concat());
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
        talk.forsake(now, turn(1));
        assert!(matches!(talk.poll(), Some(Output::Write(_))));
        assert_eq!(talk.hear(now, &line("done", 1, "")), Ok(()), "it may have crossed the cancel");
        assert_eq!(talk.hear(now, &line("done", 1, "")), Err(BadLine::UnknownTurn));
    }

    /// What was written to the program.
    fn written(talk: &mut Talk) -> Vec<String> {
        let written = std::iter::from_fn(|| talk.poll()).filter_map(|output| match output {
            Output::Write(line) => Some(String::from_utf8(line).unwrap()),
            Output::Settle(..) | Output::Kill => None,
        });
        written.collect()
    }

    #[tokio::test]
    async fn a_late_line_of_an_earlier_ask_ends_no_later_one() {
        let now = Clock::start().now();
        // A program that writes no numbers is asked again once it has ended what it was asked before.
        let mut talk = open(now, &[1]);
        talk.hear(now, &line("reply", 1, r#","body":"one""#)).unwrap();
        talk.elapse(now + TIMEOUT);
        assert_eq!(settled(&mut talk), [(turn(1), Err(TurnEnding::TooSlow))]);
        talk.ask(now + TIMEOUT, asked(1));
        assert_eq!(written(&mut talk), [""; 0]);
        talk.hear(now + TIMEOUT, &line("reply", 1, r#","body":"two""#)).unwrap();
        let ended = now + TIMEOUT + TIMEOUT / 2;
        talk.hear(ended, &line("done", 1, "")).unwrap();
        assert_eq!(written(&mut talk), ["{\"type\":\"turn\",\"ask\":2}\n"]);
        assert_eq!(talk.deadline(), Some(ended + TIMEOUT), "its time begins when it is told");
        talk.hear(ended, &line("reply", 1, r#","body":"whole""#)).unwrap();
        talk.hear(ended, &line("done", 1, "")).unwrap();
        let whole = Ok(Answer::Replies(vec![Reply::text("whole")]));
        assert_eq!(settled(&mut talk), [(turn(1), whole.clone())]);
        // One that writes them is asked again at once, and its lines are told apart.
        let mut talk = open(now, &[1]);
        talk.hear(now, &line("typing", 1, r#","ask":1"#)).unwrap();
        talk.forsake(now, turn(1));
        talk.ask(now, asked(1));
        assert_eq!(written(&mut talk).len(), 2, "a cancel and the turn");
        talk.hear(now, &line("reply", 1, r#","body":"whole","ask":2"#)).unwrap();
        talk.hear(now, &line("reply", 1, r#","body":"late","ask":1"#)).unwrap();
        talk.hear(now, &line("done", 1, r#","ask":1"#)).unwrap();
        assert_eq!(settled(&mut talk), []);
        for ask in ["1", "9", "-1", r#""2""#] {
            let late = line("done", 1, &format!(r#","ask":{ask}"#));
            assert_eq!(talk.hear(now, &late), Err(BadLine::OldAsk), "{ask}");
        }
        talk.hear(now, &line("done", 1, r#","ask":2"#)).unwrap();
        assert_eq!(settled(&mut talk), [(turn(1), whole)]);
    }

    #[tokio::test]
    async fn a_program_that_ends_neither_of_two_asks_hangs() {
        let now = Clock::start().now();
        let mut talk = open(now, &[1]);
        talk.forsake(now, turn(1));
        talk.ask(now, asked(1));
        talk.hear(now + TIMEOUT / 2, &line("typing", 1, "")).unwrap();
        assert_eq!(written(&mut talk).len(), 1, "the cancel");
        talk.elapse(now + TIMEOUT);
        let slow = talk.poll();
        assert!(matches!(slow, Some(Output::Settle(_, Err(TurnEnding::TooSlow)))), "{slow:?}");
        assert!(matches!(talk.poll(), Some(Output::Kill)));
    }

    #[tokio::test]
    async fn what_waits_is_written_once_the_program_tells_asks_apart() {
        let now = Clock::start().now();
        let mut talk = open(now, &[1, 2]);
        talk.forsake(now, turn(1));
        talk.ask(now, asked(1));
        assert_eq!(written(&mut talk).len(), 1, "the cancel");
        talk.hear(now, &line("typing", 2, r#","ask":2"#)).unwrap();
        assert_eq!(written(&mut talk), ["{\"type\":\"turn\",\"ask\":3}\n"]);
    }

    #[tokio::test]
    async fn replies_may_all_come_later() {
        let now = Clock::start().now();
        let mut talk = open(now, &[1, 2]);
        talk.hear(now, &line("later", 1, "")).unwrap();
        assert_eq!(settled(&mut talk), [(turn(1), Ok(Answer::Later))]);
        talk.hear(now, &line("reply", 2, r#","body":"one""#)).unwrap();
        talk.hear(now, &line("later", 2, "")).unwrap();
        assert!(matches!(settled(&mut talk)[..], [(_, Err(TurnEnding::Malformed(_)))]));
    }

    #[tokio::test]
    async fn a_program_that_never_ends_what_is_cancelled_costs_no_memory_without_end() {
        let now = Clock::start().now();
        let mut talk = open(now, &[]);
        for n in (0_u64..).take(OWED_MAX + 9) {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            let turn = MessageId::from(MessageSid::from_bytes(bytes));
            talk.ask(now, AskedTurn { turn, ..asked(1) });
            talk.forsake(now, turn);
        }
        assert_eq!(talk.owed.len(), OWED_MAX);
    }
}
