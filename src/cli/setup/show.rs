//! A plan as people and programs see it: a table, JSON, or commands for whoever may carry it out. Pure.
//!
//! Nothing here shows a phone number or a secret: in commands both are variables, which the reader sets.

use std::fmt::Write as _;

use serde_json::{Value, json};
use url::Url;

use super::call::{ADDRESS, SettingField, SetupCall, Target};
use super::plan::{Left, Plan};
use crate::cli::outcome;
use crate::config::kinds::RestAuth;
use crate::pii::mask_address;
use crate::twilio::rest::{SettingsApi, SettingsForm};

/// The plan as a table, and what is left as another.
pub(super) fn table(plan: &Plan) -> String {
    let mut shown = String::new();
    if !plan.calls.is_empty() {
        let rows = plan.calls.iter().flat_map(rows);
        shown += &outcome::table(["what", "field", "now", "then", "why"], rows);
    }
    if !plan.left.is_empty() {
        if !shown.is_empty() {
            shown.push('\n');
        }
        let rows = plan.left.iter().map(|left| {
            let Left { what, found, remedy } = left.clone();
            [what, found, remedy]
        });
        shown += &outcome::table(["left as it is", "found", "remedy"], rows);
    }
    shown
}

/// A call's rows: what and why stand in the first.
fn rows(call: &SetupCall) -> Vec<[String; 5]> {
    let name = match call.target {
        Target::Change { .. } => call.name.clone(),
        Target::Make { .. } => format!("{} (new)", call.name),
        Target::Remove { .. } => format!("{} (removed)", call.name),
    };
    let mut first = Some((name, call.why.clone()));
    let row = |field: &SettingField| {
        let [field, now, then] = field.shown();
        let (name, why) = first.take().unwrap_or_default();
        [name, field, now, then, why]
    };
    call.changes().map(row).collect()
}

/// The plan for programs.
pub(super) fn value(plan: &Plan) -> Value {
    let calls = plan.calls.iter().map(|call| {
        let fields = call.changes().map(|field| {
            let [field, now, then] = field.shown();
            json!({ "field": field, "now": now, "then": then })
        });
        json!({
            "what": call.name,
            "request": call.request(),
            "fields": fields.collect::<Vec<_>>(),
            "why": call.why,
        })
    });
    let left = plan
        .left
        .iter()
        .map(|left| json!({ "what": left.what, "found": left.found, "remedy": left.remedy }));
    json!({ "calls": calls.collect::<Vec<_>>(), "left": left.collect::<Vec<_>>() })
}

/// The plan as commands. `place` says where a call goes.
pub(super) fn curl(plan: &Plan, auth: RestAuth, place: impl Fn(&SetupCall) -> Url) -> String {
    let (user, password) = match auth {
        RestAuth::Token => ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"),
        RestAuth::Key => ("TWILIO_API_KEY", "TWILIO_API_SECRET"),
    };
    let mut numbers = String::new();
    let mut commands = String::new();
    let mut count = 0;
    for call in &plan.calls {
        let url = place(call).to_string();
        let url = match call.resource().api {
            SettingsApi::Core => in_variables(&url),
            SettingsApi::Conversations | SettingsApi::Messaging => quoted(&url),
        };
        writeln!(commands, "\n# {}: {}", call.name, call.why).expect(WRITTEN);
        write!(commands, "curl -sS --fail-with-body -u \"${user}:${password}\" {url}")
            .expect(WRITTEN);
        match call.form(&call.sent().collect::<Vec<_>>()) {
            SettingsForm::Json(body) => {
                let body = quoted(&body.to_string());
                write!(commands, " \\\n  -H 'content-type: application/json' -d {body}")
                    .expect(WRITTEN);
            }
            SettingsForm::Fields(fields) => {
                for (name, text) in fields {
                    let given = if name == ADDRESS {
                        count += 1;
                        let masked = mask_address(&text);
                        writeln!(numbers, "# ADDRESS_{count} is your {masked}").expect(WRITTEN);
                        format!("\"{ADDRESS}=$ADDRESS_{count}\"")
                    } else {
                        quoted(&format!("{name}={text}"))
                    };
                    write!(commands, " \\\n  --data-urlencode {given}").expect(WRITTEN);
                }
            }
        }
        commands.push('\n');
    }
    format!(
        "# Set these first: {user}, {password}{}\n{numbers}{commands}",
        if user == "TWILIO_ACCOUNT_SID" { "" } else { ", TWILIO_ACCOUNT_SID" }
    )
}

/// Why writing into a text succeeds.
const WRITTEN: &str = "writing to a String cannot fail";

/// A word as a shell takes it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A URL with the account as a variable.
fn in_variables(url: &str) -> String {
    let (before, after) = url.split_once("/Accounts/").unwrap_or((url, ""));
    let (_, path) = after.split_once('/').unwrap_or((after, ""));
    format!("\"{before}/Accounts/$TWILIO_ACCOUNT_SID/{path}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::rest::{SettingsDocument, SettingsResource};

    fn plan() -> Plan {
        let nothing = SettingsDocument::default();
        let resource =
            SettingsResource::new(SettingsApi::Core, ["IncomingPhoneNumbers", "PN1.json"]);
        let field = |name: &str, new: &str| SettingField::of(&nothing, (name, "x"), new);
        let number = vec![field("SmsUrl", "https://bot.example.com/it's#rc=3")];
        let number = SetupCall::change(("number +…23", resource), number, "so").unwrap();
        let resource =
            SettingsResource::new(SettingsApi::Conversations, ["Configuration", "Addresses"]);
        let address = vec![field(ADDRESS, "+15555550123"), field("Type", "sms")];
        let target = Target::Make { resource, address: String::new() };
        let address = SetupCall { fields: address, target, ..number.clone() };
        let left = Left {
            what: "account webhooks".to_owned(),
            found: "somebody else".to_owned(),
            remedy: "ask".to_owned(),
        };
        Plan { calls: vec![number, address], left: vec![left] }
    }

    #[test]
    fn commands_name_credentials_and_numbers_by_variables() {
        let place = |call: &SetupCall| {
            let base = "https://api.twilio.com/2010-04-01/Accounts/AC1/";
            Url::parse(base).unwrap().join(&call.resource().path.join("/")).unwrap()
        };
        let shown = curl(&plan(), RestAuth::Token, place);
        let commands = r#"# Set these first: TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN
# ADDRESS_1 is your +…23

# number +…23: so
curl -sS --fail-with-body -u "$TWILIO_ACCOUNT_SID:$TWILIO_AUTH_TOKEN" "https://api.twilio.com/2010-04-01/Accounts/$TWILIO_ACCOUNT_SID/IncomingPhoneNumbers/PN1.json" \
  --data-urlencode 'SmsUrl=https://bot.example.com/it'\''s#rc=3'

# number +…23: so
curl -sS --fail-with-body -u "$TWILIO_ACCOUNT_SID:$TWILIO_AUTH_TOKEN" 'https://api.twilio.com/2010-04-01/Accounts/AC1/Configuration/Addresses' \
  --data-urlencode "Address=$ADDRESS_1" \
  --data-urlencode 'Type=sms'
"#;
        assert_eq!(shown, commands);
        let shown = curl(&plan(), RestAuth::Key, place);
        assert!(shown.contains("-u \"$TWILIO_API_KEY:$TWILIO_API_SECRET\""), "{shown}");
    }

    #[test]
    fn what_is_done_and_what_is_left_are_two_tables() {
        let shown = table(&plan());
        let lines: Vec<Vec<&str>> =
            shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["what", "field", "now", "then", "why"], "{shown}");
        assert!(lines[1].starts_with(&["number", "+…23", "SmsUrl", "nothing"]), "{shown}");
        assert!(lines[2].starts_with(&["number", "+…23", "(new)", "Address", "nothing", "+…23"]));
        assert!(lines[3].starts_with(&["Type", "nothing", "sms"]), "{shown}");
        assert_eq!(lines[5], ["left", "as", "it", "is", "found", "remedy"], "{shown}");
        let value = value(&plan()).to_string();
        assert!(!value.contains("5555550123"), "{value}");
    }
}
