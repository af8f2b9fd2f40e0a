//! The keys of kind `http`, which stand in the section `[agent]`, and the rule that they keep. Pure.

use std::time::Duration;

use crate::config::kinds::HttpUrl;
use crate::config::rules;
use crate::config::section::sections;
use crate::config::{AgentSettings, Reader};

sections! {
    /// The agent behind a URL, for kind http.
    HttpSettings = "agent" {
        /// Where turns are posted to; present for kind http.
        url: Option<HttpUrl>;
        /// Where it is told what became of its replies.
        report_url: Option<HttpUrl>;
        /// How long it may say nothing to a turn that it answers later; not watched if it is zero.
        answer_within: Duration;
        /// How many messages of what was said before are told.
        history_messages: usize;
        /// How many characters they may have.
        history_chars: usize;
    }
}

impl AgentSettings for HttpSettings {
    const MANUAL: &'static str = include_str!("settings.toml");

    fn check(reader: &mut Reader<'_>, is_chosen: bool) {
        let broken = "is required, as a well-formed URL, for agent.kind http";
        rules::required::<HttpUrl>(reader, "agent.url", is_chosen, broken);
        rules::history(reader, ["agent.history_messages", "agent.history_chars"]);
        rules::silence(reader, "agent.answer_within");
    }
}
