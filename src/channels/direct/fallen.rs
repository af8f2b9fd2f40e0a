//! What follows of how a reply fares after Twilio took it, above all of one that failed.

use uuid::Uuid;

use super::contacts::Contacts;
use super::policy::reply_state::ReplyState;
use super::policy::wish::Wish;
use crate::channels::verdict::{self, OPTED_OUT};
use crate::channels::{Fared, Inlet, SentReply};
use crate::queue::Error;

/// Tells how a reply fares.
///
/// # Errors
///
/// If the store failed.
pub(super) async fn fared(
    inlet: &dyn Inlet,
    reply: Uuid,
    (state, sent): (ReplyState, SentReply),
) -> Result<(), Error> {
    let ReplyState { sid, status, code, at } = state;
    let (message, recipient) = (sid.into(), None);
    inlet.fared(Fared { reply, message, sent, status, code, recipient, at }).await
}

/// Notes what the failure tells of the person, and has the reply sent once more or made a dead letter. The
/// same again does nothing.
///
/// # Errors
///
/// If the store failed.
pub(super) async fn fell(
    (contacts, inlet): (&Contacts, &dyn Inlet),
    reply: Uuid,
    (state, sent): (ReplyState, SentReply),
) -> Result<(), Error> {
    let ReplyState { status, code, at, .. } = state;
    if let Some(pair) = sent.thread.pair().filter(|_| code == Some(OPTED_OUT)) {
        contacts.wishes(pair, Wish::Stop, at).await?;
    }
    inlet.fell(verdict::fallen(reply, sent, (status, code))).await
}
