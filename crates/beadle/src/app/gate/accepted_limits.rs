//! Stores the last accepted guard limits of each organisation and each target. A raised limit waits
//! for the gate. A lowered limit comes into force immediately.

use beadle_engine::{Limits, Metadata, Note, Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::app::gate::guard_limits::GuardLimits;

/// The last accepted limits of an organisation or a target.
#[derive(Serialize, Deserialize)]
#[serde(from = "Stored")]
struct AcceptedLimits(GuardLimits);

/// The limits in their stored form. The first version stored only the limits for all repositories
/// or all groups together, and no limits for single groups.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    All(GuardLimits),
    Guard(Limits),
}

impl From<Stored> for AcceptedLimits {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::All(limits) => Self(limits),
            Stored::Guard(guard) => Self(GuardLimits { guard, groups: None }),
        }
    }
}

impl Metadata for AcceptedLimits {
    const KIND: &'static str = "accepted-limits";
    const IS_NEEDED: bool = true;
}

fn note(instance: &str) -> Note<AcceptedLimits> {
    Note::of(&[instance])
}

/// Returns the last accepted limits, if a service has accepted any.
pub(super) async fn of(store: &dyn Store, instance: &str) -> Result<Option<GuardLimits>, StoreError> {
    Ok(note(instance).get(store).await?.map(|AcceptedLimits(limits)| limits))
}

/// Records that these limits are accepted.
pub(super) async fn remember(
    store: &dyn Store,
    instance: &str,
    limits: GuardLimits,
) -> Result<(), StoreError> {
    note(instance).put(store, &AcceptedLimits(limits)).await
}

/// Returns the limits that are in force when an organisation or a target opens. For a raised limit,
/// the accepted value stays in force until the gate lets the configured limits pass. A lowered
/// limit is accepted immediately, even if another limit is raised. If no service has accepted
/// limits yet, the configured limits need no gate.
pub(crate) async fn begin(
    store: &dyn Store,
    instance: &str,
    configured: GuardLimits,
) -> Result<GuardLimits, StoreError> {
    let accepted = of(store, instance).await?;
    let begun = accepted.map_or(configured, |accepted| configured.restrained_by(&accepted));
    if accepted != Some(begun) {
        remember(store, instance, begun).await?;
    }
    Ok(begun)
}

/// Returns the limits for a command or for the gate. Each raised limit has its accepted value. All
/// other limits have their configured values.
pub(crate) async fn usable(
    store: &dyn Store,
    instance: &str,
    configured: GuardLimits,
) -> Result<GuardLimits, StoreError> {
    let accepted = of(store, instance).await?;
    Ok(accepted.map_or(configured, |accepted| configured.restrained_by(&accepted)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::store;

    #[tokio::test]
    async fn limits_of_other_versions_are_read_or_never_count_as_missing() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let guard = Limits { removes: 3, ..Limits::default() };
        let configured = GuardLimits { guard: Limits { removes: 99, ..guard }, groups: None };
        let mut stored = serde_json::to_value(guard).unwrap();
        // The first version of the stored form had no limits for single groups.
        store.put(note("acme").name(), &stored.to_string()).await.unwrap();
        assert_eq!(begin(store, "acme", configured).await.unwrap().guard.removes, 3);
        // The stored form of a newer version might contain a limit that this version does not know.
        stored["renames"] = 7.into();
        let newer = serde_json::json!({ "guard": stored, "people": { "joins": 9 } });
        store.put(note("acme").name(), &newer.to_string()).await.unwrap();
        assert_eq!(usable(store, "acme", configured).await.unwrap().guard.removes, 3);
        // This version cannot read the stored limits. So Beadle raises no limit, and does not
        // change the stored limits.
        let newer = r#"{"per_team":{"removes":3}}"#;
        store.put(note("acme").name(), newer).await.unwrap();
        for result in [begin(store, "acme", configured).await, usable(store, "acme", configured).await] {
            assert!(matches!(result, Err(StoreError::Newer { .. })), "{result:?}");
        }
        assert_eq!(store.get(note("acme").name()).await.unwrap().as_deref(), Some(newer));
    }

    #[tokio::test]
    async fn raised_limits_wait_and_lowered_limits_are_in_force_at_once() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let limits =
            |removes: u32| GuardLimits { guard: Limits { removes, ..Limits::default() }, groups: None };
        let begun = async |removes: u32| begin(store, "acme", limits(removes)).await.unwrap().guard.removes;
        assert_eq!(usable(store, "acme", limits(99)).await.unwrap(), limits(99), "nothing is accepted yet");
        assert_eq!(begun(10).await, 10, "the first limits need no gate");
        assert_eq!(begun(20).await, 10);
        assert_eq!(of(store, "acme").await.unwrap(), Some(limits(10)));
        assert_eq!(usable(store, "acme", limits(20)).await.unwrap(), limits(10));
        assert_eq!(begun(5).await, 5);
        assert_eq!(begun(10).await, 5, "the lowered limits were accepted");
        remember(store, "acme", limits(10)).await.unwrap();
        assert_eq!(begun(10).await, 10);
        assert_eq!(of(store, "labs").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_limit_that_was_lowered_beside_a_raised_one_does_not_come_back_without_the_gate() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let limits = |removes: u32, weakens: u32| GuardLimits {
            guard: Limits { removes, weakens, ..Limits::default() },
            groups: None,
        };
        for (configured, in_force) in [((10, 10), (10, 10)), ((20, 5), (10, 5)), ((10, 10), (10, 5))] {
            let begun = begin(store, "acme", limits(configured.0, configured.1)).await.unwrap();
            assert_eq!(begun, limits(in_force.0, in_force.1), "{configured:?}");
        }
    }
}
