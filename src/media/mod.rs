//! Files of messages: an agent gets a link to each, or the bytes themselves, and nothing is stored.
//!
//! A link leads to our own listener and holds, signed, which file of which thread it is and until when it
//! counts ([`link`]). Whoever has it gets the file from there ([`door`]), as it comes from Twilio ([`fetch`]):
//! asked for with the credentials at the configured place alone, followed without them to where that points,
//! never to an address that is not of the internet at large, with a bound on its size, its time and on how
//! many are under way. [`offer`] makes of a turn's files what the agent is told of them.
//!
//! Not in the request by which Twilio tells of a message: a file is fetched when a turn is given to the agent,
//! or when its link is followed.

mod carry;
pub mod content_type;
pub mod door;
pub mod fetch;
pub mod link;
pub mod offer;

pub use self::door::MediaRoute;
pub use self::fetch::Fetch;
pub use self::link::Links;
pub use self::offer::{Data, Files, Offer, Offers, Reason};
