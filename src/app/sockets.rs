//! Listens for one identity while it is this instance's.
//!
//! Decides the order: the pool says that the socket is here before anything is heard, and that it is
//! elsewhere before the socket is closed, so that nobody sends on one that is about to go.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::client_factory::{ClientFactory, OpenClient};
use super::resume_store::KeptClient;
use crate::channels::conversations::arrivals::Arrivals;
use crate::channels::conversations::listener::Listener;
use crate::channels::conversations::seats::{Listening, Seats};
use crate::queue::Marks;

/// What all identities' listening needs.
pub struct IdentitySockets {
    /// Opens the clients.
    pub clients: ClientFactory,
    /// Who sits where.
    pub seats: Arc<Seats>,
    /// Where messages go.
    pub arrivals: Arrivals,
    /// How far each conversation has been read.
    pub marks: Marks,
}

impl IdentitySockets {
    /// Listens for an identity until `stop` is cancelled; the socket is closed when it returns.
    pub async fn listen(&self, identity: String, stop: CancellationToken) {
        let OpenClient { identity, client, events } = self.clients.open(identity);
        self.note(&identity, &Listening::Here(client.clone()));
        tracing::info!(identity = %identity, "this instance listens for the identity");
        let listener = Listener {
            identity: identity.clone(),
            client: client.clone(),
            watermarks: Arc::clone(&self.arrivals.watermarks),
            facts: Arc::clone(&self.arrivals.facts),
            inlet: Arc::clone(&self.arrivals.inlet),
            removals: Arc::clone(&self.arrivals.removals),
            arrivals: self.arrivals.clone(),
            seats: Arc::clone(&self.seats),
            marks: self.marks.clone(),
        };
        let store = self.clients.resume_store.clone();
        let kept =
            KeptClient { identity: identity.clone(), client, store, clock: self.clients.clock };
        tokio::join!(listener.run(events, stop.clone()), kept.clone().keep(stop.clone()));
        // A client that gave up stays, so that the health pages show it.
        stop.cancelled().await;
        self.note(&identity, &Listening::Elsewhere);
        kept.shut_down().await;
        tracing::info!(identity = %identity, "this instance listens for the identity no longer");
    }

    fn note(&self, identity: &str, listening: &Listening) {
        let members = self.seats.members().iter().filter(|member| member.identity == identity);
        members.for_each(|member| member.set_listening(listening.clone()));
    }
}
