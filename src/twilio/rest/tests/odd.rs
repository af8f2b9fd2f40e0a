//! Answers and listings with something odd in them: it costs nothing but itself.

use super::*;
use crate::pii::Pii;

#[tokio::test]
async fn an_odd_message_is_used_as_far_as_it_can_be_read_and_stops_no_page() {
    let mut odd = stored_message(8);
    odd["participant_sid"] = json!("");
    odd["conversation_sid"] = json!("");
    odd["content_sid"] = json!("");
    odd["author"] = json!(7);
    odd["attributes"] = json!({"a": 1});
    odd["date_created"] = json!(false);
    odd["index"] = json!("8");
    odd["media"] = json!([{"sid": format!("ME{H}"), "size": "12"}, {"sid": "ME1"}, null, 7]);
    let mut bad = stored_message(7);
    bad["sid"] = json!("");
    let page = json!({
        "messages": [stored_message(9), odd, bad, null, "x", stored_message(6)],
        "meta": {"key": "messages", "next_page_url": null},
    });
    let server = Server::start(vec![json_answer(200, page.clone()), json_answer(200, page)]).await;
    let mut pages = server.client().newest_messages(conversation());
    let page = pages.next().await.unwrap().unwrap();
    assert_eq!(page.iter().map(|message| message.index).collect::<Vec<_>>(), [9, 8, 6]);
    assert_eq!(pages.skipped(), 3);
    let odd = &page[1];
    assert_eq!(odd.body.as_ref().map(Pii::reveal), Some("hi there"));
    assert_eq!(odd.attributes.as_ref().map(Pii::reveal), Some(r#"{"a":1}"#));
    assert_eq!((&odd.author, odd.participant_sid, odd.content_sid), (&None, None, None));
    assert_eq!(odd.media.iter().map(|file| file.size).collect::<Vec<_>>(), [Some(12)]);
    assert!(pages.next().await.unwrap().is_none());
    let found = server.client().messages_after(conversation(), Some(6), 20).await.unwrap();
    let got: Vec<_> = found.messages.iter().map(|message| message.index).collect();
    assert_eq!((got, found.complete), (vec![8, 9], true));
}

#[tokio::test]
async fn half_an_emoji_in_a_listing_is_a_replacement_character() {
    let text = json!({"messages": [stored_message(1), stored_message(2)],
        "meta": {"key": "messages", "next_page_url": null}})
    .to_string()
    .replacen("hi there", r"hi\ud83d", 1);
    let server = Server::start(vec![answer(200, &text)]).await;
    let page = server.client().newest_messages(conversation()).next().await.unwrap().unwrap();
    let bodies: Vec<_> =
        page.iter().map(|message| message.body.as_ref().unwrap().reveal()).collect();
    assert_eq!(bodies, ["hi\u{fffd}", "hi there"]);
}

#[tokio::test]
async fn odd_entries_of_every_listing_are_read_or_left_out() {
    let page = |entries: Value| {
        json_answer(200, json!({"all": entries, "meta": {"key": "all", "next_page_url": null}}))
    };
    let mut person = participant();
    person["messaging_binding"] = json!({"type": 7, "proxy_address": "+15555550100"});
    person["last_read_message_index"] = json!("12");
    let nobody = json!({"sid": "MB"});
    let server = Server::start(vec![
        page(json!([person, nobody])),
        page(json!([{"sid": format!("CH{H}"), "state": 7, "messaging_service_sid": "",
            "friendly_name": ["x"], "attributes": null}, {"sid": null}])),
        page(json!([{"conversation_sid": format!("CH{H}"), "participant_sid": "",
            "conversation_state": "dreaming"}, {"participant_sid": format!("MB{H}")}])),
        page(json!([{"sid": format!("IG{H}"), "address": "+15555550100",
            "auto_creation": {"enabled": "yes", "conversation_service_sid": ""}}, {"sid": "IG"}])),
    ])
    .await;
    let client = server.client();
    let people = client.participants(conversation()).await.unwrap();
    let binding = people[0].messaging_binding.as_ref().unwrap();
    assert_eq!((people.len(), &binding.channel), (1, &None));
    assert_eq!(binding.proxy_address.as_ref().unwrap().reveal(), "+15555550100");
    assert_eq!(people[0].last_read_message_index, Some(12));
    let open = client.list_conversations(ConversationFilter::default()).all(9).await.unwrap();
    assert_eq!((open.len(), open[0].state, &open[0].friendly_name), (1, None, &None));
    let seats = client.participant_conversations("bot").all(9).await.unwrap();
    assert_eq!((seats.len(), seats[0].participant_sid), (1, None));
    assert_eq!(seats[0].conversation_state, Some(ConversationState::Other));
    let addresses = client.list_addresses().all(9).await.unwrap();
    assert!(!addresses[0].auto_creation.as_ref().unwrap().enabled);
    assert_eq!(addresses.len(), 1);
}

#[tokio::test]
async fn what_was_written_is_known_whatever_is_odd_in_the_answer() {
    let mut sent = stored_message(3);
    sent["participant_sid"] = json!("");
    sent["media"] = json!({});
    let mut joined = participant();
    joined["conversation_sid"] = json!("");
    joined["identity"] = json!(7);
    let server = Server::start(vec![json_answer(201, sent), json_answer(201, joined)]).await;
    let client = server.client();
    assert_eq!(client.create_message(conversation(), &message("hi")).await.unwrap().index, 3);
    assert!(client.add_participant(conversation(), "bot").await.is_ok());
}

#[tokio::test]
async fn a_page_that_does_not_say_where_it_goes_on_is_not_the_last_one() {
    for meta in [json!({"key": "messages", "next_page_url": 7}), json!({"key": 7}), json!(null)] {
        let page = || json_answer(200, json!({"messages": [], "meta": meta}));
        let server = Server::start((0..4).map(|_| page()).collect()).await;
        let error = server.client().newest_messages(conversation()).next().await.unwrap_err();
        assert!(
            matches!(error, Error::Unknown { source: FailureCause::Unreadable { .. }, .. }),
            "{meta}"
        );
    }
}
