//! Checks the paths, parameters, bodies and answers of REST calls against `@octokit/openapi`.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::LazyLock;

use jsonschema::{Registry, Validator};
use serde_json::{Map, Value, json};

/// A published description of the REST API, for github.com or for Enterprise Cloud. The description
/// for Enterprise Cloud is larger, and has the visibility `internal`.
struct Description {
    document: Value,
    /// The path templates. The map key has three parts: the number of segments, the first segment
    /// and the last segment.
    templates: HashMap<(usize, String, String), Vec<String>>,
    registry: Registry<'static>,
    validators: Mutex<HashMap<String, &'static Validator>>,
}

const URI: &str = "https://description.test/root";
/// The text that replaces a parameter in a template's segments.
const PARAMETER: &str = "{}";

static DESCRIPTIONS: [LazyLock<Description>; 2] =
    [LazyLock::new(|| load("api.github.com.json")), LazyLock::new(|| load("ghec.json"))];

fn load(name: &str) -> Description {
    let path = super::tool(&format!("openapi/package/generated/{name}"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    modern(&mut document);
    let schemas = json!({ "components": document["components"] });
    let registry = Registry::new().add(URI, schemas).unwrap().prepare().unwrap();
    let mut templates: HashMap<_, Vec<String>> = HashMap::new();
    for template in document["paths"].as_object().unwrap().keys() {
        let segments = segments(template);
        let place = |segment: &str| String::from(if segment.starts_with('{') { PARAMETER } else { segment });
        let (first, last) = (place(segments[0]), place(segments[segments.len() - 1]));
        templates.entry((segments.len(), first, last)).or_default().push(template.clone());
    }
    Description { document, templates, registry, validators: Mutex::default() }
}

/// Splits a path or a template into its segments. The result has at least one segment.
fn segments(path: &str) -> Vec<&str> {
    path.trim_matches('/').split('/').collect()
}

/// Converts `nullable` of OpenAPI 3.0 to the type `null` of JSON Schema.
fn modern(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(reference) = map.get_mut("$ref")
                && let Some(local) = reference.as_str().and_then(|text| text.strip_prefix('#'))
            {
                *reference = json!(format!("{URI}#{local}"));
            }
            // The only format that is checked is `uri`. The homepage of a repository and the blog
            // of an organisation are exceptions, because GitHub returns the text that somebody
            // entered there.
            if map.get("format").is_some_and(|format| format.is_string() && format != "uri") {
                map.remove("format");
            }
            for key in ["homepage", "blog"] {
                if let Some(Value::Object(written)) = map.get_mut(key) {
                    written.remove("format");
                }
            }
            map.values_mut().for_each(modern);
            // An account is either a user or an enterprise. The description says that an account is
            // both, but this is impossible.
            let titles =
                |all: &Value| all.as_array().map(|all| all.iter().map(|one| one["title"].clone()).collect());
            let both = vec![json!("Simple User"), json!("Enterprise")];
            if map.get("allOf").and_then(titles) == Some(both)
                && let Some(all) = map.remove("allOf")
            {
                map.insert("anyOf".to_owned(), all);
            }
            if map.remove("nullable") == Some(Value::Bool(true)) {
                let whole = std::mem::take(map);
                *map = Map::from_iter([("anyOf".to_owned(), json!([whole, { "type": "null" }]))]);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(modern),
        _ => {}
    }
}

/// A part of a call that has a schema. In requests, formats are not checked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Request,
    Answer,
}

/// Returns the problems of a call. If at least one of the descriptions allows the call, there are
/// no problems.
pub(super) fn check(call: &Value) -> Vec<String> {
    let first = DESCRIPTIONS[0].check(call);
    if first.is_empty() {
        return first;
    }
    // The two products allow different values of visibility and permissions. So it is enough if one
    // description matches.
    if DESCRIPTIONS[1].check(call).is_empty() { Vec::new() } else { first }
}

/// Returns the path of a redirected call. In this path, the name of the repository replaces its id.
/// Redirects use the id. But in the description, only the path of the repository itself contains
/// the id.
fn named(path: &str) -> String {
    let by_id = path.strip_prefix("/repositories/").and_then(|rest| rest.split_once('/'));
    by_id.map_or_else(|| path.to_owned(), |(_, rest)| format!("/repos/owner/name/{rest}"))
}

impl Description {
    fn check(&self, call: &Value) -> Vec<String> {
        let path = named(call["path"].as_str().unwrap_or_default());
        let path = path.as_str();
        let method = call["method"].as_str().unwrap_or_default().to_lowercase();
        let Some((template, operation)) = self.operation(path, &method) else {
            return vec!["there is no such operation".into()];
        };
        let mut problems = Vec::new();
        let parameters: Vec<String> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|parameter| self.name_of(parameter))
            .collect();
        for pair in call["query"].as_str().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let name = pair.split('=').next().unwrap_or_default();
            if !parameters.iter().any(|known| known == name) {
                problems.push(format!("{template} has no parameter `{name}`"));
            }
        }
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        if !body.is_null() && !call["request"].is_null() {
            problems.extend(self.validate(body, &call["request"], Part::Request));
        }
        let status = call["status"].as_u64().unwrap_or(0);
        let response = &operation["responses"][status.to_string()];
        let general = matches!(status, 301 | 304 | 307 | 400 | 401 | 403 | 404 | 422 | 429 | 500..);
        if response.is_null() && !general {
            problems.push(format!("{template} never answers {status}"));
        } else if (200..300).contains(&status) && call["raw"] != Value::Bool(true) {
            let response = self.deref(response);
            let schema = &response["content"]["application/json"]["schema"];
            if schema.is_null() {
                if !call["answer"].is_null() && response.get("content").is_none() {
                    problems.push(format!("{template} answers {status} without a body"));
                }
            } else {
                problems.extend(self.validate(schema, &call["answer"], Part::Answer));
            }
        }
        problems
    }

    fn operation(&self, path: &str, method: &str) -> Option<(&str, &Value)> {
        let asked = segments(path);
        let (first, last) = (asked[0], asked[asked.len() - 1]);
        // There are about a thousand templates. It would take too long to compare each call with
        // all templates. So the function compares only templates whose first and last segments can
        // match.
        let places = [(first, last), (first, PARAMETER), (PARAMETER, last), (PARAMETER, PARAMETER)];
        let kept = places.into_iter().filter_map(|(first, last)| {
            self.templates.get(&(asked.len(), first.to_owned(), last.to_owned()))
        });
        let same = |(wanted, got): (&str, &&str)| wanted.starts_with('{') || wanted == *got;
        let mut matching: Vec<&String> = kept
            .flatten()
            .filter(|template| template.trim_matches('/').split('/').zip(&asked).all(same))
            .collect();
        matching.sort_by_key(|template| template.matches('{').count());
        let paths = self.document["paths"].as_object()?;
        matching.into_iter().find_map(|template| Some((template.as_str(), paths.get(template)?.get(method)?)))
    }

    fn deref<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str().and_then(|reference| reference.split_once('#')) {
            Some((_, pointer)) => self.deref(self.document.pointer(pointer).unwrap_or(&Value::Null)),
            None => value,
        }
    }

    fn name_of(&self, parameter: &Value) -> String {
        self.deref(parameter)["name"].as_str().unwrap_or_default().to_owned()
    }

    fn validate(&self, schema: &Value, value: &Value, part: Part) -> Vec<String> {
        let build = || -> &'static Validator {
            let options = jsonschema::options().should_validate_formats(part == Part::Answer);
            let built = options.with_registry(&self.registry).build(schema);
            Box::leak(Box::new(
                built.unwrap_or_else(|error| panic!("the description has a bad schema: {error}")),
            ))
        };
        // The lock is released before the validation, so that other tests do not wait.
        let validator = {
            let mut validators = self.validators.lock();
            *validators.entry(format!("{part:?} {schema}")).or_insert_with(build)
        };
        let errors = validator.iter_errors(value);
        let place = match part {
            Part::Request => "the request",
            Part::Answer => "the answer",
        };
        errors.take(3).map(|error| format!("{place} at `{}`: {error}", error.instance_path())).collect()
    }
}

#[test]
fn an_invalid_uri_in_an_answer_is_a_problem() {
    let call = |url: &str| {
        let label = json!({
            "id": 1, "node_id": "L", "url": url, "name": "a b", "description": null, "color": "cc0000", "default": false,
        });
        check(
            &json!({ "method": "GET", "path": "/repos/acme/shop/labels/a%20b", "status": 200, "answer": label }),
        )
    };
    let place = "https://api.github.com/repos/acme/shop/labels";
    assert_eq!(call(&format!("{place}/a%20b")), Vec::<String>::new());
    let problems = call(&format!("{place}/a b"));
    assert!(problems.iter().any(|problem| problem.contains("`/url`")), "{problems:?}");
}
