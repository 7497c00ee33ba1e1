//! Plans the connection of a group to a group of the identity provider. GitHub then sets the
//! members of the group, so Beadle does not compare them.
//!
//! <https://docs.github.com/enterprise-cloud@latest/rest/teams/external-groups>

use beadle_engine::{Failure, Field, Plan, Risk};
use serde_json::{Value, json};

use super::seen::Seen;
use super::{Desired, GROUP, GroupPlanner, What, Write, known};
use crate::targets::EXTERNAL_GROUP;

/// Returns the risk of changing the connection.
fn risk(before: &Value) -> Risk {
    // If a different group of the identity provider was connected before, the members of that group
    // can lose the access that the target's group gives. Otherwise, nobody loses access.
    if before.is_null() { Risk::Exposes } else { Risk::Removes }
}

/// Returns why a change of the connection needs an approval. The guard would count a change of the
/// connection as one removal. But all members of the previously connected group can lose their
/// access, because Beadle does not know who is in the new group.
fn stop(risk: Risk, members: usize) -> Option<String> {
    let why = "every member of the earlier group of the identity provider can lose the access of the group";
    (risk == Risk::Removes && members > 0).then(|| why.to_owned())
}

impl GroupPlanner {
    /// Plans the connection that the source declares. Returns `true` if another system sets, or
    /// possibly sets, the members of the group. In this case, Beadle must not compare the members.
    pub(super) async fn connect(
        &self,
        desired: &Desired<'_>,
        seen: &Seen,
        plan: &mut Plan<Write>,
    ) -> Result<bool, Failure> {
        let Some(wanted) = desired.facts.settings.get(EXTERNAL_GROUP) else { return Ok(false) };
        // If Beadle creates the group, the change that sets its settings also sets the connection.
        let Some(group) = &seen.group else { return Ok(!wanted.is_null()) };
        let read = self.directory.target.external_group(group).await;
        let Some(before) = known(read, GROUP, plan)? else { return Ok(true) };
        let before = json!(before);
        if before == *wanted {
            return Ok(!wanted.is_null());
        }
        let risk = risk(&before);
        let settings = vec![(EXTERNAL_GROUP, wanted.clone())];
        let mut change = desired.change("connect", "", Risk::Changes, What::Configure(settings));
        change.fields = vec![Field {
            name: EXTERNAL_GROUP.to_owned(),
            risk,
            before,
            after: wanted.clone(),
            asked: desired.mapping.asked.clone(),
        }];
        change.after = seen.first.into_iter().collect();
        change.stop = stop(risk, seen.members.len());
        plan.changes.push(change);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_group_removes_and_the_first_group_exposes() {
        assert_eq!(risk(&Value::Null), Risk::Exposes);
        assert_eq!(risk(&json!("okta-ops")), Risk::Removes);
    }

    #[test]
    fn another_group_needs_an_approval_while_the_team_has_members() {
        for (risk, members, needs_approval) in [
            (Risk::Removes, 1, true),
            (Risk::Removes, 500, true),
            (Risk::Removes, 0, false),
            (Risk::Exposes, 0, false),
        ] {
            assert_eq!(stop(risk, members).is_some(), needs_approval, "{risk:?} {members}");
        }
    }
}
