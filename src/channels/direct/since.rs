//! What was answered since the backup that the store was restored from.
//!
//! Twilio keeps no key of ours with a text, and does not say which one it answers. So whatever went out to a
//! person in the time that the store does not know answers all that the person had written before, as it does in
//! conversations; only what is known to have been sent already answers nothing more. Costs one page of the list,
//! or some, for each message from before the restore, and nothing for any other.

use super::channel::Direct;
use super::history::is_sent;
use super::intake::service_of;
use super::policy::contact::ThreadRecord;
use crate::channels::Error;
use crate::channels::search::MESSAGES_MAX;
use crate::clock::Timestamp;
use crate::pii::Pii;
use crate::queue::LostTimes;
use crate::thread::{ThreadId, TurnMessage};
use crate::twilio::rest::{Text, TextFilter};

impl Direct {
    /// Whether a message was answered while the store, as it is now, was not there.
    ///
    /// # Errors
    ///
    /// If Twilio or the store did not say.
    pub(super) async fn is_answered_since(
        &self,
        thread: ThreadId,
        message: &TurnMessage,
    ) -> Result<bool, Error> {
        let Some(created) = message.created.filter(|created| self.lost.follow(*created)) else {
            return Ok(false);
        };
        let Some(record) = self.contacts.thread(thread).await? else { return Ok(false) };
        let reach = record.reach.clone().filter(|reach| *reach != record.pair.theirs);
        for theirs in reach.into_iter().chain([record.pair.theirs.clone()]) {
            if self.has_gone_out(&record, theirs, created).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn has_gone_out(
        &self,
        record: &ThreadRecord,
        theirs: Pii,
        created: Timestamp,
    ) -> Result<bool, Error> {
        let ours = &record.pair.ours;
        let from = service_of(ours).is_none().then(|| ours.clone());
        let mut pages = self.rest.list_texts(TextFilter { to: Some(theirs), from });
        let mut looked_at = 0;
        while looked_at < MESSAGES_MAX {
            let page = pages.next().await?.unwrap_or_default();
            let answers = |text: &Text| is_answer(text, created, &self.lost);
            if page.iter().any(|text| answers(text) && !record.sent.contains(&text.sid)) {
                return Ok(true);
            }
            if page.is_empty() || page.iter().any(|text| is_older(text, created)) {
                return Ok(false);
            }
            looked_at += page.len();
        }
        // So much has been said to the person since that it is among what nobody looks at.
        Ok(true)
    }
}

/// Whether a listed text may answer what was written at a time. Twilio dates to the second.
fn is_answer(text: &Text, written: Timestamp, lost: &LostTimes) -> bool {
    let is_later = |at: Timestamp| lost.covers(at) && at.as_secs() >= written.as_secs();
    !text.is_inbound && is_sent(text) && text.created.is_some_and(is_later)
}

fn is_older(text: &Text, than: Timestamp) -> bool {
    text.created.is_some_and(|created| created.as_secs() < than.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::messaging::MessageStatus;

    #[test]
    fn what_went_out_in_the_lost_time_answers_what_was_written_before() {
        // The backup was taken at 100, the service started on it at 200.
        let lost = LostTimes::one(at(100), at(200));
        for (written, sent, is_it) in [
            (90, 99, false),
            (90, 100, true),
            (150, 149, false),
            (150, 150, true),
            (150, 201, false),
        ] {
            assert_eq!(is_answer(&text(sent), at(written), &lost), is_it, "{written} {sent}");
        }
        let failed = Text { status: Some(MessageStatus::Undelivered), ..text(160) };
        let came_in = Text { is_inbound: true, ..text(160) };
        for other in [failed, came_in, Text { created: None, ..text(160) }] {
            assert!(!is_answer(&other, at(150), &lost), "{other:?}");
        }
        assert!(!is_answer(&text(160), at(150), &LostTimes::default()));
    }

    fn text(sent: i64) -> Text {
        Text {
            sid: format!("SM{sent:032x}").parse().unwrap(),
            from: None,
            to: None,
            body: None,
            status: None,
            error_code: None,
            is_inbound: false,
            media: 0,
            messaging_service_sid: None,
            created: Some(at(sent)),
            sent: None,
        }
    }

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_795_000_000_000 + seconds * 1000)
    }
}
