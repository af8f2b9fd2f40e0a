//! All kinds of agents, a line each: whoever adds one adds its file or folder, its line here, and its
//! settings with their manual.

#[cfg(feature = "nats")]
use super::bitbrat;
use super::kind::Kind;
use super::{echo, http, openai};
use crate::config::Settings;

/// The kinds; the first one stands for what is not built in, which the settings refuse.
const KINDS: &[&dyn Kind] = &[
    &echo::Kind,
    &http::Kind,
    &openai::Kind,
    #[cfg(feature = "nats")]
    &bitbrat::Kind,
];

/// The kind that the settings ask for.
#[must_use]
pub fn of(settings: &Settings) -> &'static dyn Kind {
    let wanted = settings.agent.kind;
    KINDS.iter().copied().find(|kind| kind.word() == wanted).unwrap_or(KINDS[0])
}
