//! A model behind the OpenAI API.

use std::io;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, stream};

use crate::model::{self, body, delta, event, last_words, streamed};
use crate::peer::{Act, Gate, Memory, Peer};

pub struct Model {
    model: model::Model,
    /// Known by what was said, since it is told no ids.
    memory: Memory<String>,
    /// Open while it is away, and what it was about to say breaks off.
    exit: Gate,
}

impl Peer for Model {
    const SEVERAL: &'static [&'static str] = &["one\ntwo"];

    async fn start() -> Self {
        let (memory, exit) = (Memory::default(), Gate::default());
        let (heard, away) = (Memory::clone(&memory), exit.clone());
        let model = model::Model::start(move |request, _| {
            if away.is_open() {
                return StatusCode::BAD_GATEWAY.into_response();
            }
            let text = last_words(request);
            answer(heard.hear(&text, &text, text.clone()), &heard, &away)
        });
        Self { model: model.await, memory, exit }
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
        self.exit.open();
    }

    async fn come_back(&mut self) {
        self.exit.shut();
    }
}

fn answer(act: Act, memory: &Memory<String>, exit: &Gate) -> Response {
    let breaks = || stream::once(async { Err(io::Error::other("it died")) });
    match act {
        Act::Say(texts) => streamed(&texts.join("\n")),
        Act::SayOnceLet(text) => {
            let (gate, exit) = (memory.gate.clone(), exit.clone());
            body(stream::once(async move {
                tokio::select! {
                    () = exit.pass() => return Err(io::Error::other("it is gone")),
                    () = gate.pass() => {}
                }
                let end = event(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#);
                let all = [event(&delta(&text)), end, event("[DONE]")].concat();
                Ok(all.into())
            }))
        }
        Act::Die => body(breaks()),
        Act::SayAndDie(text) => body(stream::iter([Ok(event(&delta(&text)))]).chain(breaks())),
        Act::TalkGarbage => "<html>".into_response(),
        Act::Later => panic!("a model answers at once"),
    }
}
