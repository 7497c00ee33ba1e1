//! Plans and writes the reviewers of requests to bypass push protection. A policy specifies a team
//! by its slug or its id, and a role by its id. For each slug, Beadle makes one conditional REST
//! call.
//!
//! <https://docs.github.com/rest/repos/repos#update-a-repository>

use beadle_engine::{Failure, Field, Risk};
use beadle_github::{NameKind, Path};
use serde_json::{Value, json};

use super::super::aspect::{AspectPlan, Context, field};
use crate::policy::Want;

/// The feature that needs reviewers.
const FEATURE: &str = "secret_scanning_delegated_bypass";
/// The key of the feature's options.
pub(super) const OPTIONS: &str = "secret_scanning_delegated_bypass_options";

/// Returns the reviewers in a form that Beadle can compare. This form has a fixed order, and
/// contains the default values.
fn normal(reviewers: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut all: Vec<Value> = reviewers
        .map(|reviewer| {
            let text = |key: &str, default: &str| reviewer[key].as_str().unwrap_or(default).to_owned();
            json!({
                "reviewer_id": reviewer["reviewer_id"], "reviewer_type": text("reviewer_type", "TEAM"),
                "mode": text("mode", "ALWAYS"),
            })
        })
        .collect();
    all.sort_by_key(ToString::to_string);
    all.dedup();
    all
}

/// Returns the risk of new reviewers. `EXEMPT` allows more than `ALWAYS`.
fn risk(before: &[Value], after: &[Value]) -> Risk {
    let could_before = |new: &Value| {
        before.iter().any(|old| {
            old["reviewer_id"] == new["reviewer_id"]
                && old["reviewer_type"] == new["reviewer_type"]
                && (old["mode"] == new["mode"] || new["mode"] == "ALWAYS")
        })
    };
    if after.iter().all(could_before) { Risk::Changes } else { Risk::Weakens }
}

/// Returns the declared reviewers with their ids. If Beadle cannot resolve a team, the function
/// records the reason and returns `None`.
async fn resolved(
    context: &Context<'_>,
    want: &Want,
    wanted: &[Value],
    plan: &mut AspectPlan,
) -> Result<Option<Vec<Value>>, Failure> {
    let mut all = Vec::with_capacity(wanted.len());
    for reviewer in wanted {
        let mut reviewer = reviewer.clone();
        if let Some(slug) = reviewer["team"].as_str().map(str::to_owned) {
            let team = match context.reader.of_organisation(Path::at("teams").value(&slug)).await {
                Ok(team) => team,
                Err(failure) => {
                    plan.part_failed(OPTIONS, &failure)?;
                    return Ok(None);
                }
            };
            let Some(id) = team["id"].as_u64() else {
                plan.cannot_read_part(OPTIONS, format!("GitHub does not show the id of the team `{slug}`"));
                return Ok(None);
            };
            let other = context.names.another_owner(NameKind::Team, &slug, id, Some(&want.asked)).await?;
            if let Some(reason) = other {
                plan.cannot_resolve_part(OPTIONS, reason);
                return Ok(None);
            }
            reviewer = json!({ "reviewer_id": id, "reviewer_type": "TEAM", "mode": reviewer["mode"] });
        }
        if !reviewer["reviewer_id"].is_u64() {
            let reason = format!("a reviewer needs `team` or `reviewer_id` ({})", want.asked);
            plan.cannot_resolve_part(OPTIONS, reason);
            return Ok(None);
        }
        all.push(reviewer);
    }
    Ok(Some(normal(all.into_iter())))
}

/// Returns the fields that differ, and the feature values that Beadle must send. Returns `None` if
/// there is nothing to change.
pub(super) async fn change(
    context: &Context<'_>,
    want: &Want,
    seen: &Value,
    plan: &mut AspectPlan,
) -> Result<Option<(Vec<Field>, Value)>, Failure> {
    let Some(wanted) = want.value[OPTIONS]["reviewers"].as_array() else { return Ok(None) };
    let (declared, live) = (&want.value[FEATURE]["status"], &seen[FEATURE]["status"]);
    if live.is_null() && !declared.is_null() {
        // The plan already reports that this repository does not have the feature.
        return Ok(None);
    }
    let status = if declared.is_null() { live } else { declared };
    if status != "enabled" {
        // While the feature is off, GitHub ignores the reviewers.
        let reason = format!("`{OPTIONS}` has an effect only while `{FEATURE}` is enabled ({})", want.asked);
        plan.cannot_resolve_part(OPTIONS, reason);
        return Ok(None);
    }
    let Some(after) = resolved(context, want, wanted, plan).await? else { return Ok(None) };
    let live = seen[OPTIONS]["reviewers"].as_array().cloned().unwrap_or_default();
    let before = normal(live.into_iter());
    if before == after {
        return Ok(None);
    }
    let name = format!("security_and_analysis.{OPTIONS}.reviewers");
    let risk = risk(&before, &after);
    let fields = vec![field(&name, json!(before), json!(after), Some(&want.asked), risk)];
    let mut features = json!({ OPTIONS: { "reviewers": after } });
    if !declared.is_null() {
        features[FEATURE] = json!({ "status": declared });
    }
    Ok(Some((fields, features)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_reviewers_and_wider_modes_are_weakenings() {
        let list = |entries: &[(u64, &str)]| {
            normal(entries.iter().map(|(id, mode)| json!({ "reviewer_id": id, "mode": mode })))
        };
        for (before, after, expected) in [
            (vec![(1, "ALWAYS")], vec![(1, "ALWAYS"), (2, "ALWAYS")], Risk::Weakens),
            (vec![(1, "ALWAYS")], vec![(1, "EXEMPT")], Risk::Weakens),
            (vec![(1, "EXEMPT"), (2, "ALWAYS")], vec![(1, "ALWAYS")], Risk::Changes),
        ] {
            assert_eq!(risk(&list(&before), &list(&after)), expected, "{before:?} to {after:?}");
        }
        let short = normal(std::iter::once(json!({ "reviewer_id": 1 })));
        assert_eq!(short, list(&[(1, "ALWAYS")]));
    }
}
