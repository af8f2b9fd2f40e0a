//! What types are called: a name stands for one thing.
//!
//! Words that are read with their module (`rest::Error`, `http::Options`) are every module's own. Of the
//! other names those that were guessed wrong are used once, and the number of the rest only falls.

use std::collections::BTreeMap;

use super::{assert_none, sources};

/// Words that every module may have one of its own of.
const WITH_MODULE: &[&str] = &[
    "Answer", "Args", "Command", "Core", "Err", "Error", "Event", "Input", "Kind", "Limits",
    "Names", "Op", "Options", "Output", "Record", "Shared", "State", "Value",
];

/// Names that stood for many things once, and stand for one.
const ONCE: &[&str] =
    &["Desk", "Ear", "House", "Line", "Member", "Place", "Places", "Refusal", "Way"];

/// How many other names stand for several things. Lower it where one is gone.
const SEVERAL: usize = 190;

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
        .filter(|(name, at)| at.len() > 1 && !WITH_MODULE.contains(&name.as_str()))
        .map(|(name, at)| format!("{name}: {}", at.join(", ")))
        .collect();
    let count = several.len();
    assert!(count <= SEVERAL, "{count} names stand for several things:\n{}", several.join("\n"));
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
    let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
    let is_type = matches!(words.next()?, "struct" | "enum" | "trait");
    let name = words.next().filter(|_| is_type)?;
    name.split(|letter: char| !letter.is_alphanumeric()).next()
}
