//! Drives `webhook_text` of the targets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chimein_fuzz::targets::webhook_text(bytes));
