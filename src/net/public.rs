//! Which addresses belong to the internet at large, and names that lead to those alone.
//!
//! Whoever goes where an answer from outside points must not be led to this machine, its neighbours or the
//! cloud's own services. The address is judged where the connection is made, so that a name that answers
//! differently the second time helps nobody. I/O: [`PublicNames`] asks the system's resolver.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Whether an address is one of the internet at large.
///
/// Source: IANA IPv4 and IPv6 Special-Purpose Address Registries, read 2026-11-29; of IPv6 what is not global
/// unicast (2000::/3) is none, but for IPv4 addresses behind NAT64 (RFC 6052).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Whether a URL names its host by an address that is not one of the internet at large.
#[must_use]
pub fn is_led_inside(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => !is_public(address.into()),
        Some(Host::Ipv6(address)) => !is_public(address.into()),
        Some(Host::Domain(_)) => false,
        None => true,
    }
}

const fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127 | 224..=255, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
    )
}

const fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => first >> 13 == 1,
    }
}

/// Finds of a name's addresses those of the internet at large.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublicNames;

/// Says that a name leads to no address of the internet at large.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the name leads to no public address")]
pub struct LeadsInside;

impl Resolve for PublicNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|found| is_public(found.ip())).collect();
            if public.is_empty() {
                return Err(LeadsInside.into());
            }
            let public: Addrs = Box::new(public.into_iter());
            Ok(public)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_at_large_are_public() {
        for (address, expected) in [
            ("1.1.1.1", true),
            ("52.1.2.3", true),
            ("100.63.0.1", true),
            ("172.32.0.1", true),
            ("2606:4700::1111", true),
            ("2a00::1", true),
            ("64:ff9b::101:101", true),
            ("64:ff9b::a00:1", false),
            ("0.0.0.0", false),
            ("10.0.0.1", false),
            ("127.0.0.1", false),
            ("100.64.0.1", false),
            ("169.254.169.254", false),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("192.168.1.1", false),
            ("192.0.2.1", false),
            ("198.18.0.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:1.1.1.1", true),
            ("::7f00:1", false),
            ("fe80::1", false),
            ("fd00:ec2::254", false),
            ("fc00::1", false),
            ("ff02::1", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("2002:7f00:1::", false),
            ("4000::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn a_url_that_names_an_address_is_judged_however_it_writes_it() {
        for (url, expected) in [
            ("https://media.example/a", false),
            ("https://1.1.1.1/a", false),
            ("https://127.0.0.1/a", true),
            ("https://127.1/a", true),
            ("https://0x7f000001/a", true),
            ("https://2852039166/latest", true),
            ("https://[::1]/a", true),
            ("https://[::ffff:10.0.0.1]/a", true),
            ("data:,x", true),
        ] {
            assert_eq!(is_led_inside(&url.parse().unwrap()), expected, "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_leads_nowhere() {
        let found = PublicNames.resolve("localhost".parse().unwrap()).await;
        assert!(found.is_err());
    }
}
