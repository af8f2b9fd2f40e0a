//! Twilio's API definitions: which operation a request is, and whether an answer has its shape.
//!
//! Pure. Knows as much of OpenAPI 3.0 as the two definitions use, and is stricter in one point: an
//! answer has every property of its schema and no other, because Twilio's answers do.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// One API definition.
pub struct Definition {
    root: Value,
}

/// An operation of a definition.
#[derive(Clone, Copy)]
pub struct Operation<'d> {
    definition: &'d Definition,
    body: &'d Value,
}

impl Definition {
    /// Reads a definition.
    pub fn parse(text: &str) -> Self {
        Self { root: serde_json::from_str(text).expect("the definition is JSON") }
    }

    /// Every operation: method in upper case, path template, operation.
    pub fn operations(&self) -> impl Iterator<Item = (String, &str, Operation<'_>)> {
        let paths = self.root["paths"].as_object().expect("a definition has paths");
        paths.iter().flat_map(move |(path, methods)| {
            let methods = methods.as_object().expect("a path has methods");
            methods.iter().filter(|(_, body)| body.get("operationId").is_some()).map(
                move |(method, body)| {
                    let operation = Operation { definition: self, body };
                    (method.to_uppercase(), path.as_str(), operation)
                },
            )
        })
    }

    /// The operation that a request is.
    pub fn find(&self, method: &str, path: &str) -> Option<Operation<'_>> {
        // `/Messages/{Sid}` also matches `/Messages/x.json`; the longest fixed text wins.
        self.operations()
            .filter(|(of, template, _)| of == method && is_match(template, path))
            .max_by_key(|(_, template, _)| fixed_length(template))
            .map(|(_, _, operation)| operation)
    }

    fn resolve<'d>(&'d self, schema: &'d Value) -> &'d Value {
        match schema["$ref"].as_str() {
            None => schema,
            Some(reference) => {
                let pointer = reference.trim_start_matches('#');
                self.root.pointer(pointer).unwrap_or_else(|| panic!("{reference} is not there"))
            }
        }
    }
}

impl<'d> Operation<'d> {
    /// Its name.
    pub fn id(&self) -> &'d str {
        self.body["operationId"].as_str().expect("an operation has an id")
    }

    /// Its form's fields with their schemas.
    pub fn form(&self) -> BTreeMap<&'d str, &'d Value> {
        let schema = &self.body["requestBody"]["content"]["application/x-www-form-urlencoded"];
        let properties = schema["schema"]["properties"].as_object();
        properties.into_iter().flatten().map(|(name, schema)| (name.as_str(), schema)).collect()
    }

    /// Says what is wrong with an answer; nothing if all is well.
    pub fn problems(&self, status: u16, body: Option<&Value>) -> Vec<String> {
        let Some(response) = self.body["responses"].get(status.to_string()) else {
            return vec![format!("{} never answers {status}", self.id())];
        };
        let schema = &response["content"]["application/json"]["schema"];
        match (schema.is_null(), body) {
            (true, None) => Vec::new(),
            (true, Some(_)) => vec![format!("{} has no body", self.id())],
            (false, None) => vec![format!("{} has a body", self.id())],
            (false, Some(body)) => {
                let mut checker = Checker { definition: self.definition, problems: Vec::new() };
                checker.check(schema, body, self.id());
                checker.problems
            }
        }
    }
}

struct Checker<'d> {
    definition: &'d Definition,
    problems: Vec<String>,
}

impl Checker<'_> {
    fn check(&mut self, schema: &Value, value: &Value, at: &str) {
        let nullable = schema["nullable"] == true;
        let schema = self.definition.resolve(schema);
        if value.is_null() {
            if !(nullable || schema["nullable"] == true || schema["type"].is_null()) {
                self.complain(at, "is null");
            }
            return;
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            self.complain(at, &format!("is {value}, none of {allowed:?}"));
        }
        match schema["type"].as_str() {
            Some("object") => self.check_object(schema, value, at),
            Some("array") => self.check_array(schema, value, at),
            Some("string") => self.check_text(schema, value, at),
            Some("integer") if !(value.is_i64() || value.is_u64()) => {
                self.complain(at, "is no integer");
            }
            Some("boolean") if !value.is_boolean() => self.complain(at, "is no boolean"),
            Some("integer" | "boolean") | None => {
                if schema["properties"].is_object() {
                    self.check_object(schema, value, at);
                }
            }
            Some(other) => panic!("the checker does not know the type {other}"),
        }
    }

    fn check_object(&mut self, schema: &Value, value: &Value, at: &str) {
        let Some(value) = value.as_object() else { return self.complain(at, "is no object") };
        if schema["format"] == "uri-map" {
            for (name, link) in value {
                if !link.as_str().is_some_and(is_uri) {
                    self.complain(&format!("{at}.{name}"), "is no link");
                }
            }
        }
        let none = Map::new();
        let Some(properties) = schema["properties"].as_object() else { return };
        let properties = if properties.is_empty() { &none } else { properties };
        for (name, schema) in properties {
            match value.get(name) {
                Some(value) => self.check(schema, value, &format!("{at}.{name}")),
                None => self.complain(&format!("{at}.{name}"), "is missing"),
            }
        }
        for name in value.keys().filter(|name| !properties.contains_key(*name)) {
            self.complain(&format!("{at}.{name}"), "is not in the definition");
        }
    }

    fn check_array(&mut self, schema: &Value, value: &Value, at: &str) {
        let Some(items) = value.as_array() else { return self.complain(at, "is no array") };
        for (number, item) in items.iter().enumerate() {
            self.check(&schema["items"], item, &format!("{at}[{number}]"));
        }
    }

    fn check_text(&mut self, schema: &Value, value: &Value, at: &str) {
        let Some(text) = value.as_str() else { return self.complain(at, "is no text") };
        if let Some(pattern) = schema["pattern"].as_str()
            && !is_sid(pattern, text)
        {
            self.complain(at, &format!("does not match {pattern}"));
        }
        let is_well_formed = match schema["format"].as_str() {
            // Times have whole seconds. Source: API definition, examples.
            Some("date-time") => text.len() == 20 && text.parse::<jiff::Timestamp>().is_ok(),
            Some("date-time-rfc-2822") => jiff::fmt::rfc2822::parse(text).is_ok(),
            Some("uri") => is_uri(text),
            Some("phone-number") => text.starts_with('+') || text.contains(":+"),
            Some(_) | None => true,
        };
        if !is_well_formed {
            self.complain(at, &format!("is not well formed: {text}"));
        }
    }

    fn complain(&mut self, at: &str, what: &str) {
        self.problems.push(format!("{at} {what}"));
    }
}

/// All patterns of the definitions are of one form: letters, then 32 hexadecimal digits.
fn is_sid(pattern: &str, text: &str) -> bool {
    let prefix = pattern
        .strip_prefix('^')
        .and_then(|rest| rest.strip_suffix("[0-9a-fA-F]{32}$"))
        .unwrap_or_else(|| panic!("the checker does not know the pattern {pattern}"));
    let Some((letters, digits)) = text.split_at_checked(2) else { return false };
    let is_prefix = match prefix {
        "[a-zA-Z]{2}" => letters.bytes().all(|byte| byte.is_ascii_alphabetic()),
        _ => prefix.trim_matches(['(', ')']).split('|').any(|one| one == letters),
    };
    is_prefix && digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The messaging API links by paths. Source: API definition, examples.
fn is_uri(text: &str) -> bool {
    text.starts_with("/2010-04-01/") || reqwest::Url::parse(text).is_ok()
}

fn is_match(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(&path).all(|(template, part)| match template.strip_prefix('{') {
            None => template == part,
            Some(rest) => {
                let suffix = rest.split_once('}').map_or("", |(_, suffix)| suffix);
                part.len() > suffix.len() && part.ends_with(suffix)
            }
        })
}

fn fixed_length(template: &str) -> usize {
    template.split('/').filter(|part| !part.starts_with('{')).map(str::len).sum()
}

mod tests {
    use serde_json::json;

    use super::*;

    fn definition() -> Definition {
        Definition::parse(
            &json!({
                "paths": {"/a/{Sid}": {"get": {"operationId": "FetchA", "responses": {"200": {
                    "content": {"application/json": {"schema": {"$ref": "#/s"}}}}}}}},
                "s": {"type": "object", "properties": {
                    "sid": {"type": "string", "pattern": "^(SM|MM)[0-9a-fA-F]{32}$"},
                    "at": {"type": "string", "format": "date-time", "nullable": true},
                    "kind": {"type": "string", "enum": ["x", "y"]},
                    "count": {"type": "integer"},
                    "many": {"type": "array", "items": {"type": "boolean"}},
                }},
            })
            .to_string(),
        )
    }

    #[test]
    fn a_right_answer_is_not_complained_about() {
        let definition = definition();
        let operation = definition.find("GET", "/a/1").unwrap();
        let sid = format!("MM{}", "0a".repeat(16));
        let body = json!({"sid": sid, "at": null, "kind": "x", "count": 3, "many": [true, false]});
        assert_eq!(operation.problems(200, Some(&body)), Vec::<String>::new());
    }

    #[test]
    fn every_wrong_thing_is_complained_about() {
        let definition = definition();
        let operation = definition.find("GET", "/a/1").unwrap();
        let body = json!({"sid": "MM12", "at": "2026-11-21T00:00:00.123Z", "kind": "z",
            "count": "3", "many": [1], "more": 1});
        assert_eq!(operation.problems(200, Some(&body)).len(), 6);
        assert_eq!(operation.problems(200, Some(&json!({}))).len(), 5);
        assert_eq!(operation.problems(200, None).len(), 1);
        assert_eq!(operation.problems(201, Some(&body)).len(), 1);
        assert!(
            definition.find("GET", "/a").is_none() && definition.find("POST", "/a/1").is_none()
        );
    }
}
