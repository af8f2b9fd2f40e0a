//! Settings of an account as they are: each resource a JSON object, read whole and written field by field.
//!
//! For whoever shows, changes and restores settings, to whom every field counts as Twilio has it, also
//! those that this program does not know; who only looks at some has types in `model`.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::model::Entry;
use super::operations::none_if_absent;
use super::{Client, Error, Op, Pages, below};
use crate::json::{self, Members, Unreadable};
use crate::twilio::form::Form;
use crate::twilio::sid::{ChatServiceSid, MessagingServiceSid};

/// Which API has a resource.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Serialize,
)]
#[serde(rename_all = "snake_case")]
pub enum SettingsApi {
    /// `conversations.twilio.com/v1`.
    Conversations,
    /// `api.twilio.com/2010-04-01/Accounts/AC…`.
    Core,
    /// `messaging.twilio.com`, the version in the path.
    Messaging,
}

/// Where settings are kept: an API, and the path in it.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Serialize)]
pub struct SettingsResource {
    /// The API.
    pub api: SettingsApi,
    /// The path's parts, none of them encoded.
    pub path: Vec<String>,
}

/// A resource's fields, as Twilio has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SettingsDocument(pub Map<String, Value>);

/// What a write sends.
#[derive(Clone, Debug)]
pub enum SettingsForm {
    /// Fields of a form, in their order; one that is named twice is a list.
    Fields(Vec<(String, String)>),
    /// JSON.
    Json(Value),
}

impl SettingsResource {
    /// Names a resource by its path.
    #[must_use]
    pub fn new<'p>(api: SettingsApi, path: impl IntoIterator<Item = &'p str>) -> Self {
        Self { api, path: path.into_iter().map(str::to_owned).collect() }
    }

    /// A chat service's settings.
    #[must_use]
    pub fn service(service: ChatServiceSid) -> Self {
        Self::new(SettingsApi::Conversations, ["Services", &service.to_string(), "Configuration"])
    }

    /// Where a chat service's events go.
    #[must_use]
    pub fn service_webhooks(service: ChatServiceSid) -> Self {
        Self::service(service).below("Webhooks")
    }

    /// Where the events of the whole account go.
    #[must_use]
    pub fn account_webhooks() -> Self {
        Self::new(SettingsApi::Conversations, ["Configuration", "Webhooks"])
    }

    /// A role of a chat service.
    #[must_use]
    pub fn role(service: ChatServiceSid, role: &str) -> Self {
        Self::new(SettingsApi::Conversations, ["Services", &service.to_string(), "Roles", role])
    }

    /// The list of address configurations.
    #[must_use]
    pub fn addresses() -> Self {
        Self::new(SettingsApi::Conversations, ["Configuration", "Addresses"])
    }

    /// The list of the account's phone numbers.
    #[must_use]
    pub fn numbers() -> Self {
        Self::new(SettingsApi::Core, ["IncomingPhoneNumbers.json"])
    }

    /// One of them, by its sid.
    #[must_use]
    pub fn number(sid: &str) -> Self {
        Self::new(SettingsApi::Core, ["IncomingPhoneNumbers", &format!("{sid}.json")])
    }

    /// The list of senders of other channels.
    #[must_use]
    pub fn senders() -> Self {
        Self::new(SettingsApi::Messaging, ["v2", "Channels", "Senders"])
    }

    /// A messaging service.
    #[must_use]
    pub fn messaging_service(service: MessagingServiceSid) -> Self {
        Self::new(SettingsApi::Messaging, ["v1", "Services", &service.to_string()])
    }

    /// An entry of a list, by its sid, or what belongs to a resource.
    #[must_use]
    pub fn below(mut self, part: impl Into<String>) -> Self {
        self.path.push(part.into());
        self
    }
}

impl SettingsDocument {
    /// The value at a place such as `auto_creation.enabled`; null where there is none.
    #[must_use]
    pub fn at(&self, place: &str) -> Value {
        let mut parts = place.split('.');
        let first = parts.next().and_then(|name| self.0.get(name));
        let found = first.and_then(|first| parts.try_fold(first, |value, name| value.get(name)));
        found.cloned().unwrap_or(Value::Null)
    }

    /// The text at a place; none where there is none, or an empty one.
    #[must_use]
    pub fn text(&self, place: &str) -> Option<String> {
        let value = self.at(place);
        value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }
}

impl Entry for SettingsDocument {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        let readable = |(name, raw): (&str, &serde_json::value::RawValue)| {
            Some((name.to_owned(), json::shallow(raw)?))
        };
        Ok(Self(of.iter().filter_map(readable).collect()))
    }
}

impl Client {
    /// Reads a resource; `None` where there is none.
    ///
    /// # Errors
    ///
    /// As any request; a 404 is no error.
    pub async fn read_settings(
        &self,
        of: &SettingsResource,
    ) -> Result<Option<SettingsDocument>, Error> {
        let read: Result<Map<String, Value>, _> =
            self.get(Op::ReadSettings, self.settings_url(of)).await;
        Ok(none_if_absent(read)?.map(SettingsDocument))
    }

    /// Lists resources, page by page. Those of the core API are under the last part of the path, as
    /// `key` names it.
    #[must_use]
    pub fn list_settings(
        &self,
        of: &SettingsResource,
        key: &'static str,
    ) -> Pages<SettingsDocument> {
        let mut url = self.settings_url(of);
        url.query_pairs_mut().append_pair("PageSize", "50");
        let op = Op::ReadSettings;
        match of.api {
            SettingsApi::Conversations => Pages::new(self.clone(), op, url),
            SettingsApi::Core => Pages::of_core(key, self.clone(), op, url),
            SettingsApi::Messaging => Pages::of_messaging(self.clone(), op, url),
        }
    }

    /// Lists the senders of a channel, whole or as far as they are judged.
    #[must_use]
    pub fn list_senders<T: Entry>(&self, channel: &str) -> Pages<T> {
        let mut url = self.settings_url(&SettingsResource::senders());
        url.query_pairs_mut().append_pair("Channel", channel).append_pair("PageSize", "50");
        Pages::of_messaging(self.clone(), Op::ReadSettings, url)
    }

    /// Writes fields of a resource, or makes one in a list of them; gives what Twilio shows of it.
    ///
    /// # Errors
    ///
    /// As any request. After one that [`Error::may_have_happened`] look before it is written again.
    pub async fn write_settings(
        &self,
        to: &SettingsResource,
        what: &SettingsForm,
    ) -> Result<SettingsDocument, Error> {
        let (op, url) = (Op::WriteSettings, self.settings_url(to));
        match what {
            SettingsForm::Fields(fields) => {
                let form: Form<'_> =
                    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                let shown = self.call(op, Method::POST, url, Some(form.encode()));
                shown.await.map(SettingsDocument)
            }
            SettingsForm::Json(value) => {
                let request = self.inner.http.post(url).header(CONTENT_TYPE, "application/json");
                let shown = self.called(op, None, request.body(value.to_string()));
                shown.await.map(SettingsDocument)
            }
        }
    }

    /// Removes a resource; one that is not there counts as removed.
    ///
    /// # Errors
    ///
    /// As any request; a 404 is no error.
    pub async fn remove_settings(&self, of: &SettingsResource) -> Result<(), Error> {
        let url = self.settings_url(of);
        let removed = self.call_empty(Op::WriteSettings, Method::DELETE, url, None).await;
        none_if_absent(removed).map(|_| ())
    }

    /// Where a resource is.
    #[must_use]
    pub fn settings_url(&self, of: &SettingsResource) -> Url {
        let parts: Vec<&str> = of.path.iter().map(String::as_str).collect();
        match of.api {
            SettingsApi::Conversations => below(&self.inner.base, &parts),
            SettingsApi::Messaging => below(&self.inner.messaging_base, &parts),
            SettingsApi::Core => {
                let account = self.inner.account_sid.to_string();
                below(&below(&self.inner.core_base, &["Accounts", &account]), &parts)
            }
        }
    }
}
