//! Runs programs: one for all turns, started again when it ends, or one for each turn.
//!
//! What its lines mean is its [`Dialect`]'s to decide; here they are read and written, and whoever waits is told.
//! A program that reads nothing for as long as a turn may take, or that will never read again and has no turn
//! left, is killed and started again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::dialect::{AskedTurn, BadLine, Dialect, Output, TurnEnding};
use super::lines::{Cut, Cutter};
use super::program::{Program, ProgramEnd, Starting};
use crate::agent::Answer;
use crate::clock::{Clock, Moment, Timestamp};
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::labels::Known;
use crate::telemetry::refusals::Refusals;
use crate::thread::MessageId;

/// The longest line of a program that is read: the largest answer, each letter escaped.
pub(super) const LINE_BYTES_MAX: usize = 4 << 20;

/// How much may wait to be written before no more turns are taken; one more may be added to it.
const UNWRITTEN_BYTES_MAX: usize = 1 << 20;

/// How much may wait to be written at all: a program that asks without end and reads no answer is killed.
const UNREAD_BYTES_MAX: usize = 64 << 20;

/// How long a program has, once it was told to end, before it is killed.
const END_WITHIN: Duration = Duration::from_secs(2);

/// How long a program has to end that says no more, before it is killed.
const DIES_WITHIN: Duration = Duration::from_millis(200);

/// How long is waited before a program is started again, the so-manieth time that it ended without an answer.
const PAUSES: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
];

/// What a turn came to; none if the program does not run.
pub(super) type Told = Result<Answer, Option<TurnEnding>>;

/// Makes what a program that has just been started is spoken to in.
pub(super) type Speaks = Arc<dyn Fn() -> Box<dyn Dialect> + Send + Sync>;

/// What is asked of whoever runs the program.
pub(super) enum ProgramRequest {
    /// Ask a turn.
    Ask(AskedTurn, oneshot::Sender<Told>),
    /// Nobody waits for it any more.
    Forsake(MessageId),
}

/// What all runs share.
#[derive(Clone)]
pub(super) struct Programs {
    pub(super) starting: Starting,
    /// Begins to speak with a program that has just been started.
    pub(super) speaks: Speaks,
    pub(super) timeout: Duration,
    /// Bounds what is logged of what the program does wrong.
    pub(super) bad: Refusals,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
}

/// One run of a program.
struct Run<'a> {
    of: &'a Programs,
    program: Program,
    talk: Box<dyn Dialect>,
    cutter: Cutter,
    unwritten: BytesMut,
    /// Since when the program has read nothing of that.
    unread_since: Option<Moment>,
    waiting: HashMap<MessageId, oneshot::Sender<Told>>,
}

/// How a run went on.
enum RunStep {
    /// Something was done.
    On,
    /// The program says no more.
    Silent,
    /// The program hangs.
    Hangs,
    /// The service stops.
    Stopped,
}

/// What comes first while a program runs.
enum RunEvent {
    Stop,
    Cuts(Option<Vec<Cut>>),
    Written(std::io::Result<usize>),
    ProgramRequest(Option<ProgramRequest>),
    Time,
}

impl Programs {
    /// Whether a line about the program is logged now; if it is, how many were left out since the last one.
    pub(super) fn admits(&self) -> Option<u64> {
        self.bad.admit(None)
    }

    /// Until when the answer to what is asked now is waited for.
    pub(super) fn due(&self) -> Timestamp {
        self.clock.wall() + self.timeout
    }

    fn begin(&self) -> std::io::Result<Run<'_>> {
        let program = self.starting.start()?;
        let (talk, cutter) = ((self.speaks)(), Cutter::new(LINE_BYTES_MAX));
        let (unwritten, waiting) = (BytesMut::new(), HashMap::new());
        Ok(Run { of: self, program, talk, cutter, unwritten, unread_since: None, waiting })
    }

    /// Runs one program for all turns until the service stops; says whether it runs.
    pub(super) async fn keep(
        &self,
        mut requests: mpsc::Receiver<ProgramRequest>,
        stop: CancellationToken,
        says: impl Fn(bool),
    ) {
        let mut failures = 0;
        while !stop.is_cancelled() {
            match self.begin() {
                Ok(mut run) => {
                    says(true);
                    tracing::info!("agent's program runs");
                    let ended = run.through(&mut requests, &stop).await;
                    failures = if run.talk.has_answered() { 1 } else { failures + 1 };
                    let reason = match ended {
                        RunStep::Stopped => return run.end().await,
                        RunStep::Hangs => "hangs",
                        RunStep::On | RunStep::Silent => "ended",
                    };
                    run.break_off().await;
                    tracing::warn!(reason, "agent's program runs no more; it is started again");
                }
                Err(error) => {
                    failures += 1;
                    tracing::error!(error = %Chain(&error), "agent's program cannot be started");
                }
            }
            let pause = PAUSES[usize::min(failures, PAUSES.len()) - 1];
            says(pause.is_zero());
            self.refuse_for(pause, &mut requests, &stop).await;
        }
    }

    /// Waits, and tells whoever asks meanwhile that the program does not run.
    async fn refuse_for(
        &self,
        pause: Duration,
        requests: &mut mpsc::Receiver<ProgramRequest>,
        stop: &CancellationToken,
    ) {
        let until = self.clock.now() + pause;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.clock.sleep_until(until) => return,
                request = requests.recv() => match request {
                    Some(ProgramRequest::Ask(_, answer)) => {
                        let _gone = answer.send(Err(None));
                    }
                    Some(ProgramRequest::Forsake(_)) => {}
                    None => return,
                },
            }
        }
    }

    /// Runs one program for one turn.
    pub(super) async fn once(&self, question: AskedTurn) -> Told {
        let mut run = match self.begin() {
            Ok(run) => run,
            Err(error) => {
                if let Some(left_out) = self.admits() {
                    tracing::error!(left_out, error = %Chain(&error),
                        "agent's program cannot be started");
                }
                return Err(None);
            }
        };
        let turn = question.turn;
        let (answer, mut told) = oneshot::channel();
        run.ask(question, answer);
        run.drain();
        let mut is_told_all = false;
        loop {
            if let Ok(told) = told.try_recv() {
                run.end().await;
                return told;
            }
            if !is_told_all && run.unwritten.is_empty() {
                // One turn is all that it is told.
                (run.program.input, is_told_all) = (None, true);
            }
            match run.step(None, &CancellationToken::new()).await {
                RunStep::On => {}
                RunStep::Silent | RunStep::Hangs | RunStep::Stopped => {
                    let left = run.talk.deadline().unwrap_or(self.clock.now());
                    let end = tokio::select! {
                        end = run.program.ended() => end,
                        () = self.clock.sleep_until(left) => ProgramEnd::Ill,
                    };
                    run.finish(end);
                    debug_assert!(!run.waiting.contains_key(&turn), "its turn has ended");
                }
            }
        }
    }
}

impl Run<'_> {
    /// Goes on until the program, or the service, ends.
    async fn through(
        &mut self,
        requests: &mut mpsc::Receiver<ProgramRequest>,
        stop: &CancellationToken,
    ) -> RunStep {
        loop {
            match self.step(Some(&mut *requests), stop).await {
                RunStep::On if self.program.input.is_none() && self.talk.deadline().is_none() => {
                    return RunStep::Hangs;
                }
                RunStep::On => {}
                end => return end,
            }
        }
    }

    async fn step(
        &mut self,
        requests: Option<&mut mpsc::Receiver<ProgramRequest>>,
        stop: &CancellationToken,
    ) -> RunStep {
        let reads = self.program.input.is_some();
        let takes_more = reads && self.unwritten.len() < UNWRITTEN_BYTES_MAX;
        let hangs_at = self.unread_since.map(|since| since + self.of.timeout);
        let deadline = self.talk.deadline().into_iter().chain(hangs_at).min();
        let Program { input, .. } = &mut self.program;
        let mut input = input.take();
        let writing = async {
            match &mut input {
                Some(input) if !self.unwritten.is_empty() => input.write(&self.unwritten).await,
                _ => std::future::pending().await,
            }
        };
        let asking = async {
            match requests {
                Some(requests) if takes_more => requests.recv().await,
                _ => std::future::pending().await,
            }
        };
        let came = tokio::select! {
            biased;
            () = stop.cancelled() => RunEvent::Stop,
            () = self.of.clock.sleep_until_or_never(deadline) => RunEvent::Time,
            written = writing => RunEvent::Written(written),
            request = asking => RunEvent::ProgramRequest(request),
            // Last, since a program may write without end.
            cuts = self.program.read(&mut self.cutter) => RunEvent::Cuts(cuts),
        };
        self.program.input = input;
        let now = self.of.clock.now();
        match came {
            RunEvent::Stop | RunEvent::ProgramRequest(None) => return RunStep::Stopped,
            RunEvent::Cuts(None) => {
                if let Some(cut) = self.cutter.rest() {
                    self.hear(now, cut);
                }
                self.drain();
                return RunStep::Silent;
            }
            RunEvent::Cuts(Some(cuts)) => {
                for cut in cuts {
                    self.hear(now, cut);
                }
            }
            RunEvent::Written(Ok(length)) => {
                self.unwritten.advance(length);
                self.unread_since = (!self.unwritten.is_empty()).then_some(now);
            }
            // It reads no more; what it still says counts.
            RunEvent::Written(Err(_)) => {
                self.unwritten.clear();
                (self.program.input, self.unread_since) = (None, None);
            }
            RunEvent::ProgramRequest(Some(ProgramRequest::Ask(question, answer))) => {
                self.ask(question, answer)
            }
            RunEvent::ProgramRequest(Some(ProgramRequest::Forsake(turn))) => {
                self.waiting.remove(&turn);
                self.talk.forsake(now, turn);
            }
            RunEvent::Time => self.talk.elapse(now),
        }
        let reads_nothing = hangs_at.is_some_and(|hangs_at| hangs_at <= now);
        if self.drain() || reads_nothing { RunStep::Hangs } else { RunStep::On }
    }

    /// Ends what is open with a program that says no more.
    async fn break_off(&mut self) {
        let end = tokio::select! {
            end = self.program.ended() => end,
            () = self.of.clock.sleep(DIES_WITHIN) => ProgramEnd::Ill,
        };
        // What one program has of several turns is no answer, however well it ended.
        self.finish(if end == ProgramEnd::Well { ProgramEnd::Ill } else { end });
    }

    /// Ends what is open with a program that has ended so.
    fn finish(&mut self, end: ProgramEnd) {
        if end == ProgramEnd::NotStarted {
            // Nobody was asked.
            for (_, answer) in self.waiting.drain() {
                let _gone = answer.send(Err(None));
            }
        }
        self.talk.finish(end == ProgramEnd::Well);
        self.drain();
    }

    fn ask(&mut self, question: AskedTurn, answer: oneshot::Sender<Told>) {
        self.waiting.insert(question.turn, answer);
        self.talk.ask(self.of.clock.now(), question);
    }

    fn hear(&mut self, now: Moment, cut: Cut) {
        let heard = match cut {
            Cut::Line(line) => self.talk.hear(now, &line),
            Cut::TooLong => Err(BadLine::TooLong),
        };
        if let Err(bad) = heard {
            let reason = bad.as_str();
            self.of.metrics.agent_bad_line(Known(reason));
            if let Some(left_out) = self.of.admits() {
                tracing::warn!(reason, left_out, "agent's program has written a line that is none");
            }
        }
    }

    /// Does what is to be done; says whether the program is to be ended.
    fn drain(&mut self) -> bool {
        let mut hangs = false;
        while let Some(output) = self.talk.poll() {
            match output {
                Output::Write(line) if self.program.input.is_some() => {
                    if self.unwritten.is_empty() {
                        self.unread_since = Some(self.of.clock.now());
                    }
                    self.unwritten.extend_from_slice(&line);
                }
                Output::Write(_) => {}
                Output::Settle(turn, ended) => {
                    if let Some(answer) = self.waiting.remove(&turn) {
                        let _gone = answer.send(ended.map_err(Some));
                    }
                }
                Output::Kill => hangs = true,
            }
        }
        hangs || self.unwritten.len() > UNREAD_BYTES_MAX
    }

    /// Lets the program end by itself for a moment; then it is killed.
    async fn end(mut self) {
        self.program.input = None;
        tokio::select! {
            _ = self.program.ended() => {}
            () = self.of.clock.sleep(END_WITHIN) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::Talk;
    use super::*;
    use crate::thread::ThreadId;
    use crate::twilio::sid::{ConversationSid, MessageSid};

    /// How long a turn may take, and a program may read nothing.
    const TIMEOUT: Duration = Duration::from_secs(2);

    fn programs(command: &str) -> Programs {
        let clock = Clock::start();
        let starting = Starting {
            command: command.into(),
            hidden: Arc::default(),
            folder: None,
            noise: Refusals::new(clock),
            last_words: Refusals::new(clock),
            clock,
        };
        Programs {
            starting,
            speaks: Arc::new(|| Box::new(Talk::new(TIMEOUT, 1 << 20))),
            timeout: TIMEOUT,
            bad: Refusals::new(clock),
            metrics: Metrics::new(),
            clock,
        }
    }

    /// A turn of so many bytes.
    fn question(n: u8, bytes: usize) -> AskedTurn {
        let filling = "x".repeat(bytes);
        AskedTurn {
            turn: MessageSid::from_bytes([n; 16]).into(),
            thread: ThreadId::of_conversation(ConversationSid::from_bytes([n; 16])),
            document: format!(r#"{{"type":"turn","filling":"{filling}"}}"#).into_bytes(),
            context: Vec::new(),
        }
    }

    /// Asks a program that is kept these turns; gives what each came to, and what is asked after that.
    async fn kept(command: &str, questions: Vec<AskedTurn>) -> Vec<Told> {
        let (sender, requests) = mpsc::channel(64);
        let (programs, stop) = (programs(command), CancellationToken::new());
        let (told, stopped) = (
            async {
                let mut all = Vec::new();
                for question in questions {
                    let (answer, told) = oneshot::channel();
                    sender.send(ProgramRequest::Ask(question, answer)).await.unwrap();
                    all.push(told);
                }
                let all = futures::future::join_all(all).await;
                stop.cancel();
                all.into_iter().map(|told| told.unwrap_or(Err(None))).collect()
            },
            programs.keep(requests, stop.clone(), |_| {}),
        );
        let both =
            tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(told, stopped).0 });
        both.await.expect("nobody waits for ever")
    }

    #[tokio::test]
    async fn a_program_that_reads_no_more_and_is_not_silent_holds_no_turn_for_ever() {
        // More than a pipe takes, and more than is held before no turn is taken any more.
        let questions = (0..4).map(|n| question(n, 1 << 20)).collect();
        let told = kept(r#"while :; do echo "{}"; sleep 0.1; done"#, questions).await;
        assert!(told.iter().all(Result::is_err), "{told:?}");
    }

    #[tokio::test]
    async fn a_program_that_closes_its_input_is_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let first = folder.path().join("first");
        // The first one hears nothing and lives on; the second one answers.
        let command = format!(
            r#"if mkdir {first} 2>/dev/null; then exec <&-; while :; do echo "{{}}"; sleep 0.1; done; fi
            while read -r line; do echo '{{"type":"done","turn":"{turn}"}}'; done"#,
            first = first.display(),
            turn = question(1, 0).turn,
        );
        let (sender, requests) = mpsc::channel(64);
        let (programs, stop) = (programs(&command), CancellationToken::new());
        let asking = async {
            loop {
                let (answer, told) = oneshot::channel();
                sender.send(ProgramRequest::Ask(question(1, 0), answer)).await.unwrap();
                if told.await.is_ok_and(|told| told.is_ok()) {
                    return stop.cancel();
                }
            }
        };
        let kept = programs.keep(requests, stop.clone(), |_| {});
        let both = async { tokio::join!(asking, kept) };
        assert!(tokio::time::timeout(Duration::from_secs(60), both).await.is_ok());
    }
}
