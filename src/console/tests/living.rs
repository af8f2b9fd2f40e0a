//! Tests of the pages that change by themselves.

use futures::future::join_all;
use serde_json::Value;

use super::acting::{CONVERSATION, MESSAGE, Rig};
use super::*;

/// How long until something changed is told at the latest.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn each_fragment_of_a_live_page_has_its_place_on_the_page() {
    let rig = Rig::open(None).await;
    rig.tell_a_story().await;
    let pages = [
        ("/console/".to_owned(), "now-tiles"),
        ("/console/setup".to_owned(), "setup-findings"),
        ("/console/threads?find=0123".to_owned(), "threads-rows"),
        (format!("/console/threads/{CONVERSATION}"), "thread-feed"),
        ("/console/messages".to_owned(), "messages-rows"),
        (format!("/console/messages/{MESSAGE}"), "message-stages"),
        ("/console/dead-letters?queue=outbox".to_owned(), "letters-causes"),
    ];
    join_all(pages.map(async |(path, wanted)| {
        let page = rig.get(&path).await.text;
        let told = news(&rig.router, &page).await;
        let ids: Vec<_> = told.iter().map(|(id, _)| id.as_str()).collect();
        assert!(ids.contains(&wanted) && ids.contains(&"nav-dead"), "{path}: {ids:?}");
        for (id, html) in &told {
            assert!(page.contains(&format!("id=\"{id}\"")), "{path} has no place for {id}");
            assert!(!html.contains(" style=") && !html.contains("5555550123"), "{path}: {html}");
        }
    }))
    .await;
}

#[tokio::test]
async fn what_is_filtered_out_of_a_page_is_not_told_to_it() {
    let rig = Rig::open(None).await;
    let page = rig.get("/console/dead-letters?queue=outbox&cause=dead%3A50400").await.text;
    let told = news(&rig.router, &page).await;
    let rows = &told.iter().find(|(id, _)| id == "letters-rows").unwrap().1;
    assert!(rows.contains("outbox/") && !rows.contains("joins/"), "{rows}");
    for strange in ["page=threads&show=planted", "page=thread&find=planted", "page=planted"] {
        let told = news(&rig.router, &format!("data-events=\"/console/events?{strange}\"")).await;
        let ids: Vec<_> = told.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["nav-dead"], "{strange}");
    }
}

#[tokio::test]
async fn who_may_look_is_told_of_no_button() {
    let rig = Rig::open(Some("acts")).await;
    let (acts, reads) =
        (signed_in(&rig.router, "acts").await, signed_in(&rig.router, "reads").await);
    for (cookie, has_buttons) in [(&acts, true), (&reads, false)] {
        let page = get_page(&rig.router, "/console/dead-letters", Some(cookie)).await.text;
        let told = news_to(&rig.router, (&page, Some(cookie))).await;
        let all: String = told.into_iter().map(|(_, html)| html).collect();
        assert_eq!(all.contains("Redrive all"), has_buttons, "{all}");
        assert_eq!(all.contains("name=\"form\""), has_buttons, "{all}");
    }
}

/// The first news that a page's feed tells: ids and what is inside.
async fn news(router: &Router, page: &str) -> Vec<(String, String)> {
    news_to(router, (page, None)).await
}

async fn news_to(router: &Router, (page, cookie): (&str, Option<&str>)) -> Vec<(String, String)> {
    let (_, rest) = page.split_once("data-events=\"").expect("the page is live");
    let path = rest.split('"').next().unwrap().replace("&amp;", "&");
    let request = Request::get(path).header(header::HOST, NEAR);
    let request = match cookie {
        Some(cookie) => request.header(header::COOKIE, cookie),
        None => request,
    };
    let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut stream = answer.into_body().into_data_stream();
    let told = async {
        assert_eq!(stream.next().await.unwrap().unwrap(), "retry: 5000\n\n");
        stream.next().await.unwrap().unwrap()
    };
    let told = tokio::time::timeout(PATIENCE, told).await.expect("something is told");
    let told = std::str::from_utf8(&told).unwrap().to_owned();
    let data = told.lines().filter_map(|line| line.strip_prefix("data: "));
    let parsed = data.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    parsed.map(|one| (text(&one["id"]), text(&one["html"]))).collect()
}
