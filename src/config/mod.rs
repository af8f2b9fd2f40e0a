//! Typed settings with their manual.
