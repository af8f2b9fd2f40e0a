//! `chimein send`: says something in a conversation as the bot, by hand.
//!
//! Asks first whether there is such a conversation, then puts one reply into the running service's
//! outbox, from where it takes the way of every reply: in order, once, surviving restarts. Exit code 0
//! means that it is on disk; with `--wait`, that Twilio has it. The key makes it count once: after a
//! lost answer the same command with the same `--key` is safe, and with `--wait` it waits on.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use url::Url;
use uuid::Uuid;

use super::admin_api::{self, AdminApi};
use super::outcome::{self, Outcome};
use crate::config::{self, Environment};
use crate::twilio::sid::ConversationSid;

/// The exit code for a reply that is still on its way when `--wait` ends.
const NOT_YET: u8 = 3;

/// How often a reply is asked for.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// What `chimein send` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The conversation, CH and 32 hexadecimal digits.
    #[arg(long, value_name = "CH…")]
    conversation: ConversationSid,
    /// What to say.
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    body: String,
    /// Makes it count once however often it is sent; without it a new one.
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    key: Option<String>,
    /// Waits until Twilio has it or it has failed for good, and says which: exit code 0 or 1, and 3 if
    /// it is still on its way after so many seconds.
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "60",
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    wait: Option<u64>,
    /// The configuration file; without it the one that CHIMEIN_CONFIG names.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the service's admin listener is, instead of the place in the settings.
    #[arg(long)]
    url: Option<Url>,
}

/// Says why nothing is known to be in the outbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The conversation was not found, or nobody could be asked for it.
    #[error("nothing was queued for {conversation}")]
    Conversation {
        /// The conversation.
        conversation: ConversationSid,
        /// What the service said.
        #[source]
        source: admin_api::Error,
    },
    /// The conversation takes no more messages.
    #[error(
        "nothing was queued: conversation {conversation} is closed, and Twilio takes no message in it"
    )]
    Closed {
        /// The conversation.
        conversation: ConversationSid,
    },
    /// The service could not be asked, or refused.
    #[error("the reply was not taken; its key is {key}, the same key may be tried again")]
    Api {
        /// The idempotency key.
        key: String,
        /// What the service said.
        #[source]
        source: admin_api::Error,
    },
    /// The runtime could not be made.
    #[error("the runtime could not be started")]
    Runtime(#[source] io::Error),
    /// Standard output did not take the answer.
    #[error("cannot write the answer")]
    Output(#[source] io::Error),
}

/// Runs the command.
///
/// # Errors
///
/// See [`Error`].
pub fn run(args: &Args, environment: &Environment) -> Result<ExitCode, Error> {
    let runtime = outcome::runtime().map_err(Error::Runtime)?;
    runtime.block_on(send(args, environment))?.tell().map_err(Error::Output)
}

async fn send(args: &Args, environment: &Environment) -> Result<Outcome, Error> {
    #[derive(Deserialize)]
    struct Taken {
        added: usize,
    }
    let key = args.key.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let failed = |source| Error::Api { key: key.clone(), source };
    let report = config::load(args.config.as_deref(), environment);
    let api = AdminApi::new(&report, args.url.as_ref()).map_err(failed)?;
    let is_known = ask_for(&api, args.conversation).await?;
    let conversation = args.conversation.to_string();
    let path = ["v1", "conversations", &conversation, "replies"];
    let body = json!({ "replies": [args.body] });
    let taken: Taken = api.post_once(&path, &key, &body).await.map_err(failed)?;
    let word = if taken.added > 0 { "queued" } else { "was queued before" };
    let mut outcome = Outcome::done(format!("{word} for {conversation}, key {key}\n"));
    if !is_known {
        outcome = outcome.with_note("Twilio did not say whether there is such a conversation");
    }
    let Some(seconds) = args.wait else { return Ok(outcome) };
    let path = ["v1", "conversations", &conversation, "replies", &key];
    let end = tokio::time::timeout(Duration::from_secs(seconds), settled(&api, &path)).await;
    Ok(match end {
        Ok(Ok(End::Sent)) => Outcome { output: outcome.output + "sent\n", ..outcome },
        Ok(Ok(End::Dead(cause))) => outcome
            .with_note(&format!(
                "it failed for good: {cause}; `chimein dead-letters list --queue outbox` has it"
            ))
            .with_code(1),
        Ok(Err(error)) => return Err(failed(error)),
        Err(_) => outcome
            .with_note(&format!(
                "not sent within {seconds} s; it stays queued and is sent as soon as it can be; \
                 the same command with --key {key} waits on"
            ))
            .with_code(NOT_YET),
    })
}

/// Asks for a conversation; false if Twilio does not say whether there is one.
async fn ask_for(api: &AdminApi, conversation: ConversationSid) -> Result<bool, Error> {
    #[derive(Deserialize)]
    struct Found {
        state: String,
    }
    let path = ["v1", "conversations", &conversation.to_string()];
    match api.get::<Found>(&path, &[]).await {
        Ok(found) if found.state == "closed" => Err(Error::Closed { conversation }),
        Ok(_) => Ok(true),
        Err(admin_api::Error::Refused { status: 503, .. }) => Ok(false),
        Err(source) => Err(Error::Conversation { conversation, source }),
    }
}

/// How a reply ended.
enum End {
    Sent,
    Dead(String),
}

/// Waits until a reply is at Twilio or a dead letter. A service that is away meanwhile may come back.
async fn settled(api: &AdminApi, path: &[&str]) -> Result<End, admin_api::Error> {
    #[derive(Deserialize)]
    struct Fate {
        state: String,
        cause: Option<Cause>,
    }
    #[derive(Deserialize)]
    struct Cause {
        class: String,
        code: Option<u32>,
        detail: String,
    }
    loop {
        match api.get::<Fate>(path, &[]).await {
            Ok(Fate { state, .. }) if state == "sent" => return Ok(End::Sent),
            Ok(Fate { cause: Some(Cause { class, code, detail }), .. }) => {
                let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
                let words = if detail.is_empty() { class } else { detail };
                let words: String = words.chars().filter(|letter| !letter.is_control()).collect();
                return Ok(End::Dead(format!("{words}{code}")));
            }
            Ok(Fate { .. })
            | Err(
                admin_api::Error::NoAnswer { .. }
                | admin_api::Error::Lost { .. }
                | admin_api::Error::Refused { status: 503, .. },
            ) => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use clap::Parser;
    use futures::future::BoxFuture;
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::admin::replies::{self, Failed, Fate, Replies};
    use crate::agent::later::{Batch, Outbox, OutboxError, trusted_router};
    use crate::http;
    use crate::queue::Cause;
    use crate::thread::Reply;

    const CONVERSATION: &str = "CHcccccccccccccccccccccccccccccccc";

    #[tokio::test]
    async fn a_text_is_in_the_outbox_once_under_its_key() {
        let service = Service::start().await;
        let again = ["--body", "hello", "--key", "k1"];
        let first = service.send(&again).await.unwrap();
        assert_eq!(first.output, format!("queued for {CONVERSATION}, key k1\n"));
        let second = service.send(&again).await.unwrap();
        assert_eq!(second.output, format!("was queued before for {CONVERSATION}, key k1\n"));
        let stored = service.outbox.0.lock().unwrap().clone();
        assert_eq!(stored, BTreeMap::from([("k1".to_owned(), vec![Reply::text("hello")])]));
        service.stop().await;
    }

    #[tokio::test]
    async fn without_a_key_each_call_is_its_own() {
        let service = Service::start().await;
        for _ in 0..2 {
            let outcome = service.send(&["--body", "hello"]).await.unwrap();
            assert!(outcome.output.starts_with("queued"), "{}", outcome.output);
        }
        assert_eq!(service.outbox.0.lock().unwrap().len(), 2);
        service.stop().await;
    }

    #[tokio::test]
    async fn with_no_service_nothing_is_said_to_be_queued() {
        let service = Service::start().await;
        let url = service.url.clone();
        service.stop().await;
        let args = line(&url, &["--body", "hello", "--key", "k1"]).unwrap();
        let error = send(&args, &Environment::default()).await.unwrap_err();
        let Error::Conversation { source, .. } = error else { panic!("{error}") };
        assert!(matches!(source, admin_api::Error::NoAnswer { .. }), "{source}");
    }

    #[tokio::test]
    async fn a_reply_that_is_not_taken_tells_its_key_for_the_next_try() {
        let service = Service::start().await;
        let long = "k".repeat(300);
        let error = service.send(&["--body", "hello", "--key", &long]).await.unwrap_err();
        assert!(matches!(error, Error::Api { .. }) && error.to_string().contains(&long), "{error}");
        service.stop().await;
    }

    #[tokio::test]
    async fn nothing_is_queued_for_a_conversation_that_is_not_there_or_closed() {
        for (state, words) in [(None, "no such conversation"), (Some("closed"), "is closed")] {
            let service = Service::with(Known { state: Ok(state), ..Known::default() }).await;
            let error = service.send(&["--body", "hello", "--wait"]).await.unwrap_err();
            let told = outcome::chain(&error);
            assert!(told.contains(words) && told.contains(CONVERSATION), "{told}");
            assert!(service.outbox.0.lock().unwrap().is_empty(), "{told}");
            service.stop().await;
        }
    }

    #[tokio::test]
    async fn where_twilio_does_not_say_the_reply_is_queued_with_a_note() {
        let service = Service::with(Known { state: Err(()), ..Known::default() }).await;
        let outcome = service.send(&["--body", "hello"]).await.unwrap();
        assert!(outcome.complaint.contains("Twilio did not say"), "{}", outcome.complaint);
        assert_eq!((outcome.code, service.outbox.0.lock().unwrap().len()), (0, 1));
        service.stop().await;
    }

    #[tokio::test]
    async fn who_waits_is_told_that_it_was_sent_or_why_it_was_not() {
        let queued = Fate { parts: 2, sent: 1, dead: None };
        let sent = Fate { sent: 2, ..queued.clone() };
        let cause = Cause::new("dead").with_code(50_377).with_detail("is closed");
        let dead = Fate { dead: Some(cause), ..queued.clone() };
        for (last, code, output, complaint) in
            [(sent, 0, "sent\n", ""), (dead, 1, "", "it failed for good: is closed (50377)")]
        {
            let fates = vec![queued.clone(), queued.clone(), last];
            let service = Service::with(Known { fates: Mutex::new(fates), ..Known::default() });
            let service = service.await;
            let outcome = service.send(&["--body", "x", "--key", "a/b", "--wait"]).await.unwrap();
            let first = format!("queued for {CONVERSATION}, key a/b\n");
            assert_eq!((outcome.code, outcome.output), (code, first + output));
            assert!(outcome.complaint.starts_with(complaint), "{}", outcome.complaint);
            service.stop().await;
        }
    }

    #[tokio::test]
    async fn who_waits_is_told_after_a_while_that_it_is_still_on_its_way() {
        let fates = vec![Fate { parts: 1, ..Fate::default() }];
        let service = Service::with(Known { fates: Mutex::new(fates), ..Known::default() }).await;
        let outcome = service.send(&["--body", "x", "--key", "k1", "--wait=1"]).await.unwrap();
        assert_eq!(outcome.code, 3);
        assert!(outcome.complaint.contains("--key k1"), "{}", outcome.complaint);
        service.stop().await;
    }

    #[test]
    fn a_conversation_and_a_text_are_wanted() {
        let url = Url::parse("http://127.0.0.1:1").unwrap();
        assert!(line(&url, &["--body", "hello"]).is_ok());
        assert!(line(&url, &[]).is_err());
        assert!(line(&url, &["--body", ""]).is_err());
        assert!(Line::try_parse_from(["send", "--conversation", "IM01", "--body", "x"]).is_err());
        for (wait, seconds) in [("--wait", Some(60)), ("--wait=5", Some(5)), ("--wait=0", None)] {
            let found = line(&url, &["--body", "x", wait]).ok().and_then(|args| args.wait);
            assert_eq!(found, seconds, "{wait}");
        }
    }

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn line(url: &Url, rest: &[&str]) -> Result<Args, clap::Error> {
        let fixed = ["send", "--url", url.as_str(), "--conversation", CONVERSATION];
        Ok(Line::try_parse_from(fixed.iter().chain(rest))?.args)
    }

    #[derive(Default)]
    struct Recording(Mutex<BTreeMap<String, Vec<Reply>>>);

    impl Outbox for Recording {
        fn put(&self, batch: Batch) -> BoxFuture<'_, Result<usize, OutboxError>> {
            let count = batch.replies.len();
            let known = self.0.lock().unwrap().insert(batch.key, batch.replies).is_some();
            Box::pin(std::future::ready(Ok(if known { 0 } else { count })))
        }
    }

    /// What is known of every conversation, and of every reply, the last for ever.
    struct Known {
        state: Result<Option<&'static str>, ()>,
        fates: Mutex<Vec<Fate>>,
    }

    impl Default for Known {
        fn default() -> Self {
            Self { state: Ok(Some("active")), fates: Mutex::default() }
        }
    }

    impl Replies for Known {
        fn state(&self, _: ConversationSid) -> BoxFuture<'_, Result<Option<&'static str>, Failed>> {
            Box::pin(std::future::ready(self.state.map_err(|()| Failed("silent".into()))))
        }

        fn fate<'a>(
            &'a self,
            _: ConversationSid,
            _: &'a str,
        ) -> BoxFuture<'a, Result<Option<Fate>, Failed>> {
            let mut fates = self.fates.lock().unwrap();
            let fate = if fates.len() > 1 { Some(fates.remove(0)) } else { fates.first().cloned() };
            Box::pin(std::future::ready(Ok(fate)))
        }
    }

    struct Service {
        url: Url,
        outbox: Arc<Recording>,
        cancel: CancellationToken,
        tasks: TaskTracker,
    }

    impl Service {
        async fn start() -> Self {
            Self::with(Known::default()).await
        }

        async fn with(known: Known) -> Self {
            let outbox = Arc::new(Recording::default());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
            let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
            let router = trusted_router(Arc::<Recording>::clone(&outbox))
                .merge(replies::router(Arc::new(known)));
            let options = http::Options::default();
            tasks.spawn(http::serve(listener, router, options, cancel.clone()));
            Self { url, outbox, cancel, tasks }
        }

        async fn send(&self, rest: &[&str]) -> Result<Outcome, Error> {
            send(&line(&self.url, rest).unwrap(), &Environment::default()).await
        }

        async fn stop(self) {
            self.cancel.cancel();
            self.tasks.close();
            self.tasks.wait().await;
        }
    }
}
