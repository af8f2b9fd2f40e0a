//! A tour through every REST operation that the emulator has, by the account's and the service's paths.

use serde_json::Value;

use crate::twilio::{self, Twilio};

/// Asks for everything; gives the path and operation of each POST that still has something to act on.
pub async fn take(twilio: &mut Twilio) -> Vec<(String, String)> {
    let service = twilio.emulator.credentials().service_sid.to_string();
    let mut posts = Vec::new();
    for scope in ["/v1".to_owned(), format!("/v1/Services/{service}")] {
        posts.extend(conversations(twilio, &scope).await);
        posts.extend(users(twilio, &scope).await);
    }
    posts.extend(configuration(twilio, &service).await);
    posts.extend(messaging(twilio).await);
    posts
        .into_iter()
        .map(|path| {
            let operation = twilio::find(&twilio.definitions, "POST", &path).unwrap();
            let id = operation.id().to_owned();
            (path, id)
        })
        .collect()
}

async fn conversations(twilio: &mut Twilio, scope: &str) -> Vec<String> {
    let all = format!("{scope}/Conversations");
    let name = format!("tour of {scope}");
    let form = [
        ("FriendlyName", "Tour"),
        ("UniqueName", name.as_str()),
        ("Attributes", r#"{"a":1}"#),
        ("Timers.Inactive", "PT1M"),
        ("Timers.Closed", "PT10M"),
    ];
    let one = format!("{all}/{}", sid(&twilio.ask("POST", &all, &form).await));
    let gone = format!("{all}/{}", sid(&twilio.ask("POST", &all, &[]).await));
    twilio.ask("GET", &all, &[]).await;
    let page = twilio.ask("GET", &format!("{all}?PageSize=1"), &[]).await;
    let next = page["meta"]["next_page_url"].as_str().expect("two conversations, pages of one");
    let next = next.split_once("/v1").map(|(_, rest)| format!("/v1{rest}")).unwrap();
    twilio.ask("GET", &next, &[]).await;
    twilio.ask("GET", &one, &[]).await;
    twilio.ask("POST", &one, &[("FriendlyName", "Other"), ("State", "inactive")]).await;
    twilio.ask("POST", &one, &[("State", "active")]).await;
    twilio.ask("DELETE", &gone, &[]).await;

    let together = format!("{scope}/ConversationWithParticipants");
    let participant = r#"{"identity":"together"}"#;
    twilio.ask("POST", &together, &[("Participant", participant)]).await;

    let mut posts = vec![all, one.clone(), together];
    posts.extend(participants(twilio, &one).await);
    posts.extend(messages(twilio, &one).await);
    posts.extend(webhooks(twilio, &one).await);
    for filter in ["Identity=bot", "Address=%2B15550001111"] {
        twilio.ask("GET", &format!("{scope}/ParticipantConversations?{filter}"), &[]).await;
    }
    // The pair of addresses is free again for the next scope.
    let listed = twilio.ask("GET", &format!("{one}/Participants"), &[]).await;
    for phone in listed["participants"].as_array().unwrap() {
        if phone["identity"].is_null() {
            twilio.ask("DELETE", &format!("{one}/Participants/{}", sid(phone)), &[]).await;
        }
    }
    posts
}

async fn participants(twilio: &mut Twilio, conversation: &str) -> Vec<String> {
    let all = format!("{conversation}/Participants");
    let bot = [("Identity", "bot"), ("Attributes", "{}")];
    let one = format!("{all}/{}", sid(&twilio.ask("POST", &all, &bot).await));
    let phone = [
        ("MessagingBinding.Address", "+15550001111"),
        ("MessagingBinding.ProxyAddress", "+15550002222"),
    ];
    twilio.ask("POST", &all, &phone).await;
    let other = twilio.ask("POST", &all, &[("Identity", "other")]).await;
    twilio.ask("GET", &all, &[]).await;
    twilio.ask("GET", &format!("{all}/bot"), &[]).await;
    twilio.ask("POST", &one, &[("Attributes", "{}"), ("LastReadMessageIndex", "0")]).await;
    twilio.ask("GET", &one, &[]).await;
    twilio.ask("DELETE", &format!("{all}/{}", sid(&other)), &[]).await;
    vec![all, one]
}

async fn messages(twilio: &mut Twilio, conversation: &str) -> Vec<String> {
    let all = format!("{conversation}/Messages");
    let form = [("Author", "bot"), ("Body", "tour"), ("Attributes", "{}")];
    let one = format!("{all}/{}", sid(&twilio.ask("POST", &all, &form).await));
    let gone = format!("{all}/{}", sid(&twilio.ask("POST", &all, &[("Body", "gone")]).await));
    twilio.ask("GET", &format!("{all}?Order=desc&PageSize=1"), &[]).await;
    twilio.ask("POST", &one, &[("Body", "changed")]).await;
    twilio.ask("GET", &one, &[]).await;
    let receipts = twilio.ask("GET", &format!("{one}/Receipts"), &[]).await;
    let receipt = sid(&receipts["delivery_receipts"][0]);
    twilio.ask("GET", &format!("{one}/Receipts/{receipt}"), &[]).await;
    twilio.ask("DELETE", &gone, &[]).await;
    vec![all, one]
}

async fn webhooks(twilio: &mut Twilio, conversation: &str) -> Vec<String> {
    let all = format!("{conversation}/Webhooks");
    let form = [
        ("Target", "webhook"),
        ("Configuration.Url", "https://example.com/hook"),
        ("Configuration.Method", "post"),
        ("Configuration.Filters", "onMessageAdded"),
        ("Configuration.Filters", "onParticipantAdded"),
    ];
    let one = format!("{all}/{}", sid(&twilio.ask("POST", &all, &form).await));
    let gone = format!("{all}/{}", sid(&twilio.ask("POST", &all, &form).await));
    twilio.ask("GET", &all, &[]).await;
    twilio.ask("POST", &one, &[("Configuration.Url", "https://example.com/other")]).await;
    twilio.ask("GET", &one, &[]).await;
    twilio.ask("DELETE", &gone, &[]).await;
    vec![all, one]
}

async fn users(twilio: &mut Twilio, scope: &str) -> Vec<String> {
    let all = format!("{scope}/Users");
    let identity = format!("tourist of {}", scope.len());
    let form = [("Identity", identity.as_str()), ("FriendlyName", "Tourist"), ("Attributes", "{}")];
    let one = format!("{all}/{}", sid(&twilio.ask("POST", &all, &form).await));
    let other = [("Identity", "passer-by")];
    let gone = format!("{all}/{}", sid(&twilio.ask("POST", &all, &other).await));
    twilio.ask("GET", &all, &[]).await;
    twilio.ask("POST", &one, &[("FriendlyName", "Other")]).await;
    twilio.ask("GET", &one, &[]).await;
    twilio.ask("DELETE", &gone, &[]).await;

    let mine = format!("{all}/bot/Conversations");
    let listed = twilio.ask("GET", &mine, &[]).await;
    let joined = listed["conversations"][0]["conversation_sid"].as_str().unwrap().to_owned();
    let seat = format!("{mine}/{joined}");
    twilio.ask("GET", &seat, &[]).await;
    twilio.ask("POST", &seat, &[("NotificationLevel", "muted")]).await;
    // Leaving makes room for the bot to be added again by the next scope's tour.
    let spare = twilio.ask("POST", &format!("{scope}/Conversations"), &[]).await;
    let spare = sid(&spare);
    let inside = format!("{scope}/Conversations/{spare}/Participants");
    twilio.ask("POST", &inside, &[("Identity", "bot")]).await;
    twilio.ask("DELETE", &format!("{mine}/{spare}"), &[]).await;
    vec![all, one, seat]
}

async fn configuration(twilio: &mut Twilio, service: &str) -> Vec<String> {
    let account = "/v1/Configuration".to_owned();
    twilio.ask("GET", &account, &[]).await;
    let hooks = format!("{account}/Webhooks");
    let settings = [
        ("Method", "POST"),
        ("Filters", "onMessageAdded"),
        ("Filters", "onConversationAdded"),
        ("PostWebhookUrl", "https://example.com/post"),
    ];
    twilio.ask("POST", &hooks, &settings).await;
    twilio.ask("GET", &hooks, &[]).await;

    let addresses = format!("{account}/Addresses");
    let form = [
        ("Type", "sms"),
        ("Address", "+15550003333"),
        ("FriendlyName", "Line"),
        ("AutoCreation.Enabled", "true"),
        ("AutoCreation.Type", "webhook"),
        ("AutoCreation.ConversationServiceSid", service),
        ("AutoCreation.WebhookUrl", "https://example.com/auto"),
        ("AutoCreation.WebhookMethod", "post"),
        ("AutoCreation.WebhookFilters", "onMessageAdded"),
    ];
    let address = format!("{addresses}/{}", sid(&twilio.ask("POST", &addresses, &form).await));
    let gone = [("Type", "whatsapp"), ("Address", "whatsapp:+15550004444")];
    let gone = format!("{addresses}/{}", sid(&twilio.ask("POST", &addresses, &gone).await));
    twilio.ask("GET", &addresses, &[]).await;
    twilio.ask("GET", &address, &[]).await;
    twilio.ask("POST", &address, &[("FriendlyName", "Other")]).await;
    twilio.ask("DELETE", &gone, &[]).await;

    let services = "/v1/Services".to_owned();
    let made = sid(&twilio.ask("POST", &services, &[("FriendlyName", "Second")]).await);
    twilio.ask("GET", &services, &[]).await;
    twilio.ask("GET", &format!("{services}/{made}"), &[]).await;
    let own = format!("{services}/{service}/Configuration");
    twilio.ask("GET", &own, &[]).await;
    twilio.ask("POST", &own, &[("ReachabilityEnabled", "true")]).await;
    let role = twilio.ask("GET", &own, &[]).await["default_conversation_role_sid"].clone();
    for scope in ["/v1".to_owned(), format!("{services}/{service}")] {
        twilio.ask("GET", &format!("{scope}/Roles"), &[]).await;
        let role = format!("{scope}/Roles/{}", role.as_str().unwrap());
        twilio.ask("GET", &role, &[]).await;
        twilio.ask("POST", &role, &[("Permission", "sendMessage")]).await;
    }
    let own_hooks = format!("{own}/Webhooks");
    twilio.ask("POST", &own_hooks, &settings).await;
    twilio.ask("GET", &own_hooks, &[]).await;
    twilio.ask("DELETE", &format!("{services}/{made}"), &[]).await;
    vec![hooks, addresses, address, services, own, own_hooks]
}

async fn messaging(twilio: &mut Twilio) -> Vec<String> {
    let account = twilio.emulator.credentials().account_sid;
    let all = format!("/2010-04-01/Accounts/{account}/Messages.json");
    let form = [("To", "+15550005555"), ("From", "+15550006666"), ("Body", "plain")];
    let one = sid(&twilio.ask("POST", &all, &form).await);
    let gone = sid(&twilio.ask("POST", &all, &form).await);
    let path = |sid: &str| format!("/2010-04-01/Accounts/{account}/Messages/{sid}.json");
    twilio.ask("GET", &format!("{all}?PageSize=1"), &[]).await;
    twilio.ask("GET", &path(&one), &[]).await;
    twilio.ask("POST", &path(&one), &[("Body", "")]).await;
    twilio.ask("DELETE", &path(&gone), &[]).await;
    let picture = [
        ("To", "+15550005555"),
        ("From", "+15550006666"),
        ("MediaUrl", "https://media.example.com/a.png"),
    ];
    let media = path(&sid(&twilio.ask("POST", &all, &picture).await)).replace(".json", "/Media");
    let listed = twilio.ask("GET", &format!("{media}.json"), &[]).await;
    let file = format!("{media}/{}.json", sid(&listed["media_list"][0]));
    twilio.ask("GET", &file, &[]).await;
    twilio.ask("DELETE", &file, &[]).await;
    vec![all, path(&one)]
}

fn sid(resource: &Value) -> String {
    resource["sid"].as_str().unwrap_or("missing").to_owned()
}
