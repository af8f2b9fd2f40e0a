//! All kinds of agents, a line each: whoever adds one adds its folder, and its line here.

use std::path::Path;

use super::kind::{Kind, Platform};
use super::{bitbrat, chatwoot, echo, http, openai, sqs, stdio, temporal};
use crate::config::{Environment, Report, Schema, Settings};

/// The kinds, in the order of the manual; what `http` says of itself goes on with the section `[agent]`.
pub const KINDS: &[&dyn Kind] = &[
    &echo::Kind,
    &http::Kind,
    &openai::Kind,
    &sqs::Kind,
    &stdio::Kind,
    &temporal::Kind,
    &chatwoot::Kind,
    &bitbrat::Kind,
];

/// The kind that the settings of one agent ask for.
#[must_use]
pub fn of(settings: &Settings) -> &'static dyn Kind {
    let wanted = settings.agent.kind.word();
    // The settings refuse every other word.
    KINDS.iter().copied().find(|kind| kind.declares().word == wanted).unwrap_or(KINDS[0])
}

/// The platform that one of the agents is part of, if one is.
#[must_use]
pub fn platform(settings: &Settings) -> Option<Platform> {
    settings.of_agents().iter().find_map(|(_, own)| of(own).platform(own))
}

/// All keys that there are, those of the kinds among them.
#[must_use]
pub fn schema() -> Schema {
    Schema::of(KINDS.iter().map(|kind| kind.declares()).collect())
}

/// Reads the settings of the house and of all kinds, see [`Schema::load`].
#[must_use]
pub fn load(file: Option<&Path>, environment: &Environment) -> Report {
    schema().load(file, environment)
}
