//! Configuration, seats, messages, read horizon and typing, on top of Sync.
