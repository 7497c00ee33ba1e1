//! The two sides, and what is declared between them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use beadle_engine::{Class, Failure};

use crate::mapping::Mappings;
use crate::sources::Source;
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
}

impl Directory {
    /// The mappings in force.
    pub fn mappings(&self) -> Arc<Mappings> {
        self.mappings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn source(&self, name: &str) -> Result<&Arc<dyn Source>, Failure> {
        self.sources.get(name).ok_or_else(|| {
            Failure::new(Class::Rejected, format!("the directory {name} is no longer in the configuration"))
        })
    }
}
