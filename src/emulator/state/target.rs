//! Where a webhook goes, and whose it is.
//!
//! Pure. Source: webhook notes 1.1, read 2026-11-21.

use super::model::HookMethod;
use super::words::words;

/// Whose webhook it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scope {
    /// The account's.
    Account,
    /// The service's.
    Service,
    /// One conversation's.
    Conversation,
    /// A number's own, of the messaging API.
    Number,
    /// A message's status callback, of the messaging API.
    Message,
}

impl Scope {
    /// Its name in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Service => "service",
            Self::Conversation => "conversation",
            Self::Number => "number",
            Self::Message => "message",
        }
    }
}

words! {
    /// Which of the wide scopes fires when both are set: the vendor's page and a live trial differ.
    ScopeRule {
        /// The service's settings override the account's.
        Documented = "documented",
        /// As documented, but `onMessageAdded` from a carrier goes to the account's.
        Observed = "observed",
    }
}

/// Where an event goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// Whose webhook it is.
    pub scope: Scope,
    /// The URL.
    pub url: String,
    /// The method.
    pub method: HookMethod,
}
