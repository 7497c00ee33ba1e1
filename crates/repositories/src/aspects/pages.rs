//! Plans and writes the GitHub Pages site of a repository. If the policy has the section, Beadle
//! makes one conditional REST call for each repository. Before Beadle changes the published branch,
//! it makes one GraphQL call.
//!
//! <https://docs.github.com/rest/pages/pages>

use async_trait::async_trait;
use beadle_engine::{Failure, Field, Risk};
use beadle_github::Method;
use serde_json::{Map, Value, json};

use super::aspect::{
    ADMINISTRATION, AppPermission, Aspect, AspectPlan, AspectPlanner, Context, Stage, Step, WriteTarget,
    field, reads_nothing,
};
use crate::policy::shape::{Shape, key};
use crate::policy::shapes::OPTIONAL_TEXT;
use crate::policy::{Node, forms};

/// The aspect for a repository's GitHub Pages site.
pub(crate) const PAGES: Aspect = Aspect {
    name: "pages",
    sections: &[key("pages", SHAPE, "The GitHub Pages site.")],
    repository_keys: &[],
    permissions: &[ADMINISTRATION, AppPermission::write("pages", "pages (repository)")],
    events: &[],
    reads: reads_nothing,
    stage: Stage::Body,
    is_apart: false,
    planner: &Pages,
};

const SOURCE: Shape = Shape::Map(&[
    key("branch", Shape::Form(&forms::BRANCH), "The branch. It must exist."),
    key("path", Shape::OneOf(&["/", "/docs"]), "The folder. Default: `/`."),
]);
const SHAPE: Shape = Shape::Map(&[
    key("enabled", Shape::Bool, "Whether the repository has a site. Default: true."),
    key("build_type", Shape::OneOf(&["legacy", "workflow"]), "Whether GitHub or a workflow builds the site."),
    key("source", SOURCE, "What GitHub builds. It has no effect with `build_type: workflow`."),
    key("cname", OPTIONAL_TEXT, "The domain of the site. Null for none."),
    key("https_enforced", Shape::Bool, "Whether the site is available only over HTTPS."),
    key("public", Shape::Bool, "Whether everybody can see the site of a private or internal repository."),
]);

const PATH: &str = "pages";

struct Pages;

/// The requests of a step, in the order in which Beadle sends them.
struct Write(Vec<(Method, Option<Value>)>);

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        for (at, (method, body)) in self.0.iter().enumerate() {
            let sent = to.named()?.send(method.clone(), PATH, body.clone()).await;
            sent.map_err(|failure| if at > 0 { failure.after_a_part() } else { failure })?;
        }
        Ok(())
    }
}

/// Returns the declared source in GitHub's form.
fn source(want: &Node) -> Option<Value> {
    let source = want.get("source")?;
    let branch = source.get("branch")?.text()?;
    let path = source.get("path").and_then(Node::text).unwrap_or("/");
    Some(json!({ "branch": branch, "path": path }))
}

/// Returns `true` if GitHub itself builds the site from a branch, and `false` if a workflow builds
/// the site.
fn is_built_by_github(want: &Node, seen: &Value) -> bool {
    let seen = seen["build_type"].as_str();
    want.get("build_type").and_then(Node::text).or(seen) != Some("workflow")
}

fn risk(key: &str, before: &Value, after: &Value) -> Risk {
    match key {
        // Anyone can see the site, so new content is an exposure.
        "build_type" | "source" => Risk::Exposes,
        "public" if *after == json!(true) => Risk::Exposes,
        "https_enforced" if *after == json!(false) => Risk::Weakens,
        // If the site loses its domain, another person can take this domain.
        "cname" if !before.is_null() => Risk::Weakens,
        _ => Risk::Changes,
    }
}

/// Compares a site with the policy, and returns each key whose value differs. Each key comes with
/// its old value and with the value that Beadle must write.
fn differences(want: &Node, seen: &Value) -> Vec<(&'static str, Field)> {
    let mut found = Vec::new();
    let mut add = |key: &'static str, before: &Value, after: Value| {
        let asked = want.get(key).map_or(&want.asked, |node| &node.asked);
        let risk = risk(key, before, &after);
        found.push((key, field(key, before.clone(), after, Some(asked), risk)));
    };
    if let Some(kind) = want.get("build_type").and_then(Node::text)
        && seen["build_type"].as_str().unwrap_or("legacy") != kind
    {
        add("build_type", &seen["build_type"], json!(kind));
    }
    if let Some(after) = source(want).filter(|_| is_built_by_github(want, seen)) {
        let before = json!({ "branch": seen["source"]["branch"], "path": seen["source"]["path"] });
        if before != after {
            add("source", &before, after);
        }
    }
    if let Some(node) = want.get("cname") {
        let given = |value: Value| if value == json!("") { Value::Null } else { value };
        let (before, after) = (given(seen["cname"].clone()), given(node.json()));
        if before != after {
            add("cname", &before, after);
        }
    }
    for key in ["https_enforced", "public"] {
        let wanted = want.get(key).and_then(Node::bool);
        // If GitHub does not show a value, the value is unknown. An unknown value never counts as a
        // weakening.
        if let Some((after, before)) = wanted.zip(seen[key].as_bool())
            && before != after
        {
            add(key, &json!(before), json!(after));
        }
    }
    found
}

/// Returns the declared keys that Beadle must set after the creation of a site. GitHub itself
/// enforces HTTPS for a new site.
fn more(want: &Node) -> Map<String, Value> {
    let mut more = Map::new();
    for key in ["cname", "public", "https_enforced"] {
        let is_new = |value: &Value| match key {
            "https_enforced" => *value == json!(false),
            _ => !value.is_null() && *value != json!(""),
        };
        let value = want.get(key).map(Node::json).filter(is_new);
        more.extend(value.map(|value| (key.to_owned(), value)));
    }
    more
}

/// Plans a site for a repository that has no site yet. GitHub accepts the domain and the other keys
/// only after the site exists.
fn create(want: &Node, plan: &mut AspectPlan) {
    let by_github = is_built_by_github(want, &Value::Null);
    let source = source(want);
    let mut body = Map::new();
    match (&source, by_github) {
        (Some(source), true) => {
            body.insert("build_type".to_owned(), json!("legacy"));
            body.insert("source".to_owned(), source.clone());
        }
        (None, true) => {
            plan.cannot_resolve_part(
                "source",
                format!("a site that GitHub builds needs `source.branch` ({})", want.asked),
            );
            return;
        }
        (_, false) => {
            body.insert("build_type".to_owned(), json!("workflow"));
        }
    }
    let more = more(want);
    let asked = Some(&want.asked);
    let fields = body.iter().map(|(key, value)| field(key, Value::Null, value.clone(), asked, Risk::Exposes));
    let mut fields: Vec<Field> = fields.collect();
    fields.extend(more.iter().map(|(key, value)| {
        let risk = risk(key, &Value::Null, value);
        field(key, Value::Null, value.clone(), asked, risk)
    }));
    let mut requests = vec![(Method::POST, Some(Value::Object(body)))];
    if !more.is_empty() {
        requests.push((Method::PUT, Some(Value::Object(more))));
    }
    // Without a paid plan at GitHub, only a public repository can have a site. So Beadle changes
    // the visibility first.
    plan.change_at(Stage::Security, "", fields, Write(requests));
}

/// Returns whether the branch of the declared source exists. If the branch does not exist, the
/// function records this problem in the plan.
async fn has_branch(context: &Context<'_>, want: &Node, plan: &mut AspectPlan) -> Result<bool, Failure> {
    let Some(source) = source(want) else { return Ok(true) };
    let branch = source["branch"].as_str().unwrap_or_default();
    if context.reader.branch_exists(&context.repository.node_id, branch).await? {
        return Ok(true);
    }
    let reason =
        format!("the branch `{branch}` does not exist, so GitHub cannot publish it ({})", want.asked);
    plan.cannot_resolve_part("source", reason);
    Ok(false)
}

#[async_trait]
impl AspectPlanner for Pages {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(section) = context.desired.sections.get("pages") else { return Ok(()) };
        let want = &section.node;
        let asked = want.get("enabled").map_or(&want.asked, |node| &node.asked);
        let is_wanted = want.get("enabled").and_then(Node::bool).unwrap_or(true);
        let seen = context.reader.below(context.repository, PATH).await?;
        let seen = match (seen, is_wanted) {
            (None, false) => return Ok(()),
            (None, true) => {
                if !is_built_by_github(want, &Value::Null) || has_branch(context, want, plan).await? {
                    create(want, plan);
                }
                return Ok(());
            }
            (Some(_), false) => {
                let fields = vec![field("enabled", json!(true), json!(false), Some(asked), Risk::Removes)];
                plan.change("", fields, Write(vec![(Method::DELETE, None)]));
                return Ok(());
            }
            (Some(seen), true) => seen,
        };
        for (key, field) in differences(want, &seen) {
            if key == "source" && !has_branch(context, want, plan).await? {
                continue;
            }
            let body = json!({ key: field.after });
            plan.change(key, vec![field], Write(vec![(Method::PUT, Some(body))]));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_site_gets_each_key_that_github_does_not_set() {
        for (policy, expected) in [
            ("https_enforced: true\ncname: ''", json!({})),
            ("https_enforced: false", json!({ "https_enforced": false })),
            ("cname: a.example.com\npublic: false", json!({ "cname": "a.example.com", "public": false })),
        ] {
            assert_eq!(Value::Object(more(&Node::parse("a.yml", policy).unwrap())), expected, "{policy}");
        }
    }

    fn found(policy: &str, seen: &Value) -> Vec<(&'static str, Risk)> {
        let want = Node::parse("settings.yml", policy).unwrap();
        differences(&want, seen).into_iter().map(|(key, field)| (key, field.risk)).collect()
    }

    #[test]
    fn each_key_is_compared_and_has_the_stricter_risk() {
        let seen = json!({
            "build_type": "legacy", "source": { "branch": "main", "path": "/" }, "cname": "docs.example.com",
            "https_enforced": true, "public": false,
        });
        for (policy, expected) in [
            ("source: { branch: main }", vec![]),
            ("cname: docs.example.com", vec![]),
            ("source: { branch: main, path: /docs }", vec![("source", Risk::Exposes)]),
            ("build_type: workflow\nsource: { branch: other }", vec![("build_type", Risk::Exposes)]),
            ("cname: null", vec![("cname", Risk::Weakens)]),
            ("https_enforced: false", vec![("https_enforced", Risk::Weakens)]),
            ("public: true", vec![("public", Risk::Exposes)]),
        ] {
            assert_eq!(found(policy, &seen), expected, "{policy}");
        }
        let other =
            json!({ "build_type": "workflow", "cname": null, "https_enforced": false, "public": true });
        let policy = "source: { branch: main }\ncname: docs.example.com\nhttps_enforced: true\npublic: false";
        let changes: Vec<(&str, Risk)> =
            ["cname", "https_enforced", "public"].map(|key| (key, Risk::Changes)).to_vec();
        assert_eq!(found(policy, &other), changes);
        assert!(found("https_enforced: false\npublic: true", &json!({})).is_empty(), "nothing is known");
    }
}
