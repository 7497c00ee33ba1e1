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
use crate::policy::{Node, forms};

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
        for link in matched.only_observed.iter().map(|place| &seen[*place]).filter(|_| section.exclusive) {
            let asked = Some(&section.node.asked);
            let fields =
                vec![field("url_template", link["url_template"].clone(), Value::Null, asked, Risk::Removes)];
            if let Some(id) = link["id"].as_u64() {
                plan.change(format!("autolink {}", prefix(link)), fields, write(Entry::Delete { id }));
            }
        }
        Ok(())
    }
}
