//! `chimein dev`: a local Twilio and the service with the agent that one is writing, and what becomes of each message.
//!
//! An address is asked by HTTP as `kind = "http"` does, and may come and go: what was not answered is asked again. A
//! command is run for each turn as `kind = "stdio"` in mode `spawn` does, so that the program is the one that is on
//! disk now. With `--state` phones, conversations and the queue are still there at the next start; the page finds them
//! at the same address.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::NonEmptyStringValueParser;
use tokio::sync::broadcast::error::RecvError;

use crate::cli::demo::{self, Demo, DemoChannel, DemoOptions, Step, trouble};
use crate::cli::outcome::line;
use crate::cli::signals;
use crate::config::Environment;
use crate::telemetry::journal::{Record, Stage};

/// What `chimein dev` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The agent: the address that turns are posted to, or a command as /bin/sh reads it, which is run for each turn and
    /// answers on its standard output.
    #[arg(long, value_name = "URL|COMMAND", value_parser = NonEmptyStringValueParser::new())]
    agent: String,
    /// By which road messages go: a conversation, or plain SMS or WhatsApp without one.
    #[arg(long, value_enum, default_value_t = DemoChannel::Conversation)]
    channel: DemoChannel,
    /// Where the page with the phones is served; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8017")]
    pub(super) listen: SocketAddr,
    /// Keeps everything in this folder from run to run.
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
}

/// Runs until interrupted.
///
/// # Errors
///
/// If it could not be started.
pub fn run(args: &Args, environment: &Environment) -> Result<ExitCode, demo::Error> {
    let runtime = tokio::runtime::Runtime::new().map_err(demo::Error::Setup)?;
    runtime.block_on(async {
        let stop = signals::stop_signal().map_err(demo::Error::Setup)?;
        let options = DemoOptions {
            listen: args.listen,
            channel: args.channel,
            phones: 1,
            state: args.state.as_deref(),
            settings: agent(&args.agent, environment)
                .into_iter()
                .chain(unset(environment))
                .collect(),
        };
        let demo = Demo::start(options, environment).await?;
        demo.tell();
        line(format_args!(""));
        tokio::select! {
            () = follow(&demo) => {}
            never = demo.look_after() => match never {},
            _signal = stop => {}
        }
        demo.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// The settings of the agent.
fn agent(agent: &str, environment: &Environment) -> Vec<(&'static str, String)> {
    let kind = |word: &str| ("CHIMEIN_AGENT_KIND", word.to_owned());
    if is_url(agent) {
        return vec![kind("http"), ("CHIMEIN_AGENT_URL", agent.to_owned())];
    }
    let mode = environment.get("CHIMEIN_STDIO_MODE").unwrap_or("spawn");
    vec![
        kind("stdio"),
        ("CHIMEIN_STDIO_COMMAND", agent.to_owned()),
        ("CHIMEIN_STDIO_MODE", mode.to_owned()),
    ]
}

/// What somebody wants who watches: the agent's own words, lines to be read, and a mended program asked soon.
fn unset(environment: &Environment) -> impl Iterator<Item = (&'static str, String)> {
    [
        ("LOG_LEVEL", "warn,chimein::agent=info"),
        ("CHIMEIN_LOG_FORMAT", "text"),
        ("CHIMEIN_AGENT_SCHEDULE", "1s,2s,3s,3s,3s,3s,3s,3s,3s,3s"),
    ]
    .into_iter()
    .filter(|(name, _)| environment.get(name).is_none())
    .map(|(name, value)| (name, value.to_owned()))
}

fn is_url(agent: &str) -> bool {
    agent.starts_with("http://") || agent.starts_with("https://")
}

/// Prints each step of each message as it happens.
async fn follow(demo: &Demo) {
    let mut stages = demo.app.journal().subscribe();
    loop {
        match stages.recv().await {
            Ok(record) => line(format_args!("{}", told(&record))),
            Err(RecvError::Lagged(missed)) => line(format_args!("({missed} steps are not shown)")),
            Err(RecvError::Closed) => return,
        }
    }
}

/// A step in one line: when, what, in which thread, of which message.
fn told(record: &Record) -> String {
    let at = record.at.to_string();
    let time = at.get(11..23).unwrap_or(&at);
    let message = record.message.map(|message| format!(" {message}")).unwrap_or_default();
    let what = what(&record.stage);
    format!("{time}  {what:<44}  {}{message}", record.thread)
}

fn what(stage: &Stage) -> String {
    match stage {
        Stage::TurnStarted => "agent asked".to_owned(),
        Stage::AgentAnswered { replies: 0 } => "agent has nothing to say".to_owned(),
        Stage::AgentAnswered { replies } if *replies > 1 => {
            format!("agent answered with {replies} replies")
        }
        Stage::MessageAgain { .. } => "told of by another door too".to_owned(),
        Stage::AttemptFailed { queue, attempt, reason, retry_in_ms, .. } => {
            let reason = reason.as_str();
            format!("attempt {attempt} in {queue} failed: {reason}; again in {retry_in_ms} ms")
        }
        Stage::Waits { queue } => format!("waits in {queue}: what it needs is away"),
        Stage::ReplyStored => "reply stored".to_owned(),
        Stage::ReplyLookedFor { found: true } => "reply looked for, and found".to_owned(),
        Stage::ReplyLookedFor { found: false } => "reply looked for, not found".to_owned(),
        Stage::ReplyFares { status, .. } => format!("reply is {status}"),
        Stage::ReplyFell { again: true, .. } => "reply did not arrive; sent once more".to_owned(),
        Stage::ReplyFell { again: false, .. } => "reply did not arrive".to_owned(),
        Stage::Bundled { .. } => "answered together with a later message".to_owned(),
        Stage::Held => "held: a person has the thread".to_owned(),
        Stage::HandedOver => "handed over to a person".to_owned(),
        Stage::Ended => "ended by the agent".to_owned(),
        Stage::Operator { act } => format!("operator: {}", act.as_str()),
        Stage::Left { reason } => format!("bot left: {}", reason.as_str()),
        step_or_trouble => Step::of(step_or_trouble)
            .map(|(step, detail)| step.with(detail))
            .or_else(|| trouble(step_or_trouble))
            .unwrap_or_else(|| stage.as_str().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_asked_and_a_command_is_run() {
        let empty = Environment::from_pairs(Vec::<(String, String)>::new());
        let http = agent("http://127.0.0.1:9000/", &empty);
        assert_eq!(http[0], ("CHIMEIN_AGENT_KIND", "http".to_owned()));
        assert_eq!(http[1], ("CHIMEIN_AGENT_URL", "http://127.0.0.1:9000/".to_owned()));
        let program = agent("python3 bot.py", &empty);
        assert_eq!(program[0], ("CHIMEIN_AGENT_KIND", "stdio".to_owned()));
        assert_eq!(program[2], ("CHIMEIN_STDIO_MODE", "spawn".to_owned()));
        let stream = [("CHIMEIN_STDIO_MODE".to_owned(), "stream".to_owned())];
        let stream = agent("python3 bot.py", &Environment::from_pairs(stream));
        assert_eq!(stream[2], ("CHIMEIN_STDIO_MODE", "stream".to_owned()));
    }
}
