//! How many lines of one kind are logged of one address: some a minute, and how many were left out.
//!
//! Whoever can reach the service can cause a line with each request; without a bound the log is a way
//! to fill the disk. The first of a minute are logged, from each address and in all, and the next line
//! that is logged tells how many were not. Counters count all of them. An IPv6 address stands for its
//! network of 64 bits, which one customer of a provider has whole. Pure.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::clock::Moment;

/// How long a count lasts.
const WINDOW: Duration = Duration::from_secs(60);

/// How many lines an address may cause in that time.
const LINES_PER_ADDRESS: u32 = 5;

/// How many lines all of them together may cause in that time.
const LINES_IN_ALL: u32 = 60;

/// How many addresses are told apart; further ones share one count.
const ADDRESSES_MAX: usize = 1024;

/// Counts lines.
#[derive(Debug, Default)]
pub struct Flood {
    addresses: HashMap<Option<IpAddr>, Count>,
    all: Count,
    left_out: u64,
}

/// Lines since a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    since: Moment,
    lines: u32,
}

impl Count {
    fn is_over(self, now: Moment) -> bool {
        now.since(self.since) >= WINDOW
    }

    fn has_room(&mut self, now: Moment, most: u32) -> bool {
        if self.is_over(now) {
            *self = Self { since: now, lines: 0 };
        }
        self.lines < most
    }
}

impl Flood {
    /// Whether a line that this address causes is logged now; if it is, how many were left out since
    /// the last one, of all addresses.
    pub fn admit(&mut self, address: Option<IpAddr>, now: Moment) -> Option<u64> {
        let place = self.place(address.map(network), now);
        let own = self.addresses.entry(place).or_insert(Count { since: now, lines: 0 });
        if own.has_room(now, LINES_PER_ADDRESS) && self.all.has_room(now, LINES_IN_ALL) {
            own.lines += 1;
            self.all.lines += 1;
            return Some(std::mem::take(&mut self.left_out));
        }
        self.left_out = self.left_out.saturating_add(1);
        None
    }

    /// Where an address is counted: with those that nobody knows if there is no room for it.
    fn place(&mut self, address: Option<IpAddr>, now: Moment) -> Option<IpAddr> {
        if self.addresses.len() >= ADDRESSES_MAX && !self.addresses.contains_key(&address) {
            if self.all.lines < LINES_IN_ALL || self.all.is_over(now) {
                self.addresses.retain(|_, count| !count.is_over(now));
            }
            if self.addresses.len() >= ADDRESSES_MAX {
                return None;
            }
        }
        address
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_some_lines_a_minute_and_the_next_line_tells_what_was_left_out() {
        let (mut flood, home) = (Flood::default(), at(0));
        let logged = |flood: &mut Flood, now| {
            (0..1000).filter(|_| flood.admit(Some(v4(1)), now).is_some()).count()
        };
        assert_eq!(logged(&mut flood, home), 5);
        assert_eq!(logged(&mut flood, at(59)), 0);
        assert_eq!(flood.admit(Some(v4(1)), at(60)), Some(1995));
        assert_eq!(flood.admit(Some(v4(1)), at(60)), Some(0));
    }

    #[test]
    fn one_address_does_not_hide_another() {
        let mut flood = Flood::default();
        while flood.admit(Some(v4(1)), at(0)).is_some() {}
        assert!(flood.admit(Some(v4(2)), at(0)).is_some());
        assert!(flood.admit(None, at(0)).is_some());
    }

    #[test]
    fn many_addresses_have_a_bound_together_in_lines_and_in_memory() {
        let mut flood = Flood::default();
        for minute in 0..3 {
            let everybody = 0..100_000;
            let logged = everybody.filter(|n| flood.admit(Some(v4(*n)), at(minute * 60)).is_some());
            assert_eq!(logged.count(), 60);
            assert!(flood.addresses.len() <= ADDRESSES_MAX + 1);
        }
    }

    #[test]
    fn a_network_of_ipv6_counts_once_and_ipv4_within_it_as_itself() {
        let mut flood = Flood::default();
        let host = |n: u64| format!("2001:db8:1:2::{n:x}").parse().ok();
        let logged = (1..100).filter(|n| flood.admit(host(*n), at(0)).is_some()).count();
        assert_eq!(logged, 5);
        while flood.admit("::ffff:10.0.0.1".parse().ok(), at(0)).is_some() {}
        assert_eq!(flood.admit("10.0.0.1".parse().ok(), at(0)), None);
    }

    fn at(seconds: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(seconds)
    }

    fn v4(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(n).into()
    }
}
