//! Plans and writes the rulesets of the organisation. An organisation has only a few rulesets, and
//! REST shows them completely.
//!
//! <https://docs.github.com/rest/orgs/rules>

use async_trait::async_trait;
use beadle_engine::Failure;
use beadle_github::Path;
use serde_json::Value;

use super::aspect::{ADMINISTRATION, Context, OrganisationAspect, OrganisationPlanner, Section};
use crate::aspects::AspectPlan;
use crate::aspects::rulesets::{create, match_policy, remove};
use crate::policy::Node;

/// The aspect for an organisation's rulesets. The section's description is in the aspect for the
/// repositories' rulesets.
pub(super) const RULESETS: OrganisationAspect = OrganisationAspect {
    name: "organisation_rulesets",
    section: "rulesets",
    sections: &[],
    keys: &[],
    permissions: &[ADMINISTRATION],
    events: &["repository_ruleset"],
    planner: &Rulesets,
};

struct Rulesets;

#[async_trait]
impl OrganisationPlanner for Rulesets {
    async fn plan(
        &self,
        context: &Context<'_>,
        section: &Section<'_>,
        plan: &mut AspectPlan,
    ) -> Result<(), Failure> {
        let rows = context.reader.list_of_organisation("rulesets?per_page=100", &["id", "name"]).await?;
        // The enterprise can also have rulesets. The organisation cannot change rulesets of the
        // enterprise, so Beadle skips them.
        let own: Vec<&Value> = rows.iter().filter(|row| row["source_type"] == "Organization").collect();
        for want in section.node.items() {
            let Some(name) = want.get("name").and_then(Node::text) else { continue };
            match own.iter().find(|row| row["name"] == name) {
                Some(row) => {
                    let Some(id) = row["id"].as_u64() else { continue };
                    let whole = context.reader.of_organisation(Path::at("rulesets").id(id)).await?;
                    let from = plan.changes.len();
                    match_policy(want, name, &whole, plan);
                    // The change affects every repository that the old or the new conditions
                    // select.
                    let wanted = want.get("conditions").map(Node::json);
                    let wanted = named(wanted.as_ref().unwrap_or(&whole["conditions"]));
                    let narrowed = named(&whole["conditions"]).zip(wanted).map(|(was, will)| was.max(will));
                    context.reach(plan, from, narrowed).await?;
                }
                None => create(want, name, plan),
            }
        }
        let wants = section.node.items();
        let listed =
            |name: &str| wants.iter().any(|want| want.get("name").and_then(Node::text) == Some(name));
        for row in own.into_iter().filter(|_| section.exclusive) {
            if let (Some(name), Some(id)) = (row["name"].as_str(), row["id"].as_u64())
                && !listed(name)
            {
                let whole = context.reader.of_organisation(Path::at("rulesets").id(id)).await?;
                let from = plan.changes.len();
                remove(name, id, section.node, plan);
                context.reach(plan, from, named(&whole["conditions"])).await?;
            }
        }
        Ok(())
    }
}

/// If a ruleset's conditions select repositories only by their ids or full names, returns the
/// number of these ids or names. Returns `None` if the conditions contain a pattern or a property,
/// because these can match any repository.
fn named(conditions: &Value) -> Option<u32> {
    let is_plain = |name: &Value| name.as_str().is_some_and(|name| !name.contains(['*', '?', '[', '{', '~']));
    let ids = conditions["repository_id"]["repository_ids"].as_array();
    let names = conditions["repository_name"]["include"].as_array();
    let listed = ids.or(names.filter(|names| names.iter().all(is_plain)))?;
    u32::try_from(listed.len()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_ruleset_reaches_everything_unless_it_names_its_repositories() {
        assert_eq!(named(&json!({ "repository_id": { "repository_ids": [1, 2] } })), Some(2));
        assert_eq!(named(&json!({ "repository_name": { "include": ["shop"], "exclude": [] } })), Some(1));
        for all in ["~ALL", "pay*", "sho?"] {
            assert_eq!(named(&json!({ "repository_name": { "include": ["shop", all] } })), None);
        }
        assert_eq!(named(&json!({ "repository_property": { "include": [{ "name": "tier" }] } })), None);
        assert_eq!(named(&Value::Null), None);
    }
}
