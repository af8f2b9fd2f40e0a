//! The way of a message: doors, join, turn, send.
