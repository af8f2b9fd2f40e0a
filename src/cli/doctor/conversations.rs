//! How conversations are set up: the service, webhooks of both scopes, roles, seats, timers.

use std::time::Duration;

use super::asking::{Asking, unseen};
use crate::cli::doors::{DELIVERIES, Doors, EVENTS_NEEDED, MAY_SEND, shown};
use crate::finding::Finding;
use crate::pii::Pii;
use crate::twilio::rest::{self, AccountDefaults, RoleRights, ServiceSettings, Webhooks};
use crate::twilio::sid::ChatServiceSid;

/// A closed timer under this closes conversations in which people still talk. Assumed; Twilio's least is ten
/// minutes.
const CLOSED_TIMER_MIN: Duration = Duration::from_secs(60 * 60);

/// Asks for the service and judges where its events go; says whether it could be seen.
pub(super) async fn service(asking: &Asking<'_>) -> (Vec<Finding>, bool) {
    const SERVICE: &str = "chat-service";
    match asking.rest.fetch_webhooks().await {
        Ok(Some(hooks)) => {
            let mut findings = vec![Finding::ok(SERVICE, "the account has it".to_owned())];
            findings.extend(webhooks(&hooks, &asking.doors));
            (findings, true)
        }
        Ok(None) => {
            let found = "the account has no such service".to_owned();
            let remedy = "set TWILIO_CHAT_SERVICE_SID to an IS… sid of this account and region";
            (vec![Finding::fail(SERVICE, found, remedy)], false)
        }
        Err(error) => (vec![unseen(SERVICE, &error)], false),
    }
}

/// Asks and judges; without the service there is nothing more to ask.
pub(super) async fn examine(asking: &Asking<'_>, service: ChatServiceSid) -> Vec<Finding> {
    let rest = &asking.rest;
    let (mut findings, is_there) = self::service(asking).await;
    if !is_there {
        return findings;
    }
    let (defaults, wide, settings) = tokio::join!(
        rest.fetch_account_defaults(),
        rest.fetch_account_webhooks(),
        rest.fetch_service_settings(),
    );
    findings.push(account_webhooks(wide, &asking.doors));
    findings.extend(judge_defaults(&defaults, service));
    findings.extend(roles(asking, settings).await);
    findings
}

/// Judges the service's webhooks.
fn webhooks(hooks: &Webhooks, doors: &Doors) -> Vec<Finding> {
    let mut findings = vec![target(hooks, doors)];
    if is_set(hooks.post_webhook_url.as_ref()) {
        findings.extend([method(hooks), filters(hooks)]);
    }
    findings.push(pre_webhook(hooks));
    findings
}

fn is_set(url: Option<&Pii>) -> bool {
    url.is_some_and(|url| !url.is_empty())
}

fn target(hooks: &Webhooks, doors: &Doors) -> Finding {
    const CHECK: &str = "webhook-url";
    let own = doors.conversations();
    let wanted = own.as_deref().unwrap_or("https://…/webhooks/twilio");
    let remedy = format!("let the service's post-webhook URL be {wanted}");
    let set = hooks.post_webhook_url.as_ref().map(Pii::reveal).filter(|url| !url.is_empty());
    let Some(set) = set else {
        let found = "none is set: new conversations are found by the sweep alone".to_owned();
        return Finding::warn(CHECK, found, remedy);
    };
    let place = shown(set);
    if doors.takes_events(set) {
        return Finding::ok(CHECK, place);
    }
    let found = match own {
        Some(own) if shown(&own) == place => {
            format!("{place} is written in other letters there, and signatures cover each")
        }
        Some(_) => format!("{place} is not this service"),
        None => format!("{place} is no path of this service"),
    };
    Finding::fail(CHECK, found, remedy)
}

fn method(hooks: &Webhooks) -> Finding {
    const CHECK: &str = "webhook-method";
    match hooks.method.as_deref() {
        Some(method) if !method.eq_ignore_ascii_case("POST") => Finding::warn(
            CHECK,
            format!("{method}: what people write stands in URLs, and so in logs on the way"),
            "let the service's webhook method be POST",
        ),
        Some(_) | None => Finding::ok(CHECK, "POST".to_owned()),
    }
}

fn filters(hooks: &Webhooks) -> Finding {
    const CHECK: &str = "webhook-filters";
    let has = |event: &&str| hooks.filters.iter().any(|filter| filter.eq_ignore_ascii_case(event));
    let missing: Vec<&str> = EVENTS_NEEDED.into_iter().filter(|event| !has(event)).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        let remedy = format!("add {missing} to the filters");
        return Finding::warn(CHECK, format!("not sent: {missing}"), remedy);
    }
    let wished = if has(&DELIVERIES) {
        ""
    } else {
        "; without onDeliveryUpdated nobody tells how replies fare on their way to phones"
    };
    Finding::ok(CHECK, format!("{}{wished}", EVENTS_NEEDED.join(", ")))
}

fn pre_webhook(hooks: &Webhooks) -> Finding {
    const CHECK: &str = "pre-webhook";
    match hooks.pre_webhook_url.as_ref().filter(|url| !url.is_empty()) {
        Some(url) => Finding::warn(
            CHECK,
            format!("{} has to answer before each message goes on", shown(url.reveal())),
            "clear the service's pre-webhook URL, unless that is wanted",
        ),
        None => Finding::ok(CHECK, "none".to_owned()),
    }
}

fn account_webhooks(asked: Result<Webhooks, rest::Error>, doors: &Doors) -> Finding {
    const CHECK: &str = "account-webhooks";
    let hooks = match asked {
        Ok(hooks) => hooks,
        Err(error) => return unseen(CHECK, &error),
    };
    let urls = [hooks.post_webhook_url, hooks.pre_webhook_url];
    let foreign =
        urls.into_iter().flatten().find(|url| !url.is_empty() && !doors.takes_events(url.reveal()));
    match foreign {
        Some(url) => Finding::warn(
            CHECK,
            format!("{} hears the whole account's conversations", shown(url.reveal())),
            "clear the account's webhook, or set this service's URL there too",
        ),
        None => Finding::ok(CHECK, "none that leads elsewhere".to_owned()),
    }
}

fn judge_defaults(
    asked: &Result<AccountDefaults, rest::Error>,
    service: ChatServiceSid,
) -> Vec<Finding> {
    const SERVICE: &str = "default-service";
    const TIMER: &str = "closed-timer";
    let defaults = match asked {
        Ok(defaults) => defaults,
        Err(error) => return [SERVICE, TIMER].map(|check| unseen(check, error)).to_vec(),
    };
    let named = match defaults.chat_service_sid {
        Some(default) if default != service => Finding::warn(
            SERVICE,
            format!("{default}: conversations that name no service are made there"),
            format!(
                "let {service} be the account's default, or be named wherever conversations are made"
            ),
        ),
        Some(_) => Finding::ok(SERVICE, "ours".to_owned()),
        None => Finding::unchecked(SERVICE, "Twilio names none".to_owned(), "look at the console"),
    };
    let timer = defaults.closed_timer.as_deref().filter(|timer| !timer.is_empty());
    let timer = match timer.map(|timer| (timer, duration(timer))) {
        Some((timer, Some(length))) if length < CLOSED_TIMER_MIN => Finding::warn(
            TIMER,
            format!("{timer}: conversations are closed for good after so short a silence"),
            "raise DefaultClosedTimer, or clear it",
        ),
        Some((timer, _)) => Finding::ok(TIMER, timer.to_owned()),
        None => Finding::ok(TIMER, "none".to_owned()),
    };
    vec![named, timer]
}

/// Reads a length as ISO 8601 has it, days of 24 hours.
fn duration(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.parse().ok()?;
    let unit = (jiff::Unit::Second, jiff::SpanRelativeTo::days_are_24_hours());
    Duration::try_from_secs_f64(span.total(unit).ok()?).ok()
}

async fn roles(
    asking: &Asking<'_>,
    asked: Result<Option<ServiceSettings>, rest::Error>,
) -> Vec<Finding> {
    const PERMISSIONS: &str = "role-permissions";
    const REACHABILITY: &str = "reachability";
    let settings = match asked {
        Ok(settings) => settings.unwrap_or_default(),
        Err(error) => {
            return [PERMISSIONS, REACHABILITY].map(|check| unseen(check, &error)).to_vec();
        }
    };
    let role = match settings.conversation_role {
        Some(role) => permissions(asking.rest.fetch_role(role).await),
        None => {
            Finding::unchecked(PERMISSIONS, "no role is named".to_owned(), "look at the console")
        }
    };
    let shown =
        if settings.is_reachability_on == Some(true) { "on" } else { "off, and not needed here" };
    vec![role, Finding::ok(REACHABILITY, shown.to_owned())]
}

fn permissions(asked: Result<Option<RoleRights>, rest::Error>) -> Finding {
    const CHECK: &str = "role-permissions";
    match asked {
        Ok(Some(role)) => {
            let name = role.name.unwrap_or_default();
            if role.permissions.iter().any(|permission| permission == MAY_SEND) {
                return Finding::ok(CHECK, format!("the role {name} may {MAY_SEND}"));
            }
            let found =
                format!("the role {name} lacks {MAY_SEND}, so replies are refused with 50107");
            Finding::fail(CHECK, found, format!("add {MAY_SEND} to the role's permissions"))
        }
        Ok(None) => Finding::fail(
            CHECK,
            "the role that participants get is gone".to_owned(),
            "let DefaultConversationRoleSid name a role of this service",
        ),
        Err(error) => unseen(CHECK, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_are_read_as_twilio_writes_them() {
        for (text, seconds) in [("PT10M", 600), ("PT1H", 3_600), ("P1D", 86_400), ("PT600S", 600)] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("soon"), None);
    }
}
