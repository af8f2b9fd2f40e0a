//! A model behind the OpenAI API.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, stream};

use crate::model::{self, body, delta, event, last_words, streamed};
use crate::peer::{Act, Memory, Peer};

pub struct Model {
    model: model::Model,
    /// Known by what was said, since it is told no ids.
    memory: Memory<String>,
    is_away: Arc<AtomicBool>,
}

impl Peer for Model {
    async fn start() -> Self {
        let (memory, is_away) = (Memory::default(), Arc::new(AtomicBool::new(false)));
        let (heard, away) = (Memory::clone(&memory), Arc::clone(&is_away));
        let model = model::Model::start(move |request, _| {
            if away.load(Ordering::Relaxed) {
                return StatusCode::BAD_GATEWAY.into_response();
            }
            let text = last_words(request);
            answer(heard.hear(&text, &text, text.clone()), &heard)
        });
        Self { model: model.await, memory, is_away }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let own = [("CHIMEIN_OPENAI_HISTORY_MESSAGES", "0")];
        let settings = self.model.settings(&own).into_iter();
        settings.map(|(name, value)| (name, value.to_owned())).collect()
    }

    fn asked(&self) -> Vec<String> {
        self.memory.texts()
    }

    fn let_go_on(&self) {
        self.memory.gate.open();
    }

    async fn go_away(&mut self) {
        self.is_away.store(true, Ordering::Relaxed);
    }

    async fn come_back(&mut self) {
        self.is_away.store(false, Ordering::Relaxed);
    }
}

fn answer(act: Act, memory: &Memory<String>) -> Response {
    let breaks = || stream::once(async { Err(io::Error::other("it died")) });
    match act {
        Act::Say(texts) => streamed(&texts.join("\n")),
        Act::SayOnceLet(text) => {
            let gate = memory.gate.clone();
            body(stream::once(async move {
                gate.pass().await;
                let end = event(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#);
                let all = [event(&delta(&text)), end, event("[DONE]")].concat();
                Ok::<_, io::Error>(all.into())
            }))
        }
        Act::Die => body(breaks()),
        Act::SayAndDie(text) => body(stream::iter([Ok(event(&delta(&text)))]).chain(breaks())),
        Act::TalkGarbage => "<html>".into_response(),
        Act::Later => panic!("a model answers at once"),
    }
}
