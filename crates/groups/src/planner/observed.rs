//! Finds the group at the target, and plans the changes of the group itself, such as its name.

use beadle_engine::{Failure, Field, Plan, Risk, Unknown};
use futures::future::join;
use serde_json::{Value, json};

use super::seen::Seen;
use super::settings::configure;
use super::{Desired, GROUP, GroupPlanner, Sources, What, Write, known};
use crate::links::GroupLink;
use crate::mapping::{GroupKey, OWNED, OnMissingGroup, OnRename};
use crate::targets::TargetGroup;

impl GroupPlanner {
    /// Finds the group at the target, and plans the changes of the group itself. Returns `None` if
    /// there is no group whose members Beadle can compare.
    pub(super) async fn observed(
        &self,
        desired: &Desired<'_>,
        group_key: &GroupKey,
        link: Option<&GroupLink>,
        plan: &mut Plan<Write>,
    ) -> Result<Option<Seen>, Failure> {
        if let Some(link) = link
            && let Some(members) = self.read(&link.group, plan).await?
        {
            let Some(members) = members else { return Ok(None) };
            let all = self.links.all(&self.directory.name).await?;
            if let Some((other, _)) =
                all.iter().find(|(other, known)| other != group_key && known.group == link.group)
            {
                let why = format!(
                    "{other} is mapped to the same group of the target; set another name for one of them"
                );
                plan.unknowns.push(Unknown { aspect: GROUP.into(), part: None, why, transient: false });
                return Ok(None);
            }
            let known = self.directory.target.known(&link.group);
            let name = known.as_ref().map_or_else(|| link.name.clone(), |known| link.named(&known.name));
            let further = desired.facts.sources.iter().filter(|source| !link.sources.contains(source));
            let mut fields: Vec<Field> = further.map(|source| desired.source(Value::Null, source)).collect();
            // The run for an event about members uses the remembered name of the source group. So
            // Beadle must remember a new name of the source group, even if the name at the target
            // stays the same.
            let is_one = matches!(group_key, GroupKey::One { .. });
            if is_one && link.from != desired.facts.from && name == desired.facts.name {
                fields.push(desired.source(json!(link.from), &desired.facts.from));
            }
            if !fields.is_empty() {
                let mut change = desired.change("remember", "", Risk::Adds, What::Remember);
                change.fields = fields;
                plan.changes.push(change);
            }
            describe(desired, known.as_ref(), None, plan);
            if known.is_some() {
                configure(desired, known.as_ref(), None, plan);
            }
            if name != desired.facts.name {
                let mut change = desired.change("rename", &name, Risk::Changes, What::Rename);
                if desired.mapping.on_rename == OnRename::Hold {
                    change.stop = Some(format!(
                        "the source group was renamed, so {name} would get the name {} (on_rename = hold)",
                        desired.facts.name
                    ));
                }
                plan.changes.push(change);
            }
            let is_gone = |source: &&String| !desired.facts.sources.contains(source);
            let vanished = link.sources.iter().filter(is_gone).cloned().collect();
            let filled = link.filled().to_vec();
            return Ok(Some(Seen {
                group: Some(link.group.clone()),
                members,
                first: None,
                vanished,
                filled,
            }));
        }
        // A killed process might have created the group without storing the group's id. After that,
        // somebody might have renamed the group. So Beadle searches for the group by its id and by
        // its name at the same time.
        let target = &self.directory.target;
        let (owned, named) =
            join(target.group_owned_as(&desired.facts.external_id), target.group_named(&desired.facts.name))
                .await;
        let Some(owned) = known(owned, GROUP, plan)? else { return Ok(None) };
        let found = if owned.is_some() {
            owned
        } else {
            let Some(named) = known(named, GROUP, plan)? else { return Ok(None) };
            named
        };
        match found {
            Some(found) => {
                let is_ours = found.external_id.as_ref() == Some(&desired.facts.external_id);
                let others = self.made_of_others(group_key, &found).await;
                let Some((other, replaces)) = known(others, GROUP, plan)? else { return Ok(None) };
                if let Some(other) = other {
                    let why = format!(
                        "the target's group {} already belongs to {other}; set another name for one of them, or \
                         combine both into one group with `into`",
                        found.name
                    );
                    plan.unknowns.push(Unknown { aspect: GROUP.into(), part: None, why, transient: false });
                    return Ok(None);
                }
                if !is_ours && !desired.mapping.adopt {
                    let why = match replaces.first() {
                        Some(before) => format!(
                            "the target's group {} belongs to {before}, which is deleted or no longer mapped; set \
                             adopt = true in the mapping to give the group to {group_key}, or rename one of them",
                            found.name
                        ),
                        None => format!(
                            "the target has a group {} that Beadle did not create; set adopt = true in the mapping, or rename one of them",
                            desired.facts.name
                        ),
                    };
                    plan.unknowns.push(Unknown { aspect: GROUP.into(), part: None, why, transient: false });
                    return Ok(None);
                }
                let Some(Some(members)) = self.read(&found.id, plan).await? else { return Ok(None) };
                let first = plan.changes.len();
                let adopt = What::Adopt { group: found.id.clone(), name: found.name.clone(), replaces };
                plan.changes.push(desired.change("take over", "", Risk::Adds, adopt));
                if found.name != desired.facts.name {
                    let mut rename = desired.change("rename", &found.name, Risk::Changes, What::Rename);
                    rename.after = vec![first];
                    plan.changes.push(rename);
                }
                describe(desired, Some(&found), Some(first), plan);
                configure(desired, Some(&found), Some(first), plan);
                Ok(Some(Seen {
                    group: Some(found.id),
                    members,
                    first: Some(first),
                    vanished: Vec::new(),
                    filled: Vec::new(),
                }))
            }
            None => match desired.mapping.on_missing_group {
                OnMissingGroup::Create => {
                    let first = plan.changes.len();
                    plan.changes.push(desired.change("create", "", Risk::Adds, What::Create));
                    configure(desired, None, Some(first), plan);
                    Ok(Some(Seen {
                        group: None,
                        members: Vec::new(),
                        first: Some(first),
                        vanished: Vec::new(),
                        filled: Vec::new(),
                    }))
                }
                other => {
                    let why = format!(
                        "the target has no group {}; create it, or set on_missing_group = \"create\"",
                        desired.facts.name
                    );
                    let transient = other == OnMissingGroup::Wait;
                    plan.unknowns.push(Unknown { aspect: GROUP.into(), part: None, why, transient });
                    Ok(None)
                }
            },
        }
    }

    /// If a group at the target belongs to another source that a mapping still includes, returns
    /// this other source. The caller must refuse a group that belongs to another source, because
    /// each source would remove the members that come from the other source. Also returns the
    /// former sources that no mapping includes any more.
    async fn made_of_others(
        &self,
        group_key: &GroupKey,
        found: &TargetGroup,
    ) -> Result<(Option<GroupKey>, Vec<GroupKey>), Failure> {
        let claimed = found.external_id.as_deref().and_then(|id| id.strip_prefix(OWNED)?.parse().ok());
        let links = self.links.all(&self.directory.name).await?;
        let remembered = links.into_iter().filter(|(_, link)| link.group == found.id).map(|(other, _)| other);
        let mut others: Vec<GroupKey> =
            claimed.into_iter().chain(remembered).filter(|other| other != group_key).collect();
        others.sort();
        others.dedup();
        let mappings = self.directory.mappings();
        let mut dead = Vec::new();
        for other in others {
            match self.sources_of(&mappings, &other).await? {
                Sources::Groups(groups) if !groups.is_empty() => return Ok((Some(other), dead)),
                _ => dead.push(other),
            }
        }
        Ok((None, dead))
    }
}

/// Plans a change of the description, if the target has descriptions and a mapping sets one.
fn describe(desired: &Desired<'_>, is: Option<&TargetGroup>, first: Option<usize>, plan: &mut Plan<Write>) {
    let before = is.and_then(|group| group.description.as_ref());
    let (Some(before), Some(after)) = (before, &desired.facts.description) else { return };
    if before == after {
        return;
    }
    let mut change = desired.change("describe", "", Risk::Changes, What::Describe);
    change.fields = vec![Field {
        name: "description".into(),
        before: json!(before),
        after: json!(after),
        asked: desired.mapping.asked.clone(),
        risk: Risk::Changes,
    }];
    change.after = first.into_iter().collect();
    plan.changes.push(change);
}
