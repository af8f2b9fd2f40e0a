//! `chimein send`: says something as the bot, by hand: in a thread, or to an address.
//!
//! Asks first whether there is such a thread, then puts one reply into the running service's
//! outbox, from where it takes the way of every reply: in order, once, surviving restarts. Exit code 0
//! means that it is on disk; with `--wait`, that Twilio has it. The key makes it count once: after a
//! lost answer the same command with the same `--key` is safe, and with `--wait` it waits on.

use std::io::{self, Read as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::admin_api::{self, AdminApi};
use super::outcome::{self, Outcome};
use crate::agent::kinds;
use crate::config::Environment;
use crate::thread::ThreadId;
use crate::twilio::sid::ContentSid;

/// The exit code for a reply that is still on its way when `--wait` ends.
const NOT_YET: u8 = 3;

/// How much of a text is read from standard input.
const INPUT_BYTES_MAX: u64 = 128 * 1024;

/// How often a reply is asked for.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// What `chimein send` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The thread: a conversation's CH, or a direct thread's TH, and 32 hexadecimal digits.
    #[arg(long, alias = "thread", value_name = "CH…|TH…", required_unless_present = "to")]
    conversation: Option<ThreadId>,
    /// Whom to write to by a plain number, such as +15555550123 or whatsapp:+15555550123.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "conversation")]
    to: Option<String>,
    /// By which address of ours; needed only where several could send it.
    #[arg(long, value_name = "ADDRESS", requires = "to")]
    from: Option<String>,
    /// What to say; `-` reads it from standard input.
    #[arg(
        long,
        value_name = "TEXT",
        required_unless_present = "content",
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    body: Option<String>,
    /// A content template to send instead of a text.
    #[arg(long, value_name = "HX…", conflicts_with = "body")]
    content: Option<ContentSid>,
    /// One of the template's variables, such as 1=Ann; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", requires = "content", value_parser = variable)]
    var: Vec<(String, String)>,
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
    /// Prints JSON instead of a line: thread, key, whether it was queued before, and with --wait how it fares.
    #[arg(long)]
    json: bool,
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
    /// The thread was not found, or nobody could be asked for it.
    #[error("nothing was queued for {conversation}")]
    Conversation {
        /// The thread.
        conversation: ThreadId,
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
        conversation: ThreadId,
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
    /// Standard input could not be read.
    #[error("nothing was queued: the text could not be read from standard input")]
    Input(#[source] io::Error),
    /// It could not begin, or not say how it went.
    #[error(transparent)]
    Run(#[from] outcome::Error),
}

/// Runs the command.
///
/// # Errors
///
/// See [`Error`].
pub fn run(args: &Args, environment: &Environment) -> Result<ExitCode, Error> {
    outcome::run(send(args, environment))
}

async fn send(args: &Args, environment: &Environment) -> Result<Outcome, Error> {
    let key = args.key.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let failed = |source| Error::Api { key: key.clone(), source };
    let report = kinds::load(args.config.as_deref(), environment);
    let api = AdminApi::new(&report, args.url.as_ref()).map_err(failed)?;
    let is_known = match args.conversation {
        Some(thread) => ask_for(&api, thread).await?,
        None => true,
    };
    let reply = reply(args)?;
    let TakenReply { thread, added } = match (args.conversation, &args.to) {
        (Some(thread), _) => {
            let thread = thread.to_string();
            let path = ["v1", "threads", &thread, "replies"];
            let body = json!({ "replies": [reply] });
            let taken: TakenReply = api.post_once(&path, &key, &body).await.map_err(failed)?;
            TakenReply { thread, ..taken }
        }
        (None, to) => {
            let mut body = reply;
            body["to"] = json!(to);
            if let Some(from) = &args.from {
                body["from"] = json!(from);
            }
            api.post_once(&["v1", "messages"], &key, &body).await.map_err(failed)?
        }
    };
    let end = match args.wait {
        None => ReplyEnd::Queued,
        Some(seconds) => {
            let path = ["v1", "threads", &thread, "replies", &key];
            let end = tokio::time::timeout(Duration::from_secs(seconds), settled(&api, &path));
            end.await.unwrap_or(Ok(ReplyEnd::NotYet(seconds))).map_err(failed)?
        }
    };
    let queued = QueuedReply { thread, key: key.clone(), before: added == 0 };
    let outcome = told(&queued, &end, args.json);
    Ok(if is_known {
        outcome
    } else {
        outcome.with_note("Twilio did not say whether there is such a conversation")
    })
}

/// What was put into the outbox.
struct QueuedReply {
    thread: String,
    key: String,
    before: bool,
}

/// Says how it went, and ends as it went.
fn told(queued: &QueuedReply, end: &ReplyEnd, as_json: bool) -> Outcome {
    let QueuedReply { thread, key, before } = queued;
    let (state, delivery, cause) = match end {
        ReplyEnd::Queued | ReplyEnd::NotYet(_) => ("queued", &[][..], None),
        ReplyEnd::Sent(delivery) => ("sent", &delivery[..], None),
        ReplyEnd::Dead(cause) => ("dead", &[][..], Some(cause)),
    };
    let word = if *before { "was queued before" } else { "queued" };
    let mut output = format!("{word} for {thread}, key {key}\n");
    if let ReplyEnd::Sent(delivery) = end {
        let fares: String = delivery.iter().map(|state| format!(", {state}")).collect();
        output.push_str(&format!("sent{fares}\n"));
    }
    if as_json {
        output = outcome::json(&json!({
            "thread": thread, "key": key, "queued_before": before,
            "state": state, "delivery": delivery, "cause": cause,
        }));
    }
    let outcome = Outcome::done(output);
    match end {
        ReplyEnd::Queued | ReplyEnd::Sent(_) => outcome,
        ReplyEnd::Dead(cause) => outcome
            .with_note(&format!(
                "it failed for good: {cause}; `chimein dead-letters list --queue outbox` has it"
            ))
            .with_code(1),
        ReplyEnd::NotYet(seconds) => outcome
            .with_note(&format!(
                "not sent within {seconds} s; it stays queued and is sent as soon as it can be; \
                 the same command with --key {key} waits on"
            ))
            .with_code(NOT_YET),
    }
}

/// What the service answers to what it has taken.
#[derive(Deserialize)]
struct TakenReply {
    #[serde(default, deserialize_with = "crate::json::null_as_default")]
    thread: String,
    added: usize,
}

/// What is to be said, as agents write it.
fn reply(args: &Args) -> Result<Value, Error> {
    if let Some(content) = args.content {
        let variables: serde_json::Map<_, _> =
            args.var.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        return Ok(json!({ "content_sid": content, "content_variables": variables }));
    }
    let body = match args.body.as_deref() {
        Some("-") => read_bounded(io::stdin()).map_err(Error::Input)?,
        body => body.unwrap_or_default().to_owned(),
    };
    Ok(json!({ "body": body }))
}

/// Reads a text, and no more of it than a request may have.
fn read_bounded(from: impl io::Read) -> io::Result<String> {
    let mut text = String::new();
    let read = io::Read::take(from, INPUT_BYTES_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > INPUT_BYTES_MAX {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    Ok(text)
}

/// Reads one of a template's variables.
fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("wanted NAME=VALUE, such as 1=Ann")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Asks for a thread; false if Twilio does not say whether there is one.
async fn ask_for(api: &AdminApi, conversation: ThreadId) -> Result<bool, Error> {
    #[derive(Deserialize)]
    struct KnownThread {
        state: String,
    }
    let path = ["v1", "threads", &conversation.to_string()];
    match api.get::<KnownThread>(&path, &[]).await {
        Ok(found) if found.state == "closed" => Err(Error::Closed { conversation }),
        Ok(_) => Ok(true),
        Err(admin_api::Error::Refused { status: 503, .. }) => Ok(false),
        Err(source) => Err(Error::Conversation { conversation, source }),
    }
}

/// How a reply ended.
enum ReplyEnd {
    /// Nobody waited for its end.
    Queued,
    /// At Twilio, and how it fares for each who gets it.
    Sent(Vec<String>),
    /// It failed for good: why.
    Dead(String),
    /// It was on its way after so many seconds.
    NotYet(u64),
}

/// Waits until a reply is at Twilio or a dead letter. A service that is away meanwhile may come back.
async fn settled(api: &AdminApi, path: &[&str]) -> Result<ReplyEnd, admin_api::Error> {
    #[derive(Deserialize)]
    struct PartsFate {
        state: String,
        cause: Option<GivenCause>,
        #[serde(default, deserialize_with = "crate::json::null_as_default")]
        delivery: Vec<ReplyDelivery>,
    }
    #[derive(Deserialize)]
    struct ReplyDelivery {
        state: String,
        is_over: bool,
    }
    #[derive(Deserialize)]
    struct GivenCause {
        class: String,
        code: Option<u32>,
        detail: String,
    }
    loop {
        match api.get::<PartsFate>(path, &[]).await {
            Ok(PartsFate { state, delivery, .. })
                if state == "sent" && delivery.iter().all(|one| one.is_over) =>
            {
                let states = delivery.into_iter().map(|one| one.state);
                return Ok(ReplyEnd::Sent(states.collect()));
            }
            Ok(PartsFate { cause: Some(GivenCause { class, code, detail }), .. }) => {
                let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
                let words = if detail.is_empty() { class } else { detail };
                let words: String = words.chars().filter(|letter| !letter.is_control()).collect();
                return Ok(ReplyEnd::Dead(format!("{words}{code}")));
            }
            Ok(PartsFate { .. })
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
    use crate::admin::replies::{self, Failed, Replies, RepliesFate};
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

    #[test]
    fn a_program_reads_how_it_went() {
        let queued = QueuedReply { thread: "TH01".to_owned(), key: "k1".to_owned(), before: false };
        for (end, state, code) in [
            (ReplyEnd::Queued, "queued", 0),
            (ReplyEnd::Sent(vec!["delivered".to_owned()]), "sent", 0),
            (ReplyEnd::Dead("refused".to_owned()), "dead", 1),
            (ReplyEnd::NotYet(60), "queued", NOT_YET),
        ] {
            let outcome = told(&queued, &end, true);
            let read: Value = serde_json::from_str(&outcome.output).unwrap();
            assert_eq!((&read["state"], outcome.code), (&json!(state), code));
            assert_eq!((&read["thread"], &read["key"]), (&json!("TH01"), &json!("k1")));
        }
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
        let queued = RepliesFate { parts: 2, sent: 1, dead: None, delivery: Vec::new() };
        let sent = RepliesFate { sent: 2, ..queued.clone() };
        let cause = Cause::new("dead").with_code(50_377).with_detail("is closed");
        let dead = RepliesFate { dead: Some(cause), ..queued.clone() };
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
        let fates = vec![RepliesFate { parts: 1, ..RepliesFate::default() }];
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
        fates: Mutex<Vec<RepliesFate>>,
    }

    impl Default for Known {
        fn default() -> Self {
            Self { state: Ok(Some("active")), fates: Mutex::default() }
        }
    }

    impl Replies for Known {
        fn state(&self, _: ThreadId) -> BoxFuture<'_, Result<Option<&'static str>, Failed>> {
            Box::pin(std::future::ready(self.state.map_err(|()| Failed("silent".into()))))
        }

        fn fate<'a>(
            &'a self,
            _: ThreadId,
            _: &'a str,
        ) -> BoxFuture<'a, Result<Option<RepliesFate>, Failed>> {
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
