//! The manual's pages.

#[doc = include_str!("security.md")]
pub mod security {}
