//! The account itself: its state, its money, the key that signs tokens, what Twilio complains of.

use std::collections::BTreeMap;
use std::time::Duration;

use super::asking::{Asking, unseen};
use crate::finding::Finding;
use crate::pii::Pii;
use crate::twilio::rest::{self, AccountState, Alert, Balance, KeyDetails};

/// How far back alerts are of interest.
const ALERTS_SPAN: Duration = Duration::from_secs(24 * 60 * 60);

/// Judges the account by itself.
pub(super) fn state(account: &Result<AccountState, rest::Error>) -> Vec<Finding> {
    const STATUS: &str = "account-status";
    const TYPE: &str = "account-type";
    let account = match account {
        Ok(account) => account,
        Err(error) => return [STATUS, TYPE].map(|check| unseen(check, error)).to_vec(),
    };
    let status = match account.status.as_deref() {
        Some("active") => Finding::ok(STATUS, "active".to_owned()),
        Some(status) => {
            let remedy = "look at billing and at Twilio's mails; a closed account stays closed";
            Finding::fail(STATUS, status.to_owned(), remedy)
        }
        None => Finding::unchecked(STATUS, "Twilio says none".to_owned(), "look at the console"),
    };
    let kind = match account.kind.as_deref() {
        Some("Trial") => Finding::warn(
            TYPE,
            "Trial: only verified numbers are written to, and each text begins with a notice"
                .to_owned(),
            "upgrade the account, or verify the numbers that are to be answered",
        ),
        Some(kind) => Finding::ok(TYPE, kind.to_owned()),
        None => Finding::unchecked(TYPE, "Twilio says none".to_owned(), "look at the console"),
    };
    vec![status, kind]
}

/// Asks for the rest and judges it.
pub(super) async fn examine(asking: &Asking<'_>) -> Vec<Finding> {
    let rest = &asking.rest;
    let since = asking.clock.wall().before(ALERTS_SPAN);
    let (money, alerts) = tokio::join!(rest.fetch_balance(), rest.alerts_since(since));
    let mut findings = vec![balance(money)];
    if let Some(conversations) = &asking.twilio.conversations {
        findings.push(key_policy(rest.fetch_key(conversations.api_key).await));
    }
    findings.push(if asking.doors.conversations().is_some() {
        judge_alerts(alerts, |url| asking.doors.has(url.reveal()))
    } else {
        let found = "which are of our URL is not known".to_owned();
        Finding::unchecked("alerts", found, "set CHIMEIN_WEBHOOK_PUBLIC_URL")
    });
    findings
}

fn balance(asked: Result<Balance, rest::Error>) -> Finding {
    const CHECK: &str = "balance";
    let Balance { balance, currency } = match asked {
        Ok(balance) => balance,
        Err(error) => return unseen(CHECK, &error),
    };
    let currency = currency.unwrap_or_default();
    match balance.as_deref().and_then(|text| text.trim().parse::<f64>().ok()) {
        Some(left) if left <= 0.0 => Finding::warn(
            CHECK,
            format!("{left} {currency}: Twilio suspends accounts that pay beforehand"),
            "add funds, or let the console recharge by itself",
        ),
        Some(left) => Finding::ok(CHECK, format!("{left} {currency}")),
        None => Finding::unchecked(CHECK, "no number".to_owned(), "look at the console"),
    }
}

/// Source: Restricted API keys, "Access tokens", read 2026-11-21.
fn key_policy(asked: Result<Option<KeyDetails>, rest::Error>) -> Finding {
    const CHECK: &str = "api-key-policy";
    match asked {
        Ok(Some(key)) if key.is_restricted => Finding::fail(
            CHECK,
            format!("restricted to {} rights: it signs no access tokens", key.allowed.len()),
            "make a standard key and put it into TWILIO_API_KEY and TWILIO_API_SECRET",
        ),
        Ok(Some(_)) => Finding::ok(CHECK, "a standard key".to_owned()),
        Ok(None) => Finding::unchecked(
            CHECK,
            "the key cannot be described by these credentials".to_owned(),
            "sign in with the auth token or a main key; whether it signs is seen at the socket",
        ),
        Err(error) => unseen(CHECK, &error),
    }
}

fn judge_alerts(asked: Result<Vec<Alert>, rest::Error>, is_ours: impl Fn(&Pii) -> bool) -> Finding {
    const CHECK: &str = "alerts";
    let alerts = match asked {
        Ok(alerts) => alerts,
        Err(error) => return unseen(CHECK, &error),
    };
    let mut codes: BTreeMap<u64, usize> = BTreeMap::new();
    for alert in alerts.iter().filter(|alert| alert.url.as_ref().is_some_and(&is_ours)) {
        *codes.entry(alert.code.unwrap_or_default()).or_default() += 1;
    }
    if codes.is_empty() {
        return Finding::ok(CHECK, "none of our URL in 24 hours".to_owned());
    }
    let told: Vec<String> = codes.iter().map(|(code, count)| format!("{count} × {code}")).collect();
    Finding::warn(
        CHECK,
        format!("of our URL in 24 hours: {}", told.join(", ")),
        "11200 and 11205: Twilio had no answer in time; 12300: its type was wrong; the console has each",
    )
}
