//! What somebody may do on the console. Pure.

/// What somebody may do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConsoleRole {
    /// Look.
    Read,
    /// Look and act.
    Act,
}

impl ConsoleRole {
    /// The words for it.
    #[must_use]
    pub const fn shown(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Act => "read, act",
        }
    }
}
