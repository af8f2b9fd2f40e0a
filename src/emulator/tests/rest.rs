//! The REST APIs.

use serde_json::json;

use super::*;
use crate::emulator::faults::Fault;

#[tokio::test]
async fn wrong_credentials_are_answered_as_twilio_does() {
    let twilio = Twilio::start().await;
    let url = twilio.emulator.urls().conversations.join("/v1/Conversations").unwrap();
    let response = twilio.client.get(url).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 401);
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!((&body["code"], &body["status"]), (&json!(20003), &json!(401)));
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn a_conversation_lives_and_dies_under_both_of_its_paths_and_names() {
    let twilio = Twilio::start().await;
    let fields = [("UniqueName", "support 1"), ("FriendlyName", "Support")];
    let (status, made) = twilio.call("POST", "/v1/Conversations", &fields).await;
    assert_eq!(
        (status, &made["attributes"], &made["state"]),
        (201, &json!("{}"), &json!("active"))
    );
    let sid = made["sid"].as_str().unwrap();
    assert!(made["date_created"].as_str().unwrap().len() == "2015-12-16T22:18:37Z".len());
    let scoped = format!("/v1/Services/{}/Conversations", twilio.service());
    for path in [
        format!("/v1/Conversations/{sid}"),
        "/v1/Conversations/support%201".to_owned(),
        format!("{scoped}/{sid}"),
    ] {
        let (status, found) = twilio.call("GET", &path, &[]).await;
        assert_eq!((status, &found["sid"]), (200, &json!(sid)), "{path}");
    }
    let (status, taken) = twilio.call("POST", &scoped, &fields).await;
    assert_eq!((status, &taken["code"]), (409, &json!(50353)));
    let path = format!("/v1/Conversations/{sid}");
    let (status, closed) = twilio.call("POST", &path, &[("State", "closed")]).await;
    assert_eq!((status, &closed["state"]), (200, &json!("closed")));
    let messages = format!("{path}/Messages");
    let (_, refused) = twilio.call("POST", &messages, &[("Body", "late")]).await;
    assert_eq!(refused["code"], 50377);
    assert_eq!(twilio.call("DELETE", &path, &[]).await.0, 204);
    let (status, gone) = twilio.call("GET", &path, &[]).await;
    assert_eq!((status, &gone["code"]), (404, &json!(20404)));
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn a_participant_is_added_once_and_found_by_identity() {
    let twilio = Twilio::start().await;
    let sid = twilio.conversation_with("bot/1").await;
    let path = format!("/v1/Conversations/{sid}/Participants");
    let (status, again) = twilio.call("POST", &path, &[("Identity", "bot/1")]).await;
    assert_eq!(
        (status, again),
        (
            409,
            json!({
                "code": 50433,
                "message": "Participant already exists",
                "more_info": "https://www.twilio.com/docs/errors/50433",
                "status": 409,
            })
        )
    );
    let (status, found) = twilio.call("GET", &format!("{path}/bot%2F1"), &[]).await;
    assert_eq!((status, &found["identity"]), (200, &json!("bot/1")));
    assert_eq!(found["messaging_binding"], Value::Null);
    let pair = [
        ("MessagingBinding.Address", "+15555550123"),
        ("MessagingBinding.ProxyAddress", "+15555550100"),
    ];
    assert_eq!(twilio.call("POST", &path, &pair).await.0, 201);
    let other = twilio.conversation_with("bot/1").await;
    let other = format!("/v1/Conversations/{other}/Participants");
    let (status, held) = twilio.call("POST", &other, &pair).await;
    assert_eq!((status, &held["code"]), (409, &json!(50416)));
    assert!(held["message"].as_str().unwrap().ends_with(&sid));
    let (_, list) = twilio.call("GET", &path, &[]).await;
    assert_eq!(list["participants"].as_array().unwrap().len(), 2);
    assert_eq!(list["meta"]["key"], "participants");
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn messages_are_paged_both_ways_and_their_indexes_skip_edits() {
    let options = Options {
        limits: crate::emulator::state::limits::Limits {
            conversation_writes: 1000,
            ..Default::default()
        },
        ..Options::default()
    };
    let twilio = Twilio::with(options).await;
    let sid = twilio.conversation_with("bot").await;
    let path = format!("/v1/Conversations/{sid}/Messages");
    let mut first = String::new();
    for number in 0..7 {
        let body = number.to_string();
        let (_, made) = twilio.call("POST", &path, &[("Body", &body), ("Author", "bot")]).await;
        assert_eq!(made["index"], number);
        if number == 0 {
            first = made["sid"].as_str().unwrap().to_owned();
        }
    }
    let edit = format!("{path}/{first}");
    assert_eq!(twilio.call("POST", &edit, &[("Body", "edited")]).await.1["body"], "edited");
    let (_, next) = twilio.call("POST", &path, &[("Body", "8")]).await;
    assert_eq!((&next["index"], &next["author"]), (&json!(8), &json!("system")));
    let mut seen = Vec::new();
    let mut url = format!("{path}?Order=desc&PageSize=3");
    loop {
        let (status, page) = twilio.call("GET", &url, &[]).await;
        assert_eq!(status, 200);
        for message in page["messages"].as_array().unwrap() {
            seen.push(message["index"].as_u64().unwrap());
        }
        let Some(next) = page["meta"]["next_page_url"].as_str() else { break };
        assert!(next.starts_with("http://"));
        url = next.to_owned();
    }
    assert_eq!(seen, [8, 6, 5, 4, 3, 2, 1, 0]);
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn one_write_too_many_a_second_is_refused_and_not_done() {
    let limits = crate::emulator::state::limits::Limits {
        conversation_writes: 3,
        conversations_per_identity: 2,
        ..Default::default()
    };
    let twilio = Twilio::with(Options { limits, ..Options::default() }).await;
    let sid = twilio.conversation_with("bot").await;
    let path = format!("/v1/Conversations/{sid}/Messages");
    let statuses = [
        twilio.call("POST", &path, &[("Body", "1")]).await.0,
        twilio.call("POST", &path, &[("Body", "2")]).await.0,
        twilio.call("POST", &path, &[("Body", "3")]).await.0,
    ];
    assert_eq!(statuses, [201, 201, 429]);
    let messages = twilio.control().messages(sid.parse().unwrap());
    assert_eq!(messages.len(), 2);
    twilio.conversation_with("bot").await;
    let (_, third) = twilio.call("POST", "/v1/Conversations", &[]).await;
    let path = format!("/v1/Conversations/{}/Participants", third["sid"].as_str().unwrap());
    let (status, full) = twilio.call("POST", &path, &[("Identity", "bot")]).await;
    assert_eq!((status, &full["code"]), (403, &json!(50214)));
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn strict_mode_refuses_what_twilio_would_ignore() {
    let lax = Twilio::start().await;
    let fields = [("FrendlyName", "x")];
    assert_eq!(lax.call("POST", "/v1/Conversations", &fields).await.0, 201);
    lax.emulator.shutdown().await;
    let strict = Twilio::with(Options { strict: true, ..Options::default() }).await;
    let (status, refused) = strict.call("POST", "/v1/Conversations", &fields).await;
    assert_eq!((status, &refused["code"]), (400, &json!(20001)));
    let (status, _) = strict.call("GET", "/v1/Conversations?Stat=active", &[]).await;
    assert_eq!(status, 400);
    strict.emulator.shutdown().await;
}

#[tokio::test]
async fn users_services_and_participants_conversations_can_be_looked_up() {
    let twilio = Twilio::start().await;
    let sid = twilio.conversation_with("bot").await;
    let (_, users) = twilio.call("GET", "/v1/Users", &[]).await;
    assert_eq!(users["users"][0]["identity"], "bot");
    let (status, taken) = twilio.call("POST", "/v1/Users", &[("Identity", "bot")]).await;
    assert_eq!((status, &taken["code"]), (409, &json!(50201)));
    let (_, own) = twilio.call("GET", "/v1/Users/bot/Conversations", &[]).await;
    assert_eq!(own["conversations"][0]["conversation_sid"], json!(sid));
    let (_, found) = twilio.call("GET", "/v1/ParticipantConversations?Identity=bot", &[]).await;
    assert_eq!(found["conversations"][0]["conversation_sid"], json!(sid));
    let both = "/v1/ParticipantConversations?Identity=bot&Address=%2B1555";
    assert_eq!(twilio.call("GET", both, &[]).await.1["code"], 50451);
    let (_, services) = twilio.call("GET", "/v1/Services", &[]).await;
    assert_eq!(services["services"][0]["sid"], json!(twilio.service()));
    let (_, configuration) = twilio.call("GET", "/v1/Configuration", &[]).await;
    assert_eq!(configuration["default_chat_service_sid"], json!(twilio.service()));
    let one = json!({"identity": "agent", "attributes": "{}"}).to_string();
    let fields = [("FriendlyName", "both"), ("Participant", one.as_str())];
    let (status, made) = twilio.call("POST", "/v1/ConversationWithParticipants", &fields).await;
    assert_eq!(status, 202);
    let path = format!("/v1/Conversations/{}/Participants/agent", made["sid"].as_str().unwrap());
    assert_eq!(twilio.call("GET", &path, &[]).await.0, 200);
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn the_work_is_done_although_a_fault_breaks_the_answer() {
    let twilio = Twilio::start().await;
    let sid = twilio.conversation_with("bot").await;
    let fault = |text: &str| {
        twilio.control().add_fault(serde_json::from_str::<Fault>(text).unwrap()).unwrap()
    };
    let path = format!("/v1/Conversations/{sid}/Messages");
    fault(r#"{"where":{"place":"rest","method":"POST"},"do":{"action":"break_after"}}"#);
    let body = [("Body", "kept")];
    assert!(twilio.send("POST", &path, &body, &[]).await.is_err());
    fault(r#"{"where":{"place":"rest","method":"POST"},"do":{"action":"break_before"}}"#);
    assert!(twilio.send("POST", &path, &[("Body", "lost")], &[]).await.is_err());
    fault(r#"{"where":{"place":"rest"},"do":{"action":"answer","status":429,"retry_after":3}}"#);
    let (status, refused) = twilio.call("POST", &path, &[("Body", "later")]).await;
    assert_eq!((status, &refused["code"]), (429, &json!(20429)));
    fault(r#"{"where":{"place":"rest"},"do":{"action":"answer_after","status":503}}"#);
    assert_eq!(twilio.call("POST", &path, &[("Body", "done")]).await.0, 503);
    let bodies: Vec<_> = twilio
        .control()
        .messages(sid.parse().unwrap())
        .into_iter()
        .map(|message| message.body.unwrap())
        .collect();
    assert_eq!(bodies, ["kept", "done"]);
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn the_account_can_be_asked_for_by_who_has_its_keys() {
    let twilio = Twilio::start().await;
    let account = twilio.emulator.credentials().account_sid.to_string();
    let path = format!("/2010-04-01/Accounts/{account}.json");
    let (status, found) = twilio.call("GET", &path, &[]).await;
    assert_eq!((status, &found["sid"], &found["status"]), (200, &json!(account), &json!("active")));
    assert_eq!(twilio.call("DELETE", &path, &[]).await.0, 405);
    let other = "/2010-04-01/Accounts/AC00000000000000000000000000000000.json";
    assert_eq!(twilio.call("GET", other, &[]).await.0, 404);
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn plain_messages_are_kept_for_whoever_looks() {
    let twilio = Twilio::start().await;
    let account = twilio.emulator.credentials().account_sid;
    let path = format!("/2010-04-01/Accounts/{account}/Messages.json");
    let fields = [("To", "+15555550123"), ("From", "+15555550100"), ("Body", "plain")];
    let (status, sent) = twilio.call("POST", &path, &fields).await;
    assert_eq!((status, &sent["status"], &sent["num_media"]), (201, &json!("queued"), &json!("0")));
    let (_, list) = twilio.call("GET", &path, &[]).await;
    assert_eq!(list["messages"][0]["sid"], sent["sid"]);
    assert_eq!(list["next_page_uri"], Value::Null);
    let uri = sent["uri"].as_str().unwrap();
    assert_eq!(twilio.call("GET", uri, &[]).await.1["body"], "plain");
    assert_eq!(twilio.call("DELETE", uri, &[]).await.0, 204);
    assert_eq!(twilio.call("GET", uri, &[]).await.0, 404);
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn a_phone_that_opted_out_gets_no_plain_message_until_it_opts_in_again() {
    let twilio = Twilio::start().await;
    let account = twilio.emulator.credentials().account_sid;
    let path = format!("/2010-04-01/Accounts/{account}/Messages.json");
    let fields = [("To", "+15555550123"), ("From", "+15555550100"), ("Body", "plain")];
    let elsewhere = [("To", "+15555550123"), ("From", "+15555550101"), ("Body", "plain")];
    for (word, status, code) in
        [("OptOut", 400, json!(21610)), ("Unstop", 201, Value::Null), ("revoke", 400, json!(21610))]
    {
        twilio.control().receive_sms("+15555550123", "+15555550100", word).await.unwrap();
        let (answered, body) = twilio.call("POST", &path, &fields).await;
        assert_eq!((answered, &body["code"]), (status, &code), "{word}");
        assert_eq!(twilio.call("POST", &path, &elsewhere).await.0, 201, "of this number alone");
    }
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn the_control_api_takes_a_phone_and_shows_everything() {
    let twilio = Twilio::start().await;
    let control = twilio.emulator.urls().control.clone();
    let post = |path: &str, body: Value| {
        twilio
            .client
            .post(control.join(path).unwrap())
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
    };
    let body = json!({"from": "+15555550123", "to": "+15555550100", "body": "hello"});
    let stored: Value =
        serde_json::from_str(&post("inbound", body).await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(stored["created"], true);
    let path = format!("conversations/{}", stored["conversation_sid"].as_str().unwrap());
    let read = |path: String| {
        let url = control.join(&path).unwrap();
        async { twilio.client.get(url).send().await.unwrap().text().await.unwrap() }
    };
    let phone = json!({"from": "+15555550123", "to": "+15555550100", "others": null, "body": "x"});
    let fault = json!({"id": null, "where": {"place": "rest", "method": null}, "skip": null,
        "do": {"action": "answer", "status": 503, "code": null}, "percent": null});
    for (path, body) in [
        ("inbound", phone),
        ("limits", json!({"participants": null, "conversation_writes": 7})),
        ("webhook", json!({"pre_url": null, "filters": null})),
        ("faults", fault),
    ] {
        let status = post(path, body).await.unwrap().status().as_u16();
        assert_eq!(status, 200, "null is absent: {path}");
    }
    assert_eq!(twilio.control().limits().participants, 100);
    let whole: Value = serde_json::from_str(&read(path).await).unwrap();
    assert_eq!(whole["messages"][0]["body"], "hello");
    let dump: Value = serde_json::from_str(&read("dump".into()).await).unwrap();
    assert_eq!(dump["conversations"].as_array().unwrap().len(), 1);
    let plain = twilio.client.post(control.join("reset").unwrap()).send().await.unwrap();
    assert_eq!(plain.status().as_u16(), 415);
    assert_eq!(post("reset", json!({})).await.unwrap().status().as_u16(), 200);
    assert!(twilio.control().conversations().is_empty());
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn with_a_seed_the_account_repeats_and_other_sids_only_if_asked() {
    for repeat_sids in [true, false] {
        let mut runs = Vec::new();
        for _ in 0..2 {
            let twilio = Twilio::with(Options { repeat_sids, ..Options::default() }).await;
            let account = twilio.emulator.info();
            let account = ["account_sid", "auth_token", "api_secret", "chat_service_sid"]
                .map(|name| account[name].clone());
            runs.push((account, twilio.conversation_with("bot").await));
            twilio.emulator.shutdown().await;
        }
        assert_eq!(runs[0].0, runs[1].0);
        assert_eq!(runs[0].1 == runs[1].1, repeat_sids, "{runs:?}");
    }
}

#[tokio::test]
async fn a_snapshot_that_is_older_than_the_last_sids_makes_none_of_them_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("twilio.json");
    let options =
        || Options { snapshot: Some(path.clone()), repeat_sids: false, ..Options::default() };
    let first = Twilio::with(options()).await;
    assert!(first.control().save().await.unwrap());
    first.emulator.shutdown().await;
    let mut made = Vec::new();
    for _ in 0..2 {
        // It is never told to save, as if it was killed.
        let twilio = Twilio::with(options()).await;
        made.push(twilio.conversation_with("bot").await);
        twilio.emulator.shutdown().await;
    }
    assert_ne!(made[0], made[1]);
}

#[tokio::test]
async fn a_snapshot_brings_everything_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("twilio.json");
    let options = || Options { snapshot: Some(path.clone()), ..Options::default() };
    let twilio = Twilio::with(options()).await;
    let sid = twilio.conversation_with("bot").await;
    let token = twilio.emulator.credentials().auth_token.expose_secret().to_owned();
    let control = twilio.control();
    twilio.emulator.shutdown().await;
    assert!(control.save().await.unwrap());
    // Another seed would make other credentials; the snapshot's are kept.
    let emulator = Emulator::start(Options { seed: Some(8), ..options() }).await.unwrap();
    assert_eq!(emulator.credentials().auth_token.expose_secret(), token);
    let twilio = Twilio { emulator, client: twilio.client };
    let path_of_bot = format!("/v1/Conversations/{sid}/Participants/bot");
    assert_eq!(twilio.call("GET", &path_of_bot, &[]).await.0, 200);
    twilio.emulator.shutdown().await;
    tokio::fs::write(&path, r#"{"version":2}"#).await.unwrap();
    let refused = Emulator::start(options()).await.unwrap_err();
    assert!(matches!(refused, crate::emulator::Error::Snapshot(_)), "{refused:?}");
}
