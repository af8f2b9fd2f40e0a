//! As whom the bot speaks in a thread.

use serde::{Deserialize, Serialize};

use crate::pii::Pii;

/// As whom the bot speaks: under an identity in a conversation, from an address of ours elsewhere.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// A chat identity, which the operator chose.
    Identity(String),
    /// A number of ours, or what stands for one.
    Address(Pii),
}

impl Speaker {
    /// The identity or address, for the one who needs it: Twilio, the agent.
    #[must_use]
    pub fn reveal(&self) -> &str {
        match self {
            Self::Identity(identity) => identity,
            Self::Address(address) => address.reveal(),
        }
    }
}
