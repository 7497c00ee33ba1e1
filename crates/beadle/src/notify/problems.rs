//! Finds the present problems in the store and in the configuration. The search changes nothing.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use beadle_engine::background::stored_records;
use beadle_engine::gate::is_of_command;
use beadle_engine::guard::{HoldGroup, HoldState, group_holds};
use beadle_engine::notify::{Problem, ProblemKind, Topic};
use beadle_engine::{History, Hold, Key, Store, StoreError, Time};
use beadle_repositories::readable_waivers;
use parking_lot::Mutex;

use crate::app::gate::held_generation::HeldGeneration;
use crate::app::service::Service;
use crate::app::service::last_sweep_generation::LastSweep;
use crate::notify::credential_problems;
use crate::notify::journal_problems::Place;
use crate::notify::problem::{FAILING, problem};

/// The maximum delay of a sweep. If the delay is longer, Beadle reports a problem.
const LATE: Duration = Duration::from_secs(3600);
/// The number of keys that Beadle lists in addition to the counted keys. The additional keys are
/// necessary because more keys might become parked after the count. Also, the rows of keys that are
/// not parked can be unreadable.
const JUST_PARKED: u32 = 100;
/// The maximum number of names that one call looks up.
const NAMES: usize = 50;
/// The maximum number of journal entries that Beadle searches for the name of a key.
const NEWEST: u32 = 20;
/// The maximum number of names that Beadle keeps in memory.
const KNOWN: usize = 10_000;
/// The name of the background task that reads the mappings. The problems of this task belong to no
/// instance.
const MAPPINGS: &str = "mappings";
/// The instance that a problem has if Beadle cannot read a held change or a row of the queue.
/// Beadle does not know to which organisation or target the unreadable data belongs.
const STORE: &str = "store";
/// The effect of an unreadable held change.
const NO_DECISION: &str = "Beadle parks the repository or group of the change, and writes nothing to it. Until Beadle \
                           can read the change, nobody can approve or reject any held change, and no raised limits \
                           come into force";
/// The effect of an unreadable row of the queue.
const NO_WORK: &str = "Beadle does not work on the repository or group until it can read the row";
/// The effect of an unreadable waiver.
const NO_RUN: &str = "Beadle changes no repository of the organisation until it can read the waiver, or until somebody \
                      ends the waiver with `beadle waivers --end CODE`";

/// The names of parked keys.
#[derive(Default)]
pub(crate) struct Names(Mutex<HashMap<Key, String>>);

/// Returns the present problems of the store, the background tasks and the targets.
pub(crate) async fn find(
    service: &Service,
    place: &Place,
    names: &Names,
    now: Time,
) -> Result<Vec<Problem>, StoreError> {
    let store = service.store.as_ref();
    let mut found = held_and_unreadable(store).await?;
    for org in &service.orgs {
        found.extend(unreadable_waivers(store, &org.file.name).await?);
    }
    let count = store.depth(now).await?.parked;
    found.extend(parked_and_unreadable(store, names, count).await?);
    found.extend(failing(store, now).await?);
    found.extend(place.sweeps.iter().filter(|(_, (_, failed))| *failed > 0).map(
        |(name, (checked, failed))| {
            let what = format!("{failed} of {checked} repositories or groups failed in the last sweep");
            problem(Topic::new(ProblemKind::SweepFailed, name), "keys", name, what, "")
        },
    ));
    found.extend(overdue(service, now).await?);
    found.extend(credential_problems::find(service, now));
    Ok(found)
}

/// Returns the instances of the configuration. Beadle reports only the problems of these instances.
/// The store might still contain problems of an instance that is no longer in the configuration.
pub(crate) fn instances(service: &Service) -> BTreeSet<&str> {
    let file = &service.config().file;
    let orgs = file.org.iter().map(|org| org.name.as_str());
    let oktas = file.okta.iter().map(|okta| okta.name.as_str());
    let targets = file.target.iter().map(|target| target.name.as_str());
    let team_files = service.directories.team_files.keys().map(String::as_str);
    orgs.chain(oktas).chain(targets).chain(team_files).chain([MAPPINGS, STORE]).collect()
}

/// Returns the problems of the held changes and of the held policies. An unreadable hold is itself
/// a problem, and does not hide the other holds.
async fn held_and_unreadable(store: &dyn Store) -> Result<Vec<Problem>, StoreError> {
    let list = store.all_holds().await?;
    let names = list.unreadable_names();
    let mut found: Vec<Problem> = names.map(|name| unreadable(STORE, name, NO_DECISION)).collect();
    // An approved or rejected change needs no decision.
    let groups = group_holds(list.holds);
    let open = groups.iter().filter(|group| group.state == HoldState::Open);
    found.extend(open.flat_map(held));
    let policies = HeldGeneration::all(store).await?.into_iter();
    let waits = |(note, held): &(String, HeldGeneration)| held.approved.is_none() && !is_of_command(note);
    found.extend(policies.filter(waits).map(|(note, held)| held_policy(&note, &held)));
    Ok(found)
}

/// Returns the problems of an organisation's unreadable waivers.
async fn unreadable_waivers(store: &dyn Store, organisation: &str) -> Result<Vec<Problem>, StoreError> {
    let (_, names) = readable_waivers(store, organisation).await?;
    Ok(names.iter().map(|name| unreadable(organisation, name, NO_RUN)).collect())
}

fn unreadable(instance: &str, name: &str, why: &str) -> Problem {
    problem(Topic::new(ProblemKind::Unreadable, instance), name, name, "unreadable", why)
}

/// Returns the problems of a group of held changes. The texts contain names but no values, because
/// a value can be confidential. The title of the group contains values, so the texts do not contain
/// this title.
fn held(group: &HoldGroup) -> Vec<Problem> {
    let why = match &group.asked {
        Some(asked) => format!("{}; {asked} at {} asks for it", group.why(), group.generation),
        None => group.why().to_owned(),
    };
    let one = |hold: &Hold| {
        let change = &hold.change;
        let kind = if hold.contested { ProblemKind::Contested } else { ProblemKind::Held };
        let its = change.fields.iter().filter(|field| field.risk == group.risk);
        let what = if change.what.is_empty() {
            its.map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ")
        } else {
            change.what.clone()
        };
        let topic = Topic::new(kind, &group.instance).of_aspect(&group.aspect);
        let what = format!("{} {what}", group.risk);
        let found = problem(topic, &hold.digest, &hold.subject, what, &why);
        Problem { code: group.code.clone(), ..found }
    };
    group.holds.iter().map(one).collect()
}

/// Returns the problem of a held policy. `note` is the name of the note with the hold. If the plan
/// of the policy changes while the gate holds the policy, the problem stays the same.
fn held_policy(note: &str, held: &HeldGeneration) -> Problem {
    let topic = Topic::new(ProblemKind::PolicyHeld, &held.organisation);
    let generation = &held.generation;
    if !held.is_readable() {
        // The generation of an unreadable hold might be unknown, so the note identifies the hold.
        return problem(topic, note, &format!("{generation} (held in {note})"), "unknown changes", &held.why);
    }
    problem(topic, generation, generation, held.summary(), &held.why)
}

/// Returns the problems of the parked keys and of the unreadable rows. `count` was the number of
/// parked keys a moment ago. An unreadable row is itself a problem, and does not hide the other
/// rows.
async fn parked_and_unreadable(
    store: &dyn Store,
    names: &Names,
    count: u64,
) -> Result<Vec<Problem>, StoreError> {
    let mut looked_up = 0;
    // The store lists parked rows first. So Beadle finds all of them without reading a long queue
    // to its end. An unreadable row stays in the queue, so sooner or later the row is among the
    // most urgent rows.
    let limit = u32::try_from(count).unwrap_or(u32::MAX).saturating_add(JUST_PARKED);
    let list = store.all_rows(limit).await?;
    let unreadable = list.unreadable_names().map(|name| unreadable(STORE, name, NO_WORK));
    let mut found: Vec<Problem> = unreadable.collect();
    for row in list.rows {
        let Some(parked) = &row.parked else { continue };
        let known = names.0.lock().get(&row.key).cloned();
        let name = match known {
            Some(name) => name,
            None if looked_up < NAMES => {
                looked_up += 1;
                let name = name(store, &row.key).await?;
                let mut known = names.0.lock();
                if known.len() >= KNOWN {
                    known.clear();
                }
                known.insert(row.key.clone(), name.clone());
                name
            }
            None => row.key.to_string(),
        };
        let topic = Topic::new(ProblemKind::Parked, row.key.instance());
        found.push(problem(topic, row.key.as_str(), &name, parked.why.clone(), ""));
    }
    Ok(found)
}

/// Returns the newest name of a key in the journal. If the journal has no name for the key, returns
/// the key itself.
async fn name(store: &dyn Store, key: &Key) -> Result<String, StoreError> {
    let history = History { key: Some(key.to_string()), limit: NEWEST, ..History::default() };
    let entries = store.newest_entries(history).await?;
    let named = entries.into_iter().map(|entry| entry.subject).find(|subject| !subject.is_empty());
    Ok(named.unwrap_or_else(|| key.to_string()))
}

/// Returns the problems of failing background tasks for policies and sweeps.
async fn failing(store: &dyn Store, now: Time) -> Result<Vec<Problem>, StoreError> {
    let mut found = Vec::new();
    for (name, record) in stored_records(store).await? {
        let (Some(failure), Some(since)) = (record.failure, record.failing_since) else { continue };
        // If the time is in the future, a process stored the time while its clock was ahead.
        let is_long = since > now || now.since(since) >= FAILING;
        let Some(topic) = of_task(&name).filter(|_| is_long) else { continue };
        // The text of a failure can change with each run, because an unavailable vendor causes
        // different errors. So the text does not identify the problem.
        found.push(problem(topic, &name, &name, failure.replace('\n', "; "), ""));
    }
    Ok(found)
}

/// Returns the topic of the background task with this name. Returns `None` if Beadle sends no
/// messages about failures of this task.
fn of_task(name: &str) -> Option<Topic> {
    let of = |prefix: &str, kind| name.strip_prefix(prefix).map(|instance| Topic::new(kind, instance));
    of("policy of ", ProblemKind::PolicyRejected)
        .or_else(|| of("opening of ", ProblemKind::PolicyRejected))
        .or_else(|| of("sweep of ", ProblemKind::SweepFailed))
        .or_else(|| of("sweep summary of ", ProblemKind::SweepFailed))
        .or_else(|| (name == MAPPINGS).then(|| Topic::new(ProblemKind::PolicyRejected, name)))
}

/// Returns the sweeps that should have begun.
async fn overdue(service: &Service, now: Time) -> Result<Vec<Problem>, StoreError> {
    let orgs = service.orgs.iter().map(|org| (&org.file.name, org.file.schedule()));
    let oktas = service.directories.okta.iter().map(|(file, _)| (&file.name, file.schedule()));
    let mut found = Vec::new();
    // The list is necessary because the loop waits for the store, and the future of this function
    // cannot contain an iterator with closures.
    for (name, schedule) in orgs.chain(oktas).collect::<Vec<_>>() {
        let Some(last) = LastSweep::note(name).get(service.store.as_ref()).await? else { continue };
        let Some(due) = schedule.next(last.at).filter(|due| *due + LATE <= now) else { continue };
        let what = format!("the last sweep began at {}, and the next one was due at {due}", last.at);
        found.push(problem(Topic::new(ProblemKind::SweepOverdue, name), "sweep", name, what, ""));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use beadle_engine::testing::{self, change};
    use beadle_engine::{
        Class, Failure, Lane, Limits, Mark, Note, Outcome, ParkReason, PolicyLocation, Risk, TaskRecord,
    };
    use beadle_repositories::stored_waiver;
    use serde_json::json;

    use super::*;
    use crate::app::service;

    #[tokio::test]
    async fn each_denied_credential_of_the_configuration_is_a_problem() {
        let acme = "[[org]]\nname = \"acme\"\npolicy = \"p\"\ntoken = \"file:t\"\n";
        let (_folder, service) = service::testing::service(acme, FAILING);
        let now = Time::from_seconds(1000);
        let instances = async || -> Vec<String> {
            let found = find(&service, &Place::default(), &Names::default(), now).await.unwrap();
            assert!(
                found.iter().all(|problem| problem.topic.kind == ProblemKind::CredentialEnds),
                "{found:?}"
            );
            found.into_iter().map(|problem| problem.topic.instance).collect()
        };
        assert_eq!(instances().await, Vec::<String>::new());
        service.app.reader(&service.config().file.org[0]).unwrap().budgets().deny(Time(0));
        for budgets in service.directories.budgets() {
            budgets.deny(Time(0));
        }
        assert_eq!(instances().await, ["acme", "corp", "aws"]);
    }

    #[test]
    fn a_hold_names_the_thing_and_the_code_of_its_group_and_no_value() {
        let hold = |n: u64, what: &str, contested| Hold {
            why: "guard limit reached".into(),
            contested,
            change: change("teams", what, &[Risk::Removes]),
            ..testing::hold(n)
        };
        let groups =
            group_holds(vec![hold(1, "team engineering", false), hold(2, "team engineering", false)]);
        let found = held(&groups[0]);
        assert_eq!(found.len(), 2);
        assert_eq!((found[1].what.as_str(), found[1].id.as_str()), ("removes team engineering", "d2"));
        assert_eq!((found[1].subject.as_str(), &found[1].code), ("acme/r2", &groups[0].code));
        assert_eq!(found[0].topic, Topic::new(ProblemKind::Held, "acme").of_aspect("teams"));
        assert_eq!(found[0].why, "guard limit reached");
        let mut asked = hold(1, "team engineering", false);
        asked.change.fields[0].asked = Some(PolicyLocation { file: "settings.yml".into(), line: 2 });
        let found = held(&group_holds(vec![asked])[0]);
        assert_eq!(found[0].why, "guard limit reached; settings.yml:2 at g asks for it");
        let found = held(&group_holds(vec![hold(1, "", true)])[0]);
        assert_eq!((found[0].what.as_str(), found[0].topic.kind), ("removes x", ProblemKind::Contested));
        assert_eq!(found[0].code, "d1", "the code of one change is its digest");
    }

    /// Returns the kind, the instance and the subject of each problem.
    fn shown(found: &[Problem]) -> Vec<(ProblemKind, &str, &str)> {
        found.iter().map(|one| (one.topic.kind, one.topic.instance.as_str(), one.subject.as_str())).collect()
    }

    #[tokio::test]
    async fn an_unreadable_hold_is_a_problem_and_hides_no_other_one() {
        let (folder, store) = crate::app::store::temporary().unwrap();
        let store = store.as_ref();
        let limits = Limits { removes: 0, ..Limits::default() };
        let asked = vec![testing::hold(1), testing::hold(2), testing::hold(3)];
        store.reserve(None, &limits, asked, Time(1)).await.unwrap().unwrap();
        let file = rusqlite::Connection::open(folder.path().join("beadle.db")).unwrap();
        for digest in ["d1", "d3"] {
            file.execute("UPDATE hold SET hold = '\"hunter2\"' WHERE digest = ?1", [digest]).unwrap();
        }
        store.put(HeldGeneration::note("acme limits").name(), "{").await.unwrap();
        store.put(HeldGeneration::note("acme").name(), "{").await.unwrap();
        let held = HeldGeneration::new(("labs", "g1"), &[], 1, Time(0));
        HeldGeneration::note("labs").put(store, &held).await.unwrap();
        let found = held_and_unreadable(store).await.unwrap();
        assert_eq!(
            shown(&found),
            [
                (ProblemKind::Unreadable, STORE, "the hold d1"),
                (ProblemKind::Unreadable, STORE, "the hold d3"),
                (ProblemKind::Held, "acme", "acme/r2"),
                (ProblemKind::PolicyHeld, "acme", "unknown (held in acme)"),
                (ProblemKind::PolicyHeld, "acme", "unknown (held in acme limits)"),
                (ProblemKind::PolicyHeld, "labs", "g1"),
            ]
        );
        for problem in &found {
            let has_value = [&problem.what, &problem.why].iter().any(|text| text.contains("hunter2"));
            assert!(!has_value, "a message has no stored value: {problem:?}");
        }
        let ids: BTreeSet<(&Topic, &str)> = found.iter().map(|one| (&one.topic, one.id.as_str())).collect();
        assert_eq!(ids.len(), found.len(), "each of them is a problem of its own");
    }

    #[tokio::test]
    async fn a_key_or_a_task_that_an_unreadable_hold_stopped_tells_no_stored_value() {
        let (folder, store) = crate::app::store::temporary().unwrap();
        let store = store.as_ref();
        let limits = Limits { removes: 0, ..Limits::default() };
        store.reserve(None, &limits, vec![testing::hold(1)], Time(1)).await.unwrap().unwrap();
        let file = rusqlite::Connection::open(folder.path().join("beadle.db")).unwrap();
        file.execute("UPDATE hold SET hold = '\"hunter2\"'", []).unwrap();
        let key = testing::hold(1).key;
        let failure = Failure::from(store.holds_of(&key).await.unwrap_err());
        assert_eq!(failure.class, Class::Fatal, "the key parks");
        store.mark(vec![Mark::new(key.clone(), Lane::Event)], Time(1)).await.unwrap();
        let claim = store.claim_key(&key, Time(1)).await.unwrap().unwrap();
        let outcome = Outcome::Park(ParkReason::Failed, failure.text);
        assert!(store.finish(&claim.lease, outcome, Time(2)).await.unwrap());
        let record: TaskRecord = serde_json::from_value(json!({
            "name": "policy of acme", "period": 10_000, "begun": 1, "ended": 2, "last": null,
            "failure": store.holds().await.unwrap_err().to_string(), "failing_since": 0, "runs": 1,
            "failures": 1, "next": 3,
        }))
        .unwrap();
        Note::of(&["policy of acme"]).put(store, &record).await.unwrap();
        let mut found = parked_and_unreadable(store, &Names::default(), 1).await.unwrap();
        found.extend(failing(store, Time::from_seconds(1000)).await.unwrap());
        assert_eq!(
            shown(&found),
            [
                (ProblemKind::Parked, "acme", key.as_str()),
                (ProblemKind::PolicyRejected, "acme", "policy of acme"),
            ]
        );
        for problem in &found {
            assert!(problem.what.contains("the hold d1 is unreadable"), "{}", problem.what);
            assert!(!problem.what.contains("hunter2"), "{}", problem.what);
        }
    }

    #[tokio::test]
    async fn an_unreadable_row_of_the_queue_is_a_problem_and_hides_no_parked_key() {
        let (folder, store) = crate::app::store::temporary().unwrap();
        let store = store.as_ref();
        for key in [1, 2].map(|n| testing::hold(n).key) {
            let claim = store.claim_key(&key, Time(1)).await.unwrap().unwrap();
            let outcome = Outcome::Park(ParkReason::Failed, "403".into());
            assert!(store.finish(&claim.lease, outcome, Time(2)).await.unwrap());
        }
        let file = rusqlite::Connection::open(folder.path().join("beadle.db")).unwrap();
        file.execute("UPDATE work SET parked = '{' WHERE key = 'repository:acme:1'", []).unwrap();
        let found = parked_and_unreadable(store, &Names::default(), 2).await.unwrap();
        let row = (ProblemKind::Unreadable, STORE, "the row of repository:acme:1");
        assert_eq!(shown(&found), [row, (ProblemKind::Parked, "acme", "repository:acme:2")]);
    }

    #[tokio::test]
    async fn each_unreadable_waiver_is_a_problem_of_its_organisation() {
        let (_folder, store) = crate::app::store::temporary().unwrap();
        let store = store.as_ref();
        let readable =
            r#"{"keys":["topics"],"repositories":["*"],"until":7,"reason":"release","owner":"ann"}"#;
        for (code, text) in [("a", readable), ("b", r#"{"paths":["topics"]}"#), ("c", "{")] {
            store.put(stored_waiver("acme", code).name(), text).await.unwrap();
        }
        let found = unreadable_waivers(store, "acme").await.unwrap();
        let kind = ProblemKind::Unreadable;
        assert_eq!(
            shown(&found),
            [(kind, "acme", "the waiver b of acme"), (kind, "acme", "the waiver c of acme")]
        );
        assert!(unreadable_waivers(store, "labs").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_task_that_fails_for_a_minute_is_a_problem_even_if_the_clock_was_ahead() {
        let (_folder, store) = crate::app::store::temporary().unwrap();
        let store = store.as_ref();
        for (name, since) in [("policy of a", 930), ("policy of b", 950), ("policy of c", 99_999)] {
            let record: TaskRecord = serde_json::from_value(json!({
                "name": name, "period": 10_000, "begun": 1, "ended": 2, "last": null, "failure": "502",
                "failing_since": since * 1000, "runs": 1, "failures": 1, "next": 3,
            }))
            .unwrap();
            Note::of(&[name]).put(store, &record).await.unwrap();
        }
        let found = failing(store, Time::from_seconds(1000)).await.unwrap();
        let instances: Vec<&str> = found.iter().map(|problem| problem.topic.instance.as_str()).collect();
        assert_eq!(instances, ["a", "c"]);
    }

    #[test]
    fn only_tasks_of_policies_and_sweeps_are_topics() {
        for (name, kind) in [
            ("policy of acme", Some(ProblemKind::PolicyRejected)),
            ("opening of acme", Some(ProblemKind::PolicyRejected)),
            ("sweep of acme", Some(ProblemKind::SweepFailed)),
            ("sweep summary of acme", Some(ProblemKind::SweepFailed)),
            ("mappings", Some(ProblemKind::PolicyRejected)),
            ("notifications to ops", None),
            ("pruning", None),
        ] {
            assert_eq!(of_task(name).map(|topic| topic.kind), kind, "{name}");
        }
        assert_eq!(of_task("sweep summary of acme").unwrap().instance, "acme");
    }
}
