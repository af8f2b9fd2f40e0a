//! The echo, which has no peer.

use crate::peer::Peer;

pub struct Echo;

impl Peer for Echo {
    async fn start() -> Self {
        Self
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn asked(&self) -> Vec<String> {
        Vec::new()
    }

    fn let_go_on(&self) {}
}
