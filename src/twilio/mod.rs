//! What is known about Twilio, without a socket of the realtime kind: sids, webhook events, the
//! error catalogue, the signature, forms, access tokens, and the REST client.
//!
//! Everything but [`rest`] is pure: text and the time go in, values come out.

pub mod access_token;
pub mod catalogue;
pub mod events;
pub mod form;
pub mod keywords;
pub mod rest;
pub mod sid;
pub mod signature;
