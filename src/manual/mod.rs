//! The manual's pages.

#[doc = include_str!("security.md")]
pub mod security {}

#[doc = include_str!("temporal.md")]
pub mod temporal {}

#[doc = include_str!("lambda.md")]
pub mod lambda {}

#[doc = include_str!("celery.md")]
pub mod celery {}
