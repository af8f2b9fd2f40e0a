//! Log fields, metrics and the journal, each named once.
