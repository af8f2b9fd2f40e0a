//! How a workflow or an update ended, as an answer. Pure.

use temporalio_common::protos::temporal::api::common::v1::Payloads;

use super::payload::{self, Carried};
use crate::agent::answer::{self, Asked};
use crate::agent::{Answer, Error};

/// How a workflow or an update ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// It returned something, or nothing.
    Done(Option<Payloads>),
    /// It ended without an answer: how, in a word.
    Ended(&'static str),
}

/// Reads what was returned, as every answer is read.
///
/// # Errors
///
/// If it is no answer, or too large a one. Never holds a word of it.
pub(super) fn read(
    returned: Option<&Payloads>,
    asked: Asked<'_>,
    bytes_max: usize,
) -> Result<Answer, Error> {
    let turn = || asked.id.to_owned();
    match returned.and_then(|returned| returned.payloads.first()).map(payload::carried) {
        None | Some(Carried::Nothing) => Ok(Answer::Replies(Vec::new())),
        Some(Carried::Json(text)) if text.len() > bytes_max => {
            Err(Error::TooLarge { turn: turn(), bytes_max })
        }
        Some(Carried::Json(b"null")) => Ok(Answer::Replies(Vec::new())),
        Some(Carried::Json(text)) => answer::parse(text, asked),
        Some(Carried::Strange(name)) => {
            let reason = format!("its encoding is `{name}`, and only json/plain can be read here");
            Err(Error::Malformed { turn: turn(), reason })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thread::Reply;

    const H: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn what_is_returned_is_read_as_every_answer_and_nothing_is_no_reply() {
        assert_eq!(read(None), Ok(Vec::new()));
        assert_eq!(read(Some("null")), Ok(Vec::new()));
        assert_eq!(read(Some(r#"{"replies":["hi"]}"#)), Ok(vec![Reply::text("hi")]));
        for (text, told) in [
            (r#""hi""#, "replies"),
            (r#"{"success":true}"#, "success"),
            (r#"{"replies":["0123456789012345678901234567890123456789"]}"#, "larger than 40"),
        ] {
            let refused = read(Some(text)).unwrap_err();
            assert!(refused.contains(told), "{refused}");
        }
        let mut strange = payload::all(vec!["x".to_owned()]);
        strange.payloads[0].metadata.insert("encoding".to_owned(), b"binary/encrypted".to_vec());
        let refused = super::read(Some(&strange), asked(), 40).unwrap_err().to_string();
        assert!(refused.contains("binary/encrypted"), "{refused}");
    }

    fn read(text: Option<&str>) -> Result<Vec<Reply>, String> {
        let returned = text.map(|text| payload::all(vec![text.to_owned()]));
        match super::read(returned.as_ref(), asked(), 40) {
            Ok(Answer::Replies(replies)) => Ok(replies),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    fn asked() -> Asked<'static> {
        Asked { id: "IM1", thread: format!("CH{H}").parse().unwrap(), must_name: false }
    }
}
