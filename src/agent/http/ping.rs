//! A word to the agent that is no turn: whether it is there, and whether it takes our signature.
//!
//! `POST {"type":"ping","id":…,"messages":[]}`, signed as a turn is. There is nothing in it to think
//! about, and whatever is answered is not read beyond its status. Decides nothing; the time comes as
//! an argument.

use serde_json::json;
use url::Url;

use crate::clock::Timestamp;
use crate::standard_webhooks::Secret;

/// Makes the request, signed with the secret if there is one.
pub(super) fn request(
    client: &reqwest::Client,
    url: &Url,
    secret: Option<&Secret>,
    at: Timestamp,
) -> reqwest::RequestBuilder {
    let id = format!("ping_{}", uuid::Uuid::new_v4().simple());
    let body = json!({ "type": "ping", "id": id, "messages": [] }).to_string().into_bytes();
    super::signed(client, (url, secret), (id.as_str(), body), at)
}
