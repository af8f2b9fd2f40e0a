//! Sync objects: the subscription book, replay, event application, reads and paging.
