//! The names of a setting: in the manual and files, and in the environment.
//!
//! Pure. Which settings there are is `settings`' to say; what reads them is given their keys.

/// The variable that names the configuration file.
pub const FILE_VARIABLE: &str = "CHIMEIN_CONFIG";

/// One setting's names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Key {
    /// Section and key: `agent.url`.
    pub name: &'static str,
    /// Names that others rely on; without any the name is made from the key.
    pub(super) named: &'static [&'static str],
    /// Whether the value must not be shown.
    pub secret: bool,
    /// Whether there may be no value.
    pub optional: bool,
}

impl Key {
    /// Gives the environment variables that set it, the first one that is set wins.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        if self.named.is_empty() {
            return vec![format!("CHIMEIN_{}", self.name.replace('.', "_").to_uppercase())];
        }
        self.named.iter().map(|&name| name.to_owned()).collect()
    }
}
