//! The repositories that a setting of the organisation selects. The policy names them, and GitHub's
//! API has their ids.

use std::collections::BTreeMap;

use beadle_engine::Failure;
use beadle_github::Path;
use serde_json::{Value, json};

use super::aspect::Context;
use crate::aspects::AspectPlan;
use crate::policy::Node;

/// The names of some repositories, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selected(BTreeMap<u64, String>);

impl Selected {
    /// Returns the repositories that the policy names. If a name does not exist, the part `part` of
    /// the plan is unknown, and the result is `None`.
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

    /// Returns whether both select the same repositories. A repository can have a new name.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.0.keys().eq(other.0.keys())
    }

    /// Returns whether this selects a repository that `other` does not select.
    pub(super) fn has_more_than(&self, other: &Self) -> bool {
        self.0.keys().any(|id| !other.0.contains_key(id))
    }

    /// Returns the names, for a plan.
    pub(super) fn names(&self) -> Value {
        let mut names: Vec<&String> = self.0.values().collect();
        names.sort_unstable();
        json!(names)
    }

    /// Returns the ids, as GitHub expects them.
    pub(super) fn ids(&self) -> Value {
        json!(self.0.keys().collect::<Vec<_>>())
    }
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
