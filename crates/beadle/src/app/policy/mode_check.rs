//! Refuses a policy if the organisation can use the policy only in a more careful mode.

use beadle_repositories::policy::{Node, Problem, Severity};
use beadle_repositories::{Policy, PolicyError};

use crate::config::Refusals;

/// Returns the policy, or an error if the organisation refuses a part of the policy.
pub(crate) fn accept(policy: Policy, refusals: Refusals) -> Result<Policy, PolicyError> {
    let names = policy.remarks.iter().filter(|remark| remark.stops_writes && refusals.shared_names).count();
    let validators: &[Node] = if refusals.validators { &policy.validators } else { &[] };
    if names == 0 && validators.is_empty() {
        return Ok(policy);
    }
    let problem = |key: &Node| {
        let name = key.text().unwrap_or_default();
        let text =
            format!("`{name}`: Beadle does not run these validators, so mode `enforce` would drop them");
        let hint = "write them as rules in rules/*.yml and remove the key, or set `validators = \"ignored\"` in [[org]]";
        Problem::error(key.asked.clone(), key.column, text).hint(hint)
    };
    // The check of the policy has already reported that Beadle does not implement these keys.
    let is_other = |remark: &&Problem| {
        !validators.iter().any(|key| key.asked == remark.asked && key.column == remark.column)
    };
    let graver = |remark: Problem| {
        let is_error = remark.stops_writes && refusals.shared_names;
        if is_error { remark.severity(Severity::Error) } else { remark }
    };
    let others = policy.remarks.iter().filter(is_other).cloned().map(graver);
    let problems = validators.iter().map(problem).chain(others).collect();
    Err(PolicyError::Invalid { problems, sources: policy.sources })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_that_writes_refuses_a_file_that_is_for_one_repository() {
        let folder = tempfile::tempdir().unwrap();
        let text = "repository: { name: till, has_wiki: false }\n";
        std::fs::write(folder.path().join("settings.yml"), text).unwrap();
        let load = || Policy::load(folder.path(), "admin").unwrap();
        let accepts = |shared_names| accept(load(), Refusals { validators: true, shared_names });
        assert_eq!(accepts(false).unwrap().remarks[0].severity, Severity::NotYet);
        let Err(PolicyError::Invalid { problems, .. }) = accepts(true) else { panic!("it is accepted") };
        let [problem] = problems.as_slice() else { panic!("{problems:?}") };
        assert_eq!((problem.severity, problem.asked.line), (Severity::Error, 1));
        assert!(problem.hint.as_ref().unwrap().contains("--from probot"), "{problem:?}");
    }
}
