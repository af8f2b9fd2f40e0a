//! Which ways of writing one URL Twilio may have signed, and how to show a URL without its values.
//!
//! Twilio signs some URLs without their port and some with the default one, and a proxy may have
//! escaped an apostrophe on the way in. Those forms are tried and nothing else: no lower-casing, no
//! dot segments, no rewritten query. Source: Security, "Validating requests", and the official
//! helpers' sources, read 2026-11-21. Pure.

use std::fmt::Write as _;

/// Gives the ways of writing `url` that are tried, the URL as received first.
///
/// Then without its port, with the default port if it had none, and the same again with `%27` in the
/// query as an apostrophe.
pub(super) fn candidates(url: &str) -> Vec<String> {
    let url = &with_path(url);
    let mut forms = vec![url.clone()];
    if let Some(parts) = UrlParts::of(url) {
        // An explicit port is dropped, never swapped for the default one.
        match parts.port_from {
            Some(port_from) => {
                forms.push(format!("{}{}", &url[..port_from], &url[parts.host_end..]));
            }
            None => forms.push(format!(
                "{}:{}{}",
                &url[..parts.host_end],
                parts.default_port,
                &url[parts.host_end..]
            )),
        }
    }
    let unescaped: Vec<_> = forms.iter().filter_map(|form| with_raw_apostrophe(form)).collect();
    forms.extend(unescaped);
    forms
}

/// Whether a text can be the URL of a webhook as somebody configures it: a scheme of HTTP in any case,
/// a host, and no character that would not reach Twilio as it is typed.
///
/// More is not asked, since what is signed is what was typed: upper case in the host, blanks, dot
/// segments and letters of any script. Programs that read URLs rewrite each of these.
#[must_use]
pub fn is_callable(configured: &str) -> bool {
    let has_host = UrlParts::of(configured).is_some_and(|parts| {
        let host_end = parts.port_from.unwrap_or(parts.host_end);
        parts.host_from < host_end
    });
    has_host && !configured.contains(|c: char| c.is_control() || c == '\\')
}

/// Writes the URL of a webhook, as somebody configured it, the way Twilio signs it: to the byte, but
/// that user info and fragment are never signed, and that a URL without a path is called with `/`.
///
/// This is the one way from a configured URL to a signed one, for the service as for the command that
/// checks a signature. Source: Security and Connection overrides, read 2026-11-21. Assumed: a host in
/// letters of other scripts is signed as it is configured, not as its `xn--` name.
#[must_use]
pub fn signed_url(configured: &str) -> String {
    let url = configured.split_once('#').map_or(configured, |(url, _)| url);
    let Some(parts) = UrlParts::of(url) else { return url.to_owned() };
    with_path(&format!("{}{}", &url[..parts.scheme_end], &url[parts.host_from..]))
}

/// Whether a webhook configured at Twilio as `configured` is signed over `called`, give or take what
/// every check tries.
#[must_use]
pub fn is_signed_as(configured: &str, called: &str) -> bool {
    candidates(called).contains(&signed_url(configured))
}

/// Writes `url` without what a person may have said in it: user info and the values of the query.
///
/// Names of the query stay, if they look like names. At most `SHOWN_MAX` bytes are shown.
#[must_use]
pub fn without_values(url: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, None), |(base, q)| (base, Some(q)));
    let (scheme, rest) = base.split_once("://").unwrap_or(("", base));
    let authority_end = rest.find('/').unwrap_or(rest.len());
    let host_from = rest[..authority_end].rfind('@').map_or(0, |at| at + 1);
    let mut shown = String::new();
    if !scheme.is_empty() {
        shown.push_str(scheme);
        shown.push_str("://");
    }
    shown.push_str(&rest[host_from..]);
    for (at, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        shown.push(if at == 0 { '?' } else { '&' });
        let name = pair.split_once('=').map(|(name, _)| name).filter(|name| is_name(name));
        let _ = write!(shown, "{}…", name.map_or_else(String::new, |name| format!("{name}=")));
    }
    if shown.len() > SHOWN_MAX {
        let end = (0..=SHOWN_MAX).rev().find(|end| shown.is_char_boundary(*end)).unwrap_or(0);
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

/// How much of a URL is shown; long enough for any real one, short enough for a log line.
const SHOWN_MAX: usize = 300;

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.len() <= 64
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn with_path(url: &str) -> String {
    match UrlParts::of(url) {
        Some(parts) if !url[parts.host_end..].starts_with('/') => {
            format!("{}/{}", &url[..parts.host_end], &url[parts.host_end..])
        }
        Some(_) | None => url.to_owned(),
    }
}

fn with_raw_apostrophe(url: &str) -> Option<String> {
    let (base, query) = url.split_once('?')?;
    query.contains("%27").then(|| format!("{base}?{}", query.replace("%27", "'")))
}

/// Where the authority's pieces are.
struct UrlParts {
    /// Where the scheme and its `://` end.
    scheme_end: usize,
    /// Where the host starts, after any user info.
    host_from: usize,
    /// Where `:port` starts, if there is one.
    port_from: Option<usize>,
    /// Where the authority ends.
    host_end: usize,
    default_port: u16,
}

impl UrlParts {
    fn of(url: &str) -> Option<Self> {
        let scheme_end = url.find("://")?;
        let default_port = match &url[..scheme_end] {
            scheme if scheme.eq_ignore_ascii_case("https") => 443,
            scheme if scheme.eq_ignore_ascii_case("http") => 80,
            _ => return None,
        };
        let from = scheme_end + "://".len();
        let host_end = url[from..].find(['/', '?', '#']).map_or(url.len(), |end| from + end);
        let host_from = url[from..host_end].rfind('@').map_or(from, |at| from + at + 1);
        // The colons of an IPv6 address stand inside its brackets.
        let after_address =
            url[host_from..host_end].rfind(']').map_or(host_from, |at| host_from + at);
        let port_from = url[after_address..host_end].rfind(':').map(|at| after_address + at);
        Some(Self { scheme_end: from, host_from, port_from, host_end, default_port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_received_form_comes_first_and_ports_are_dropped_or_added() {
        for (url, forms) in [
            ("https://h/p", vec!["https://h/p", "https://h:443/p"]),
            ("http://h/p", vec!["http://h/p", "http://h:80/p"]),
            ("HTTPS://h", vec!["HTTPS://h/", "HTTPS://h:443/"]),
            ("https://h:8443/p", vec!["https://h:8443/p", "https://h/p"]),
            ("https://h?q=1:2", vec!["https://h/?q=1:2", "https://h:443/?q=1:2"]),
            ("http://[::1]/p", vec!["http://[::1]/p", "http://[::1]:80/p"]),
            ("http://[::1]:8080/p", vec!["http://[::1]:8080/p", "http://[::1]/p"]),
            ("http://u:p@h/p", vec!["http://u:p@h/p", "http://u:p@h:80/p"]),
            ("http://u:p@h:81/p", vec!["http://u:p@h:81/p", "http://u:p@h/p"]),
            ("ftp://h/p", vec!["ftp://h/p"]),
            ("nonsense", vec!["nonsense"]),
            (
                "https://h/it%27s?t=it%27s",
                vec![
                    "https://h/it%27s?t=it%27s",
                    "https://h:443/it%27s?t=it%27s",
                    "https://h/it%27s?t=it's",
                    "https://h:443/it%27s?t=it's",
                ],
            ),
        ] {
            assert_eq!(candidates(url), forms, "{url}");
        }
    }

    #[test]
    fn what_can_be_configured_is_not_rewritten() {
        for url in [
            "https://Bot.Example.com/P",
            "HTTPS://h:443/p",
            "http://h:80/p",
            "https://h/a b",
            "https://h/x/../y",
            "https://h/./a//b/",
            "https://bücher.example/ü",
            "https://h/%7Ea%2fb",
            "https://[::1]:8443/p",
        ] {
            assert!(is_callable(url), "{url}");
            assert_eq!(signed_url(url), url);
        }
        for url in [
            "",
            "h/p",
            "https:h/p",
            "https:/h/p",
            "https:///p",
            "https://:443/p",
            "ftp://h/p",
            "https://u@/p",
            "https:\\\\h/p",
            "https://h\\p",
            "https://h/a\tb",
            "https://h/a\nb",
        ] {
            assert!(!is_callable(url), "{url:?}");
        }
    }

    #[test]
    fn a_url_in_other_letters_is_signed_as_another() {
        for (configured, called, is_same) in [
            ("https://h/p", "https://h/p", true),
            ("https://u:p@h:443/p#rc=2", "https://h/p", true),
            ("https://h/p", "https://h:443/p", true),
            ("https://H/p", "https://h/p", false),
            ("https://h/a%20b", "https://h/a b", false),
            ("https://h/p/", "https://h/p", false),
        ] {
            assert_eq!(is_signed_as(configured, called), is_same, "{configured} {called}");
        }
    }

    #[test]
    fn user_info_and_fragment_are_not_signed_and_a_path_always_is() {
        for (configured, signed) in [
            ("https://h/p?a=1#rc=2&rp=all", "https://h/p?a=1"),
            ("https://u:p@h:8443/p", "https://h:8443/p"),
            ("https://Host.Example", "https://Host.Example/"),
            ("https://h?a=1", "https://h/?a=1"),
            ("no url", "no url"),
        ] {
            assert_eq!(signed_url(configured), signed, "{configured}");
        }
    }

    #[test]
    fn shown_urls_hold_no_values_and_no_user_info() {
        for (url, shown) in [
            ("https://h/p", "https://h/p"),
            ("https://u:secret@h:8443/p", "https://h:8443/p"),
            ("https://h/p?From=%2B15555550123&Body=hi", "https://h/p?From=…&Body=…"),
            ("https://h/p?+15555550123", "https://h/p?…"),
            ("https://h/p?15555550123=x&", "https://h/p?…&…"),
            ("https://h?t=u@v", "https://h?t=…"),
        ] {
            assert_eq!(without_values(url), shown, "{url}");
        }
        let long = format!("https://h/{}", "é".repeat(1000));
        assert!(without_values(&long).len() <= SHOWN_MAX + '…'.len_utf8());
    }
}
