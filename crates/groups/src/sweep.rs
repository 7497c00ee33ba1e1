//! Begins the sweep of a directory. The sweep marks every group that a mapping includes. The sweep
//! also marks every group that Beadle remembers, even if no mapping includes the group any more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::sweep::{self as engine, Summary};
use beadle_engine::{
    Clock, Failure, Key, KeyScope, KeyState, Lane, Mark, Reconcile, Report, Run, Store, StoreError, Time,
};

use crate::accounts::{Accounts, PersonAccount};
use crate::due::{all_marked, due};
use crate::links::{GroupLink, GroupLinks};
use crate::mapping::GroupKey;
use crate::mark::KIND;
use crate::planner::{Directory, members_of};

/// The maximum number of keys in one transaction.
const BATCH: usize = 500;

/// Reconciles the `sweep` key of a directory.
pub struct GroupSweep {
    /// The name of the directory.
    pub source: String,
    /// The targets of the directory, by their names.
    pub directories: HashMap<String, Directory>,
    /// The store that gets the marks.
    pub store: Arc<dyn Store>,
    /// The clock that gives the marks their time.
    pub clock: Clock,
}

/// A key of a group, with all names that an operator can use for the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The key.
    pub key: Key,
    /// The names of the group at the directory and at the target.
    pub names: BTreeSet<String>,
}

impl Named {
    /// Returns whether `name` is the text of the key or one of the group's names.
    pub fn is_called(&self, name: &str) -> bool {
        self.key.as_str() == name || self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// Returns the keys of a directory's groups at one target: the groups that a mapping includes now,
/// and the groups that Beadle remembers.
pub async fn named(
    source: &str,
    directory: &Directory,
    store: Option<&Arc<dyn Store>>,
) -> Result<Vec<Named>, Failure> {
    let mut found: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
    let mut mapped = BTreeSet::new();
    let mappings = directory.mappings();
    for group in directory.source(source)?.groups().await? {
        for (target, group_key) in mappings.group_keys(source, &group.id, &group.name) {
            if target != directory.name {
                continue;
            }
            mapped.insert(group.id.clone());
            let names = found.entry(Key::new(KIND, &target, &group_key)).or_default();
            names.insert(group.name.clone());
            names.insert(match &group_key {
                GroupKey::Union(into) => into.clone(),
                GroupKey::One { .. } | GroupKey::TargetAccount { .. } => mappings
                    .one(&target, source, &group.id, &group.name)
                    .map(|mapping| mapping.naming.of(&group.name))
                    .unwrap_or_default(),
            });
        }
    }
    let of = format!("{source}/");
    for (group_key, link) in GroupLinks(store.cloned()).all(&directory.name).await? {
        if link.sources.iter().any(|one| one.starts_with(&of)) {
            found.entry(Key::new(KIND, &directory.name, group_key)).or_default().insert(link.name);
        }
    }
    for (key, login) in accounts(source, directory, &mapped, store).await? {
        found.entry(key).or_default().insert(login);
    }
    Ok(found.into_iter().map(|(key, names)| Named { key, names }).collect())
}

/// Returns the remembered accounts of people who seem to have left, if the accounts can sign in. A
/// person seems to have left in three cases: the directory's list of users lacks the person; the
/// list shows that the person must lose the access; or the person left a group and is in no
/// remembered list of members. Before Beadle writes anything, it asks the directory about each of
/// these people in a separate request.
async fn accounts(
    source: &str,
    directory: &Directory,
    mapped: &BTreeSet<String>,
    store: Option<&Arc<dyn Store>>,
) -> Result<Vec<(Key, String)>, Failure> {
    let Some(store) = store else { return Ok(Vec::new()) };
    let remembered = Accounts(Some(store.clone())).all(&directory.name, source).await?;
    if remembered.is_empty() {
        return Ok(Vec::new());
    }
    let people = match directory.source(source)?.people().await {
        Ok(people) => people,
        Err(failure) => {
            // If the read of the list of users fails, the sweep still marks the groups.
            tracing::warn!(
                directory = source,
                why = failure.text,
                "list of users cannot be read, this sweep does not look for people who left the directory"
            );
            return Ok(Vec::new());
        }
    };
    let stay: BTreeSet<&str> =
        people.iter().filter(|person| !person.is_leaving).map(|person| person.id.as_str()).collect();
    let members = if remembered.iter().any(|(_, left)| *left) {
        members_of(store, source, mapped).await?
    } else {
        BTreeSet::new()
    };
    let leave: Vec<PersonAccount> = remembered
        .into_iter()
        .filter(|(whose, left)| {
            !stay.contains(whose.person.as_str()) || (*left && !members.contains(&whose.person))
        })
        .map(|(whose, _)| whose)
        .collect();
    if leave.is_empty() {
        return Ok(Vec::new());
    }
    // One list shows all accounts that cannot sign in. If the read of this list fails, the run of
    // each account's key reads the account.
    let inactive = match directory.target.inactive_accounts().await {
        Ok(inactive) => inactive,
        Err(failure) => {
            tracing::warn!(
                directory = source,
                why = failure.text,
                "list of accounts cannot be read, the sweep reads each account alone"
            );
            BTreeSet::new()
        }
    };
    let leave = leave.into_iter().filter(|whose| !inactive.contains(&whose.account));
    let key = |source: String, person: String| {
        Key::new(KIND, &directory.name, GroupKey::TargetAccount { source, person })
    };
    Ok(leave.map(|whose| (key(whose.source, whose.person), whose.login)).collect())
}

/// Returns the remembered groups of a target, with their names. Sends no request.
pub async fn remembered(target: &str, store: &Arc<dyn Store>) -> Result<Vec<Named>, Failure> {
    let links = GroupLinks(Some(store.clone())).all(target).await?;
    let named = |(group_key, link): (GroupKey, GroupLink)| Named {
        key: Key::new(KIND, target, group_key),
        names: BTreeSet::from([link.name, link.from]),
    };
    Ok(links.into_iter().map(named).collect())
}

/// Returns a summary of a directory's sweep, if the sweep has ended. Returns `None` if the sweep
/// has not ended, or if there was no sweep.
pub async fn summarise(
    store: &dyn Store,
    source: &str,
    targets: &[&str],
    now: Time,
) -> Result<Option<Summary>, StoreError> {
    let mut scopes: Vec<KeyScope> = targets.iter().map(|target| KeyScope::new(KIND, target)).collect();
    scopes.push(KeyScope::new("sweep", source));
    engine::summarise(store, source, &scopes, now).await
}

impl GroupSweep {
    /// Forgets the accounts that no longer exist at the target, because Beadle cannot deactivate
    /// them.
    async fn forget_gone(&self, directory: &Directory, found: &mut Vec<Named>) -> Result<(), Failure> {
        let (accounts, target) = (Accounts(Some(self.store.clone())), &directory.name);
        let links = GroupLinks(Some(self.store.clone())).all(target).await?;
        // If the target has none of the remembered groups, another server might use the same
        // address now. In this case, a missing account does not mean that somebody deleted the
        // account.
        if !links.iter().any(|(_, link)| directory.target.known(&link.group).is_some()) {
            return Ok(());
        }
        let mut gone = BTreeSet::new();
        for one in found.iter() {
            let Ok(GroupKey::TargetAccount { source, person }) = one.key.id().parse::<GroupKey>() else {
                continue;
            };
            let Some(whose) = accounts.of(target, &source, &person).await? else { continue };
            let is_gone = match directory.target.has_account(&whose.account).await {
                Ok(has) => !has,
                // The run of the account's key reports this error.
                Err(_) => break,
            };
            // After the sweep read the accounts, another run might have created a new account for
            // the same person. Beadle must not forget the new account.
            if is_gone && accounts.of(target, &source, &person).await?.as_ref() == Some(&whose) {
                tracing::info!(
                    directory = source,
                    login = whose.login,
                    "account no longer exists at the target, Beadle forgets it"
                );
                accounts.forget(target, &whose).await?;
                gone.insert(one.key.clone());
            }
        }
        found.retain(|one| !gone.contains(&one.key));
        Ok(())
    }

    /// Deletes the state of each group of this directory that the sweep does not mark. If the sweep
    /// does not mark a group, no mapping includes the group any more, and Beadle does not remember
    /// the group. So no run checks the group.
    async fn forget_states(&self, target: &str, found: &[Named]) -> Result<(), StoreError> {
        let found: BTreeSet<Key> = found.iter().map(|one| one.key.clone()).collect();
        let states = KeyState::of_kind(self.store.as_ref(), KIND).await?;
        let is_own = |key: &Key| match key.id().parse() {
            Ok(GroupKey::One { source, .. }) => source == self.source,
            // The states of unions and accounts stay, because a union can also have source groups
            // in another directory, and the sweep's list of accounts might be incomplete.
            Ok(GroupKey::Union(_) | GroupKey::TargetAccount { .. }) | Err(_) => false,
        };
        let mut kept: BTreeSet<Key> = states.into_iter().map(|(key, _)| key).collect();
        kept.retain(|key| found.contains(key) || !is_own(key));
        KeyState::forget_others(self.store.as_ref(), &KeyScope::new(KIND, target), &kept).await
    }
}

#[async_trait]
impl Reconcile for GroupSweep {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let mut keys = Vec::new();
        let mut broken = None;
        for (name, directory) in &self.directories {
            if !directory.mappings().targets(&self.source).contains(&name.as_str()) {
                continue;
            }
            let directory = &directory.in_lane(run.lane);
            // Beadle reads two lists once for all groups: the names that the target has, and the
            // groups that Okta itself pushes.
            if let Err(failure) = directory.target.look().await {
                // An error at one target does not delay the other targets.
                broken = Some(failure);
                continue;
            }
            if let Err(failure) = directory.look_at_pushes().await {
                tracing::warn!(
                    directory = self.source,
                    why = failure.text,
                    "cannot read which groups Okta pushes itself, grant the scope okta.apps.read"
                );
            }
            let mut found = named(&self.source, directory, Some(&self.store)).await?;
            self.forget_gone(directory, &mut found).await?;
            self.forget_states(name, &found).await?;
            keys.extend(found.into_iter().map(|one| one.key));
        }
        let now = self.clock.now();
        let sweep = Some((self.source.as_str(), now));
        let marks: Vec<Mark> = keys.into_iter().map(|key| due(key, Lane::Sweep, sweep)).collect();
        if !engine::begin(self.store.as_ref(), &self.source, marks.len(), now).await? {
            tracing::warn!(
                directory = self.source,
                "previous sweep unfinished, its groups are part of this sweep"
            );
        }
        for batch in marks.chunks(BATCH) {
            // The sweep counts a key with an unreadable row as failed.
            self.store.mark_readable(batch.to_vec(), now).await?;
        }
        all_marked(&self.store, &self.source, now).await?;
        tracing::info!(directory = self.source, groups = marks.len(), "sweep started");
        if let Some(failure) = broken {
            return Err(failure);
        }
        Ok(Report {
            subject: self.source.clone(),
            steps: Vec::new(),
            unknowns: Vec::new(),
            skipped: None,
            failure: None,
        })
    }
}
