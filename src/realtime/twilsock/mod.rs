//! Twilsock V3: the WebSocket layer. Frame codec, session machine, backoff, socket driver.

pub mod frame;
