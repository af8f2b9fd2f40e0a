//! The settings of `join` as the pipeline wants them. Pure.

use crate::config::kinds;
use crate::config::settings::Join;
use crate::pipeline::policy::which::{Since, Which};

/// Says which conversations the operator wishes the bot to be in.
#[must_use]
pub fn which(join: &Join) -> Which {
    Which {
        addresses: join.addresses.0.clone(),
        attribute: join.attribute.clone().map(|kinds::Attribute { name, value }| (name, value)),
        created: join.created_after.map(|since| match since {
            kinds::Since::Time(at) => Since::Time(at),
            kinds::Since::Age(age) => Since::Age(age),
        }),
    }
}
