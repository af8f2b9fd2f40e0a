//! What the fragment of a messaging webhook's URL asks for: how long a call may take, what is tried
//! again and how often.
//!
//! Pure. Source: connection overrides, webhook notes 2.4, read 2026-11-21. What cannot be read, or is
//! out of its range, counts as absent (assumed). `ct`, `sni` and `e` change nothing on one machine; a
//! connection that broke counts as one that stayed silent (assumed).

use std::time::Duration;

use super::caller::Failure;

/// What is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Overrides {
    /// How long one call may take.
    pub(super) read: Duration,
    /// How long all of them may take.
    pub(super) total: Duration,
    /// How often it is tried again.
    pub(super) retries: u32,
    client_errors: bool,
    server_errors: bool,
    connects: bool,
    reads: bool,
}

impl Default for Overrides {
    fn default() -> Self {
        Self {
            read: Duration::from_secs(15),
            total: Duration::from_secs(15),
            retries: 1,
            client_errors: false,
            server_errors: false,
            connects: true,
            reads: false,
        }
    }
}

impl Overrides {
    /// Reads a URL's fragment.
    pub(super) fn of(url: &str) -> Self {
        let mut overrides = Self::default();
        let fragment = url.split_once('#').map_or("", |(_, fragment)| fragment);
        for (key, value) in fragment.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "rt" => put(&mut overrides.read, millis(value)),
                "tt" => put(&mut overrides.total, millis(value)),
                "rc" => put(&mut overrides.retries, value.parse().ok().filter(|count| *count <= 5)),
                "rp" => overrides.retry_on(value),
                _ => {}
            }
        }
        overrides
    }

    /// Whether such an end is tried again.
    pub(super) const fn covers(&self, result: Result<u16, Failure>) -> bool {
        match result {
            Ok(400..=499) => self.client_errors,
            Ok(500..) => self.server_errors,
            Ok(_) => false,
            Err(Failure::Unreachable) => self.connects,
            Err(Failure::Timeout | Failure::Connection) => self.reads,
        }
    }

    fn retry_on(&mut self, list: &str) {
        let has = |word: &str| list.split(',').any(|one| one.trim() == word || one.trim() == "all");
        self.client_errors = has("4xx");
        self.server_errors = has("5xx");
        self.connects = has("ct");
        self.reads = has("rt");
    }
}

fn millis(text: &str) -> Option<Duration> {
    let ms = text.parse().ok().filter(|ms| (100..=15_000).contains(ms))?;
    Some(Duration::from_millis(ms))
}

fn put<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_only_a_failed_connection_is_tried_again_and_once() {
        let rules = Overrides::of("http://a/b?rc=5");
        assert_eq!(rules, Overrides::default());
        assert_eq!((rules.retries, rules.read), (1, Duration::from_secs(15)));
        assert!(rules.covers(Err(Failure::Unreachable)));
        for end in [Ok(200), Ok(404), Ok(503), Err(Failure::Timeout), Err(Failure::Connection)] {
            assert!(!rules.covers(end), "{end:?}");
        }
    }

    #[test]
    fn the_fragment_says_what_and_how_often() {
        let rules = Overrides::of("http://a/b#rc=3&rp=5xx,ct,rt&rt=200&tt=1000&x=1&e=dublin");
        assert_eq!(
            (rules.retries, rules.read.as_millis(), rules.total.as_millis()),
            (3, 200, 1000)
        );
        for (end, again) in [
            (Ok(200), false),
            (Ok(302), false),
            (Ok(429), false),
            (Ok(503), true),
            (Err(Failure::Timeout), true),
            (Err(Failure::Unreachable), true),
        ] {
            assert_eq!(rules.covers(end), again, "{end:?}");
        }
        assert!(Overrides::of("http://a#rp=all").covers(Ok(404)));
        assert!(!Overrides::of("http://a#rp=4xx").covers(Err(Failure::Unreachable)));
        assert_eq!(Overrides::of("http://a#rc=6&rt=1").retries, 1);
    }
}
