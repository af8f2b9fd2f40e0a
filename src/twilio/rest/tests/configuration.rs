//! Each read of an account's set-up asks at its product's place, and takes from the answer what is judged.

use super::*;
use crate::clock::Timestamp;
use crate::pii::Pii;

#[tokio::test]
async fn the_accounts_own_state_is_read_where_it_is_kept() {
    let server = Server::start(vec![
        json_answer(200, json!({"status": "suspended", "type": "Trial"})),
        json_answer(200, json!({"balance": "-1.5", "currency": "USD"})),
        json_answer(200, json!({"sid": format!("SK{H}"), "policy": {"allow": ["/twilio/a"]}})),
        json_answer(200, json!({"sid": format!("SK{H}"), "policy": null})),
        json_answer(404, json!({"code": 20404, "status": 404})),
        json_answer(403, json!({"code": 20403, "status": 403})),
    ])
    .await;
    let (client, key) = (server.client(), format!("SK{H}").parse().unwrap());
    let account = client.fetch_account().await.unwrap();
    assert_eq!(
        (account.status.as_deref(), account.kind.as_deref()),
        (Some("suspended"), Some("Trial"))
    );
    assert_eq!(client.fetch_balance().await.unwrap().balance.as_deref(), Some("-1.5"));
    let restricted = client.fetch_key(key).await.unwrap().unwrap();
    assert_eq!((restricted.is_restricted, restricted.allowed.len()), (true, 1));
    assert!(!client.fetch_key(key).await.unwrap().unwrap().is_restricted);
    assert!(client.fetch_key(key).await.unwrap().is_none());
    assert_eq!(client.fetch_key(key).await.unwrap_err().status(), Some(403));
    let lines: Vec<_> = server.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines[1], format!("GET /2010-04-01/Accounts/AC{H}/Balance.json"));
    assert_eq!(lines[2], format!("GET /v1/Keys/SK{H}"));
}

#[tokio::test]
async fn what_conversations_are_set_to_is_read_at_both_scopes() {
    let hook = json!({"sid": format!("WH{H}"), "target": "studio", "configuration": {"url": null}});
    let server = Server::start(vec![
        json_answer(200, json!({"default_chat_service_sid": format!("IS{H}"), "default_closed_timer": "PT10M"})),
        json_answer(200, json!({"filters": ["onMessageAdded"], "post_webhook_url": "https://a.example"})),
        json_answer(200, json!({"default_conversation_role_sid": format!("RL{H}"), "reachability_enabled": false})),
        json_answer(200, json!({"permissions": ["sendMessage", 7], "friendly_name": "participant"})),
        json_answer(200, json!({"webhooks": [hook, {"target": "webhook"}], "meta": {"key": "webhooks"}})),
    ])
    .await;
    let client = server.client();
    let defaults = client.fetch_account_defaults().await.unwrap();
    assert_eq!(defaults.closed_timer.as_deref(), Some("PT10M"));
    assert_eq!(client.fetch_account_webhooks().await.unwrap().filters, ["onMessageAdded"]);
    let service = client.fetch_service_settings().await.unwrap().unwrap();
    assert_eq!(service.is_reachability_on, Some(false));
    let role = client.fetch_role(service.conversation_role.unwrap()).await.unwrap().unwrap();
    assert_eq!(role.permissions, ["sendMessage"]);
    let hooks = client.conversation_webhooks(conversation()).await.unwrap();
    assert_eq!(hooks.len(), 1, "one without a sid cannot be named");
    assert_eq!(hooks[0].target.as_deref(), Some("studio"));
    let lines: Vec<_> = server.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines[0], "GET /v1/Configuration");
    assert_eq!(lines[1], "GET /v1/Configuration/Webhooks");
    assert_eq!(lines[2], format!("GET /v1/Services/IS{H}/Configuration"));
    assert_eq!(lines[3], format!("GET /v1/Services/IS{H}/Roles/RL{H}"));
    assert_eq!(lines[4], format!("GET /v1/Services/IS{H}/Conversations/CH{H}/Webhooks"));
}

#[tokio::test]
async fn numbers_senders_templates_and_alerts_are_read() {
    let number = |text: &str| {
        json!({"sid": format!("PN{H}"), "phone_number": text,
        "capabilities": {"sms": true}, "sms_url": "", "sms_application_sid": format!("AP{H}")})
    };
    let sender = json!({"sid": format!("XE{H}"), "sender_id": "whatsapp:+15555550100", "status": "OFFLINE",
        "offline_reasons": [{"code": "63020", "message": "not invited"}],
        "properties": {"quality_rating": "LOW"}, "webhook": {"callback_url": "https://a.example"}});
    let server = Server::start(vec![
        json_answer(200, json!({"inbound_request_url": "https://a.example", "use_inbound_webhook_on_number": true})),
        json_answer(200, json!({"incoming_phone_numbers": [number("+155555501001"), number("+15555550100")]})),
        json_answer(200, json!({"senders": [sender], "meta": {"key": "senders"}})),
        json_answer(200, json!({"whatsapp": {"status": "rejected"}})),
        json_answer(200, json!({"alerts": [{"error_code": "11200", "request_url": "https://a.example/x"}]})),
        json_answer(200, json!({"meta": {}})),
    ])
    .await;
    let client = server.client();
    let service = client.fetch_messaging_service(format!("MG{H}").parse().unwrap()).await;
    assert!(service.unwrap().unwrap().uses_number_webhook);
    let found = client.find_number(&Pii::new("+15555550100")).await.unwrap().unwrap();
    assert_eq!((found.has_sms, found.sms_url.is_some()), (Some(true), false));
    let senders = client.list_senders::<WhatsappSender>("whatsapp").all(10).await.unwrap();
    assert_eq!(senders[0].offline_reasons, ["not invited"]);
    let template = format!("HX{H}").parse().unwrap();
    let approval = client.fetch_approval(template).await.unwrap().unwrap();
    assert_eq!(approval.status.as_deref(), Some("rejected"));
    let since = Timestamp::from_millis(1_795_000_000_123);
    assert_eq!(client.alerts_since(since).await.unwrap()[0].code, Some(11_200));
    client.alerts_since(since).await.unwrap_err();
    let lines: Vec<_> = server.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines[0], format!("GET /v1/Services/MG{H}"));
    assert!(
        lines[1].ends_with("/IncomingPhoneNumbers.json?PhoneNumber=%2B15555550100"),
        "{lines:?}"
    );
    assert_eq!(lines[2], "GET /v2/Channels/Senders?Channel=whatsapp&PageSize=50");
    assert_eq!(lines[3], format!("GET /v1/Content/HX{H}/ApprovalRequests"));
    assert_eq!(lines[4], "GET /v1/Alerts?StartDate=2026-11-18T11%3A06%3A40Z&PageSize=100");
}
