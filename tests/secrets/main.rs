//! Secrets, phone numbers and texts are planted everywhere, and looked for in everything that is shown.
//!
//! The service runs as its users run it: the program itself, in a process of its own, against the
//! emulator and an agent, on good paths and bad ones. Then its log, its pages, its metrics, its
//! listings and what the commands print are searched, and so are settings and errors as `Debug`
//! prints them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod console;
mod errors;
mod planted;
#[path = "../ports/mod.rs"]
mod ports;
mod service;

use chimein::emulator::faults::{Action, Fault, Place};

use self::planted::{AGENT_REPLY, BREAKING, FAILING, FRIENDLY, MARK, NUMBER, PHONE};
use self::service::Service;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_shown_holds_a_secret_a_number_or_a_text() {
    let service = Service::start().await;
    let conversation = service.sms(FRIENDLY).await;
    service.until_said(conversation, AGENT_REPLY).await;
    break_what_can_break(&service).await;
    service.until_dead("inbox", 1).await;
    service.until_dead("outbox", 1).await;

    service.until_traced(conversation, "turn_started").await;
    let mut shown = service.pages().await;
    shown.extend(console::pages(&service).await);
    shown.extend(service.commands().await);
    for (place, sentence) in [
        ("/v1/timeline?thread=", "turn_started"),
        ("/console/messages/", "What happened, stage by stage"),
        ("/console/dead-letters", "One by one"),
        ("/console/setup", "twilio.auth_token"),
        ("doctor", "the account takes them"),
        ("setup", "account webhooks"),
        ("dead-letters redrive", "0 dead letters"),
        ("send", "queued for CH"),
    ] {
        let is_told =
            shown.iter().any(|(from, text)| from.starts_with(place) && text.contains(sentence));
        assert!(is_told, "nothing from {place} tells {sentence:?}: {shown:?}");
    }
    let log = service.stop().await;
    for sentence in ["service is up", "dead letter", "refused", "service has stopped"] {
        assert!(log.contains(sentence), "the log tells nothing of {sentence:?}:\n{log}");
    }
    shown.push(("the log".to_owned(), log));
    for (place, text) in &shown {
        planted::assert_clean(place, text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_planted_is_there_to_be_found() {
    let service = Service::start().await;
    service.sms(FAILING).await;
    service.until_dead("inbox", 1).await;
    let letter = service.revealed_letter("inbox").await;
    assert!(letter.contains(MARK) && letter.contains(&PHONE[1..]), "{letter}");
    assert!(planted::found_in(&letter).is_some(), "the search finds nothing");
    let (page, told) = console::revealed(&service, "inbox").await;
    assert!(page.contains(FAILING) && planted::found_in(&page).is_some(), "{page}");
    assert!(told.contains("revealed"), "it is not noted: {told}");
    planted::assert_clean("the thread's page", &told);
    service.stop().await;
}

/// Takes the paths on which programs like to print what they were given.
async fn break_what_can_break(service: &Service) {
    service.sms(FAILING).await;
    service.sms(BREAKING).await;
    for body in [
        format!("EventType=onMessageAdded&Author=%2B{}&Body={MARK}", &PHONE[1..]),
        format!("{{\"Body\":\"{MARK}\"}}"),
        format!("%ff%fe{MARK}"),
    ] {
        let status = service.post("/webhooks/twilio", &body, Some(MARK)).await;
        assert!((400..500).contains(&status), "{status}");
    }
    service.signed_garbage().await;
    let conversation = service.sms(FRIENDLY).await;
    let replies = format!("/v1/conversations/{conversation}/replies");
    let body = format!("{{\"replies\":[\"{MARK}\"]}}");
    assert_eq!(service.post(&replies, &body, Some(MARK)).await, 401);
    assert_eq!(service.post(&format!("/{MARK}?From={NUMBER}"), &body, None).await, 404);
    let refused = Action::Answer { status: 400, code: Some(50511), retry_after: None };
    let part = Some("/Messages".to_owned());
    let method = Some("POST".to_owned());
    for place in [
        Place::SocketRequest { method: method.clone(), path: part.clone() },
        Place::Rest { method, path: part },
    ] {
        let fault =
            Fault { id: 0, place, action: refused.clone(), times: Some(1), skip: 0, percent: None };
        service.control().add_fault(fault).unwrap();
    }
    service.sms(FRIENDLY).await;
    service.sms(FRIENDLY).await;
}
