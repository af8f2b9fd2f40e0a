//! The kind `stdio` among the settings.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::acp::{Acp, AcpOptions};
use super::program::Starting;
use super::protocol::Talk;
use super::run::{Programs, Speaks};
use super::settings::{StdioMode, StdioSettings};
use super::{Options, Stdio, examine};
use crate::agent::kind::{self, Error, Making};
use crate::agent::{Agent, Patience, kinds};
use crate::clock::Clock;
use crate::config::{Declaration, Settings};
use crate::finding::Finding;
use crate::telemetry::refusals::Refusals;
use crate::thread::Budget;

/// The kind of agent that is a program on this machine.
pub struct Kind;

impl kind::Kind for Kind {
    fn declares(&self) -> Declaration {
        Declaration::of::<StdioSettings>("stdio")
    }

    fn make<'a>(&'a self, of: Making<'a>) -> BoxFuture<'a, Result<Arc<dyn Agent>, Error>> {
        Box::pin(async move {
            let own: &StdioSettings = kind::own(of.settings)?;
            let starting =
                starting(own, of.settings, of.clock).ok_or(Error::Missing("stdio.command"))?;
            let timeout = of.settings.agent.timeout;
            let answer_bytes_max = of.settings.agent.response_bytes_max.0;
            let running = Programs {
                starting,
                speaks: speaks(own, timeout, answer_bytes_max),
                timeout,
                bad: Refusals::new(of.clock),
                metrics: of.metrics.clone(),
                clock: of.clock,
            };
            let options = Options {
                mode: own.mode,
                credits: own.credits.get(),
                history: Budget { messages: own.history_messages, chars: own.history_chars },
                answer_bytes_max,
                patience: match own.mode {
                    StdioMode::Stream | StdioMode::Spawn => {
                        Patience::asking_again(own.answer_within)
                    }
                    StdioMode::Acp => None,
                },
            };
            let agent: Arc<dyn Agent> = Arc::new(Stdio::new(running, options));
            Ok(agent)
        })
    }

    fn examine<'a>(
        &'a self,
        settings: &'a Settings,
        clock: Clock,
    ) -> BoxFuture<'a, Result<Vec<Finding>, Error>> {
        Box::pin(async move {
            let own: &StdioSettings = kind::own(settings)?;
            match &own.command {
                Some(command) => {
                    let place = own.folder.as_deref();
                    Ok(vec![examine::command(command.as_str(), place, clock).await])
                }
                None => Ok(Vec::new()),
            }
        })
    }
}

/// What a program that has just been started is spoken to in.
fn speaks(own: &StdioSettings, timeout: Duration, answer_bytes_max: usize) -> Speaks {
    match own.mode {
        StdioMode::Stream | StdioMode::Spawn => {
            Arc::new(move || Box::new(Talk::new(timeout, answer_bytes_max)))
        }
        StdioMode::Acp => {
            let here = || std::env::current_dir().unwrap_or_else(|_| "/".into());
            let folder = own.folder.clone().unwrap_or_else(here).display().to_string();
            let sessions_max = own.sessions.get();
            let options = AcpOptions { timeout, answer_bytes_max, sessions_max, folder };
            Arc::new(move || Box::new(Acp::new(options.clone())))
        }
    }
}

/// What our own variables begin with, the doors to Twilio among them.
const OURS: [&str; 4] = ["BITBRAT_", "CHIMEIN_", "NATS_", "TWILIO_"];

/// How the program is started, without what is secret among our own variables.
fn starting(own: &StdioSettings, settings: &Settings, clock: Clock) -> Option<Starting> {
    let command = own.command.as_ref()?.as_str().into();
    let keys = kinds::schema().keys();
    let secrets = keys.iter().filter(|key| key.secret).flat_map(|key| key.variables());
    // What other programs know by the same names, such as OPENAI_API_KEY, may be meant for this one.
    let ours = secrets.filter(|name| OURS.iter().any(|beginning| name.starts_with(beginning)));
    let ours = ours.chain(settings.routing.secret_variables.iter().cloned());
    let hidden = ours.flat_map(|name| [format!("{name}_FILE"), name]).collect();
    let (noise, last_words) = (Refusals::new(clock), Refusals::new(clock));
    let folder = own.folder.clone();
    Some(Starting { command, hidden, folder, noise, last_words, clock })
}
