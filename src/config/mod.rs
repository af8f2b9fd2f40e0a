//! Typed settings with their manual.

mod environment;

pub use environment::Environment;
