//! The JSON Schema of a configuration file, from the tables of keys.

use serde_json::{Map, Value, json};

use super::build::json as to_json;
use super::keys::ROOT;
use super::kind::{Key, Kind};
use super::scalar::{LEVELS, LOCALHOST};
use super::units::{SIZE_PATTERN, SPAN_PATTERN};

/// The pattern of a name.
const NAME_PATTERN: &str = "^[a-z][a-z0-9-]{0,62}$";
/// The pattern of a recovery action's name.
const ACTION_PATTERN: &str = "^[a-z][a-z0-9_-]{0,62}$";

/// The whole schema.
pub(super) fn schema() -> Value {
    let mut schema = of(&ROOT);
    if let Value::Object(members) = &mut schema {
        let head = [
            (
                "$schema",
                json!("https://json-schema.org/draft/2020-12/schema"),
            ),
            ("title", json!("agent-system configuration")),
        ];
        for (name, value) in head {
            members.insert(name.to_owned(), value);
        }
    }
    schema
}

fn of(kind: &Kind) -> Value {
    match kind {
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Number { min, max } => json!({ "type": "number", "minimum": min, "maximum": max }),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
        Kind::Level => {
            let lower = LEVELS.map(str::to_lowercase);
            let words: Vec<&str> = LEVELS
                .into_iter()
                .chain(lower.iter().map(String::as_str))
                .collect();
            json!({ "type": "string", "enum": words })
        }
        Kind::Text => json!({ "type": "string", "minLength": 1 }),
        Kind::Secret => json!({ "type": "string", "minLength": 1, "writeOnly": true }),
        Kind::AnyText => json!({ "type": "string" }),
        Kind::SecretUrl => {
            json!({ "type": "string", "pattern": "^\\S*://\\S*$", "writeOnly": true })
        }
        Kind::Name => json!({ "type": "string", "pattern": NAME_PATTERN }),
        Kind::Variable => json!({ "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" }),
        Kind::Address => {
            json!({ "type": "string", "anyOf": [{ "const": LOCALHOST }, { "format": "ipv4" }, { "format": "ipv6" }] })
        }
        Kind::Span { .. } => json!({ "type": "string", "pattern": SPAN_PATTERN }),
        Kind::Size { .. } => json!({ "type": "string", "pattern": SIZE_PATTERN }),
        Kind::List(of_items) => json!({ "type": "array", "items": of(of_items) }),
        Kind::Section(keys) => section(keys),
        Kind::Named(values, underscores) => {
            let pattern = if *underscores {
                ACTION_PATTERN
            } else {
                NAME_PATTERN
            };
            json!({ "type": "object", "propertyNames": { "pattern": pattern }, "additionalProperties": of(values) })
        }
        Kind::Map(names, values) => {
            json!({ "type": "object", "propertyNames": of(names), "additionalProperties": of(values) })
        }
        Kind::Anything => json!(true),
        Kind::Either(words, keys) => {
            json!({ "anyOf": [{ "type": "string", "enum": words }, section(keys)] })
        }
    }
}

fn section(keys: &'static [Key]) -> Value {
    let properties: Map<String, Value> = keys
        .iter()
        .map(|key| (key.name.to_owned(), described(key)))
        .collect();
    let required: Vec<&str> = keys
        .iter()
        .filter(|key| key.required)
        .map(|key| key.name)
        .collect();
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if let (false, Value::Object(members)) = (required.is_empty(), &mut schema) {
        members.insert("required".to_owned(), json!(required));
    }
    schema
}

fn described(key: &Key) -> Value {
    let mut schema = match of(&key.kind) {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    schema.insert("description".to_owned(), json!(key.doc));
    let default = key.default.and_then(super::parse::value);
    if let Some(default) = default.filter(|value| value.as_table().is_none_or(|t| !t.is_empty())) {
        schema.insert("default".to_owned(), to_json(&default));
    }
    Value::Object(schema)
}
