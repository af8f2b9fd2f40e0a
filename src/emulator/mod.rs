//! A Twilio for one machine.
