//! The media service, as servers use it.

use axum::http::header;
use serde_json::json;

use super::*;
use crate::emulator::Credentials;

#[tokio::test]
async fn a_file_is_uploaded_read_and_sent_with_the_account_or_an_api_key() {
    let twilio = Twilio::start().await;
    let Credentials { account_sid, auth_token, api_key, api_secret, .. } =
        twilio.emulator.credentials().clone();
    let media = format!("/v1/Services/{}/Media", twilio.service());
    for (user, password) in [
        (account_sid.to_string(), auth_token.expose_secret()),
        (api_key.to_string(), api_secret.expose_secret()),
    ] {
        let basic = basic(&user, password);
        let (status, file) = ask(&twilio, "POST", &media, Some(&basic)).await;
        assert_eq!((status, &file["size"], &file["author"]), (201, &json!(3), &Value::Null));
        let sid = file["sid"].as_str().unwrap();
        let (status, found) = ask(&twilio, "GET", &format!("{media}/{sid}"), Some(&basic)).await;
        assert_eq!((status, &found["content_type"]), (200, &json!("image/png")));
        let (status, set) = ask(&twilio, "POST", &format!("{media}Set"), Some(&basic)).await;
        assert_eq!((status, set), (200, json!([])));
        let conversation = twilio.conversation_with("bot").await;
        let path = format!("/v1/Conversations/{conversation}/Messages");
        let (status, sent) = twilio.call("POST", &path, &[("MediaSid", sid)]).await;
        assert_eq!((status, &sent["media"][0]["sid"]), (201, &json!(sid)));
    }
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn who_is_nobody_uploads_nothing() {
    let twilio = Twilio::start().await;
    let Credentials { account_sid, auth_token, api_key, .. } =
        twilio.emulator.credentials().clone();
    let token = auth_token.expose_secret();
    let media = format!("/v1/Services/{}/Media", twilio.service());
    for (authorization, code) in [
        (None, 20101),
        (Some(basic(&account_sid.to_string(), "wrong")), 20003),
        (Some(basic(&api_key.to_string(), token)), 20003),
        (Some(format!("Bearer {token}")), 20003),
    ] {
        for path in [media.clone(), format!("{media}Set")] {
            let (status, body) = ask(&twilio, "POST", &path, authorization.as_deref()).await;
            assert_eq!((status, &body["code"]), (401, &json!(code)), "{authorization:?} {path}");
        }
    }
    twilio.emulator.shutdown().await;
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

async fn ask(
    twilio: &Twilio,
    method: &str,
    path: &str,
    authorization: Option<&str>,
) -> (u16, Value) {
    let url = twilio.emulator.urls().conversations.join(path).unwrap();
    let mut request = twilio.client.request(method.parse().unwrap(), url);
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    let request = request.header(header::CONTENT_TYPE, "image/png").body("png");
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}
