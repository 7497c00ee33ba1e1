//! Sets the place of each list in a file to the place of the list's key. In YAML, a list without
//! brackets begins at its first entry. But a change that removes an entry shows the place of the
//! list, and must not show the line of another entry.

use super::node::{Kind, Node};

/// Returns a copy of a block in which each list has the place of its key.
pub(super) fn lists_at_keys(root: &Node) -> Node {
    let mut root = root.clone();
    move_lists(&mut root);
    root
}

fn move_lists(node: &mut Node) {
    if let Kind::Map(entries) = &mut node.kind {
        for (key, value) in entries {
            // A list in brackets is usually on the same line as its key. Such a list keeps its own
            // column.
            if matches!(value.kind, Kind::List(_)) && value.asked.line > key.asked.line {
                value.asked = key.asked.clone();
                value.column = key.column;
            }
        }
    }
    node.children().for_each(move_lists);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_the_line_of_its_key_and_an_entry_keeps_its_own_line() {
        let text = "teams:\n\n  # Everybody.\n  - name: core\n    permission: push\n\
                    labels: [{ name: bug }]\n\
                    rulesets:\n- name: main\n  bypass_actors:\n  - actor_type: OrganizationAdmin\n";
        let root = lists_at_keys(&Node::parse("settings.yml", text).unwrap());
        let place = |node: &Node| (node.asked.line, node.column);
        let teams = root.get("teams").unwrap();
        assert_eq!((place(teams), place(&teams.items()[0]).0), ((1, 1), 4));
        assert_eq!(place(root.get("labels").unwrap()), (6, 9));
        let ruleset = &root.get("rulesets").unwrap().items()[0];
        let actors = ruleset.get("bypass_actors").unwrap();
        assert_eq!((place(actors), actors.items()[0].asked.line), ((9, 3), 10));
    }
}
