//! The realtime client of Twilio Conversations.
pub mod conversations;
pub mod event;
pub mod sync;
pub mod twilsock;
