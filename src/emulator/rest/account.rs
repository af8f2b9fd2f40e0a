//! The account, its money, keys, templates and alerts, over REST: to be read alone.
//!
//! Twilio keeps these at four hosts; here they share one, and their paths do not meet. Source: Account, Balance,
//! ApprovalRequest, Alert and IAM Key resources, read 2026-11-30;
//! of each the fields that a reader of a set-up judges, others are left out (assumed to be of no use here).

use axum::http::Method;
use serde_json::{Value, json};

use super::{RestAnswered, RestCall, RestReply};
use crate::emulator::state::World;
use crate::emulator::state::refusal::Refusal;

impl RestCall<'_> {
    /// What is asked of a product that is no part of Conversations; none if it is of Conversations.
    pub(super) fn product(&self, segments: &[&str]) -> Option<RestAnswered> {
        let read = match segments {
            ["v1", "Keys", key] => self.key(key),
            ["v1", "Alerts"] => self.alerts(),
            ["v1", "Content", template, "ApprovalRequests"] => self.approval(template),
            _ => return None,
        };
        Some(self.only_read().and(read))
    }

    /// The account as it sees itself. Its auth token, which the real answer holds, is left out.
    pub(super) fn account(&self) -> RestAnswered {
        self.only_read()?;
        let account = self.hub.credentials.account_sid;
        self.seen(|world| {
            json!({
                "friendly_name": "chimein emulator",
                "owner_account_sid": account,
                "sid": account,
                "status": world.setup().status,
                "type": world.setup().kind,
                "uri": format!("/2010-04-01/Accounts/{account}.json"),
            })
        })
    }

    pub(super) fn balance(&self) -> RestAnswered {
        let account = self.hub.credentials.account_sid;
        self.seen(|world| {
            let balance = &world.setup().balance;
            json!({"account_sid": account, "balance": balance, "currency": "USD"})
        })
    }

    fn key(&self, sid: &str) -> RestAnswered {
        let key = self.hub.credentials.api_key;
        if sid != key.to_string() {
            return Err(Refusal::NotFound);
        }
        self.seen(|world| {
            let policy = &world.setup().key_policy;
            let policy = if policy.is_empty() { Value::Null } else { json!({"allow": policy}) };
            json!({"sid": key, "friendly_name": "chimein emulator", "policy": policy})
        })
    }

    fn alerts(&self) -> RestAnswered {
        self.seen(|world| {
            let alerts = world.setup().alerts.iter().map(|alert| {
                json!({
                    "error_code": alert.code.to_string(),
                    "log_level": "error",
                    "request_url": alert.url.reveal(),
                })
            });
            let alerts: Vec<Value> = alerts.collect();
            json!({"alerts": alerts, "meta": {"key": "alerts", "next_page_url": null}})
        })
    }

    fn approval(&self, template: &str) -> RestAnswered {
        self.seen(|world| {
            let status = &world.setup().template_status;
            json!({"sid": template, "whatsapp": {"type": "whatsapp", "status": status}})
        })
    }

    fn seen(&self, show: impl FnOnce(&World) -> Value) -> RestAnswered {
        self.read(|world| Ok(RestReply::Json(200, show(world))))
    }

    fn only_read(&self) -> Result<(), Refusal> {
        if *self.method == Method::GET { Ok(()) } else { Err(Refusal::MethodNotAllowed) }
    }
}
