//! The two sides, and what is declared between them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use beadle_engine::{Class, Failure};

use crate::mapping::Mappings;
use crate::sources::{Person, Source};
use crate::targets::TargetReader;

/// Directories and targets, by name, and how groups go from one to the other.
#[derive(Clone)]
pub struct Directory {
    /// Directories.
    pub sources: HashMap<String, Arc<dyn Source>>,
    /// One target.
    pub target: Arc<dyn TargetReader>,
    /// Its name.
    pub name: String,
    /// The mappings in force.
    pub mappings: Arc<RwLock<Arc<Mappings>>>,
    /// The groups that a directory itself brings to a target, as `source/id`, as they were looked at last.
    pub pushed: Arc<RwLock<BTreeSet<String>>>,
}

impl Directory {
    /// The mappings in force.
    pub fn mappings(&self) -> Arc<Mappings> {
        self.mappings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at what directories bring to targets themselves. `Err`: it cannot be told, and what was known stays.
    pub async fn look_at_pushes(&self) -> Result<usize, Failure> {
        let mut pushed = BTreeSet::new();
        for (name, source) in &self.sources {
            pushed.extend(source.pushed().await?.iter().map(|id| format!("{name}/{id}")));
        }
        let count = pushed.len();
        *self.pushed.write().unwrap_or_else(PoisonError::into_inner) = pushed;
        Ok(count)
    }

    /// The first of these groups that a directory brings to a target itself.
    pub(crate) fn first_pushed<'a>(&self, sources: &'a [String]) -> Option<&'a String> {
        let pushed = self.pushed.read().unwrap_or_else(PoisonError::into_inner);
        sources.iter().find(|source| pushed.contains(*source))
    }

    /// The person of this id. Okta takes a sign-in name, whole or short, in place of an id: an answer
    /// about somebody else is none.
    pub(crate) async fn person_with_id(&self, source: &str, id: &str) -> Result<Option<Person>, Failure> {
        match self.source(source)?.person(id).await? {
            Some(found) if found.id != id => {
                let text = format!(
                    "invalid answer from {source}: Beadle asked for the person with the id {id}, and it answered about {} ({})",
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
