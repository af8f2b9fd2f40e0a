//! Whose requests are taken, how they are checked, and the bounds.

use std::time::Duration;

use super::url::{Nameable, PublicBase, Scheme};
use crate::net::authority::Hosts;
use crate::twilio::sid::{AccountSid, ChatServiceSid};
use crate::twilio::signature::Keys;

/// Whose requests are taken, how they are checked, and the bounds.
#[derive(Clone, Debug)]
pub struct Options {
    /// The account whose events are taken.
    pub account_sid: AccountSid,
    /// The chat service whose events are taken; every one if there is none.
    pub chat_service_sid: Option<ChatServiceSid>,
    /// Further paths that messages arrive at, beside [`TEXT_ROUTES`](super::TEXT_ROUTES); none that is
    /// served otherwise.
    pub text_paths: Vec<String>,
    /// The secrets that may have signed.
    pub keys: Keys,
    /// How Twilio reaches this service; nothing of the request is trusted for it.
    pub public_base: Option<PublicBase>,
    /// Which hosts requests may say that they called, where there is no public base.
    pub nameable: Nameable,
    /// Whether forwarded headers may say what Twilio called, where there is no public base.
    pub trust_forwarded: bool,
    /// The scheme that the listener speaks, where neither of these says.
    pub listener_scheme: Scheme,
    /// How many bytes a body may have.
    pub body_bytes_max: usize,
    /// How long a body may take to arrive.
    pub read_timeout: Duration,
    /// How long a request may take until it is answered, storing included; under the 5 s that Twilio
    /// waits, and hardly so, because an event that is refused does not come again.
    pub answer_within: Duration,
}

impl Options {
    /// Fills in the bounds: 64 KiB, 3 s to read, 4.5 s in all; no public base, no host that may
    /// be named instead, so nothing is taken before one of the two is given; no forwarded headers.
    #[must_use]
    pub fn new(account_sid: AccountSid, keys: Keys) -> Self {
        Self {
            account_sid,
            chat_service_sid: None,
            text_paths: Vec::new(),
            keys,
            public_base: None,
            nameable: Nameable::Listed(Hosts::default()),
            trust_forwarded: false,
            listener_scheme: Scheme::Http,
            body_bytes_max: 64 * 1024,
            read_timeout: Duration::from_secs(3),
            answer_within: Duration::from_millis(4_500),
        }
    }
}
