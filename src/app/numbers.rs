//! Builds the channel of plain numbers: SMS, WhatsApp and RCS without a conversation.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::instances::SharedDuty;
use super::intake::TextsFirst;
use super::parts::Parts;
use crate::channels::Inlet;
use crate::channels::direct::channel::{Direct, TYPING_MAX};
use crate::channels::direct::contacts::Contacts;
use crate::channels::direct::intake::TextIntake;
use crate::channels::direct::policy::prepare::{Limits, Template};
use crate::channels::direct::policy::wish::Words;
use crate::channels::direct::retention::Retention;
use crate::channels::direct::sender_pace::SenderPace;
use crate::channels::direct::senders::{Sender, Senders, Source, default_rate};
use crate::channels::direct::states::States;
use crate::channels::direct::sweep::{TAKEN_MAX, TextSweep};
use crate::config::kinds;
use crate::pii::Pii;
use crate::queue::LostTimes;
use crate::recent::Recent;
use crate::twilio::rest;
use crate::webhook::{self, TEXT_STATUS_ROUTE};

/// The channel, before messages have a way in.
pub struct NumbersChannel<'a> {
    parts: &'a Parts<'a>,
    rest: rest::Client,
    senders: Arc<Senders>,
    contacts: Arc<Contacts>,
    states: Arc<States>,
}

/// The channel, before it is started.
pub struct OpenNumbers<'a> {
    of: NumbersChannel<'a>,
    intake: TextIntake,
    lost: LostTimes,
}

impl<'a> NumbersChannel<'a> {
    /// Reads which numbers there are; none of the channel where there are none.
    pub fn of(parts: &'a Parts<'a>, rest: &rest::Client) -> Option<Self> {
        let senders = senders(parts);
        if senders.is_empty() {
            return None;
        }
        let (documents, clock) = (parts.store.documents(), parts.recorder.clock);
        Some(Self {
            parts,
            rest: rest.clone(),
            senders: Arc::new(senders),
            contacts: Arc::new(Contacts::new(documents.clone())),
            states: Arc::new(States::new(documents, clock)),
        })
    }

    /// Gives messages their way in.
    pub fn open(self, inlet: Arc<dyn Inlet>, lost: LostTimes) -> OpenNumbers<'a> {
        let words = self.parts.settings.messaging.opt_out_keywords.0.clone();
        let intake = TextIntake {
            senders: Arc::clone(&self.senders),
            contacts: Arc::clone(&self.contacts),
            states: Arc::clone(&self.states),
            words: Words::new(words),
            inlet,
            recorder: self.parts.recorder.clone(),
        };
        OpenNumbers { of: self, intake, lost }
    }
}

impl OpenNumbers<'_> {
    /// The side on which the bot speaks.
    pub fn channel(&self) -> Direct {
        let NumbersChannel { parts, rest, senders, contacts, states } = &self.of;
        let public_base = parts.public_base();
        Direct {
            rest: rest.clone(),
            senders: Arc::clone(senders),
            contacts: Arc::clone(contacts),
            states: Arc::clone(states),
            pace: SenderPace::new(parts.recorder.clock, parts.instances()),
            typing: Recent::new(TYPING_MAX),
            limits: limits(parts),
            callback: public_base.map(|base| base.called(TEXT_STATUS_ROUTE)),
            links: parts.links(),
            inlet: Arc::clone(&self.intake.inlet),
            lost: self.lost.clone(),
            status: Arc::clone(parts.status),
            recorder: parts.recorder.clone(),
        }
    }

    /// What hears webhooks.
    pub fn intake(&self) -> Arc<dyn webhook::TextIntake> {
        Arc::new(TextsFirst(self.intake.clone()))
    }

    /// Starts the sweep, on one instance of several.
    pub fn start(self, tasks: &TaskTracker, stop: &CancellationToken) {
        let Self { of, intake, .. } = self;
        let NumbersChannel { parts, rest, .. } = of;
        let messaging = &parts.settings.messaging;
        let (kept, clock) = (messaging.contact_retention, parts.recorder.clock);
        let retention = Retention { documents: parts.store.documents(), kept, clock };
        tasks.spawn(retention.run(stop.clone()));
        let interval = messaging.sweep_interval;
        if interval.is_zero() {
            return;
        }
        let sweep = TextSweep {
            rest,
            account_sid: parts.twilio.account.account_sid,
            intake,
            marks: parts.store.marks(),
            status: Arc::clone(parts.status),
            interval,
            taken: Arc::new(Recent::new(TAKEN_MAX)),
        };
        if let Some(cluster) = parts.cluster {
            let run =
                move |_, stop| -> BoxFuture<'static, ()> { Box::pin(sweep.clone().run(stop)) };
            tasks.spawn(cluster.hold(SharedDuty::TextSweep, run, stop.clone()));
            return;
        }
        tasks.spawn(sweep.run(stop.clone()));
    }
}

fn senders(parts: &Parts<'_>) -> Senders {
    let messaging = &parts.settings.messaging;
    let sender = |address: Pii| Sender {
        source: match parts.settings.road(&address) {
            kinds::Source::Direct => Source::Direct,
            kinds::Source::Conversations => Source::Conversations,
        },
        rate: messaging.sender_rates.of(&address).unwrap_or_else(|| default_rate(&address)),
        address,
    };
    let service = messaging.service_sid;
    let name = service.map(|service| Pii::new(service.to_string()));
    Senders {
        addresses: messaging.addresses().into_iter().map(sender).collect(),
        service,
        service_rate: name.and_then(|name| messaging.sender_rates.of(&name)),
    }
}

fn limits(parts: &Parts<'_>) -> Limits {
    let (messaging, whatsapp) = (&parts.settings.messaging, &parts.settings.whatsapp);
    let variables = whatsapp.template_variables.as_ref().map(|variables| variables.0.clone());
    Limits {
        segments_max: messaging.max_segments.get(),
        segments_a_day: messaging.daily_segments.get(),
        template: whatsapp.template.map(|sid| Template { sid, variables }),
    }
}
