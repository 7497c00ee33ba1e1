//! Makes the JSON Schema. An editor can check policy files with this schema. The JSON Schema and
//! Beadle's validation come from the same description.

use serde_json::{Map, Value, json};

use super::keys::{DEPLOYMENT, LAYER, REPO, RULE, SETTINGS, SUBORG, TEST, WAIVERS_FILE};
use super::node::AT_LEAST;
use super::shape::{Key, Shape, Status};

/// A kind of policy file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// `settings.yml`.
    Settings,
    /// `suborgs/*.yml`.
    Suborg,
    /// `layers/*.yml`.
    Layer,
    /// `repos/*.yml`.
    Repo,
    /// `deployment-settings.yml`.
    Deployment,
}

impl FileKind {
    pub(super) fn keys(self) -> &'static [Key] {
        match self {
            Self::Settings => SETTINGS,
            Self::Suborg => SUBORG,
            Self::Layer => LAYER,
            Self::Repo => REPO,
            Self::Deployment => DEPLOYMENT,
        }
    }
}

/// Returns the JSON Schema (draft 2020-12) of one kind of file.
pub fn schema(kind: FileKind) -> Value {
    let mut schema = map(kind.keys());
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!(match kind {
        FileKind::Settings => "settings.yml",
        FileKind::Suborg => "suborgs/*.yml",
        FileKind::Layer => "layers/*.yml",
        FileKind::Repo => "repos/*.yml",
        FileKind::Deployment => "deployment-settings.yml",
    });
    schema
}

/// Returns the JSON Schema of the files in tests/.
pub fn test_schema() -> Value {
    list_schema(&TEST, "tests/*.yml")
}

/// Returns the JSON Schema of the files in rules/.
pub fn rule_schema() -> Value {
    list_schema(&RULE, "rules/*.yml")
}

/// Returns the JSON Schema of `waivers.yml`.
pub fn waiver_schema() -> Value {
    let mut schema = of(&WAIVERS_FILE);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("waivers.yml");
    schema
}

fn list_schema(entry: &Shape, title: &str) -> Value {
    let mut schema = json!({ "type": "array", "items": of(entry) });
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!(title);
    schema
}

fn map(keys: &[Key]) -> Value {
    let properties: Map<String, Value> =
        keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn property(key: &Key) -> Value {
    let mut schema = of(&key.shape);
    schema["description"] = match key.status {
        Status::Carried => json!(key.doc),
        Status::Not(why) => json!(format!("{} Not carried out: {why}.", key.doc)),
    };
    schema
}

fn of(shape: &Shape) -> Value {
    match shape {
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Int(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Text | Shape::Form(_) => json!({ "type": "string" }),
        Shape::OneOf(texts) => json!({ "enum": texts }),
        Shape::List(items) => json!({ "type": "array", "items": of(items) }),
        Shape::Count(least, most) => {
            let number = of(&Shape::Int(*least, *most));
            let minimum = json!({
                "type": "object",
                "properties": { AT_LEAST: number },
                "required": [AT_LEAST],
                "additionalProperties": false,
                "description": "At least this number. A greater number of a layer of lower rank, or at GitHub, stays.",
            });
            json!({ "anyOf": [number, minimum] })
        }
        Shape::Layered(list, keys) => json!({ "anyOf": [of(list), map(keys), { "type": "null" }] }),
        Shape::Named(shape) => match shape {
            Shape::Map([first, ..]) => json!({ "anyOf": [of(&first.shape), of(shape)] }),
            _ => of(shape),
        },
        Shape::Map(keys) => map(keys),
        Shape::OrNull(shape) => json!({ "anyOf": [of(shape), { "type": "null" }] }),
        Shape::Either(one, other) => json!({ "anyOf": [of(one), of(other)] }),
        Shape::Color => json!({ "type": "string", "pattern": "^#?[0-9a-fA-F]{6}$" }),
        Shape::Regex => json!({ "type": "string", "format": "regex" }),
        Shape::Scalar => json!({ "type": ["string", "number", "boolean"] }),
        Shape::Free => json!({ "type": "object" }),
        Shape::Any => json!({}),
    }
}
