//! The keyed durable queue: joins, inbox and outbox are the same thing.
