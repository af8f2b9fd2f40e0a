//! The messages of the Agent Client Protocol: what we write, and what is read of what an agent writes. Pure.
//!
//! Of a message only that is read which something follows from; members that are not known are nobody's.

use serde_json::{Map, Value, json};

use super::super::dialect::BadLine;
use crate::json;

/// The agent wants a login. Source: agentclientprotocol.com, typescript-sdk "Error codes", read 2026-11-30.
pub(super) const AUTH_REQUIRED: i64 = -32_000;
/// What an agent says that no longer knows a session: resource not found, or invalid params.
pub(super) const FORGOTTEN: [i64; 2] = [-32_002, -32_602];
/// There is no such method. Source: jsonrpc.org, specification, section 5.1, read 2026-11-30.
const METHOD_NOT_FOUND: i64 = -32_601;
/// What stands for an error whose code is none.
const NO_CODE: i64 = -32_603;

/// What an agent has written.
#[derive(Debug)]
pub(super) enum AcpMessage {
    /// Something that goes on in a session.
    SessionUpdate(String, SessionUpdate),
    /// It wants a permission; the request's id, which it chooses.
    Permission(Value, Permission),
    /// It wants something else.
    Request(Value),
    /// It tells something that nothing follows from.
    Notification,
    /// The answer to our call of this id: a result, or an error's code.
    Answer(u64, Result<Value, i64>),
}

/// Something that goes on in a session.
#[derive(Debug)]
pub(super) enum SessionUpdate {
    /// A piece of the agent's message, and which message it is of if it says so.
    Chunk {
        /// The words.
        text: String,
        /// The message.
        message: Option<String>,
    },
    /// A tool is called: what is said behind it is another thing.
    Interruption,
    /// What reaches nobody.
    Other,
}

/// A permission that is wanted.
#[derive(Debug)]
pub(super) struct Permission {
    /// In which session.
    pub(super) session: String,
    /// The option that refuses it.
    pub(super) refusal: Option<String>,
}

/// Why a prompt ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum StopReason {
    /// All is said.
    EndTurn,
    /// It may say or ask no more.
    Cut,
    /// It does not want to.
    Refusal,
    /// It was told to stop.
    Cancelled,
}

/// Reads a line.
///
/// # Errors
///
/// Why it is a bad one.
pub(super) fn read(line: &[u8]) -> Result<AcpMessage, BadLine> {
    let mut said: Map<String, Value> = json::object(line).map_err(|_| BadLine::NoJson)?;
    let (id, params) = (said.remove("id"), said.remove("params"));
    let params = params.unwrap_or_default();
    match (said.get("method").and_then(Value::as_str), id) {
        (Some("session/update"), None) => {
            let session = text(&params["sessionId"]).ok_or(BadLine::UnknownTurn)?;
            Ok(AcpMessage::SessionUpdate(session, update(&params["update"])))
        }
        (Some(_), None) => Ok(AcpMessage::Notification),
        (Some("session/request_permission"), Some(id)) => {
            Ok(AcpMessage::Permission(id, wanted(&params)))
        }
        (Some(_), Some(id)) => Ok(AcpMessage::Request(id)),
        (None, Some(id)) => {
            let id = id.as_u64().ok_or(BadLine::UnknownTurn)?;
            match (said.remove("result"), said.remove("error")) {
                (_, Some(error)) if !error.is_null() => {
                    let code = error["code"].as_i64().unwrap_or(NO_CODE);
                    Ok(AcpMessage::Answer(id, Err(code)))
                }
                (Some(result), _) => Ok(AcpMessage::Answer(id, Ok(result))),
                (None, _) => Err(BadLine::UnknownType),
            }
        }
        (None, None) => Err(BadLine::UnknownType),
    }
}

fn update(update: &Value) -> SessionUpdate {
    match update["sessionUpdate"].as_str() {
        Some("agent_message_chunk") => match text(&update["content"]["text"]) {
            Some(text) if update["content"]["type"] == "text" => {
                SessionUpdate::Chunk { text, message: self::text(&update["messageId"]) }
            }
            _ => SessionUpdate::Other,
        },
        Some("tool_call") => SessionUpdate::Interruption,
        _ => SessionUpdate::Other,
    }
}

fn wanted(params: &Value) -> Permission {
    let options = params["options"].as_array().map_or(&[][..], Vec::as_slice);
    let of = |kind: &str| options.iter().find(|option| option["kind"] == kind);
    let refusal = of("reject_once").or_else(|| of("reject_always"));
    Permission {
        session: text(&params["sessionId"]).unwrap_or_default(),
        refusal: refusal.and_then(|option| text(&option["optionId"])),
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// The version that the agent has chosen.
pub(super) fn version(result: &Value) -> Option<u64> {
    result["protocolVersion"].as_u64()
}

/// Whether its sessions can be closed.
pub(super) fn closes(result: &Value) -> bool {
    result["agentCapabilities"]["sessionCapabilities"]["close"].is_object()
}

/// What the agent calls a new session.
pub(super) fn session(result: &Value) -> Option<String> {
    text(&result["sessionId"]).filter(|name| !name.is_empty())
}

/// Why a prompt ended; nothing if it is none of the reasons that there are.
pub(super) fn stop_reason(result: &Value) -> Option<StopReason> {
    match result["stopReason"].as_str()? {
        "end_turn" => Some(StopReason::EndTurn),
        "max_tokens" | "max_turn_requests" => Some(StopReason::Cut),
        "refusal" => Some(StopReason::Refusal),
        "cancelled" => Some(StopReason::Cancelled),
        _ => None,
    }
}

/// Begins, with neither files nor a terminal to offer.
pub(super) fn initialize(id: u64, version: u64) -> String {
    let files = json!({"readTextFile": false, "writeTextFile": false});
    call(
        id,
        "initialize",
        &json!({
            "protocolVersion": version,
            "clientCapabilities": {"fs": files, "terminal": false},
            "clientInfo": {"name": "chimein", "title": "chimein", "version": env!("CARGO_PKG_VERSION")},
        }),
    )
}

/// Asks for a session that works in a folder.
pub(super) fn new_session(id: u64, folder: &str) -> String {
    call(id, "session/new", &json!({"cwd": folder, "mcpServers": []}))
}

/// Prompts a session with blocks, which are JSON already: those of the context, and the turn's.
pub(super) fn prompt(id: u64, session: &str, (context, blocks): (&[u8], &[u8])) -> String {
    let session = Value::from(session);
    let (context, blocks) = (String::from_utf8_lossy(context), String::from_utf8_lossy(blocks));
    let comma = if context.is_empty() { "" } else { "," };
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"session/prompt\",\
         \"params\":{{\"sessionId\":{session},\"prompt\":[{context}{comma}{blocks}]}}}}"
    )
}

/// Frees what a session holds.
pub(super) fn close(id: u64, session: &str) -> String {
    call(id, "session/close", &json!({ "sessionId": session }))
}

/// Tells a session that nobody waits for it.
pub(super) fn cancel(session: &str) -> String {
    let params = json!({ "sessionId": session });
    json!({"jsonrpc": "2.0", "method": "session/cancel", "params": params}).to_string()
}

/// Answers who wants a permission: by an option, or that nobody waits for it any more.
pub(super) fn permission(id: &Value, option: Option<&str>) -> String {
    let outcome = match option {
        Some(option) => json!({"outcome": "selected", "optionId": option}),
        None => json!({"outcome": "cancelled"}),
    };
    json!({"jsonrpc": "2.0", "id": id, "result": {"outcome": outcome}}).to_string()
}

/// Answers what we do not offer.
pub(super) fn not_found(id: &Value) -> String {
    let error = json!({"code": METHOD_NOT_FOUND, "message": "chimein offers no such method"});
    json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string()
}

fn call(id: u64, method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}
