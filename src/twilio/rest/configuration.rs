//! How an account is set up: what is asked of each of Twilio's products, typed. Reads alone.
//!
//! What may not be read (a key without the right, an account without the product) is an [`Error`] like any
//! other, so that whoever asks can tell "wrong" from "not seen". Of listings only the first page is read:
//! nobody judges the thousandth alert. Sources: vendor definition of April 2026 for Conversations; Account,
//! Balance, IncomingPhoneNumber, messaging Service, Sender, ApprovalRequest, Alert and IAM Key resources,
//! their properties read 2026-11-30.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use url::Url;

use super::configuration_model::{
    AccountDefaults, AccountState, Alert, Approval, Balance, ConversationWebhook, KeyDetails,
    MessagingServiceSettings, PhoneNumber, RoleRights, ServiceSettings,
};
use super::model::Webhooks;
use super::operations::none_if_absent;
use super::{Client, Error, FailureCause, Op, below};
use crate::clock::Timestamp;
use crate::json::{self, Members};
use crate::pii::Pii;
use crate::twilio::sid::{ApiKeySid, ContentSid, ConversationSid, MessagingServiceSid, RoleSid};

/// How many alerts are read: enough to say which are many.
const ALERTS_MAX: usize = 100;

impl Client {
    /// Fetches the account itself.
    ///
    /// # Errors
    ///
    /// Refused with status 401 where the credentials are wrong, and to a standard API key.
    pub async fn fetch_account(&self) -> Result<AccountState, Error> {
        let account = format!("{}.json", self.inner.account_sid);
        let url = below(&self.inner.core_base, &["Accounts", &account]);
        self.get(Op::FetchAccount, url).await
    }

    /// Fetches what the account has left.
    ///
    /// # Errors
    ///
    /// As any request; a subaccount may have none of its own.
    pub async fn fetch_balance(&self) -> Result<Balance, Error> {
        self.get(Op::ReadSettings, self.account_url("Balance.json")).await
    }

    /// Fetches an API key's description; `None` where there is none.
    ///
    /// # Errors
    ///
    /// As any request; refused with status 401 or 403 to a key that is no main key.
    pub async fn fetch_key(&self, key: ApiKeySid) -> Result<Option<KeyDetails>, Error> {
        let url = below(&self.inner.iam_base, &["v1", "Keys", &key.to_string()]);
        none_if_absent(self.get(Op::ReadSettings, url).await)
    }

    /// Fetches the account's defaults for conversations.
    ///
    /// # Errors
    ///
    /// As any request.
    pub async fn fetch_account_defaults(&self) -> Result<AccountDefaults, Error> {
        let url = below(&self.inner.base, &["Configuration"]);
        self.get(Op::ReadSettings, url).await
    }

    /// Fetches where the webhooks of the whole account go.
    ///
    /// # Errors
    ///
    /// As any request.
    pub async fn fetch_account_webhooks(&self) -> Result<Webhooks, Error> {
        let url = below(&self.inner.base, &["Configuration", "Webhooks"]);
        self.get(Op::FetchWebhooks, url).await
    }

    /// Fetches the chat service's settings; `None` where there is no such service.
    ///
    /// # Errors
    ///
    /// As any request; a 404 is no error.
    pub async fn fetch_service_settings(&self) -> Result<Option<ServiceSettings>, Error> {
        none_if_absent(self.get(Op::ReadSettings, self.url(&["Configuration"])).await)
    }

    /// Fetches a role of the chat service; `None` where there is none.
    ///
    /// # Errors
    ///
    /// As any request; a 404 is no error.
    pub async fn fetch_role(&self, role: RoleSid) -> Result<Option<RoleRights>, Error> {
        let url = self.url(&["Roles", &role.to_string()]);
        none_if_absent(self.get(Op::ReadSettings, url).await)
    }

    /// Lists a conversation's own webhooks, five at most.
    ///
    /// # Errors
    ///
    /// As any request.
    pub async fn conversation_webhooks(
        &self,
        conversation: ConversationSid,
    ) -> Result<Vec<ConversationWebhook>, Error> {
        let url = self.url(&["Conversations", &conversation.to_string(), "Webhooks"]);
        self.first_page("webhooks", url).await
    }

    /// Fetches a messaging service's settings; `None` where there is none.
    ///
    /// # Errors
    ///
    /// As any request; a 404 is no error.
    pub async fn fetch_messaging_service(
        &self,
        service: MessagingServiceSid,
    ) -> Result<Option<MessagingServiceSettings>, Error> {
        let parts = ["v1", "Services", &service.to_string()];
        let url = below(&self.inner.messaging_base, &parts);
        none_if_absent(self.get(Op::ReadSettings, url).await)
    }

    /// Finds a number of the account; `None` where it has none such.
    ///
    /// # Errors
    ///
    /// As any request.
    pub async fn find_number(&self, number: &Pii) -> Result<Option<PhoneNumber>, Error> {
        let mut url = self.account_url("IncomingPhoneNumbers.json");
        url.query_pairs_mut().append_pair("PhoneNumber", number.reveal());
        let found: Vec<PhoneNumber> = self.first_page("incoming_phone_numbers", url).await?;
        // Twilio finds parts of numbers too.
        Ok(found.into_iter().find(|one| one.number.as_ref() == Some(number)))
    }

    /// Fetches how far WhatsApp has approved a template; `None` where there is no such template.
    ///
    /// # Errors
    ///
    /// As any request; a 404 is no error.
    pub async fn fetch_approval(&self, template: ContentSid) -> Result<Option<Approval>, Error> {
        let parts = ["v1", "Content", &template.to_string(), "ApprovalRequests"];
        let url = below(&self.inner.content_base, &parts);
        none_if_absent(self.get(Op::ReadSettings, url).await)
    }

    /// Lists the newest alerts of the account since a time.
    ///
    /// # Errors
    ///
    /// As any request.
    pub async fn alerts_since(&self, since: Timestamp) -> Result<Vec<Alert>, Error> {
        let mut url = below(&self.inner.monitor_base, &["v1", "Alerts"]);
        // Whole seconds. Source: Alerts resource, StartDate, read 2026-11-30.
        url.query_pairs_mut()
            .append_pair("StartDate", &since.in_whole_seconds())
            .append_pair("PageSize", &ALERTS_MAX.to_string());
        self.first_page("alerts", url).await
    }

    pub(super) fn account_url(&self, place: &str) -> Url {
        below(&self.inner.core_base, &["Accounts", &self.inner.account_sid.to_string(), place])
    }

    /// Reads the first page of a listing whose entries are under `key`; what cannot be read of it is left out.
    async fn first_page<T: DeserializeOwned>(&self, key: &str, url: Url) -> Result<Vec<T>, Error> {
        let op = Op::ReadSettings;
        let page: Box<RawValue> = self.get(op, url).await?;
        let unread =
            || Error::Unknown { op, source: FailureCause::Unreadable { line: 0, column: 0 } };
        let mut room = Vec::new();
        let members: Members<'_> =
            json::lend(page.get().as_bytes(), &mut room).map_err(|_| unread())?;
        if members.has(key) { Ok(members.list(key)) } else { Err(unread()) }
    }
}
