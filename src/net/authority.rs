//! `host[:port]` as a request names it, read strictly, and lists of hosts that may be named.
//!
//! Pure. A name is taken to be pasted into URLs, signed texts and comparisons, so nothing is in it that
//! could end it there: no slash, no user info, no blank, no percent sign. That is less than RFC 3986
//! allows (section 3.2) and all that a host needs which is called over the internet.

use std::net::{IpAddr, Ipv6Addr};

/// The longest name that is read. Source: RFC 1035, section 2.3.4, read 2026-11-29.
const HOST_BYTES_MAX: usize = 255;

/// A host and perhaps a port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Authority<'a> {
    whole: &'a str,
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads a name, an IPv4 address or an IPv6 address in brackets, and a port; nothing else.
    #[must_use]
    pub fn parse(whole: &'a str) -> Option<Self> {
        let (host, port) = match whole.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(self::port(port)?)),
            Some(_) | None => (whole, None),
        };
        (is_name(host) || is_ipv6(host)).then_some(Self { whole, host, port })
    }

    /// Gives the text as it was written.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.whole
    }

    /// Gives the host, an IPv6 address with its brackets.
    #[must_use]
    pub const fn host(&self) -> &'a str {
        self.host
    }

    /// Gives the address, if the host is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match bare(self.host) {
            Some(address) => address.parse().ok().map(IpAddr::V6),
            None => self.host.parse().ok(),
        }
    }

    /// Whether the host is the machine itself: `localhost`, or a loopback address.
    #[must_use]
    pub fn is_this_machine(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.address().is_some_and(|address| address.is_loopback())
    }

    /// Gives the port.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }
}

fn port(text: &str) -> Option<u16> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port != 0)
}

fn is_name(host: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !host.is_empty() && host.len() <= HOST_BYTES_MAX && host.bytes().all(is_letter)
}

fn is_ipv6(host: &str) -> bool {
    bare(host).is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// What stands in brackets.
fn bare(host: &str) -> Option<&str> {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))
}

/// Hosts that may be named; one without a port stands for the host at every port.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// Takes each of these; `None` if one of them is no host.
    #[must_use]
    pub fn new<'a>(listed: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let read = listed.into_iter().map(|host| Authority::parse(host).map(|_| host.to_owned()));
        read.collect::<Option<_>>().map(Self)
    }

    /// Takes those of another list too.
    #[must_use]
    pub fn and(mut self, others: &Self) -> Self {
        self.0.extend_from_slice(&others.0);
        self
    }

    /// Whether none is listed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a host is listed; upper and lower case are the same.
    #[must_use]
    pub fn lists(&self, named: &Authority<'_>) -> bool {
        self.0.iter().filter_map(|listed| Authority::parse(listed)).any(|listed| {
            let is_port = listed.port().is_none() || listed.port() == named.port();
            is_port && listed.host().eq_ignore_ascii_case(named.host())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_read_to_the_letter() {
        for (text, host, port) in [
            ("bot.example.com", "bot.example.com", None),
            ("Bot.Example.com:8443", "Bot.Example.com", Some(8443)),
            ("twilio_ingress:3000", "twilio_ingress", Some(3000)),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]", "[::1]", None),
            ("[2001:db8::7]:443", "[2001:db8::7]", Some(443)),
        ] {
            let read = Authority::parse(text).unwrap();
            assert_eq!((read.host(), read.port(), read.as_str()), (host, port, text));
        }
    }

    #[test]
    fn nothing_that_would_end_a_host_is_part_of_one() {
        let long = "h".repeat(HOST_BYTES_MAX + 1);
        for text in [
            "",
            ":80",
            "h:",
            "h:0",
            "h:65536",
            "h:+80",
            "h:80:80",
            "h:80a",
            "vendor.example/hookAccountSidAC",
            "user@h",
            "user:word@h",
            "h?a=b",
            "h#a",
            "h\\a",
            "h a",
            " h",
            "h\t",
            "h,other",
            "h%2fa",
            "h&a=b",
            "h=a",
            "::1",
            "[::1",
            "[::1]80",
            "[h]",
            "[::1%25eth0]",
            "b\u{fc}cher.example",
            long.as_str(),
        ] {
            assert_eq!(Authority::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_listed_host_stands_for_every_port_unless_it_names_one() {
        let hosts = Hosts::new(["bot.example.com", "other.example:8443", "[::1]"]).unwrap();
        for (named, is_listed) in [
            ("bot.example.com", true),
            ("BOT.example.com:8443", true),
            ("other.example:8443", true),
            ("other.example", false),
            ("other.example:443", false),
            ("[::1]:3000", true),
            ("a.bot.example.com", false),
            ("bot.example.com.evil.example", false),
        ] {
            assert_eq!(hosts.lists(&Authority::parse(named).unwrap()), is_listed, "{named}");
        }
        assert!(!Hosts::default().lists(&Authority::parse("h").unwrap()));
        assert_eq!(Hosts::new(["bot.example.com", "https://h"]), None);
    }
}
