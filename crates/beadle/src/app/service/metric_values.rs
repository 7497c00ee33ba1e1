//! Reads the condition of the organisations, directories and targets for the metrics and the
//! alarms: drift, unknown parts, contested changes and the times of sweeps.

use std::collections::BTreeSet;

use beadle_engine::gate::is_of_command;
use beadle_engine::{DriftCause, Hold, Key, KeyState, Metadata, Note, Pause, Store, StoreError, Time};
use beadle_server::{Condition, InstanceCondition};
use serde::{Deserialize, Serialize};

use crate::app::gate::held_generation::HeldGeneration;
use crate::app::organisations::served_organisation::ServedOrganisation;
use crate::app::service::Service;
use crate::app::service::last_sweep_generation::LastSweep;

/// The number of states that Beadle reads with one call of the store. If Beadle read all states at
/// once, the states of many repositories would need a lot of memory.
const PAGE: u32 = 1000;

/// The time at which a generation of a policy came into force.
#[derive(Serialize, Deserialize)]
struct GenerationSince {
    generation: String,
    since: Time,
}

impl Metadata for GenerationSince {
    const KIND: &'static str = "generation-since";
}

/// Reads the condition of all organisations, directories and targets of the configuration.
pub(crate) async fn gather(service: &Service) -> Result<Condition, StoreError> {
    let (store, now) = (service.store.as_ref(), service.clock().now());
    let mut condition = Condition::default();
    for org in &service.orgs {
        let instance = organisation(store, org, now).await?;
        condition.instances.insert(org.file.name.clone(), instance);
    }
    for file in &service.config().file.okta {
        let last = LastSweep::note(&file.name).get(store).await?;
        let next_sweep = last.as_ref().and_then(|last| file.schedule().next(last.at));
        let instance = condition.instances.entry(file.name.clone()).or_default();
        (instance.last_sweep, instance.next_sweep) = (last.map(|last| last.at), next_sweep);
    }
    for file in &service.config().file.target {
        condition.instances.entry(file.name.clone()).or_default();
    }
    for mapping in &service.directories.mappings().all {
        if let Some(target) = condition.instances.get_mut(&mapping.target) {
            target.modes.insert(mapping.mode);
        }
    }
    let pauses = store.pauses(now).await?;
    count_pauses(&mut condition, &pauses);
    let paused = Paused::new(&pauses);
    let mut contested = contested_holds(&store.all_holds().await?.holds, &paused);
    let mut next = Some(String::new());
    while let Some(after) = next {
        let (page, more) = KeyState::page(store, &after, PAGE).await?;
        count_states(&mut condition, page, &paused, &mut contested, now);
        next = more;
    }
    count_contested(&mut condition, contested);
    for (note, held) in HeldGeneration::all(store).await? {
        let instance = condition.instances.get_mut(&held.organisation);
        if let Some(instance) = instance.filter(|_| !is_of_command(&note) && held.approved.is_none()) {
            instance.held_policies += 1;
        }
    }
    condition.parked = store.depth(now).await?.parked;
    Ok(condition)
}

/// Returns the condition of an organisation, without the counts of the organisation's repositories.
async fn organisation(
    store: &dyn Store,
    org: &ServedOrganisation,
    now: Time,
) -> Result<InstanceCondition, StoreError> {
    let file = &org.file;
    let last = LastSweep::note(&file.name).get(store).await?;
    let open = org.open().filter(|_| !org.is_first());
    let generation = open.map(|open| open.policy.current().generation.clone());
    let in_force_since = match &generation {
        Some(generation) => Some(in_force_since(store, &file.name, generation, now).await?),
        None => None,
    };
    Ok(InstanceCondition {
        modes: [file.mode].into(),
        next_sweep: last.as_ref().and_then(|last| file.schedule().next(last.at)),
        last_sweep: last.map(|last| last.at),
        in_force_since,
        is_rejected: Some(org.newest.is_rejected()),
        ..InstanceCondition::default()
    })
}

/// Returns the time at which a generation came into force. The first call for a generation stores
/// the time, so that a restart does not reset the age of the generation.
async fn in_force_since(
    store: &dyn Store,
    organisation: &str,
    generation: &str,
    now: Time,
) -> Result<Time, StoreError> {
    let note = Note::<GenerationSince>::of(&[organisation]);
    let kept = note.get(store).await?.filter(|kept| kept.generation == generation);
    if let Some(kept) = kept {
        // If the stored time is in the future, a process with a wrong clock stored the time.
        return Ok(kept.since.min(now));
    }
    note.put(store, &GenerationSince { generation: generation.to_owned(), since: now }).await?;
    Ok(now)
}

/// The keys and instances that are paused.
struct Paused<'a>(BTreeSet<&'a str>);

impl<'a> Paused<'a> {
    fn new(pauses: &'a [Pause]) -> Self {
        Self(pauses.iter().map(|pause| pause.scope.as_str()).collect())
    }

    fn covers(&self, key: &Key) -> bool {
        self.0.contains(key.as_str()) || self.0.contains(key.instance())
    }
}

/// The contested aspects of keys.
type Contested = BTreeSet<(Key, String)>;

/// Returns the contested aspects for which a change is held. The guard holds each contested change
/// that removes, weakens or exposes something. A rejected change does not count, because it does
/// not wait for a decision.
fn contested_holds(holds: &[Hold], paused: &Paused<'_>) -> Contested {
    let waiting = holds.iter().filter(|hold| hold.contested && hold.is_open() && !paused.covers(&hold.key));
    waiting.map(|hold| (hold.key.clone(), hold.change.aspect.clone())).collect()
}

/// Counts the problems of the keys. Each key counts only once for each aspect. Also collects the
/// contested aspects. Does not count a paused key as failed, unknown or contested. A pause can end
/// a run before the run has written everything, and no run looks at a paused key. So the alerts
/// about a paused key would last until the end of the pause.
fn count_states(
    condition: &mut Condition,
    states: Vec<(Key, KeyState)>,
    paused: &Paused<'_>,
    contested: &mut Contested,
    now: Time,
) {
    for (key, state) in states {
        let Some(instance) = condition.instances.get_mut(key.instance()) else { continue };
        let is_paused = paused.covers(&key);
        if !is_paused {
            let aspects = state.contested_aspects(now).into_iter();
            contested.extend(aspects.map(|aspect| (key.clone(), aspect.to_owned())));
        }
        for (aspect, cause) in state.drift {
            if !(is_paused && matches!(cause, DriftCause::Failed | DriftCause::Contested)) {
                *instance.drifted.entry((aspect, cause)).or_default() += 1;
            }
        }
        if is_paused {
            continue;
        }
        let unknown: BTreeSet<String> = state.unknown.into_iter().map(|unknown| unknown.aspect).collect();
        for aspect in unknown {
            *instance.unknown.entry(aspect).or_default() += 1;
        }
    }
}

/// Counts the contested aspects.
fn count_contested(condition: &mut Condition, contested: Contested) {
    for (key, aspect) in contested {
        if let Some(instance) = condition.instances.get_mut(key.instance()) {
            *instance.contested.entry(aspect).or_default() += 1;
        }
    }
}

/// Counts the pauses of whole instances and of single keys.
fn count_pauses(condition: &mut Condition, pauses: &[Pause]) {
    for pause in pauses {
        if let Some(instance) = condition.instances.get_mut(&pause.scope) {
            instance.is_paused = true;
        } else if let Ok(key) = pause.scope.parse::<Key>()
            && let Some(instance) = condition.instances.get_mut(key.instance())
        {
            instance.paused_keys += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use beadle_engine::{Report, Unknown};
    use serde_json::json;

    use super::*;

    fn key(id: u64) -> Key {
        Key::new("repository", "acme", id)
    }

    fn acme() -> Condition {
        let instances = [("acme".to_owned(), InstanceCondition::default())].into();
        Condition { instances, parked: 0 }
    }

    fn state(id: u64, more: &serde_json::Value) -> (Key, KeyState) {
        let mut state = json!({ "subject": format!("acme/r{id}"), "since": 1, "pending": 1 });
        for (name, value) in more.as_object().unwrap() {
            state[name] = value.clone();
        }
        (key(id), serde_json::from_value(state).unwrap())
    }

    fn hold(id: u64, more: &serde_json::Value) -> Hold {
        let mut hold = json!({
            "digest": format!("d{id}"), "key": key(id), "subject": format!("acme/r{id}"), "since": 1,
            "why": "limit", "contested": true, "approved_by": null, "generation": "g",
            "change": { "aspect": "teams", "what": "team a", "fields": [], "mode": "enforce", "after": [], "write": null },
        });
        for (name, value) in more.as_object().unwrap() {
            hold[name] = value.clone();
        }
        serde_json::from_value(hold).unwrap()
    }

    /// Counts these states, with one state in each page.
    fn counted(condition: &mut Condition, states: Vec<(Key, KeyState)>, holds: &[Hold]) {
        counted_with(condition, states, holds, &[]);
    }

    fn counted_with(
        condition: &mut Condition,
        states: Vec<(Key, KeyState)>,
        holds: &[Hold],
        pauses: &[Pause],
    ) {
        let paused = Paused::new(pauses);
        let mut contested = contested_holds(holds, &paused);
        for state in states {
            count_states(condition, vec![state], &paused, &mut contested, Time(2));
        }
        count_contested(condition, contested);
    }

    #[test]
    fn a_repository_counts_once_for_each_aspect() {
        let unknown = |aspect: &str| json!({ "aspect": aspect, "why": "404", "transient": false });
        let states = vec![
            state(1, &json!({ "drift": { "teams": "failed", "labels": "mode" } })),
            state(2, &json!({ "drift": { "teams": "failed" } })),
            state(3, &json!({ "unknown": [unknown("teams"), unknown("teams"), unknown("topics")] })),
        ];
        let mut condition = acme();
        counted(&mut condition, states, &[]);
        let acme = &condition.instances["acme"];
        let drifted = [(("labels", DriftCause::Mode), 1), (("teams", DriftCause::Failed), 2)];
        let drifted = drifted.map(|((aspect, cause), count)| ((aspect.to_owned(), cause), count));
        assert_eq!(acme.drifted, BTreeMap::from(drifted));
        assert_eq!(acme.unknown, BTreeMap::from([("teams".to_owned(), 1), ("topics".to_owned(), 1)]));
    }

    #[test]
    fn a_contested_aspect_counts_once_whether_it_is_held_or_written_again() {
        let repaired =
            json!({ "pending": 0, "contests": [{ "aspect": "labels", "what": "", "since": 1, "at": 1 }] });
        let states = vec![state(1, &json!({ "contested": ["teams"] })), state(2, &repaired)];
        let holds = [
            hold(1, &json!({})),
            hold(3, &json!({})),
            hold(4, &json!({ "contested": false })),
            hold(5, &json!({ "approved_by": "mona" })),
        ];
        let mut condition = acme();
        counted(&mut condition, states, &holds);
        assert_eq!(
            condition.instances["acme"].contested,
            BTreeMap::from([("labels".to_owned(), 1), ("teams".to_owned(), 2)])
        );
    }

    #[test]
    fn a_paused_key_is_not_failed_unknown_or_contested() {
        let unknown = json!({ "aspect": "teams", "why": "404", "transient": false });
        let left = json!({
            "drift": { "teams": "failed", "labels": "mode" }, "unknown": [unknown], "contested": ["teams"],
        });
        for scope in ["acme".to_owned(), key(1).to_string()] {
            let mut condition = acme();
            let pauses = [Pause { scope, until: Time(9) }];
            counted_with(&mut condition, vec![state(1, &left)], &[hold(1, &json!({}))], &pauses);
            let acme = &condition.instances["acme"];
            assert_eq!(acme.drifted, BTreeMap::from([(("labels".to_owned(), DriftCause::Mode), 1)]));
            assert!(acme.unknown.is_empty() && acme.contested.is_empty(), "{acme:?}");
        }
    }

    #[test]
    fn a_key_of_an_organisation_that_is_not_configured_has_no_series() {
        let other = Key::new("repository", "labs", 1);
        let mut condition = acme();
        let drift = json!({ "drift": { "teams": "failed" }, "contested": ["teams"] });
        counted(&mut condition, vec![(other.clone(), state(1, &drift).1)], &[]);
        let until = Time(9);
        count_pauses(&mut condition, &[Pause { scope: other.to_string(), until }]);
        assert_eq!(condition, acme());
    }

    #[test]
    fn a_pause_of_an_organisation_differs_from_pauses_of_repositories() {
        let counted = |scopes: &[String]| {
            let pause = |scope: &String| Pause { scope: scope.clone(), until: Time(9) };
            let pauses: Vec<Pause> = scopes.iter().map(pause).collect();
            let mut condition = acme();
            count_pauses(&mut condition, &pauses);
            let acme = &condition.instances["acme"];
            (acme.is_paused, acme.paused_keys)
        };
        assert_eq!(counted(&[key(1).to_string(), key(2).to_string()]), (false, 2));
        assert_eq!(counted(&["acme".to_owned(), key(1).to_string()]), (true, 1));
    }

    #[tokio::test]
    async fn the_states_of_all_pages_are_read_and_settled_ones_are_left_out() {
        let (_folder, store) = crate::app::store::temporary().unwrap();
        let unknown = Unknown { aspect: "teams".into(), part: None, why: "404".into(), transient: false };
        for id in 1..=9 {
            let report = Report {
                subject: format!("acme/r{id}"),
                steps: Vec::new(),
                unknowns: if id % 2 == 0 { vec![unknown.clone()] } else { Vec::new() },
                skipped: None,
                failure: None,
            };
            KeyState::record(store.as_ref(), &key(id), &report, Time(1)).await.unwrap();
        }
        let (mut found, mut next) = (Vec::new(), Some(String::new()));
        while let Some(after) = next {
            let (page, more) = KeyState::page(store.as_ref(), &after, 2).await.unwrap();
            found.extend(page.into_iter().map(|(key, _)| key));
            next = more;
        }
        assert_eq!(found, [2, 4, 6, 8].map(key));
    }

    #[tokio::test]
    async fn a_generation_keeps_its_time_until_another_one_is_in_force() {
        let (_folder, store) = crate::app::store::temporary().unwrap();
        let start = Time(1_000_000);
        for (generation, after, expected) in [("g1", 0, 0), ("g1", 60, 0), ("g2", 90, 90), ("g2", 95, 90)] {
            let seconds = |n: u64| start + Duration::from_secs(n);
            let since = in_force_since(store.as_ref(), "acme", generation, seconds(after)).await.unwrap();
            assert_eq!(since, seconds(expected), "{generation} after {after} s");
        }
    }
}
