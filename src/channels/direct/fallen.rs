//! What follows of a reply that failed after Twilio had taken it.

use uuid::Uuid;

use super::contacts::Contacts;
use super::policy::reply_state::{OPTED_OUT, ReplyState, Verdict, judge};
use super::policy::wish::Wish;
use crate::channels::{Fallen, Inlet, SentReply};
use crate::queue::{Cause, Error};
use crate::thread::CauseClass;
use crate::twilio::catalogue;

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
    let meaning = catalogue::meaning(code);
    let (again, class) = match judge(code, sent.again) {
        Verdict::Again => (true, CauseClass::Retry),
        Verdict::Dead(class) => (false, class),
    };
    let detail = format!("twilio took the reply, and then it was {}: {meaning}", status.as_str());
    let cause = Cause { code, ..Cause::of(class).with_detail(detail) };
    inlet.fell(Fallen { reply, sent, again, cause }).await
}
