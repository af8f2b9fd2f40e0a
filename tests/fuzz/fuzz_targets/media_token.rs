//! Drives `media_token` of the targets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chimein_fuzz::targets::media_token(bytes));
