//! Finds pairs of groups with the same members: a group of a directory and a group of a target. An
//! import can then write mappings for these pairs.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::{Class, Failure};

use crate::mapping::Role;
use crate::planner::Directory;
use crate::sources::{Source, SourceGroup};
use crate::targets::{Found, TargetReader};

/// A group of a directory and a group of a target. Both groups have the same members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPair {
    /// The name of the directory.
    pub source: String,
    /// The name of the directory's group.
    pub group: String,
    /// The name of the target's group.
    pub target_group: String,
    /// The role of all members, if the target has roles.
    pub role: Option<Role>,
}

/// The groups of one target that an import can map.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct GroupPairs {
    /// The pairs, sorted by the names of their directories and groups.
    pub pairs: Vec<GroupPair>,
    /// The reasons why Beadle does not map a group that might have a pair. For example, Beadle
    /// could not read the group.
    pub doubts: Vec<String>,
}

/// A group of the target.
#[derive(Clone, Debug)]
struct Held {
    name: String,
    accounts: BTreeSet<String>,
    roles: BTreeSet<Role>,
    /// The text about another system that manages the members, if there is such a system.
    kept_by: Option<String>,
}

/// A group of a directory, and the groups of the target with the same members.
struct Candidate {
    source: String,
    group: String,
    /// True if the directory has another group with the same name. A mapping with this name as its
    /// pattern would select both groups.
    is_ambiguous: bool,
    /// The number of people without an account at the target.
    missing: usize,
    /// The groups of the target, by their ids.
    equal: BTreeMap<String, Held>,
}

/// Compares the members of the directories' groups with the members of the target's groups. Leaves
/// out the groups that a mapping already selects. Writes nothing.
pub async fn equal_groups(directory: &Directory) -> Result<GroupPairs, Failure> {
    directory.target.look().await?;
    let mappings = directory.mappings();
    let mut sources: Vec<_> = directory.sources.iter().collect();
    sources.sort_by(|one, other| one.0.cmp(other.0));
    let mut held: BTreeMap<String, Option<Held>> = BTreeMap::new();
    let (mut candidates, mut unread) = (Vec::new(), Vec::new());
    for (name, source) in sources {
        let mut groups = source.groups().await?;
        groups.sort_by(|one, other| one.name.cmp(&other.name));
        let mut named: BTreeMap<String, usize> = BTreeMap::new();
        for group in &groups {
            *named.entry(group.name.clone()).or_default() += 1;
        }
        for group in groups {
            let made = mappings.group_keys(name, &group.id, &group.name);
            if made.iter().any(|(target, _)| *target == directory.name) {
                continue;
            }
            let read =
                candidate(directory.target.as_ref(), (name.as_str(), source.as_ref()), &group, &mut held)
                    .await;
            match read {
                Ok(candidate) => candidates.extend(candidate.map(|candidate| Candidate {
                    is_ambiguous: named.get(&group.name).is_some_and(|count| *count > 1),
                    ..candidate
                })),
                Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => return Err(failure),
                Err(failure) => {
                    unread.push(format!("`{}` of {name} cannot be compared: {}", group.name, failure.text));
                }
            }
        }
    }
    let mut pairs = decide(&candidates);
    pairs.doubts.extend(unread);
    Ok(pairs)
}

/// Finds the groups of the target that have the same members as one group of a directory. Returns
/// `None` if no group has the same members, or if the directory's group has no members.
async fn candidate(
    target: &dyn TargetReader,
    (name, source): (&str, &dyn Source),
    group: &SourceGroup,
    held: &mut BTreeMap<String, Option<Held>>,
) -> Result<Option<Candidate>, Failure> {
    let mut people = source.members_counted(group).await?;
    people.retain(|person| !person.is_leaving);
    let (mut accounts, mut missing, mut first) = (BTreeSet::new(), 0, None);
    for (person, found) in people.iter().zip(target.find(None, &people).await) {
        match found? {
            Found::TargetAccount(account) => {
                first = first.or(Some(&person.id));
                accounts.insert(account.id);
            }
            Found::Missing(_) | Found::Another(_) | Found::NewOwner(_) => missing += 1,
        }
    }
    let Some(first) = first else { return Ok(None) };
    let mut equal = BTreeMap::new();
    for id in target.groups_of(first).await? {
        if !held.contains_key(&id) {
            let read = read(target, &id).await?;
            held.insert(id.clone(), read);
        }
        let same = held.get(&id).and_then(Option::as_ref).filter(|held| held.accounts == accounts);
        equal.extend(same.map(|same| (id, same.clone())));
    }
    let (source, group) = (name.to_owned(), group.name.clone());
    let candidate = Candidate { source, group, is_ambiguous: false, missing, equal };
    Ok((!candidate.equal.is_empty()).then_some(candidate))
}

/// Reads one group of the target. Returns `None` if the group does not exist.
async fn read(target: &dyn TargetReader, id: &str) -> Result<Option<Held>, Failure> {
    let group = match target.known(id) {
        Some(group) => Some(group),
        None => target.group(id).await?,
    };
    let (Some(group), Some(members)) = (group, target.members(id).await?) else { return Ok(None) };
    let roles = members.iter().filter_map(|member| member.role).collect();
    let accounts = members.into_iter().map(|member| member.id).collect();
    Ok(Some(Held { name: group.name, accounts, roles, kept_by: target.kept_by(id).await? }))
}

/// Divides the candidates into pairs that are certain and pairs that are doubtful. A pair is
/// certain only if no third group, at a directory or at the target, has the same members.
fn decide(candidates: &[Candidate]) -> GroupPairs {
    let mut found = GroupPairs::default();
    for one in candidates {
        let Candidate { source, group, is_ambiguous, missing, equal } = one;
        let mut doubt = |why: String| found.doubts.push(format!("`{group}` of {source}: {why}"));
        let Some((id, held)) = equal.first_key_value() else { continue };
        let name = &held.name;
        let is_shared = candidates.iter().filter(|other| other.equal.contains_key(id)).count() > 1;
        if equal.len() > 1 {
            let names: Vec<String> = equal.values().map(|held| format!("`{}`", held.name)).collect();
            doubt(format!("several groups of the target have the same members: {}", names.join(", ")));
        } else if *is_ambiguous {
            doubt(format!(
                "the members are those of `{name}`, but {source} has another group with this name: map it by its id"
            ));
        } else if is_shared {
            doubt(format!("other groups of directories have the same members as `{name}`"));
        } else if *missing > 0 {
            doubt(format!(
                "the members are those of `{name}`, but {missing} of its people have no account at the target"
            ));
        } else if let Some(kept_by) = &held.kept_by {
            doubt(format!("the members are those of `{name}`, but {kept_by}"));
        } else if held.roles.len() > 1 {
            doubt(format!("the members are those of `{name}`, but they have different roles"));
        } else {
            found.pairs.push(GroupPair {
                source: source.clone(),
                group: group.clone(),
                target_group: name.clone(),
                role: held.roles.first().copied(),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(name: &str) -> Held {
        let roles = BTreeSet::from([Role::Member]);
        Held { name: name.to_owned(), accounts: BTreeSet::new(), roles, kept_by: None }
    }

    fn candidate(group: &str, missing: usize, equal: &[Held]) -> Candidate {
        let equal = equal.iter().map(|held| (held.name.clone(), held.clone())).collect();
        let is_ambiguous = group == "AWS_Same_Name";
        Candidate { source: "corp".to_owned(), group: group.to_owned(), is_ambiguous, missing, equal }
    }

    #[test]
    fn only_a_pair_without_a_doubt_is_mapped() {
        let kept = Held { kept_by: Some("Entra keeps it".to_owned()), ..held("kept") };
        let mixed = Held { roles: BTreeSet::from([Role::Member, Role::Maintainer]), ..held("mixed") };
        let found = decide(&[
            candidate("AWS_Ops", 0, &[held("Ops")]),
            candidate("AWS_Twice", 0, &[held("one"), held("two")]),
            candidate("AWS_A", 0, &[held("same")]),
            candidate("AWS_B", 0, &[held("same")]),
            candidate("AWS_Same_Name", 0, &[held("twin")]),
            candidate("AWS_Late", 2, &[held("late")]),
            candidate("AWS_Kept", 0, &[kept]),
            candidate("AWS_Mixed", 0, &[mixed]),
        ]);
        let pair = GroupPair {
            source: "corp".to_owned(),
            group: "AWS_Ops".to_owned(),
            target_group: "Ops".to_owned(),
            role: Some(Role::Member),
        };
        assert_eq!(found.pairs, [pair]);
        let said = [
            ("AWS_Twice", "several groups of the target"),
            ("AWS_A", "other groups of directories"),
            ("AWS_B", "other groups of directories"),
            ("AWS_Same_Name", "another group with this name: map it by its id"),
            ("AWS_Late", "2 of its people have no account"),
            ("AWS_Kept", "Entra keeps it"),
            ("AWS_Mixed", "different roles"),
        ];
        assert_eq!(found.doubts.len(), said.len(), "{found:#?}");
        for ((group, why), doubt) in said.iter().zip(&found.doubts) {
            assert!(doubt.contains(group) && doubt.contains(why), "{doubt}");
        }
    }
}
