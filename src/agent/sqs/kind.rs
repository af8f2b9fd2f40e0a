//! The kind `sqs` among the settings.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::agent::{Options, Sqs};
use super::aws::{AwsKey, SqsAccess};
use super::examine;
use super::settings::SqsSettings;
use crate::agent::kind::{self, Error, Making};
use crate::agent::{Agent, Patience};
use crate::clock::Clock;
use crate::config::{Declaration, Settings};
use crate::finding::Finding;
use crate::thread::Budget;

/// The kind of agent that is behind queues of Amazon SQS.
pub struct Kind;

impl kind::Kind for Kind {
    fn declares(&self) -> Declaration {
        Declaration::of::<SqsSettings>("sqs")
    }

    fn make<'a>(&'a self, of: Making<'a>) -> BoxFuture<'a, Result<Arc<dyn Agent>, Error>> {
        Box::pin(async move {
            let agent = Sqs::new(options(of.settings)?, of.client()?, of.clock).await;
            let agent: Arc<dyn Agent> = Arc::new(agent);
            Ok(agent)
        })
    }

    fn examine<'a>(
        &'a self,
        settings: &'a Settings,
        _: Clock,
    ) -> BoxFuture<'a, Result<Vec<Finding>, Error>> {
        Box::pin(async move {
            let queues = options(settings)?.queues(&kind::examiner(settings)?).await;
            Ok(examine::all(&queues).await)
        })
    }
}

/// How long a reply that was received is ours: as long may it take after a restart until one comes again that was
/// on its way to us.
const OURS_FOR: Duration = Duration::from_secs(10);

fn options(all: &Settings) -> Result<Options, Error> {
    let settings: &SqsSettings = kind::own(all)?;
    let queue = settings.queue_url.as_ref().ok_or(Error::Missing("sqs.queue_url"))?;
    let reply_queue = settings.reply_queue_url.as_ref();
    let reply_queue = reply_queue.ok_or(Error::Missing("sqs.reply_queue_url"))?;
    let keys = settings.access_key_id.clone().zip(settings.secret_access_key.clone());
    let asks_anew = settings.ask_again;
    Ok(Options {
        queue: queue.url().clone(),
        reply_queue: reply_queue.url().clone(),
        access: SqsAccess {
            endpoint: settings.endpoint_url.as_ref().map(|url| url.url().clone()),
            region: settings.region.as_ref().map(|region| region.as_str().to_owned()),
            keys: keys.map(|(id, secret)| AwsKey {
                id,
                secret,
                session: settings.session_token.clone(),
            }),
        },
        history: Budget { messages: settings.history_messages, chars: settings.history_chars },
        patience: settings.answer_within.map(|within| Patience {
            within,
            asks_anew,
            buries: asks_anew,
        }),
        ours_for: OURS_FOR,
    })
}
