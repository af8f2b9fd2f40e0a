//! Writes an event as the HTTP request that Twilio would send, signature and all.
//!
//! Pure: the auth token is an argument and leaves only inside the HMAC. Source: webhook notes 1.2
//! and signature notes 1 and 4, read 2026-11-21.

use secrecy::SecretString;

use crate::emulator::state::Target;
use crate::emulator::state::event::Occurrence;
use crate::emulator::state::model::HookMethod;
use crate::pii::Pii;
use crate::twilio::form;
use crate::twilio::sid::AccountSid;
use crate::twilio::signature::{self, Algorithm, Body};

/// The content type of Conversations webhooks; the messaging ones have no charset.
const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";
const USER_AGENT: &str = "TwilioProxy/1.1";

/// Which product sends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Product {
    /// Conversations.
    Conversations,
    /// The messaging API.
    Messaging,
}

impl Product {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Conversations => CONTENT_TYPE,
            Self::Messaging => "application/x-www-form-urlencoded",
        }
    }
}

/// A request, ready to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    /// GET or POST.
    pub method: HookMethod,
    /// The whole URL, with the fields in its query for GET.
    pub url: Pii,
    /// Header names and values.
    pub headers: Vec<(&'static str, String)>,
    /// The form, empty for GET.
    pub body: Pii,
}

/// The fields of an event with the common ones before them.
#[must_use]
pub fn fields(account: AccountSid, occurrence: &Occurrence) -> Vec<(String, Pii)> {
    let mut fields = vec![
        ("EventType".to_owned(), Pii::new(occurrence.kind.as_str())),
        ("AccountSid".to_owned(), Pii::new(account.to_string())),
        ("Source".to_owned(), Pii::new(occurrence.source)),
        ("RetryCount".to_owned(), Pii::new("0")),
    ];
    if let Some(identity) = &occurrence.client_identity {
        fields.push(("ClientIdentity".to_owned(), identity.clone()));
    }
    fields
        .extend(occurrence.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    fields
}

/// Writes the request. A wrong `auth_token` makes a mis-signed one, a fault that tests ask for.
#[must_use]
pub fn request(
    target: &Target,
    (product, fields): (Product, &[(String, Pii)]),
    auth_token: &SecretString,
    delivery_id: &str,
) -> Request {
    let form = form::encode(fields.iter().map(|(name, value)| (name.as_str(), value.reveal())));
    let configured = signature::signed_url(&target.url);
    let mut headers = vec![
        ("I-Twilio-Idempotency-Token", delivery_id.to_owned()),
        ("User-Agent", USER_AGENT.to_owned()),
        ("Accept", "*/*".to_owned()),
    ];
    let (url, body) = match target.method {
        HookMethod::Get => {
            let separator = if configured.contains('?') { '&' } else { '?' };
            // `:` stays as it is. Source: webhook notes 1.2, GET variant.
            (format!("{configured}{separator}{}", form.replace("%3A", ":")), String::new())
        }
        HookMethod::Post => {
            headers.push(("Content-Type", product.content_type().to_owned()));
            (configured, form)
        }
    };
    let signed = match target.method {
        HookMethod::Get => Body::None,
        HookMethod::Post => Body::Form(body.as_bytes()),
    };
    let signature = signature::sign(auth_token, Algorithm::HmacSha1, &url, signed);
    headers.push((signature::HEADER, signature));
    Request { method: target.method, url: Pii::new(url), headers, body: Pii::new(body) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::state::Scope;
    use crate::twilio::signature::Keys;

    #[test]
    fn both_methods_are_signed_so_that_the_other_side_accepts_them() {
        for method in [HookMethod::Get, HookMethod::Post] {
            let target = Target {
                scope: Scope::Service,
                url: "http://user:pw@127.0.0.1:9/hook?tenant=a%20b#rc=2".to_owned(),
                method,
            };
            let fields = vec![
                ("Body".to_owned(), Pii::new("héllo & 12:30")),
                ("Attributes".to_owned(), Pii::new("{}")),
            ];
            let token = SecretString::from("token".to_owned());
            let request = request(&target, (Product::Conversations, &fields), &token, "id");
            let signature = request
                .headers
                .iter()
                .find(|(name, _)| *name == signature::HEADER)
                .map(|(_, value)| value.as_bytes())
                .unwrap();
            let keys = Keys { auth_tokens: vec![token], ..Keys::default() };
            let body =
                Body::of(method.as_str(), Some(CONTENT_TYPE), request.body.reveal().as_bytes());
            let seen = signature::Request {
                url: request.url.reveal(),
                body,
                signatures: &[signature],
                settings: &[],
            };
            assert_eq!(signature::verify(&keys, &seen), Ok(()), "{method:?}");
            assert!(request.url.reveal().starts_with("http://127.0.0.1:9/hook?tenant=a%20b"));
        }
    }
}
