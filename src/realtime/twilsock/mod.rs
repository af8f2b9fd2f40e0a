//! Twilsock V3: the WebSocket layer. Frame codec, session machine, backoff, socket driver.

pub mod backoff;
pub mod driver;
pub mod frame;
mod hello;
pub mod requests;
pub mod session;
mod signals;
mod tokens;
