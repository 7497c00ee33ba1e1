//! Plans changes to an account that Beadle created for one person. The person might be in no group.

use std::sync::Arc;

use beadle_engine::{Change, Class, Failure, Field, Plan, Risk};
use serde_json::json;

use super::{Facts, GroupPlanner, USERS, What, Write, unknown};
use crate::mapping::Mappings;
use crate::targets::TargetAccount;

impl GroupPlanner {
    /// Plans to deactivate an account. Beadle asks the directory about the owner of the account,
    /// and plans the change in two cases: the person must lose the access, or the person has left
    /// the last mapped group.
    pub(super) async fn plan_account(
        &self,
        mappings: &Mappings,
        source: &str,
        person: &str,
    ) -> Result<Plan<Write>, Failure> {
        let target = &self.directory.name;
        let Some(whose) = self.accounts.of(target, source, person).await? else {
            let mut plan = Plan::new(format!("{target}/user {person}"));
            plan.skipped = Some("Beadle remembers no account of this person".into());
            return Ok(plan);
        };
        let mut plan = Plan::new(format!("{target}/user {}", whose.login));
        let Some((mapping, mode)) = mappings.provisioning(target, source) else {
            plan.skipped =
                Some("no mapping creates users any more; Beadle leaves the account as it is".into());
            return Ok(plan);
        };
        let found = match self.directory.person_with_id(source, person).await {
            Ok(Some(found)) if !found.is_leaving => match self.left_last_group(&whose, None).await {
                Ok(true) => Some(found),
                Ok(false) => return Ok(plan),
                Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => return Err(failure),
                Err(failure) => {
                    plan.unknowns.push(unknown(USERS, None, &failure));
                    return Ok(plan);
                }
            },
            Ok(found) => found,
            Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => return Err(failure),
            Err(failure) => {
                plan.unknowns.push(unknown(USERS, None, &failure));
                return Ok(plan);
            }
        };
        let is_gone = found.is_none();
        let account = match self.directory.target.account_now(&whose.account).await {
            Ok(Some(account)) => account,
            Ok(None) => {
                plan.skipped = Some("the target does not have this account any more".into());
                return Ok(plan);
            }
            Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => return Err(failure),
            Err(failure) => {
                plan.unknowns.push(unknown(USERS, None, &failure));
                return Ok(plan);
            }
        };
        let login = found.map_or_else(|| whose.login.clone(), |found| found.login);
        if !is_theirs(&account, person, &[&whose.login, &login]) {
            plan.skipped = Some("the account of the target belongs to another person now".into());
            return Ok(plan);
        }
        if !account.is_active() {
            return Ok(plan);
        }
        plan.changes.push(Change {
            aspect: USERS.into(),
            what: format!("user {}", account.label()),
            fields: vec![Field {
                name: "active".into(),
                before: json!(true),
                after: json!(false),
                asked: mapping.asked.clone(),
                risk: Risk::Removes,
            }],
            mode,
            after: Vec::new(),
            // The directory might not know the person because somebody has configured a different
            // directory. So an operator must approve this change.
            stop: is_gone.then(|| format!("{source} no longer has a person with the id {person}")),
            undone: false,
            reaches: 1,
            write: Write {
                facts: Arc::new(Facts::default()),
                what: What::Update { whose, values: vec![("active", json!(false))] },
            },
        });
        Ok(plan)
    }
}

/// Returns whether an account belongs to this person. The account must have the person's id. If the
/// account has no id, it must have one of the person's names.
fn is_theirs(account: &TargetAccount, person: &str, logins: &[&str]) -> bool {
    match (&account.person, &account.name) {
        (Some(id), _) => id == person,
        (None, Some(name)) => logins.iter().any(|login| name.eq_ignore_ascii_case(login)),
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_account_belongs_to_its_id_or_without_an_id_to_its_name() {
        let account = |person: Option<&str>, name: Option<&str>| TargetAccount {
            id: "a1".into(),
            name: name.map(str::to_owned),
            person: person.map(str::to_owned),
            known_as: Vec::new(),
            email: None,
            role: None,
            values: BTreeMap::new(),
            attributes: BTreeMap::new(),
        };
        let is =
            |account: &TargetAccount| is_theirs(account, "00u1", &["old@acme.example", "ada@acme.example"]);
        assert!(is(&account(Some("00u1"), Some("somebody@acme.example"))));
        assert!(!is(&account(Some("00u2"), Some("ada@acme.example"))), "another person has the name");
        assert!(is(&account(None, Some("Ada@acme.example"))));
        assert!(!is(&account(None, Some("bob@acme.example"))) && !is(&account(None, None)));
    }
}
