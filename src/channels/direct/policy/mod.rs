//! The decisions about direct messages, all pure: what is known of a contact, what may be sent, whether a
//! listed message is the reply that is looked for, how a reply fares, how fast a sender may go.

pub mod contact;
pub mod match_text;
pub mod prepare;
pub mod reply_state;
pub mod row;
pub mod wish;
