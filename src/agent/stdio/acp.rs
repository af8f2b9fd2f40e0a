//! The Agent Client Protocol, version 1, with us as the client: JSON-RPC 2.0 by lines. Pure: no process, no
//! clock, no channel; the time is an argument.
//!
//! Each thread has a session of its own, which remembers what was said in it. A turn is a `session/prompt`; the
//! chunks of the agent's message become one reply once the prompt is answered. Thoughts, plans and tool calls
//! reach nobody. Whatever the agent wants a permission for is refused, and it is offered neither files nor a
//! terminal: people who write are strangers.
//! Source: agentclientprotocol.com, protocol/v1: "Initialization", "Session Setup", "Prompt Turn", "Tool Calls";
//! "Session Close is stabilized", read 2026-11-30.
//!
//! | event \ the turn | waits | is prompted |
//! | --- | --- | --- |
//! | the protocol is agreed on, its session is there and free | prompted | – |
//! | a chunk of the agent's message | – | kept; ends it if it is too much: `session/cancel` |
//! | the prompt is answered | – | ends it: a reply, none, given up |
//! | `forsake` | gone | `session/cancel`, gone |
//! | its time is over | ends it | `session/cancel`, ends it |
//! | no session, for want of a login | ends it: unusable | – |
//! | the program ends | ends it: broken off | ends it: broken off |
//!
//! A session is *free* when its last prompt has been answered, a cancelled one too: what is still said to that
//! belongs to nobody, and is over before anything else is asked. One that does not say that it has cancelled is
//! given up, and its thread begins a new one. Sessions that nobody needs are closed, the longest idle first.

mod message;
mod sessions;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::Value;

use self::message::{AcpMessage, Permission, SessionUpdate, StopReason};
use self::sessions::{Freed, Sessions};
use super::dialect::{AskedTurn, BadLine, Dialect, Output, TurnEnding};
use crate::agent::Answer;
use crate::clock::Moment;
use crate::thread::{MessageId, Reply, ThreadId};

/// The version of the protocol that is spoken.
const VERSION: u64 = 1;

/// How long a session may take to say that it has cancelled, before it is given up. Chosen so that a tool that
/// runs can be stopped, and a person who waits does not notice.
const CANCEL_WITHIN: Duration = Duration::from_secs(10);

/// What is said of an agent that wants a login.
const WANTS_LOGIN: &str = "it wants a login, which chimein cannot do for it: log in with the agent's own command as \
    the user that chimein runs as, or give it its key in the environment";
/// What is said of an agent of another version.
const OTHER_VERSION: &str =
    "it does not speak version 1 of the Agent Client Protocol, the one that chimein speaks";

/// The bounds of what is said.
#[derive(Clone, Debug)]
pub(super) struct AcpOptions {
    /// How long a turn may take.
    pub(super) timeout: Duration,
    /// How much of an answer is read.
    pub(super) answer_bytes_max: usize,
    /// For how many threads a session is kept.
    pub(super) sessions_max: usize,
    /// The absolute path of the folder that sessions work in.
    pub(super) folder: String,
}

/// How far the protocol is agreed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Nothing was said yet.
    New,
    /// We have asked.
    Asked,
    /// It is; and whether sessions can be closed.
    Agreed { closes: bool },
}

/// What we have asked and wait for.
#[derive(Clone, Debug, Eq, PartialEq)]
enum AcpCall {
    Initialize,
    NewSession(ThreadId),
    Prompt(ThreadId),
    Close,
}

#[derive(Debug)]
struct OpenPrompt {
    thread: ThreadId,
    document: Vec<u8>,
    context: Vec<u8>,
    asked: Moment,
    deadline: Moment,
    /// What the agent has said; none before it is prompted.
    said: Option<GatheredReply>,
}

/// An answer in the making.
#[derive(Debug, Default)]
struct GatheredReply {
    text: String,
    message: Option<String>,
    /// Whether what comes next begins a paragraph.
    is_interrupted: bool,
}

/// Everything that is open with one run of an agent.
#[derive(Debug)]
pub(super) struct Acp {
    options: AcpOptions,
    phase: Phase,
    calls: BTreeMap<u64, AcpCall>,
    last_call: u64,
    sessions: Sessions,
    open: BTreeMap<MessageId, OpenPrompt>,
    outputs: VecDeque<Output>,
    spoke: Option<Moment>,
    has_answered: bool,
}

impl Acp {
    /// Begins with an agent that has just been started.
    pub(super) fn new(options: AcpOptions) -> Self {
        Self {
            sessions: Sessions::new(options.sessions_max),
            options,
            phase: Phase::New,
            calls: BTreeMap::new(),
            last_call: 0,
            open: BTreeMap::new(),
            outputs: VecDeque::new(),
            spoke: None,
            has_answered: false,
        }
    }

    fn write(&mut self, line: String) {
        let mut line = line.into_bytes();
        line.push(b'\n');
        self.outputs.push_back(Output::Write(line));
    }

    fn call(&mut self, call: AcpCall, line: impl FnOnce(u64) -> String) -> u64 {
        self.last_call += 1;
        let id = self.last_call;
        self.calls.insert(id, call);
        self.write(line(id));
        id
    }

    fn settle(&mut self, turn: MessageId, ended: Result<Answer, TurnEnding>) {
        if self.open.remove(&turn).is_some() {
            self.outputs.push_back(Output::Settle(turn, ended));
        }
    }

    fn settle_all(&mut self, ending: &TurnEnding) {
        for turn in self.open.keys().copied().collect::<Vec<_>>() {
            self.settle(turn, Err(ending.clone()));
        }
    }

    /// The turn of a thread that waits for longest.
    fn next_of(&self, thread: ThreadId) -> Option<MessageId> {
        let waits = |open: &&OpenPrompt| open.thread == thread && open.said.is_none();
        let of_thread = self.open.iter().filter(|(_, open)| waits(open));
        of_thread.min_by_key(|(_, open)| open.asked).map(|(turn, _)| *turn)
    }

    /// Prompts what waits in a thread, or makes the session that it needs.
    fn go_on(&mut self, now: Moment, thread: ThreadId) {
        let Phase::Agreed { closes } = self.phase else { return };
        let Some(turn) = self.next_of(thread) else { return };
        if self.sessions.has(thread) {
            return self.prompt(now, thread, turn);
        }
        if self.calls.values().any(|call| *call == AcpCall::NewSession(thread)) {
            return;
        }
        while let Some(name) = self.sessions.make_room() {
            self.close(&name, closes);
        }
        let folder = self.options.folder.clone();
        self.call(AcpCall::NewSession(thread), |id| message::new_session(id, &folder));
    }

    fn prompt(&mut self, now: Moment, thread: ThreadId, turn: MessageId) {
        let Some((name, is_fresh)) = self.sessions.take(thread, turn, now) else { return };
        let Some(open) = self.open.get_mut(&turn) else { return };
        open.said = Some(GatheredReply::default());
        let context = std::mem::take(&mut open.context);
        let document = std::mem::take(&mut open.document);
        let context = if is_fresh { context } else { Vec::new() };
        let call = self
            .call(AcpCall::Prompt(thread), |id| message::prompt(id, &name, (&context, &document)));
        self.sessions.prompted(thread, call);
    }

    /// Ends a session that nobody needs, if the agent can do that.
    fn close(&mut self, name: &str, closes: bool) {
        if closes {
            self.call(AcpCall::Close, |id| message::close(id, name));
        }
    }

    /// Tells the agent that nobody waits for what it was prompted.
    fn cancel(&mut self, now: Moment, turn: MessageId) {
        let Some(open) = self.open.get(&turn) else { return };
        if let Some(name) = self.sessions.cancel(open.thread, turn, now) {
            self.write(message::cancel(&name));
        }
    }

    fn break_off(&mut self, now: Moment, turn: MessageId, ending: TurnEnding) {
        self.cancel(now, turn);
        self.settle(turn, Err(ending));
    }

    fn update(&mut self, now: Moment, session: &str, update: SessionUpdate) {
        let Some(turn) = self.sessions.turn_of(session) else { return };
        let Some(said) = self.open.get_mut(&turn).and_then(|open| open.said.as_mut()) else {
            return;
        };
        match update {
            SessionUpdate::Interruption => said.is_interrupted = true,
            SessionUpdate::Other => {}
            SessionUpdate::Chunk { text, message } => {
                said.add(&text, message);
                if said.text.len() > self.options.answer_bytes_max {
                    self.break_off(now, turn, TurnEnding::TooLarge);
                }
            }
        }
    }

    /// Refuses what the agent wants to do, in its own words if it has some.
    fn refuse(&mut self, id: &Value, permission: Permission) {
        let is_waited_for = self.sessions.turn_of(&permission.session).is_some();
        let option = permission.refusal.filter(|_| is_waited_for);
        self.write(message::permission(id, option.as_deref()));
    }

    fn answered(&mut self, now: Moment, call: AcpCall, answer: Result<Value, i64>) {
        match (call, answer) {
            (AcpCall::Initialize, Ok(result)) if message::version(&result) == Some(VERSION) => {
                self.phase = Phase::Agreed { closes: message::closes(&result) };
                let mut threads: Vec<_> = self.open.values().map(|open| open.thread).collect();
                threads.sort_unstable();
                threads.dedup();
                threads.into_iter().for_each(|thread| self.go_on(now, thread));
            }
            (AcpCall::Initialize, answer) => {
                let wants_login = answer == Err(message::AUTH_REQUIRED);
                let reason = if wants_login { WANTS_LOGIN } else { OTHER_VERSION };
                self.settle_all(&TurnEnding::Unusable(reason));
                // Another one may be installed by then.
                self.outputs.push_back(Output::Kill);
            }
            (AcpCall::NewSession(thread), answer) => {
                match answer.map(|result| message::session(&result)) {
                    Ok(Some(name)) => self.sessions.add(thread, name, now),
                    Ok(None) => self.no_session(thread, &no_name()),
                    Err(message::AUTH_REQUIRED) => {
                        self.no_session(thread, &TurnEnding::Unusable(WANTS_LOGIN));
                    }
                    Err(_) => self.no_session(thread, &TurnEnding::GivenUp { retry: true }),
                }
                self.go_on(now, thread);
            }
            (AcpCall::Prompt(thread), answer) => self.prompt_answered(now, thread, answer),
            (AcpCall::Close, _) => {}
        }
    }

    fn no_session(&mut self, thread: ThreadId, ending: &TurnEnding) {
        while let Some(turn) = self.next_of(thread) {
            self.settle(turn, Err(ending.clone()));
        }
    }

    fn prompt_answered(&mut self, now: Moment, thread: ThreadId, answer: Result<Value, i64>) {
        if let Err(code) = answer
            && message::FORGOTTEN.contains(&code)
        {
            // The next turn of the thread begins with a session that the agent knows.
            if let Some(Freed { turn: Some(turn), .. }) = self.sessions.forget(thread) {
                self.settle(turn, Err(TurnEnding::GivenUp { retry: true }));
            }
        } else if let Some(turn) = self.sessions.free(thread, now) {
            let said = self.open.get_mut(&turn).and_then(|open| open.said.take());
            let said = said.map(|said| said.text).unwrap_or_default();
            let ended = ended(answer, said);
            self.has_answered |= ended.is_ok();
            self.settle(turn, ended);
        }
        self.go_on(now, thread);
    }

    /// Threads whose sessions have to say that they have cancelled, since somebody waits for them, and until when;
    /// one of which several turns wait is among them as often.
    fn stuck(&self) -> impl Iterator<Item = (ThreadId, Moment)> {
        let waiting = self.open.values().filter(|open| open.said.is_none());
        waiting.filter_map(|open| {
            let since = self.sessions.cancelled_since(open.thread)?;
            Some((open.thread, since + CANCEL_WITHIN))
        })
    }
}

impl Dialect for Acp {
    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn deadline(&self) -> Option<Moment> {
        let turns = self.open.values().map(|open| open.deadline);
        turns.chain(self.stuck().map(|(_, until)| until)).min()
    }

    fn has_answered(&self) -> bool {
        self.has_answered
    }

    fn ask(&mut self, now: Moment, question: AskedTurn) {
        let AskedTurn { turn, thread, document, context } = question;
        self.forsake(now, turn);
        let deadline = now + self.options.timeout;
        let open = OpenPrompt { thread, document, context, asked: now, deadline, said: None };
        self.open.insert(turn, open);
        if self.phase == Phase::New {
            self.phase = Phase::Asked;
            self.call(AcpCall::Initialize, |id| message::initialize(id, VERSION));
        }
        self.go_on(now, thread);
    }

    fn forsake(&mut self, now: Moment, turn: MessageId) {
        self.cancel(now, turn);
        self.open.remove(&turn);
    }

    fn hear(&mut self, now: Moment, line: &[u8]) -> Result<(), BadLine> {
        self.spoke = Some(now);
        match message::read(line)? {
            AcpMessage::SessionUpdate(session, update) => self.update(now, &session, update),
            AcpMessage::Permission(id, permission) => self.refuse(&id, permission),
            AcpMessage::Request(id) => self.write(message::not_found(&id)),
            AcpMessage::Notification => {}
            AcpMessage::Answer(id, answer) => {
                let call = self.calls.remove(&id).ok_or(BadLine::UnknownTurn)?;
                let is_late = match &call {
                    AcpCall::Prompt(thread) => !self.sessions.is_prompted_by(*thread, id),
                    AcpCall::Initialize | AcpCall::NewSession(_) | AcpCall::Close => false,
                };
                if !is_late {
                    self.answered(now, call, answer);
                }
            }
        }
        Ok(())
    }

    fn elapse(&mut self, now: Moment) {
        let over = self.open.iter().filter(|(_, open)| open.deadline <= now);
        let over: Vec<_> = over.map(|(turn, open)| (*turn, open.asked)).collect();
        let mut hangs = false;
        for (turn, asked) in over {
            hangs |= self.spoke.is_none_or(|spoke| spoke < asked);
            self.break_off(now, turn, TurnEnding::TooSlow);
        }
        let stuck = self.stuck().filter(|(_, until)| *until <= now);
        let mut stuck: Vec<_> = stuck.map(|(thread, _)| thread).collect();
        stuck.sort_unstable();
        stuck.dedup();
        for thread in stuck {
            let closes = matches!(self.phase, Phase::Agreed { closes: true });
            if let Some(Freed { name, .. }) = self.sessions.forget(thread) {
                self.close(&name, closes);
            }
            self.go_on(now, thread);
        }
        if hangs {
            self.outputs.push_back(Output::Kill);
        }
    }

    /// Half an answer is none, however well the agent went.
    fn finish(&mut self, _is_well: bool) {
        self.settle_all(&TurnEnding::BrokenOff);
    }
}

impl GatheredReply {
    /// Adds a piece; one of another message, or behind a tool call, begins a paragraph.
    fn add(&mut self, piece: &str, message: Option<String>) {
        let is_other = message.is_some() && self.message.is_some() && message != self.message;
        let begins = std::mem::take(&mut self.is_interrupted) || is_other;
        if begins && !self.text.is_empty() {
            let text = self.text.trim_end().len();
            self.text.truncate(text);
            self.text.push_str("\n\n");
        }
        self.text.push_str(piece);
        self.message = message.or(self.message.take());
    }
}

/// What a turn came to whose prompt was answered.
fn ended(answer: Result<Value, i64>, said: String) -> Result<Answer, TurnEnding> {
    let given_up = |retry| Err(TurnEnding::GivenUp { retry });
    let Ok(result) = answer else { return given_up(true) };
    let is_silent = said.trim().is_empty();
    match message::stop_reason(&result) {
        Some(StopReason::Cancelled) => given_up(true),
        Some(StopReason::Refusal | StopReason::Cut) if is_silent => given_up(false),
        Some(StopReason::EndTurn) if is_silent => Ok(Answer::Replies(Vec::new())),
        Some(StopReason::EndTurn | StopReason::Refusal | StopReason::Cut) => {
            Ok(Answer::Replies(vec![Reply::text(said.trim())]))
        }
        None => {
            Err(TurnEnding::Malformed("the prompt's `stopReason` is none that there is".into()))
        }
    }
}

fn no_name() -> TurnEnding {
    TurnEnding::Malformed("the answer to session/new has no `sessionId`".to_owned())
}
