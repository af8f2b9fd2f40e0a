//! Twilio's requests: limit, verify, decode, store, answer.
