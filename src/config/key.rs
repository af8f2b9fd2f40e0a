//! The names of a setting: in the manual and files, and in the environment.
//!
//! Pure. Which settings there are is for sections to say; what reads them is given their keys.

use super::kinds::Setting;

/// The variable that names the configuration file.
pub const FILE_VARIABLE: &str = "CHIMEIN_CONFIG";

/// One setting's names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Key {
    /// Section and key: `agent.url`.
    pub name: &'static str,
    /// Names that others rely on; without any the name is made from the key.
    named: &'static [&'static str],
    /// Whether the value must not be shown.
    pub secret: bool,
    /// Whether there may be no value.
    pub optional: bool,
}

impl Key {
    /// Names a setting of a kind of value; without variables that others rely on, its own is made of the name.
    #[must_use]
    pub const fn of<T: Setting>(name: &'static str, named: &'static [&'static str]) -> Self {
        Self { name, named, secret: T::SECRET, optional: T::OPTIONAL }
    }

    /// Gives its name in its section: `url`.
    #[must_use]
    pub fn field(&self) -> &'static str {
        section_and_field(self.name).1
    }

    /// Gives the environment variables that set it, the first one that is set wins.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        if self.named.is_empty() {
            return vec![format!("CHIMEIN_{}", self.name.replace('.', "_").to_uppercase())];
        }
        self.named.iter().map(|&name| name.to_owned()).collect()
    }
}

/// A key's section and its name in it.
pub(super) fn section_and_field(name: &str) -> (&str, &str) {
    name.split_once('.').expect("every key has a section")
}
