//! `/repositories` and `/groups`: the state of each repository, or of each group.

use beadle_engine::{Store, Time};
use serde::Serialize;

use super::needing::with_problem;
use crate::pages::asked::{Asked, Refused, contains};
use crate::pages::condition::{Condition, Thing, Trouble, things};
use crate::pages::html::{Html, text};
use crate::pages::link::Link;
use crate::pages::parts::{
    THING_COLUMNS, choice, counted, field, filter, more, paragraph, table, thing_rows,
};
use crate::pages::view::View;

/// The key kind of a repository.
pub(in crate::pages) const REPOSITORY: &str = "repository";
/// The key kind of a group.
pub(in crate::pages) const GROUP: &str = "target-group";

/// The number of rows on a page.
const ROWS: usize = 100;

/// One page of repositories or groups.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct Things {
    /// The number of all matching repositories or groups.
    total: usize,
    /// The repositories or groups, sorted by instance and name.
    rows: Vec<Thing>,
    /// The next page begins after this place. `None` on the last page.
    next: Option<String>,
    #[serde(skip)]
    asked: Asked,
    /// The names of the instances with repositories or groups.
    #[serde(skip)]
    instances: Vec<String>,
}

/// The page of repositories.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(in crate::pages) struct Repositories(pub(in crate::pages) Things);

/// The page of groups.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(in crate::pages) struct Groups(pub(in crate::pages) Things);

/// Reads one page of repositories or groups in these instances.
pub(in crate::pages) async fn load(
    store: &dyn Store,
    (kind, instances): (&'static str, Vec<String>),
    asked: &Asked,
    now: Time,
) -> Result<Things, Refused> {
    let state = match asked.state.as_str() {
        "" => None,
        name => Some(Condition::named(name).ok_or_else(|| unknown_state(name))?),
    };
    let wanted = asked.text.to_lowercase();
    let holds = store.all_holds().await?.holds;
    let trouble = Trouble::read(store, &holds, now).await?;
    let mut found = things(store, kind, &instances, &trouble).await?;
    if !asked.problem.is_empty() {
        let its = with_problem(&found, &holds, &asked.problem);
        found.retain(|thing| its.contains(&thing.key));
    }
    found.retain(|thing| {
        (asked.instance.is_empty() || thing.key.instance() == asked.instance)
            && state.is_none_or(|state| thing.is_in(state))
            && (contains(&thing.subject, &wanted)
                || thing.findings().any(|(_, why, _)| contains(why, &wanted)))
    });
    let total = found.len();
    let begin =
        if asked.after.is_empty() { 0 } else { found.partition_point(|thing| thing.place() <= asked.after) };
    let rows: Vec<Thing> = found.into_iter().skip(begin).take(ROWS).collect();
    let next = rows.last().map(Thing::place).filter(|_| begin + rows.len() < total);
    Ok(Things { total, rows, next, asked: asked.clone(), instances })
}

fn unknown_state(name: &str) -> Refused {
    let states = Condition::ALL.map(Condition::as_str).join(", ");
    Refused::Invalid(format!("`state` must be one of {states}, found `{name}`"))
}

impl Things {
    fn content(
        &self,
        (place, of): (&'static str, &'static str),
        (one, many): (&'static str, &'static str),
        empty: &'static str,
        now: Time,
    ) -> Vec<Html> {
        let Asked { instance, state, text: wanted, .. } = &self.asked;
        let instances = self.instances.iter().map(String::as_str);
        let form = filter(
            place,
            vec![
                choice("instance", of, instances, instance),
                choice("state", "State", Condition::ALL.map(Condition::as_str), state),
                field("text", "Name or reason contains", wanted),
            ],
        );
        let next = self.next.as_ref().map(|next| {
            let link = Link::to(place).with("instance", instance).with("state", state);
            link.with("text", wanted).with("problem", &self.asked.problem).with("after", next)
        });
        vec![
            form,
            paragraph([text(counted(self.total, one, many))]),
            table("By name", &THING_COLUMNS, thing_rows(&self.rows, now), empty),
            more(next, "Next page"),
        ]
    }
}

impl View for Repositories {
    const PLACE: &'static str = "/repositories";

    fn title(&self) -> String {
        "Repositories".to_owned()
    }

    fn content(&self, now: Time) -> Vec<Html> {
        let empty = "No repository matches. Beadle shows a repository after its first run.";
        self.0.content((Self::PLACE, "Organisation"), ("repository", "repositories"), empty, now)
    }
}

impl View for Groups {
    const PLACE: &'static str = "/groups";

    fn title(&self) -> String {
        "Groups".to_owned()
    }

    fn content(&self, now: Time) -> Vec<Html> {
        let empty = "No group matches. Beadle shows a group after its first run.";
        self.0.content((Self::PLACE, "Target"), ("group", "groups"), empty, now)
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Key, KeyState, Report, Risk, Step, StepResult, testing};

    use super::super::needing::code;
    use super::*;
    use crate::exchange;

    #[tokio::test]
    async fn the_list_of_the_drifted_repositories_has_those_with_a_hold_and_further_drift() {
        let folder = tempfile::tempdir().unwrap();
        let store = exchange::store(&folder);
        let store = store.as_ref();
        let held = || StepResult::Held { digest: "d1".into(), why: "limit".into() };
        for (id, results) in [
            (1, vec![held(), StepResult::Withheld]),
            (2, vec![StepResult::Withheld]),
            (3, vec![StepResult::Written]),
            (4, vec![held()]),
        ] {
            let change = || testing::change("teams", "team core", &[Risk::Removes]);
            let report = Report {
                subject: format!("acme/r{id}"),
                steps: results.into_iter().map(|outcome| Step { change: change(), outcome }).collect(),
                unknowns: Vec::new(),
                skipped: None,
                failure: None,
            };
            KeyState::record(store, &Key::new(REPOSITORY, "acme", id), &report, Time(1)).await.unwrap();
        }
        let asked = Asked { state: "drifted".into(), ..Asked::default() };
        let found = load(store, (REPOSITORY, vec!["acme".into()]), &asked, Time(9)).await.unwrap();
        let rows: Vec<(&str, Condition)> =
            found.rows.iter().map(|row| (row.subject.as_str(), row.state)).collect();
        assert_eq!(rows, [("acme/r1", Condition::Held), ("acme/r2", Condition::Drifted)]);
    }

    #[tokio::test]
    async fn the_list_of_the_contested_repositories_has_those_with_a_hold() {
        let folder = tempfile::tempdir().unwrap();
        let store = exchange::store(&folder);
        let store = store.as_ref();
        let held = StepResult::Held { digest: "d1".into(), why: "limit".into() };
        let step = |outcome| Step { change: testing::change("labels", "bug", &[Risk::Removes]), outcome };
        let report = Report {
            subject: "acme/r1".into(),
            steps: vec![step(held), step(StepResult::Postponed("contested".into()))],
            unknowns: Vec::new(),
            skipped: None,
            failure: None,
        };
        KeyState::record(store, &Key::new(REPOSITORY, "acme", 1), &report, Time(1)).await.unwrap();
        for (state, text, expected) in [
            ("held", "", 1),
            ("contested", "another writer", 1),
            ("contested", "limit", 0),
            ("unknown", "", 0),
        ] {
            let asked = Asked { state: state.into(), text: text.into(), ..Asked::default() };
            let found = load(store, (REPOSITORY, vec!["acme".into()]), &asked, Time(9)).await.unwrap();
            assert_eq!(found.rows.len(), expected, "{state} {text}");
        }
    }

    #[tokio::test]
    async fn the_list_of_a_problem_has_exactly_its_repositories() {
        let folder = tempfile::tempdir().unwrap();
        let store = exchange::store(&folder);
        let store = store.as_ref();
        for (id, aspects) in
            [(1, &["labels"][..]), (2, &["labels", "topics"]), (3, &["labels"]), (4, &["teams"])]
        {
            let step = |aspect: &&str| {
                let change = testing::change(aspect, "x", &[Risk::Adds]);
                Step { change, outcome: StepResult::Withheld }
            };
            let report = Report {
                subject: format!("acme/r{id}"),
                steps: aspects.iter().map(step).collect(),
                unknowns: Vec::new(),
                skipped: None,
                failure: None,
            };
            KeyState::record(store, &Key::new(REPOSITORY, "acme", id), &report, Time(1)).await.unwrap();
        }
        let why = "the mode does not allow the changes of labels";
        let problem = code((REPOSITORY, "acme"), Condition::Drifted, why);
        let asked = Asked { problem, ..Asked::default() };
        let found = load(store, (REPOSITORY, vec!["acme".into()]), &asked, Time(9)).await.unwrap();
        let rows: Vec<&str> = found.rows.iter().map(|row| row.subject.as_str()).collect();
        assert_eq!((found.total, rows), (2, vec!["acme/r1", "acme/r3"]));
    }
}
