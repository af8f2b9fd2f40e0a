//! `chimein send`: says something in a conversation as the bot, by hand.
//!
//! Puts one reply into the running service's outbox, from where it takes the way of every reply: in
//! order, once, surviving restarts. Exit code 0 means that it is on disk, not that Twilio has it. The
//! key makes it count once: after a lost answer the same command with the same `--key` is safe.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::json;
use url::Url;
use uuid::Uuid;

use super::admin_api::{self, AdminApi};
use super::outcome::Outcome;
use crate::config::{self, Environment};
use crate::twilio::sid::ConversationSid;

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
    let runtime = super::runtime().map_err(Error::Runtime)?;
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
    let conversation = args.conversation.to_string();
    let path = ["v1", "conversations", &conversation, "replies"];
    let body = json!({ "replies": [args.body] });
    let taken: Taken = api.post_once(&path, &key, &body).await.map_err(failed)?;
    let word = if taken.added > 0 { "queued" } else { "was queued before" };
    Ok(Outcome::done(format!("{word} for {conversation}, key {key}\n")))
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
    use crate::agent::Reply;
    use crate::agent::later::{Batch, Outbox, OutboxError, trusted_router};
    use crate::http;

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
    async fn with_no_service_the_key_is_told_for_the_next_try() {
        let service = Service::start().await;
        let url = service.url.clone();
        service.stop().await;
        let args = line(&url, &["--body", "hello", "--key", "k1"]).unwrap();
        let error = send(&args, &Environment::default()).await.unwrap_err();
        assert!(error.to_string().contains("k1"), "{error}");
        let Error::Api { source, .. } = error else { panic!("{error}") };
        assert!(matches!(source, admin_api::Error::NoAnswer { .. }), "{source}");
    }

    #[test]
    fn a_conversation_and_a_text_are_wanted() {
        let url = Url::parse("http://127.0.0.1:1").unwrap();
        assert!(line(&url, &["--body", "hello"]).is_ok());
        assert!(line(&url, &[]).is_err());
        assert!(line(&url, &["--body", ""]).is_err());
        assert!(Line::try_parse_from(["send", "--conversation", "IM01", "--body", "x"]).is_err());
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

    struct Service {
        url: Url,
        outbox: Arc<Recording>,
        cancel: CancellationToken,
        tasks: TaskTracker,
    }

    impl Service {
        async fn start() -> Self {
            let outbox = Arc::new(Recording::default());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
            let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
            let router = trusted_router(Arc::<Recording>::clone(&outbox));
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
