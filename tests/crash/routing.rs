//! Several agents and a kill while one of them thinks: the same one is asked again, under the same id, and
//! nobody else is.

use axum::Json;
use axum::response::IntoResponse as _;
use chimein::emulator::Incoming;
use serde_json::{Value, json};

use crate::child::{self, NUMBER};
use crate::line::{Line, PATIENCE};
use crate::scripted_agent::Agent;

const PHONE: &str = "+15550009999";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_the_agent_that_had_the_turn_is_asked_again_and_no_other() {
    let (sales, rest) = (named("sales").await, named("rest").await);
    let mut line = Line::start(&[
        ("CHIMEIN_AGENTS_SALES_KIND", "http"),
        ("CHIMEIN_AGENTS_SALES_URL", sales.url()),
        ("CHIMEIN_AGENTS_REST_KIND", "http"),
        ("CHIMEIN_AGENTS_REST_URL", rest.url()),
        ("CHIMEIN_ROUTES_1_AGENT", "sales"),
        ("CHIMEIN_ROUTES_1_KEYWORD", "buy"),
        ("CHIMEIN_ROUTES_1_FALLBACK", "rest"),
        ("CHIMEIN_ROUTES_2_AGENT", "rest"),
    ])
    .await;
    line.service.start(&[]);
    assert!(line.service.is_listening().await);
    for (nth, text) in ["I want to buy", "how much?"].into_iter().enumerate() {
        let thinks = sales.hold_from_now().await;
        let _texted = line.control.text(Incoming::new(PHONE, NUMBER, text)).await.unwrap();
        let asked = || sales.asked().len() == 2 * nth + 1;
        assert!(child::within(PATIENCE, asked).await, "{}", line.service.log_tail());
        line.service.kill().await;
        drop(thinks);
        line.service.start(&[]);
        let again = || sales.asked().len() == 2 * nth + 2;
        assert!(child::within(PATIENCE, again).await, "{}", line.service.log_tail());
        let answered = || line.control.texts_to(PHONE).len() == nth + 1;
        assert!(child::within(PATIENCE, answered).await, "{}", line.service.log_tail());
    }
    let asked = sales.asked();
    assert_eq!((&asked[0]["id"], &asked[2]["id"]), (&asked[1]["id"], &asked[3]["id"]));
    assert_eq!(rest.asked(), Vec::<Value>::new());
    let said = line.control.texts_to(PHONE);
    let said: Vec<_> = said.into_iter().map(|text| text.body.into_revealed()).collect();
    assert_eq!(said, ["sales: I want to buy", "sales: how much?"]);
    assert_eq!(line.settled().await, Some(0), "jobs or dead letters are left");
    line.service.stop().await;
    line.emulator.shutdown().await;
}

/// An agent that says who it is and what was said.
async fn named(name: &'static str) -> Agent {
    Agent::start(move |turn, _| {
        let body = turn["messages"][0]["body"].as_str().unwrap_or_default();
        Json(json!({ "replies": [format!("{name}: {body}")] })).into_response()
    })
    .await
}
