//! Plain numbers, WhatsApp senders, their messaging service and the template, as Twilio has them.

use super::addresses::TWICE;
use super::asking::{Asking, unseen};
use crate::cli::doors::{Doors, shown};
use crate::config::kinds::Source;
use crate::finding::Finding;
use crate::pii::Pii;
use crate::twilio::rest::{self, Approval, MessagingServiceSettings, PhoneNumber, WhatsappSender};

/// How many numbers are looked at; each is one request.
const NUMBERS_LOOKED_AT: usize = 20;

/// How many of the account's senders are looked through.
const SENDERS_LOOKED_AT: usize = 1_000;

/// The word before an address of WhatsApp.
const WHATSAPP: &str = "whatsapp:";

/// Asks for each, at most a few at once, and judges.
pub(super) async fn examine(asking: &Asking<'_>) -> Vec<Finding> {
    let (messaging, rest) = (&asking.all.messaging, &asking.rest);
    let is_direct = |address: &Pii| asking.all.road(address) == Source::Direct;
    let addresses = messaging.addresses();
    let mut findings = Vec::new();
    let mut counts_own = true;
    if let Some(service) = messaging.service_sid {
        let service = rest.fetch_messaging_service(service).await;
        counts_own = matches!(&service, Ok(Some(service)) if service.uses_number_webhook);
        findings.push(messaging_service(service, &asking.doors));
    }
    let plain: Vec<&Pii> = addresses.iter().filter(|one| !one.reveal().contains(':')).collect();
    let asked = plain.iter().take(NUMBERS_LOOKED_AT).map(|number| rest.find_number(number));
    for (number, found) in plain.iter().zip(futures::future::join_all(asked).await) {
        if let (false, Ok(Some(found))) = (is_direct(number), &found) {
            findings.extend(two_roads(number, found, &asking.doors));
        }
        let wants_url = is_direct(number) && counts_own;
        findings.extend(judge_number(number, found, wants_url.then_some(&asking.doors)));
    }
    let mut whatsapp = addresses.iter().filter(|one| one.reveal().starts_with(WHATSAPP)).peekable();
    if whatsapp.peek().is_some() {
        let senders = rest.list_senders("whatsapp").all(SENDERS_LOOKED_AT).await;
        for address in whatsapp {
            let wants_url = is_direct(address) && counts_own;
            findings.extend(judge_sender(address, &senders, wants_url.then_some(&asking.doors)));
        }
    }
    if let Some(sid) = asking.all.whatsapp.template {
        findings.push(template(rest.fetch_approval(sid).await));
    }
    findings
}

fn messaging_service(
    asked: Result<Option<MessagingServiceSettings>, rest::Error>,
    doors: &Doors,
) -> Finding {
    const CHECK: &str = "messaging-service";
    let remedy = format!("let its inbound request URL be {}", doors.texts());
    match asked {
        Ok(None) => Finding::fail(
            CHECK,
            "the account has no such messaging service".to_owned(),
            "set TWILIO_MESSAGING_SERVICE_SID to an MG… sid of this account",
        ),
        Ok(Some(service)) if service.uses_number_webhook => {
            Finding::ok(CHECK, "each number's own webhook counts".to_owned())
        }
        Ok(Some(service)) => match &service.inbound_url {
            Some(url) if doors.takes_texts(url.reveal()) => Finding::ok(CHECK, shown(url.reveal())),
            Some(url) => {
                let found = format!("what comes to it goes to {}", shown(url.reveal()));
                Finding::fail(CHECK, found, remedy)
            }
            None => Finding::warn(
                CHECK,
                "it tells nobody what comes to it, unless it makes conversations".to_owned(),
                remedy,
            ),
        },
        Err(error) => unseen(CHECK, &error),
    }
}

/// Judges a number; where it is to lead is looked at if there are doors for it.
fn judge_number(
    number: &Pii,
    asked: Result<Option<PhoneNumber>, rest::Error>,
    doors: Option<&Doors>,
) -> Vec<Finding> {
    const MISSING: &str = "number-missing";
    const SMS: &str = "number-capabilities";
    let masked = number.masked();
    let found = match asked {
        Ok(Some(found)) => found,
        Ok(None) if !number.reveal().starts_with('+') => {
            let found = format!("{masked} is a short code, which no list that can be read has");
            return vec![Finding::unchecked(MISSING, found, "look at it in the console")];
        }
        Ok(None) => {
            let found = format!("the account has no {masked}");
            let remedy =
                "check TWILIO_PHONE_NUMBER; a number of a subaccount needs its credentials";
            return vec![Finding::fail(MISSING, found, remedy)];
        }
        Err(error) => return vec![unseen(MISSING, &error)],
    };
    let mut findings = vec![Finding::ok(MISSING, format!("the account has {masked}"))];
    findings.push(if found.has_sms == Some(false) {
        let found = format!("{masked} takes no SMS");
        Finding::fail(SMS, found, "take a number with SMS, or another one for the bot")
    } else {
        Finding::ok(SMS, format!("{masked} takes SMS"))
    });
    if let Some(doors) = doors {
        findings.extend(leads(&masked, &found, doors));
    }
    findings
}

/// A text to a number that makes conversations comes twice if the number's own webhook leads here too; it is
/// answered once, but each costs.
fn two_roads(number: &Pii, found: &PhoneNumber, doors: &Doors) -> Option<Finding> {
    found.sms_url.as_ref().filter(|url| doors.takes_texts(url.reveal()))?;
    Some(Finding::warn(
        TWICE,
        format!("{} is to make conversations, and its own webhook leads here too", number.masked()),
        "empty the number's own messaging webhook, as `chimein setup` does, or let CHIMEIN_MESSAGING_SOURCES name it \
         =direct",
    ))
}

fn leads(masked: &str, found: &PhoneNumber, doors: &Doors) -> Vec<Finding> {
    const APPLICATION: &str = "number-application";
    const WEBHOOK: &str = "number-webhook";
    if let Some(application) = &found.application_sid {
        let told = format!("{masked} names {application}, whose URL counts instead of its own");
        let remedy = "take the application out of the number";
        return vec![Finding::fail(APPLICATION, told, remedy)];
    }
    let remedy = format!("at {masked}, let A message comes in be {} by POST", doors.texts());
    let webhook = match found.sms_url.as_ref().map(Pii::reveal) {
        Some(url) if doors.takes_texts(url) => Finding::ok(WEBHOOK, format!("{masked} leads here")),
        Some(url) => {
            let told = format!("{masked} leads to {}", shown(url));
            Finding::fail(WEBHOOK, told, remedy)
        }
        None => Finding::warn(WEBHOOK, format!("{masked} leads nowhere yet"), remedy),
    };
    vec![Finding::ok(APPLICATION, format!("{masked} names none")), webhook]
}

/// Judges a sender among those of the account.
fn judge_sender(
    address: &Pii,
    asked: &Result<Vec<WhatsappSender>, rest::Error>,
    doors: Option<&Doors>,
) -> Vec<Finding> {
    const SENDER: &str = "whatsapp-sender";
    const QUALITY: &str = "whatsapp-quality";
    const WEBHOOK: &str = "whatsapp-webhook";
    let masked = address.masked();
    let senders = match asked {
        Ok(senders) => senders,
        Err(error) => return vec![unseen(SENDER, error)],
    };
    let Some(sender) = senders.iter().find(|one| one.address.as_ref() == Some(address)) else {
        let found = format!("{masked} is none of the account's, unless it is the sandbox");
        let remedy = "register the sender in the console, or check TWILIO_WHATSAPP_NUMBER";
        return vec![Finding::warn(SENDER, found, remedy)];
    };
    let status = sender.status.as_deref().unwrap_or("of no known status");
    // There is `ONLINE:UPDATING` too. Source: Senders resource, status, read 2026-11-30.
    if !status.starts_with("ONLINE") {
        let reasons = sender.offline_reasons.join("; ");
        let found = format!("{masked} is {status} {reasons}");
        return vec![Finding::fail(
            SENDER,
            found.trim_end().to_owned(),
            "look at the sender in the console",
        )];
    }
    let mut findings = vec![Finding::ok(SENDER, format!("{masked} is {status}"))];
    findings.push(match sender.quality.as_deref() {
        Some("LOW") => Finding::warn(
            QUALITY,
            format!("{masked} is rated LOW: WhatsApp will let it write to fewer people"),
            "write less of what people block or report",
        ),
        Some(quality) => Finding::ok(QUALITY, format!("{masked} is rated {quality}")),
        None => Finding::ok(QUALITY, format!("{masked} has no rating yet")),
    });
    if let Some(doors) = doors {
        let url = sender.inbound_url.as_ref().map(Pii::reveal);
        findings.push(match url {
            Some(url) if doors.takes_texts(url) => {
                Finding::ok(WEBHOOK, format!("{masked} leads here"))
            }
            Some(_) | None => {
                let place =
                    url.map_or_else(|| "nowhere".to_owned(), |url| format!("to {}", shown(url)));
                let remedy = format!("let the sender's webhook be {}", doors.texts());
                Finding::fail(WEBHOOK, format!("{masked} leads {place}"), remedy)
            }
        });
    }
    findings
}

fn template(asked: Result<Option<Approval>, rest::Error>) -> Finding {
    const CHECK: &str = "template";
    match asked {
        Ok(Some(approval)) => match approval.status.as_deref() {
            Some("approved") => Finding::ok(CHECK, "approved".to_owned()),
            Some(status) => Finding::fail(
                CHECK,
                format!("{status}: nobody can be written to after 24 hours"),
                "submit it in the console's Content Template Builder, or name another in CHIMEIN_WHATSAPP_TEMPLATE",
            ),
            None => Finding::unchecked(
                CHECK,
                "Twilio says nothing of it".to_owned(),
                "look at the console",
            ),
        },
        Ok(None) => Finding::fail(
            CHECK,
            "the account has no such template".to_owned(),
            "set CHIMEIN_WHATSAPP_TEMPLATE to an HX… sid of this account",
        ),
        Err(error) => unseen(CHECK, &error),
    }
}
