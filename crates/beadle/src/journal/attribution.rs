//! The policies behind a write: who wrote them, and which line last declared a removed entry.

use std::collections::BTreeMap;

use beadle_engine::journal::PolicyInForce;
use beadle_repositories::controls::LastDeclared;
use serde_json::{Value, json};

/// A policy that came into force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownPolicy {
    /// The number of the policy's entry in the journal.
    pub(crate) entry: u64,
    pub(crate) policy: PolicyInForce,
}

impl KnownPolicy {
    /// Returns the policy as JSON.
    pub(crate) fn as_json(&self) -> Value {
        let mut json = json!(self.policy);
        json["entry"] = json!(self.entry);
        json
    }
}

/// What Beadle knows about the policies behind a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attribution {
    /// The policy that was in force during the write. `None` if the journal has no entry about this
    /// policy.
    pub(crate) policy: Option<KnownPolicy>,
    /// The earlier policy that first asked for the change. `None` if no earlier policy asked for
    /// the change, or if the journal has no entry about the earlier policy.
    pub(crate) first: Option<KnownPolicy>,
    /// The lines that last declared the removed entries, by the names of the removed values.
    pub(crate) declared: BTreeMap<String, LastDeclared>,
}
