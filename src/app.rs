//! The composition root: builds everything, owns start order and graceful stop.
