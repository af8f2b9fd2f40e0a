//! What the messaging API finds wrong with a text before it looks at anything else. Pure.
//!
//! Source: REST notes 2.4, 4 and 6.3, read 2026-11-21.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use url::Url;

use super::refusal::TextRefusal;
use super::text::Draft;
use crate::emulator::state::refusal::Refusal;
use crate::json;
use crate::twilio::messaging::MEDIA_MAX;
use crate::twilio::sid::ContentSid;

/// Characters of a text. Source: error dictionary 21617, read 2026-11-21.
const BODY_CHARS_MAX: usize = 1600;
/// Characters of a status callback. Source: error dictionary 21609.
const CALLBACK_CHARS_MAX: usize = 4000;

/// Checks what a text says and carries.
pub(super) fn content(draft: &Draft) -> Result<(), Refusal> {
    let is_empty = draft.body.is_empty() && draft.media_urls.is_empty();
    if is_empty && draft.content_sid.is_none() {
        return Err(TextRefusal::BodyMissing.into());
    }
    if draft.body.reveal().chars().count() > BODY_CHARS_MAX {
        return Err(TextRefusal::BodyTooLong.into());
    }
    if draft.media_urls.len() > MEDIA_MAX {
        return Err(TextRefusal::TooManyMedia.into());
    }
    if !draft.media_urls.iter().all(|url| is_web_url(url.reveal())) {
        return Err(TextRefusal::MediaUrlInvalid.into());
    }
    if !draft.callback.as_deref().is_none_or(is_callback) {
        return Err(TextRefusal::CallbackInvalid.into());
    }
    template(draft).map_err(Refusal::from)
}

fn template(draft: &Draft) -> Result<(), TextRefusal> {
    if let Some(sid) = &draft.content_sid {
        sid.parse::<ContentSid>().map_err(|_| TextRefusal::ContentSidInvalid)?;
    }
    match &draft.content_variables {
        None => Ok(()),
        Some(_) if draft.content_sid.is_none() => Err(TextRefusal::ContentSidMissing),
        Some(text) => json::from_str::<BTreeMap<String, IgnoredAny>>(text.reveal())
            .map(drop)
            .map_err(|_| TextRefusal::ContentVariablesInvalid),
    }
}

fn is_web_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// The host has no underscore. Source: webhook notes 2.3, read 2026-11-21.
fn is_callback(text: &str) -> bool {
    let host = Url::parse(text).ok().and_then(|url| url.host_str().map(str::to_owned));
    is_web_url(text)
        && text.chars().count() <= CALLBACK_CHARS_MAX
        && host.is_some_and(|host| !host.contains('_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_by_its_code() {
        let draft = |change: &dyn Fn(&mut Draft)| {
            let mut draft = Draft { body: "hi".into(), ..Draft::default() };
            change(&mut draft);
            content(&draft).map_err(|refusal| refusal.code())
        };
        let template = format!("HX{}", "0".repeat(32));
        assert_eq!(draft(&|_| {}), Ok(()));
        assert_eq!(draft(&|one| one.body = "".into()), Err(21602));
        assert_eq!(draft(&|one| one.body = "x".repeat(1601).into()), Err(21617));
        assert_eq!(draft(&|one| one.media_urls = vec!["ftp://a/b".into()]), Err(21620));
        assert_eq!(draft(&|one| one.media_urls = vec!["http://a/b".into(); 11]), Err(21623));
        assert_eq!(draft(&|one| one.callback = Some("http://a_b.example/".into())), Err(21609));
        assert_eq!(draft(&|one| one.callback = Some("http://a.example/?x=_".into())), Ok(()));
        assert_eq!(draft(&|one| one.content_sid = Some("HX1".into())), Err(21655));
        assert_eq!(draft(&|one| one.content_variables = Some("{}".into())), Err(21654));
        assert_eq!(
            draft(&|one| {
                one.content_sid = Some(template.clone());
                one.content_variables = Some("[1]".into());
            }),
            Err(21656)
        );
        assert_eq!(
            draft(&|one| {
                one.body = "".into();
                one.content_sid = Some(template.clone());
                one.content_variables = Some(r#"{"1":"x"}"#.into());
            }),
            Ok(())
        );
    }
}
