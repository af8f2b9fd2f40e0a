//! Buttons where a channel has none: a numbered list under the text, and which of them an answer means. Pure.
//!
//! | what is written back | means |
//! | --- | --- |
//! | a title, in whatever case | that one |
//! | a number of the list, alone or with `.` or `)` behind it | that one |
//! | anything else | nothing: it is a text like another |

use std::fmt::Write as _;

use crate::pii::Pii;
use crate::thread::{Button, Reply};
use crate::twilio::messaging::Choice;

/// The longest answer that may mean a button: a title, and what people put around it.
const ANSWER_CHARS_MAX: usize = Button::TITLE_CHARS_MAX + 8;

/// A reply with its buttons written under its text; a template brings its own.
#[must_use]
pub fn written(reply: Reply) -> Reply {
    if reply.buttons.is_empty() || reply.content_sid.is_some() {
        return reply;
    }
    let said = reply.body.as_ref().map_or("", |body| body.reveal().trim_end());
    let mut body = said.to_owned();
    for (n, Button { title, url, .. }) in (1..).zip(&reply.buttons) {
        let gap = match (n, body.is_empty()) {
            (_, true) => "",
            (1, false) => "\n\n",
            (_, false) => "\n",
        };
        let place = url.as_ref().map(|url| format!(": {}", url.reveal())).unwrap_or_default();
        // Writing into a text cannot fail.
        let _ = write!(body, "{gap}{n}. {}{place}", title.reveal());
    }
    Reply { body: Some(Pii::new(body)), ..reply }
}

/// Whether a text is short enough to mean a button.
#[must_use]
pub fn may_choose(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.chars().nth(ANSWER_CHARS_MAX).is_none()
}

/// Which of the buttons an answer means.
#[must_use]
pub fn chosen(buttons: &[Button], text: &str) -> Option<Choice> {
    let text = text.trim().to_lowercase();
    let is_title = |button: &&Button| button.title.reveal().trim().to_lowercase() == text;
    let number = text.trim_end_matches(['.', ')']).parse::<usize>().ok();
    let counted = || buttons.get(number?.checked_sub(1)?);
    let button = buttons.iter().find(is_title).or_else(counted)?;
    Some(Choice { text: Some(button.title.clone()), payload: button.id.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buttons_stand_as_a_list_under_the_text() {
        for (body, expected) in [
            (Some("Which one?"), "Which one?\n\n1. Yes\n2. Our site: https://h/a"),
            (Some(" \n"), "1. Yes\n2. Our site: https://h/a"),
            (None, "1. Yes\n2. Our site: https://h/a"),
        ] {
            let reply = Reply { body: body.map(Pii::from), buttons: two(), ..Reply::default() };
            let written = written(reply);
            assert_eq!(written.body.unwrap().reveal(), expected);
            assert_eq!(written.buttons, two(), "they are known until the next list");
        }
        let plain = Reply::text("hi ");
        assert_eq!(written(plain.clone()), plain);
    }

    #[test]
    fn a_template_stays_as_it_is() {
        let content_sid = format!("HX{:032x}", 1).parse().ok();
        let reply = Reply { content_sid, buttons: two(), ..Reply::default() };
        assert_eq!(written(reply.clone()), reply);
    }

    #[test]
    fn a_number_or_a_title_is_an_answer_and_nothing_else() {
        let yes = Some(Choice { text: Some("Yes".into()), payload: Some("y".into()) });
        let site = Some(Choice { text: Some("Our site".into()), payload: None });
        for (text, expected) in [
            ("1", &yes),
            (" 1. ", &yes),
            ("1)", &yes),
            ("yes", &yes),
            ("YES ", &yes),
            ("2", &site),
            ("our SITE", &site),
            ("0", &None),
            ("3", &None),
            ("-1", &None),
            ("1 or 2", &None),
            ("yes please", &None),
            ("", &None),
        ] {
            assert_eq!(&chosen(&two(), text), expected, "{text:?}");
        }
        let numbers = ["2", "1"].map(Button::new);
        assert_eq!(chosen(&numbers, "2").unwrap().text, Some("2".into()), "a title goes first");
    }

    #[test]
    fn only_short_texts_are_looked_at() {
        assert!(may_choose("2") && may_choose(&"x".repeat(Button::TITLE_CHARS_MAX)));
        assert!(!may_choose(" ") && !may_choose(&"x".repeat(ANSWER_CHARS_MAX + 1)));
    }

    fn two() -> Vec<Button> {
        let (id, url) = (Some("y".into()), Some("https://h/a".into()));
        vec![Button { id, ..Button::new("Yes") }, Button { url, ..Button::new("Our site") }]
    }
}
