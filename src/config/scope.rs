//! One of several that have the same keys: an agent by name, or a route by its place.
//!
//! Pure. Its keys are `agents.sales.timeout` in the file and on every page, and
//! `CHIMEIN_AGENTS_SALES_TIMEOUT` in the environment.

use toml::Table;

use super::environment::Environment;
use super::key::Key;

/// One of several.
#[derive(Debug)]
pub(super) struct Scope {
    /// What its keys begin with, such as `agents.sales`.
    pub(super) name: String,
    /// Its part of the file.
    pub(super) table: Option<Table>,
    /// The keys that it has for itself; of two that have the same name in their sections the later one counts.
    pub(super) keys: Vec<Key>,
    /// Whether it has what it does not say from the plain sections.
    pub(super) inherits: bool,
}

impl Scope {
    /// What one of its keys is called.
    pub(super) fn key(&self, key: &Key) -> String {
        format!("{}.{}", self.name, key.field())
    }

    /// The variable that sets a key of this name in its section.
    pub(super) fn variable(&self, field: &str) -> String {
        variable(&format!("{}.{field}", self.name))
    }

    /// Whether it has a key for itself.
    pub(super) fn has(&self, key: &Key) -> bool {
        let same = self.keys.iter().rfind(|known| known.field() == key.field());
        same.is_some_and(|known| known.name == key.name)
    }

    /// Whether it says something of a key itself.
    pub(super) fn says(&self, field: &str, environment: &Environment) -> bool {
        let variable = self.variable(field);
        let has = |name: &str| environment.get(name).is_some();
        let file = self.table.as_ref();
        has(&variable)
            || has(&format!("{variable}_FILE"))
            || file.is_some_and(|table| {
                table.contains_key(field) || table.contains_key(&format!("{field}_file"))
            })
    }

    /// All names that its part of the file may have.
    pub(super) fn fields(&self) -> Vec<String> {
        let names = self.keys.iter().flat_map(|key| {
            let name = key.field();
            std::iter::once(name.to_owned()).chain(key.secret.then(|| format!("{name}_file")))
        });
        names.collect()
    }

    /// All variables that may set something of it.
    pub(super) fn variables(&self) -> Vec<String> {
        self.fields().iter().map(|field| self.variable(field)).collect()
    }
}

/// The variable of a name such as `agents.sales.timeout`.
pub(super) fn variable(name: &str) -> String {
    format!("CHIMEIN_{}", name.replace(['.', '-'], "_").to_uppercase())
}
