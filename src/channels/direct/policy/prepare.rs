//! What of a reply may be sent, and as what. Pure.
//!
//! | reply | becomes |
//! | --- | --- |
//! | files that are uploaded to Twilio's conversations | unsendable: a plain number cannot send them |
//! | longer than 1,600 characters, or of more segments than are allowed | unsendable |
//! | more than is left of its thread's day | unsendable |
//! | free text by WhatsApp, more than 24 h after the person's last message | the configured template, else unsendable |
//! | anything else | itself |

use crate::channels::{PHONE_TEXT_UNITS_MAX, segments};
use crate::pii::Pii;
use crate::text::is_longer_than;
use crate::thread::{CauseClass, Medium, Reply};
use crate::twilio::sid::ContentSid;

/// The template that goes out where free text may not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template {
    /// The template.
    pub sid: ContentSid,
    /// Its variables, JSON as text.
    pub variables: Option<Pii>,
}

/// What is allowed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The most segments of one message.
    pub segments_max: u32,
    /// The most segments in one thread on one day.
    pub segments_a_day: u32,
    /// What goes out where free text may not.
    pub template: Option<Template>,
}

/// What the decision needs to know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Facts {
    /// By what it goes.
    pub medium: Medium,
    /// Whether WhatsApp takes free text now.
    pub is_window_open: bool,
    /// How many segments went out in this thread today.
    pub segments_today: u32,
}

/// What is sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Prepared {
    /// The reply, which takes so many segments.
    AsItIs(u32),
    /// The template instead.
    Template(Template),
}

/// Why a reply is not sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unsendable {
    /// It has files of conversations.
    #[error("a plain number cannot send files by `media_sids`; give their places by `media_urls`")]
    MediaSids,
    /// Its text is too long.
    #[error("the text is longer than the 1,600 characters that one message takes")]
    TooLong,
    /// It takes too many segments.
    #[error("the text takes {segments} segments, and messaging.max_segments allows {most}")]
    TooManySegments {
        /// How many it takes.
        segments: u32,
        /// How many it may take.
        most: u32,
    },
    /// Its thread has used up its day.
    #[error(
        "{today} segments went out in this thread today, and messaging.daily_segments allows {most}: \
         redrive it tomorrow, or raise the limit"
    )]
    DayUsedUp {
        /// How many went out.
        today: u32,
        /// How many may go out.
        most: u32,
    },
    /// The window is closed, and there is no template.
    #[error(
        "whatsapp takes free text only within 24 hours of the person's last message; set \
         whatsapp.template, or reply with a `content_sid`"
    )]
    WindowClosed,
}

impl Unsendable {
    /// The class of the cause.
    #[must_use]
    pub const fn class(self) -> CauseClass {
        match self {
            Self::MediaSids | Self::TooLong => CauseClass::Unsendable,
            Self::TooManySegments { .. } => CauseClass::TooManySegments,
            Self::DayUsedUp { .. } => CauseClass::DailySegments,
            Self::WindowClosed => CauseClass::WindowClosed,
        }
    }
}

/// Decides.
///
/// # Errors
///
/// Why the reply cannot be sent.
pub fn prepare(reply: &Reply, facts: Facts, limits: &Limits) -> Result<Prepared, Unsendable> {
    if !reply.media_sids.is_empty() {
        return Err(Unsendable::MediaSids);
    }
    let body = reply.body.as_ref().map_or("", |body| body.reveal());
    if is_longer_than(body, PHONE_TEXT_UNITS_MAX) {
        return Err(Unsendable::TooLong);
    }
    let is_template = reply.content_sid.is_some();
    if facts.medium == Medium::Whatsapp && !facts.is_window_open && !is_template {
        return limits.template.clone().map(Prepared::Template).ok_or(Unsendable::WindowClosed);
    }
    let segments = match facts.medium {
        Medium::Sms if !is_template => segments::count(body),
        Medium::Sms | Medium::Whatsapp | Medium::Rcs => 1,
    };
    let most = limits.segments_max;
    if segments > most {
        return Err(Unsendable::TooManySegments { segments, most });
    }
    let (today, most) = (facts.segments_today, limits.segments_a_day);
    if today.saturating_add(segments) > most {
        return Err(Unsendable::DayUsedUp { today, most });
    }
    Ok(Prepared::AsItIs(segments))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::sid::MediaSid;

    const SMS: Facts = Facts { medium: Medium::Sms, is_window_open: false, segments_today: 0 };

    #[test]
    fn each_row_of_the_table_holds() {
        let whatsapp = Facts { medium: Medium::Whatsapp, ..SMS };
        let limits = Limits { segments_max: 3, segments_a_day: 10, template: None };
        let with = Limits { template: Some(template()), ..limits.clone() };
        let files = Reply { media_sids: vec![MediaSid::from_bytes([1; 16])], ..Reply::default() };
        let chosen = Reply { content_sid: Some(template().sid), ..Reply::default() };
        for (reply, facts, limits, expected) in [
            (Reply::text("hi"), SMS, &limits, Ok(Prepared::AsItIs(1))),
            (files, SMS, &limits, Err(Unsendable::MediaSids)),
            (Reply::text("x".repeat(1601)), SMS, &limits, Err(Unsendable::TooLong)),
            (
                Reply::text("x".repeat(460)),
                SMS,
                &limits,
                Err(Unsendable::TooManySegments { segments: 4, most: 3 }),
            ),
            (
                Reply::text("x".repeat(161)),
                Facts { segments_today: 9, ..SMS },
                &limits,
                Err(Unsendable::DayUsedUp { today: 9, most: 10 }),
            ),
            (Reply::text("hi"), whatsapp, &limits, Err(Unsendable::WindowClosed)),
            (Reply::text("hi"), whatsapp, &with, Ok(Prepared::Template(template()))),
            (chosen, whatsapp, &limits, Ok(Prepared::AsItIs(1))),
            (
                Reply::text("x".repeat(1600)),
                Facts { is_window_open: true, ..whatsapp },
                &limits,
                Ok(Prepared::AsItIs(1)),
            ),
        ] {
            assert_eq!(prepare(&reply, facts, limits), expected);
        }
        let free = Limits { segments_max: u32::MAX, segments_a_day: u32::MAX, template: None };
        assert_eq!(prepare(&Reply::text("x".repeat(1600)), SMS, &free), Ok(Prepared::AsItIs(11)));
    }

    fn template() -> Template {
        let sid = format!("HX{:032x}", 1).parse().unwrap();
        Template { sid, variables: Some(r#"{"1":"Ann"}"#.into()) }
    }
}
