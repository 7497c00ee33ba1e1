//! The policy and the modes that are in force for an organisation.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use beadle_engine::Mode;

use crate::policy::Policy;

/// The generation of the policy that is in force. A new generation can replace it at any time.
#[derive(Clone, Debug)]
pub struct PolicyHandle(Arc<RwLock<Arc<Policy>>>);

impl PolicyHandle {
    /// Creates a handle with `policy` in force.
    pub fn new(policy: Policy) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(policy))))
    }

    /// Returns the generation in force.
    pub fn current(&self) -> Arc<Policy> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another generation in force.
    pub fn replace(&self, policy: Policy) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }
}

/// The modes of the aspects.
#[derive(Clone, Debug, Default)]
pub struct Modes {
    /// The mode of the organisation.
    pub organisation: Mode,
    /// The modes of single aspects. The more careful mode counts.
    pub aspects: BTreeMap<String, Mode>,
}

impl Modes {
    pub(crate) fn of(&self, aspect: &str) -> Mode {
        let own = self.aspects.get(aspect).copied().unwrap_or(Mode::Enforce);
        own.min(self.organisation)
    }
}
