//! The name of a change, for a text about one change of a key. The name contains neither a value
//! nor the name of the repository. So a change has the same name in every repository.

use std::collections::BTreeSet;

use crate::plan::{Change, PolicyLocation};

/// The maximum number of values in a name, and the maximum number of policy lines in a name.
const NAMED: usize = 3;

/// Returns the name of a change, and the policy lines that ask for the change. Examples are
/// `settings delete_branch_on_merge (settings.yml:3)` and `teams team core: permission
/// (settings.yml:7)`. If a whole part, such as a team, appears or disappears, the name has no
/// values.
pub(crate) fn change_name<W>(change: &Change<W>) -> String {
    let Change { aspect, what, fields, .. } = change;
    let is_whole = fields.iter().any(|field| field.before.is_null() || field.after.is_null());
    let values = list(fields.iter().map(|field| field.name.clone()).collect());
    let name = match (what.as_str(), values.as_str()) {
        ("", "") => aspect.clone(),
        ("", values) => format!("{aspect} {values}"),
        (what, values) if is_whole || values.is_empty() => format!("{aspect} {what}"),
        (what, values) => format!("{aspect} {what}: {values}"),
    };
    let asked: BTreeSet<&PolicyLocation> = fields.iter().filter_map(|field| field.asked.as_ref()).collect();
    if asked.is_empty() {
        return name;
    }
    format!("{name} ({})", list(asked.into_iter().map(ToString::to_string).collect()))
}

/// Returns the first words, and the number of the other words.
fn list(mut words: Vec<String>) -> String {
    let more = words.len().saturating_sub(NAMED);
    words.truncate(NAMED);
    if more > 0 {
        words.push(format!("{more} more"));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::{Field, Risk};
    use crate::testing::change;

    #[test]
    fn a_name_has_the_values_and_their_lines_but_not_what_they_are() {
        let field = |name: &str, before: Value, line: Option<u32>| Field {
            name: name.into(),
            before,
            after: json!("secret"),
            asked: line.map(|line| PolicyLocation { file: "settings.yml".into(), line }),
            risk: Risk::Changes,
        };
        let setting = |line: u32| field("has_wiki", json!("a"), Some(line));
        for (aspect, what, fields, name) in [
            ("settings", "", vec![setting(3)], "settings has_wiki (settings.yml:3)"),
            (
                "settings",
                "",
                vec![setting(9), setting(3), setting(3)],
                "settings has_wiki, has_wiki, has_wiki (settings.yml:3, settings.yml:9)",
            ),
            (
                "settings",
                "",
                (1..6).map(setting).collect(),
                "settings has_wiki, has_wiki, has_wiki, 2 more (settings.yml:1, settings.yml:2, settings.yml:3, 2 more)",
            ),
            (
                "teams",
                "team core",
                vec![field("permission", json!("pull"), Some(7))],
                "teams team core: permission (settings.yml:7)",
            ),
            (
                "labels",
                "label bug",
                vec![field("color", Value::Null, Some(8))],
                "labels label bug (settings.yml:8)",
            ),
            ("settings", "", vec![field("has_wiki", json!("a"), None)], "settings has_wiki"),
            ("protection", "main", vec![], "protection main"),
            ("pages", "", vec![], "pages"),
        ] {
            let change = Change { fields, ..change(aspect, what, &[]) };
            assert_eq!(change_name(&change), name);
        }
    }
}
