//! Whether a listed message is the reply that is looked for. Pure.
//!
//! Twilio keeps no key of ours with a message. So it is told by what it is: from our address to theirs,
//! with the same text and as many files, not older than the reply, and none that is known to be another
//! reply of ours. One reply of a thread is on its way at a time, so no two can be meant.

use std::collections::VecDeque;

use crate::channels::search::Candidate;
use crate::clock::Timestamp;
use crate::thread::Reply;
use crate::twilio::rest::Text;
use crate::twilio::sid::TextSid;

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Sought<'a> {
    /// The reply.
    pub reply: &'a Reply,
    /// Whether the configured template may have gone out instead.
    pub may_be_template: bool,
    /// Messages that are known to be other replies of ours.
    pub known: &'a VecDeque<TextSid>,
    /// From when on it can have been sent: what is older only says the same.
    pub since: Timestamp,
}

impl Sought<'_> {
    /// Looks at one listed message.
    #[must_use]
    pub fn candidate(&self, text: &Text) -> Candidate<TextSid> {
        let is_new = text.created.is_none_or(|created| created >= self.since);
        let is_another = text.is_inbound || self.known.contains(&text.sid);
        // What a template makes of its variables is Twilio's to know, so that any text may be it.
        let is_template = self.may_be_template || self.reply.content_sid.is_some();
        let is_it = is_new && !is_another && (is_template || is_same(text, self.reply));
        Candidate { sid: text.sid, is_it, created: text.created }
    }
}

fn is_same(text: &Text, reply: &Reply) -> bool {
    // Twilio trims what stands around a text (assumed, as many carriers do).
    let plain =
        |body: Option<&crate::pii::Pii>| body.map_or("", |body| body.reveal().trim()).to_owned();
    let files = usize::try_from(text.media).unwrap_or(usize::MAX);
    plain(text.body.as_ref()) == plain(reply.body.as_ref()) && files == reply.media_urls.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINCE: Timestamp = Timestamp::from_millis(1_000);

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
            (Text { created: Some(SINCE), ..listed(1, "hello", 0, false) }, true),
            (
                Text { created: Some(Timestamp::from_millis(999)), ..listed(1, "hello", 0, false) },
                false,
            ),
            (Text { created: None, ..listed(1, "hello", 0, false) }, true),
        ] {
            let sought =
                Sought { reply: &reply, may_be_template: false, known: &known, since: SINCE };
            assert_eq!(sought.candidate(&text).is_it, is_it, "{text:?}");
        }
    }

    #[test]
    fn what_a_template_says_is_not_known() {
        let content_sid = format!("HX{:032x}", 1).parse().ok();
        let known = VecDeque::new();
        for (reply, may_be_template, is_it) in [
            (Reply { content_sid, ..Reply::default() }, false, true),
            (Reply::text("hello"), true, true),
            (Reply::text("hello"), false, false),
        ] {
            let sought = Sought { reply: &reply, may_be_template, known: &known, since: SINCE };
            assert_eq!(
                sought.candidate(&listed(1, "Dear Ann", 0, false)).is_it,
                is_it,
                "{reply:?}"
            );
        }
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
            created: Some(Timestamp::from_millis(2_000)),
            sent: None,
        }
    }

    fn sid(n: u8) -> TextSid {
        format!("SM{n:032x}").parse().unwrap()
    }
}
