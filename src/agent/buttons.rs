//! The buttons of a reply, read as strictly as the rest of it. Pure.

use serde_json::value::RawValue;

use super::form::{self, AnswerForm, is_url, optional};
use crate::json::{self, Members};
use crate::pii::Pii;
use crate::thread::Button;

/// What a button is made of.
const BUTTON: AnswerForm = AnswerForm {
    names: &["title", "id", "url"],
    meant: &[
        ("body", "title"),
        ("label", "title"),
        ("link", "url"),
        ("name", "title"),
        ("payload", "id"),
        ("text", "title"),
        ("value", "id"),
    ],
};

/// Reads the buttons of a reply; none if there are none.
///
/// # Errors
///
/// What is wrong, without a word of it but the names of its fields.
pub(super) fn read(members: &Members<'_>, place: &str) -> Result<Vec<Button>, String> {
    let list = match members.raw("buttons") {
        None => Vec::new(),
        Some(raw) => form::list(raw)
            .ok_or_else(|| format!("`{place}.buttons` is not a list of objects with a `title`"))?,
    };
    if list.len() > Button::COUNT_MAX {
        let (count, most) = (list.len(), Button::COUNT_MAX);
        return Err(format!("`{place}.buttons` has {count}, at most {most} are allowed"));
    }
    // As whoever reads an answer compares them.
    let called = |button: &Button| button.title.reveal().trim().to_lowercase();
    let mut buttons: Vec<Button> = Vec::with_capacity(list.len());
    for (at, raw) in list.into_iter().enumerate() {
        let place = format!("{place}.buttons[{at}]");
        let button = button(raw, &place)?;
        let title = called(&button);
        if buttons.iter().any(|other| called(other) == title) {
            return Err(format!("`{place}` has the title of another, and answers name titles"));
        }
        buttons.push(button);
    }
    Ok(buttons)
}

fn button(raw: &RawValue, place: &str) -> Result<Button, String> {
    let mut room = Vec::new();
    let members: Members<'_> = json::lend(raw.get().as_bytes(), &mut room)
        .map_err(|_| format!("`{place}` is not an object with a `title`"))?;
    BUTTON.check(&members).map_err(|stranger| format!("`{place}`: {stranger}"))?;
    let text = |name| optional::<Pii>(&members, name, place, "a text");
    let bounded = |name, most| match text(name)? {
        Some(text) if text.reveal().chars().nth(most).is_some() => {
            Err(format!("`{place}.{name}` has more than {most} characters"))
        }
        text => Ok(text),
    };
    let title = bounded("title", Button::TITLE_CHARS_MAX)?;
    let is_line = |title: &Pii| {
        !title.reveal().trim().is_empty() && !title.reveal().contains(char::is_control)
    };
    let title = title.filter(is_line);
    let title = title.ok_or_else(|| format!("`{place}.title` must be one line of text"))?;
    let url = bounded("url", Button::URL_CHARS_MAX)?;
    if url.as_ref().is_some_and(|url| !is_url(url)) {
        return Err(format!("`{place}.url` is not a URL that begins with https:// or http://"));
    }
    Ok(Button { title, id: bounded("id", Button::ID_CHARS_MAX)?, url })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::agent::Answer;
    use crate::agent::answer::{Asked, parse};
    use crate::thread::ThreadId;
    use crate::twilio::sid::ConversationSid;

    #[test]
    fn buttons_have_a_title_and_may_have_an_id_and_a_place() {
        let all = json!([{"title": "Yes", "id": "y"}, {"title": "No", "url": "https://h/no"}]);
        let buttons = read(&all).unwrap();
        assert_eq!(buttons[0], Button { id: Some("y".into()), ..Button::new("Yes") });
        assert_eq!(buttons[1], Button { url: Some("https://h/no".into()), ..Button::new("No") });
        assert_eq!(read(&json!([])).unwrap(), []);
        assert_eq!(read(&Value::Null).unwrap(), []);
    }

    #[test]
    fn what_could_not_be_chosen_is_refused_by_name() {
        let many: Vec<_> = (0..11).map(|n| json!({"title": n.to_string()})).collect();
        for (buttons, words) in [
            (json!(many), "has 11, at most 10"),
            (json!("planted"), "is not a list of objects"),
            (json!(["planted"]), "`replies[0].buttons[0]` is not an object with a `title`"),
            (json!([{"id": "planted"}]), "`replies[0].buttons[0].title` must be one line"),
            (json!([{"title": " "}]), "must be one line"),
            (json!([{"title": "a\nplanted"}]), "must be one line"),
            (json!([{"title": "x".repeat(25)}]), "title` has more than 24 characters"),
            (json!([{"title": "x", "id": "i".repeat(201)}]), "id` has more than 200"),
            (json!([{"title": "x", "url": "ftp://planted"}]), "url` is not a URL"),
            (json!([{"title": 7}]), "title` is not a text"),
            (json!([{"text": "planted"}]), "unknown field `text`, did you mean `title`?"),
            (json!([{"title": "x", "payload": "planted"}]), "did you mean `id`?"),
            (json!([{"title": "Yes"}, {"title": "yes"}]), "buttons[1]` has the title of another"),
            (json!([{"title": "Yes"}, {"title": " yes"}]), "buttons[1]` has the title of another"),
        ] {
            let error = read(&buttons).unwrap_err();
            assert!(error.contains(words) && !error.contains("planted"), "{buttons}: {error}");
        }
        let template = format!("HX{:032x}", 1);
        let both = json!({"content_sid": template, "buttons": [{"title": "x"}]});
        assert!(reply(&both).unwrap_err().contains("a template brings its own"));
    }

    fn read(buttons: &Value) -> Result<Vec<Button>, String> {
        reply(&json!({"body": "x", "buttons": buttons}))
    }

    fn reply(reply: &Value) -> Result<Vec<Button>, String> {
        let thread = ThreadId::from(ConversationSid::from_bytes([1; 16]));
        let asked = Asked { id: "IM1", thread, must_name: false };
        match parse(json!({ "replies": [reply] }).to_string().as_bytes(), asked) {
            Ok(Answer::Replies(mut replies)) => Ok(replies.remove(0).buttons),
            Ok(Answer::Later | Answer::Handoff(_) | Answer::End(_)) => panic!("replies expected"),
            Err(error) => Err(error.to_string()),
        }
    }
}
