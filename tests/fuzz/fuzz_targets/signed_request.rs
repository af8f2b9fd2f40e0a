//! Drives `signed_request` of the targets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chimein_fuzz::targets::signed_request(bytes));
