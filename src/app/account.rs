//! The settings of the account as the REST client wants them. Pure.

use url::Url;

use crate::config::kinds::{BaseUrl, RestAuth};
use crate::config::settings::Account;
use crate::twilio::rest;

/// Says where to ask and as whom.
#[must_use]
pub fn rest_options(account: &Account) -> rest::Options {
    let credentials = match account.rest_auth {
        RestAuth::Token => rest::Credentials::AuthToken(account.auth_token.clone()),
        RestAuth::Key => {
            rest::Credentials::ApiKey { sid: account.api_key, secret: account.api_secret.clone() }
        }
    };
    rest::Options {
        conversations_base_url: place(
            account,
            account.conversations_base_url.as_ref(),
            "conversations",
        ),
        api_base_url: place(account, account.api_base_url.as_ref(), "api"),
        chat_service_sid: Some(account.chat_service_sid),
        connect_timeout: account.connect_timeout,
        request_timeout: account.request_timeout,
        response_bytes_max: account.response_bytes_max.0,
        in_flight_max: account.requests_max.get(),
        ..rest::Options::new(account.account_sid, credentials)
    }
}

fn place(account: &Account, given: Option<&BaseUrl>, product: &str) -> Url {
    let region = account.region.as_ref().map(|name| name.as_str());
    let edge = account.edge.as_ref().map(|name| name.as_str());
    given.map_or_else(
        || {
            let host = rest::host(product, region, edge);
            Url::parse(&format!("https://{host}"))
                .expect("settings take only names that can be part of a host")
        },
        |base| base.url().clone(),
    )
}
