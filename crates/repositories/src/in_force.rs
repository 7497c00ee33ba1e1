//! The policy and the modes that are in force for an organisation.

use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;

use beadle_engine::Mode;

use crate::policy::Policy;

/// A handle to the policy that is in force at the moment. When a new generation comes into force,
/// all clones of the handle return the new generation immediately.
#[derive(Clone, Debug)]
pub struct PolicyHandle(Arc<RwLock<Arc<Policy>>>);

impl PolicyHandle {
    /// Creates a handle whose policy in force is `policy`.
    pub fn new(policy: Policy) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(policy))))
    }

    /// Returns the generation that is in force now.
    pub fn current(&self) -> Arc<Policy> {
        self.0.read().clone()
    }

    /// Replaces the policy in force with a new generation.
    pub fn replace(&self, policy: Policy) {
        *self.0.write() = Arc::new(policy);
    }
}

/// The modes of an organisation and its aspects.
#[derive(Clone, Debug, Default)]
pub struct Modes {
    /// The mode of the organisation.
    pub organisation: Mode,
    /// The modes that the configuration sets for single aspects. If the organisation's mode allows
    /// less than the aspect's mode, Beadle uses the organisation's mode.
    pub aspects: BTreeMap<String, Mode>,
}

impl Modes {
    pub(crate) fn of(&self, aspect: &str) -> Mode {
        let own = self.aspects.get(aspect).copied().unwrap_or(Mode::Enforce);
        own.min(self.organisation)
    }
}
