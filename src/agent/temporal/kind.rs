//! The kind `temporal` among the settings.

use std::sync::Arc;

use futures::future::BoxFuture;
use url::Url;

use super::agent::{Options, Temporal, Workflows};
use super::examine;
use super::frontend::{Frontend, TemporalAccess, TlsFiles};
use super::settings::{TemporalName, TemporalReply, TemporalSettings};
use crate::agent::kind::{self, Error, Making, unencrypted};
use crate::agent::{Agent, Patience};
use crate::clock::Clock;
use crate::config::{Declaration, Settings};
use crate::finding::Finding;
use crate::thread::Budget;

/// The kind of agent that is a workflow of Temporal.
pub struct Kind;

impl kind::Kind for Kind {
    fn declares(&self) -> Declaration {
        Declaration::of::<TemporalSettings>("temporal")
    }

    fn make<'a>(&'a self, of: Making<'a>) -> BoxFuture<'a, Result<Arc<dyn Agent>, Error>> {
        Box::pin(async move {
            let agent: Arc<dyn Agent> = Arc::new(Temporal::new(options(of.settings)?, of.clock));
            Ok(agent)
        })
    }

    fn examine<'a>(
        &'a self,
        settings: &'a Settings,
        _: Clock,
    ) -> BoxFuture<'a, Result<Vec<Finding>, Error>> {
        Box::pin(async move {
            let options = options(settings)?;
            let frontend = Frontend::new(options.access.clone());
            let address = &options.access.address;
            let clear =
                options.access.tls.is_none().then(|| unencrypted(address, "TEMPORAL_ADDRESS"));
            let mut findings: Vec<_> = clear.flatten().into_iter().collect();
            match examine::look(&frontend, &options).await {
                Ok(seen) => findings.extend(seen),
                Err(error) => findings.push(examine::unseen(&frontend, &error)),
            }
            Ok(findings)
        })
    }
}

fn options(all: &Settings) -> Result<Options, Error> {
    let settings: &TemporalSettings = kind::own(all)?;
    let name = |name: &TemporalName| name.as_str().to_owned();
    let queue = settings.task_queue.as_ref().ok_or(Error::Missing("temporal.task_queue"))?;
    let workflow = settings.workflow.as_ref().ok_or(Error::Missing("temporal.workflow"))?;
    let is_by_activity = settings.reply == TemporalReply::Activity;
    let beside = is_by_activity.then_some(queue);
    let asks_anew = settings.ask_again;
    let patience =
        settings.answer_within.map(|within| Patience { within, asks_anew, buries: asks_anew });
    Ok(Options {
        access: access(all, settings)?,
        workflows: Workflows {
            workflow: name(workflow),
            queue: name(queue),
            mode: settings.mode,
            input: settings.input,
            reply: settings.reply,
        },
        activity_queue: settings.activity_task_queue.as_ref().or(beside).map(name),
        history: Budget { messages: settings.history_messages, chars: settings.history_chars },
        patience: patience.filter(|_| is_by_activity),
        timeout: all.agent.timeout,
        response_bytes_max: all.agent.response_bytes_max.0,
    })
}

fn access(all: &Settings, settings: &TemporalSettings) -> Result<TemporalAccess, Error> {
    let client = settings.tls_client_cert_path.clone().zip(settings.tls_client_key_path.clone());
    let files = TlsFiles {
        server_name: settings.tls_server_name.as_ref().map(|name| name.as_str().to_owned()),
        server_ca: settings.tls_server_ca_cert_path.clone(),
        client,
    };
    let follows = settings.address.is_encrypted()
        || settings.api_key.is_some()
        || files.server_name.is_some()
        || files.server_ca.is_some()
        || files.client.is_some();
    let is_encrypted = settings.tls.unwrap_or(follows);
    let address = with_scheme(settings.address.url(), is_encrypted)?;
    let proxy = all.proxy.proxies().of(&address).cloned();
    if proxy.as_ref().is_some_and(|proxy| !proxy.is_http() || proxy.is_encrypted()) {
        return Err(Error::Settings(Box::new(ProxyError)));
    }
    Ok(TemporalAccess {
        address,
        namespace: settings.namespace.as_str().to_owned(),
        api_key: settings.api_key.clone(),
        tls: is_encrypted.then_some(files),
        proxy,
    })
}

/// The proxy is one that the client of Temporal does not speak to.
#[derive(Debug, thiserror::Error)]
#[error(
    "temporal is reached by an http:// proxy alone: name its host in NO_PROXY, or use such a proxy"
)]
struct ProxyError;

fn with_scheme(url: &Url, is_encrypted: bool) -> Result<Url, Error> {
    let scheme = if is_encrypted { "https" } else { "http" };
    // A port that a scheme has by itself is left out of a URL, and would change with it.
    let port = url.port_or_known_default().unwrap_or_default();
    let place = format!("{scheme}://{}:{port}", url.host_str().unwrap_or_default());
    Url::parse(&place).map_err(|error| Error::Settings(Box::new(error)))
}
