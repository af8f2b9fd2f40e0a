//! Reads YAML as JSON, so that papers can be pointed into and broken in tests.

use serde_json::{Map, Value};
use yaml_rust2::{Yaml, YamlLoader};

use super::read;

/// Reads a file of the package that holds one document.
pub(super) fn load(path: &str) -> Value {
    let documents = YamlLoader::load_from_str(&read(path));
    let mut documents = documents.unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(documents.len(), 1, "{path} is not one document");
    json(documents.remove(0))
}

/// Reads a file of the package that holds several documents.
pub(super) fn load_all(path: &str) -> Vec<Value> {
    let documents = YamlLoader::load_from_str(&read(path));
    let documents = documents.unwrap_or_else(|error| panic!("{path}: {error}"));
    documents.into_iter().map(json).collect()
}

/// The texts of a list; empty if there is none.
pub(super) fn texts(list: &Value) -> Vec<&str> {
    let items = list.as_array().into_iter().flatten();
    items.map(|item| item.as_str().expect("a list of texts")).collect()
}

/// The keys of an object; empty if it is none.
pub(super) fn keys(object: &Value) -> Vec<&str> {
    object.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

fn json(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Boolean(is) => is.into(),
        Yaml::Integer(number) => number.into(),
        Yaml::Real(text) => text.parse::<f64>().expect("a number").into(),
        Yaml::String(text) => text.into(),
        Yaml::Array(items) => items.into_iter().map(json).collect(),
        Yaml::Hash(fields) => {
            let fields = fields
                .into_iter()
                .map(|(key, value)| (key.into_string().expect("keys are texts"), json(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Yaml::Alias(_) | Yaml::BadValue => panic!("neither aliases nor broken values are used"),
    }
}
