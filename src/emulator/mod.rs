//! A Twilio for one machine: Conversations over REST, webhooks and the realtime socket, for tests,
//! demonstrations and development without an account.

pub mod record;
pub mod state;
