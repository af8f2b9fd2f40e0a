//! How fast tokens may be tried at the console's door. Pure: the time is an argument.
//!
//! A few wrong tokens in a row are a slip of the hand; each further one makes its sender wait twice as long
//! as the one before. Senders are told apart by address, of IPv6 by the /64 that one machine is given. So
//! many are remembered; the one that was quiet for longest is forgotten first.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::clock::Moment;
use crate::net::network::neighbourhood;

/// Wrong tokens that cost nothing.
const FREE: u32 = 3;

/// How long the first wait is.
const WAIT_MIN: Duration = Duration::from_secs(1);

/// How long the longest is.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// How long without a wrong token until it is forgotten that there were some.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);

/// Senders that are remembered.
const SENDERS_MAX: usize = 1_024;

/// What was tried.
#[derive(Debug, Default)]
pub struct LoginPace(HashMap<IpAddr, WrongTokens>);

#[derive(Clone, Copy, Debug)]
struct WrongTokens {
    count: u32,
    last: Moment,
    until: Moment,
}

impl LoginPace {
    /// Says how long a sender has to wait; nothing if it may try.
    #[must_use]
    pub(super) fn wait(&self, now: Moment, sender: IpAddr) -> Option<Duration> {
        let tried = self.0.get(&neighbourhood(sender))?;
        let wait = tried.until.since(now);
        (!wait.is_zero()).then_some(wait)
    }

    /// Notes a wrong token.
    pub(super) fn failed(&mut self, now: Moment, sender: IpAddr) {
        self.0.retain(|_, tried| now.since(tried.last) <= FORGOTTEN_AFTER);
        let sender = neighbourhood(sender);
        if self.0.len() >= SENDERS_MAX && !self.0.contains_key(&sender) {
            let quietest = self.0.iter().min_by_key(|(_, tried)| tried.last).map(|(who, _)| *who);
            if let Some(quietest) = quietest {
                self.0.remove(&quietest);
            }
        }
        let tried = self.0.entry(sender).or_insert(WrongTokens { count: 0, last: now, until: now });
        tried.count = tried.count.saturating_add(1);
        tried.last = now;
        if let Some(doublings) = tried.count.checked_sub(FREE + 1) {
            let wait = WAIT_MIN.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX));
            tried.until = now + wait.min(WAIT_MAX);
        }
    }

    /// Forgets a sender that had the right one.
    pub(super) fn succeeded(&mut self, sender: IpAddr) {
        self.0.remove(&neighbourhood(sender));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENDER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn at(secs: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(secs)
    }

    #[test]
    fn each_wrong_token_after_the_third_makes_its_sender_wait_longer() {
        let mut pace = LoginPace::default();
        for wait in [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60] {
            pace.failed(at(0), SENDER);
            let expected = (wait > 0).then(|| Duration::from_secs(wait));
            assert_eq!(pace.wait(at(0), SENDER), expected);
        }
        assert_eq!(pace.wait(at(60), SENDER), None);
        assert_eq!(pace.wait(at(0), "192.0.2.8".parse().unwrap()), None, "somebody else");
    }

    #[test]
    fn the_right_token_and_a_quiet_time_make_all_well() {
        let mut pace = LoginPace::default();
        (0..5).for_each(|_| pace.failed(at(0), SENDER));
        pace.succeeded(SENDER);
        pace.failed(at(1), SENDER);
        assert_eq!(pace.wait(at(1), SENDER), None);
        (0..5).for_each(|_| pace.failed(at(2), SENDER));
        pace.failed(at(3 + FORGOTTEN_AFTER.as_secs()), SENDER);
        assert_eq!(pace.wait(at(3 + FORGOTTEN_AFTER.as_secs()), SENDER), None);
    }

    #[test]
    fn one_line_of_ipv6_is_one_sender_and_so_many_are_remembered() {
        let mut pace = LoginPace::default();
        for host in 1..=5_u16 {
            pace.failed(at(0), std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host).into());
        }
        let other = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 9, 9, 9, 9).into();
        assert!(pace.wait(at(0), other).is_some());
        for n in 0..2_000_u32 {
            pace.failed(at(1), std::net::Ipv4Addr::from_bits(n).into());
        }
        assert_eq!(pace.0.len(), SENDERS_MAX);
    }
}
