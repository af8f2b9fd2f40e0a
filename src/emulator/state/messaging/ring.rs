//! A request of the messaging product on its way to a webhook. Pure.

use crate::emulator::state::target::Target;
use crate::pii::Pii;
use crate::twilio::sid::TextSid;

/// The name under which faults find the webhook of inbound texts.
pub const INBOUND: &str = "inboundMessage";
/// The name under which faults find status callbacks.
pub const STATUS: &str = "messageStatus";

/// A request to be made.
#[derive(Clone, Debug)]
pub struct Ring {
    /// [`INBOUND`] or [`STATUS`].
    pub event: &'static str,
    /// Where it goes.
    pub target: Target,
    /// Where it goes if that fails.
    pub fallback: Option<String>,
    /// The text that it is about.
    pub text: TextSid,
    /// What it carries.
    pub fields: Vec<(String, Pii)>,
}
