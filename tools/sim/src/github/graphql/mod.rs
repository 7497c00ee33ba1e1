//! A small GraphQL executor that reads and changes the simulator's state. The contract tests
//! compare it with GitHub's published schema.

mod connection;
mod cost;
mod git;
mod git_mutate;
mod input;
mod mutate;
mod organisations;
mod people;
mod repositories;
mod resolve;
mod root;
mod rules;
mod rulesets;

use std::collections::BTreeMap;

use graphql_parser::query::{
    Definition, Document, Field, FragmentDefinition, OperationDefinition, Selection, SelectionSet,
    TypeCondition, Value as Ast,
};
use serde_json::{Map, Value, json};

use crate::faults::Fault;
use crate::github::lies;
use crate::github::world::World;
use resolve::{Object, Resolved, resolve};

type Text = String;

/// A parsed GraphQL request.
pub(crate) struct Request<'a> {
    document: Document<'a, Text>,
    variables: Map<String, Value>,
}

/// The answer to a GraphQL request.
pub(crate) struct Outcome {
    pub(crate) body: Value,
    pub(crate) cost: u64,
    /// The names of the root fields. The log of calls shows these names.
    pub(crate) operation: String,
    pub(crate) is_mutation: bool,
}

/// An error, with its place in the query.
pub(crate) struct Problem {
    pub(crate) kind: &'static str,
    pub(crate) message: String,
}

struct Run<'a> {
    fragments: BTreeMap<&'a str, &'a FragmentDefinition<'a, Text>>,
    variables: &'a Map<String, Value>,
    errors: Vec<Value>,
    /// The slug of the App that sends the request.
    sender: &'a str,
    /// A fault that changes the connections of one field.
    fault: Option<&'a Fault>,
}

/// Runs the request in this body.
pub(crate) fn run(world: &mut World, body: &Value, sender: &str, fault: Option<&Fault>) -> Outcome {
    let failed = |message: String| Outcome {
        body: json!({ "errors": [{ "message": message }] }),
        cost: 1,
        operation: "unparsed".into(),
        is_mutation: false,
    };
    let Some(text) = body["query"].as_str() else {
        return failed("A query attribute must be specified".into());
    };
    let document = match graphql_parser::parse_query::<Text>(text) {
        Ok(document) => document,
        Err(error) => return failed(format!("Parse error: {error}")),
    };
    let request = Request { document, variables: body["variables"].as_object().cloned().unwrap_or_default() };
    let operation = request.document.definitions.iter().find_map(|definition| match definition {
        Definition::Operation(OperationDefinition::Query(query)) => {
            Some((&query.selection_set, false, query.variable_definitions.as_slice()))
        }
        Definition::Operation(OperationDefinition::SelectionSet(set)) => {
            Some((set, false, Default::default()))
        }
        Definition::Operation(OperationDefinition::Mutation(mutation)) => {
            Some((&mutation.selection_set, true, mutation.variable_definitions.as_slice()))
        }
        _ => None,
    });
    let Some((selection, is_mutation, declared)) = operation else {
        return failed("No operation to run".into());
    };
    if let Some(problem) = input::variables(declared, &request.variables) {
        return failed(problem);
    }
    let mut run = Run {
        fragments: fragments(&request.document),
        variables: &request.variables,
        errors: Vec::new(),
        sender,
        fault,
    };
    let (cost, nodes) = cost::cost(&run, selection);
    if nodes > cost::MOST_NODES {
        return failed(format!(
            "This query requests up to {nodes} possible nodes which exceeds the maximum limit of 500,000"
        ));
    }
    if let Some(problem) = lacking(world, text) {
        return failed(problem);
    }
    if is_mutation {
        let inputs = run.fields(selection, "Mutation").into_iter();
        let mut wrong = inputs.filter_map(|field| {
            input::wrong(&field.name, run.arguments(field).get("input").unwrap_or(&Value::Null))
        });
        if let Some(problem) = wrong.next() {
            return failed(problem);
        }
    }
    let mut data = Map::new();
    if is_mutation {
        for field in run.fields(selection, "Mutation") {
            let input = run.arguments(field).remove("input").unwrap_or(Value::Null);
            let key = response_key(field).to_owned();
            match mutate::mutate(world, &field.name, &input, sender) {
                Ok(payload) => {
                    let value = run.object(world, &payload, &field.selection_set, &[json!(key)]);
                    data.insert(key, value);
                }
                Err(problem) => {
                    run.errors.push(located(&problem, &[json!(key)]));
                    data.insert(key, Value::Null);
                }
            }
        }
    } else if let Value::Object(found) = run.object(world, &Object::Query, selection, &[]) {
        data = found;
    }
    if data.contains_key("rateLimit") {
        data.insert("rateLimit".into(), json!({ "cost": cost }));
    }
    let operation =
        run.fields(selection, "Query").iter().map(|field| field.name.clone()).collect::<Vec<_>>().join(",");
    let mut body = json!({ "data": data });
    if !run.errors.is_empty() {
        body["errors"] = json!(run.errors);
    }
    Outcome { body, cost, operation, is_mutation }
}

/// Returns the first field in the query that is also in the list `lacks` of the state. An older
/// Enterprise Server does not have every field. An older server rejects a whole query if one field
/// is unknown.
fn lacking(world: &World, text: &str) -> Option<String> {
    let lacks = world.doc["lacks"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut asked = lacks.into_iter().filter(|field| text.split_whitespace().any(|word| word == *field));
    asked.next().map(|field| format!("Field '{field}' doesn't exist on type 'Repository'"))
}

fn fragments<'a>(document: &'a Document<'a, Text>) -> BTreeMap<&'a str, &'a FragmentDefinition<'a, Text>> {
    let fragments = document.definitions.iter().filter_map(|definition| match definition {
        Definition::Fragment(fragment) => Some((fragment.name.as_str(), fragment)),
        Definition::Operation(_) => None,
    });
    fragments.collect()
}

fn response_key<'a>(field: &'a Field<'_, Text>) -> &'a str {
    field.alias.as_deref().unwrap_or(&field.name)
}

fn located(problem: &Problem, path: &[Value]) -> Value {
    json!({ "type": problem.kind, "path": path, "message": problem.message, "locations": [{ "line": 1, "column": 1 }] })
}

impl<'a> Run<'a> {
    /// Returns the fields that a selection requests from a type. Fields in fragments are included.
    fn fields(&self, selection: &'a SelectionSet<'a, Text>, type_name: &str) -> Vec<&'a Field<'a, Text>> {
        let mut fields = Vec::new();
        for item in &selection.items {
            match item {
                Selection::Field(field) => fields.push(field),
                Selection::InlineFragment(fragment) => {
                    let holds =
                        fragment.type_condition.as_ref().is_none_or(|TypeCondition::On(on)| on == type_name);
                    if holds {
                        fields.extend(self.fields(&fragment.selection_set, type_name));
                    }
                }
                Selection::FragmentSpread(spread) => {
                    let Some(fragment) = self.fragments.get(spread.fragment_name.as_str()) else { continue };
                    let TypeCondition::On(on) = &fragment.type_condition;
                    if on == type_name {
                        fields.extend(self.fields(&fragment.selection_set, type_name));
                    }
                }
            }
        }
        fields
    }

    fn arguments(&self, field: &Field<'_, Text>) -> Map<String, Value> {
        field.arguments.iter().map(|(name, value)| (name.clone(), self.value(value))).collect()
    }

    fn value(&self, ast: &Ast<'_, Text>) -> Value {
        match ast {
            Ast::Variable(name) => self.variables.get(name).cloned().unwrap_or(Value::Null),
            Ast::Int(number) => json!(number.as_i64()),
            Ast::Float(number) => json!(number),
            Ast::String(text) | Ast::Enum(text) => json!(text),
            Ast::Boolean(value) => json!(value),
            Ast::Null => Value::Null,
            Ast::List(items) => items.iter().map(|item| self.value(item)).collect(),
            Ast::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), self.value(value))).collect()
            }
        }
    }

    /// Returns the value of a field, if the value depends on the sender of the request.
    fn of_viewer(&self, object: &Object, field: &str) -> Option<Resolved> {
        match (object, field) {
            (Object::Query, "viewer") => {
                let login = format!("{}[bot]", self.sender);
                Some(Resolved::Object(Object::Json(json!({ "__typename": "User", "login": login }))))
            }
            (Object::Json(shown), "viewerDidAuthor") => {
                Some(Resolved::Value(json!(shown["viewerDidAuthor"] == self.sender)))
            }
            _ => None,
        }
    }

    fn object(
        &mut self,
        world: &World,
        object: &Object,
        selection: &'a SelectionSet<'a, Text>,
        path: &[Value],
    ) -> Value {
        let type_name = object.type_name();
        let mut shown = Map::new();
        for field in self.fields(selection, type_name) {
            let key = response_key(field).to_owned();
            if field.name == "__typename" {
                shown.insert(key, json!(type_name));
                continue;
            }
            let mut path = path.to_vec();
            path.push(json!(key));
            let mut arguments = self.arguments(field);
            let fault = self.fault.filter(|fault| fault.connection.as_deref() == Some(field.name.as_str()));
            let after = if lies::begins_again(fault) { arguments.remove("after") } else { None };
            let resolved = self
                .of_viewer(object, &field.name)
                .unwrap_or_else(|| resolve(world, object, &field.name, &arguments));
            let mut value = self.shown(world, resolved, field, &path);
            if let Some(fault) = fault {
                lies::connection(&mut value, fault, after.as_ref().and_then(Value::as_str));
            }
            shown.insert(key, value);
        }
        Value::Object(shown)
    }

    fn shown(
        &mut self,
        world: &World,
        resolved: Resolved,
        field: &'a Field<'a, Text>,
        path: &[Value],
    ) -> Value {
        match resolved {
            Resolved::Value(value) => value,
            Resolved::Object(object) => self.object(world, &object, &field.selection_set, path),
            Resolved::List(items) => {
                let mut shown = Vec::with_capacity(items.len());
                for (at, item) in items.into_iter().enumerate() {
                    let mut path = path.to_vec();
                    path.push(json!(at));
                    shown.push(self.shown(world, item, field, &path));
                }
                Value::Array(shown)
            }
            Resolved::Problem(problem) => {
                self.errors.push(located(&problem, path));
                Value::Null
            }
        }
    }
}
