//! What types are called: a name stands for one thing.
//!
//! Words for the part that something plays are every module's own, and one thing may have a type on each of
//! its sides. All other names are used once.

use std::collections::BTreeMap;

use super::{assert_none, sources};

/// Words that every module may have one of its own of, since they say what part something plays there and are
/// read with the module: `rest::Error`, `http::Options`.
const WITH_MODULE: &[(&str, &str)] = &[
    ("Answer", "what comes back"),
    ("Args", "what a command is told"),
    ("Batch", "several of the module's things at once"),
    ("Change", "what has become different of the module's thing"),
    ("Client", "who asks by the module's protocol"),
    ("Command", "what can be ordered"),
    ("Core", "the pure part of a machine"),
    ("Driver", "the task that owns a core's sockets and clock"),
    ("Document", "what the module writes for others to read"),
    ("Entry", "one row of the module's table"),
    ("Error", "why the module could not"),
    ("Event", "what a machine tells"),
    ("Facts", "what a pure decision is given"),
    ("Failed", "how the module's work ended that did not succeed"),
    ("Failure", "what is known of what did not succeed"),
    ("Fault", "what goes wrong, or is made to"),
    ("Filter", "which of the module's things are wanted"),
    ("Format", "how the module's output looks"),
    ("Found", "what the module looked for and saw"),
    ("Health", "how the module's other end is"),
    ("Input", "what a machine is told"),
    ("Item", "one of a list"),
    ("Key", "what the module's things are found by"),
    ("Kind", "which of several"),
    ("Known", "what is known already of the module's thing"),
    ("Limits", "the module's bounds"),
    ("Names", "the module's words"),
    ("Op", "one of the module's operations"),
    ("Options", "what the module is told when it is made"),
    ("Outcome", "how the module's work ended"),
    ("Output", "what a machine wants done"),
    ("Page", "a part of a listing"),
    ("Phase", "where in its life the module's thing is"),
    ("Problem", "what is wrong, with what to do about it"),
    ("Read", "what the module reads"),
    ("Reader", "who reads"),
    ("Reason", "why the module decided so"),
    ("Record", "what is stored"),
    ("Report", "what is told afterwards"),
    ("Request", "what the module's protocol asks"),
    ("Retention", "for how long the module keeps"),
    ("Retry", "whether and when once more"),
    ("Scope", "how far the module's thing reaches"),
    ("Service", "the whole that others call"),
    ("Settings", "what somebody may choose"),
    ("Shared", "what the module's tasks have in common"),
    ("Start", "from where the module begins"),
    ("State", "how a machine stands"),
    ("Status", "how the module's other end answered or is"),
    ("Step", "what a machine does next"),
    ("Target", "what the module's work is aimed at"),
    ("Verdict", "what the module's judge decides"),
];

/// Names of one thing that several rooms have each from their side.
const SIDES: &[(&str, &str)] = &[
    ("Binding", TWILIOS),
    ("Choice", TWILIOS),
    ("Cluster", "with NATS, without it, and as the pages show it"),
    ("Conversation", TWILIOS),
    ("ConversationState", TWILIOS),
    ("Credentials", TWILIOS),
    ("DeadLetters", "as the store lists them, and as the operator works on them"),
    ("Dispatch", ENGINES),
    ("Extras", TWILIOS),
    ("Fields", TWILIOS),
    ("Grown", ENGINES),
    ("Inbound", TWILIOS),
    ("Media", TWILIOS),
    ("Message", TWILIOS),
    ("NewMessage", TWILIOS),
    ("Participant", TWILIOS),
    ("PassOn", ENGINES),
    ("Progress", SETTING),
    ("Receipt", TWILIOS),
    ("Referral", TWILIOS),
    ("Rejoin", SETTING),
    ("Schedule", SETTING),
    ("Seat", "as the client keeps it, as policy judges it, and as the pages show it"),
    ("Seats", "as the client keeps them, and as the channel does"),
    ("Senders", SETTING),
    ("Sent", "as the client's sending ended, and as the channel's did"),
    ("Session", TWILIOS),
    ("Since", SETTING),
    ("Socket", TWILIOS),
    ("Source", SETTING),
    ("Template", TWILIOS),
    ("Text", TWILIOS),
    ("TextIntake", "the trait, and the one type that is one"),
    ("Unread", ENGINES),
    ("Unseen", ENGINES),
    ("User", TWILIOS),
];

/// Why Twilio's things have several types.
const TWILIOS: &str =
    "as REST, webhooks and socket have it; the emulator shares no type with what it tests";

/// Why the store's parts have two types.
const ENGINES: &str = "as each of the queue's two engines has it, which behave alike";

/// Why what is set has two types.
const SETTING: &str = "as it is set, and as its room uses it";

/// Names that stood for many things once, and stand for one.
const ONCE: &[&str] =
    &["Desk", "Ear", "House", "Line", "Member", "Place", "Places", "Refusal", "Way"];

#[test]
fn a_types_name_stands_for_one_thing() {
    let places = places();
    let findings: Vec<String> = ONCE
        .iter()
        .filter_map(|name| places.get(*name).filter(|places| places.len() > 1).map(|at| (name, at)))
        .map(|(name, at)| format!("{name}: {}", at.join(", ")))
        .collect();
    assert_none("a name that was guessed wrong stands for several things again", &findings);
    let several: Vec<String> = places
        .iter()
        .filter(|(name, at)| at.len() > 1 && !is_listed(name))
        .map(|(name, at)| format!("{name}: {}", at.join(", ")))
        .collect();
    assert_none("a name stands for several things", &several);
}

#[test]
fn only_names_that_stand_for_several_things_are_listed() {
    let places = places();
    let listed = WITH_MODULE.iter().chain(SIDES);
    let idle = listed.filter(|(name, _)| places.get(*name).is_none_or(|at| at.len() < 2));
    let idle: Vec<String> = idle.map(|(name, reason)| format!("{name} ({reason})")).collect();
    assert_none("a listed name stands for one thing", &idle);
}

fn is_listed(name: &str) -> bool {
    WITH_MODULE.iter().chain(SIDES).any(|(listed, _)| *listed == name)
}

/// Where each name is given to a type.
fn places() -> BTreeMap<String, Vec<String>> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources("src") {
        for line in source.code() {
            let Some(name) = named(line) else { continue };
            let at = places.entry(name.to_owned()).or_default();
            if !at.contains(&source.path) {
                at.push(source.path.clone());
            }
        }
    }
    places
}

/// The name that a line gives to a type.
fn named(line: &str) -> Option<&str> {
    let line = match line.trim_start().strip_prefix("pub(") {
        Some(rest) => rest.split_once(')')?.1,
        None => line,
    };
    let mut words = line.split_whitespace().skip_while(|word| *word == "pub");
    let is_type = matches!(words.next()?, "struct" | "enum" | "trait");
    let name = words.next().filter(|_| is_type)?;
    name.split(|letter: char| !letter.is_alphanumeric()).next().filter(|name| !name.is_empty())
}
