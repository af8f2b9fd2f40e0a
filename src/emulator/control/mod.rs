//! Control over a running emulator: phones write, faults are set, what happened is read.
//!
//! [`Control`] is for callers in the same process; `http` gives the same to everybody else on the
//! machine. Neither is part of what Twilio has.

pub(super) mod http;
mod text_api;
mod texts;

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

pub use self::texts::{Attachment, Incoming};
use super::faults::{self, Fault};
use super::hub::Hub;
pub use super::inbound::{Received, Texted};
use super::record::Record;
use super::snapshot::{self, Error as SnapshotError};
use super::sockets::{DriverOrder, close_name};
use super::state::event::EventKind;
use super::state::limits::Limits;
use super::state::model::{Conversation, DeliveryStatus, HookMethod, HookSettings, Message};
use super::state::refusal::Refusal;
use super::state::{AccountSetup, AddressFields, Inbound};
use crate::pii::Pii;
use crate::realtime::twilsock::frame::Status;
use crate::twilio::sid::{ConversationSid, MessageSid, ParticipantSid};

/// Where the control API lives.
pub(super) const BASE: &str = "/_emulator";

/// A handle on a running emulator.
#[derive(Clone, Debug)]
pub struct Control {
    pub(super) hub: Arc<Hub>,
}

/// Webhooks of the default service.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhook {
    /// Where pre-action events go; they are not asked if absent.
    pub pre_url: Option<String>,
    /// Where post-action events go.
    pub post_url: Option<String>,
    /// Which events; all that the service scope knows if absent.
    pub filters: Option<Vec<EventKind>>,
    /// GET or POST; POST if absent.
    pub method: Option<HookMethod>,
}

/// What is to happen to open sockets.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum SocketOrder {
    /// The connection breaks, without a word.
    Drop,
    /// Nothing is read or written any more, and nothing is said.
    Freeze,
    /// Frozen ones go on.
    Thaw,
    /// The warning that the token runs out.
    WarnToken,
    /// The close frame of a token that has run out.
    ExpireToken,
    /// A close frame.
    Close {
        /// Its code, such as 308.
        code: u16,
        /// Its name.
        #[serde(default)]
        status: Option<String>,
        /// Twilio's error code.
        #[serde(default)]
        error_code: Option<u32>,
        /// The least wait before the client comes back.
        #[serde(default)]
        reconnect_min_ms: Option<u64>,
    },
}

impl Control {
    /// A phone sends a text: into the conversation that holds the pair, or into a new one. An
    /// address with `whatsapp:` before it is a WhatsApp one.
    ///
    /// # Errors
    ///
    /// If Twilio would not take it.
    ///
    /// # Cancel safety
    ///
    /// Dropping it may leave the message stored or not.
    pub async fn receive_sms(&self, from: &str, to: &str, body: &str) -> Result<Received, Refusal> {
        self.receive(Inbound::new(Pii::new(from), Pii::new(to), Some(Pii::new(body)))?).await
    }

    /// A phone sends anything.
    ///
    /// # Errors
    ///
    /// If Twilio would not take it.
    ///
    /// # Cancel safety
    ///
    /// Dropping it may leave the message stored or not.
    pub async fn receive(&self, inbound: Inbound) -> Result<Received, Refusal> {
        self.hub.receive(&inbound).await.map(|texted| texted.received)
    }

    /// The messages of a conversation, oldest first; none if there is no such conversation.
    #[must_use]
    pub fn messages(&self, conversation: ConversationSid) -> Vec<Message> {
        self.hub.with(|core, _| {
            core.world
                .conversation(conversation)
                .map(|conversation| conversation.messages.values().cloned().collect())
                .unwrap_or_default()
        })
    }

    /// Every conversation, oldest first.
    #[must_use]
    pub fn conversations(&self) -> Vec<Conversation> {
        self.hub.with(|core, _| core.world.all_conversations().cloned().collect())
    }

    /// How many post-action webhooks are on their way: neither answered nor lost. Whoever waits for
    /// quiet waits for none.
    #[must_use]
    pub fn open_webhooks(&self) -> usize {
        self.hub.open_hooks()
    }

    /// Sends a post-action webhook once more, under its idempotency token; says whether it is one of the newest
    /// 200, which are kept for that.
    #[must_use]
    pub fn send_again(&self, delivery_id: &str) -> bool {
        self.hub.send_again(delivery_id)
    }

    /// Sets where the default service's webhooks go.
    pub fn set_webhook(&self, webhook: Webhook) {
        let all = EventKind::ALL.iter().copied().filter(|kind| !kind.is_of_user());
        let settings = HookSettings {
            pre_url: webhook.pre_url,
            post_url: webhook.post_url,
            filters: webhook.filters.unwrap_or_else(|| all.collect()),
            method: webhook.method,
        };
        let service = self.hub.credentials.service_sid;
        let set = self.hub.with(|core, _| core.world.set_hook_settings(Some(service), settings));
        debug_assert!(set.is_ok(), "the default service cannot be removed");
    }

    /// Sets the number's own webhook, which every incoming message rings besides.
    pub fn set_messaging_webhook(&self, url: Option<String>) {
        self.hub.with(|core, _| core.world.set_messaging_url(url));
    }

    /// How the account itself is set up.
    #[must_use]
    pub fn account(&self) -> AccountSetup {
        self.hub.with(|core, _| core.world.setup().clone())
    }

    /// Sets the account up in another way, a wrong one for instance.
    pub fn set_account(&self, setup: AccountSetup) {
        self.hub.with(|core, _| core.world.set_setup(setup));
    }

    /// Configures an address, as the REST API does.
    ///
    /// # Errors
    ///
    /// If it has a configuration.
    pub fn configure_address(&self, fields: AddressFields) -> Result<(), Refusal> {
        self.hub.with(|core, at| core.world.create_address(at, fields).map(|_| ()))
    }

    /// Changes an address's configuration, found by its sid or by the address.
    ///
    /// # Errors
    ///
    /// If it has none.
    pub fn reconfigure_address(&self, of: &str, fields: AddressFields) -> Result<(), Refusal> {
        self.hub.with(|core, at| core.world.update_address(at, of, fields).map(|_| ()))
    }

    /// Moves a message's delivery to a phone on, or lets it fail.
    ///
    /// # Errors
    ///
    /// If there is no such message or recipient.
    pub fn deliver(
        &self,
        (conversation, message, participant): (ConversationSid, MessageSid, ParticipantSid),
        status: DeliveryStatus,
        error_code: Option<u32>,
    ) -> Result<bool, Refusal> {
        let delivery = (conversation, message, participant);
        self.hub.with(|core, at| core.world.advance_delivery(at, delivery, (status, error_code)))
    }

    /// What happens from now on; a watcher that lags thousands behind misses some.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Record> {
        self.hub.watch()
    }

    /// What happened after a record, as far as it is kept.
    #[must_use]
    pub fn records(&self, after: u64) -> Vec<Record> {
        self.hub.with(|core, _| core.records.after(after).cloned().collect())
    }

    /// Lets a fault wait for its occasion; gives its number.
    ///
    /// # Errors
    ///
    /// If the fault makes no sense.
    pub fn add_fault(&self, fault: Fault) -> Result<u64, faults::Error> {
        self.hub.with(|core, _| core.faults.add(fault))
    }

    /// The faults that wait.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        self.hub.with(|core, _| core.faults.waiting().to_vec())
    }

    /// Takes one fault away.
    #[must_use]
    pub fn remove_fault(&self, id: u64) -> bool {
        self.hub.with(|core, _| core.faults.remove(id))
    }

    /// Takes all faults away.
    pub fn clear_faults(&self) {
        self.hub.with(|core, _| core.faults.clear());
    }

    /// Gives an order to all sockets, or to those of one identity; gives how many.
    #[must_use]
    pub fn sockets(&self, identity: Option<&str>, order: &SocketOrder) -> usize {
        self.hub.with(|core, _| match order_of(order) {
            Some(order) => core.sockets.order(identity, &order),
            None => core.sockets.cut(identity),
        })
    }

    /// Who is connected: number and identity.
    #[must_use]
    pub fn connected(&self) -> Vec<(u64, Option<Pii>)> {
        self.hub.with(|core, _| {
            core.sockets.list().map(|(conn_id, identity, _)| (conn_id, identity.cloned())).collect()
        })
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.hub.with(|core, _| core.world.limits_mut().clone())
    }

    /// Adjusts the limits, also those of groups that are not set up yet.
    pub fn set_limits(&self, limits: Limits) {
        self.hub.with(|core, _| core.world.set_limits(limits));
    }

    /// Sets whether a CRLF follows a frame's payload.
    pub fn set_trailing_crlf(&self, on: bool) {
        self.hub.set_trailing_crlf(on);
    }

    /// Writes the snapshot, if one is kept; says whether one is.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub async fn save(&self) -> Result<bool, SnapshotError> {
        let Some(path) = &self.hub.options.snapshot else { return Ok(false) };
        let credentials = &self.hub.credentials;
        let text = self.hub.with(|core, _| snapshot::text(credentials, &core.world));
        snapshot::write(path, &text).await?;
        Ok(true)
    }

    /// Forgets conversations, users, messages, records and faults, and cuts all sockets. Webhook
    /// settings, limits and credentials stay.
    pub fn reset(&self) {
        self.hub.with(|core, at| {
            core.sockets.cut(None);
            core.world.reset(at);
            core.faults.clear();
            core.records.clear();
            core.forget_webhooks();
            core.files.clear();
        });
    }
}

/// What a socket's driver is told; none for a plain cut.
fn order_of(order: &SocketOrder) -> Option<DriverOrder> {
    match order {
        SocketOrder::Drop => None,
        SocketOrder::Freeze => Some(DriverOrder::Freeze),
        SocketOrder::Thaw => Some(DriverOrder::Thaw),
        SocketOrder::WarnToken => Some(DriverOrder::WarnToken),
        SocketOrder::ExpireToken => {
            let mut status = Status::new(410, "TOKEN_EXPIRED");
            status.description = Some("Token expired".to_owned());
            status.error_code = Some(51207);
            Some(DriverOrder::Close(status, Bytes::new()))
        }
        SocketOrder::Close { code, status, error_code, reconnect_min_ms } => {
            let name = status.clone().unwrap_or_else(|| close_name(*code).to_owned());
            let mut closing = Status::new(*code, name);
            closing.error_code = *error_code;
            let payload = reconnect_min_ms.map(|min| {
                let policy = serde_json::json!({
                    "backoff_policy": {
                        "reconnect_min_ms": min,
                        "reconnect_max_ms": min.saturating_mul(2),
                    },
                });
                Bytes::from(policy.to_string())
            });
            Some(DriverOrder::Close(closing, payload.unwrap_or_default()))
        }
    }
}
