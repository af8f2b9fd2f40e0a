//! One write to Twilio as a value: where it goes, each field before and after, and why. Pure.
//!
//! What Twilio shows empty, null or not at all counts as the same nothing. A phone number, and whatever may be
//! secret in a URL, is never part of what is shown.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::bytes16;
use crate::pii::{Pii, mask_address};
use crate::twilio::rest::{SettingsDocument, SettingsForm, SettingsResource};
use crate::twilio::signature::without_values;

/// The field of an address configuration that names the address.
pub(super) const ADDRESS: &str = "Address";

/// A write.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct SetupCall {
    /// What is written, in a few words.
    pub(super) name: String,
    /// What happens to which resource.
    pub(super) target: Target,
    /// What is set.
    pub(super) fields: Vec<SettingField>,
    /// Why, for people.
    #[serde(skip)]
    pub(super) why: String,
    /// Whether it puts back what there was.
    #[serde(skip)]
    pub(super) is_way_back: bool,
}

/// What happens to which resource.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(super) enum Target {
    /// One that is there is changed.
    Change {
        /// Which one.
        resource: SettingsResource,
    },
    /// The configuration of an address is made.
    Make {
        /// The list that it comes into.
        resource: SettingsResource,
        /// A digest of the address, by which it is found again.
        address: String,
    },
    /// One that is there is removed.
    Remove {
        /// Which one.
        resource: SettingsResource,
    },
}

/// A field before and after.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct SettingField {
    /// What it is called in the request.
    pub(super) name: String,
    /// Where it stands in the answer.
    pub(super) at: String,
    /// What Twilio has.
    pub(super) old: Value,
    /// What it is to have.
    pub(super) new: Value,
}

/// How what Twilio has now stands to a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum CallStanding {
    /// As before the call.
    Before,
    /// As after it.
    After,
    /// Neither: somebody has changed it.
    Neither,
}

impl SettingField {
    /// A field of a form, with what Twilio has of it.
    pub(super) fn of(
        document: &SettingsDocument,
        (name, at): (&str, &str),
        new: impl Into<Value>,
    ) -> Self {
        Self { name: name.to_owned(), at: at.to_owned(), old: document.at(at), new: new.into() }
    }

    /// Whether it changes anything.
    pub(super) fn is_change(&self) -> bool {
        !same(&self.old, &self.new)
    }

    /// What it was and what it will be, fit for people to see.
    pub(super) fn shown(&self) -> [String; 3] {
        [self.name.clone(), shown(&self.name, &self.old), shown(&self.name, &self.new)]
    }
}

impl SetupCall {
    /// A change of a resource, if anything of it changes.
    pub(super) fn change(
        (name, resource): (impl Into<String>, SettingsResource),
        fields: Vec<SettingField>,
        why: impl Into<String>,
    ) -> Option<Self> {
        fields.iter().any(SettingField::is_change).then(|| Self {
            name: name.into(),
            target: Target::Change { resource },
            fields,
            why: why.into(),
            is_way_back: false,
        })
    }

    /// The fields that change.
    pub(super) fn changes(&self) -> impl Iterator<Item = &SettingField> {
        self.fields.iter().filter(|field| field.is_change())
    }

    /// What is sent: what changes; on the way back also what belongs to it.
    pub(super) fn sent(&self) -> impl Iterator<Item = &SettingField> {
        let goes_along = |field: &&SettingField| {
            field.is_change() || (self.is_way_back && !is_nothing(&field.new))
        };
        self.fields.iter().filter(goes_along)
    }

    /// The resource, or the list of a new one.
    pub(super) const fn resource(&self) -> &SettingsResource {
        match &self.target {
            Target::Change { resource }
            | Target::Make { resource, .. }
            | Target::Remove { resource } => resource,
        }
    }

    /// The request's method and path, as people write them.
    pub(super) fn request(&self) -> String {
        let method = match self.target {
            Target::Change { .. } | Target::Make { .. } => "POST",
            Target::Remove { .. } => "DELETE",
        };
        format!("{method} {}", self.resource().path.join("/"))
    }

    /// What is sent. A list is sent whole, what is to be nothing is sent empty.
    pub(super) fn form(&self, fields: &[&SettingField]) -> SettingsForm {
        if is_json(self.resource()) {
            let mut webhook = serde_json::Map::new();
            for field in fields {
                let name = field.name.rsplit('.').next().unwrap_or(&field.name);
                let value = if is_nothing(&field.new) { json!("") } else { field.new.clone() };
                webhook.insert(name.to_owned(), value);
            }
            return SettingsForm::Json(json!({ "webhook": webhook }));
        }
        let pairs = fields
            .iter()
            .flat_map(|field| texts(&field.new).into_iter().map(|text| (field.name.clone(), text)));
        SettingsForm::Fields(pairs.collect())
    }

    /// How what Twilio has now stands to it; what is not there is no document. What goes along counts for nothing,
    /// since Twilio may drop what has no use without it.
    pub(super) fn standing(&self, now: Option<&SettingsDocument>) -> CallStanding {
        let all = |wanted: fn(&SettingField) -> &Value| {
            now.is_some_and(|now| {
                self.changes().all(|field| same(&now.at(&field.at), wanted(field)))
            })
        };
        match (&self.target, now) {
            (Target::Make { .. }, None) => CallStanding::Before,
            (Target::Remove { .. }, None) => CallStanding::After,
            (Target::Remove { .. }, Some(_)) if all(|field| &field.old) => CallStanding::Before,
            (Target::Change { .. } | Target::Make { .. }, Some(_)) if all(|field| &field.new) => {
                CallStanding::After
            }
            (Target::Change { .. }, Some(_)) if all(|field| &field.old) => CallStanding::Before,
            (Target::Change { .. }, None)
            | (Target::Change { .. } | Target::Make { .. } | Target::Remove { .. }, Some(_)) => {
                CallStanding::Neither
            }
        }
    }
}

/// Names an address without saying it.
pub(super) fn digest(address: &Pii) -> String {
    let bytes = bytes16::digest([address.reveal().as_bytes()]);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a resource takes JSON. Source: definition of April 2026, `UpdateChannelsSender`.
pub(super) fn is_json(resource: &SettingsResource) -> bool {
    resource.path.iter().any(|part| part == "Senders")
}

/// Whether two values are the same to Twilio. Lists are, in whatever order.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    if is_nothing(one) || is_nothing(other) {
        return is_nothing(one) && is_nothing(other);
    }
    match (one, other) {
        (Value::Array(_), Value::Array(_)) => sorted(one) == sorted(other),
        // A method may be written in either case.
        (Value::String(one), Value::String(other)) if is_method(one) => {
            one.eq_ignore_ascii_case(other)
        }
        _ => one == other,
    }
}

fn sorted(list: &Value) -> Vec<String> {
    let mut texts = texts(list);
    texts.sort_unstable();
    texts
}

fn is_method(text: &str) -> bool {
    ["GET", "POST", "PUT"].iter().any(|method| text.eq_ignore_ascii_case(method))
}

/// Whether a value says nothing.
pub(super) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// A value as a form has it: each entry of a list, one empty text for nothing.
pub(super) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) if !list.is_empty() => list.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.clone()],
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => vec![value.to_string()],
        Value::Null | Value::Array(_) => vec![String::new()],
    }
}

/// A value fit for people to see.
fn shown(name: &str, value: &Value) -> String {
    if is_nothing(value) {
        return "nothing".to_owned();
    }
    let shown = |text: String| {
        if name == ADDRESS {
            mask_address(&text)
        } else if text.contains("://") {
            without_values(&text)
        } else {
            text
        }
    };
    texts(value).into_iter().map(shown).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::rest::SettingsApi;

    fn document(value: Value) -> SettingsDocument {
        SettingsDocument(value.as_object().unwrap().clone())
    }

    #[test]
    fn nothing_is_nothing_however_it_is_written_and_order_and_case_count_for_nothing() {
        for (one, other, is_same) in [
            (json!(null), json!(""), true),
            (json!([]), json!(null), true),
            (json!("POST"), json!("post"), true),
            (json!(["a", "b"]), json!(["b", "a"]), true),
            (json!(["a"]), json!(["a", "a"]), false),
            (json!("https://A/"), json!("https://a/"), false),
            (json!(false), json!(null), false),
            (json!(true), json!(true), true),
        ] {
            assert_eq!(same(&one, &other), is_same, "{one} {other}");
        }
    }

    #[test]
    fn what_is_shown_has_no_number_and_no_secret_of_a_url() {
        for (name, value, wanted) in [
            (ADDRESS, json!("+15555550123"), "+…23"),
            (
                "Url",
                json!("https://me:planted@h.example/x?k=planted#rc=3"),
                "https://h.example/x?k=…",
            ),
            ("Filters", json!(["a", "b"]), "a, b"),
            ("Enabled", json!(true), "true"),
            ("Url", json!(null), "nothing"),
        ] {
            assert_eq!(shown(name, &value), wanted);
        }
    }

    #[test]
    fn a_call_is_before_or_after_or_somebody_has_been_there() {
        let resource = SettingsResource::new(SettingsApi::Core, ["x"]);
        let field = SettingField::of(&document(json!({"a": {"b": "old"}})), ("A.B", "a.b"), "new");
        let change = SetupCall::change(("x", resource.clone()), vec![field], "").unwrap();
        let target = Target::Make { resource: resource.clone(), address: String::new() };
        let make = SetupCall { target, ..change.clone() };
        let remove = SetupCall { target: Target::Remove { resource }, ..change.clone() };
        let now = |text: &str| document(json!({"a": {"b": text}}));
        for (call, now, wanted) in [
            (&change, Some(now("old")), CallStanding::Before),
            (&change, Some(now("new")), CallStanding::After),
            (&change, Some(now("else")), CallStanding::Neither),
            (&change, None, CallStanding::Neither),
            (&make, None, CallStanding::Before),
            (&make, Some(now("new")), CallStanding::After),
            (&make, Some(now("else")), CallStanding::Neither),
            (&remove, None, CallStanding::After),
            (&remove, Some(now("old")), CallStanding::Before),
            (&remove, Some(now("else")), CallStanding::Neither),
        ] {
            assert_eq!(call.standing(now.as_ref()), wanted, "{:?}", call.target);
        }
    }

    #[test]
    fn a_list_is_sent_entry_by_entry_and_nothing_as_an_empty_field() {
        let resource = SettingsResource::new(SettingsApi::Conversations, ["x"]);
        let fields = vec![
            SettingField::of(&document(json!({})), ("Filters", "filters"), json!(["a", "b"])),
            SettingField::of(&document(json!({"url": "x"})), ("Url", "url"), Value::Null),
            SettingField::of(&document(json!({})), ("On", "on"), true),
        ];
        let call = SetupCall::change(("x", resource), fields, "").unwrap();
        let SettingsForm::Fields(pairs) = call.form(&call.changes().collect::<Vec<_>>()) else {
            panic!("no form")
        };
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("Filters", "a"), ("Filters", "b"), ("Url", ""), ("On", "true")]);
    }
}
