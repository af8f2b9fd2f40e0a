//! How many descriptors the process may have open: sockets of webhooks, Twilio and the agent, files.
//!
//! A shell gives 1,024 to most programs and allows far more; a thousand people who write while an agent
//! thinks take as many connections.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_as_high_as_is_allowed_and_stays_so() {
        let raised = raise_limit();
        assert_eq!(raised, getrlimit(Resource::Nofile).current);
        assert_eq!(raise_limit(), raised);
    }
}
