//! Log fields, metrics and the journal, each named once.

pub mod journal;
