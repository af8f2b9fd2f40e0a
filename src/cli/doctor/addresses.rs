//! Whether the account's addresses make conversations of what is sent to them, and whether that is one
//! road too many. Pure.
//!
//! Only what is configured address by address can be read; a messaging service may autocreate for
//! its senders, which the API does not say, so nothing here is a failure.

use crate::config::kinds::Source;
use crate::config::settings::Messaging;
use crate::finding::Finding;
use crate::pii::Pii;
use crate::telemetry::chain::Chain;
use crate::twilio::rest::{self, AddressConfiguration};
use crate::twilio::sid::ChatServiceSid;

const CHECK: &str = "addresses";

/// How many addresses that are not as wanted get a line of their own.
const SHOWN_MAX: usize = 10;

/// The numbers that the bot answers without conversations, each with the road that counts.
pub(super) fn plain(messaging: &Messaging) -> Vec<(Pii, Source)> {
    let road = |address: Pii| {
        let source = messaging.source(&address, Source::Conversations);
        (address, source)
    };
    messaging.addresses().into_iter().map(road).collect()
}

/// Judges the account's address configurations.
pub(super) fn judge(
    asked: Result<Vec<AddressConfiguration>, rest::Error>,
    service: ChatServiceSid,
    plain: &[(Pii, Source)],
) -> Vec<Finding> {
    let addresses = match asked {
        Ok(addresses) => addresses,
        Err(error) => {
            let remedy = "try again; an API key needs the right to read Conversations";
            return vec![Finding::warn(CHECK, Chain(&error).to_string(), remedy)];
        }
    };
    if addresses.is_empty() && !plain.is_empty() {
        let found = "none makes conversations; the bot answers on plain numbers".to_owned();
        return vec![Finding::ok(CHECK, found)];
    }
    if addresses.is_empty() {
        return vec![Finding::warn(
            CHECK,
            "none is configured: what is sent to a number makes no conversation, unless its messaging \
             service does"
                .to_owned(),
            "let the number or its messaging service autocreate conversations, with this chat service",
        )];
    }
    let troubled: Vec<Finding> = addresses
        .iter()
        .filter_map(|address| match road(address, plain) {
            Some(source) => two_roads(address, source),
            None => trouble(address, service),
        })
        .collect();
    let (wrong, all) = (troubled.len(), addresses.len());
    let mut findings: Vec<Finding> = troubled.into_iter().take(SHOWN_MAX).collect();
    if wrong == 0 {
        findings.push(Finding::ok(CHECK, format!("all {all} lead here by one road")));
    } else if wrong > SHOWN_MAX {
        let found = format!("{} more of {all} are not as wanted", wrong - SHOWN_MAX);
        findings.push(Finding::warn(CHECK, found, "put the others right and look again"));
    }
    findings
}

/// The road that counts for an address that the bot also answers without conversations.
fn road(address: &AddressConfiguration, plain: &[(Pii, Source)]) -> Option<Source> {
    let found = plain.iter().find(|(plain, _)| address.address.as_ref() == Some(plain));
    found.map(|(_, source)| *source)
}

/// A message to such an address may come twice; that it is answered once is seen to, but it costs.
fn two_roads(address: &AddressConfiguration, source: Source) -> Option<Finding> {
    address.auto_creation.as_ref().filter(|auto| auto.enabled)?;
    let place = place(address);
    Some(match source {
        Source::Direct => Finding::warn(
            CHECK,
            format!(
                "{place} makes conversations of what the bot answers without them; it stays out of these"
            ),
            "set AutoCreation.Enabled to false there, or take the number out of CHIMEIN_MESSAGING_SOURCES",
        ),
        Source::Conversations => Finding::warn(
            CHECK,
            format!(
                "{place} makes conversations and is one of the plain numbers too; conversations count"
            ),
            "empty the number's own messaging webhook, and take it out of TWILIO_PHONE_NUMBER or \
             TWILIO_WHATSAPP_NUMBER; or let CHIMEIN_MESSAGING_SOURCES name it =direct",
        ),
    })
}

/// The address as it is shown.
fn place(address: &AddressConfiguration) -> String {
    let shown = address.address.as_ref().map_or_else(|| "no address".to_owned(), Pii::masked);
    format!("{} ({shown})", address.sid)
}

fn trouble(address: &AddressConfiguration, service: ChatServiceSid) -> Option<Finding> {
    let place = place(address);
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

    fn address(auto: serde_json::Value) -> AddressConfiguration {
        let answer = json!({
            "sid": "IG07070707070707070707070707070707",
            "address": "+15555550123",
            "auto_creation": auto,
        });
        serde_json::from_str(&answer.to_string()).unwrap()
    }

    #[test]
    fn a_number_that_leads_here_by_two_roads_is_named() {
        let service = ChatServiceSid::from_bytes([1; 16]);
        let on = json!({"enabled": true, "conversation_service_sid": service});
        let off = json!({"enabled": false});
        for (auto, number, source, verdict, told) in [
            (&on, "+15555550123", Source::Direct, "warn", "Enabled to false"),
            (&on, "+15555550123", Source::Conversations, "warn", "=direct"),
            (&off, "+15555550123", Source::Direct, "ok", "one road"),
            (&on, "+15555550199", Source::Direct, "ok", "one road"),
            (&off, "+15555550199", Source::Direct, "warn", "Enabled to true"),
        ] {
            let plain = [(Pii::new(number), source)];
            let findings = judge(Ok(vec![address(auto.clone())]), service, &plain);
            let rows: Vec<_> = findings.iter().map(Finding::row).collect();
            assert_eq!((rows.len(), rows[0][0].as_str()), (1, verdict), "{rows:?}");
            assert!(rows[0].concat().contains(told), "{rows:?}");
            assert!(!rows[0].concat().contains("5555550"), "{rows:?}");
        }
        let plain = [(Pii::new("+15555550123"), Source::Direct)];
        assert_eq!(judge(Ok(Vec::new()), service, &plain)[0].row()[0], "ok");
    }

    #[test]
    fn each_address_that_does_not_lead_here_is_named_with_its_remedy() {
        let service = ChatServiceSid::from_bytes([1; 16]);
        let right = json!({
            "enabled": true, "type": "webhook", "conversation_service_sid": service,
        });
        for (auto, verdict, told) in [
            (right.clone(), "ok", "all 1 lead here"),
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
            let findings = judge(Ok(vec![address(auto.clone())]), service, &[]);
            let rows: Vec<_> = findings.iter().map(Finding::row).collect();
            assert_eq!((rows.len(), rows[0][0].as_str()), (1, verdict), "{auto}");
            assert!(rows[0].concat().contains(told), "{rows:?}");
            assert!(!rows[0].concat().contains("5555550"), "{rows:?}");
        }
        assert_eq!(judge(Ok(Vec::new()), service, &[])[0].row()[0], "warn");
        let many = judge(Ok(vec![address(json!(null)); SHOWN_MAX + 5]), service, &[]);
        assert_eq!(many.len(), SHOWN_MAX + 1);
        assert!(many[SHOWN_MAX].found.starts_with("5 more"), "{many:?}");
    }
}
