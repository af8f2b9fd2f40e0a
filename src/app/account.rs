//! The settings of the account as the REST client wants them. Pure.

use url::Url;

use crate::config::kinds::{BaseUrl, RestAuth};
use crate::config::settings::{Account, Twilio};
use crate::net::proxies::Proxies;
use crate::twilio::rest::{self, ProductUrls};

/// Says where to ask and as whom.
#[must_use]
pub fn rest_options(twilio: &Twilio, proxies: Proxies) -> rest::Options {
    let Twilio { account, conversations } = twilio;
    let credentials = match (account.rest_auth, conversations) {
        (RestAuth::Key, Some(key)) => {
            rest::Credentials::ApiKey { sid: key.api_key, secret: key.api_secret.clone() }
        }
        // The settings refuse a key that is not there.
        (RestAuth::Token, _) | (RestAuth::Key, None) => {
            rest::Credentials::AuthToken(account.auth_token.clone())
        }
    };
    let known = |place: Option<Url>| {
        place.expect("settings refuse a region without an edge where its own is not known")
    };
    let own = account.conversations_base_url.as_ref();
    let api = known(place(account, account.api_base_url.as_ref(), "api"));
    // Whoever names the other two of an unknown region has them from one place: assumed.
    let messaging = place(account, account.messaging_base_url.as_ref(), "messaging");
    // The same for the products that have no setting of their own.
    let [iam, content, monitor] = ProductUrls::NAMES.map(|product| {
        let given = account.api_base_url.as_ref();
        place(account, given, product).unwrap_or_else(|| api.clone())
    });
    let region = account.region.as_ref().map(|name| name.as_str());
    let media = account.media_base_url.as_ref().map(|base| base.url().clone());
    rest::Options {
        media_base_url: media.unwrap_or_else(|| at_host(&rest::media_host(region))),
        conversations_base_url: known(place(account, own, "conversations")),
        messaging_base_url: messaging.unwrap_or_else(|| api.clone()),
        api_base_url: api,
        products: ProductUrls { iam, content, monitor },
        chat_service_sid: conversations.as_ref().map(|service| service.chat_service_sid),
        connect_timeout: account.connect_timeout,
        request_timeout: account.request_timeout,
        response_bytes_max: account.response_bytes_max.0,
        in_flight_max: account.requests_max.get(),
        proxies,
        ..rest::Options::new(account.account_sid, credentials)
    }
}

/// Where a product is: the given place, else the one that region and edge have, if it is known.
fn place(account: &Account, given: Option<&BaseUrl>, product: &str) -> Option<Url> {
    if let Some(base) = given {
        return Some(base.url().clone());
    }
    let region = account.region.as_ref().map(|name| name.as_str());
    let edge = account.edge.as_ref().map(|name| name.as_str());
    rest::host(product, region, edge).map(|host| at_host(&host))
}

fn at_host(host: &str) -> Url {
    let url = Url::parse(&format!("https://{host}"));
    url.expect("settings take only names that can be part of a host")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::kinds::load;
    use crate::config::Environment;

    #[test]
    fn a_region_alone_is_asked_by_way_of_its_own_edge() {
        let ie1 = "https://conversations.dublin.ie1.twilio.com/";
        for (region, edge, conversations, api) in [
            ("", "", "https://conversations.twilio.com/", "https://api.twilio.com/"),
            ("ie1", "", ie1, "https://api.dublin.ie1.twilio.com/"),
            ("ie1", "dublin", ie1, "https://api.dublin.ie1.twilio.com/"),
            (
                "jp1",
                "tokyo",
                "https://conversations.tokyo.jp1.twilio.com/",
                "https://api.tokyo.jp1.twilio.com/",
            ),
        ] {
            let pairs = [
                ("TWILIO_ACCOUNT_SID", "AC00112233445566778899aabbccddeeff"),
                ("TWILIO_AUTH_TOKEN", "planted"),
                ("TWILIO_API_KEY", "SK00112233445566778899aabbccddeeff"),
                ("TWILIO_API_SECRET", "planted"),
                ("TWILIO_CHAT_SERVICE_SID", "IS00112233445566778899aabbccddeeff"),
                ("TWILIO_IDENTITY", "bot"),
                ("CHIMEIN_WEBHOOK_PUBLIC_URL", "https://bot.example.com"),
                ("TWILIO_REGION", region),
                ("TWILIO_EDGE", edge),
            ];
            let settings = load(None, &Environment::from_pairs(pairs)).into_settings().unwrap();
            let proxies = settings.proxy.proxies();
            let options = rest_options(&settings.twilio.unwrap(), proxies);
            assert_eq!(options.conversations_base_url.as_str(), conversations, "{region} {edge}");
            assert_eq!(options.api_base_url.as_str(), api, "{region} {edge}");
            let messaging = api.replacen("api", "messaging", 1);
            assert_eq!(options.messaging_base_url.as_str(), messaging, "{region} {edge}");
        }
    }
}
