//! Networks of IP addresses, as operators write them. Pure.
//!
//! An IPv4 address that is written as IPv6 (`::ffff:192.0.2.1`) is the IPv4 address everywhere.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Addresses that begin alike: `10.0.0.0/8`, `2001:db8::/32`, or one address alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

/// Says that a text is no network.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a network: wanted an IP address, or one with the number of its first bits behind a /")]
pub struct NotANetwork;

impl Network {
    /// Whether an address lies in it.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let differing = u64::from(ours.to_bits() ^ theirs.to_bits());
                differing >> (32 - self.bits.min(32)) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let differing = ours.to_bits() ^ theirs.to_bits();
                differing.checked_shr(128 - self.bits.min(128)).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), str::parse).map_err(|_| NotANetwork)?;
        (bits <= width).then_some(Self { address, bits }).ok_or(NotANetwork)
    }
}

/// Gives what addresses have in common that one person can have many of: an IPv4 address is itself, of
/// an IPv6 address it is the first 64 bits, which is what a line or a machine is given.
///
/// Source: RFC 6177, section 2, read 2026-11-29: a site gets a /64 at least.
#[must_use]
pub fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address @ IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_that_begin_as_it_does() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", vec!["10.255.0.1", "::ffff:10.0.0.1"], vec!["11.0.0.1", "::1"]),
            ("10.1.2.3/8", vec!["10.9.9.9"], vec!["9.1.2.3"]),
            ("192.0.2.7", vec!["192.0.2.7"], vec!["192.0.2.6"]),
            ("0.0.0.0/0", vec!["255.255.255.255"], vec!["::1"]),
            ("2001:db8::/32", vec!["2001:db8:1::1"], vec!["2001:db9::1", "10.0.0.1"]),
            ("::1", vec!["::1"], vec!["::2"]),
            ("::/0", vec!["ffff::"], vec!["10.0.0.1"]),
        ] {
            let parsed: Network = network.parse().unwrap();
            for address in inside {
                assert!(parsed.contains(address.parse().unwrap()), "{network} has {address}");
            }
            for address in outside {
                assert!(!parsed.contains(address.parse().unwrap()), "{network} lacks {address}");
            }
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0/8", "a", "1.2.3.4/-1"]
        {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork), "{text}");
        }
    }

    #[test]
    fn a_line_with_many_ipv6_addresses_is_one_neighbourhood() {
        for (one, other, are_one) in [
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
        ] {
            let [one, other] = [one, other].map(|text| neighbourhood(text.parse().unwrap()));
            assert_eq!(one == other, are_one, "{one} {other}");
        }
    }
}
