//! The pipeline's decisions, all pure: what has to be known before a turn, what follows from how it ended,
//! what follows from an agent's silence, which messages make one, when a thread is a loop or a person's, what it
//! means that a message comes again, and in which pieces a reply is sent.

pub mod after_turn;
pub mod before_turn;
pub mod buttons;
pub mod guard;
pub mod keywords;
pub mod pause;
pub mod repeats;
pub mod routing;
pub mod split;
pub mod strategy;
pub mod turn_fate;
pub mod unheard;
