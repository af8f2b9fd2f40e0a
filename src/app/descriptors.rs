//! How many descriptors the process may have open: sockets of webhooks, Twilio and the agent, files.
//!
//! A shell gives 1,024 to most programs and allows far more; a thousand people who write while an agent
//! thinks take as many connections.

use std::cmp::min;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::telemetry::chain::Chain;

/// The most that is asked for; a container may allow a thousand million, which nobody needs.
const WANTED: u64 = 65_536;

/// Raises the soft limit as far as is allowed and useful; says what there is then, or nothing if there
/// is no limit.
pub fn raise_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
    let current = current?;
    if current >= wanted {
        return Some(current);
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        Ok(()) => Some(wanted),
        Err(error) => {
            tracing::warn!(error = %Chain(&error), count = current,
                "limit of open descriptors could not be raised; raise it with ulimit -n");
            Some(current)
        }
    }
}

/// What is kept for everything but the listeners: the sockets to Twilio, requests to Twilio and to the
/// agent, files. Half of what there is, if that is less.
const RESERVE: usize = 512;

/// How many connections the operator's listener holds at most.
const ADMIN_MAX: usize = 128;

/// How many connections each listener may hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shares {
    /// The listener that the internet reaches.
    pub public: usize,
    /// The operator's.
    pub admin: usize,
}

/// Fits the listeners' connections to what there is, so that strangers never take what the service
/// needs to work; says in the log if that is less than was wanted.
pub fn fit(wanted: usize, limit: Option<u64>) -> Shares {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let places = shares(wanted, limit);
    if places.public < wanted {
        tracing::warn!(
            connections = places.public,
            count = limit,
            "limit of open descriptors allows fewer connections than server.connections_max; raise it \
             with ulimit -n"
        );
    }
    places
}

/// A listener that is full may hold an eighth more for a moment, while others leave.
const fn with_leaving(places: usize) -> usize {
    places + places / 8 + 1
}

fn shares(wanted: usize, limit: usize) -> Shares {
    let free = limit - min(RESERVE, limit / 2);
    let admin = min(ADMIN_MAX, free / 8).clamp(1, wanted.max(1));
    let rest = free.saturating_sub(with_leaving(admin) + 1);
    Shares { public: wanted.min(rest / 9 * 8).max(1), admin }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_never_take_what_the_service_needs() {
        for (limit, public) in [(usize::MAX, 4_096), (65_536, 4_096), (1_024, 384), (300, 112)] {
            let places = shares(4_096, limit);
            assert_eq!(places.public, public, "{limit}");
            let taken = with_leaving(places.public) + with_leaving(places.admin);
            assert!(taken <= limit - RESERVE.min(limit / 2), "{limit}: {taken}");
        }
        assert_eq!(shares(10, 1_024), Shares { public: 10, admin: 10 });
        assert_eq!(shares(10, 0), Shares { public: 1, admin: 1 });
    }

    #[test]
    fn the_limit_is_as_high_as_is_allowed_and_stays_so() {
        let raised = raise_limit();
        assert_eq!(raised, getrlimit(Resource::Nofile).current);
        assert_eq!(raise_limit(), raised);
    }
}
