//! The client against a small server.
