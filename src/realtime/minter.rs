//! Gives a client tokens that are minted here, with the secret of an API key.
//!
//! Decides nothing. Time enters through the [`Clock`]; the secret leaves only inside a signature.

use futures::future::BoxFuture;
use secrecy::SecretString;

use super::config::{AccessToken, TokenError, TokenProvider};
use crate::clock::Clock;
use crate::twilio::access_token::{self, Request};

/// Mints a token whenever one is asked for.
#[derive(Clone, Debug)]
pub struct Minter {
    request: Request,
    secret: SecretString,
    clock: Clock,
}

impl Minter {
    /// Takes what each token is to say, and the secret of the API key that it names.
    #[must_use]
    pub const fn new(request: Request, secret: SecretString, clock: Clock) -> Self {
        Self { request, secret, clock }
    }
}

impl TokenProvider for Minter {
    fn token(&self) -> BoxFuture<'_, Result<AccessToken, TokenError>> {
        let minted = access_token::mint(&self.request, &self.secret, self.clock.wall());
        Box::pin(std::future::ready(minted.map_err(|error| TokenError(Box::new(error)))))
    }
}
