//! The kind `stdio` among the settings.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::program::Starting;
use super::run::Programs;
use super::settings::StdioSettings;
use super::{Stdio, examine};
use crate::agent::kind::{self, Error, Making};
use crate::agent::{Agent, kinds};
use crate::clock::Clock;
use crate::config::{Declaration, Settings};
use crate::finding::Finding;
use crate::telemetry::refusals::Refusals;

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
            let running = Programs {
                starting,
                timeout: of.settings.agent.timeout,
                answer_bytes_max: of.settings.agent.response_bytes_max.0,
                bad: Refusals::new(of.clock),
                metrics: of.metrics.clone(),
                clock: of.clock,
            };
            let agent: Arc<dyn Agent> = Arc::new(Stdio::new(running, own.mode, own.credits.get()));
            Ok(agent)
        })
    }

    fn examine<'a>(
        &'a self,
        settings: &'a Settings,
        clock: Clock,
    ) -> BoxFuture<'a, Result<Vec<Finding>, Error>> {
        Box::pin(async move {
            match starting(kind::own(settings)?, settings, clock) {
                Some(starting) => Ok(vec![examine::program(&starting, clock).await]),
                None => Ok(Vec::new()),
            }
        })
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
    Some(Starting { command, hidden, noise: Refusals::new(clock), clock })
}
