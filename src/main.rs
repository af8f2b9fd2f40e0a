//! The `chimein` binary: parses the command line and leaves everything else to the library.

fn main() {}
