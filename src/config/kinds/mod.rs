//! The kinds of values that settings have: how each is written and what it becomes.
//!
//! Pure. A value is parsed once, into the type that the rooms use; what does not parse is told by
//! the kind's own words, never by repeating the value, which may be a misplaced secret.

mod endpoints;
mod join_rules;
mod messaging;
mod routes;
mod signed_in;

use std::borrow::Cow;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

pub use self::endpoints::{
    BaseUrl, Endpoint, HostPart, HttpUrl, Listen, NatsUrls, Networks, SocketUrl,
};
pub use self::join_rules::{Addresses, Attribute, Since};
pub use self::messaging::{
    Keywords, Paths, PerSender, SenderRates, Senders, Source, Sources, TemplateVariables,
};
pub use self::routes::{AgentName, Phrases, RouteAddresses, RouteChannels};
pub use self::signed_in::{HeaderField, People};
use crate::telemetry::log::{Format, Level};
use crate::twilio::sid::{AccountSid, ApiKeySid, ChatServiceSid, ContentSid, MessagingServiceSid};

/// A value that can be read from a setting's text.
pub trait Setting: Sized {
    /// What a well-formed value looks like, to be put after "wanted".
    const WANTED: &'static str;
    /// Whether the value must not be shown.
    const SECRET: bool = false;
    /// Whether there may be no value.
    const OPTIONAL: bool = false;

    /// Reads a trimmed text.
    fn parse(text: &str) -> Option<Self>;

    /// Reads a trimmed text where what is well-formed depends on which kinds of agents there are.
    fn parse_among(text: &str, _agents: &[&'static str]) -> Option<Self> {
        Self::parse(text)
    }

    /// What a well-formed value looks like among these kinds of agents.
    fn wanted_among(_agents: &[&'static str]) -> Cow<'static, str> {
        Cow::Borrowed(Self::WANTED)
    }

    /// Gives what stands for no value, if the setting may be left out.
    fn absent() -> Option<Self> {
        None
    }

    /// Writes a well-formed text, which is no secret, as people may see it.
    fn shown(text: &str) -> String {
        without_query(text)
    }
}

impl<T: Setting> Setting for Option<T> {
    const WANTED: &'static str = T::WANTED;
    const SECRET: bool = T::SECRET;
    const OPTIONAL: bool = true;

    fn parse(text: &str) -> Option<Self> {
        T::parse(text).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn shown(text: &str) -> String {
        T::shown(text)
    }
}

macro_rules! from_str {
    ($($kind:ty, $wanted:literal;)*) => {$(
        impl Setting for $kind {
            const WANTED: &'static str = $wanted;

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )*};
}

from_str! {
    AccountSid, "AC and 32 hexadecimal digits";
    ApiKeySid, "SK and 32 hexadecimal digits";
    ChatServiceSid, "IS and 32 hexadecimal digits";
    ContentSid, "HX and 32 hexadecimal digits";
    IpAddr, "an IP address such as 0.0.0.0 or ::";
    Level, "off, error, warn, info, debug, trace or filter directives such as info,wire=trace";
    MessagingServiceSid, "MG and 32 hexadecimal digits";
    NonZeroU16, "a whole number from 1 to 65535";
    NonZeroU32, "a whole number of at least 1";
    NonZeroUsize, "a whole number of at least 1";
    usize, "a whole number";
}

/// Makes settings of enums whose values have a word each.
macro_rules! words {
    ($($kind:ty, $wanted:literal, { $($word:literal => $value:expr),* $(,)? })*) => {$(
        impl $crate::config::kinds::Setting for $kind {
            const WANTED: &'static str = $wanted;

            fn parse(text: &str) -> Option<Self> {
                match text.to_ascii_lowercase().as_str() {
                    $($word => Some($value),)*
                    _ => None,
                }
            }
        }
    )*};
}

pub(crate) use words;

/// What signs in to the REST API.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RestAuth {
    /// The account sid and the auth token.
    Token,
    /// The API key and its secret.
    Key,
}

/// What thinks, by the word of one of the kinds there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AgentKind(&'static str);

impl AgentKind {
    /// Gives the word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        self.0
    }
}

impl Setting for AgentKind {
    const WANTED: &'static str = "a kind of agent";

    fn parse(_: &str) -> Option<Self> {
        None
    }

    fn parse_among(text: &str, agents: &[&'static str]) -> Option<Self> {
        agents.iter().find(|word| word.eq_ignore_ascii_case(text)).copied().map(Self)
    }

    fn wanted_among(agents: &[&'static str]) -> Cow<'static, str> {
        match agents {
            [first @ .., last] if !first.is_empty() => {
                Cow::Owned(format!("{} or {last}", first.join(", ")))
            }
            _ => Cow::Owned(agents.concat()),
        }
    }
}

/// How turns are made of messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TurnStrategy {
    /// One turn for each message, in order.
    Queue,
    /// One turn for messages that come close together.
    Burst,
    /// A new message ends the thinking and joins those before it.
    Supersede,
    /// What comes while the agent thinks gets no turn.
    Drop,
}

/// What becomes of messages while a person has the conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhilePaused {
    /// They get no turn.
    Skip,
    /// They wait until it is given back.
    Hold,
}

/// From where on messages are answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TurnsBegin {
    /// Those that nobody has answered as the bot.
    Unanswered,
    /// Of those the ones written since the service was first started.
    Now,
    /// All.
    All,
}

/// Whether the bot comes back where somebody has removed it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rejoin {
    /// Only if it is let in again.
    Never,
    /// With the next message or sweep.
    Always,
}

/// What keeps the queues.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum QueueEngine {
    /// One file on this machine.
    Embedded,
    /// NATS JetStream, for any number of instances.
    Nats,
}

words! {
    bool, "true or false", {
        "true" => true, "1" => true, "yes" => true, "on" => true,
        "false" => false, "0" => false, "no" => false, "off" => false,
    }
    RestAuth, "token or key", { "token" => Self::Token, "key" => Self::Key }
    TurnStrategy, "queue, burst, supersede or drop", {
        "queue" => Self::Queue, "burst" => Self::Burst,
        "supersede" => Self::Supersede, "drop" => Self::Drop,
    }
    WhilePaused, "skip or hold", { "skip" => Self::Skip, "hold" => Self::Hold }
    TurnsBegin, "unanswered, now or all", {
        "unanswered" => Self::Unanswered, "now" => Self::Now, "all" => Self::All,
    }
    Rejoin, "never or always", { "never" => Self::Never, "always" => Self::Always }
    QueueEngine, "embedded or nats", { "embedded" => Self::Embedded, "nats" => Self::Nats }
    Format, "auto, text, json or bitbrat", {
        "auto" => Self::Auto, "text" => Self::Text, "json" => Self::Json, "bitbrat" => Self::Bitbrat,
    }
}

/// A share of a whole, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio(pub f64);

impl Setting for Ratio {
    const WANTED: &'static str = "a number from 0 to 1, such as 0.1";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).map(Self)
    }
}

impl Setting for SecretString {
    const WANTED: &'static str = "a secret that is not empty";
    const SECRET: bool = true;

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::from(text))
    }
}

impl Setting for PathBuf {
    const WANTED: &'static str = "a path";

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::from(text))
    }
}

impl Setting for Duration {
    const WANTED: &'static str = "a duration such as 250ms, 30s, 5m, 2h or 7d";

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = number_and_unit(text)?;
        match unit {
            "ms" => Some(Self::from_millis(number)),
            "s" => Some(Self::from_secs(number)),
            "m" => number.checked_mul(60).map(Self::from_secs),
            "h" => number.checked_mul(3_600).map(Self::from_secs),
            "d" => number.checked_mul(86_400).map(Self::from_secs),
            _ => None,
        }
    }
}

/// A duration; without a unit it is in milliseconds, as OpenTelemetry's variables have it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeout(pub Duration);

impl Setting for Timeout {
    const WANTED: &'static str = "a duration such as 10s, or milliseconds such as 10000";

    fn parse(text: &str) -> Option<Self> {
        match number_and_unit(text)? {
            (millis, "") => Some(Self(Duration::from_millis(millis))),
            _ => <Duration as Setting>::parse(text).map(Self),
        }
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Size(pub usize);

impl Setting for Size {
    const WANTED: &'static str = "a size such as 512B, 64KiB, 4MiB or 1GiB";

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = number_and_unit(text)?;
        let unit_bytes: u64 = match unit {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        usize::try_from(number.checked_mul(unit_bytes)?).ok().map(Self)
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

/// Waiting times between attempts, the first retry's first; one more attempt than times.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Schedule(pub Vec<Duration>);

impl Setting for Schedule {
    const WANTED: &'static str = "durations separated by commas, such as 1s, 5s, 30s";

    fn parse(text: &str) -> Option<Self> {
        let times: Option<Vec<Duration>> = items(text).map(<Duration as Setting>::parse).collect();
        times.filter(|times| times.len() <= SCHEDULE_STEPS_MAX).map(Self)
    }
}

/// More steps than this are a mistake.
const SCHEDULE_STEPS_MAX: usize = 100;

/// An identity of the bot in the chat service.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Identity(String);

impl Identity {
    /// Gives the identity as Twilio knows it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for Identity {
    const WANTED: &'static str = "a name of 1 to 256 characters that is not system";

    fn parse(text: &str) -> Option<Self> {
        let length = text.chars().count();
        let fits = (1..=256).contains(&length) && !text.chars().any(char::is_control);
        (fits && text != "system").then(|| Self(text.to_owned()))
    }
}

/// Several identities.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identities(pub Vec<Identity>);

impl Setting for Identities {
    const WANTED: &'static str = "names separated by commas";

    fn parse(text: &str) -> Option<Self> {
        items(text).map(Identity::parse).collect::<Option<Vec<_>>>().map(Self)
    }
}

/// A text as it is, or a URL's up to its query.
fn without_query(text: &str) -> String {
    match text.split_once('?') {
        Some((start, _)) if start.contains("://") => format!("{start}?…"),
        _ => text.to_owned(),
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// A short word: the name of a service or an instance.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Name(String);

impl Name {
    /// Gives the word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for Name {
    const WANTED: &'static str = "1 to 63 letters, digits, hyphens, underscores or dots";

    fn parse(text: &str) -> Option<Self> {
        let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        (fits && (1..=63).contains(&text.len())).then(|| Self(text.to_owned()))
    }
}

/// What names of streams and buckets start with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Prefix(String);

impl Prefix {
    /// Gives the word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for Prefix {
    const WANTED: &'static str = "1 to 32 letters, digits, hyphens or underscores";

    fn parse(text: &str) -> Option<Self> {
        let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        (fits && (1..=32).contains(&text.len())).then(|| Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_whole_number_and_a_unit() {
        for (text, millis) in [
            ("250ms", Some(250)),
            ("30s", Some(30_000)),
            ("5m", Some(300_000)),
            ("2h", Some(7_200_000)),
            ("7d", Some(604_800_000)),
            ("0s", Some(0)),
            ("30 s", Some(30_000)),
            ("30", None),
            ("s", None),
            ("1.5s", None),
            ("-1s", None),
            ("30S", None),
            ("5 minutes", None),
            ("99999999999999999999s", None),
            ("18446744073709551615h", None),
        ] {
            let expected = millis.map(Duration::from_millis);
            assert_eq!(<Duration as Setting>::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_timeout_without_a_unit_is_in_milliseconds() {
        for (text, millis) in [
            ("10000", Some(10_000)),
            ("10s", Some(10_000)),
            ("+5", None),
            ("1.5", None),
            ("-1", None),
            ("soon", None),
        ] {
            let expected = millis.map(Duration::from_millis).map(Timeout);
            assert_eq!(Timeout::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes_have_a_whole_number_and_a_binary_unit() {
        for (text, bytes) in [
            ("512B", Some(512)),
            ("64KiB", Some(65_536)),
            ("4MiB", Some(4_194_304)),
            ("1GiB", Some(1_073_741_824)),
            ("64KB", None),
            ("64", None),
            ("18446744073709551615GiB", None),
        ] {
            assert_eq!(Size::parse(text).map(|size| size.0), bytes, "{text}");
        }
    }

    #[test]
    fn schedules_are_lists_of_durations() {
        let schedule = Schedule::parse("1s, 5s,1m").unwrap();
        assert_eq!(schedule.0, [1, 5, 60].map(Duration::from_secs));
        assert!(Schedule::parse("").unwrap().0.is_empty());
        assert_eq!(Schedule::parse("1s, soon"), None);
    }

    #[test]
    fn the_bot_is_not_called_system() {
        assert!(Identity::parse("support-bot").is_some());
        assert!(Identity::parse("Ассистент").is_some());
        assert_eq!(Identity::parse("system"), None);
        assert_eq!(Identity::parse(""), None);
        assert_eq!(Identity::parse(&"x".repeat(257)), None);
    }

    #[test]
    fn switches_take_bitbrats_words() {
        for text in ["true", "1", "YES", "on"] {
            assert_eq!(bool::parse(text), Some(true), "{text}");
        }
        for text in ["false", "0", "no", "Off"] {
            assert_eq!(bool::parse(text), Some(false), "{text}");
        }
        assert_eq!(bool::parse("maybe"), None);
    }
}
