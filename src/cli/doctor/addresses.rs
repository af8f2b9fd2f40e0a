//! Whether the account's addresses make conversations of what is sent to them, and whether that is one
//! road too many. Pure.
//!
//! Only what is configured address by address can be read; a messaging service may autocreate for
//! its senders, which the API does not say, so nothing here is a failure.

use super::asking::unseen;
use crate::config::Settings;
use crate::config::kinds::Source;
use crate::finding::Finding;
use crate::pii::Pii;
use crate::twilio::rest::{self, AddressConfiguration};
use crate::twilio::sid::ChatServiceSid;

const MISSING: &str = "address-missing";
const DISABLED: &str = "address-disabled";
const SERVICE: &str = "address-service";
const TYPE: &str = "address-type";
pub(super) const TWICE: &str = "source-twice";

/// How many addresses that are not as wanted get a line of their own.
const SHOWN_MAX: usize = 10;

/// What the settings say of our addresses.
pub(super) struct WantedAddresses {
    /// The numbers that the bot answers without conversations.
    direct: Vec<Pii>,
    /// Those that are to make conversations.
    named: Vec<Pii>,
}

impl WantedAddresses {
    pub(super) fn of(all: &Settings) -> Self {
        let direct = |address: &Pii| all.road(address) == Source::Direct;
        Self {
            direct: all.messaging.addresses().into_iter().filter(direct).collect(),
            named: all.conversation_addresses(),
        }
    }
}

/// Judges the account's address configurations.
pub(super) fn judge(
    asked: Result<Vec<AddressConfiguration>, rest::Error>,
    service: ChatServiceSid,
    wanted: &WantedAddresses,
) -> Vec<Finding> {
    let addresses = match asked {
        Ok(addresses) => addresses,
        Err(error) => return vec![unseen(MISSING, &error)],
    };
    let missing = missing(&addresses, wanted);
    if addresses.is_empty() {
        return vec![missing];
    }
    let troubled: Vec<Finding> = addresses
        .iter()
        .filter_map(|address| match wanted.direct.iter().any(|one| is_of(address, one)) {
            true => two_roads(address),
            false => trouble(address, service),
        })
        .collect();
    let (wrong, all) = (troubled.len(), addresses.len());
    let is_fine = |check: &&str| troubled.iter().all(|finding| finding.check != *check);
    let fine = [DISABLED, SERVICE, TYPE, TWICE].into_iter().filter(is_fine);
    let fine: Vec<Finding> =
        fine.map(|check| Finding::ok(check, format!("none of {all}"))).collect();
    let mut findings = vec![missing];
    findings.extend(troubled.into_iter().take(SHOWN_MAX));
    if wrong > SHOWN_MAX {
        let found = format!("{} more of {all} are not as wanted", wrong - SHOWN_MAX);
        findings.push(Finding::warn(DISABLED, found, "put the others right and look again"));
    }
    findings.extend(fine);
    findings
}

/// Whether an address of ours has no configuration.
fn missing(addresses: &[AddressConfiguration], wanted: &WantedAddresses) -> Finding {
    let is_there = |one: &&Pii| addresses.iter().any(|other| is_of(other, one));
    let absent: Vec<String> =
        wanted.named.iter().filter(|one| !is_there(one)).map(Pii::masked).collect();
    let remedy =
        "let the number or its messaging service autocreate conversations, with this chat service";
    if !absent.is_empty() {
        let found = format!("not configured: {}", absent.join(", "));
        return Finding::warn(MISSING, found, remedy);
    }
    match (addresses.is_empty(), wanted.direct.is_empty()) {
        (true, false) => {
            let found = "none makes conversations; the bot answers on plain numbers".to_owned();
            Finding::ok(MISSING, found)
        }
        (true, true) => Finding::warn(
            MISSING,
            "none is configured: what is sent to a number makes no conversation, unless its messaging \
             service does"
                .to_owned(),
            remedy,
        ),
        (false, _) => Finding::ok(MISSING, format!("{} are configured", addresses.len())),
    }
}

/// Whether a configuration is of this address.
fn is_of(configured: &AddressConfiguration, address: &Pii) -> bool {
    configured.address.as_ref() == Some(address)
}

/// A message to such an address comes twice; that it is answered once is seen to, but it costs.
fn two_roads(address: &AddressConfiguration) -> Option<Finding> {
    address.auto_creation.as_ref().filter(|auto| auto.enabled)?;
    let place = place(address);
    Some(Finding::warn(
        TWICE,
        format!(
            "{place} makes conversations of what the bot answers without them; it stays out of these"
        ),
        "set AutoCreation.Enabled to false there, or take the number out of CHIMEIN_MESSAGING_SOURCES",
    ))
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
            DISABLED,
            format!("{place} autocreates no conversations"),
            "set AutoCreation.Enabled to true there, with this chat service",
        ));
    };
    if auto.conversation_service_sid != Some(service) {
        let where_to = auto
            .conversation_service_sid
            .map_or_else(|| "the account's default service".to_owned(), |sid| sid.to_string());
        return Some(Finding::warn(
            SERVICE,
            format!("{place} autocreates in {where_to}, where the bot does not listen"),
            format!("set AutoCreation.ConversationServiceSid to {service} there"),
        ));
    }
    (auto.kind.as_deref() == Some("studio")).then(|| {
        Finding::warn(
            TYPE,
            format!("{place} starts a Studio flow, which answers beside the bot"),
            "set AutoCreation.Type to default there, unless that is wanted",
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::finding::Verdict;

    fn address(auto: serde_json::Value) -> AddressConfiguration {
        let answer = json!({
            "sid": "IG07070707070707070707070707070707",
            "address": "+15555550123",
            "auto_creation": auto,
        });
        serde_json::from_str(&answer.to_string()).unwrap()
    }

    fn direct(numbers: &[&str]) -> WantedAddresses {
        WantedAddresses {
            direct: numbers.iter().map(|one| Pii::new(*one)).collect(),
            named: vec![],
        }
    }

    /// One finding has this verdict and says this; where that is no good one, the others are.
    fn assert_told(findings: &[Finding], verdict: &str, told: &str) {
        let rows: Vec<_> = findings.iter().map(Finding::row).collect();
        let found = rows.iter().find(|row| row[0] == verdict && row.concat().contains(told));
        assert!(found.is_some(), "{verdict}, {told}: {rows:?}");
        let wrong = rows.iter().filter(|row| row[0] != "ok").count();
        assert_eq!(wrong, usize::from(verdict != "ok"), "{rows:?}");
        assert!(!rows.concat().concat().contains("5555550"), "{rows:?}");
    }

    #[test]
    fn a_number_that_leads_here_by_two_roads_is_named() {
        let service = ChatServiceSid::from_bytes([1; 16]);
        let on = json!({"enabled": true, "conversation_service_sid": service});
        let off = json!({"enabled": false});
        for (auto, number, verdict, told) in [
            (&on, "+15555550123", "warn", "Enabled to false"),
            (&off, "+15555550123", "ok", "none of 1"),
            (&on, "+15555550199", "ok", "none of 1"),
            (&off, "+15555550199", "warn", "Enabled to true"),
        ] {
            let direct = direct(&[number]);
            let findings = judge(Ok(vec![address(auto.clone())]), service, &direct);
            assert_told(&findings, verdict, told);
        }
        let direct = direct(&["+15555550123"]);
        assert_eq!(judge(Ok(Vec::new()), service, &direct)[0].row()[0], "ok");
        let named = WantedAddresses { direct: Vec::new(), named: vec![Pii::new("+15555550177")] };
        let findings = judge(Ok(vec![address(on.clone())]), service, &named);
        assert_told(&findings, "warn", "not configured");
    }

    #[test]
    fn each_address_that_does_not_lead_here_is_named_with_its_remedy() {
        let service = ChatServiceSid::from_bytes([1; 16]);
        let right = json!({
            "enabled": true, "type": "webhook", "conversation_service_sid": service,
        });
        for (auto, verdict, told) in [
            (right.clone(), "ok", "none of 1"),
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
            let findings = judge(Ok(vec![address(auto.clone())]), service, &direct(&[]));
            assert_told(&findings, verdict, told);
        }
        let none = direct(&[]);
        assert_eq!(judge(Ok(Vec::new()), service, &none)[0].row()[0], "warn");
        let many = judge(Ok(vec![address(json!(null)); SHOWN_MAX + 5]), service, &none);
        let wrong: Vec<_> = many.iter().filter(|one| one.verdict != Verdict::Ok).collect();
        assert_eq!(wrong.len(), SHOWN_MAX + 1);
        assert!(wrong[SHOWN_MAX].found.starts_with("5 more"), "{many:?}");
    }
}
