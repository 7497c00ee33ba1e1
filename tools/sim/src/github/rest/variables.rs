//! Variables for Actions, in a repository and in its environments. In the state, the variables are
//! a map from the name to the value.
//!
//! <https://docs.github.com/rest/actions/variables>

use serde_json::{Value, json};

use super::{Call, Reply, in_object};
use crate::github::world::World;

/// The repository or the environment whose variables or secrets a call reads or changes.
#[derive(Clone, Copy)]
pub(super) struct Holder<'a> {
    pub(super) org: &'a str,
    pub(super) repository: &'a str,
    /// The name of the environment in the state. `None` if the repository itself has the variables
    /// or secrets.
    pub(super) environment: Option<&'a str>,
}

impl Holder<'_> {
    /// Returns the part of a repository that contains the variables or secrets.
    pub(super) fn of<'b>(&self, repository: &'b Value) -> &'b Value {
        match self.environment {
            Some(name) => &repository["environments"][name],
            None => repository,
        }
    }

    /// Changes the part of the repository that contains the variables or secrets.
    pub(super) fn edit(&self, world: &mut World, sender: &str, edit: impl FnOnce(&mut Value)) {
        world.edit(self.org, self.repository, sender, |found| match self.environment {
            Some(name) => edit(&mut found["environments"][name]),
            None => edit(found),
        });
    }
}

/// Returns an error if GitHub refuses the name of a variable or a secret.
pub(super) fn refused_name(name: &str) -> Option<Reply> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_fine = !name.is_empty()
        && name.chars().all(is_letter)
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.to_ascii_uppercase().starts_with("GITHUB_");
    (!is_fine).then(|| Reply::invalid("Validation Failed: the name can have only [A-Za-z0-9_]"))
}

fn shown(name: &str, value: &Value) -> Value {
    let at = "2026-01-01T00:00:00Z";
    json!({ "name": name, "value": value, "created_at": at, "updated_at": at })
}

/// Answers calls with paths that end with `variables` or `variables/{name}`.
pub(super) fn answer(
    world: &mut World,
    call: &Call<'_>,
    holder: Holder<'_>,
    found: &Value,
    rest: &[&str],
) -> Reply {
    let known = holder.of(found)["variables"].as_object().cloned().unwrap_or_default();
    match (call.method.as_str(), rest) {
        ("GET", []) => {
            let rows = known.iter().map(|(name, value)| shown(name, value)).collect();
            in_object(call, "variables", rows)
        }
        ("POST", []) => {
            let name = call.body["name"].as_str().unwrap_or_default().to_ascii_uppercase();
            if let Some(refusal) = refused_name(&name) {
                return refusal;
            }
            if known.contains_key(&name) {
                return Reply::message(409, "Variable already exists");
            }
            let value = call.body["value"].clone();
            holder.edit(world, call.sender, |part| part["variables"][name] = value);
            Reply::json(201, json!({}))
        }
        (method, [name]) => {
            let name = name.to_ascii_uppercase();
            let Some(value) = known.get(&name) else { return Reply::not_found() };
            match method {
                "GET" => Reply::json(200, shown(&name, value)),
                "PATCH" => {
                    let value = if call.body["value"].is_string() {
                        call.body["value"].clone()
                    } else {
                        value.clone()
                    };
                    let new =
                        call.body["name"].as_str().map_or_else(|| name.clone(), str::to_ascii_uppercase);
                    holder.edit(world, call.sender, |part| {
                        part["variables"].as_object_mut().and_then(|all| all.remove(&name));
                        part["variables"][new] = value;
                    });
                    Reply::empty(204)
                }
                "DELETE" => {
                    holder.edit(world, call.sender, |part| {
                        part["variables"].as_object_mut().and_then(|all| all.remove(&name));
                    });
                    Reply::empty(204)
                }
                _ => Reply::not_found(),
            }
        }
        _ => Reply::not_found(),
    }
}
