//! Alarms: what is wrong with the service is told to a webhook, when it begins and when it is over.
//!
//! [`rules`] decides, [`notice`] writes, [`teller`] looks and posts. A notice is a POST of JSON, signed by the
//! Standard Webhooks scheme; it is brought until somebody takes it, the oldest first, and says the same
//! `webhook-id` each time. What was firing when the service ended fires anew after it has begun again. Each of
//! several instances tells for itself and says its name.

pub mod notice;
pub mod rules;
pub mod teller;
