//! Plans the changes of a group whose source group is gone.

use std::collections::BTreeSet;
use std::sync::Arc;

use beadle_engine::{Change, Failure, Field, Plan, Risk};
use serde_json::{Value, json};

use super::{Facts, GROUP, GroupPlanner, MEMBERS, What, Write, named};
use crate::accounts::PersonAccount;
use crate::links::GroupLink;
use crate::mapping::{GroupKey, Mappings, OnDelete, Users};
use crate::targets::TargetAccount;

impl GroupPlanner {
    /// Plans the changes of a group whose source group is gone. The mapping's `on_delete` decides
    /// what Beadle does.
    pub(super) async fn plan_gone(
        &self,
        mappings: &Mappings,
        group_key: &GroupKey,
        link: Option<&GroupLink>,
    ) -> Result<Plan<Write>, Failure> {
        let name = link.map_or_else(|| group_key.to_string(), |link| link.name.clone());
        let mut plan = Plan::new(format!("{}/{name}", self.directory.name));
        let (Some(link), GroupKey::One { source, group }) = (link, group_key) else {
            plan.skipped = Some("the directory has no such group".into());
            return Ok(plan);
        };
        let Some(mapping) = mappings.one(&self.directory.name, source, group, &link.from) else {
            plan.skipped =
                Some("the source group no longer exists, and no mapping includes the group now; Beadle leaves the group as it is".into());
            return Ok(plan);
        };
        let facts = Facts {
            name: link.name.clone(),
            from: link.from.clone(),
            sources: link.sources.clone(),
            filled: Vec::new(),
            external_id: group_key.external_id(),
            description: None,
            settings: std::collections::BTreeMap::new(),
            parent: None,
        };
        let facts = Arc::new(facts);
        let stop = Some(format!("the source group of {} no longer exists (on_delete)", link.name));
        match mapping.on_delete {
            OnDelete::Keep => {
                plan.skipped = Some(
                    "the source group no longer exists; Beadle keeps the group as it is (on_delete = keep)"
                        .into(),
                );
            }
            OnDelete::Empty => {
                let read = self.clock.now();
                let Some(Some(members)) = self.read(&link.group, &mut plan).await? else { return Ok(plan) };
                // Beadle writes this removal only after an operator has approved it. So the write
                // can remove all members.
                let out: BTreeSet<String> = members.iter().map(|account| account.id.clone()).collect();
                let out = Arc::new(out);
                // Afterwards, Beadle deactivates the accounts that it created and that are in no other
                // group.
                let provisions = mapping.users == Users::Provision;
                let watched = |part: &[TargetAccount]| -> Vec<PersonAccount> {
                    let whose = |account: &TargetAccount| {
                        Some(PersonAccount {
                            source: source.clone(),
                            person: account.person.clone()?,
                            account: account.id.clone(),
                            login: account.label().to_owned(),
                        })
                    };
                    part.iter().filter(|_| provisions).filter_map(whose).collect()
                };
                for part in members.chunks(self.directory.target.changes_at_once().max(1)) {
                    let field = |account: &TargetAccount| Field {
                        name: account.label().to_owned(),
                        before: json!(true),
                        after: Value::Null,
                        asked: mapping.asked.clone(),
                        risk: Risk::Removes,
                    };
                    plan.changes.push(Change {
                        aspect: MEMBERS.into(),
                        what: "remove".into(),
                        fields: part.iter().map(field).collect(),
                        mode: mapping.mode,
                        after: Vec::new(),
                        stop: stop.clone(),
                        undone: false,
                        reaches: 1,
                        write: Write {
                            facts: facts.clone(),
                            what: What::Remove {
                                accounts: part.iter().map(|account| account.id.clone()).collect(),
                                read,
                                members: members.len(),
                                confirmed: Vec::new(),
                                watched: watched(part),
                                settles: true,
                                wanted: Arc::default(),
                                out: out.clone(),
                            },
                        },
                    });
                }
            }
            OnDelete::Delete => {
                if self.directory.target.group(&link.group).await?.is_some() {
                    let fields = vec![named(&link.name, "", mapping.asked.as_ref(), Risk::Removes)];
                    plan.changes.push(Change {
                        aspect: GROUP.into(),
                        what: "delete".into(),
                        fields,
                        mode: mapping.mode,
                        after: Vec::new(),
                        stop,
                        undone: false,
                        reaches: 1,
                        write: Write { facts, what: What::Delete },
                    });
                }
            }
        }
        Ok(plan)
    }
}
