//! Checks GraphQL documents and answers against `@octokit/graphql-schema`.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use apollo_compiler::executable::{Selection, SelectionSet};
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema, ast::Type};
use serde_json::Value;

static SCHEMA: LazyLock<Valid<Schema>> = LazyLock::new(|| {
    let path = super::tool("graphql-schema/package/schema.graphql");
    let text = std::fs::read_to_string(&path).unwrap();
    // The published schema defines some fields twice. The parser reports each second definition as
    // an error. The checks use the schema without these definitions.
    let schema = Schema::parse(text, path).unwrap_or_else(|error| {
        let errors = error.errors.iter().map(|error| error.to_string()).collect::<Vec<_>>();
        let known = |error: &String| error.contains("duplicate definitions for the");
        assert!(errors.iter().all(known), "GitHub's schema: {errors:?}");
        error.partial
    });
    Valid::assume_valid(schema)
});

type Parsed = Arc<Result<Valid<ExecutableDocument>, String>>;
static DOCUMENTS: LazyLock<Mutex<HashMap<String, Parsed>>> = LazyLock::new(Mutex::default);

fn parsed(text: &str) -> Parsed {
    let mut documents = DOCUMENTS.lock();
    let parse = || {
        let parsed = ExecutableDocument::parse_and_validate(&SCHEMA, text, "request.graphql");
        Arc::new(parsed.map_err(|error| error.to_string()))
    };
    documents.entry(text.to_owned()).or_insert_with(parse).clone()
}

pub(super) fn check(call: &Value) -> Vec<String> {
    let Some(text) = call["request"]["query"].as_str() else {
        return vec!["the request has no query".into()];
    };
    let parsed = parsed(text);
    let document = match &*parsed {
        Ok(document) => document,
        Err(error) => return vec![error.clone()],
    };
    let operation = document.operations.get(None).unwrap();
    let mut problems = Vec::new();
    for variable in &operation.variables {
        let given = &call["request"]["variables"][variable.name.as_str()];
        if variable.ty.is_non_null() && given.is_null() {
            problems.push(format!("the variable ${} is missing", variable.name));
        }
        if !given.is_null() {
            input(&variable.ty, given, variable.name.as_str(), &mut problems);
        }
    }
    let answer = &call["answer"];
    if let Some(data) = answer.get("data").filter(|data| data.is_object()) {
        let failed: Vec<Vec<Value>> = answer["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|error| error["path"].as_array().cloned().unwrap_or_default())
            .collect();
        let mut walk = Walk { document, failed, problems: Vec::new() };
        walk.object(&operation.selection_set, data, &mut Vec::new());
        problems.extend(walk.problems);
    }
    problems
}

/// Checks that a value is valid for an input type.
fn input(ty: &Type, value: &Value, at: &str, problems: &mut Vec<String>) {
    if value.is_null() {
        if ty.is_non_null() {
            problems.push(format!("{at} may not be null"));
        }
        return;
    }
    if ty.is_list() {
        for item in value.as_array().into_iter().flatten() {
            input(ty.item_type(), item, at, problems);
        }
        return;
    }
    match SCHEMA.types.get(ty.inner_named_type()) {
        Some(ExtendedType::InputObject(object)) => {
            for (name, value) in value.as_object().into_iter().flatten() {
                match object.fields.get(name.as_str()) {
                    Some(field) => input(&field.ty, value, &format!("{at}.{name}"), problems),
                    None => problems.push(format!("{at} has no field {name}")),
                }
            }
            for (name, field) in &object.fields {
                if field.is_required() && value.get(name.as_str()).is_none() {
                    problems.push(format!("{at}.{name} is missing"));
                }
            }
        }
        Some(ty) => leaf(ty, value, at, problems),
        None => problems.push(format!("{at} has an unknown type")),
    }
}

fn leaf(ty: &ExtendedType, value: &Value, at: &str, problems: &mut Vec<String>) {
    let fits = match ty {
        ExtendedType::Enum(known) => value.as_str().is_some_and(|text| known.values.contains_key(text)),
        ExtendedType::Scalar(scalar) => match scalar.name.as_str() {
            "Boolean" => value.is_boolean(),
            "Int" => value.is_i64(),
            "Float" => value.is_number(),
            _ => value.is_string(),
        },
        _ => false,
    };
    if !fits {
        problems.push(format!("{at} is {value}, and has to be {}", ty.name()));
    }
}

fn is(actual: &str, on: &str) -> bool {
    actual == on || SCHEMA.is_subtype(on, actual)
}

struct Walk<'a> {
    document: &'a ExecutableDocument,
    failed: Vec<Vec<Value>>,
    problems: Vec<String>,
}

impl Walk<'_> {
    fn object(&mut self, selection: &SelectionSet, value: &Value, path: &mut Vec<Value>) {
        let actual = value["__typename"].as_str().unwrap_or(selection.ty.as_str()).to_owned();
        for item in &selection.selections {
            match item {
                Selection::Field(field) => {
                    let key = field.response_key().as_str();
                    path.push(Value::from(key));
                    match value.get(key) {
                        Some(inner) => self.value(&field.definition.ty, &field.selection_set, inner, path),
                        None => self.problems.push(format!("{path:?} is missing")),
                    }
                    path.pop();
                }
                Selection::InlineFragment(fragment) => {
                    let on = fragment.type_condition.as_ref().map_or(actual.as_str(), |on| on.as_str());
                    if is(&actual, on) {
                        self.object(&fragment.selection_set, value, path);
                    }
                }
                Selection::FragmentSpread(spread) => {
                    let document = self.document;
                    let fragment = &document.fragments[&spread.fragment_name];
                    // If the answer has no type name, the fields of the answer show whether the
                    // fragment applies.
                    let on = fragment.type_condition().as_str();
                    let present = value.as_object().is_some_and(|map| !map.is_empty());
                    if is(&actual, on) || (value.get("__typename").is_none() && present) {
                        self.object(&fragment.selection_set, value, path);
                    }
                }
            }
        }
    }

    fn value(&mut self, ty: &Type, selection: &SelectionSet, value: &Value, path: &mut Vec<Value>) {
        if value.is_null() {
            let excused =
                self.failed.iter().any(|failed| path.starts_with(failed) || failed.starts_with(path));
            if ty.is_non_null() && !excused {
                self.problems.push(format!("{path:?} may not be null"));
            }
            return;
        }
        if ty.is_list() {
            let Some(items) = value.as_array() else {
                self.problems.push(format!("{path:?} has to be a list"));
                return;
            };
            for (at, item) in items.iter().enumerate() {
                path.push(Value::from(at));
                self.value(ty.item_type(), selection, item, path);
                path.pop();
            }
            return;
        }
        match SCHEMA.types.get(ty.inner_named_type()) {
            Some(ExtendedType::Object(_) | ExtendedType::Interface(_) | ExtendedType::Union(_)) => {
                self.object(selection, value, path);
            }
            Some(known) => leaf(known, value, &format!("{path:?}"), &mut self.problems),
            None => self.problems.push(format!("{path:?} has an unknown type")),
        }
    }
}
