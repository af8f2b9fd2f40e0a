//! The targets as a library, for the binaries that libFuzzer drives.

pub mod targets;
