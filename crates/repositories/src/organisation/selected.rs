//! The repositories that are selected for a variable, a secret or another setting of the
//! organisation. The policy uses the names of these repositories, and GitHub's API uses their ids.

use std::collections::BTreeMap;

use beadle_engine::{Failure, Field, Risk};
use beadle_github::Path;
use serde_json::{Value, json};

use super::aspect::Context;
use crate::aspects::{AspectPlan, field};
use crate::policy::Node;

/// The visibility of a variable or a secret that has a list of selected repositories.
pub(super) const SELECTED: &str = "selected";
/// The visibilities, ordered from the fewest repositories to the most.
const VISIBILITIES: &[&str] = &[SELECTED, "private", "all"];

/// The names of some repositories. The key is the repository's id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selected(BTreeMap<u64, String>);

impl Selected {
    /// Returns the repositories that the policy names. If a name does not exist, the function
    /// returns `None`, and records in the plan that the part `part` is unknown.
    pub(super) async fn wanted(
        context: &Context<'_>,
        names: &Node,
        part: &str,
        plan: &mut AspectPlan,
    ) -> Result<Option<Self>, Failure> {
        let index = context.index().await?;
        let mut selected = BTreeMap::new();
        for node in names.items() {
            let Some(name) = node.text() else { continue };
            let Some(row) = index.iter().find(|row| row.name.eq_ignore_ascii_case(name)) else {
                let why = format!("the organisation has no repository `{name}` ({})", node.asked);
                plan.cannot_resolve_part(part, why);
                return Ok(None);
            };
            selected.insert(row.id, row.name.clone());
        }
        Ok(Some(Self(selected)))
    }

    /// Reads the selected repositories at `path` below the organisation.
    pub(super) async fn seen(context: &Context<'_>, path: Path) -> Result<Self, Failure> {
        let path = path.query("per_page", 100);
        let rows = context.reader.rows_of_organisation(path, "repositories", &["id", "name"]).await?;
        let named =
            rows.iter().filter_map(|row| Some((row["id"].as_u64()?, row["name"].as_str()?.to_owned())));
        Ok(Self(named.collect()))
    }

    /// Returns whether both values select the same repositories. The function compares the ids,
    /// because a repository might have a new name.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.0.keys().eq(other.0.keys())
    }

    /// Returns whether this value selects a repository that `other` does not select.
    pub(super) fn has_more_than(&self, other: &Self) -> bool {
        self.0.keys().any(|id| !other.0.contains_key(id))
    }

    /// Returns the names for a plan.
    pub(super) fn names(&self) -> Value {
        let mut names: Vec<&String> = self.0.values().collect();
        names.sort_unstable();
        json!(names)
    }

    /// Returns the ids in GitHub's form.
    pub(super) fn ids(&self) -> Value {
        json!(self.0.keys().collect::<Vec<_>>())
    }
}

/// Adds the visibility of a variable or a secret to a body. If the caller passes repositories, the
/// function also adds these repositories.
pub(super) fn add_reach(body: &mut Value, visibility: &str, selected: &Selected) {
    body["visibility"] = json!(visibility);
    if visibility == SELECTED {
        body["selected_repository_ids"] = selected.ids();
    }
}

/// Compares the visibility and the repositories of a variable or a secret with `found`, the row at
/// GitHub. `path` is the path of the row. Returns the fields that differ.
pub(super) async fn compare_reach(
    context: &Context<'_>,
    (node, visibility, selected): (&Node, &str, &Selected),
    found: &Value,
    path: Path,
) -> Result<Vec<Field>, Failure> {
    let asked = |key: &str| Some(node.get(key).map_or(&node.asked, |node| &node.asked));
    let mut fields = Vec::new();
    if found["visibility"] != visibility {
        let place = |value: &str| VISIBILITIES.iter().position(|known| *known == value);
        let before = found["visibility"].as_str().unwrap_or_default();
        let is_wider = place(before) < place(visibility);
        let risk = if is_wider { Risk::Exposes } else { Risk::Removes };
        fields.push(field("visibility", json!(before), json!(visibility), asked("visibility"), risk));
    }
    if visibility == SELECTED && node.get("selected_repositories").is_some() {
        let was = if found["visibility"] == SELECTED {
            Selected::seen(context, path.then("repositories")).await?
        } else {
            Selected::default()
        };
        if !selected.is_same(&was) {
            // A change that adds no repository only takes access away from some repositories.
            let risk = if selected.has_more_than(&was) { Risk::Exposes } else { Risk::Removes };
            let asked = asked("selected_repositories");
            fields.push(field("selected_repositories", was.names(), selected.names(), asked, risk));
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(rows: &[(u64, &str)]) -> Selected {
        Selected(rows.iter().map(|(id, name)| (*id, (*name).to_owned())).collect())
    }

    #[test]
    fn repositories_are_compared_by_their_ids() {
        let (two, one) = (selected(&[(1, "shop"), (2, "api")]), selected(&[(1, "store")]));
        assert!(two.has_more_than(&one) && !one.has_more_than(&two));
        assert!(!two.is_same(&one) && one.is_same(&selected(&[(1, "shop")])));
        assert_eq!((two.names(), two.ids()), (json!(["api", "shop"]), json!([1, 2])));
    }
}
