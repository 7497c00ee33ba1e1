//! How a narrower layer changes a wider one, by the incumbent's rules: keys merge, the narrower value wins; items of
//! lists match on the first name that both have, else they are appended.

use super::node::{Kind, Node};

/// By these keys items of a list are the same thing, in this order.
const IDENTITIES: &[&str] =
    &["name", "username", "actor_id", "login", "type", "key_prefix", "context", "url"];

/// What an item of a list is called, where it has a name.
pub(super) fn identity(item: &Node) -> Option<&Node> {
    IDENTITIES.iter().find_map(|key| item.get(key))
}

/// `over` laid over `under`.
pub(crate) fn merge(under: &Node, over: &Node) -> Node {
    merge_value("", under, over)
}

fn merge_value(key: &str, under: &Node, over: &Node) -> Node {
    let kind = match (&under.kind, &over.kind) {
        (Kind::Map(under), Kind::Map(over)) => Kind::Map(merge_maps(under, over)),
        (Kind::List(under), Kind::List(over)) => Kind::List(merge_lists(key, under, over)),
        _ => return over.clone(),
    };
    Node { kind, ..over.clone() }
}

fn merge_maps(under: &[(Node, Node)], over: &[(Node, Node)]) -> Vec<(Node, Node)> {
    let mut merged = under.to_vec();
    for (key, value) in over {
        match merged.iter_mut().find(|(name, _)| name.kind == key.kind) {
            Some((name, old)) => {
                *old = merge_value(key.text().unwrap_or_default(), old, value);
                *name = key.clone();
            }
            None => merged.push((key.clone(), value.clone())),
        }
    }
    merged
}

fn merge_lists(key: &str, under: &[Node], over: &[Node]) -> Vec<Node> {
    let mut merged = under.to_vec();
    for item in over {
        match merged.iter_mut().find(|other| same(key, other, item)) {
            Some(other) => *other = merge_value(key, other, item),
            None => merged.push(item.clone()),
        }
    }
    merged
}

/// Whether two entries of the list `key` are one thing.
pub(super) fn same(key: &str, one: &Node, other: &Node) -> bool {
    if let (Kind::Map(_), Kind::Map(_)) = (&one.kind, &other.kind) {
        let identity = IDENTITIES.iter().find_map(|key| Some((one.get(key)?, other.get(key)?)));
        return identity.is_some_and(|(one, other)| same_name(key, one, other));
    }
    one.kind == other.kind
}

/// Whether two names in the list `key` are one thing. Branches and checks differ by case; teams and people do not.
pub(crate) fn same_name(key: &str, one: &Node, other: &Node) -> bool {
    match (one.text(), other.text()) {
        (Some(one), Some(other)) if !matches!(key, "branches" | "checks" | "required_status_checks") => {
            one.eq_ignore_ascii_case(other)
        }
        _ => one.kind == other.kind,
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
