//! Numbers of ours, what is set for each of them, and what direct messages need besides. Pure.
//!
//! An address is personal data: it becomes [`Pii`] and is shown masked. It is read as people write
//! numbers, and kept as Twilio does.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::{Setting, items};
use crate::json;
use crate::pii::Pii;
use crate::twilio::sid::MessagingServiceSid;

/// How many addresses one setting may name.
const ADDRESSES_MAX: usize = 1_000;

/// The longest address. Source: Conversations limits, names, read 2026-11-21.
const ADDRESS_CHARS_MAX: usize = 256;

/// Addresses of ours that messages come to and leave from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Senders(pub Vec<Pii>);

impl Senders {
    /// These and those of WhatsApp, each once, the latter behind its word.
    #[must_use]
    pub fn with(&self, whatsapp: &Self) -> Vec<Pii> {
        let prefixed = |number: &Pii| {
            let text = number.reveal();
            if text.contains(':') { number.clone() } else { format!("whatsapp:{text}").into() }
        };
        let mut unique: Vec<Pii> = Vec::new();
        for address in self.0.iter().cloned().chain(whatsapp.0.iter().map(prefixed)) {
            if !unique.contains(&address) {
                unique.push(address);
            }
        }
        unique
    }
}

impl Setting for Senders {
    const WANTED: &'static str =
        "numbers such as +15555550100, whatsapp:+15555550100 or 12345, separated by commas";

    fn parse(text: &str) -> Option<Self> {
        let addresses: Vec<Pii> = items(text).map(address).collect::<Option<_>>()?;
        (addresses.len() <= ADDRESSES_MAX).then_some(Self(addresses))
    }

    fn shown(text: &str) -> String {
        items(text).map(masked).collect::<Vec<_>>().join(",")
    }
}

/// Something that is set for some addresses of ours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PerSender<T>(Vec<(Pii, T)>);

/// How many message segments a second some addresses of ours may send.
pub type SenderRates = PerSender<NonZeroU32>;

/// Which road counts for some addresses of ours.
pub type Sources = PerSender<Source>;

impl<T> Default for PerSender<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy> PerSender<T> {
    /// Gives what is set for an address of ours.
    #[must_use]
    pub fn of(&self, address: &Pii) -> Option<T> {
        self.0.iter().find(|(known, _)| known == address).map(|(_, value)| *value)
    }

    /// The addresses that something is set for.
    pub fn addresses(&self) -> impl Iterator<Item = &Pii> {
        self.0.iter().map(|(address, _)| address)
    }
}

impl SenderRates {
    /// The fastest of them, none if there are none.
    #[must_use]
    pub fn fastest(&self) -> Option<NonZeroU32> {
        self.0.iter().map(|(_, rate)| *rate).max()
    }
}

impl Setting for SenderRates {
    const WANTED: &'static str = "numbers, or a messaging service, and their segments a second, such \
         as +15555550100=1,whatsapp:+15555550100=80";

    fn parse(text: &str) -> Option<Self> {
        let sender = |text: &str| service(text).or_else(|| address(text));
        pairs(text, sender, |rate| rate.parse().ok()).map(Self)
    }

    fn shown(text: &str) -> String {
        masked_pairs(text)
    }
}

/// Which road a message counts by that comes in by two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// The number's own webhook.
    Direct,
    /// The conversation that Twilio makes of it.
    Conversations,
}

impl Setting for Sources {
    const WANTED: &'static str =
        "numbers, each with direct or conversations, such as +15555550100=direct";

    fn parse(text: &str) -> Option<Self> {
        let source = |word: &str| match word.to_ascii_lowercase().as_str() {
            "direct" => Some(Source::Direct),
            "conversations" => Some(Source::Conversations),
            _ => None,
        };
        pairs(text, address, source).map(Self)
    }

    fn shown(text: &str) -> String {
        masked_pairs(text)
    }
}

/// Words that mean something if they are a message's whole text.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Keywords(pub Vec<String>);

/// How many words there may be.
const KEYWORDS_MAX: usize = 100;

/// How long one may be.
const KEYWORD_CHARS_MAX: usize = 64;

impl Setting for Keywords {
    const WANTED: &'static str = "words of 1 to 64 characters, separated by commas";

    fn parse(text: &str) -> Option<Self> {
        let words: Vec<String> = items(text).map(str::to_owned).collect();
        let fits = |word: &String| {
            word.chars().count() <= KEYWORD_CHARS_MAX && !word.chars().any(char::is_control)
        };
        (words.len() <= KEYWORDS_MAX && words.iter().all(fits)).then_some(Self(words))
    }
}

/// Further paths of the public listener.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Paths(pub Vec<String>);

/// How many paths there may be.
const PATHS_MAX: usize = 32;

/// How long one may be.
const PATH_BYTES_MAX: usize = 256;

/// Where the public listener serves something else.
const TAKEN: [&str; 3] = ["/healthz", "/livez", "/readyz"];

/// Below which the public listener serves something else, or may one day.
const TAKEN_BELOW: [&str; 4] = ["/_debug", "/api", "/media", "/v1"];

impl Setting for Paths {
    const WANTED: &'static str = "paths such as /sms, separated by commas, of letters, digits and \
         - . _ ~, none of which is served otherwise";

    fn parse(text: &str) -> Option<Self> {
        let paths: Vec<String> = items(text).map(str::to_owned).collect();
        (paths.len() <= PATHS_MAX && paths.iter().all(|path| is_free(path))).then_some(Self(paths))
    }
}

fn is_free(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let is_path = path.len() <= PATH_BYTES_MAX && path.bytes().all(is_plain) && path.len() > 1;
    let is_below = |stem: &&str| {
        path.strip_prefix(*stem).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    is_path && path.starts_with('/') && !TAKEN.contains(&path) && !TAKEN_BELOW.iter().any(is_below)
}

/// A template's variables: a JSON object of texts, as text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TemplateVariables(pub Pii);

impl Setting for TemplateVariables {
    const WANTED: &'static str = r#"a JSON object of texts, such as {"1":"Ann"}"#;

    fn parse(text: &str) -> Option<Self> {
        let variables = json::from_str::<BTreeMap<String, String>>(text);
        variables.is_ok().then(|| Self(text.into()))
    }
}

/// Reads an address: a number, behind the word of its channel if that is not SMS.
fn address(text: &str) -> Option<Pii> {
    let (channel, rest) = match text.split_once(':') {
        Some((channel, rest)) => (Some(channel), rest.trim()),
        None => (None, text),
    };
    let number: String = rest.chars().filter(|c| !" -.()".contains(*c)).collect();
    let digits = number.strip_prefix('+').unwrap_or(&number);
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = is_number && number.starts_with('+') && (6..=15).contains(&digits.len());
    // Source: SMS character limits and short codes, read 2026-11-21: short codes have no country.
    let is_short = is_number && !number.starts_with('+') && (3..=8).contains(&digits.len());
    match channel {
        None if is_whole || is_short => Some(number.into()),
        Some("whatsapp") if is_whole => Some(format!("whatsapp:{number}").into()),
        Some("rcs") if is_name(rest) => Some(format!("rcs:{rest}").into()),
        None | Some(_) => None,
    }
}

/// Whether a text may be the name of an RCS sender.
fn is_name(text: &str) -> bool {
    let length = text.chars().count();
    (1..=ADDRESS_CHARS_MAX).contains(&length)
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// Reads the sid of a messaging service, which stands for numbers that nobody has named.
fn service(text: &str) -> Option<Pii> {
    let sid: MessagingServiceSid = text.parse().ok()?;
    Some(sid.to_string().into())
}

/// Reads `name=value`, each name once.
fn pairs<T>(
    text: &str,
    name: impl Fn(&str) -> Option<Pii>,
    value: impl Fn(&str) -> Option<T>,
) -> Option<Vec<(Pii, T)>> {
    let mut pairs: Vec<(Pii, T)> = Vec::new();
    for item in items(text) {
        let (named, given) = item.split_once('=')?;
        let (address, given) = (name(named.trim())?, value(given.trim())?);
        if pairs.len() == ADDRESSES_MAX || pairs.iter().any(|(known, _)| *known == address) {
            return None;
        }
        pairs.push((address, given));
    }
    Some(pairs)
}

pub(super) fn masked(item: &str) -> String {
    // A sid is nobody's number.
    match service(item) {
        Some(sid) => sid.into_revealed(),
        None => address(item).unwrap_or_default().masked(),
    }
}

fn masked_pairs(text: &str) -> String {
    let shown = items(text).filter_map(|item| item.split_once('='));
    let shown = shown.map(|(name, value)| format!("{}={}", masked(name.trim()), value.trim()));
    shown.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them_and_shown_masked() {
        for (text, wanted) in [
            ("", Some(vec![])),
            ("+15555550100", Some(vec!["+15555550100"])),
            ("+1 (555) 555-0100, 12345", Some(vec!["+15555550100", "12345"])),
            (
                "whatsapp:+15555550100,rcs:shop_agent",
                Some(vec!["whatsapp:+15555550100", "rcs:shop_agent"]),
            ),
            ("15555550100", None),
            ("whatsapp:12345", None),
            ("whatsapp:", None),
            ("rcs:", None),
            ("messenger:1", None),
            ("+1555555010O", None),
            ("+12345", None),
            ("the shop", None),
        ] {
            let parsed = Senders::parse(text).map(|Senders(all)| all);
            let wanted = wanted.map(|all| all.into_iter().map(Pii::new).collect());
            assert_eq!(parsed, wanted, "{text}");
        }
        let shown = Senders::shown("+1 555 555 0100, whatsapp:+15555550199,12345");
        assert_eq!(shown, "+…00,whatsapp:+…99,<5 bytes>");
        let many = vec!["12345"; ADDRESSES_MAX + 1].join(",");
        assert_eq!(Senders::parse(&many), None);
    }

    #[test]
    fn something_can_be_set_for_each_number_once() {
        let rates = SenderRates::parse("+1 555 555 0100=3, whatsapp:+15555550100 = 80").unwrap();
        let of = |address: &str| rates.of(&address.into()).map(NonZeroU32::get);
        assert_eq!(of("+15555550100"), Some(3));
        assert_eq!(of("whatsapp:+15555550100"), Some(80));
        assert_eq!(of("+15555550199"), None);
        assert_eq!(SenderRates::shown("+15555550100=3"), "+…00=3");
        let service = format!("MG{}=50", "0a".repeat(16));
        let of_service = SenderRates::parse(&service).unwrap();
        assert_eq!(of_service.fastest().map(NonZeroU32::get), Some(50));
        assert_eq!(SenderRates::shown(&service), service);
        let sources = Sources::parse("+15555550100=Direct,12345=conversations").unwrap();
        assert_eq!(sources.of(&"+15555550100".into()), Some(Source::Direct));
        assert_eq!(sources.of(&"12345".into()), Some(Source::Conversations));
        assert_eq!(sources.addresses().count(), 2);
        for text in ["+15555550100", "+15555550100=0", "x=1", "+15555550100=1,+1 5555550100=2"] {
            assert_eq!(SenderRates::parse(text), None, "{text}");
        }
        assert_eq!(Sources::parse("+15555550100=both"), None);
        assert_eq!(Sources::parse(&service.replace("50", "direct")), None);
        assert!(!format!("{rates:?} {sources:?}").contains("5555"));
    }

    #[test]
    fn further_paths_are_plain_and_take_nobodys_place() {
        let paths = Paths::parse("/sms, /webhooks/old.php,/v10/sms").unwrap();
        assert_eq!(paths.0, ["/sms", "/webhooks/old.php", "/v10/sms"]);
        for text in [
            "sms",
            "/",
            "/a b",
            "/{sid}",
            "/*",
            "/a?b",
            "/%41",
            "/healthz",
            "/livez",
            "/readyz",
            "/v1",
            "/v1/messages",
            "/_debug/twilio",
            "https://h/sms",
        ] {
            assert_eq!(Paths::parse(text), None, "{text}");
        }
        assert_eq!(Paths::parse(&vec!["/a"; PATHS_MAX + 1].join(",")), None);
    }

    #[test]
    fn words_and_variables_are_bounded_and_well_formed() {
        assert_eq!(Keywords::parse("ARRET, Stopp bitte").unwrap().0, ["ARRET", "Stopp bitte"]);
        assert_eq!(Keywords::parse(&"x".repeat(KEYWORD_CHARS_MAX + 1)), None);
        assert_eq!(Keywords::parse(&vec!["x"; KEYWORDS_MAX + 1].join(",")), None);
        let variables = TemplateVariables::parse(r#"{"1":"Ann"}"#).unwrap();
        assert_eq!(variables.0.reveal(), r#"{"1":"Ann"}"#);
        for text in ["", "Ann", "[]", r#"{"1":1}"#, r#"{"1":"a"}x"#] {
            assert_eq!(TemplateVariables::parse(text), None, "{text}");
        }
    }
}
