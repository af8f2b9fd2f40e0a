//! Which calls put back what a setup changed. Pure.
//!
//! A field that has the new value gets the old one; one that has the old value is done; one that has neither was
//! changed by somebody meanwhile, and is left and told unless it may be taken over. A configuration that was made
//! is removed.

use super::call::{ADDRESS, SettingField, SetupCall, Target, is_nothing, same};
use super::plan::{Left, Plan};
use crate::twilio::rest::SettingsDocument as Document;

/// Says what puts one call back.
pub(super) fn undo(call: &SetupCall, now: Option<&Document>, take_over: bool, plan: &mut Plan) {
    let Some(document) = now else {
        if let Target::Change { .. } = call.target {
            let remedy = "nothing can be put back";
            plan.left.push(Left::new(&call.name, "it is no longer there", remedy));
        }
        return;
    };
    match &call.target {
        Target::Change { resource } => {
            let fields: Vec<SettingField> = call
                .fields
                .iter()
                .filter_map(|field| put_back(call, field, document, (take_over, plan)))
                .collect();
            let why = "as it was before setup";
            let back = SetupCall::change((call.name.clone(), resource.clone()), fields, why);
            plan.calls.extend(back.map(|back| SetupCall { is_way_back: true, ..back }));
        }
        Target::Make { resource, .. } => {
            let is_ours = call.fields.iter().all(|field| same(&document.at(&field.at), &field.new));
            if !is_ours && !take_over {
                plan.left.push(changed(&call.name, "configuration"));
                return;
            }
            let sid = document.text("sid").unwrap_or_default();
            let resource = resource.clone().below(sid);
            let fields = call.fields.iter().filter(|field| field.name != ADDRESS);
            let gone = |field: &SettingField| SettingField {
                old: document.at(&field.at),
                new: serde_json::Value::Null,
                ..field.clone()
            };
            plan.calls.push(SetupCall {
                name: call.name.clone(),
                target: Target::Remove { resource },
                fields: fields.map(gone).collect(),
                why: "there was none before setup".to_owned(),
                is_way_back: true,
            });
        }
        Target::Remove { .. } => {}
    }
}

/// A field as it was, if it is not so already.
fn put_back(
    call: &SetupCall,
    field: &SettingField,
    document: &Document,
    (take_over, plan): (bool, &mut Plan),
) -> Option<SettingField> {
    let found = document.at(&field.at);
    let back = SettingField { old: found.clone(), new: field.old.clone(), ..field.clone() };
    if !field.is_change() {
        // It goes along for what needs it; what somebody has set there since stays.
        let stays = !is_nothing(&found) && !same(&found, &field.old);
        return Some(if stays { SettingField { new: found, ..back } } else { back });
    }
    if same(&found, &field.new) || same(&found, &field.old) || take_over {
        return Some(back);
    }
    plan.left.push(changed(&call.name, &field.name));
    None
}

fn changed(what: &str, field: &str) -> Left {
    let found = format!("somebody has changed {field} since setup");
    Left::new(what, found, "see who; --take-over puts it back all the same")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::twilio::rest::{SettingsApi, SettingsResource};

    fn document(value: &Value) -> Document {
        Document(value.as_object().unwrap().clone())
    }

    fn undone(old: &Value, new: &[(&str, Value)], now: &Value, take_over: bool) -> Plan {
        let old = document(old);
        let fields =
            new.iter().map(|(at, new)| SettingField::of(&old, (at, at), new.clone())).collect();
        let call =
            SetupCall::change(("x", SettingsResource::new(SettingsApi::Core, ["x"])), fields, "")
                .unwrap();
        let mut plan = Plan::default();
        undo(&call, Some(&document(now)), take_over, &mut plan);
        plan
    }

    #[test]
    fn each_field_goes_back_unless_somebody_has_changed_it() {
        let old = json!({"a": null, "b": "old"});
        let new = [("a", json!("new")), ("b", json!("new"))];
        for (now, take_over, back, left) in [
            (
                json!({"a": "new", "b": "new"}),
                false,
                vec![("a", json!(null)), ("b", json!("old"))],
                0,
            ),
            (json!({"a": "new", "b": "old"}), false, vec![("a", json!(null))], 0),
            (json!({"a": "", "b": "old"}), false, vec![], 0),
            (json!({"a": "else", "b": "new"}), false, vec![("b", json!("old"))], 1),
            (
                json!({"a": "else", "b": "new"}),
                true,
                vec![("a", json!(null)), ("b", json!("old"))],
                0,
            ),
        ] {
            let plan = undone(&old, &new, &now, take_over);
            let changes = plan.calls.iter().flat_map(SetupCall::changes);
            let found: Vec<_> = changes.map(|one| (one.name.as_str(), one.new.clone())).collect();
            assert_eq!((found, plan.left.len()), (back, left), "{now} {take_over}");
        }
    }

    #[test]
    fn what_belongs_to_a_value_comes_back_with_it() {
        let old = json!({"type": "studio", "flow": "FW1"});
        let new = [("type", json!("default")), ("flow", json!("FW1"))];
        for (flow, wanted) in [("", "FW1"), ("FW1", "FW1"), ("FW2", "FW2")] {
            let plan = undone(&old, &new, &json!({"type": "default", "flow": flow}), false);
            let fields: Vec<_> = plan.calls[0].fields.iter().map(|one| one.new.clone()).collect();
            assert_eq!(fields, [json!("studio"), json!(wanted)], "{flow}");
        }
    }
}
