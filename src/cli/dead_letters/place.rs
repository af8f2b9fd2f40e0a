//! Where the dead letters are: with a running service, or in a file that no service has open.
//!
//! The store's lock decides. Held, a service runs and is asked on its admin listener; free, the file
//! is opened right here, which keeps a service from starting for as long as the command takes.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::Error;
use crate::admin::dead_letters::{
    Bulk, BulkBounds, Causes, DeadLetters, LetterFate, LetterShown, Listing, QueueCounts,
    Selection, Target,
};
use crate::channels::direct::senders;
use crate::cli::admin_api::{self, AdminApi};
use crate::cli::needed::setting;
use crate::cli::outcome::Outcome;
use crate::clock::Clock;
use crate::config::Report;
use crate::config::kinds::{QueueEngine, Size};
use crate::queue::{self, Store, embedded};
use crate::thread::{Thread, ThreadId};

/// The place that a command works on.
pub(in crate::cli) enum LetterStore {
    /// A running service.
    Service(AdminApi),
    /// A file, with the store to close at the end.
    File { desk: DeadLetters, store: Store, path: PathBuf },
}

impl LetterStore {
    /// Finds the place: the service at `url`, else whoever has the settings' store.
    pub(super) async fn find(report: &Report, url: Option<&Url>) -> Result<Self, Error> {
        if url.is_some() {
            return Ok(Self::Service(AdminApi::new(report, url)?));
        }
        // On NATS any instance answers; a file that lies here is of another time.
        if setting::<QueueEngine>(report, "queue.engine")? == QueueEngine::Nats {
            return Ok(Self::Service(AdminApi::new(report, None)?));
        }
        let options = options(report)?;
        let path = options.path.clone();
        if path.exists() {
            return match Store::open(options) {
                Ok(store) => {
                    let desk = DeadLetters::new(store.clone(), Clock::start());
                    Ok(Self::File { desk, store, path })
                }
                Err(queue::Error::InUse { .. }) => Ok(Self::Service(AdminApi::new(report, None)?)),
                Err(error) => Err(error.into()),
            };
        }
        // The service may run elsewhere, with its admin listener within reach.
        let api = AdminApi::new(report, None)
            .map_err(|source| Error::Nowhere { path: path.clone(), source })?;
        match api.get::<serde_json::Value>(&["v1", "queues"], &[]).await {
            Err(source @ admin_api::Error::NoAnswer { .. }) => Err(Error::Nowhere { path, source }),
            Ok(_) | Err(_) => Ok(Self::Service(api)),
        }
    }

    /// Does something in the place and says what should be known about it.
    pub(in crate::cli) async fn visit(
        report: &Report,
        url: Option<&Url>,
        act: impl AsyncFnOnce(&Self) -> Result<Outcome, Error>,
    ) -> Result<Outcome, Error> {
        let place = Self::find(report, url).await?;
        let note = place.note();
        let outcome = act(&place).await;
        place.close().await;
        Ok(match note {
            Some(note) => outcome?.with_note(&note),
            None => outcome?,
        })
    }

    /// Says what should be known about the place.
    fn note(&self) -> Option<String> {
        match self {
            Self::Service(api) => api.note(),
            Self::File { path, .. } => {
                Some(format!("no service has {} open: working on the file itself", path.display()))
            }
        }
    }

    /// The thread of two addresses. Without a service ours has to be named, and is not checked.
    pub(super) async fn thread_between(
        &self,
        from: Option<&str>,
        to: &str,
    ) -> Result<ThreadId, Error> {
        match (self, from) {
            (Self::Service(api), from) => Ok(api.thread_between(from, to).await?),
            (Self::File { .. }, Some(from)) => {
                let pair = senders::pair(from.into(), to.into());
                Ok(Thread::from(pair).id())
            }
            (Self::File { .. }, None) => Err(Error::From),
        }
    }

    /// What waits in each queue.
    pub(in crate::cli) async fn queues(&self) -> Result<Vec<QueueCounts>, Error> {
        #[derive(Deserialize)]
        struct QueueList {
            queues: Vec<QueueCounts>,
        }
        match self {
            Self::File { desk, .. } => Ok(desk.queues().await?),
            Self::Service(api) => {
                let QueueList { queues } = api.get(&["v1", "queues"], &[]).await?;
                Ok(queues)
            }
        }
    }

    pub(super) async fn list(
        &self,
        selection: &Selection,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Listing, Error> {
        let api = match self {
            Self::File { desk, .. } => return Ok(desk.list(selection, cursor, limit).await?),
            Self::Service(api) => api,
        };
        let limit = limit.to_string();
        let mut query = asked(selection);
        query.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        query.push(("limit", limit));
        Ok(api.get(&["v1", "dead-letters"], &borrowed(&query)).await?)
    }

    pub(super) async fn causes(&self, selection: &Selection) -> Result<Causes, Error> {
        match self {
            Self::File { desk, .. } => Ok(desk.causes(selection).await?),
            Self::Service(api) => {
                let query = asked(selection);
                Ok(api.get(&["v1", "dead-letters", "causes"], &borrowed(&query)).await?)
            }
        }
    }

    pub(super) async fn show(&self, target: Target, reveal: bool) -> Result<LetterShown, Error> {
        let api = match self {
            Self::File { desk, .. } => return Ok(desk.show(target, reveal).await?),
            Self::Service(api) => api,
        };
        let id = target.id.to_string();
        let path = ["v1", "dead-letters", target.queue.as_str(), &id];
        let query: &[_] = if reveal { &[("reveal", "true")] } else { &[] };
        Ok(api.get(&path, query).await?)
    }

    /// Settles one letter; `false` says that there is none.
    pub(super) async fn settle(&self, target: Target, fate: LetterFate) -> Result<bool, Error> {
        let settled = match self {
            Self::File { desk, .. } => desk.settle(target, fate).await.map_err(Error::from),
            Self::Service(api) => settle_there(api, target, fate).await,
        };
        match settled {
            Ok(()) => Ok(true),
            Err(
                Error::Queue(queue::Error::NoDeadLetter { .. })
                | Error::Api(admin_api::Error::Refused { status: 404, .. }),
            ) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn settle_all(
        &self,
        selection: &Selection,
        fate: LetterFate,
        bounds: BulkBounds,
    ) -> Result<Bulk, Error> {
        match self {
            Self::File { desk, .. } => Ok(desk.settle_all(selection, fate, bounds).await?),
            Self::Service(api) => {
                let BulkBounds { limit, expected } = bounds;
                let body = serde_json::json!({
                    "select": selection, "limit": limit, "expected": expected,
                });
                Ok(api.post(&["v1", "dead-letters", fate.as_str()], &body).await?)
            }
        }
    }

    /// Leaves the file to the next who wants it.
    pub(super) async fn close(self) {
        match self {
            Self::Service(_) => {}
            Self::File { store, .. } => store.close().await,
        }
    }
}

/// A selection as a query.
fn asked(selection: &Selection) -> Vec<(&'static str, String)> {
    let Selection { queue, class, code, conversation, since, before } = selection;
    let fields = [
        ("queue", queue.clone()),
        ("class", class.clone()),
        ("code", code.map(|code| code.to_string())),
        ("thread", conversation.clone()),
        ("since", since.clone()),
        ("before", before.clone()),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn borrowed<'a>(query: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    query.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

async fn settle_there(api: &AdminApi, target: Target, fate: LetterFate) -> Result<(), Error> {
    let id = target.id.to_string();
    let path = ["v1", "dead-letters", target.queue.as_str(), &id];
    let _: serde_json::Value = match fate {
        LetterFate::Redrive => {
            let [v1, letters, queue, id] = path;
            api.post(&[v1, letters, queue, id, "redrive"], &serde_json::json!({})).await?
        }
        LetterFate::Drop => api.delete(&path).await?,
    };
    Ok(())
}

/// Opens the file as the service would, so that nothing is forgotten sooner.
fn options(report: &Report) -> Result<embedded::Options, Error> {
    let path: PathBuf = setting(report, "queue.path")?;
    let retention: Duration = setting(report, "queue.retention")?;
    let dead_retention: Duration = setting(report, "queue.dead_retention")?;
    let bytes_max: Size = setting(report, "queue.bytes_max")?;
    let bytes_max = u64::try_from(bytes_max.0).unwrap_or(u64::MAX);
    Ok(embedded::Options { retention, dead_retention, bytes_max, ..embedded::Options::new(path) })
}
