//! Refuses a policy in mode `enforce` if the policy has guardrails that Beadle does not run.

use beadle_repositories::policy::{Node, Problem};
use beadle_repositories::{Policy, PolicyError};

/// Returns the policy, or an error if it has JavaScript validators of safe-settings and `refuses`
/// says that the organisation does not accept them.
pub(crate) fn accept(policy: Policy, refuses: bool) -> Result<Policy, PolicyError> {
    if policy.validators.is_empty() || !refuses {
        return Ok(policy);
    }
    let problem = |key: &Node| {
        let name = key.text().unwrap_or_default();
        let text =
            format!("`{name}`: Beadle does not run these validators, so mode `enforce` would drop them");
        let hint = "write them as rules in rules/*.yml and remove the key, or set `validators = \"ignored\"` in [[org]]";
        Problem::error(key.asked.clone(), key.column, text).hint(hint)
    };
    // The check already reported the same keys as keys that Beadle does not carry out.
    let is_other = |remark: &&Problem| {
        !policy.validators.iter().any(|key| key.asked == remark.asked && key.column == remark.column)
    };
    let others = policy.remarks.iter().filter(is_other).cloned();
    let problems = policy.validators.iter().map(problem).chain(others).collect();
    Err(PolicyError::Invalid { problems, sources: policy.sources })
}
