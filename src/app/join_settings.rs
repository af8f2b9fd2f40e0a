//! The settings of `join`, `seats` and the beginning of `turns` as the channel wants them. Pure.

use crate::channels::conversations::policy::beginning::Begin;
use crate::channels::conversations::policy::join_policy::{JoinPolicy, Since};
use crate::channels::conversations::policy::leaving::Leaving;
use crate::channels::conversations::policy::removal::Rejoin;
use crate::config::kinds;
use crate::config::settings::{Join, Messaging, Seats, Turns};
use crate::pii::Pii;

/// Says which conversations the operator wishes the bot to be in.
#[must_use]
pub fn join_policy(join: &Join, messaging: &Messaging) -> JoinPolicy {
    // Where there are no conversations nobody asks.
    let usual = kinds::Source::Conversations;
    let is_direct = |address: &Pii| messaging.source(address, usual) == kinds::Source::Direct;
    JoinPolicy {
        direct: messaging.addresses().into_iter().filter(is_direct).collect(),
        addresses: join.addresses.0.clone(),
        attribute: join.attribute.clone().map(|kinds::Attribute { name, value }| (name, value)),
        created: join.created_after.map(|since| match since {
            kinds::Since::Time(at) => Since::Time(at),
            kinds::Since::Age(age) => Since::Age(age),
        }),
    }
}

/// Says whether the operator wishes the bot to come back where it was removed.
#[must_use]
pub const fn rejoin(join: &Join) -> Rejoin {
    match join.rejoin {
        kinds::Rejoin::Never => Rejoin::Never,
        kinds::Rejoin::Always => Rejoin::Always,
    }
}

/// Says from where on the operator wishes messages to be answered.
#[must_use]
pub const fn begin(turns: &Turns) -> Begin {
    match turns.begin {
        kinds::TurnsBegin::Unanswered => Begin::Unanswered,
        kinds::TurnsBegin::Now => Begin::Now,
        kinds::TurnsBegin::All => Begin::All,
    }
}

/// Says which conversations the operator wishes the bot to leave.
#[must_use]
pub const fn leaving(seats: &Seats) -> Leaving {
    Leaving { closed: seats.leave_closed, idle_after: seats.leave_idle_after }
}
