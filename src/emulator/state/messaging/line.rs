//! The account's numbers and messaging services with their settings, as the console keeps them. Pure.

use serde::{Deserialize, Serialize};

use crate::emulator::state::model::HookMethod;
use crate::pii::Pii;
use crate::twilio::sid::MessagingServiceSid;

/// A number of the account, or another address that texts are sent from: `whatsapp:+…`, `rcs:…`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Number {
    /// The address.
    pub address: Pii,
    /// Where its inbound texts are told, with connection overrides in the fragment.
    pub url: Option<String>,
    /// Where they are told if that fails.
    pub fallback_url: Option<String>,
    /// GET or POST; POST if absent.
    pub method: Option<HookMethod>,
    /// Where the statuses of texts are told that name no place themselves.
    pub status_callback: Option<String>,
    /// An application that inbound texts go to instead; the emulator has none and tells nobody.
    pub application: Option<String>,
    /// The messaging service whose sender it is.
    pub service: Option<MessagingServiceSid>,
    /// Segments a second; by the kind of number if absent.
    pub rate: Option<u32>,
    /// Whether its inbound texts make conversations besides.
    pub conversations: bool,
}

/// A messaging service; its senders are the numbers that name it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MessagingService {
    /// Its sid; made if absent.
    pub sid: Option<MessagingServiceSid>,
    /// Where inbound texts of its senders are told; at each sender's own place if absent.
    pub url: Option<String>,
    /// GET or POST; POST if absent.
    pub method: Option<HookMethod>,
    /// Where they are told if that fails.
    pub fallback_url: Option<String>,
    /// Where the statuses of texts are told that name no place themselves.
    pub status_callback: Option<String>,
    /// Whether each sender's own place counts all the same.
    pub uses_numbers_url: bool,
    /// Whether Advanced Opt-Out is on, which says in the webhook what a word did and counts WhatsApp
    /// in. Source: support 31560110671259 and 360034798533, read 2026-11-29.
    pub advanced_opt_out: bool,
}

impl Number {
    /// A number whose inbound texts are told to `url`.
    #[must_use]
    pub fn told_to(address: impl Into<Pii>, url: impl Into<String>) -> Self {
        Self { address: address.into(), url: Some(url.into()), ..Self::default() }
    }
}
