//! The kind `bitbrat` among the settings.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::platform::{BitBrat, Options};
use super::settings::{BitBratSettings, Progress, SnapshotMode};
use super::{envelope, examine, names, progress, snapshot};
use crate::agent::kind::{self, Error, Making, Platform};
use crate::agent::{Agent, Patience};
use crate::clock::Clock;
use crate::config::{Declaration, Settings};
use crate::finding::Finding;
use crate::nats;
use crate::net::tls;

/// The kind of agent that is a platform behind its message bus.
pub struct Kind;

impl kind::Kind for Kind {
    fn declares(&self) -> Declaration {
        Declaration::of::<BitBratSettings>("bitbrat").once()
    }

    fn make<'a>(&'a self, of: Making<'a>) -> BoxFuture<'a, Result<Arc<dyn Agent>, Error>> {
        Box::pin(async move {
            let own: &BitBratSettings = kind::own(of.settings)?;
            let options = options(&of, own)?;
            let name = own.service.as_str().to_owned();
            let (connection, tls) = (of.settings.nats.clone(), of.tls.clone());
            let dial = Box::new(move || nats::Options::of(&connection, &name, &tls));
            let platform = BitBrat::connect(options, dial, of.clock).await;
            let platform: Arc<dyn Agent> =
                Arc::new(platform.map_err(|error| Error::Bus(Box::new(error)))?);
            Ok(platform)
        })
    }

    fn examine<'a>(
        &'a self,
        settings: &'a Settings,
        _: Clock,
    ) -> BoxFuture<'a, Result<Vec<Finding>, Error>> {
        Box::pin(async move {
            let (tls, _) = tls::client_config()?;
            let options = nats::Options::of(&settings.nats, "chimein-doctor", &tls);
            Ok(examine::bus(options, &names(kind::own(settings)?)).await)
        })
    }

    fn platform(&self, settings: &Settings) -> Option<Platform> {
        let own = kind::own(settings).ok()?;
        Some(Platform { egress_topic: names(own).own_egress() })
    }
}

fn options(of: &Making<'_>, settings: &BitBratSettings) -> Result<Options, Error> {
    let policy = snapshot::Policy {
        is_on: settings.snapshot_mode != SnapshotMode::Off,
        includes_raw: settings.include_raw_payloads,
        bytes_max: settings.snapshot_bytes_max.map(std::num::NonZeroUsize::get),
    };
    // The platform's events name a chat service.
    let conversations = of.twilio.conversations.as_ref();
    let chat_service = conversations.ok_or(Error::NumbersAlone("bitbrat"))?.chat_service_sid;
    let asks_anew = settings.ask_again;
    Ok(Options {
        sender: envelope::EventSender { names: names(settings), chat_service },
        policy,
        progress: match settings.progress {
            Progress::Never => progress::ProgressWish::Never,
            Progress::Chats => progress::ProgressWish::Chats,
            Progress::Always => progress::ProgressWish::Always,
        },
        ack_wait: Duration::from_secs(settings.ack_wait_seconds.get().into()),
        patience: settings.answer_within.map(|within| Patience {
            within,
            asks_anew,
            buries: false,
        }),
    })
}

/// The names on the platform's bus that the settings make.
fn names(settings: &BitBratSettings) -> names::Names {
    let prefix = settings.prefix.as_ref().map(|prefix| prefix.as_str().to_owned());
    names::Names {
        prefix: prefix.unwrap_or_default(),
        service: settings.service.as_str().to_owned(),
        egress_instance: settings.egress_instance.as_str().to_owned(),
    }
}
