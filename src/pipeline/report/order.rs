//! Keeps reports on one reply from going back: callbacks overtake each other, and what is behind is not told.
//!
//! What was told last is kept for as long as ids of jobs are. A death begins anew, since what is redriven
//! has its whole way before it.

use crate::agent::{Fate, Report};
use crate::queue::{Documents, Error};

/// What was told of each reply, for agents that are told of every step.
#[derive(Clone, Debug)]
pub struct Order(pub Documents);

impl Order {
    /// Whether a report says more than what was told before.
    pub(super) async fn is_news(&self, report: &Report) -> Result<bool, Error> {
        let Some(rank) = report.fate.rank() else { return Ok(true) };
        let told = self.0.read(&name(report)).await?;
        Ok(told.and_then(|told| told.first().copied()).is_none_or(|told| rank > told))
    }

    /// Notes what was told.
    pub(super) async fn told(&self, report: &Report) -> Result<(), Error> {
        let rank = report.fate.rank().unwrap_or(0);
        let note = |before: Option<&[u8]>| (before != Some(&[rank])).then(|| vec![rank]);
        self.0.update(&name(report), note).await.map(drop)
    }
}

fn name(report: &Report) -> String {
    let recipient = match &report.fate {
        Fate::Fares { recipient: Some(recipient), .. } => format!("/{recipient}"),
        Fate::Fares { .. } | Fate::Sent { .. } | Fate::Dead { .. } | Fate::Silenced => {
            String::new()
        }
    };
    format!("{}told/{}{recipient}", Documents::SHORT_LIVED, report.reply.simple())
}
