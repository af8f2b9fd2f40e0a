//! The manual as values, so that tables in other documents cannot drift.
//!
//! Pure. It is put together of `manual.toml` beside this and of what the kinds of agents say of their own
//! keys; `config/default.toml` is the whole of it, written by the house's tests. Its form is the rule: a
//! `[section]`, then for each key its sentences as `# ` comments, one `# Environment: …` line, and the key,
//! commented out as `#key` if there is no default. A text that begins without a section goes on with the
//! one before it.

use std::fmt::Write as _;

use toml::Table;

use super::agents::Declaration;

/// What is said of the house's own keys.
const OWN: &str = include_str!("manual.toml");

/// The line of it that the kinds of agents stand in the place of.
const MARK: &str = "#: kinds of agents\n\n";

/// The manual of all keys that there are.
#[derive(Clone, Debug)]
pub struct Manual {
    text: String,
}

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

impl Manual {
    /// Puts it together.
    pub(super) fn of(kinds: &[Declaration]) -> Self {
        let said = kinds.iter().map(|kind| kind.manual).filter(|text| !text.is_empty());
        let said: String = said.map(|text| format!("{text}\n")).collect();
        Self { text: OWN.replace(MARK, &said) }
    }

    /// Gives its text, which is TOML.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Gives the default layer.
    #[must_use]
    pub(super) fn defaults(&self) -> Table {
        self.text.parse().expect("the manual is compiled in and a test parses it")
    }

    /// Gives every key in order.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut section = "";
        let (mut meaning, mut environment) = (Vec::new(), "");
        for line in self.text.lines() {
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

    /// Writes it as a table in Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut table =
            String::from("| variable | key | default | meaning |\n| --- | --- | --- | --- |\n");
        for entry in self.entries() {
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
}

#[cfg(test)]
mod tests {
    use crate::agent::kinds::schema;

    #[test]
    fn the_manual_and_the_code_have_the_same_keys_in_the_same_order() {
        let manual: Vec<String> =
            schema().manual().entries().into_iter().map(|entry| entry.name).collect();
        let keys = schema().keys();
        let code: Vec<&str> = keys.iter().map(|key| key.name).collect();
        assert_eq!(manual, code);
    }

    #[test]
    fn the_manual_names_the_variables_that_the_code_reads() {
        for (entry, key) in schema().manual().entries().iter().zip(schema().keys()) {
            assert_eq!(entry.environment, key.variables().join(", then "), "{}", key.name);
        }
    }

    #[test]
    fn the_manual_marks_what_is_secret_and_says_what_each_key_means() {
        for (entry, key) in schema().manual().entries().iter().zip(schema().keys()) {
            let is_marked = entry.meaning.contains("ecret.");
            assert_eq!(is_marked, key.secret, "{}", key.name);
            assert!(entry.meaning.ends_with('.'), "{}", key.name);
            assert!(!key.secret || entry.default.is_none(), "{}", key.name);
        }
    }

    #[test]
    fn the_manual_says_required_where_a_value_is() {
        for (entry, key) in schema().manual().entries().iter().zip(schema().keys()) {
            let is_said =
                entry.meaning.contains("Required.") || entry.meaning.contains("Required,");
            let is_required = entry.default.is_none() && !key.optional;
            assert_eq!(is_said, is_required, "{}", key.name);
        }
        assert_eq!(
            schema().required_variables(),
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
        assert_eq!(schema().manual().markdown().lines().count(), schema().keys().len() + 2);
    }
}
