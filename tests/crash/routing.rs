//! Several agents and a kill while one of them thinks: the same one is asked again, under the same id, and
//! nobody else is.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use chimein::emulator::Incoming;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::child::{self, NUMBER};
use crate::line::{Line, PATIENCE};

const PHONE: &str = "+15550009999";

/// An agent that keeps what it is asked, and answers what it is asked again.
#[derive(Clone)]
struct Thinker {
    asked: Arc<Mutex<Vec<Value>>>,
    name: &'static str,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_the_agent_that_had_the_turn_is_asked_again_and_no_other() {
    let (sales, rest) = (Thinker::named("sales"), Thinker::named("rest"));
    let (sales_url, rest_url) = (sales.serve().await, rest.serve().await);
    let mut line = Line::start(&[
        ("CHIMEIN_AGENTS_SALES_KIND", "http"),
        ("CHIMEIN_AGENTS_SALES_URL", &sales_url),
        ("CHIMEIN_AGENTS_REST_KIND", "http"),
        ("CHIMEIN_AGENTS_REST_URL", &rest_url),
        ("CHIMEIN_ROUTES_1_AGENT", "sales"),
        ("CHIMEIN_ROUTES_1_KEYWORD", "buy"),
        ("CHIMEIN_ROUTES_1_FALLBACK", "rest"),
        ("CHIMEIN_ROUTES_2_AGENT", "rest"),
    ])
    .await;
    line.service.start(&[]);
    assert!(line.service.is_listening().await);
    for (nth, text) in ["I want to buy", "how much?"].into_iter().enumerate() {
        let _texted = line.control.text(Incoming::new(PHONE, NUMBER, text)).await.unwrap();
        let asked = || sales.asked().len() == 2 * nth + 1;
        assert!(child::within(PATIENCE, asked).await, "{}", line.service.log_tail());
        line.service.kill().await;
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

impl Thinker {
    fn named(name: &'static str) -> Self {
        Self { asked: Arc::default(), name }
    }

    fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }

    async fn serve(&self) -> String {
        let router = Router::new().route("/", post(take)).with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        url
    }
}

async fn take(State(thinker): State<Thinker>, Json(turn): Json<Value>) -> Json<Value> {
    let body = turn["messages"][0]["body"].as_str().unwrap_or_default().to_owned();
    let is_first = thinker.asked().iter().all(|known| known["id"] != turn["id"]);
    thinker.asked.lock().unwrap().push(turn);
    if is_first {
        std::future::pending::<()>().await;
    }
    Json(json!({ "replies": [format!("{}: {body}", thinker.name)] }))
}
