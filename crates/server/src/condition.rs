//! Reports the condition of the organisations, directories and targets as metrics. A background
//! task sets the metrics, so that a scrape does not need to read the state of every repository.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::{DriftCause, Mode, Time};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// The modes. Each mode has a separate metric series.
const MODES: [Mode; 3] = [Mode::Observe, Mode::AddOnly, Mode::Enforce];

/// The condition of all organisations, directories and targets of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// The condition of each organisation, directory and target. The key of the map is the name.
    pub instances: BTreeMap<String, InstanceCondition>,
    /// The number of parked keys.
    pub parked: u64,
}

/// The condition of an organisation, a directory or a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceCondition {
    /// The number of repositories and groups with an unwritten change. The key of the map consists
    /// of the aspect and the most severe cause.
    pub drifted: BTreeMap<(String, DriftCause), u64>,
    /// The number of repositories and groups with an unknown part, for each aspect.
    pub unknown: BTreeMap<String, u64>,
    /// The number of repositories and groups with a contested change, for each aspect.
    pub contested: BTreeMap<String, u64>,
    /// The modes. A target has the modes of its mappings. A directory has no mode.
    pub modes: BTreeSet<Mode>,
    /// True if a pause applies to the whole instance.
    pub is_paused: bool,
    /// The number of repositories and groups that have their own pause.
    pub paused_keys: u64,
    /// The start of the latest sweep.
    pub last_sweep: Option<Time>,
    /// The time at which the next sweep is due.
    pub next_sweep: Option<Time>,
    /// The time at which the present policy came into force.
    pub in_force_since: Option<Time>,
    /// True if Beadle rejects the newest policy. In that case, an older policy stays in force.
    /// `None` if the instance has no policy.
    pub is_rejected: Option<bool>,
    /// The number of policies and mappings that the gate holds.
    pub held_policies: u64,
}

impl Condition {
    /// Returns the number of repositories and groups with an unknown part. A repository counts once
    /// for each aspect with an unknown part.
    pub fn unknown(&self) -> u64 {
        self.instances.values().flat_map(|instance| instance.unknown.values()).sum()
    }

    /// Returns the number of repositories and groups with a contested change. A repository counts
    /// once for each aspect with a contested change.
    pub fn contested(&self) -> u64 {
        self.instances.values().flat_map(|instance| instance.contested.values()).sum()
    }

    /// Returns the number of repositories and groups with a failed change. A repository counts once
    /// for each aspect with a failed change.
    pub fn failed(&self) -> u64 {
        let all = self.instances.values().flat_map(|instance| &instance.drifted);
        all.filter(|((_, cause), _)| *cause == DriftCause::Failed).map(|(_, count)| count).sum()
    }

    /// Returns the number of organisations whose newest policy Beadle rejects.
    pub fn rejected(&self) -> usize {
        self.instances.values().filter(|instance| instance.is_rejected == Some(true)).count()
    }

    /// Returns by how many seconds the latest sweep is overdue, or 0 if no sweep is overdue.
    pub fn sweep_overdue(&self, now: Time) -> u64 {
        let overdue = self.instances.values().filter_map(|instance| instance.next_sweep);
        overdue.map(|next| now.since(next).as_secs()).max().unwrap_or_default()
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Named {
    name: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AspectOf {
    name: String,
    aspect: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DriftOf {
    name: String,
    aspect: String,
    cause: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ModeOf {
    name: String,
    mode: &'static str,
}

/// The metrics of the condition.
#[derive(Debug, Default)]
pub(crate) struct ConditionMetrics {
    drifted: Family<DriftOf, Gauge>,
    unknown: Family<AspectOf, Gauge>,
    contested: Family<AspectOf, Gauge>,
    mode: Family<ModeOf, Gauge>,
    paused: Family<Named, Gauge>,
    paused_keys: Family<Named, Gauge>,
    last_sweep: Family<Named, Gauge>,
    next_sweep: Family<Named, Gauge>,
    in_force_since: Family<Named, Gauge>,
    rejected: Family<Named, Gauge>,
    held_policies: Family<Named, Gauge>,
}

impl ConditionMetrics {
    /// Adds the metrics to the registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "keys_drifted",
            "Repositories and groups with a change that is not written, by aspect and cause",
            self.drifted.clone(),
        );
        registry.register(
            "keys_unknown",
            "Repositories and groups with a part that Beadle could not read or resolve, by aspect",
            self.unknown.clone(),
        );
        registry.register(
            "keys_contested",
            "Repositories and groups with a change that another writer undoes, by aspect",
            self.contested.clone(),
        );
        registry.register("mode", "1 if the mode is in force, otherwise 0", self.mode.clone());
        registry.register(
            "paused",
            "1 if a pause applies to the whole organisation, directory or target, otherwise 0",
            self.paused.clone(),
        );
        registry.register(
            "keys_paused",
            "Repositories and groups that have a pause of their own",
            self.paused_keys.clone(),
        );
        registry.register_with_unit(
            "last_sweep_timestamp",
            "Start of the last sweep",
            Unit::Seconds,
            self.last_sweep.clone(),
        );
        registry.register_with_unit(
            "next_sweep_timestamp",
            "Time at which the next sweep is due",
            Unit::Seconds,
            self.next_sweep.clone(),
        );
        registry.register_with_unit(
            "generation_timestamp",
            "Time since which the generation of the policy is in force",
            Unit::Seconds,
            self.in_force_since.clone(),
        );
        registry.register(
            "policy_rejected",
            "1 if Beadle does not accept the newest policy and an older one stays in force, otherwise 0",
            self.rejected.clone(),
        );
        registry.register(
            "policies_held",
            "Policies and mappings that the gate holds",
            self.held_policies.clone(),
        );
    }

    /// Replaces the values of all metrics.
    pub(crate) fn set(&self, condition: &Condition) {
        self.clear();
        for (name, instance) in &condition.instances {
            self.set_instance(name, instance);
        }
    }

    fn set_instance(&self, name: &str, instance: &InstanceCondition) {
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let name = || name.to_owned();
        for ((aspect, cause), count) in &instance.drifted {
            let label = DriftOf { name: name(), aspect: aspect.clone(), cause: cause.as_str() };
            self.drifted.get_or_create(&label).set(gauge(*count));
        }
        for (family, counts) in [(&self.unknown, &instance.unknown), (&self.contested, &instance.contested)] {
            for (aspect, count) in counts {
                let label = AspectOf { name: name(), aspect: aspect.clone() };
                family.get_or_create(&label).set(gauge(*count));
            }
        }
        for mode in MODES.into_iter().filter(|_| !instance.modes.is_empty()) {
            let label = ModeOf { name: name(), mode: mode.as_str() };
            self.mode.get_or_create(&label).set(i64::from(instance.modes.contains(&mode)));
        }
        let label = Named { name: name() };
        self.paused.get_or_create(&label).set(i64::from(instance.is_paused));
        self.paused_keys.get_or_create(&label).set(gauge(instance.paused_keys));
        self.held_policies.get_or_create(&label).set(gauge(instance.held_policies));
        if let Some(is_rejected) = instance.is_rejected {
            self.rejected.get_or_create(&label).set(i64::from(is_rejected));
        }
        for (family, at) in [
            (&self.last_sweep, instance.last_sweep),
            (&self.next_sweep, instance.next_sweep),
            (&self.in_force_since, instance.in_force_since),
        ] {
            if let Some(at) = at {
                family.get_or_create(&label).set(at.seconds());
            }
        }
    }

    fn clear(&self) {
        self.drifted.clear();
        self.mode.clear();
        for family in [&self.unknown, &self.contested] {
            family.clear();
        }
        let named = [&self.paused, &self.paused_keys, &self.last_sweep, &self.next_sweep];
        for family in named.into_iter().chain([&self.in_force_since, &self.rejected, &self.held_policies]) {
            family.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(instances: Vec<(&str, InstanceCondition)>) -> Condition {
        let instances = instances.into_iter().map(|(name, instance)| (name.to_owned(), instance));
        Condition { instances: instances.collect(), parked: 0 }
    }

    #[test]
    fn the_sums_count_each_aspect_of_each_instance() {
        let one = InstanceCondition {
            drifted: [
                (("teams".to_owned(), DriftCause::Failed), 2),
                (("labels".to_owned(), DriftCause::Mode), 9),
            ]
            .into(),
            unknown: [("teams".to_owned(), 3)].into(),
            is_rejected: Some(true),
            ..InstanceCondition::default()
        };
        let two = InstanceCondition {
            unknown: [("members".to_owned(), 4)].into(),
            contested: [("members".to_owned(), 1)].into(),
            is_rejected: Some(false),
            ..InstanceCondition::default()
        };
        let found = condition(vec![("acme", one), ("labs", two)]);
        assert_eq!((found.failed(), found.unknown(), found.contested(), found.rejected()), (2, 7, 1, 1));
    }

    #[test]
    fn the_latest_overdue_sweep_counts_and_a_sweep_of_the_future_does_not() {
        let due = |at: i64| InstanceCondition { next_sweep: Some(Time(at)), ..InstanceCondition::default() };
        let now = Time(100_000);
        for (instances, expected) in [
            (vec![], 0),
            (vec![("acme", due(160_000))], 0),
            (vec![("acme", due(90_000)), ("labs", due(40_000)), ("okta", due(160_000))], 60),
        ] {
            assert_eq!(condition(instances).sweep_overdue(now), expected);
        }
    }
}
