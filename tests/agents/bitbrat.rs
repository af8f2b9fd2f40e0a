//! A platform behind its message bus.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;

use crate::nats_server::NatsServer;
use crate::peer::{Act, Memory, Peer};
use crate::platform::{OWN, PREFIX, Platform, delivered};
use crate::rig::Rig;

/// How often the bus is looked at for more.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub struct BitBrat {
    server: NatsServer,
    platform: Arc<Platform>,
    memory: Memory<Event>,
    thinking: JoinHandle<()>,
}

/// A person's event, known by its message's id.
#[derive(Clone, Debug)]
struct Event(Value);

impl PartialEq<str> for Event {
    fn eq(&self, id: &str) -> bool {
        self.0["message"]["id"] == id
    }
}

impl Event {
    fn text(&self, of: &str) -> &str {
        self.0["message"][of].as_str().unwrap()
    }
}

impl Peer for BitBrat {
    async fn start() -> Self {
        let server = NatsServer::start();
        let platform = Arc::new(Platform::start(&server, |_| None).await);
        let memory = Memory::default();
        let thinking = tokio::spawn(think(Arc::clone(&platform), Memory::clone(&memory)));
        Self { server, platform, memory, thinking }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("CHIMEIN_AGENT_KIND", "bitbrat".to_owned()),
            ("NATS_URL", self.server.url()),
            ("BUS_PREFIX", PREFIX.to_owned()),
            // Of a service of the platform that died nobody hears; it is asked anew.
            ("CHIMEIN_BITBRAT_ANSWER_WITHIN", "1s".to_owned()),
            ("CHIMEIN_BITBRAT_ASK_AGAIN", "true".to_owned()),
        ]
    }

    fn patience(&self) -> Vec<(&'static str, String)> {
        // It has it in any case.
        Vec::new()
    }

    fn room(&self) -> Vec<(&'static str, String)> {
        // A thousand are not asked within a second.
        vec![("CHIMEIN_BITBRAT_ANSWER_WITHIN", "60s".to_owned())]
    }

    fn asked(&self) -> Vec<String> {
        self.memory.texts()
    }

    fn let_go_on(&self) {
        self.memory.gate.open();
    }

    async fn say_later(&self, _rig: &Rig, text: &str) {
        let answer = delivered(&self.memory.turn("late").0, "cand-1", text);
        self.platform.publish(OWN, &answer).await;
    }

    async fn go_away(&mut self) {
        self.server.kill();
    }

    async fn come_back(&mut self) {
        self.server.begin();
    }
}

impl Drop for BitBrat {
    fn drop(&mut self) {
        self.thinking.abort();
    }
}

async fn think(platform: Arc<Platform>, memory: Memory<Event>) {
    let mut seen = 0;
    loop {
        for passed in platform.asked().into_iter().skip(seen) {
            seen += 1;
            let event = Event(passed.body);
            let act = memory.hear(event.text("id"), event.text("text"), event.clone());
            let answered = answer(Arc::clone(&platform), memory.clone(), event.0, act.clone());
            // A slow one is not to hold up who comes after it.
            if matches!(act, Act::SayOnceLet(_)) {
                tokio::spawn(answered);
            } else {
                answered.await;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn answer(platform: Arc<Platform>, memory: Memory<Event>, event: Value, act: Act) {
    let say = async |at: usize, text: &str| {
        platform.publish(OWN, &delivered(&event, &format!("cand-{at}"), text)).await;
    };
    match act {
        Act::Say(texts) if texts.is_empty() => say(0, "").await,
        Act::Say(texts) => {
            for (at, text) in texts.iter().enumerate() {
                say(at, text).await;
            }
        }
        Act::SayOnceLet(text) => {
            memory.gate.pass().await;
            say(0, &text).await;
        }
        Act::SayAndDie(text) => {
            say(0, &text).await;
            // The bus brings it to another one, which knows nothing of that.
            let again = memory.hear(
                event["message"]["id"].as_str().unwrap(),
                "die after",
                Event(event.clone()),
            );
            assert_eq!(again, Act::Say(vec![text.clone()]));
            say(0, &text).await;
        }
        Act::TalkGarbage => platform.publish(OWN, &Value::from("no event")).await,
        Act::Later | Act::Die => {}
    }
}
