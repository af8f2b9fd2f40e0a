//! The text of a JSON object, one member of which is written and the rest kept to the byte.
//!
//! Numbers with more digits than any machine's, the order of members, blanks, escapes and names that
//! occur twice stay as somebody else wrote them: reading all of it into values and writing those again
//! would lose each of these. Pure.

use std::ops::Range;

use serde::de::IgnoredAny;

/// An object's text.
#[derive(Clone)]
pub struct ObjectText {
    text: String,
    members: Vec<Member>,
    /// Where the opening bracket ends.
    inside: usize,
}

/// Where a member stands.
#[derive(Clone)]
struct Member {
    name: String,
    /// Where its name begins.
    start: usize,
    value: Range<usize>,
}

impl ObjectText {
    /// Takes a text; `None` if it is not that of one JSON object.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // After this every string, bracket and comma stands where it may.
        serde_json::from_str::<IgnoredAny>(text).ok()?;
        let inside = text.len() - text.trim_start_matches(BLANK).strip_prefix('{')?.len();
        let members = members(text, inside);
        Some(Self { text: text.to_owned(), members, inside })
    }

    /// An object without members.
    #[must_use]
    pub fn empty() -> Self {
        Self { text: "{}".to_owned(), members: Vec::new(), inside: 1 }
    }

    /// Whether it has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Finds a member's value; the last one of that name counts.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        let found = self.members.iter().rev().find(|member| member.name == name)?;
        self.text.get(found.value.clone())
    }

    /// Gives a member the value, JSON as text, in its place, else at the end; others of that name go.
    pub fn set(&mut self, name: &str, value: &str) {
        while self.members.iter().filter(|member| member.name == name).count() > 1 {
            self.remove_first(name);
        }
        match self.members.iter().find(|member| member.name == name) {
            Some(member) => self.text.replace_range(member.value.clone(), value),
            None => {
                let name = serde_json::Value::from(name);
                let (at, comma) = match self.members.last() {
                    Some(last) => (last.value.end, ","),
                    None => (self.inside, ""),
                };
                self.text.insert_str(at, &format!("{comma}{name}:{value}"));
            }
        }
        self.members = members(&self.text, self.inside);
    }

    /// Takes all members of that name away, with one comma each.
    pub fn remove(&mut self, name: &str) {
        while self.members.iter().any(|member| member.name == name) {
            self.remove_first(name);
        }
    }

    fn remove_first(&mut self, name: &str) {
        let Some(at) = self.members.iter().position(|member| member.name == name) else { return };
        let gone = match (at.checked_sub(1), self.members.get(at + 1)) {
            (Some(before), _) => self.members[before].value.end..self.members[at].value.end,
            (None, Some(next)) => self.members[at].start..next.start,
            (None, None) => self.members[at].start..self.members[at].value.end,
        };
        self.text.replace_range(gone, "");
        self.members = members(&self.text, self.inside);
    }

    /// Gives the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl std::fmt::Debug for ObjectText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ObjectText({} members)", self.members.len())
    }
}

/// What may stand between the parts of JSON.
const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

/// Finds the members of an object in valid JSON, from after its opening bracket.
fn members(text: &str, inside: usize) -> Vec<Member> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = inside;
    loop {
        while bytes.get(at).is_some_and(|byte| b" \t\n\r,".contains(byte)) {
            at += 1;
        }
        if bytes.get(at) != Some(&b'"') {
            return found;
        }
        let start = at;
        let name_end = end_of_value(text, start);
        at = name_end;
        while bytes.get(at).is_some_and(|byte| b" \t\n\r:".contains(byte)) {
            at += 1;
        }
        let value = at..end_of_value(text, at);
        at = value.end;
        let name = super::from_str(&text[start..name_end]).unwrap_or_default();
        found.push(Member { name, start, value });
    }
}

/// Where the value ends that begins at `start`, in valid JSON.
fn end_of_value(text: &str, start: usize) -> usize {
    let mut bytes = text[start..].bytes();
    let mut depth = 0_usize;
    let place = |bytes: &std::str::Bytes<'_>| text.len() - bytes.len();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'{' | b'[' => depth += 1,
            // The bracket of what the value stands in.
            b'}' | b']' if depth == 0 => return place(&bytes) - 1,
            b'}' | b']' => depth -= 1,
            b',' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return place(&bytes) - 1,
            _ => continue,
        }
        if depth == 0 {
            return place(&bytes);
        }
    }
    text.len()
}

/// Reads up to the end of a string whose first quote was read.
pub(super) fn skip_string(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// What somebody else's attributes may look like: none of it may change.
    const FOREIGN: &str = r#" { "sim":89014103211118510720 , "total":19.90,
        "z" : "\u00fc\/\ud83d }," , "a":[{"b":{}},"]"], "twice":1,"twice" : 2,"e":1E400 } "#;

    #[test]
    fn what_is_set_stands_behind_the_rest_and_goes_without_a_trace() {
        for (before, after) in [
            ("{}", r#"{"k":[1]}"#),
            ("{ }", r#"{"k":[1] }"#),
            (r#"{"a":1}"#, r#"{"a":1,"k":[1]}"#),
            ("\n{\"a\" : 1 \n}\n", "\n{\"a\" : 1,\"k\":[1] \n}\n"),
            (r#"{"a":"}","b":{"k":2}}"#, r#"{"a":"}","b":{"k":2},"k":[1]}"#),
        ] {
            let mut object = ObjectText::parse(before).unwrap();
            object.set("k", "[1]");
            assert_eq!((object.as_str(), object.value("k")), (after, Some("[1]")));
            object.remove("k");
            assert_eq!(object.as_str(), before);
        }
        let mut object = ObjectText::parse(FOREIGN).unwrap();
        object.set("k", "true");
        let kept = FOREIGN.trim_end().strip_suffix(" }").unwrap();
        assert_eq!(object.as_str(), format!("{kept},\"k\":true }} "));
        object.remove("k");
        assert_eq!(object.as_str(), FOREIGN);
    }

    #[test]
    fn a_member_is_replaced_in_its_place_and_its_doubles_go() {
        for (before, set, removed) in [
            (r#"{"k":1,"a":2}"#, r#"{"k":true,"a":2}"#, r#"{"a":2}"#),
            (
                r#"{"a":1, "k" : {"x":"}"} , "b":2}"#,
                r#"{"a":1, "k" : true , "b":2}"#,
                r#"{"a":1 , "b":2}"#,
            ),
            (r#"{"k":1,"a":2,"\u006b":3}"#, r#"{"a":2,"\u006b":true}"#, r#"{"a":2}"#),
            (r#"{ "k":1 }"#, r#"{ "k":true }"#, "{  }"),
            (r#"{"k":1,"k":2}"#, r#"{"k":true}"#, "{}"),
        ] {
            let mut object = ObjectText::parse(before).unwrap();
            object.set("k", "true");
            assert_eq!(object.as_str(), set, "{before}");
            let mut object = ObjectText::parse(before).unwrap();
            object.remove("k");
            assert_eq!((object.as_str(), object.value("k")), (removed, None), "{before}");
        }
    }

    #[test]
    fn only_an_object_is_one() {
        for text in
            ["", "null", "[1]", "7", r#""{}""#, "{", "{}x", r#"{"a":}"#, "{\"a\":\"\u{1}\"}"]
        {
            assert!(ObjectText::parse(text).is_none(), "{text}");
        }
        assert!(ObjectText::empty().is_empty());
        assert_eq!(format!("{:?}", ObjectText::parse(FOREIGN).unwrap()), "ObjectText(7 members)");
    }

    proptest! {
        #[test]
        fn members_are_those_that_a_reader_finds(
            pairs in proptest::collection::vec(("[a-c\"\\\\{]{0,3}", any_value()), 0..6),
            is_pretty: bool,
        ) {
            let object = Value::from_iter(pairs);
            let text = if is_pretty {
                serde_json::to_string_pretty(&object).unwrap()
            } else {
                object.to_string()
            };
            let mut edited = ObjectText::parse(&text).unwrap();
            for (name, value) in object.as_object().unwrap() {
                let found: Value = serde_json::from_str(edited.value(name).unwrap()).unwrap();
                prop_assert_eq!(&found, value);
            }
            for name in object.as_object().unwrap().keys().cloned().collect::<Vec<_>>() {
                edited.set(&name, "null");
                let read: Value = serde_json::from_str(edited.as_str()).unwrap();
                prop_assert_eq!(&read[&name], &Value::Null);
                edited.remove(&name);
                let read: Value = serde_json::from_str(edited.as_str()).unwrap();
                prop_assert!(read.get(&name).is_none());
            }
            prop_assert!(edited.is_empty());
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(json!(null)),
            any::<i64>().prop_map(Value::from),
            "[a\"\\\\,{}\\[\\]]{0,4}".prop_map(Value::from),
            Just(json!([[], {}, "}"])),
            Just(json!({"a": {"b": [1, 2]}, ",": "]"})),
        ]
    }
}
