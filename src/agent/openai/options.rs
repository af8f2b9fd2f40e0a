//! What the settings mean for this agent, and its system prompt, read from a file at the start.
//!
//! I/O: one file. The key passes through to the one header that it is for.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::request::Style;
use super::settings::OpenAiSettings;
use crate::config::{self, Reason, Settings};
use crate::pii::Pii;
use crate::thread::Budget;

/// The longest system prompt.
pub const SYSTEM_BYTES_MAX: usize = 64 << 10;

/// What an [`OpenAi`](super::OpenAi) needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    pub(super) base_url: String,
    pub(super) key: Option<SecretString>,
    pub(super) style: Style,
    pub(super) fallback: Option<Pii>,
    /// Whether a person gets the thread then.
    pub(super) hands_over: bool,
    pub(super) history: Budget,
    pub(super) first_token_timeout: Duration,
    pub(super) timeout: Duration,
    pub(super) response_bytes_max: usize,
}

/// Why the settings do not make an agent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// No model is named. The settings refuse that before.
    #[error("openai.model is required: set CHIMEIN_OPENAI_MODEL")]
    NoModel,
    /// The system prompt could not be read.
    #[error("the system prompt {} {reason}; see openai.system_file, CHIMEIN_OPENAI_SYSTEM_FILE", path.display())]
    System {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: Reason,
    },
}

impl Options {
    /// Maps all settings and its own among them, and reads the system prompt.
    ///
    /// # Errors
    ///
    /// If the prompt cannot be read.
    pub fn of(all: &Settings, settings: &OpenAiSettings) -> Result<Self, SettingsError> {
        let agent = &all.agent;
        let model = settings.model.as_ref().ok_or(SettingsError::NoModel)?;
        let system = settings.system_file.as_ref().map(|path| {
            let text = config::read_bounded(path, SYSTEM_BYTES_MAX);
            text.map_err(|reason| SettingsError::System { path: path.clone(), reason })
        });
        let system = system.transpose()?.map(|text| text.trim().to_owned());
        Ok(Self {
            base_url: settings.base_url.as_typed().trim_end_matches('/').to_owned(),
            key: settings.api_key.clone(),
            style: Style {
                api: settings.api,
                model: model.as_str().to_owned(),
                system: system.filter(|text| !text.is_empty()).map(Pii::from),
                tokens_max: settings.max_tokens.map(std::num::NonZeroU32::get),
                token_parameter: settings.token_parameter,
                temperature: settings.temperature.map(|temperature| temperature.0),
            },
            fallback: settings.fallback.as_ref().map(|text| text.0.clone()),
            hands_over: settings.handoff,
            history: Budget { messages: settings.history_messages, chars: settings.history_chars },
            first_token_timeout: settings.first_token_timeout,
            timeout: agent.timeout,
            response_bytes_max: agent.response_bytes_max.0,
        })
    }
}
