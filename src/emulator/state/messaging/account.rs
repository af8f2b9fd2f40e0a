//! The account's numbers, messaging services and templates, as the console sets them. Pure.

use std::time::Duration;

use super::line::{MessagingService, Number};
use super::store::Messaging;
use crate::emulator::state::World;
use crate::emulator::state::model::Channel;
use crate::emulator::state::refusal::Refusal;
use crate::pii::Pii;
use crate::twilio::sid::MessagingServiceSid;

/// Numbers that an account may have here; Twilio's bound is not known.
const NUMBERS_MAX: usize = 10_000;
/// Messaging services that an account may have here.
const SERVICES_MAX: usize = 1000;
/// Templates that an account may have here.
const TEMPLATES_MAX: usize = 1000;

impl World {
    /// The messaging API's side.
    #[must_use]
    pub const fn messaging(&self) -> &Messaging {
        &self.messaging
    }

    /// Says how long a step on a text's way takes, and what files' URLs start with.
    pub fn set_messaging(&mut self, step: Duration, root: &str) {
        self.messaging.step = step;
        root.trim_end_matches('/').clone_into(&mut self.messaging.root);
    }

    /// Sets where inbound texts of all numbers without settings are told.
    pub fn set_messaging_url(&mut self, url: Option<String>) {
        self.messaging.url = url;
    }

    /// Gives the account a number, or new settings to one that it has. From the first one on, texts
    /// can be sent only from the numbers that it has.
    ///
    /// # Errors
    ///
    /// If the address is none, or there are too many.
    pub fn set_number(&mut self, number: Number) -> Result<(), Refusal> {
        Channel::of(number.address.reveal()).ok_or(Refusal::ParameterInvalid("address"))?;
        let numbers = &mut self.messaging.numbers;
        if numbers.len() >= NUMBERS_MAX && !numbers.contains_key(&number.address) {
            return Err(Refusal::ParameterInvalid("address"));
        }
        numbers.insert(number.address.clone(), number);
        Ok(())
    }

    /// Takes a number from the account.
    pub fn remove_number(&mut self, address: &Pii) -> bool {
        self.messaging.numbers.remove(address).is_some()
    }

    /// Makes a messaging service, or changes one.
    ///
    /// # Errors
    ///
    /// If there are too many.
    pub fn set_messaging_service(
        &mut self,
        service: MessagingService,
    ) -> Result<MessagingServiceSid, Refusal> {
        let sid = service.sid.unwrap_or_else(|| self.ids.messaging_service());
        let services = &mut self.messaging.services;
        if services.len() >= SERVICES_MAX && !services.contains_key(&sid) {
            return Err(Refusal::ParameterInvalid("sid"));
        }
        services.insert(sid, MessagingService { sid: Some(sid), ..service });
        Ok(sid)
    }

    /// Gives a template its text, with `{{1}}` where variables go.
    ///
    /// # Errors
    ///
    /// If there are too many.
    pub fn set_template(&mut self, sid: &str, text: Pii) -> Result<(), Refusal> {
        let templates = &mut self.messaging.templates;
        if templates.len() >= TEMPLATES_MAX && !templates.contains_key(sid) {
            return Err(Refusal::ParameterInvalid("sid"));
        }
        templates.insert(sid.to_owned(), text);
        Ok(())
    }

    /// Whether inbound texts of a number make conversations without a configuration of the address.
    pub(in crate::emulator::state) fn autocreates(&self, address: &Pii) -> bool {
        let number = self.messaging.number(address);
        number.map_or(self.settings.autocreate_all, |number| number.conversations)
    }

    /// The messaging service of a number. One without settings belongs to the default service, as far
    /// as every number does.
    pub(super) fn service_of(&self, address: &Pii) -> Option<MessagingServiceSid> {
        match self.messaging.number(address) {
            Some(number) => number.service,
            None => self.settings.autocreate_all.then_some(self.default_messaging_service),
        }
    }

    /// A service's settings.
    pub(super) fn settings_of(
        &self,
        service: Option<MessagingServiceSid>,
    ) -> Option<&MessagingService> {
        self.messaging.services.get(&service?)
    }

    /// Whether Advanced Opt-Out is on for what comes to a number.
    pub(in crate::emulator::state) fn has_advanced_opt_out(&self, ours: &Pii) -> bool {
        self.settings_of(self.service_of(ours)).is_some_and(|service| service.advanced_opt_out)
    }

    /// The numbers that an opt-out at one of them counts for: all of its messaging service. Source:
    /// Twilio support for opt-out keywords, messaging services, read 2026-11-29.
    pub(in crate::emulator::state) fn siblings(&self, ours: &Pii) -> Vec<Pii> {
        let service = self.messaging.number(ours).and_then(|number| number.service);
        let numbers =
            self.messaging.numbers().filter(|one| service.is_some() && one.service == service);
        let mut siblings: Vec<Pii> = numbers.map(|number| number.address.clone()).collect();
        if !siblings.contains(ours) {
            siblings.push(ours.clone());
        }
        siblings
    }
}
