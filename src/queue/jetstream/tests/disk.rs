//! What the server's disk shows of people's texts.

use std::path::Path;

use super::*;

const TEXT: &str = "a word for nobody else";

#[tokio::test]
async fn a_server_that_encrypts_its_store_shows_no_text_to_whoever_has_its_disk() {
    for (cipher, is_found) in [("", true), (r#", cipher: chachapoly, key: "a test's""#, false)] {
        let store =
            format!("jetstream {{ store_dir: \"STORE\", sync_interval: always{cipher} }}\n");
        let mut server = NatsServer::start_plain(&test_nats::newest(), &store);
        let instance = Instance::open(&server).await;
        instance.gains_all().await;
        let queue = instance.inbox();
        queue.append(vec![job("a", TEXT)]).await.unwrap();
        next_is(&queue, TEXT).await.ack().await.unwrap();
        server.kill();
        assert_eq!(is_below(&server.folder().join("store"), TEXT), is_found, "{cipher}");
    }
}

/// Whether a text is in any file below a folder.
fn is_below(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return is_below(&path, text);
        }
        // A file may be gone by now.
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(text.len()).any(|part| part == text.as_bytes())
    })
}
