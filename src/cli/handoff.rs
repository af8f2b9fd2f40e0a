//! `chimein handoff`: gives a thread to a person, or back to the bot.
//!
//! Asks the running service on its admin listener, which writes the mark into the conversation's
//! attributes at Twilio, or into its own store for a direct thread. Exit code 0 means that it is written
//! and the service knows.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::admin_api::{self, AdminApi};
use super::outcome::{self, Outcome};
use crate::agent::kinds;
use crate::config::Environment;
use crate::thread::ThreadId;

/// What `chimein handoff` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: HandoffAction,
    /// The configuration file; without it the one that CHIMEIN_CONFIG names.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Where the service's admin listener is, instead of the place in the settings.
    #[arg(long, global = true)]
    url: Option<Url>,
}

#[derive(Debug, Subcommand)]
enum HandoffAction {
    /// Gives a conversation to a person: the bot keeps silent.
    Pause(One),
    /// Gives it back to the bot; what was held is answered, what the loop guard cut is asked again.
    Resume(One),
    /// Lists the conversations that the service knows to be with a person.
    List {
        /// Prints JSON instead of one thread a line.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct One {
    /// The thread: a conversation's CH, or a direct thread's TH, and 32 hexadecimal digits.
    #[arg(value_name = "CH…|TH…", required_unless_present = "to")]
    conversation: Option<ThreadId>,
    /// Or by whom it is, such as +15555550123 or whatsapp:+15555550123.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "conversation")]
    to: Option<String>,
    /// And by which address of ours; needed only where several could write to it.
    #[arg(long, value_name = "ADDRESS", requires = "to")]
    from: Option<String>,
}

impl One {
    async fn named(&self, api: &AdminApi) -> Result<ThreadId, admin_api::Error> {
        match (self.conversation, &self.to) {
            (None, Some(to)) => api.thread_between(self.from.as_deref(), to).await,
            (Some(thread), _) => Ok(thread),
            (None, None) => unreachable!("clap asks for one of them"),
        }
    }
}

/// Says why no conversation changed hands.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service could not be asked, or refused.
    #[error(transparent)]
    Api(#[from] admin_api::Error),
    /// It could not begin, or not say how it went.
    #[error(transparent)]
    Run(#[from] outcome::Error),
}

/// Runs the command.
///
/// # Errors
///
/// See [`Error`].
pub fn run(args: &Args, environment: &Environment) -> Result<ExitCode, Error> {
    outcome::run(act(args, environment))
}

async fn act(args: &Args, environment: &Environment) -> Result<Outcome, Error> {
    let report = kinds::load(args.config.as_deref(), environment);
    let api = AdminApi::new(&report, args.url.as_ref())?;
    match &args.action {
        HandoffAction::Pause(one) => {
            let thread = one.named(&api).await?;
            set(&api, thread, "pause").await?;
            Ok(Outcome::done(format!("{thread} is with a person\n")))
        }
        HandoffAction::Resume(one) => {
            let thread = one.named(&api).await?;
            set(&api, thread, "resume").await?;
            Ok(Outcome::done(format!("{thread} is with the bot\n")))
        }
        HandoffAction::List { json } => {
            let list: PausedList = api.get(&["v1", "handoff"], &[]).await?;
            if *json {
                return Ok(Outcome::done(outcome::json(&list)));
            }
            Ok(Outcome::done(shown(list)))
        }
    }
}

#[derive(Deserialize, Serialize)]
struct PausedList {
    threads: Vec<PausedThread>,
}

#[derive(Deserialize, Serialize)]
struct PausedThread {
    thread: String,
    since: String,
}

fn shown(list: PausedList) -> String {
    if list.threads.is_empty() {
        return "no thread is with a person\n".to_owned();
    }
    let rows = list.threads.into_iter().map(|PausedThread { thread, since }| [thread, since]);
    outcome::table(["thread", "with a person since, as far as known"], rows)
}

async fn set(api: &AdminApi, conversation: ThreadId, verb: &str) -> Result<(), admin_api::Error> {
    let path = ["v1", "threads", &conversation.to_string(), verb];
    api.post::<Value>(&path, &json!({})).await.map(drop)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn a_conversation_is_wanted_and_nothing_else() {
        const SID: &str = "CHcccccccccccccccccccccccccccccccc";
        for (words, is_good) in [
            (&["handoff", "pause", SID][..], true),
            (&["handoff", "resume", SID], true),
            (&["handoff", "list"], true),
            (&["handoff", "list", "--json"], true),
            (&["handoff", "pause", "--to", "+15555550123"], true),
            (&["handoff", "resume", "--to", "+15555550123", "--from", "+15555550100"], true),
            (&["handoff", "pause", SID, "--to", "+15555550123"], false),
            (&["handoff", "pause", "--from", "+15555550100"], false),
            (&["handoff", "pause"], false),
            (&["handoff", "pause", "IM01"], false),
            (&["handoff"], false),
        ] {
            assert_eq!(Line::try_parse_from(words).is_ok(), is_good, "{words:?}");
        }
    }

    #[test]
    fn the_list_has_a_header_and_says_since_when() {
        let one = |thread: &str| PausedThread {
            thread: thread.to_owned(),
            since: "2026-11-18T13:46:40.000Z".to_owned(),
        };
        let told = shown(PausedList { threads: vec![one("CH01"), one("TH02")] });
        let lines: Vec<Vec<&str>> =
            told.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0][0], "thread");
        assert_eq!(lines[2], ["TH02", "2026-11-18T13:46:40.000Z"]);
        assert_eq!(shown(PausedList { threads: Vec::new() }), "no thread is with a person\n");
    }

    #[tokio::test]
    async fn with_no_service_nothing_is_said_to_be_done() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let words = ["handoff", "--url", &url, "list"];
        let args = Line::try_parse_from(words).unwrap().args;
        let error = act(&args, &Environment::default()).await.unwrap_err();
        assert!(matches!(error, Error::Api(admin_api::Error::NoAnswer { .. })), "{error}");
    }
}
