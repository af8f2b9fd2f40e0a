//! Reads what Twilio has, as far as something is wanted of it.
//!
//! I/O: reads only. What may not be read, or is not there, is told and left; any other failure ends it.

use super::plan::{ADDRESSES, Found, Left, NUMBERS, SENDERS};
use super::wanted::WantedSetup;
use crate::pii::Pii;
use crate::telemetry::chain::Chain;
use crate::twilio::rest::{self, Client, SettingsDocument as Document, SettingsResource};

/// How many entries of a list are looked at.
const ENTRIES_MAX: usize = 1_000;

/// Reads it.
pub(super) async fn look(rest: &Client, wanted: &WantedSetup) -> Result<Found, rest::Error> {
    let mut found = Found::default();
    if let Some(service) = wanted.service {
        let hooks = SettingsResource::service_webhooks(service);
        found.service_hooks = one(rest, "service webhooks", &hooks, &mut found.unread).await?;
        let hooks = SettingsResource::account_webhooks();
        found.account_hooks = one(rest, "account webhooks", &hooks, &mut found.unread).await?;
        let configuration = SettingsResource::service(service);
        let configuration = one(rest, "chat service", &configuration, &mut found.unread).await?;
        let role = configuration.and_then(|of| of.text("default_conversation_role_sid"));
        if let Some(role) = role {
            let role = SettingsResource::role(service, &role);
            found.role = one(rest, "role", &role, &mut found.unread).await?;
        }
        let addresses = addresses(rest).await;
        found.addresses = many(ADDRESSES, addresses, &mut found.unread)?;
    }
    let all: Vec<&Pii> = wanted.conversations.iter().chain(&wanted.direct).collect();
    if all.iter().any(|address| channel(address).is_none()) {
        let numbers = rest.list_settings(&SettingsResource::numbers(), "incoming_phone_numbers");
        let numbers = numbers.all(ENTRIES_MAX).await;
        found.numbers = many(NUMBERS, numbers, &mut found.unread)?;
    }
    for word in ["whatsapp", "rcs"] {
        if all.iter().any(|address| channel(address) == Some(word)) {
            let senders = rest.list_senders(word).all(ENTRIES_MAX).await;
            found.senders.extend(many(SENDERS, senders, &mut found.unread)?);
        }
    }
    if let Some(sid) = wanted.messaging_service.filter(|_| !wanted.direct.is_empty()) {
        let service = SettingsResource::messaging_service(sid);
        found.messaging_service =
            one(rest, "messaging service", &service, &mut found.unread).await?;
    }
    Ok(found)
}

/// Reads all address configurations.
pub(super) async fn addresses(rest: &Client) -> Result<Vec<Document>, rest::Error> {
    let addresses = SettingsResource::addresses();
    rest.list_settings(&addresses, "address_configurations").all(ENTRIES_MAX).await
}

/// The word of an address's channel, if it is not a phone number.
fn channel(address: &Pii) -> Option<&str> {
    address.reveal().split_once(':').map(|(channel, _)| channel)
}

async fn one(
    rest: &Client,
    what: &str,
    resource: &SettingsResource,
    unread: &mut Vec<Left>,
) -> Result<Option<Document>, rest::Error> {
    match rest.read_settings(resource).await {
        Ok(None) => {
            let remedy = "check the sids in the settings, and TWILIO_REGION";
            unread.push(Left::new(what, "Twilio has none of this sid", remedy));
            Ok(None)
        }
        Ok(found) => Ok(found),
        Err(error) => refused(what, error, unread).map(|()| None),
    }
}

fn many(
    what: &str,
    read: Result<Vec<Document>, rest::Error>,
    unread: &mut Vec<Left>,
) -> Result<Vec<Document>, rest::Error> {
    read.or_else(|error| refused(what, error, unread).map(|()| Vec::new()))
}

/// Tells that something may not be read, and passes on all else that can go wrong.
fn refused(what: &str, error: rest::Error, unread: &mut Vec<Left>) -> Result<(), rest::Error> {
    if !matches!(error.status(), Some(403 | 404)) {
        return Err(error);
    }
    let found = format!("it could not be looked at: {}", Chain(&error));
    let remedy = "give the API key the right to it, or let TWILIO_AUTH_TOKEN sign in";
    unread.push(Left::new(what, found, remedy));
    Ok(())
}
