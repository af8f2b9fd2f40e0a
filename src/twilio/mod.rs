//! What is known about Twilio, without a socket of the realtime kind: sids, webhook events, the
//! error catalogue, the signature, forms, access tokens, and the REST client.
//!
//! Everything but [`rest`] is pure: text and the time go in, values come out.

use std::time::Duration;

pub mod access_token;
pub mod catalogue;
pub mod events;
pub mod form;
pub mod keywords;
pub mod messaging;
pub mod rest;
pub mod sid;
pub mod signature;

/// How far Twilio's clock and ours may be apart. Assumed: both are kept by NTP, so this is ample.
pub const SKEW_MAX: Duration = Duration::from_secs(300);
