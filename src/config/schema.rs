//! The JSON Schema (draft 2020-12) of rule files, printed from the decoder's own tables.

use serde_json::{Map, Value, json};

use super::raw::{document, exec, gate, ladder, limit, matcher, rule};
use super::table::{Keys, Shape};

/// Every kind of map there is; the first is the file itself.
pub(super) static TABLES: [&dyn Keys; 24] = [
    &document::DOCUMENT,
    &document::NUDGE,
    &document::DESKTOP,
    &document::BREAKER,
    &document::STORE,
    &rule::RULE,
    &matcher::MATCH,
    &matcher::AGE,
    &limit::LIMITS,
    &limit::SPAN,
    &limit::CPU,
    &limit::PACE,
    &limit::MEMORY,
    &limit::COUNT,
    &limit::ORPHANED,
    &limit::INSTANCES,
    &limit::STALLED,
    &limit::SPINNING,
    &gate::WHEN,
    &gate::LOAD,
    &gate::PRESSURE,
    &ladder::STAGE,
    &ladder::SIGNAL,
    &exec::ON_CLOSE,
];

/// Keys that must be there.
const REQUIRED: [(&str, &[&str]); 13] = [
    ("beadle", &["version"]),
    ("rule", &["name"]),
    ("match-age", &["above"]),
    ("span-limit", &["above"]),
    ("cpu-limit", &["above"]),
    ("pace-limit", &["above"]),
    ("memory-limit", &["above"]),
    ("count-limit", &["above"]),
    ("orphaned-limit", &["above"]),
    ("instances-limit", &["above"]),
    ("load-gate", &["above"]),
    ("pressure-gate", &["above"]),
    ("signal", &["name"]),
];

pub(super) fn schema() -> Value {
    let mut definitions: Map<String, Value> = Map::new();
    for table in TABLES {
        definitions.insert(table.name().to_owned(), object(table));
    }
    definitions.insert("defaults".to_owned(), defaults());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "beadle rules",
        "$ref": "#/$defs/beadle",
        "$defs": definitions,
    })
}

fn object(table: &dyn Keys) -> Value {
    let mut properties = Map::new();
    for (name, about, shape) in table.each() {
        let mut property = value(shape);
        if let Value::Object(property) = &mut property {
            property.insert("description".to_owned(), about.into());
        }
        properties.insert(name.to_owned(), property);
    }
    let mut object = json!({
        "type": "object",
        "properties": properties,
        "patternProperties": { "^x-": true },
        "additionalProperties": false,
    });
    let required = REQUIRED.iter().find(|(name, _)| *name == table.name());
    if let (Some((_, keys)), Value::Object(object)) = (required, &mut object) {
        object.insert("required".to_owned(), json!(keys));
    }
    object
}

/// A rule without the keys that each must say for itself.
fn defaults() -> Value {
    let mut object = object(&rule::RULE);
    if let Value::Object(object) = &mut object {
        object.remove("required");
        if let Some(Value::Object(properties)) = object.get_mut("properties") {
            properties.retain(|name, _| !rule::NO_DEFAULT.contains(&name.as_str()));
        }
    }
    object
}

fn value(shape: Shape) -> Value {
    const DURATION: &str = r"^\s*([0-9]+\s*(d|h|m|s|ms)\s*)+$";
    const SIZE: &str = r"^\s*[0-9]+(\.[0-9]{1,3})?\s*([KMGT](iB)?|B)\s*$";
    const MEMORY: &str = r"^\s*[0-9]+(\.[0-9]{1,3})?\s*([KMGT](iB)?|B)\s*$|^[0-9]+\s*%$";
    const CPU: &str = r"^\s*[0-9]+(\.[0-9]{1,3})?\s*(%|cores?)\s*$";
    const PACE: &str = r"^\s*[0-9]+(\.[0-9]{1,3})?\s*/[smh]\s*$";
    const PERCENT: &str = r"^\s*[0-9]+(\.[0-9]{1,2})?\s*%\s*$";
    const HOURS: &str = r"^\s*[0-9]{1,2}:[0-9]{2}\s*-\s*[0-9]{1,2}:[0-9]{2}\s*$";
    match shape {
        Shape::Any => json!({}),
        Shape::One => json!({ "const": 1 }),
        Shape::Text => json!({ "type": ["string", "number", "boolean"] }),
        Shape::Texts => one_or_many(&value(Shape::Text)),
        Shape::Command => json!({
            "type": "array",
            "items": value(Shape::Text),
            "minItems": 1,
            "prefixItems": [{ "type": "string", "pattern": "^/" }],
        }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Duration => json!({ "type": "string", "pattern": DURATION }),
        Shape::Size => json!({ "type": "string", "pattern": SIZE }),
        Shape::Memory => json!({ "type": "string", "pattern": MEMORY }),
        Shape::Cpu => json!({ "type": "string", "pattern": CPU }),
        Shape::Pace => json!({ "type": "string", "pattern": PACE }),
        Shape::Load => json!({
            "anyOf": [{ "type": "number", "exclusiveMinimum": 0 }, value(Shape::Percent)],
        }),
        Shape::Percent => json!({ "type": "string", "pattern": PERCENT }),
        Shape::Hours => one_or_many(&json!({ "type": "string", "pattern": HOURS })),
        Shape::Count => json!({ "type": "integer", "minimum": 0 }),
        Shape::Words(words) => json!({ "enum": words }),
        Shape::Scope => json!({
            "anyOf": [
                { "enum": ["tree", "process"] },
                { "type": "string", "pattern": "^env:[A-Za-z_][A-Za-z0-9_]*$" },
            ],
        }),
        Shape::WordsOrList(words) => json!({
            "anyOf": [{ "enum": words }, one_or_many(&json!({ "type": "string" }))],
        }),
        Shape::WordsOrThese(alone, words) => {
            let these = json!({ "enum": words });
            let list = json!({ "type": "array", "items": these });
            json!({ "anyOf": [{ "enum": alone }, these, list] })
        }
        Shape::Names => json!({
            "type": "object",
            "minProperties": 1,
            "additionalProperties": one_or_many(&value(Shape::Text)),
        }),
        Shape::Map(name) => reference(name),
        Shape::Maps(name) => json!({ "type": ["array", "null"], "items": reference(name) }),
        Shape::MapOrMaps(name) => one_or_many(&reference(name)),
        Shape::Short(plain, name) => json!({ "anyOf": [value(*plain), reference(name)] }),
        Shape::WordOr(words, name) => json!({ "anyOf": [{ "enum": words }, reference(name)] }),
        Shape::WordsOrMaps(words, name) => {
            one_or_many(&json!({ "anyOf": [{ "enum": words }, reference(name)] }))
        }
        Shape::Switch => json!({ "type": ["boolean", "null", "object"] }),
        Shape::SwitchOr(name) => {
            json!({ "anyOf": [{ "type": ["boolean", "null"] }, reference(name)] })
        }
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn one_or_many(one: &Value) -> Value {
    json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
}
