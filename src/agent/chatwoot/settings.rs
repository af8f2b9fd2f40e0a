//! The section `[chatwoot]`: its keys, the kinds of their values, and the rules that they keep. Pure.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::config::kinds::{HttpUrl, words};
use crate::config::rules::{self, required};
use crate::config::section::sections;
use crate::config::{AgentSettings, Reader};

/// The shortest token; Chatwoot's own have 24 characters.
/// Source: Chatwoot, `app/models/access_token.rb`, `has_secure_token`; Rails, `ActiveRecord::SecureToken`, read
/// 2026-11-30.
const TOKEN_BYTES_MIN: usize = 16;

sections! {
    /// The bot written for Chatwoot, for kind chatwoot.
    ChatwootSettings = "chatwoot" {
        /// Where messages are posted; present for kind chatwoot.
        url: Option<HttpUrl>;
        /// What the bot's calls carry; present for kind chatwoot.
        token: Option<SecretString>;
        /// Signs what is posted.
        secret: Option<SecretString>;
        /// In which shape a message is told.
        dialect: ChatwootDialect;
        /// How long the bot may say nothing to a message; not watched if it is zero.
        answer_within: Duration;
    }
}

impl AgentSettings for ChatwootSettings {
    const MANUAL: &'static str = include_str!("settings.toml");

    fn check(reader: &mut Reader<'_>, is_chosen: bool) {
        let broken = "is required, as a well-formed URL, for agent.kind chatwoot";
        required::<HttpUrl>(reader, "chatwoot.url", is_chosen, broken);
        let broken = "is required for agent.kind chatwoot: without it nobody could answer";
        required::<SecretString>(reader, "chatwoot.token", is_chosen, broken);
        let token = reader.value::<SecretString>("chatwoot.token");
        let is_long = token.map(|token| token.expose_secret().len() >= TOKEN_BYTES_MIN);
        let broken = "is shorter than 16 characters, so it could be guessed";
        reader.rule("chatwoot.token", is_long, broken);
        rules::silence(reader, "chatwoot.answer_within");
    }
}

/// In which shape a bot written for Chatwoot is told of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChatwootDialect {
    /// As Chatwoot tells its agent bots.
    AgentBot,
    /// As a system that has made one flat shape of several services'.
    Flat,
}

words! {
    ChatwootDialect, "agent_bot or flat", { "agent_bot" => Self::AgentBot, "flat" => Self::Flat }
}
