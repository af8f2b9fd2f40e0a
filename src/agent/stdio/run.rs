//! Runs programs: one for all turns, started again when it ends, or one for each turn.
//!
//! What its lines mean is [`Talk`]'s to decide; here they are read and written, and whoever waits is told.

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::lines::{Cut, Cutter};
use super::program::{Program, Starting};
use super::protocol::{AskedTurn, BadLine, Output, Talk, TurnEnding};
use crate::agent::Answer;
use crate::clock::{Clock, Moment};
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::labels::Known;
use crate::telemetry::refusals::Refusals;
use crate::thread::MessageId;

/// The longest line of a program that is read: the largest answer, each letter escaped.
pub(super) const LINE_BYTES_MAX: usize = 4 << 20;

/// How much may wait to be written before no more turns are taken; one more may be added to it.
const UNWRITTEN_BYTES_MAX: usize = 1 << 20;

/// How long a program has, once it was told to end, before it is killed.
const END_WITHIN: Duration = Duration::from_secs(2);

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
    pub(super) timeout: Duration,
    pub(super) answer_bytes_max: usize,
    pub(super) bad: Refusals,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
}

/// One run of a program.
struct Run<'a> {
    of: &'a Programs,
    program: Program,
    talk: Talk,
    cutter: Cutter,
    unwritten: BytesMut,
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

impl Programs {
    fn begin(&self) -> std::io::Result<Run<'_>> {
        let program = self.starting.start()?;
        let talk = Talk::new(self.timeout, self.answer_bytes_max);
        let (cutter, unwritten) = (Cutter::new(LINE_BYTES_MAX), BytesMut::new());
        Ok(Run { of: self, program, talk, cutter, unwritten, waiting: HashMap::new() })
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
                    run.talk.finish(false);
                    run.drain();
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
                if let Some(left_out) = self.bad.admit(None) {
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
                    let is_well = tokio::select! {
                        is_well = run.program.ended() => is_well,
                        () = self.clock.sleep_until(left) => false,
                    };
                    run.talk.finish(is_well);
                    run.drain();
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
        let takes_more = self.unwritten.len() < UNWRITTEN_BYTES_MAX;
        let deadline = self.talk.deadline();
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
        enum RunEvent {
            Stop,
            Cuts(Option<Vec<Cut>>),
            Written(std::io::Result<usize>),
            ProgramRequest(Option<ProgramRequest>),
            Time,
        }
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
            RunEvent::Written(Ok(length)) => self.unwritten.advance(length),
            // It reads no more; what it still says counts.
            RunEvent::Written(Err(_)) => {
                self.unwritten.clear();
                self.program.input = None;
            }
            RunEvent::ProgramRequest(Some(ProgramRequest::Ask(question, answer))) => {
                self.ask(question, answer)
            }
            RunEvent::ProgramRequest(Some(ProgramRequest::Forsake(turn))) => {
                self.waiting.remove(&turn);
                self.talk.forsake(turn);
            }
            RunEvent::Time => self.talk.elapse(now),
        }
        if self.drain() { RunStep::Hangs } else { RunStep::On }
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
            if let Some(left_out) = self.of.bad.admit(None) {
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
        hangs
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
