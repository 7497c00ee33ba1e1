//! Merges two layers by the rules of safe-settings. If both layers set a key, the layer of higher
//! rank wins. Entries of lists are merged if they have the same identity (`crate::identity`). All
//! other entries are added to the list.

use super::node::{Kind, Node};
use crate::identity::pair_layers;

/// Merges the layer of lower rank `under` with the layer of higher rank `over`. The values of
/// `over` win.
pub(crate) fn merge(under: &Node, over: &Node) -> Node {
    merge_value("", under, over)
}

/// Merges two values. `list` is the key of the list to which the values belong. If the values are
/// lists, it is their own key.
fn merge_value(list: &str, under: &Node, over: &Node) -> Node {
    let kind = match (&under.kind, &over.kind) {
        (Kind::Map(under), Kind::Map(over)) => Kind::Map(merge_maps(list, under, over)),
        (Kind::List(under), Kind::List(over)) => Kind::List(merge_lists(list, under, over)),
        _ => return over.clone(),
    };
    Node { kind, ..over.clone() }
}

fn merge_maps(list: &str, under: &[(Node, Node)], over: &[(Node, Node)]) -> Vec<(Node, Node)> {
    let mut merged = under.to_vec();
    for (key, value) in over {
        match merged.iter_mut().find(|(name, _)| name.kind == key.kind) {
            Some((name, old)) => {
                // The list of a section can be in the key `include`.
                let inner = key.text().filter(|key| *key != "include").unwrap_or(list);
                *old = merge_value(inner, old, value);
                *name = key.clone();
            }
            None => merged.push((key.clone(), value.clone())),
        }
    }
    merged
}

fn merge_lists(list: &str, under: &[Node], over: &[Node]) -> Vec<Node> {
    let matched = pair_layers(list, over, under);
    let mut merged = under.to_vec();
    for (new, old) in matched.both {
        merged[old] = merge_value(list, &under[old], &over[new]);
    }
    merged.extend(matched.only_desired.into_iter().map(|new| over[new].clone()));
    merged
}

/// Returns the list `root` without the entries that the list `removed` contains.
pub(super) fn without_entries(list: &str, root: &Node, removed: &Node) -> Node {
    let kept = pair_layers(list, removed.items(), root.items()).only_observed;
    Node {
        kind: Kind::List(kept.into_iter().map(|place| root.items()[place].clone()).collect()),
        ..root.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(under: &str, over: &str) -> serde_json::Value {
        merge(&Node::parse("a.yml", under).unwrap(), &Node::parse("b.yml", over).unwrap()).json()
    }

    #[test]
    fn the_narrower_layer_wins_key_by_key() {
        let merged =
            merged("repository: {has_wiki: true, has_issues: true}", "repository: {has_wiki: false}");
        assert_eq!(merged, serde_json::json!({"repository": {"has_wiki": false, "has_issues": true}}));
    }

    #[test]
    fn items_match_on_their_name_and_are_appended_otherwise() {
        let merged = merged(
            "teams: [{name: a, permission: pull}, {name: b, permission: pull}]",
            "teams: [{name: b, permission: admin}, {name: c, permission: push}]",
        );
        let expected = serde_json::json!({"teams": [
            {"name": "a", "permission": "pull"}, {"name": "b", "permission": "admin"}, {"name": "c", "permission": "push"},
        ]});
        assert_eq!(merged, expected);
    }

    #[test]
    fn bypass_actors_of_two_layers_are_told_apart_by_type_and_id() {
        let layer = |actors: &str| format!("rulesets: [{{name: main, bypass_actors: [{actors}]}}]");
        let merged = merged(
            &layer("{actor_type: RepositoryRole, actor_id: 5}, {actor_type: OrganizationAdmin}"),
            &layer("{actor_type: Team, actor_id: 5}, {actor_type: OrganizationAdmin, actor_id: 1}"),
        );
        let expected = serde_json::json!([
            {"actor_type": "RepositoryRole", "actor_id": 5}, {"actor_type": "OrganizationAdmin", "actor_id": 1},
            {"actor_type": "Team", "actor_id": 5},
        ]);
        assert_eq!(merged["rulesets"][0]["bypass_actors"], expected);
    }

    #[test]
    fn checks_and_workflows_of_two_layers_are_told_apart_by_their_whole_identity() {
        let merged = merged(
            "rules: [{type: workflows, parameters: {workflows: [{path: ci.yml, repository_id: 4}]}}]\n\
             checks: [{context: ci, app_id: 15368}, {context: lint}]",
            "rules: [{type: workflows, parameters: {workflows: [{path: ci.yml, repository_id: 6}]}}]\n\
             checks: [{context: ci, app_id: 666}, {context: lint, app_id: 7}]",
        );
        let workflows = &merged["rules"][0]["parameters"]["workflows"];
        assert_eq!(workflows.as_array().map(Vec::len), Some(2), "{workflows}");
        let expected = serde_json::json!([
            {"context": "ci", "app_id": 15368}, {"context": "lint", "app_id": 7}, {"context": "ci", "app_id": 666},
        ]);
        assert_eq!(merged["checks"], expected);
    }

    #[test]
    fn names_of_two_layers_match_as_github_compares_them() {
        let names = |list: &str, key: &str, one: &str, other: &str| {
            let layer = |name: &str| format!("{list}: [{{{key}: {name}}}]");
            merged(&layer(one), &layer(other))[list].as_array().unwrap().len()
        };
        assert_eq!(names("labels", "name", "Bug", "bug"), 1);
        assert_eq!(names("teams", "name", "Platform", "platform"), 1);
        for (list, key) in [("rulesets", "name"), ("branches", "name"), ("webhooks", "url")] {
            assert_eq!(names(list, key, "https://ci/Main", "https://ci/main"), 2, "{list}");
        }
    }

    #[test]
    fn null_takes_a_block_away() {
        assert_eq!(
            merged(
                "branches: [{name: x, protection: {enforce_admins: true}}]",
                "branches: [{name: x, protection: null}]"
            ),
            serde_json::json!({"branches": [{"name": "x", "protection": null}]})
        );
    }
}
