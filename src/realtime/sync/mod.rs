//! Sync objects: the subscription book, replay, event application, reads and paging.
//!
//! All of it is pure: requests and notifications go through the session, the owner of the objects is
//! `conversations`.

pub mod book;
pub mod event;
pub mod read;
pub mod trail;
