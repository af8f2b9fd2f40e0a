//! Whether the account's addresses make conversations of what is sent to them. Pure.
//!
//! Only what is configured address by address can be read; a messaging service may autocreate for
//! its senders, which the API does not say, so nothing here is a failure.

use super::finding::Finding;
use crate::pii::Pii;
use crate::telemetry::chain::Chain;
use crate::twilio::rest::{self, AddressConfiguration};
use crate::twilio::sid::ChatServiceSid;

const CHECK: &str = "addresses";

/// How many addresses that are not as wanted get a line of their own.
const SHOWN_MAX: usize = 10;

/// Judges the account's address configurations.
pub(super) fn judge(
    asked: Result<Vec<AddressConfiguration>, rest::Error>,
    service: ChatServiceSid,
) -> Vec<Finding> {
    let addresses = match asked {
        Ok(addresses) => addresses,
        Err(error) => {
            let remedy = "try again; an API key needs the right to read Conversations";
            return vec![Finding::warn(CHECK, Chain(&error).to_string(), remedy)];
        }
    };
    if addresses.is_empty() {
        return vec![Finding::warn(
            CHECK,
            "none is configured: what is sent to a number makes no conversation, unless its messaging \
             service does"
                .to_owned(),
            "let the number or its messaging service autocreate conversations, with this chat service",
        )];
    }
    let troubled: Vec<Finding> =
        addresses.iter().filter_map(|address| trouble(address, service)).collect();
    let (wrong, all) = (troubled.len(), addresses.len());
    let mut findings: Vec<Finding> = troubled.into_iter().take(SHOWN_MAX).collect();
    if wrong == 0 {
        findings.push(Finding::ok(CHECK, format!("all {all} autocreate in this chat service")));
    } else if wrong > SHOWN_MAX {
        let found = format!("{} more of {all} are not as wanted", wrong - SHOWN_MAX);
        findings.push(Finding::warn(CHECK, found, "put the others right and look again"));
    }
    findings
}

fn trouble(address: &AddressConfiguration, service: ChatServiceSid) -> Option<Finding> {
    let shown = address.address.as_ref().map_or_else(|| "no address".to_owned(), Pii::masked);
    let place = format!("{} ({shown})", address.sid);
    let auto = address.auto_creation.as_ref().filter(|auto| auto.enabled);
    let Some(auto) = auto else {
        return Some(Finding::warn(
            CHECK,
            format!("{place} autocreates no conversations"),
            "set AutoCreation.Enabled to true there, with this chat service",
        ));
    };
    if auto.conversation_service_sid != Some(service) {
        let where_to = auto
            .conversation_service_sid
            .map_or_else(|| "the account's default service".to_owned(), |sid| sid.to_string());
        return Some(Finding::warn(
            CHECK,
            format!("{place} autocreates in {where_to}, where the bot does not listen"),
            format!("set AutoCreation.ConversationServiceSid to {service} there"),
        ));
    }
    (auto.kind.as_deref() == Some("studio")).then(|| {
        Finding::warn(
            CHECK,
            format!("{place} starts a Studio flow, which answers beside the bot"),
            "set AutoCreation.Type to default there, unless that is wanted",
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_address_that_does_not_lead_here_is_named_with_its_remedy() {
        let service = ChatServiceSid::from_bytes([1; 16]);
        let address = |auto: serde_json::Value| -> AddressConfiguration {
            let answer = json!({
                "sid": "IG07070707070707070707070707070707",
                "address": "+15555550123",
                "auto_creation": auto,
            });
            serde_json::from_str(&answer.to_string()).unwrap()
        };
        let right = json!({
            "enabled": true, "type": "webhook", "conversation_service_sid": service,
        });
        for (auto, verdict, told) in [
            (right.clone(), "ok", "all 1 autocreate"),
            (json!(null), "warn", "AutoCreation.Enabled"),
            (json!({"enabled": false}), "warn", "AutoCreation.Enabled"),
            (json!({"enabled": true, "type": "default"}), "warn", "the account's default service"),
            (
                json!({
                    "enabled": true,
                    "conversation_service_sid": "IS00000000000000000000000000000000",
                }),
                "warn",
                "IS00000000000000000000000000000000",
            ),
            (
                json!({"enabled": true, "type": "studio", "conversation_service_sid": service}),
                "warn",
                "Studio",
            ),
        ] {
            let findings = judge(Ok(vec![address(auto.clone())]), service);
            let rows: Vec<_> = findings.iter().map(Finding::row).collect();
            assert_eq!((rows.len(), rows[0][0].as_str()), (1, verdict), "{auto}");
            assert!(rows[0].concat().contains(told), "{rows:?}");
            assert!(!rows[0].concat().contains("5555550"), "{rows:?}");
        }
        assert_eq!(judge(Ok(Vec::new()), service)[0].row()[0], "warn");
        let many = judge(Ok(vec![address(json!(null)); SHOWN_MAX + 5]), service);
        assert_eq!(many.len(), SHOWN_MAX + 1);
        assert!(many[SHOWN_MAX].found.starts_with("5 more"), "{many:?}");
    }
}
