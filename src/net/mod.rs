//! How this process reaches others: which proxy is between, whom it trusts, how it dials.
//!
//! Whatever goes out of the process passes here, so that there is one reading of the proxies, one TLS
//! configuration and one set of manners for all clients: REST, the agent, the collector of traces, the
//! socket. The one exception is NATS, whose client dials by itself: it is given the TLS configuration,
//! and knows no proxies. Source: async-nats 0.51, `connector.rs`, read 2026-11-21.

pub mod authority;
pub mod body;
pub mod dial;
pub mod http;
pub mod network;
pub mod place;
pub mod proxies;
pub mod public;
#[cfg(test)]
mod tests;
pub mod tls;
