//! Tests of signing in by a proxy.

use super::*;

#[tokio::test]
async fn who_a_proxy_names_is_in_and_nobody_names_himself() {
    let router = console(Some("acts"), "0.0.0.0:9464");
    let by = |peer: &str, name: &str, request: axum::http::request::Builder| {
        request
            .header(header::HOST, NEAR)
            .header("x-forwarded-user", name)
            .extension(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 40_000)))
    };
    let see = async |peer: &str, name: &str| {
        let request = by(peer, name, Request::get("/console/setup")).body(Body::empty());
        ask(&router, request.unwrap()).await
    };
    let (ann, bob) = ("ann@example.com", "bob@example.com");
    assert!(see("198.51.100.7", ann).await.text.contains("may read, act<"));
    assert!(see("198.51.100.7", bob).await.text.contains("may read<"));
    assert_eq!(see("192.0.2.7", ann).await.status, 303, "no proxy of ours");
    assert_eq!(get_page(&router, "/console/setup", None).await.status, 303);

    let form = form_of(&see("198.51.100.7", ann).await.text);
    for (peer, name, form, status) in [
        ("198.51.100.7", ann, form.as_str(), 303),
        ("198.51.100.7", ann, "00", 403),
        ("198.51.100.7", bob, form.as_str(), 403),
    ] {
        let request = by(peer, name, Request::post("/console/setup/look"))
            .header(header::ORIGIN, "http://127.0.0.1:9464")
            .body(Body::from(format!("form={form}")));
        let answer = ask(&router, request.unwrap()).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text);
    }
}
