//! The manual: `config/default.toml` as values, so that tables in other documents cannot drift.
//!
//! Pure. The file's own form is the rule: a `[section]`, then for each key its sentences as `# `
//! comments, one `# Environment: …` line, and the key, commented out as `#key` if there is no
//! default.

use std::fmt::Write as _;

use toml::Table;

use super::settings::KEYS;

/// The manual's text.
pub const TEXT: &str = include_str!("../../config/default.toml");

/// What the manual says about one key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Section and key.
    pub name: String,
    /// What it means, in whole sentences.
    pub meaning: String,
    /// The environment variables, as the manual writes them.
    pub environment: String,
    /// The default as written, `None` if there is none.
    pub default: Option<String>,
}

/// Gives the default layer.
#[must_use]
pub fn defaults() -> Table {
    TEXT.parse().expect("the manual is compiled in and a test parses it")
}

/// Gives every key of the manual in order.
#[must_use]
pub fn entries() -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut section = "";
    let (mut meaning, mut environment) = (Vec::new(), "");
    for line in TEXT.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
            meaning.clear();
        } else if let Some(names) = line.strip_prefix("# Environment: ") {
            environment = names;
        } else if let Some(sentence) = line.strip_prefix("# ") {
            meaning.push(sentence);
        } else if let Some((key, value)) = line.split_once(" = ") {
            let (key, default) = match key.strip_prefix('#') {
                Some(key) => (key, None),
                None => (key, Some(value.to_owned())),
            };
            entries.push(Entry {
                name: format!("{section}.{key}"),
                meaning: std::mem::take(&mut meaning).join(" "),
                environment: std::mem::take(&mut environment).to_owned(),
                default,
            });
        } else {
            meaning.clear();
        }
    }
    entries
}

/// Gives the variables of every key that must be set: neither optional nor with a default.
#[must_use]
pub fn required_variables() -> Vec<String> {
    let entries = entries();
    let without_default = entries.iter().zip(KEYS).filter(|(entry, _)| entry.default.is_none());
    without_default.filter(|(_, key)| !key.optional).flat_map(|(_, key)| key.variables()).collect()
}

/// Writes the manual as a table in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut table =
        String::from("| variable | key | default | meaning |\n| --- | --- | --- | --- |\n");
    for entry in entries() {
        let variables = entry.environment.replace(", then ", "`, then `");
        let default = entry.default.map_or(String::new(), |default| format!("`{default}`"));
        // Writing to a String does not fail.
        let _ = writeln!(
            table,
            "| `{variables}` | `{}` | {default} | {} |",
            entry.name,
            entry.meaning.replace('|', "\\|"),
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_and_the_code_have_the_same_keys_in_the_same_order() {
        let manual: Vec<String> = entries().into_iter().map(|entry| entry.name).collect();
        let code: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
        assert_eq!(manual, code);
    }

    #[test]
    fn the_manual_names_the_variables_that_the_code_reads() {
        for (entry, key) in entries().iter().zip(KEYS) {
            assert_eq!(entry.environment, key.variables().join(", then "), "{}", key.name);
        }
    }

    #[test]
    fn the_manual_marks_what_is_secret_and_says_what_each_key_means() {
        for (entry, key) in entries().iter().zip(KEYS) {
            let is_marked = entry.meaning.contains("ecret.");
            assert_eq!(is_marked, key.secret, "{}", key.name);
            assert!(entry.meaning.ends_with('.'), "{}", key.name);
            assert!(!key.secret || entry.default.is_none(), "{}", key.name);
        }
    }

    #[test]
    fn the_manual_says_required_where_a_value_is() {
        for (entry, key) in entries().iter().zip(KEYS) {
            let is_said =
                entry.meaning.contains("Required.") || entry.meaning.contains("Required,");
            let is_required = entry.default.is_none() && !key.optional;
            assert_eq!(is_said, is_required, "{}", key.name);
        }
        assert_eq!(
            required_variables(),
            [
                "TWILIO_ACCOUNT_SID",
                "TWILIO_AUTH_TOKEN",
                "TWILIO_API_KEY",
                "TWILIO_API_SECRET",
                "TWILIO_CHAT_SERVICE_SID",
                "TWILIO_IDENTITY",
            ]
        );
    }

    #[test]
    fn the_table_has_a_row_for_each_key() {
        assert_eq!(markdown().lines().count(), KEYS.len() + 2);
    }
}
