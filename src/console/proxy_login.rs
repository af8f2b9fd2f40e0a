//! Signing in by a proxy: who it says is signed in to it, and what they may do. Knows heads alone: no I/O, no time.
//!
//! A header is believed of the proxies that are named and of nobody else: whoever else calls may write it
//! himself. One that came twice says nothing, nor does an empty one. The name is compared, and goes nowhere: it is a person's.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName};

use super::role::ConsoleRole;
use crate::http::caller;
use crate::net::network::Network;

/// The longest name that is believed, in bytes.
const NAME_BYTES_MAX: usize = 1_024;

/// What is believed of whom.
#[derive(Clone, Debug)]
pub struct ProxyLogin {
    /// The header that names who is signed in.
    pub header: HeaderName,
    /// Whose header is believed.
    pub proxies: Vec<Network>,
    /// Who may act; `*` is everybody. Whoever else is named may look.
    pub may_act: Vec<String>,
}

impl ProxyLogin {
    /// Who a request is of, and what they may do; nothing where no proxy of ours says so.
    pub(super) fn named<'h>(
        &self,
        peer: Option<IpAddr>,
        headers: &'h HeaderMap,
    ) -> Option<(&'h str, ConsoleRole)> {
        let peer = peer?;
        if !self.proxies.iter().any(|network| network.contains(peer)) {
            return None;
        }
        let name = caller::one(headers, &self.header).ok().flatten()?.trim();
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return None;
        }
        let may_act = self.may_act.iter().any(|known| known == "*" || known == name);
        Some((name, if may_act { ConsoleRole::Act } else { ConsoleRole::Read }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_believed_of_the_proxies_alone_and_said_once() {
        let of = |acts: &str| ProxyLogin {
            header: HeaderName::from_static("x-forwarded-user"),
            proxies: vec!["10.0.0.0/8".parse().unwrap()],
            may_act: vec![acts.to_owned()],
        };
        let (act, read) = (Some(("ann", ConsoleRole::Act)), Some(("ann", ConsoleRole::Read)));
        for (peer, names, acts, expected) in [
            ("10.1.2.3", &["ann"][..], "ann", act),
            ("::ffff:10.1.2.3", &["ann"], "*", act),
            ("10.1.2.3", &["ann"], "bob", read),
            ("10.1.2.3", &["ann"], "Ann", read),
            ("192.0.2.7", &["ann"], "ann", None),
            ("10.1.2.3", &["ann", "bob"], "*", None),
            ("10.1.2.3", &[" "], "*", None),
            ("10.1.2.3", &[], "*", None),
        ] {
            let mut headers = HeaderMap::new();
            for name in names {
                headers.append("x-forwarded-user", name.parse().unwrap());
            }
            let found = of(acts).named(Some(peer.parse().unwrap()), &headers);
            assert_eq!(found, expected, "{peer} {names:?} {acts}");
        }
        assert_eq!(of("*").named(None, &HeaderMap::new()), None);
    }
}
