//! The section `[stdio]`: its keys, the kinds of their values, and the rules that they keep. Pure.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::kinds::{Setting, words};
use crate::config::rules::{self, required};
use crate::config::section::sections;
use crate::config::{AgentSettings, Reader};

/// The most turns that a program may have at once.
const CREDITS_MAX: usize = 4_096;

sections! {
    /// The program, for kind stdio.
    StdioSettings = "stdio" {
        /// What is started; present for kind stdio.
        command: Option<CommandLine>;
        /// Whether one program has all turns.
        mode: StdioMode;
        /// How many turns it has at once.
        credits: NonZeroUsize;
        /// Where it is started.
        folder: Option<PathBuf>;
        /// How many messages of what was said before are told.
        history_messages: usize;
        /// How many characters they may have.
        history_chars: usize;
        /// How long it may say nothing to a turn that it answers later; not watched if it is zero.
        answer_within: Duration;
        /// How many threads a program of mode acp has a session for.
        sessions: NonZeroUsize;
    }
}

impl AgentSettings for StdioSettings {
    const MANUAL: &'static str = include_str!("settings.toml");

    fn check(reader: &mut Reader<'_>, is_chosen: bool) {
        let broken = "is required for agent.kind stdio";
        required::<CommandLine>(reader, "stdio.command", is_chosen, broken);
        let credits = reader.value("stdio.credits");
        let is_kept = credits.map(|credits: NonZeroUsize| credits.get() <= CREDITS_MAX);
        reader.rule("stdio.credits", is_kept, "is over 4096");
        let is_absolute = reader.value("stdio.folder").map(|path: PathBuf| path.is_absolute());
        reader.rule("stdio.folder", is_absolute, "is no absolute path");
        rules::history(reader, ["stdio.history_messages", "stdio.history_chars"]);
        rules::silence(reader, "stdio.answer_within");
    }
}

/// A command as a shell reads it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommandLine(String);

impl CommandLine {
    /// Gives it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for CommandLine {
    const WANTED: &'static str = "a command of at most 4096 characters";

    fn parse(text: &str) -> Option<Self> {
        let fits = !text.trim().is_empty() && text.len() <= 4_096 && !text.contains('\0');
        fits.then(|| Self(text.to_owned()))
    }
}

/// How many programs there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StdioMode {
    /// One has all turns.
    Stream,
    /// Each turn has one of its own.
    Spawn,
    /// One has all turns, and speaks the Agent Client Protocol.
    Acp,
}

words! {
    StdioMode, "stream, spawn or acp", { "stream" => Self::Stream, "spawn" => Self::Spawn, "acp" => Self::Acp }
}
