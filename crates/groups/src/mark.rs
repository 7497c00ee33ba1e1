//! Marks groups at targets when a group or a person changes in a directory. A group is marked if
//! the change affects it. The intake cannot mark these groups, because an event contains only an id
//! and the intake does not know the mappings.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::{Class, Clock, Failure, Key, Lane, Mark, Reconcile, Report, Run, Store};
use beadle_hooks::okta::WHOLE;

use crate::accounts::Accounts;
use crate::due::due;
use crate::links::GroupLinks;
use crate::mapping::GroupKey;
use crate::planner::Directory;
use crate::sources::SourceGroup;

/// The key kind for a group at a target.
pub const KIND: &str = "target-group";

/// Reconciles the `group` and `user` keys of one directory. This reconciler writes nothing to a
/// target. This reconciler marks only the keys of the affected groups.
pub struct Marker {
    /// The name of the directory.
    pub source: String,
    /// The targets of the directory, by name.
    pub directories: HashMap<String, Directory>,
    /// The store that gets the marks.
    pub store: Arc<dyn Store>,
    /// The clock that gives the marks their time.
    pub clock: Clock,
}

#[async_trait]
impl Reconcile for Marker {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let key = &run.lease.key;
        let reads = self.in_lane(run.lane);
        let (keys, broken) = match key.kind() {
            "user" => reads.of_person(key.id()).await?,
            _ => (reads.of_group(key.id()).await?, None),
        };
        // If the key of the event is in the sweep lane, the new marks are in the sweep lane too.
        let marks: Vec<Mark> = keys.into_iter().map(|key| due(key, run.lane, None)).collect();
        if !marks.is_empty() {
            self.store.mark_readable(marks, self.clock.now()).await?;
        }
        if let Some(failure) = broken {
            return Err(failure);
        }
        Ok(marked(key))
    }
}

/// Reconciles the `team` keys of an organisation. The target has the teams as its groups, and this
/// reconciler marks these groups.
pub struct TeamMarker {
    /// The targets whose groups are the teams of the organisation.
    pub targets: Vec<String>,
    /// The store that gets the marks.
    pub store: Arc<dyn Store>,
    /// The clock that gives the marks their time.
    pub clock: Clock,
}

#[async_trait]
impl Reconcile for TeamMarker {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let key = &run.lease.key;
        let mut marks = Vec::new();
        for target in &self.targets {
            let links = GroupLinks(Some(self.store.clone())).all(target).await?;
            let its = links.into_iter().filter(|(_, link)| link.group == key.id());
            // If the webhook reports a change that Beadle itself made, the key of the team is in
            // the sweep lane. The new marks are then in the sweep lane too.
            marks.extend(its.map(|(group_key, _)| due(Key::new(KIND, target, group_key), run.lane, None)));
        }
        if !marks.is_empty() {
            self.store.mark_readable(marks, self.clock.now()).await?;
        }
        Ok(marked(key))
    }
}

fn marked(key: &Key) -> Report {
    Report { subject: key.to_string(), steps: Vec::new(), unknowns: Vec::new(), skipped: None, failure: None }
}

impl Marker {
    /// Returns a copy of the reconciler that uses this lane for its reads.
    fn in_lane(&self, lane: Lane) -> Self {
        let directories = self.directories.iter().map(|(name, own)| (name.clone(), own.in_lane(lane)));
        Self {
            source: self.source.clone(),
            directories: directories.collect(),
            store: self.store.clone(),
            clock: self.clock.clone(),
        }
    }

    fn source(&self) -> Result<&Arc<dyn crate::sources::Source>, Failure> {
        // A target knows only the sources of its mappings.
        let any = self.directories.values().find_map(|own| own.source(&self.source).ok());
        any.ok_or_else(|| Failure::new(Class::Rejected, format!("no mapping has the source {}", self.source)))
    }

    async fn of_group(&self, id: &str) -> Result<BTreeSet<Key>, Failure> {
        if self.directories.is_empty() {
            return Ok(BTreeSet::new());
        }
        let (id, is_whole) = id.strip_prefix(WHOLE).map_or((id, false), |id| (id, true));
        let group = match self.remembered(id).await? {
            Some(group) if !is_whole => Some(group),
            _ => self.source()?.group(id).await?,
        };
        self.of_found(id, group.as_ref()).await
    }

    /// Returns the group with its remembered name. Returns `None` if the targets remember no name,
    /// or if they remember different names. If only the members of the group changed, the name is
    /// enough to find the group's keys. So Beadle sends no request to the directory here. The runs
    /// of the keys read the group.
    async fn remembered(&self, id: &str) -> Result<Option<SourceGroup>, Failure> {
        let group_key = GroupKey::One { source: self.source.clone(), group: id.to_owned() };
        let mut name: Option<String> = None;
        for (target, directory) in &self.directories {
            if !directory.mappings().targets(&self.source).contains(&target.as_str()) {
                continue;
            }
            let Some(link) = GroupLinks(Some(self.store.clone())).of(target, &group_key).await? else {
                return Ok(None);
            };
            if name.as_ref().is_some_and(|name| *name != link.from) {
                return Ok(None);
            }
            name = Some(link.from);
        }
        Ok(name.map(|name| SourceGroup { id: id.to_owned(), name, ..SourceGroup::default() }))
    }

    /// Returns the present keys and the former keys of the group.
    async fn of_found(&self, id: &str, group: Option<&SourceGroup>) -> Result<BTreeSet<Key>, Failure> {
        let mut keys = BTreeSet::new();
        let own = format!("{}/{id}", self.source);
        for (name, directory) in &self.directories {
            if let Some(group) = group {
                for (target, group_key) in directory.mappings().group_keys(&self.source, id, &group.name) {
                    if target == *name {
                        keys.insert(Key::new(KIND, name, group_key));
                    }
                }
            }
            for (group_key, link) in GroupLinks(Some(self.store.clone())).all(name).await? {
                if link.sources.contains(&own) {
                    keys.insert(Key::new(KIND, name, group_key));
                }
            }
        }
        Ok(keys)
    }

    /// Returns the keys of all groups that contain the person, at the directory or at a target.
    async fn of_person(&self, id: &str) -> Result<(BTreeSet<Key>, Option<Failure>), Failure> {
        let mut keys = BTreeSet::new();
        if self.directories.is_empty() {
            return Ok((keys, None));
        }
        for group in self.source()?.groups_of(id).await?.unwrap_or_default() {
            keys.extend(self.of_found(&group.id, Some(&group)).await?);
        }
        let mut broken = None;
        for (name, directory) in &self.directories {
            if !directory.mappings().targets(&self.source).contains(&name.as_str()) {
                continue;
            }
            let whose = Accounts(Some(self.store.clone())).of(name, &self.source, id).await?;
            keys.extend(whose.map(|_| {
                let group_key =
                    GroupKey::TargetAccount { source: self.source.clone(), person: id.to_owned() };
                Key::new(KIND, name, group_key)
            }));
            let has: BTreeSet<String> = match directory.target.groups_of(id).await {
                Ok(has) => has.into_iter().collect(),
                // An error at one target does not delay the other targets.
                Err(failure) => {
                    broken = Some(failure);
                    continue;
                }
            };
            let links: Vec<(GroupKey, _)> = GroupLinks(Some(self.store.clone())).all(name).await?;
            let its = links.into_iter().filter(|(_, link)| has.contains(&link.group));
            keys.extend(its.map(|(group_key, _)| Key::new(KIND, name, group_key)));
        }
        Ok((keys, broken))
    }
}
