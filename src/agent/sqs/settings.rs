//! The section `[sqs]`: its keys, and the rules that they keep. Pure.
//!
//! It is known to builds without SQS too, which refuse the kind by a rule of it.

use std::time::Duration;

use secrecy::SecretString;

use crate::config::kinds::{HostPart, HttpUrl};
use crate::config::rules::{self, within};
use crate::config::section::sections;
use crate::config::{AgentSettings, Reader};

sections! {
    /// The queues, for kind sqs.
    SqsSettings = "sqs" {
        /// Where turns go; present for kind sqs.
        queue_url: Option<HttpUrl> = "SQS_QUEUE_URL";
        /// Where replies come from; present for kind sqs.
        reply_queue_url: Option<HttpUrl>;
        /// The region of the queues.
        region: Option<HostPart> = "AWS_REGION", "AWS_DEFAULT_REGION";
        /// Where SQS is instead of the region's own place.
        endpoint_url: Option<HttpUrl> = "AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL";
        /// Names the key that requests are signed with.
        access_key_id: Option<SecretString> = "AWS_ACCESS_KEY_ID";
        /// The key's secret.
        secret_access_key: Option<SecretString> = "AWS_SECRET_ACCESS_KEY";
        /// The token of the key's session.
        session_token: Option<SecretString> = "AWS_SESSION_TOKEN";
        /// How many messages of what was said before are told.
        history_messages: usize;
        /// How many characters they may have.
        history_chars: usize;
        /// How long the consumer may be silent about a turn.
        answer_within: Option<Duration>;
        /// Whether it is asked once more then.
        ask_again: bool;
    }
}

impl AgentSettings for SqsSettings {
    const MANUAL: &'static str = include_str!("settings.toml");

    fn check(reader: &mut Reader<'_>, is_chosen: bool) {
        let turns = reader.value::<HttpUrl>("sqs.queue_url");
        let replies = reader.value::<HttpUrl>("sqs.reply_queue_url");
        if is_chosen {
            let is_built = cfg!(feature = "sqs");
            let broken = "is sqs, and this chimein was built without the feature sqs";
            reader.rule("agent.kind", Some(is_built), broken);
            let broken = "is required, as a well-formed URL, for agent.kind sqs";
            reader.rule("sqs.queue_url", Some(turns.is_some()), broken);
            reader.rule("sqs.reply_queue_url", Some(replies.is_some()), broken);
        }
        let differ = turns.zip(replies).map(|(turns, replies)| turns.url() != replies.url());
        let broken = "is the queue that turns are sent to; replies need one of their own";
        reader.rule("sqs.reply_queue_url", differ, broken);
        let given = |key| reader.value::<SecretString>(key).is_some();
        let is_whole = given("sqs.access_key_id") == given("sqs.secret_access_key");
        let broken = "is set and AWS_SECRET_ACCESS_KEY is not, or the other way round";
        reader.rule("sqs.access_key_id", Some(is_whole), broken);
        rules::history(reader, ["sqs.history_messages", "sqs.history_chars"]);
        let silence = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
        within(reader, "sqs.answer_within", silence, "is not between 1s and 1d");
    }
}
