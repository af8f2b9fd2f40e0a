//! What was said between two addresses before a turn: a page of each direction, put together by time.
//!
//! Costs two requests of a hundred messages, four where a person writes under another name than is sent to,
//! and stores nothing: Twilio has them. What it forgets, or was told
//! to redact, is no history any more.

use super::channel::Direct;
use super::intake::service_of;
use crate::channels::Error;
use crate::pii::Pii;
use crate::thread::{Budget, Gathered, Pair, Past, ThreadId, TurnMessage, merged};
use crate::twilio::messaging::MessageStatus;
use crate::twilio::rest::{self, Text, TextFilter};

impl Direct {
    pub(super) async fn said(
        &self,
        (thread, pair): (ThreadId, &Pair),
        turn: &[TurnMessage],
        budget: Budget,
    ) -> Result<Vec<Past>, Error> {
        let mut gathered = Gathered::new(budget, turn);
        let record = self.contacts.thread(thread).await?;
        let ended = record.as_ref().and_then(|record| record.ended);
        let reach = record.and_then(|record| record.reach).filter(|reach| *reach != pair.theirs);
        let (mut own, mut came) = self.both_ways(pair, &pair.theirs).await?;
        if let Some(reach) = &reach {
            let (own_there, came_from_there) = self.both_ways(pair, reach).await?;
            own = merged(own, own_there);
            came = merged(came, came_from_there);
        }
        let came = before(came, turn, &gathered);
        // What was said before its end is another talk's.
        let is_of_this = |past: &Past| ended.is_none() || past.created > ended;
        for past in merged(own, came).into_iter().filter(is_of_this) {
            gathered.take(past);
        }
        Ok(gathered.end())
    }

    /// What was sent to an address and what came from it.
    async fn both_ways(&self, pair: &Pair, theirs: &Pii) -> Result<(Vec<Past>, Vec<Past>), Error> {
        let ours = service_of(&pair.ours).is_none().then(|| pair.ours.clone());
        let (out, back) = (
            TextFilter { to: Some(theirs.clone()), from: ours.clone() },
            TextFilter { to: ours, from: Some(theirs.clone()) },
        );
        let (own, came) = futures::try_join!(self.newest(out), self.newest(back))?;
        let own = own.into_iter().filter(|text| !text.is_inbound && is_sent(text));
        let came = came.into_iter().filter(|text| text.is_inbound);
        Ok((own.map(past).collect(), came.map(past).collect()))
    }

    async fn newest(&self, filter: TextFilter) -> Result<Vec<Text>, rest::Error> {
        Ok(self.rest.list_texts(filter).next().await?.unwrap_or_default())
    }
}

/// Whether a text was brought to its address, or still may be.
pub(super) fn is_sent(text: &Text) -> bool {
    !text.status.is_some_and(MessageStatus::is_failure)
}

/// Leaves out what came after the turn's messages, which has turns of its own. The list tells by its order
/// where it has them; where it lags the times tell.
fn before(came: Vec<Past>, turn: &[TurnMessage], gathered: &Gathered) -> Vec<Past> {
    let newest_of_turn = came.iter().position(|past| gathered.is_of_turn(past.sid));
    let last = turn.iter().filter_map(|message| message.created).max();
    let skipped = newest_of_turn.unwrap_or(0);
    let is_older = |past: &Past| newest_of_turn.is_some() || past.created < last;
    came.into_iter().skip(skipped).filter(is_older).collect()
}

fn past(text: Text) -> Past {
    Past {
        sid: text.sid.into(),
        is_own: !text.is_inbound,
        author: text.from.unwrap_or_default(),
        body: text.body.filter(|body: &Pii| !body.is_empty()),
        files: vec![None; usize::try_from(text.media).unwrap_or(0).min(FILES_MAX)],
        created: text.created,
    }
}

/// More files than this no message has.
const FILES_MAX: usize = 10;
