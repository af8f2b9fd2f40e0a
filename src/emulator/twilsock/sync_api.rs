//! Reads of Sync objects through the socket: objects by name or sid, and pages of their items.
//!
//! Source: Sync protocol notes 2, read 2026-11-21.

use serde_json::{Value, json};

use super::call::{Answer, Call};
use crate::emulator::state::World;
use crate::emulator::state::sync::{ItemsQuery, Kind, Object};
use crate::twilio::sid::ChatServiceSid;

/// Items on a page if the client does not say (assumed).
const PAGE_SIZE: usize = 50;

/// Answers `GET /v3/…`; the service in the path may be left out.
pub(super) fn read(call: &Call<'_>, segments: &[&str]) -> Answer {
    let service = call.who.service;
    let segments = match segments {
        ["Services", of, rest @ ..] if of.parse::<ChatServiceSid>() == Ok(service) => rest,
        rest => rest,
    };
    let Some((kind, name, rest)) = object_of(segments) else { return missing(404, 54300) };
    // Nobody reads somebody else's conversations. Source: error dictionary 54007.
    let own = format!("{}.channels", call.who.identity.reveal());
    if name.ends_with(".channels") && name != own {
        return missing(403, 54007);
    }
    call.hub.with(|core, _| {
        let world = &core.world;
        match world.sync().find(service, kind, name) {
            None if name.contains('.') => missing(404, 54300),
            None => missing(404, kind.not_found_code()),
            Some(object) => describe(world, call, object, rest),
        }
    })
}

fn object_of<'s>(segments: &'s [&'s str]) -> Option<(Kind, &'s str, &'s [&'s str])> {
    match segments {
        [kind, name, rest @ ..] => Some((Kind::from_collection(kind)?, name, rest)),
        _ => None,
    }
}

fn describe(world: &World, call: &Call<'_>, object: &Object, rest: &[&str]) -> Answer {
    let query = |name: &str| call.query.get(name).cloned();
    match rest {
        [] => {
            let with_items = query("Include").as_deref() == Some("items");
            Answer::json(200, world.sync().describe(object, with_items))
        }
        ["Items"] => {
            let size = query("PageSize").and_then(|size| size.parse().ok());
            let wanted = ItemsQuery {
                only: query("Key").or_else(|| query("Index")),
                from: query("From"),
                page_size: size.unwrap_or(PAGE_SIZE),
                descending: query("Order").as_deref() == Some("desc"),
            };
            Answer::json(200, world.sync().items(object, &wanted))
        }
        ["Items", one] => {
            let only = Some((*one).to_owned());
            let wanted = ItemsQuery { only, page_size: 1, ..ItemsQuery::default() };
            let page = world.sync().items(object, &wanted);
            match page["items"].get(0) {
                Some(item) => Answer::json(200, item.clone()),
                None => missing(404, 54208),
            }
        }
        _ => missing(404, 20404),
    }
}

/// Source: Sync protocol notes 2, "Not there", read 2026-11-21.
fn missing(status: u16, code: u32) -> Answer {
    Answer::json(status, error(status, code))
}

/// The error body of Sync.
pub(super) fn error(status: u16, code: u32) -> Value {
    let message = match code {
        54300 => "Unique name not found",
        54100 => "Document not found",
        54150 => "List not found",
        54200 => "Map not found",
        54208 => "Item not found",
        54007 => "The identity has no access to the object",
        _ => "The requested resource was not found",
    };
    json!({"status": status, "code": code, "message": message})
}
