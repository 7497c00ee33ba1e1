//! Checks the sections of the organisation itself against rules that the shapes of these sections
//! cannot express.

use super::keys::ORGANIZATION;
use super::lists::list_of;
use super::node::{Kind, Node};
use super::pattern::short;
use super::problem::Problem;
use super::shape::Shape;
use crate::identity;

/// The switches that allow members to create a kind of repository.
const CREATION: &[&str] = &[
    "members_can_create_public_repositories",
    "members_can_create_private_repositories",
    "members_can_create_internal_repositories",
];

/// Checks the sections of the organisation itself.
pub(super) fn check(root: &Node, problems: &mut Vec<Problem>) {
    if let Some(section) = root.get("organization") {
        creation(section, problems);
        for property in section.get("custom_properties").map(list_of).map(Node::items).unwrap_or_default() {
            if let Some(why) = definition(property) {
                problems.push(error(property, format!("`organization.custom_properties`: {why}")));
            }
        }
        if let Some(claims) =
            section.get("oidc_subject").and_then(|subject| subject.get("include_claim_keys"))
            && let Some(why) = subject(claims)
        {
            problems.push(error(claims, format!("`organization.oidc_subject`: {why}")));
        }
        for name in ["variables", "secrets", "dependabot_secrets", "codespaces_secrets", "runner_groups"] {
            for item in section.get(name).map(list_of).map(Node::items).unwrap_or_default() {
                selection(name, item, problems);
            }
        }
        for group in section.get("runner_groups").map(list_of).map(Node::items).unwrap_or_default() {
            workflows(group, problems);
        }
        for key in ORGANIZATION.iter().filter(|key| is_list(&key.shape)) {
            if let Some(node) = section.get(key.name) {
                let required = key.shape.entry_keys().iter().filter(|needed| needed.is_required);
                let required: Vec<&str> = required.map(|needed| needed.name).collect();
                list(&format!("organization.{}", key.name), key.name, &required, node, problems);
            }
        }
    }
    if let Some(node) = root.get("custom_repository_roles") {
        // Another check reports the missing keys of a section's entries.
        list("custom_repository_roles", "custom_repository_roles", &[], node, problems);
    }
}

fn error(node: &Node, text: String) -> Problem {
    Problem::error(node.asked.clone(), node.column, text)
}

/// Returns why the claims of a subject are invalid, or `None` if they are valid.
fn subject(claims: &Node) -> Option<&'static str> {
    let texts = claims.texts();
    let is_twice = |(at, claim): (usize, &String)| texts[..at].contains(claim);
    if texts.is_empty() {
        Some("`include_claim_keys` must have at least one claim")
    } else if texts.iter().enumerate().any(is_twice) {
        Some("`include_claim_keys` must have each claim once")
    } else {
        None
    }
}

/// Checks the switches for the creation of repositories.
fn creation(section: &Node, problems: &mut Vec<Problem>) {
    let is = |key: &str, wanted: bool| section.get(key).filter(|node| node.bool() == Some(wanted));
    if let Some(node) = is("members_can_create_repositories", true)
        && CREATION.iter().all(|key| is(key, false).is_some())
    {
        let text = "`organization.members_can_create_repositories: true` contradicts the three switches that allow \
                    no kind of repositories";
        problems.push(error(node, text.to_owned()));
    }
    if is("members_can_create_repositories", false).is_none() {
        return;
    }
    for key in CREATION {
        if let Some(node) = is(key, true) {
            let text =
                format!("`organization.{key}: true` contradicts `members_can_create_repositories: false`");
            problems.push(error(node, text));
        }
    }
}

/// Checks the list of workflows in an entry. This list is allowed only if the runner group is
/// restricted to workflows. For any other group, GitHub ignores the list.
fn workflows(item: &Node, problems: &mut Vec<Problem>) {
    let is_open = item.get("restricted_to_workflows").and_then(Node::bool) == Some(false);
    if let Some(node) = item.get("selected_workflows").filter(|node| is_open && !node.items().is_empty()) {
        let text = "`selected_workflows` of `organization.runner_groups` has an effect only with \
                    `restricted_to_workflows: true`";
        problems.push(error(node, text.to_owned()));
    }
}

/// If an entry has a list of repositories, checks that the visibility is `selected`.
fn selection(list: &str, item: &Node, problems: &mut Vec<Problem>) {
    let visibility = item.get("visibility").and_then(Node::text);
    if let Some(node) = item.get("selected_repositories").filter(|node| !node.is_null())
        && visibility.is_some_and(|visibility| visibility != "selected")
    {
        let text = format!(
            "`selected_repositories` of `organization.{list}` has an effect only with `visibility: selected`"
        );
        problems.push(error(node, text));
    }
}

/// Checks the form of a list's block, and the required keys of the list's entries. Also checks that
/// each entry appears only once.
fn list(path: &str, name: &str, required: &[&str], node: &Node, problems: &mut Vec<Problem>) {
    if matches!(node.kind, Kind::Map(_)) && node.entries().len() != 1 {
        problems.push(error(node, format!("`{path}` must have exactly one of `exclusive` and `additive`")));
        return;
    }
    let items = list_of(node).items();
    for (at, item) in items.iter().enumerate() {
        for key in required.iter().filter(|key| item.get(key).is_none()) {
            problems.push(error(item, format!("an entry of `{path}` must have `{key}`")));
        }
        if items[..at].iter().any(|other| is_same(name, other, item)) {
            problems.push(error(item, format!("`{path}` has {} twice", named(name, item))));
        }
    }
}

/// Returns the reason why GitHub refuses the definition of a custom property.
fn definition(property: &Node) -> Option<&'static str> {
    let kind = property.get("value_type").and_then(Node::text)?;
    let is_select = ["single_select", "multi_select"].contains(&kind);
    let allowed = property.get("allowed_values").map(Node::texts).unwrap_or_default();
    let default = property.get("default_value").filter(|node| !node.is_null());
    let defaults = default.map(|node| node.text().map_or_else(|| node.texts(), |text| vec![text.to_owned()]));
    let defaults = defaults.unwrap_or_default();
    if property.get("required").and_then(Node::bool) == Some(true) && defaults.is_empty() {
        Some("a property with `required: true` must have a `default_value`")
    } else if is_select && allowed.is_empty() {
        Some("a property of this type must have `allowed_values`")
    } else if !is_select && !allowed.is_empty() {
        Some("`allowed_values` is only for `single_select` and `multi_select`")
    } else if is_select && !defaults.iter().all(|value| allowed.contains(value)) {
        Some("`default_value` must be one of `allowed_values`")
    } else {
        None
    }
}

/// Returns whether a key has the shape of a list in the section `organization`.
fn is_list(shape: &Shape) -> bool {
    matches!(shape, Shape::Either(Shape::List(_), Shape::Map(_)))
}

fn is_same(list: &str, one: &Node, other: &Node) -> bool {
    match (one.text(), other.text()) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        _ => identity::same(list, one, other),
    }
}

/// Returns the name of an entry for an error. The name of a webhook does not contain the address,
/// because the address can contain a secret.
fn named(list: &str, item: &Node) -> String {
    let name = item.text().map(str::to_owned);
    let name = name.or_else(|| identity::name(list, item).map(|name| name.written));
    match name.filter(|_| list != "webhooks") {
        Some(name) => format!("the entry `{}`", short(&name)),
        None => "this entry".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contradiction_between_the_switches_of_creation_is_refused() {
        for (text, expected) in [
            ("{ members_can_create_repositories: false }", 0),
            ("{ members_can_create_repositories: true, members_can_create_public_repositories: true }", 0),
            (
                "{ members_can_create_repositories: true, members_can_create_public_repositories: false, \
                 members_can_create_private_repositories: false }",
                0,
            ),
            (
                "{ members_can_create_repositories: true, members_can_create_public_repositories: false, \
                 members_can_create_private_repositories: false, members_can_create_internal_repositories: false }",
                1,
            ),
            ("{ members_can_create_repositories: false, members_can_create_public_repositories: false }", 0),
            ("{ members_can_create_repositories: false, members_can_create_public_repositories: true }", 1),
        ] {
            let mut problems = Vec::new();
            let root = Node::parse("settings.yml", &format!("organization: {text}")).unwrap();
            check(&root, &mut problems);
            assert_eq!(problems.len(), expected, "{text}: {problems:?}");
        }
    }

    #[test]
    fn entries_and_definitions_that_github_refuses_are_refused() {
        for (text, expected) in [
            ("{ webhooks: [{ url: 'https://a' }, { url: 'https://a' }] }", 1),
            ("{ webhooks: { additive: [{ url: 'https://a' }] } }", 0),
            ("{ webhooks: { additive: [], exclusive: [] } }", 1),
            ("{ blocked_users: [mona, Mona] }", 1),
            ("{ runner_groups: [{ name: a, selected_repositories: [x] }] }", 0),
            ("{ runner_groups: [{ name: a, restricted_to_workflows: false, selected_workflows: [x] }] }", 1),
            ("{ runner_groups: [{ name: a, restricted_to_workflows: false, selected_workflows: [] }] }", 0),
            ("{ runner_groups: [{ name: a, selected_workflows: [x] }] }", 0),
            ("{ runner_groups: [{ name: a, visibility: all, selected_repositories: [x] }] }", 1),
            ("{ variables: [{ name: a, value: x, visibility: private, selected_repositories: [x] }] }", 1),
            (
                "{ variables: [{ name: a, value: x, visibility: all }, { name: A, value: x, visibility: all }] }",
                1,
            ),
            ("{ variables: [{ name: a, value: x }] }", 1),
            ("{ oidc_subject: { include_claim_keys: [repo, actor] } }", 0),
            ("{ oidc_subject: { use_immutable_subject: true } }", 0),
            ("{ oidc_subject: { include_claim_keys: [repo, actor, repo] } }", 1),
            ("{ oidc_subject: { include_claim_keys: [] } }", 1),
            ("{ secrets: { exclusive: [{ name: a, secret: x, visibility: all }] } }", 0),
            ("{ secrets: [{ name: a, visibility: all }, { name: b, secret: x }] }", 2),
            (
                "{ secrets: [{ name: a, secret: x, visibility: all }, { name: A, secret: y, visibility: all }] }",
                1,
            ),
            (
                "{ dependabot_secrets: [{ name: a, secret: x, visibility: all, selected_repositories: [y] }] }",
                1,
            ),
            ("{ custom_properties: [{ name: a, value_type: string }] }", 0),
            ("{ custom_properties: [{ name: a, value_type: string, required: true }] }", 1),
            ("{ custom_properties: [{ name: a, value_type: single_select }] }", 1),
            ("{ custom_properties: [{ name: a, value_type: url, allowed_values: [x] }] }", 1),
            (
                "{ custom_properties: [{ name: a, value_type: multi_select, allowed_values: [x], default_value: [y] }] }",
                1,
            ),
        ] {
            let mut problems = Vec::new();
            let root = Node::parse("settings.yml", &format!("organization: {text}")).unwrap();
            check(&root, &mut problems);
            assert_eq!(problems.len(), expected, "{text}: {problems:?}");
        }
    }
}
