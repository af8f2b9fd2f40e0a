//! Whether a listed message is the reply that is looked for. Pure.
//!
//! Twilio keeps no key of ours with a message. So it is told by what it is: from our address to theirs,
//! with the same text and as many files, not older than the reply, and none that is known to be another
//! reply of ours. One reply of a thread is on its way at a time, so no two can be meant.

use std::collections::VecDeque;

use crate::channels::search::Candidate;
use crate::thread::Reply;
use crate::twilio::rest::Text;
use crate::twilio::sid::TextSid;

/// Looks at one listed message.
#[must_use]
pub fn candidate(text: &Text, reply: &Reply, known: &VecDeque<TextSid>) -> Candidate<TextSid> {
    let is_it = !text.is_inbound && !known.contains(&text.sid) && is_same(text, reply);
    Candidate { sid: text.sid, is_it, created: text.created }
}

/// What a template makes of its variables is Twilio's to know, so that any text may be it.
fn is_same(text: &Text, reply: &Reply) -> bool {
    if reply.content_sid.is_some() {
        return true;
    }
    // Twilio trims what stands around a text (assumed, as many carriers do).
    let plain =
        |body: Option<&crate::pii::Pii>| body.map_or("", |body| body.reveal().trim()).to_owned();
    let files = usize::try_from(text.media).unwrap_or(usize::MAX);
    plain(text.body.as_ref()) == plain(reply.body.as_ref()) && files == reply.media_urls.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn the_same_text_is_it_unless_it_is_known_or_came_in() {
        let known = VecDeque::from([sid(9)]);
        let reply = Reply::text("hello");
        for (text, is_it) in [
            (listed(1, "hello", 0, false), true),
            (listed(1, " hello\n", 0, false), true),
            (listed(1, "hello", 1, false), false),
            (listed(1, "other", 0, false), false),
            (listed(1, "hello", 0, true), false),
            (listed(9, "hello", 0, false), false),
        ] {
            assert_eq!(candidate(&text, &reply, &known).is_it, is_it, "{text:?}");
        }
    }

    #[test]
    fn what_a_template_says_is_not_known() {
        let content_sid = format!("HX{:032x}", 1).parse().ok();
        let reply = Reply { content_sid, ..Reply::default() };
        assert!(candidate(&listed(1, "Dear Ann", 0, false), &reply, &VecDeque::new()).is_it);
    }

    fn listed(n: u8, body: &str, media: u32, is_inbound: bool) -> Text {
        Text {
            sid: sid(n),
            from: Some("+15555550100".into()),
            to: Some("+15555550123".into()),
            body: Some(body.into()),
            status: None,
            error_code: None,
            is_inbound,
            media,
            messaging_service_sid: None,
            created: Some(Timestamp::from_millis(1)),
            sent: None,
        }
    }

    fn sid(n: u8) -> TextSid {
        format!("SM{n:032x}").parse().unwrap()
    }
}
