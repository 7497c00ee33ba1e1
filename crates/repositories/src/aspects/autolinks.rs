//! Plans and writes the autolinks of a repository. GitHub has no call to change an autolink, so
//! Beadle deletes the autolink and creates it again. GitHub does not document whether the case of a
//! prefix matters. If the prefixes of a live autolink and a listed autolink differ only in case,
//! Beadle treats both as the same autolink, and does not delete the live autolink.
//!
//! <https://docs.github.com/rest/repos/autolinks>

use async_trait::async_trait;
use beadle_engine::{Failure, Risk};
use serde_json::{Value, json};

use super::aspect::{
    ADMINISTRATION, Aspect, AspectPlan, AspectPlanner, Context, Stage, field, reads_nothing,
};
use super::unchangeable::{Entry, EntryWrite};
use crate::identity::{all_named, kind, pair_entries};
use crate::policy::shape::{Shape, key, required};
use crate::policy::shapes::listed;
use crate::policy::{Node, Section, forms};

/// The aspect for a repository's autolinks.
pub(crate) const AUTOLINKS: Aspect = Aspect {
    name: "autolinks",
    sections: &[key("autolinks", SHAPE, "Autolinks. Beadle removes others, unless the list is `additive`.")],
    repository_keys: &[],
    permissions: &[ADMINISTRATION],
    events: &[],
    reads: reads_nothing,
    stage: Stage::Body,
    is_apart: false,
    planner: &Autolinks,
};

const ENTRY: Shape = Shape::Map(&[
    required(key(
        "key_prefix",
        Shape::Form(&forms::AUTOLINK_PREFIX),
        "The start of a reference, such as `TICKET-`.",
    )),
    required(key(
        "url_template",
        Shape::Form(&forms::URL),
        "The address of the link. `<num>` stands for the rest of the reference.",
    )),
    key("is_alphanumeric", Shape::Bool, "Whether the rest of the reference can have letters. Default: true."),
]);
const SHAPE: Shape = listed!(ENTRY);

const PATH: &str = "autolinks";

/// Returns whether the prefix of an autolink and the prefix of a declared autolink overlap.
fn overlap(prefix: &str, want: &Node) -> bool {
    let declared = want.get("key_prefix").and_then(Node::text).unwrap_or_default();
    prefix.starts_with(declared) || declared.starts_with(prefix)
}

/// Adds a change that removes an autolink.
fn remove(link: &Value, section: &Section, plan: &mut AspectPlan) {
    let asked = Some(&section.node.asked);
    let fields = vec![field("url_template", link["url_template"].clone(), Value::Null, asked, Risk::Removes)];
    let prefix = link["key_prefix"].as_str().unwrap_or_default();
    if let Some(id) = link["id"].as_u64() {
        plan.change(format!("autolink {prefix}"), fields, write(Entry::Delete { id }));
    }
}

struct Autolinks;

/// Returns the step that writes an autolink.
fn write(entry: Entry) -> EntryWrite {
    EntryWrite { list: PATH, entry }
}

#[async_trait]
impl AspectPlanner for Autolinks {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(section) = context.desired.sections.get("autolinks") else { return Ok(()) };
        let seen = context.reader.list_below(context.repository, PATH, &["id", "key_prefix"]).await?;
        let prefix = |link: &Value| link["key_prefix"].as_str().unwrap_or_default().to_owned();
        if !all_named(kind("autolinks"), &seen) {
            plan.cannot_read("GitHub shows an autolink without its prefix: Beadle leaves the list as it is");
            return Ok(());
        }
        let matched = pair_entries(kind("autolinks"), section.items(), &seen);
        let only_observed = matched.only_observed.iter().map(|place| &seen[*place]);
        let removed = only_observed.filter(|_| section.exclusive);
        // GitHub refuses a prefix that overlaps with another prefix, so the other one goes first.
        let (in_the_way, others): (Vec<&Value>, Vec<&Value>) =
            removed.partition(|link| section.items().iter().any(|want| overlap(&prefix(link), want)));
        for link in in_the_way {
            remove(link, section, plan);
        }
        for (at, want) in section.items().iter().enumerate() {
            let text = |key: &str| want.get(key).and_then(Node::text).unwrap_or_default();
            let (key, template) = (text("key_prefix"), text("url_template"));
            let alphanumeric = want.get("is_alphanumeric").and_then(Node::bool).unwrap_or(true);
            let body =
                json!({ "key_prefix": key, "url_template": template, "is_alphanumeric": alphanumeric });
            let asked = Some(&want.asked);
            let what = format!("autolink {key}");
            let Some(found) = matched.observed_of(at).map(|place| &seen[place]) else {
                let fields = vec![field("url_template", Value::Null, json!(template), asked, Risk::Adds)];
                plan.change(what, fields, write(Entry::Create(body)));
                continue;
            };
            let fields: Vec<_> = ["url_template", "is_alphanumeric"]
                .into_iter()
                .filter(|name| !found[*name].is_null() && found[*name] != body[*name])
                .map(|name| field(name, found[name].clone(), body[name].clone(), asked, Risk::Changes))
                .collect();
            if let (false, Some(id)) = (fields.is_empty(), found["id"].as_u64()) {
                let before = json!({
                    "key_prefix": found["key_prefix"], "url_template": found["url_template"], "is_alphanumeric": found["is_alphanumeric"],
                });
                plan.change(what, fields, write(Entry::Replace { id, body, before }));
            }
        }
        for link in others {
            remove(link, section, plan);
        }
        Ok(())
    }
}
