//! The agent behind queues of Amazon SQS: turns go out by one, replies come back by the other.
//!
//! A turn is sent as the one document and is done when the queue has it; what its consumer makes of it comes
//! back minutes later or never, and enters the outbox by [`later`](super::later). A consumer may be a Lambda,
//! and fail: the queue brings the turn again, and after its `maxReceiveCount` puts it into its dead-letter
//! queue.
//!
//! [`letter`], [`queued_turn`], [`facts`] and [`error`] decide, and are pure; `queue` and `aws` alone speak to
//! SQS. Time enters through the clock. Text and addresses go into the queue, that is what it is for, and
//! never into the log.

mod agent;
mod aws;
mod consume;
mod error;
mod examine;
mod facts;
mod kind;
mod letter;
mod queue;
mod queued_turn;
mod run;
pub mod settings;
mod state;

pub use self::agent::{Options, Sqs};
pub use self::aws::{AwsKey, SqsAccess};
pub use self::kind::Kind;
