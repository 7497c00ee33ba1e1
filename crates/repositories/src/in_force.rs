//! What is in force for an organisation: its policy, and how far each aspect may go.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use beadle_engine::Mode;

use crate::policy::Policy;

/// The generation of the policy that is in force. A new one is put in place while work goes on.
#[derive(Clone, Debug)]
pub struct PolicyHandle(Arc<RwLock<Arc<Policy>>>);

impl PolicyHandle {
    /// Starts with `policy`.
    pub fn new(policy: Policy) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(policy))))
    }

    /// The generation in force.
    pub fn current(&self) -> Arc<Policy> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another generation in force.
    pub fn replace(&self, policy: Policy) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }
}

/// How far each aspect may go.
#[derive(Clone, Debug, Default)]
pub struct Modes {
    /// The organisation's.
    pub organisation: Mode,
    /// Of single aspects, where they are more careful.
    pub aspects: BTreeMap<String, Mode>,
}

impl Modes {
    pub(crate) fn of(&self, aspect: &str) -> Mode {
        let own = self.aspects.get(aspect).copied().unwrap_or(Mode::Enforce);
        own.min(self.organisation)
    }
}
