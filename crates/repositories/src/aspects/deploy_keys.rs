//! Plans and writes the deploy keys of a repository. The public key identifies an entry. Beadle
//! ignores the comment in the public key. GitHub has no call to change a deploy key, and refuses to
//! add the same key twice. To change a key, Beadle therefore deletes the key and adds it again.
//! Beadle reads the keys of many repositories together. If the keys of a repository differ from the
//! policy, Beadle makes one more call, to the REST API, because a deletion needs ids that GraphQL
//! does not show.
//!
//! <https://docs.github.com/rest/deploy-keys/deploy-keys>

use async_trait::async_trait;
use beadle_engine::{Failure, Field, Risk};
use beadle_github::{Asks, DeployKey};
use serde_json::{Value, json};

use super::aspect::{
    ADMINISTRATION, AppPermission, Aspect, AspectPlan, AspectPlanner, Context, Sections, Stage, field,
};
use super::unchangeable::{Entry, EntryWrite};
use crate::identity::{all_named, kind, pair_entries, public_key};
use crate::policy::shape::{Shape, key, required};
use crate::policy::shapes::{NAME, listed};
use crate::policy::{Node, Section, forms};

/// The aspect for a repository's deploy keys.
pub(crate) const DEPLOY_KEYS: Aspect = Aspect {
    name: "deploy_keys",
    sections: &[key(
        "deploy_keys",
        SHAPE,
        "Deploy keys. Beadle removes others, unless the list is `additive`.",
    )],
    repository_keys: &[],
    permissions: &[ADMINISTRATION, AppPermission::read("deployments", "deployments (repository)")],
    events: &["deploy_key"],
    reads,
    stage: Stage::Body,
    is_apart: false,
    planner: &DeployKeys,
};

const ENTRY: Shape = Shape::Map(&[
    required(key(
        "key",
        Shape::Form(&forms::PUBLIC_KEY),
        "The public key, such as `ssh-ed25519 AAAA...`. A key can be in one repository only.",
    )),
    required(key("title", NAME, "The name of the key for people.")),
    key("read_only", Shape::Bool, "Whether the key can only read. Default: true."),
]);
const SHAPE: Shape = listed!(ENTRY);

const PATH: &str = "keys";

fn reads(sections: &Sections<'_>) -> Asks {
    Asks { deploy_keys: sections.has("deploy_keys"), ..Asks::default() }
}

struct DeployKeys;

/// Returns the step that writes a deploy key.
fn write(entry: Entry) -> EntryWrite {
    EntryWrite { list: PATH, entry }
}

/// Returns the body that adds a key.
fn body(want: &Node) -> Value {
    let text = |key: &str| want.get(key).and_then(Node::text).unwrap_or_default();
    let read_only = want.get("read_only").and_then(Node::bool).unwrap_or(true);
    json!({ "key": public_key(text("key")), "title": text("title"), "read_only": read_only })
}

/// Compares a live key with the body that Beadle would send to add the key. Returns the fields that
/// differ.
fn differences(found: &Value, body: &Value, want: &Node) -> Vec<Field> {
    let differ = ["title", "read_only"].into_iter().filter(|name| found[*name] != body[*name]);
    let fields = differ.map(|name| {
        let can_write = name == "read_only" && body[name] == json!(false);
        let risk = if can_write { Risk::Exposes } else { Risk::Changes };
        let asked = want.get(name).map_or(&want.asked, |node| &node.asked);
        field(name, found[name].clone(), body[name].clone(), Some(asked), risk)
    });
    fields.collect()
}

/// Returns a key in the form that the REST API uses, but without its id.
fn row(key: &DeployKey) -> Value {
    json!({ "key": key.key, "title": key.title, "read_only": key.read_only })
}

/// Returns whether the keys at GitHub are exactly the declared keys.
fn are_as_declared(section: &Section, seen: &[Value]) -> bool {
    let matched = pair_entries(kind("deploy_keys"), section.items(), seen);
    let is_same = |(at, place): &(usize, usize)| {
        let want = section.items().get(*at);
        want.is_some_and(|want| differences(&seen[*place], &body(want), want).is_empty())
    };
    matched.only_desired.is_empty()
        && (!section.exclusive || matched.only_observed.is_empty())
        && matched.both.iter().all(is_same)
}

#[async_trait]
impl AspectPlanner for DeployKeys {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(section) = context.desired.sections.get("deploy_keys") else { return Ok(()) };
        let Some(known) = plan.read(&context.repository.deploy_keys) else { return Ok(()) };
        let known: Vec<Value> = known.iter().map(row).collect();
        if all_named(kind("deploy_keys"), &known) && are_as_declared(section, &known) {
            return Ok(());
        }
        let path = "keys?per_page=100";
        let seen = context.reader.list_below(context.repository, path, &["id", "key"]).await?;
        let is_whole = |row: &Value| row["title"].is_string() && row["read_only"].is_boolean();
        if !all_named(kind("deploy_keys"), &seen) || !seen.iter().all(is_whole) {
            plan.cannot_read("GitHub shows only a part of a deploy key: Beadle leaves the list as it is");
            return Ok(());
        }
        let matched = pair_entries(kind("deploy_keys"), section.items(), &seen);
        for (at, want) in section.items().iter().enumerate() {
            let body = body(want);
            let what = format!("deploy key {}", body["title"].as_str().unwrap_or_default());
            let Some(found) = matched.observed_of(at).map(|place| &seen[place]) else {
                let risk = if body["read_only"] == json!(false) { Risk::Exposes } else { Risk::Adds };
                let asked = Some(&want.asked);
                let fields = vec![
                    field("key", Value::Null, body["key"].clone(), asked, Risk::Adds),
                    field("read_only", Value::Null, body["read_only"].clone(), asked, risk),
                ];
                plan.change(what, fields, write(Entry::Create(body)));
                continue;
            };
            let fields = differences(found, &body, want);
            if let (false, Some(id)) = (fields.is_empty(), found["id"].as_u64()) {
                let before = json!({
                    "key": found["key"], "title": found["title"], "read_only": found["read_only"],
                });
                plan.change(what, fields, write(Entry::Replace { id, body, before }));
            }
        }
        for found in matched.only_observed.iter().map(|place| &seen[*place]).filter(|_| section.exclusive) {
            let asked = Some(&section.node.asked);
            let fields = vec![field("key", found["key"].clone(), Value::Null, asked, Risk::Removes)];
            if let Some(id) = found["id"].as_u64() {
                let title = found["title"].as_str().unwrap_or_default();
                plan.change(format!("deploy key {title}"), fields, write(Entry::Delete { id }));
            }
        }
        Ok(())
    }
}
