//! The control API's part about texts: what [`super::Control`] does with them, as JSON.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Control, Incoming, Received, Texted};
use crate::emulator::rest::fields::Fields;
use crate::emulator::rest::text_json;
use crate::emulator::state::messaging::Text;
use crate::emulator::state::messaging::list::Filter;
use crate::emulator::state::refusal::Refusal;
use crate::pii::Pii;
use crate::twilio::messaging::MessageStatus;
use crate::twilio::sid::TextSid;

/// How far a text is to be moved on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Move {
    sid: TextSid,
    status: String,
    #[serde(default)]
    error_code: Option<u32>,
}

/// A template's text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Template {
    sid: String,
    text: String,
}

/// How far the time is to jump.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Jump {
    pub(super) seconds: u32,
}

/// Somebody texts.
pub(super) async fn text(control: &Control, incoming: Incoming) -> Result<Value, Refusal> {
    let Texted { sid, received } = control.text(incoming).await?;
    let mut answer = match received {
        Received::Stored { .. } => self::received(received),
        Received::Dropped => json!({}),
    };
    answer["sid"] = json!(sid);
    Ok(answer)
}

/// What became of a phone's message in conversations.
pub(super) fn received(received: Received) -> Value {
    match received {
        Received::Stored { conversation, message, created } => json!({
            "conversation_sid": conversation,
            "message_sid": message,
            "created": created,
        }),
        Received::Dropped => json!({"dropped": true}),
    }
}

/// The texts, oldest first; only those to or from an address, and only so many of the newest, if that
/// is asked for.
pub(super) fn texts(control: &Control, query: &Fields) -> Result<Value, Refusal> {
    let of = |name: &str| query.filled(name).map(Pii::new);
    let wanted = Filter { to: of("to"), from: of("from"), ..Filter::default() };
    let limit = query.parsed::<usize>("limit")?.unwrap_or(usize::MAX);
    let texts = control.newest_texts(&wanted, limit);
    let texts: Vec<Value> = texts.iter().map(|text| shown(control, text)).collect();
    Ok(json!({"texts": texts}))
}

/// A text as the messaging API shows it, with what the phone sees besides.
fn shown(control: &Control, text: &Text) -> Value {
    let mut shown = text_json::text(control.hub.credentials.account_sid, text);
    shown["media"] = text
        .media
        .iter()
        .map(|file| json!({"sid": file.sid, "content_type": file.content_type, "url": file.url}))
        .collect();
    shown["content"] = json!(text.content);
    shown["persistent_actions"] = json!(text.actions);
    shown
}

/// Moves a text on.
pub(super) fn move_on(control: &Control, order: &Move) -> Result<Value, Refusal> {
    let status = MessageStatus::parse(&order.status).ok_or(Refusal::ParameterInvalid("status"))?;
    let moved = control.move_text(order.sid, status, order.error_code)?;
    Ok(json!({"changed": moved}))
}

/// Gives a template its text.
pub(super) fn template(control: &Control, template: &Template) -> Result<Value, Refusal> {
    control.set_template(&template.sid, &template.text)?;
    Ok(json!({"sid": template.sid}))
}
