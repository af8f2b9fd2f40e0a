//! Which proxy is between us and a URL. Pure.
//!
//! Decides by the scheme (`https` and `wss` have one proxy, `http` and `ws` another) and by the list of
//! hosts that are reached directly. What is on this machine is always reached directly, since a proxy
//! has a loopback of its own. A proxy's user and password are shown nowhere.
//! Source: curl manual, "Proxy environment variables", and Go's net/http, `ProxyFromEnvironment`, read
//! 2026-11-21; they agree but for a leading dot, which here means the domain itself too.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::SecretString;
use url::{Host, Url};

/// A proxy: `http://user:password@proxy.example.com:3128`.
#[derive(Clone, Eq, PartialEq)]
pub struct Proxy(Url);

impl Proxy {
    /// Reads a proxy's URL; without a scheme it is `http`. SOCKS is known, to be told by name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&full).ok()?;
        let is_known =
            matches!(url.scheme(), "http" | "https" | "socks4" | "socks4a" | "socks5" | "socks5h");
        let has_host = url.host_str().is_some_and(|host| !host.is_empty());
        (is_known && has_host).then_some(Self(url))
    }

    /// Whether the proxy speaks HTTP, the one protocol that is spoken to proxies here.
    #[must_use]
    pub fn is_http(&self) -> bool {
        matches!(self.0.scheme(), "http" | "https")
    }

    /// Whether the way to the proxy itself is TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Gives the URL, user and password included.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// Gives user and password, if there is a user.
    #[must_use]
    pub fn credentials(&self) -> Option<(String, SecretString)> {
        let (user, password) = (self.0.username(), self.0.password().unwrap_or_default());
        let text = |part| String::from_utf8_lossy(&decoded(part)).into_owned();
        (!user.is_empty()).then(|| (text(user), SecretString::from(text(password))))
    }

    /// Gives the value of `Proxy-Authorization`, if there is a user.
    #[must_use]
    pub fn authorization(&self) -> Option<SecretString> {
        let (user, password) = (self.0.username(), self.0.password().unwrap_or_default());
        if user.is_empty() && password.is_empty() {
            return None;
        }
        let pair = [decoded(user), vec![b':'], decoded(password)].concat();
        Some(SecretString::from(format!("Basic {}", BASE64.encode(pair))))
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.host_str().unwrap_or_default())?;
        match self.0.port_or_known_default() {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Takes percent-encoding off; what is none stays as it is.
fn decoded(text: &str) -> Vec<u8> {
    let (bytes, mut at) = (text.as_bytes(), 0);
    let mut decoded = Vec::with_capacity(bytes.len());
    while let Some(byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let is_digits = |hex: &&str| hex.bytes().all(|digit| digit.is_ascii_hexdigit());
        let coded = digits.filter(is_digits).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match coded {
            Some(coded) if *byte == b'%' => {
                decoded.push(coded);
                at += 3;
            }
            Some(_) | None => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    decoded
}

/// The proxies of this process.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Proxies {
    /// For `https` and `wss`.
    pub https: Option<Proxy>,
    /// For `http` and `ws`.
    pub http: Option<Proxy>,
    /// What is reached directly all the same.
    pub direct: DirectHosts,
}

impl Proxies {
    /// Puts together what may be set; `all` stands in for either of the two before it.
    #[must_use]
    pub fn new(
        https: Option<Proxy>,
        http: Option<Proxy>,
        all: Option<Proxy>,
        direct: DirectHosts,
    ) -> Self {
        Self { https: https.or_else(|| all.clone()), http: http.or(all), direct }
    }

    /// Whether everything is reached directly.
    #[must_use]
    pub const fn are_none(&self) -> bool {
        self.https.is_none() && self.http.is_none()
    }

    /// Gives the proxy that is between us and a URL, if there is one.
    #[must_use]
    pub fn of(&self, url: &Url) -> Option<&Proxy> {
        let proxy = match url.scheme() {
            "https" | "wss" => self.https.as_ref()?,
            "http" | "ws" => self.http.as_ref()?,
            _ => return None,
        };
        let host = url.host()?;
        let is_direct = is_here(&host) || self.direct.has(&host, url.port_or_known_default());
        (!is_direct).then_some(proxy)
    }
}

/// Whether a host is this machine by its name alone.
fn is_here(host: &Host<&str>) -> bool {
    match address_of(host) {
        Some(address) => address.is_loopback() || address.is_unspecified(),
        None => matches!(host, Host::Domain(name) if {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }),
    }
}

fn address_of(host: &Host<&str>) -> Option<IpAddr> {
    match host {
        Host::Domain(name) => name.parse().ok(),
        Host::Ipv4(address) => Some(IpAddr::V4(*address)),
        Host::Ipv6(address) => Some(IpAddr::V6(*address).to_canonical()),
    }
}

/// Hosts that are reached without a proxy: `NO_PROXY`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DirectHosts(Vec<Rule>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Rule {
    hosts: ProxyHosts,
    port: Option<u16>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum ProxyHosts {
    /// `*`.
    All,
    /// A domain and what is below it.
    Domain(String),
    /// The addresses that have the first bits in common with this one.
    Network(IpAddr, u8),
}

impl DirectHosts {
    /// Reads entries divided by commas or blanks: `*`, `example.com`, `.example.com`, `*.example.com`,
    /// `10.0.0.7`, `10.0.0.0/8`, `[fd00::7]`, each with a port or without. What is none of them is a
    /// name that no host has.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let entries = text.split(|c: char| c == ',' || c.is_whitespace());
        Self(entries.filter(|entry| !entry.is_empty()).map(Rule::parse).collect())
    }

    fn has(&self, host: &Host<&str>, port: Option<u16>) -> bool {
        self.0.iter().any(|rule| rule.has(host, port))
    }
}

impl Rule {
    fn parse(entry: &str) -> Self {
        if let Some(hosts) = network(entry) {
            return Self { hosts, port: None };
        }
        let (name, port) = match entry.rsplit_once(':').map(|(name, port)| (name, port.parse())) {
            Some((name, Ok(port))) => (name, Some(port)),
            Some((_, Err(_))) | None => (entry, None),
        };
        if name == "*" {
            return Self { hosts: ProxyHosts::All, port };
        }
        let hosts = network(name).unwrap_or_else(|| {
            let name = name.strip_prefix('*').unwrap_or(name);
            ProxyHosts::Domain(name.trim_matches('.').to_ascii_lowercase())
        });
        Self { hosts, port }
    }

    fn has(&self, host: &Host<&str>, port: Option<u16>) -> bool {
        let is_port = self.port.is_none() || self.port == port;
        let is_host = match (&self.hosts, address_of(host), host) {
            (ProxyHosts::All, _, _) => true,
            (ProxyHosts::Network(network, bits), Some(address), _) => {
                in_network(address, *network, *bits)
            }
            (ProxyHosts::Domain(domain), None, Host::Domain(name)) => is_below(name, domain),
            (ProxyHosts::Network(..) | ProxyHosts::Domain(_), _, _) => false,
        };
        is_port && is_host
    }
}

/// Reads an address with or without brackets, or a network.
fn network(text: &str) -> Option<ProxyHosts> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let inner = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address: IpAddr = inner.unwrap_or(address).parse().ok()?;
    let bits_max = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(bits_max);
    (bits <= bits_max).then_some(ProxyHosts::Network(address, bits))
}

fn in_network(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let differing = address.to_bits() ^ network.to_bits();
            differing.leading_zeros() >= u32::from(bits)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let differing = address.to_bits() ^ network.to_bits();
            differing.leading_zeros() >= u32::from(bits)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

fn is_below(name: &str, domain: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let before = name.strip_suffix(domain);
    !domain.is_empty() && before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn proxies(direct: &str) -> Proxies {
        Proxies {
            https: Proxy::parse("http://user:p%40ss@secure.example:3128"),
            http: Proxy::parse("plain.example"),
            direct: DirectHosts::parse(direct),
        }
    }

    fn chosen(proxies: &Proxies, url: &str) -> Option<String> {
        proxies.of(&Url::parse(url).unwrap()).map(ToString::to_string)
    }

    #[test]
    fn a_proxy_is_chosen_by_the_scheme_and_sockets_have_that_of_the_web() {
        let (secure, plain) = (Some("secure.example:3128"), Some("plain.example:80"));
        let one = Proxies { http: None, ..proxies("") };
        for (proxies, url, wanted) in [
            (&proxies(""), "https://api.twilio.com/x", secure),
            (&proxies(""), "wss://tsock.us1.twilio.com/v3/wsconnect", secure),
            (&proxies(""), "http://agent.example.com:8080/turns", plain),
            (&proxies(""), "ws://tsock.example.com/", plain),
            (&proxies(""), "nats://nats.example.com:4222", None),
            (&one, "http://agent.example.com/", None),
            (&one, "https://agent.example.com/", secure),
            (&Proxies::default(), "https://api.twilio.com/", None),
        ] {
            assert_eq!(chosen(proxies, url).as_deref(), wanted, "{url}");
        }
    }

    #[test]
    fn what_is_on_this_machine_is_reached_directly() {
        for host in [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "emulator.localhost",
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
        ] {
            for scheme in ["http", "https", "ws", "wss"] {
                assert_eq!(
                    chosen(&proxies(""), &format!("{scheme}://{host}:9000/")),
                    None,
                    "{host}"
                );
            }
        }
        for host in ["localhost.example.com", "notlocalhost", "128.0.0.1", "[::2]", "10.0.0.1"] {
            assert!(chosen(&proxies(""), &format!("http://{host}/")).is_some(), "{host}");
        }
    }

    #[test]
    fn every_form_of_no_proxy_is_understood() {
        for (list, url, is_direct) in [
            ("*", "https://api.twilio.com/", true),
            ("example.com", "https://example.com/", true),
            ("example.com", "https://a.b.example.com/", true),
            ("Example.COM", "https://A.example.com./", true),
            (".example.com", "https://a.example.com/", true),
            (".example.com", "https://example.com/", true),
            ("*.example.com", "https://a.example.com/", true),
            ("example.com", "https://notexample.com/", false),
            ("example.com", "https://example.com.evil.org/", false),
            ("a.test, example.com", "wss://example.com/", true),
            ("a.test example.com", "ws://example.com/", true),
            ("example.com:8080", "http://example.com:8080/", true),
            ("example.com:8080", "http://example.com/", false),
            ("example.com:443", "wss://example.com/", true),
            ("10.0.0.7", "http://10.0.0.7:9000/", true),
            ("10.0.0.7:9000", "http://10.0.0.7:9000/", true),
            ("10.0.0.7:9001", "http://10.0.0.7:9000/", false),
            ("10.0.0.0/8", "https://10.200.3.4/", true),
            ("10.0.0.0/8", "https://11.0.0.1/", false),
            ("0.0.0.0/0", "https://11.0.0.1/", true),
            ("10.0.0.0/33", "https://10.0.0.0/", false),
            ("fd00::/8", "https://[fd12::1]/", true),
            ("fd00::7", "https://[fd00::7]/", true),
            ("[fd00::7]:443", "https://[fd00::7]/", true),
            ("10.0.0.0/8", "https://[::ffff:10.0.0.1]/", true),
            ("10.0.0.0/8", "https://ten.example.com/", false),
            (".", "https://example.com/", false),
            (",, ,", "https://example.com/", false),
            ("", "https://example.com/", false),
        ] {
            assert_eq!(chosen(&proxies(list), url).is_none(), is_direct, "{list} {url}");
        }
    }

    #[test]
    fn a_proxys_url_may_lack_its_scheme_and_its_secrets_are_not_shown() {
        for (text, shown) in [
            ("http://proxy.example.com:3128", "proxy.example.com:3128"),
            ("https://proxy.example.com", "proxy.example.com:443"),
            ("proxy.example.com:3128", "proxy.example.com:3128"),
            ("proxy.example.com", "proxy.example.com:80"),
            ("planted:planted@10.0.0.1:3128/", "10.0.0.1:3128"),
            ("http://planted:planted@[fd00::1]:3128", "[fd00::1]:3128"),
            ("socks5://proxy.example.com:1080", "proxy.example.com:1080"),
        ] {
            let proxy = Proxy::parse(text).unwrap();
            assert_eq!((format!("{proxy}"), format!("{proxy:?}")), (shown.into(), shown.into()));
        }
        for text in ["", "http://", "ftp://proxy.example.com", "tcp://10.0.0.1:3128", "a b"] {
            assert_eq!(Proxy::parse(text), None, "{text}");
        }
    }

    #[test]
    fn credentials_are_decoded_before_they_are_sent() {
        for (text, pair) in [
            ("http://user:password@proxy", Some("user:password")),
            ("http://user@proxy", Some("user:")),
            ("http://us%40er:p%3Aw%25@proxy", Some("us@er:p:w%")),
            ("http://user:50%@proxy", Some("user:50%")),
            ("http://user:%zz%4@proxy", Some("user:%zz%4")),
            ("http://user:%C3%A4@proxy", Some("user:ä")),
            ("http://proxy", None),
        ] {
            let found = Proxy::parse(text).unwrap().authorization();
            let wanted = pair.map(|pair| format!("Basic {}", BASE64.encode(pair)));
            let found = found.map(|secret| secret.expose_secret().to_owned());
            assert_eq!(found, wanted, "{text}");
        }
    }
}
