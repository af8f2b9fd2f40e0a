//! The agents as the settings have them, each made and as an upstream, and the routes to them.

use std::sync::Arc;

use axum::Router;

use super::Error;
use super::parts::Parts;
use crate::agent::later::{self, Outbox};
use crate::agent::{Agent, kind, kinds};
use crate::channels::Channels;
use crate::channels::handover::Handover;
use crate::concurrency::Limiter;
use crate::config::Settings;
use crate::config::kinds::AgentName;
use crate::config::routing;
use crate::jobs::dependency::Dependency;
use crate::jobs::schedule::Schedule;
use crate::pipeline::policy::routing::{AgentRoute, Routes};
use crate::pipeline::send::answers::KeyedAnswers;
use crate::pipeline::send::late::Late;
use crate::pipeline::upstreams::{Upstream, Upstreams, WaitingThreads};
use crate::queue::QueueName;
use crate::telemetry::refusals::Refusals;

/// Below which path an agent by name has its routes on the public listener.
const NAMED_PATH: &str = "/agents";

/// An agent that was made, and its settings.
pub struct MadeAgent {
    /// Its name.
    pub name: AgentName,
    /// The settings as it has them.
    pub settings: Settings,
    /// What thinks.
    pub agent: Arc<dyn Agent>,
}

impl Parts<'_> {
    /// Makes all agents that the settings ask for.
    ///
    /// # Errors
    ///
    /// The name of the one that cannot be made, and why.
    pub(super) async fn make_agents(
        &self,
        tls: &rustls::ClientConfig,
    ) -> Result<Vec<MadeAgent>, Error> {
        let (twilio, metrics, clock) = (self.twilio, &self.recorder.metrics, self.recorder.clock);
        let documents = &self.store.documents();
        let mut made = Vec::new();
        for (name, settings) in self.settings.of_agents() {
            let making =
                kind::Making { settings: &settings, twilio, tls, metrics, documents, clock };
            let agent = match kinds::of(&settings).make(making).await {
                Ok(agent) => agent,
                Err(source) if name.is_plain() => return Err(source.into()),
                Err(source) => return Err(Error::NamedAgent { name: name.to_string(), source }),
            };
            made.push(MadeAgent { name, settings, agent });
        }
        Ok(made)
    }

    /// Seats them.
    pub(super) fn upstreams(&self, made: &[MadeAgent]) -> Upstreams {
        let upstreams = made.iter().map(|made| {
            let MadeAgent { name, settings, agent } = made;
            let section =
                if name.is_plain() { "agent".to_owned() } else { format!("agents.{name}") };
            let health = Arc::new(Dependency::new(section.clone()));
            // Whoever takes reports is another than who takes turns.
            let told_health = if agent.is_told() {
                Arc::new(Dependency::new(format!("{section}.report_url")))
            } else {
                Arc::clone(&health)
            };
            let places = settings.agent.concurrency.get();
            Upstream {
                name: name.as_str().into(),
                is_plain: name.is_plain(),
                agent: Arc::clone(agent),
                tells: agent.is_told(),
                health,
                told_health,
                room: Limiter::fixed(places),
                reports_room: Limiter::fixed(places),
                schedule: Schedule::new(settings.agent.schedule.0.clone()),
                patience: agent.patience(),
                waiting: WaitingThreads::default(),
            }
        });
        let names: Vec<&AgentName> = made.iter().map(|made| &made.name).collect();
        Upstreams::new(upstreams.collect(), routes(self.settings, &names), self.store.documents())
    }

    /// The doors that agents answer by: those of their kinds, and the one for later replies.
    ///
    /// # Errors
    ///
    /// If a secret is of the wrong form.
    pub(super) fn doors(
        &self,
        made: &[(MadeAgent, Arc<dyn Outbox>)],
        handover: &Arc<dyn Handover>,
    ) -> Result<Router, Error> {
        let clock = self.recorder.clock;
        let (mut router, mut doors) = (Router::new(), Vec::new());
        for (MadeAgent { name, settings, .. }, outbox) in made {
            if let Some(secret) = kind::secret(&settings.agent)? {
                doors.push(later::RepliesRoute { outbox: Arc::clone(outbox), secret, clock });
            }
            let serving = kind::Serving {
                settings,
                outbox: Arc::clone(outbox),
                handover: Arc::clone(handover),
                documents: self.store.documents(),
                clock,
            };
            router = match kinds::of(settings).routes(serving) {
                Some(routes) if name.is_plain() => router.merge(routes),
                Some(routes) => router.nest(&format!("{NAMED_PATH}/{name}"), routes),
                None => router,
            };
        }
        if !doors.is_empty() {
            router = router.merge(later::router_of(doors, Refusals::new(clock)));
        }
        Ok(router)
    }

    /// Where replies go that come after their turn: those of an agent, or of the operator.
    /// Clones of `answers` see to it that under one key one answer comes at a time, whoever gives it.
    pub(super) fn outbox(
        &self,
        (channels, answers): (&Channels, &KeyedAnswers),
        made: Option<&MadeAgent>,
    ) -> Arc<dyn Outbox> {
        Arc::new(self.late((channels, answers), made))
    }

    /// As [`Parts::outbox`], as its own type.
    pub(super) fn late(
        &self,
        (channels, answers): (&Channels, &KeyedAnswers),
        made: Option<&MadeAgent>,
    ) -> Late {
        let patience = made.and_then(|made| made.agent.patience());
        let named = made.map(|made| &made.name).filter(|name| !name.is_plain());
        Late {
            outbox: answers.clone(),
            channels: channels.clone(),
            ids: self.reply_ids(),
            tells: made.is_some_and(|made| made.agent.is_told()),
            agent: named.map(ToString::to_string),
            inbox: self.store.queue(QueueName::Inbox),
            documents: self.store.documents(),
            reports: patience.map(|_| self.store.queue(QueueName::Reports)),
            recorder: self.recorder.clone(),
        }
    }
}

/// The routes, by the places of the agents that they name, which the settings have checked.
fn routes(settings: &Settings, names: &[&AgentName]) -> Routes {
    let place = |wanted: &AgentName| names.iter().position(|name| *name == wanted);
    let route = |route: &routing::Route| {
        let list = |list: Option<&Vec<String>>| list.cloned().unwrap_or_default();
        let attribute = route.attribute.as_ref();
        AgentRoute {
            agent: place(&route.agent).unwrap_or(0),
            addresses: list(route.address.as_ref().map(|addresses| &addresses.0)),
            channels: list(route.channel.as_ref().map(|channels| &channels.0)),
            attribute: attribute.map(|has| (has.name.clone(), has.value.clone())),
            keywords: list(route.keyword.as_ref().map(|keywords| &keywords.0)),
            fallback: route.fallback.as_ref().and_then(place),
        }
    };
    Routes { list: settings.routing.routes.iter().map(route).collect(), otherwise: 0 }
}
