//! Drives `operator_query` of the targets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chimein_fuzz::targets::operator_query(bytes));
