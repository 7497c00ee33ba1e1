//! Keeps a repository's visibility if the protection of the repository is unknown. The repository
//! then does not become visible to more people.

use beadle_engine::Unknown;

use crate::aspects::{PlannedChange, Stage};

/// The aspects that protect a repository.
pub(super) const PROTECT: &[&str] = &["protection", "rulesets"];

/// If a protecting aspect is unknown, the function removes the changes that make the repository
/// visible to more people. Beadle plans these changes again when the aspect is known.
pub(super) fn wait_for_protection(changes: &mut Vec<PlannedChange>, unknowns: &mut Vec<Unknown>) {
    let Some(unknown) = unknowns.iter().find(|unknown| PROTECT.contains(&unknown.aspect.as_str())) else {
        return;
    };
    let transient = unknown.transient;
    let why = format!("Beadle changes the visibility only after `{}` is known", unknown.aspect);
    let before = changes.len();
    changes.retain(|planned| planned.stage != Stage::Widen);
    if changes.len() < before {
        let (aspect, part) = ("settings".to_owned(), Some("visibility".to_owned()));
        unknowns.push(Unknown { aspect, part, why, transient });
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use beadle_engine::Failure;

    use super::*;
    use crate::aspects::{AspectPlan, Step, WriteTarget};

    struct Nothing;

    #[async_trait]
    impl Step for Nothing {
        async fn write(&self, _: &WriteTarget) -> Result<(), Failure> {
            Ok(())
        }
    }

    #[test]
    fn a_repository_gets_more_readers_only_if_its_protection_is_known() {
        for (aspect, left) in [("protection", 1), ("rulesets", 1), ("labels", 2)] {
            let mut plan = AspectPlan::default();
            plan.change_at(Stage::Body, "label a", Vec::new(), Nothing);
            plan.change_at(Stage::Widen, "", Vec::new(), Nothing);
            let why = "the list is incomplete".to_owned();
            let mut unknowns = vec![Unknown { aspect: aspect.to_owned(), part: None, why, transient: true }];
            wait_for_protection(&mut plan.changes, &mut unknowns);
            assert_eq!(plan.changes.len(), left, "{aspect}");
            assert_eq!(unknowns.len(), 3 - left, "{aspect}: the plan says what waits");
        }
    }
}
