//! What the answer of an inbound webhook says: TwiML with messages to the phone, plain text, nothing.
//!
//! Pure. Reads as much of XML as TwiML has: elements, attributes, text, CDATA, comments, entities. What
//! Twilio would complain of in its debugger is given as codes. Source: webhook notes 2.2, read
//! 2026-11-21.

use crate::pii::Pii;

/// Bytes of an answer at most; beyond it is an error (11750).
pub const BYTES_MAX: usize = 64 * 1024;
/// Messages in an answer at most.
const MESSAGES_MAX: usize = 10;

const NOT_XML: u32 = 12100;
const NO_RESPONSE: u32 = 12102;
const UNKNOWN_VERB: u32 = 12200;
const CONTENT_TYPE: u32 = 12300;
const TOO_MANY: u32 = 14109;
const TOO_LONG: u32 = 11750;

/// What an answer says.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// Messages to be sent, in their order.
    pub messages: Vec<TwimlMessage>,
    /// What Twilio complains of.
    pub problems: Vec<u32>,
}

/// A message of an answer.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct TwimlMessage {
    /// The text.
    pub body: Pii,
    /// The files.
    pub media_urls: Vec<Pii>,
    /// To whom, if not to the writer.
    pub to: Option<Pii>,
    /// From whom, if not from the number that was written to.
    pub from: Option<Pii>,
    /// Where its statuses are told.
    pub callback: Option<String>,
}

/// Reads an answer of a status in the 200s.
#[must_use]
pub fn read(content_type: Option<&str>, body: &str) -> Answer {
    if body.trim().is_empty() {
        return Answer::default();
    }
    if body.len() > BYTES_MAX {
        return complaint(TOO_LONG);
    }
    let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    match kind.to_ascii_lowercase().as_str() {
        "text/xml" | "application/xml" | "text/html" => match parse(body) {
            Some(root) if root.name == "Response" => response(root),
            Some(_) => complaint(NO_RESPONSE),
            None => complaint(NOT_XML),
        },
        // Plain text goes to the phone. Source: webhook notes 2.2, unverified there.
        "text/plain" => Answer {
            messages: vec![TwimlMessage { body: Pii::new(body.trim()), ..TwimlMessage::default() }],
            problems: Vec::new(),
        },
        _ => complaint(CONTENT_TYPE),
    }
}

fn complaint(code: u32) -> Answer {
    Answer { messages: Vec::new(), problems: vec![code] }
}

fn response(root: Element) -> Answer {
    let mut answer = Answer::default();
    for verb in root.children {
        match verb.name.as_str() {
            "Message" | "Sms" if answer.messages.len() < MESSAGES_MAX => {
                answer.messages.push(said(verb));
            }
            "Message" | "Sms" => answer.problems.push(TOO_MANY),
            // Goes elsewhere for more TwiML; the emulator goes nowhere.
            "Redirect" => {}
            _ => answer.problems.push(UNKNOWN_VERB),
        }
    }
    answer
}

fn said(verb: Element) -> TwimlMessage {
    let attribute = |name: &str| {
        verb.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    };
    let inside = |name: &str| {
        let inside = verb.children.iter().filter(|child| child.name == name);
        inside.map(|child| child.text.trim().to_owned()).collect::<Vec<_>>()
    };
    let bodies = inside("Body");
    let body = if bodies.is_empty() { verb.text.trim().to_owned() } else { bodies.concat() };
    TwimlMessage {
        body: Pii::new(body),
        media_urls: inside("Media").into_iter().map(Pii::new).collect(),
        to: attribute("to").map(Pii::new),
        from: attribute("from").map(Pii::new),
        callback: attribute("statusCallback").or_else(|| attribute("action")),
    }
}

/// An element with what is in it; its own text is joined.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

/// How deep elements may be nested.
const DEPTH_MAX: usize = 16;

/// Reads a document with one root.
fn parse(text: &str) -> Option<Element> {
    let (mut open, mut root): (Vec<Element>, Option<Element>) = (Vec::new(), None);
    let mut rest = text.trim_start_matches('\u{feff}');
    while !rest.is_empty() {
        let Some(piece) = rest.strip_prefix('<') else {
            let end = rest.find('<').unwrap_or(rest.len());
            match open.last_mut() {
                Some(element) => element.text.push_str(&unescaped(&rest[..end])?),
                None if rest[..end].trim().is_empty() => {}
                None => return None,
            }
            rest = &rest[end..];
            continue;
        };
        match aside(piece) {
            Aside::No => {}
            Aside::Broken => return None,
            Aside::Is { skipped, text } => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(text);
                }
                rest = &piece[skipped..];
                continue;
            }
        }
        let end = end_of_tag(piece)?;
        rest = &piece[end + 1..];
        let tag = &piece[..end];
        let closed = if let Some(name) = tag.strip_prefix('/') {
            let element = open.pop()?;
            (element.name == name.trim_end()).then_some(element).map(Some)?
        } else {
            let element = element(tag.strip_suffix('/').unwrap_or(tag))?;
            if tag.ends_with('/') {
                Some(element)
            } else {
                open.push(element);
                None
            }
        };
        if open.len() > DEPTH_MAX || root.is_some() {
            return None;
        }
        match (closed, open.last_mut()) {
            (None, _) => {}
            (Some(element), Some(parent)) => parent.children.push(element),
            (Some(element), None) => root = Some(element),
        }
    }
    root.filter(|_| open.is_empty())
}

/// What stands after a `<` that may be no tag.
enum Aside<'a> {
    /// A tag.
    No,
    /// A declaration, comment or CDATA.
    Is {
        /// How long it is.
        skipped: usize,
        /// The text that it gives.
        text: &'a str,
    },
    /// Something that has no end, or is never `TwiML`.
    Broken,
}

/// Looks for a declaration, comment or CDATA after its `<`.
fn aside(piece: &str) -> Aside<'_> {
    let whole = |start: &str, end: &str| {
        let inside = piece.strip_prefix(start)?;
        Some(inside.find(end).map(|at| (start.len() + at + end.len(), &inside[..at])))
    };
    for (start, end, is_text) in
        [("?", "?>", false), ("!--", "-->", false), ("![CDATA[", "]]>", true)]
    {
        if let Some(found) = whole(start, end) {
            let Some((skipped, text)) = found else { return Aside::Broken };
            return Aside::Is { skipped, text: if is_text { text } else { "" } };
        }
    }
    // A document type is never TwiML.
    if piece.starts_with('!') { Aside::Broken } else { Aside::No }
}

/// Where a tag ends, `>` in quotes being none.
fn end_of_tag(piece: &str) -> Option<usize> {
    let mut quote = None;
    for (at, letter) in piece.char_indices() {
        match (quote, letter) {
            (None, '>') => return Some(at),
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            (None | Some(_), _) => {}
        }
    }
    None
}

fn element(tag: &str) -> Option<Element> {
    let tag = tag.trim_end();
    let end = tag.find(char::is_whitespace).unwrap_or(tag.len());
    let name = tag.get(..end).filter(|name| is_name(name))?.to_owned();
    let (mut rest, mut attributes) = (tag[end..].trim_start(), Vec::new());
    while !rest.is_empty() {
        let (key, value) = rest.split_once('=')?;
        let value = value.trim_start();
        let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let (value, after) = value[1..].split_once(quote)?;
        let key = Some(key.trim()).filter(|key| is_name(key))?;
        attributes.push((key.to_owned(), unescaped(value)?));
        rest = after.trim_start();
    }
    Some(Element { name, attributes, ..Element::default() })
}

fn is_name(text: &str) -> bool {
    let is_letter =
        |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | ':' | '.');
    !text.is_empty() && text.chars().all(is_letter)
}

fn unescaped(text: &str) -> Option<String> {
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let (entity, after) = after.split_once(';')?;
        plain.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = entity.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code)?
            }
        });
        rest = after;
    }
    plain.push_str(rest);
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: Option<&str> = Some("text/xml; charset=utf-8");

    #[test]
    fn messages_are_read_with_all_that_they_have() {
        let document = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><!-- <x> -->\
            <Message to='+1' statusCallback=\"http://a/?x=1&amp;y=2\"><Body>a &lt; b &#x1f600;</Body>\
            <Media>http://a/b</Media></Message>\
            <Message>plain <![CDATA[<b> & c]]></Message></Response>\n";
        let answer = read(XML, document);
        assert!(answer.problems.is_empty());
        let wanted = [
            TwimlMessage {
                body: "a < b 😀".into(),
                media_urls: vec!["http://a/b".into()],
                to: Some("+1".into()),
                from: None,
                callback: Some("http://a/?x=1&y=2".into()),
            },
            TwimlMessage { body: "plain <b> & c".into(), ..TwimlMessage::default() },
        ];
        assert_eq!(answer.messages, wanted);
    }

    #[test]
    fn silence_says_nothing_and_plain_text_is_a_message() {
        for (kind, body) in
            [(None, ""), (XML, "<Response></Response>"), (XML, "<Response/>"), (XML, " \n")]
        {
            assert_eq!(read(kind, body), Answer::default(), "{body}");
        }
        let said = read(Some("text/plain"), "OK\n").messages;
        assert_eq!(said, [TwimlMessage { body: "OK".into(), ..TwimlMessage::default() }]);
    }

    #[test]
    fn what_cannot_be_read_is_complained_of_by_its_code() {
        let many = format!("<Response>{}</Response>", "<Message>x</Message>".repeat(11));
        for (kind, body, code, messages) in [
            (XML, "OK", 12100, 0),
            (XML, "<Response>", 12100, 0),
            (XML, "<Response></Answer>", 12100, 0),
            (XML, "<Response>&nope;</Response>", 12100, 0),
            (XML, "<Response/><Response/>", 12100, 0),
            (XML, "<!DOCTYPE html><html></html>", 12100, 0),
            (XML, "<Answer/>", 12102, 0),
            (XML, "<Response><Shout>x</Shout></Response>", 12200, 0),
            (XML, many.as_str(), 14109, 10),
            (Some("application/json"), "{}", 12300, 0),
            (None, "OK", 12300, 0),
        ] {
            let answer = read(kind, body);
            assert_eq!((answer.problems, answer.messages.len()), (vec![code], messages), "{body}");
        }
    }
}
