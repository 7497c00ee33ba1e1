//! One target, the directories of its groups, and the mappings between them.

use parking_lot::RwLock;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use beadle_engine::{Class, Failure, Lane};

use crate::mapping::Mappings;
use crate::sources::{Person, Source};
use crate::targets::TargetReader;

/// One target, the directories of its groups, and the mappings between them.
#[derive(Clone)]
pub struct Directory {
    /// The directories, by name.
    pub sources: HashMap<String, Arc<dyn Source>>,
    /// The target.
    pub target: Arc<dyn TargetReader>,
    /// The name of the target in the configuration.
    pub name: String,
    /// The mappings in force.
    pub mappings: Arc<RwLock<Arc<Mappings>>>,
    /// The groups that Okta itself pushes to the target, as `source/id`. Beadle read these groups
    /// in [`Self::look_at_pushes`].
    pub pushed: Arc<RwLock<BTreeSet<String>>>,
}

impl Directory {
    /// Returns a copy that uses this lane for its reads.
    pub(crate) fn in_lane(&self, lane: Lane) -> Self {
        let sources = self.sources.iter().map(|(name, source)| (name.clone(), source.in_lane(lane)));
        Self { sources: sources.collect(), target: self.target.in_lane(lane), ..self.clone() }
    }

    /// Returns the mappings in force.
    pub fn mappings(&self) -> Arc<Mappings> {
        self.mappings.read().clone()
    }

    /// Reads which groups the directories themselves push to the target. If the read fails, the
    /// groups of the last successful read stay in force.
    pub async fn look_at_pushes(&self) -> Result<usize, Failure> {
        let mut pushed = BTreeSet::new();
        for (name, source) in &self.sources {
            pushed.extend(source.pushed().await?.iter().map(|id| format!("{name}/{id}")));
        }
        let count = pushed.len();
        *self.pushed.write() = pushed;
        Ok(count)
    }

    /// Returns the first source group in `sources` that a directory itself pushes to the target.
    pub(crate) fn first_pushed<'a>(&self, sources: &'a [String]) -> Option<&'a String> {
        let pushed = self.pushed.read();
        sources.iter().find(|source| pushed.contains(*source))
    }

    /// Returns the person with exactly this id. Okta also accepts a sign-in name, or a part of this
    /// name, instead of an id. So this method returns an error if the person in Okta's answer has a
    /// different id.
    pub(crate) async fn person_with_id(&self, source: &str, id: &str) -> Result<Option<Person>, Failure> {
        match self.source(source)?.person(id).await? {
            Some(found) if found.id != id => {
                let text = format!(
                    "invalid answer from {source}: Beadle asked for the person with the id {id}, but the answer is \
                     about {} ({})",
                    found.login, found.id
                );
                Err(Failure::new(Class::Rejected, text))
            }
            found => Ok(found),
        }
    }

    pub(crate) fn source(&self, name: &str) -> Result<&Arc<dyn Source>, Failure> {
        self.sources.get(name).ok_or_else(|| {
            Failure::new(Class::Rejected, format!("the configuration has no directory {name}"))
        })
    }
}
