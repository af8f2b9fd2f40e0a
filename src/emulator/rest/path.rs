//! Reads a request's path into the resource that it names.
//!
//! Pure. Every path below `/v1/Services/{IS}` exists without that prefix too and then means the
//! account's default service. Source: REST notes 2, read 2026-11-21.

use std::str::FromStr;

use crate::emulator::state::refusal::Refusal;
use crate::twilio::sid::ChatServiceSid;

/// A resource of Conversations v1. Texts are sids or names, percent-decoded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RestResource {
    AccountConfiguration,
    AccountWebhooks,
    Addresses,
    Address(String),
    Services,
    Service(ChatServiceSid),
    ServiceConfiguration(ChatServiceSid),
    ServiceWebhooks(ChatServiceSid),
    Scoped(Scope, Inner),
}

/// Which service a path is about, and whether the path says so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scope {
    /// The service in the path; the default one without.
    pub service: Option<ChatServiceSid>,
}

/// A resource inside a service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Inner {
    Conversations,
    Conversation(String),
    Participants(String),
    Participant(String, String),
    Messages(String),
    Message(String, String),
    Receipts(String, String),
    Receipt(String, String, String),
    Hooks(String),
    Hook(String, String),
    Users,
    User(String),
    UserConversations(String),
    UserConversation(String, String),
    Roles,
    Role(String),
    ParticipantConversations,
    ConversationWithParticipants,
}

/// Reads a path that starts with `/v1/`.
///
/// # Errors
///
/// If there is no such resource.
pub fn resource(path: &str) -> Result<RestResource, Refusal> {
    let decoded = segments(path)?;
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["v1", "Configuration"] => Ok(RestResource::AccountConfiguration),
        ["v1", "Configuration", "Webhooks"] => Ok(RestResource::AccountWebhooks),
        ["v1", "Configuration", "Addresses"] => Ok(RestResource::Addresses),
        ["v1", "Configuration", "Addresses", sid] => Ok(RestResource::Address((*sid).to_owned())),
        ["v1", "Services"] => Ok(RestResource::Services),
        ["v1", "Services", service] => Ok(RestResource::Service(sid(service)?)),
        ["v1", "Services", service, "Configuration"] => {
            Ok(RestResource::ServiceConfiguration(sid(service)?))
        }
        ["v1", "Services", service, "Configuration", "Webhooks"] => {
            Ok(RestResource::ServiceWebhooks(sid(service)?))
        }
        ["v1", "Services", service, rest @ ..] => {
            Ok(RestResource::Scoped(Scope { service: Some(sid(service)?) }, inner(rest)?))
        }
        ["v1", rest @ ..] => Ok(RestResource::Scoped(Scope { service: None }, inner(rest)?)),
        _ => Err(Refusal::NotFound),
    }
}

/// The parts of a path, percent-decoded.
///
/// # Errors
///
/// If one is not UTF-8.
pub fn segments(path: &str) -> Result<Vec<String>, Refusal> {
    path.trim_matches('/').split('/').map(decode).collect()
}

fn inner(segments: &[&str]) -> Result<Inner, Refusal> {
    let own = |text: &&str| (*text).to_owned();
    match segments {
        ["Conversations"] => Ok(Inner::Conversations),
        ["Conversations", conversation] => Ok(Inner::Conversation(own(conversation))),
        ["Conversations", conversation, "Participants"] => {
            Ok(Inner::Participants(own(conversation)))
        }
        ["Conversations", conversation, "Participants", participant] => {
            Ok(Inner::Participant(own(conversation), own(participant)))
        }
        ["Conversations", conversation, "Messages"] => Ok(Inner::Messages(own(conversation))),
        ["Conversations", conversation, "Messages", message] => {
            Ok(Inner::Message(own(conversation), own(message)))
        }
        ["Conversations", conversation, "Messages", message, "Receipts"] => {
            Ok(Inner::Receipts(own(conversation), own(message)))
        }
        ["Conversations", conversation, "Messages", message, "Receipts", receipt] => {
            Ok(Inner::Receipt(own(conversation), own(message), own(receipt)))
        }
        ["Conversations", conversation, "Webhooks"] => Ok(Inner::Hooks(own(conversation))),
        ["Conversations", conversation, "Webhooks", hook] => {
            Ok(Inner::Hook(own(conversation), own(hook)))
        }
        ["Users"] => Ok(Inner::Users),
        ["Users", user] => Ok(Inner::User(own(user))),
        ["Users", user, "Conversations"] => Ok(Inner::UserConversations(own(user))),
        ["Users", user, "Conversations", conversation] => {
            Ok(Inner::UserConversation(own(user), own(conversation)))
        }
        ["Roles"] => Ok(Inner::Roles),
        ["Roles", role] => Ok(Inner::Role(own(role))),
        ["ParticipantConversations"] => Ok(Inner::ParticipantConversations),
        ["ConversationWithParticipants"] => Ok(Inner::ConversationWithParticipants),
        _ => Err(Refusal::NotFound),
    }
}

fn sid<T: FromStr>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_| Refusal::NotFound)
}

/// Percent-decodes; `+` stays, as in paths.
///
/// # Errors
///
/// If the result is not UTF-8.
pub fn decode(text: &str) -> Result<String, Refusal> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => {
                let digits = [*high, *low];
                std::str::from_utf8(&digits).ok().and_then(|two| u8::from_str_radix(two, 16).ok())
            }
            _ => None,
        };
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| Refusal::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_prefix_changes_the_scope_and_nothing_else() {
        let service = ChatServiceSid::from_bytes([3; 16]);
        for (tail, wanted) in [
            ("Conversations", Inner::Conversations),
            ("Conversations/CH1", Inner::Conversation("CH1".into())),
            (
                "Conversations/a%2Fb/Participants/b%40t",
                Inner::Participant("a/b".into(), "b@t".into()),
            ),
            (
                "Conversations/CH1/Messages/IM1/Receipts",
                Inner::Receipts("CH1".into(), "IM1".into()),
            ),
            ("Users/+1", Inner::User("+1".into())),
            ("ParticipantConversations", Inner::ParticipantConversations),
        ] {
            let short = resource(&format!("/v1/{tail}")).unwrap();
            assert_eq!(short, RestResource::Scoped(Scope { service: None }, wanted.clone()));
            let long = resource(&format!("/v1/Services/{service}/{tail}")).unwrap();
            assert_eq!(long, RestResource::Scoped(Scope { service: Some(service) }, wanted));
        }
    }

    #[test]
    fn unknown_paths_are_not_found() {
        for path in [
            "/",
            "/v1",
            "/v2/Conversations",
            "/v1/Nothing",
            "/v1/Services/IS1/Users",
            "/v1/Users/%ff",
        ] {
            assert_eq!(resource(path), Err(Refusal::NotFound), "{path}");
        }
    }
}
