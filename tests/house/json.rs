//! JSON from outside is read in one room, and null is what is absent in all of it.

use super::{Source, assert_none, sources};

/// Who reads JSON by itself, and why that is no danger.
const OWN_READERS: &[(&str, &str)] = &[
    ("src/admin/dead_letters.rs", "payloads that we stored"),
    ("src/admin/mask.rs", "payloads that we stored"),
    ("src/agent/form.rs", "a list of raw values, which are read by the room"),
    ("src/app/resume_store.rs", "a file that we wrote"),
    ("src/cli/admin_api.rs", "the answers of our own service"),
    ("src/cli/emulator/fault.rs", "the answers of our own emulator"),
    ("src/cluster/records.rs", "records that we wrote"),
    ("src/emulator/control/http.rs", "values that the room has read"),
    ("src/emulator/defects.rs", "attributes of the emulator's own state"),
    ("src/emulator/snapshot.rs", "a file that we wrote"),
    ("src/emulator/state/mod.rs", "whether attributes are JSON at all"),
    ("src/emulator/state/projection.rs", "attributes, which stay text where they cannot be read"),
    ("src/emulator/twilsock/subscriptions.rs", "values that the room has read"),
    ("src/json/", "the room"),
    ("src/channels/conversations/join.rs", "payloads that we stored"),
    ("src/channels/conversations/policy/join_policy.rs", "a value of the settings"),
    ("src/pipeline/origins.rs", "notes that we wrote"),
    ("src/pipeline/report.rs", "payloads that we stored"),
    ("src/pipeline/send/mod.rs", "payloads that we stored"),
    ("src/pipeline/turn/mod.rs", "payloads that we stored"),
    ("src/pipeline/turn/batch.rs", "payloads that we stored"),
    ("src/queue/", "records that we wrote"),
    ("src/realtime/conversations/model.rs", "a list of raw values, which are read by the room"),
    ("src/realtime/conversations/seats.rs", "a page of raw values, which are read by the room"),
    ("src/realtime/sync/event.rs", "the protocol's own words around raw values"),
    ("src/twilio/catalogue.rs", "a table that is compiled in"),
    ("src/twilio/events/payload.rs", "a list of raw values, which are read by the room"),
    ("src/twilio/rest/pages.rs", "a list of raw values, which are read by the room"),
];

/// Where what is read is only what we wrote, which is never null.
const OWN_RECORDS: &[&str] = &[
    "src/channels/conversations/record.rs",
    "src/channels/direct/policy/contact.rs",
    "src/cluster/records.rs",
    "src/emulator/state/mod.rs",
    "src/pipeline/record.rs",
    "src/queue/jetstream/",
];

#[test]
fn json_from_outside_is_read_in_one_room() {
    let (mut findings, mut used) = (Vec::new(), Vec::new());
    for source in sources("src") {
        let own = OWN_READERS.iter().find(|(path, _)| source.path.starts_with(path));
        for line in source.code().filter(|line| line.contains("serde_json::from_")) {
            match own {
                Some((path, _)) => used.push(*path),
                None => findings.push(format!("{}: {}", source.path, line.trim())),
            }
        }
    }
    let idle = OWN_READERS.iter().filter(|(path, _)| !used.contains(path));
    findings.extend(idle.map(|(path, _)| format!("{path} reads nothing by itself any more")));
    assert_none("JSON is read outside src/json", &findings);
}

#[test]
fn null_is_what_is_absent_wherever_a_field_may_be_missing() {
    let mut findings = Vec::new();
    for source in sources("src") {
        if !OWN_RECORDS.iter().any(|path| source.path.starts_with(path)) {
            findings.extend(strict_about_null(&source));
        }
    }
    assert_none("a field may be missing and must not be null: json::null_as_default", &findings);
}

#[test]
fn fields_that_refuse_null_are_found() {
    let text = "struct A {\n    #[serde(default)]\n    a: Vec<u8>,\n    #[serde(\n        default = \"one\",\n    )]\n    \
                b: u8,\n    #[serde(default)]\n    c: Option<u8>,\n    \
                #[serde(default, deserialize_with = \"f\")]\n    d: u8,\n    #[serde(rename = \"x\")]\n    e: u8,\n}\n";
    let source = Source { path: "src/a.rs".to_owned(), text: text.to_owned() };
    assert_eq!(strict_about_null(&source), ["src/a.rs: a: Vec<u8>,", "src/a.rs: b: u8,"]);
}

/// Fields with a default that read no null.
fn strict_about_null(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = source.code().map(str::trim);
    let (mut attributes, mut open) = (String::new(), false);
    for line in &mut lines {
        if open || line.starts_with("#[") {
            attributes.push_str(line);
            open = !line.ends_with(']');
            continue;
        }
        let is_lenient = !attributes.contains("serde(") || attributes.contains("deserialize_with");
        let has_default = attributes.contains("default");
        let is_field = line.contains(": ") && line.ends_with(',') && !line.contains("Option<");
        if has_default && !is_lenient && is_field {
            found.push(format!("{}: {line}", source.path));
        }
        attributes.clear();
    }
    found
}
