//! Plans the account of one person that Beadle made, with or without a group.

use std::sync::Arc;

use beadle_engine::{Change, Class, Failure, Field, Plan, Risk};
use serde_json::json;

use super::{Facts, GroupPlanner, USERS, What, Write, unknown};
use crate::mapping::Mappings;
use crate::sources::Person;
use crate::targets::Found;

impl GroupPlanner {
    /// Plans to deactivate an account whose person's access should go, as the directory says of
    /// this person alone.
    pub(super) async fn plan_account(
        &self,
        mappings: &Mappings,
        source: &str,
        person: &str,
    ) -> Result<Plan<Write>, Failure> {
        let target = &self.directory.name;
        let Some(whose) = self.accounts.of(target, source, person).await? else {
            let mut plan = Plan::new(format!("{target}/user {person}"));
            plan.skipped = Some("Beadle keeps no account for this person".into());
            return Ok(plan);
        };
        let mut plan = Plan::new(format!("{target}/user {}", whose.login));
        let Some((mapping, mode)) = mappings.provisioning(target, source) else {
            plan.skipped =
                Some("no mapping creates users any more; Beadle leaves the account as it is".into());
            return Ok(plan);
        };
        let found = match self.directory.source(source)?.person(person).await {
            Ok(Some(found)) if !found.is_leaving => return Ok(plan),
            Ok(found) => found,
            Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => return Err(failure),
            Err(failure) => {
                plan.unknowns.push(unknown(USERS, None, &failure));
                return Ok(plan);
            }
        };
        let is_gone = found.is_none();
        let somebody = found.unwrap_or_else(|| Person {
            id: person.to_owned(),
            login: whose.login.clone(),
            email: None,
            given: String::new(),
            family: String::new(),
            display: String::new(),
            is_leaving: true,
            status: String::new(),
            may_be_made: false,
        });
        let account = match self.directory.target.find(None, std::slice::from_ref(&somebody)).await.pop() {
            Some(Ok(Found::Account(account))) if account.id == whose.account => account,
            Some(Err(failure)) if matches!(failure.class, Class::RateLimited { .. }) => return Err(failure),
            Some(Err(failure)) => {
                plan.unknowns.push(unknown(USERS, None, &failure));
                return Ok(plan);
            }
            Some(Ok(_)) | None => {
                plan.skipped = Some("the target does not have this account any more".into());
                return Ok(plan);
            }
        };
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
            // A directory that was swapped for another knows nobody, too.
            stop: is_gone.then(|| format!("{source} no longer has a person with the id {person}")),
            reaches: 1,
            write: Write {
                facts: Arc::new(Facts::default()),
                what: What::Update { whose, values: vec![("active", json!(false))] },
            },
        });
        Ok(plan)
    }
}
