//! Some facts have two spellings in a policy: a repository's visibility, security features, and the
//! rule of the default branch. Rules and comparisons of layers have to see a fact in both spellings.
//! Otherwise, a layer could pass a rule by using the other spelling.

use super::merge::merge;
use super::node::{Kind, Node};
use super::security_keys::SECURITY;
use super::waived_key::{BRANCHES, DEFAULT};

/// Returns the values of one layer. The result contains each fact in both spellings.
/// `default_branches` contains the name of the repository's default branch, and the name that the
/// policy declares for it.
pub(super) fn in_both_spellings(root: &Node, default_branches: &[&str]) -> Node {
    let mut root = with_default_branches(root, default_branches);
    if let Some(repository) = root.get("repository").filter(|node| !node.is_null()).cloned() {
        root = root.with("repository", &with_visibility(&repository));
    }
    with_security(&root)
}

/// Returns the values of one layer. In the result, the entry `default` and the entries for these
/// branches contain the same values.
pub(super) fn with_default_branches(root: &Node, branches: &[&str]) -> Node {
    branches.iter().fold(root.clone(), |root, branch| with_default_branch(&root, branch))
}

/// Returns the values of one layer. In the result, the entry `default` and the entry for the default
/// branch contain the same values. If the layer has both entries, the entry with the branch's name
/// wins, as it does in a plan.
fn with_default_branch(root: &Node, branch: &str) -> Node {
    let Some(mut list) = root.get(BRANCHES).cloned() else { return root.clone() };
    let entries = match &mut list.kind {
        Kind::List(entries) => entries,
        Kind::Edit(edit) => match &mut edit.entries {
            Some(entries) => entries,
            None => return root.clone(),
        },
        _ => return root.clone(),
    };
    let place = |entries: &[Node], name: &str| {
        entries.iter().position(|entry| entry.get("name").and_then(Node::text) == Some(name))
    };
    let places = [DEFAULT, branch].map(|name| place(entries, name));
    let found = places.map(|place| place.map(|at| entries[at].clone()));
    let both = match found {
        [Some(default), Some(named)] => merge(&default, &named),
        [Some(entry), None] | [None, Some(entry)] => entry,
        [None, None] => return root.clone(),
    };
    for (name, place) in [DEFAULT, branch].into_iter().zip(places) {
        let mut entry = both.clone();
        if let Some(node) = entry.child("name") {
            node.kind = Kind::Text(name.to_owned());
        }
        match place {
            Some(at) => entries[at] = entry,
            None => entries.push(entry),
        }
    }
    root.with(BRANCHES, &list)
}

/// Returns the section `repository` with both `private` and `visibility`, if it sets one of them.
fn with_visibility(repository: &Node) -> Node {
    let (private, visibility) = (repository.get("private"), repository.get("visibility"));
    match (private, visibility) {
        (Some(node), None) if node.bool().is_some() => {
            let text = if node.bool() == Some(true) { "private" } else { "public" };
            set(repository, "visibility", Node { kind: Kind::Text(text.to_owned()), ..node.clone() })
        }
        (None, Some(node)) if node.text().is_some() => {
            let is_private = node.text() != Some("public");
            set(repository, "private", Node { kind: Kind::Bool(is_private), ..node.clone() })
        }
        _ => repository.clone(),
    }
}

/// Returns the values of one layer. The result contains each security feature in the section
/// `security`. If the layer has the section `repository`, the result also contains each feature in the
/// block `repository.security`. A layer without this section must not get it, because a rule about
/// the section would then apply to the layer.
pub(super) fn with_security(root: &Node) -> Node {
    let block = |node: Option<&Node>| node.filter(|node| !node.is_null()).cloned();
    let mut repository = block(root.get("repository"));
    let mut old = block(repository.as_ref().and_then(|node| node.get("security")));
    let mut new = block(root.get("security"));
    for (incumbent, own) in SECURITY {
        let in_old = old.as_ref().and_then(|node| node.get(incumbent)).cloned();
        let in_new = new.as_ref().and_then(|node| node.get(own)).cloned();
        match (in_old, in_new) {
            (Some(value), None) => new = Some(set(&new.unwrap_or_else(|| empty(&value)), own, value)),
            (None, Some(value)) if repository.is_some() => {
                old = Some(set(&old.unwrap_or_else(|| empty(&value)), incumbent, value));
            }
            _ => {}
        }
    }
    let mut root = root.clone();
    if let Some(old) = old {
        repository = Some(set(&repository.unwrap_or_else(|| empty(&old)), "security", old));
    }
    for (section, node) in [("repository", repository), ("security", new)] {
        if let Some(node) = node {
            root = set(&root, section, node);
        }
    }
    root
}

/// Returns a block without keys at the line of `node`.
fn empty(node: &Node) -> Node {
    Node { kind: Kind::Map(Vec::new()), ..node.clone() }
}

/// Returns a copy of a block, in which a key has this value.
fn set(block: &Node, key: &str, value: Node) -> Node {
    if block.get(key).is_some() {
        return block.with(key, &value);
    }
    let Kind::Map(entries) = &block.kind else { return block.clone() };
    let name = Node { kind: Kind::Text(key.to_owned()), ..value.clone() };
    let entries = entries.iter().cloned().chain([(name, value)]).collect();
    Node { kind: Kind::Map(entries), ..block.clone() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Node {
        Node::parse("settings.yml", text).unwrap()
    }

    #[test]
    fn every_fact_is_in_both_spellings() {
        let both = |text: &str| in_both_spellings(&read(text), &["main"]).json();
        assert_eq!(
            both("repository: { private: false }"),
            json!({ "repository": { "private": false, "visibility": "public" } })
        );
        assert_eq!(
            both("repository: { visibility: internal }"),
            json!({ "repository": { "private": true, "visibility": "internal" } })
        );
        let security = json!({
            "repository": { "security": { "enableVulnerabilityAlerts": false } },
            "security": { "dependabot_alerts": false },
        });
        assert_eq!(both("repository: {}\nsecurity: { dependabot_alerts: false }"), security);
        assert_eq!(both("repository: { security: { enableVulnerabilityAlerts: false } }"), security);
        let alone = "security: { dependabot_alerts: false }";
        assert_eq!(both(alone), json!({ "security": { "dependabot_alerts": false } }));
        assert_eq!(both("topics: [a]"), json!({ "topics": ["a"] }));
    }

    #[test]
    fn the_default_branch_has_one_rule_with_two_names() {
        let text = "branches:\n- { name: default, protection: { a: 1, b: 1 } }\n- { name: main, protection: { b: 2 } }\n- \
                    { name: dev, protection: { b: 3 } }\n";
        let both = with_default_branches(&read(text), &["main"]).json();
        let rule = json!({ "a": 1, "b": 2 });
        let expected = json!({ "branches": [
            { "name": "default", "protection": rule }, { "name": "main", "protection": rule },
            { "name": "dev", "protection": { "b": 3 } },
        ] });
        assert_eq!(both, expected);
        let only = with_default_branches(&read("branches: [{ name: main, protection: null }]"), &["main"]);
        let expected = json!({ "branches": [{ "name": "main", "protection": null }, { "name": "default", "protection": null }] });
        assert_eq!(only.json(), expected);
    }
}
