//! The cookie of a session, as it is set and found. Knows heads alone: no I/O, no time.
//!
//! Where the browser came over TLS it is `__Host-` and `Secure`, so that no other host, and nobody on the way,
//! can set or read it. Over plain HTTP, which is for this machine alone, not every browser would keep such a
//! one; there it has another name, and goes to the console's own paths only. Cookies know no ports: whatever
//! else listens on this machine and is asked for such a path is shown it.
//!
//! Source: RFC 6265bis draft 20, sections 4.1.3 and 8.5, read 2026-11-30: prefixes; no isolation by port.

use axum::http::{HeaderMap, header};

use super::sessions::AGE_MAX;

/// The cookie's name over TLS.
const OVER_TLS: &str = "__Host-chimein";

/// Its name over plain HTTP.
const PLAIN: &str = "chimein-console";

/// Values that are looked at of one request.
const VALUES_MAX: usize = 8;

/// Sets the cookie.
pub(super) fn set(value: &str, is_tls: bool) -> String {
    let age = AGE_MAX.as_secs();
    if is_tls {
        format!("{OVER_TLS}={value}; Path=/; Max-Age={age}; Secure; HttpOnly; SameSite=Strict")
    } else {
        format!("{PLAIN}={value}; Path=/console/; Max-Age={age}; HttpOnly; SameSite=Strict")
    }
}

/// Takes both cookies away.
pub(super) fn unset() -> [String; 2] {
    [
        format!("{OVER_TLS}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict"),
        format!("{PLAIN}=; Path=/console/; Max-Age=0; HttpOnly; SameSite=Strict"),
    ]
}

/// What a request has as the cookie; several where somebody else has set one beside ours.
pub(super) fn values(headers: &HeaderMap) -> Vec<&str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let ours = pairs.filter(|(name, _)| [OVER_TLS, PLAIN].contains(name));
    ours.map(|(_, value)| value).take(VALUES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_over_tls_is_bound_to_its_host_and_no_script_reads_either() {
        let tls = set("v", true);
        assert!(
            tls.starts_with("__Host-chimein=v; Path=/; ") && tls.contains("; Secure;"),
            "{tls}"
        );
        let plain = set("v", false);
        assert!(plain.starts_with("chimein-console=v; Path=/console/; "), "{plain}");
        for cookie in [tls, plain].into_iter().chain(unset()) {
            assert!(cookie.ends_with("; HttpOnly; SameSite=Strict"), "{cookie}");
            assert!(!cookie.contains("Domain"), "{cookie}");
        }
    }

    #[test]
    fn ours_are_found_among_others() {
        let mut headers = HeaderMap::new();
        for line in
            ["a=b; chimein-console=one", "__Host-chimein=two;x", "not-chimein-console=three"]
        {
            headers.append(header::COOKIE, line.parse().unwrap());
        }
        assert_eq!(values(&headers), ["one", "two"]);
        headers.insert(header::COOKIE, "chimein-console=x;".repeat(100).parse().unwrap());
        assert_eq!(values(&headers).len(), VALUES_MAX);
    }
}
