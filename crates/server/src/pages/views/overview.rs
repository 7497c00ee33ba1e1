//! `/`: what is wrong now.

use std::collections::BTreeMap;

use beadle_engine::{Depth, Lane, LastRun, Pause, RunState, Store, StoreError, TaskRecord, Time};
use serde::Serialize;

use super::runs::{GROUP, REPOSITORY};
use crate::pages::asked::Refused;
use crate::pages::facts::OrganisationFacts;
use crate::pages::html::{Html, joined, text};
use crate::pages::link::Link;
use crate::pages::parts::{code, facts, link, moment, paragraph, runs, section, state, table};
use crate::pages::view::View;

/// The number of rows that are read from the store at once.
const READ: u32 = 1000;
/// The kind of the keys of the organisations themselves.
const ORGANISATION: &str = "organisation";
/// The maximum number of keys that need attention on the page.
const SHOWN: usize = 20;

/// The keys of one kind, by the state of their last run.
#[derive(Debug, Default, Serialize)]
struct Counts {
    /// The number of keys.
    total: u64,
    /// The number of keys by state.
    states: BTreeMap<&'static str, u64>,
}

/// The state of the whole process.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct Overview {
    /// The version of Beadle.
    version: &'static str,
    organisations: Vec<OrganisationFacts>,
    /// The last run of each organisation itself, if its policy declares something about it.
    organisation_runs: Vec<LastRun>,
    repositories: Counts,
    groups: Counts,
    /// The number of held changes.
    holds: usize,
    queue: Depth,
    pauses: Vec<Pause>,
    failing_tasks: Vec<TaskRecord>,
    /// Some of the organisations, repositories and groups that are not as declared.
    attention: Vec<LastRun>,
}

/// Reads the state of the whole process.
pub(in crate::pages) async fn load(
    store: &dyn Store,
    organisations: Vec<OrganisationFacts>,
    tasks: Vec<TaskRecord>,
    now: Time,
) -> Result<Overview, Refused> {
    let organisation_runs = LastRun::page(store, (ORGANISATION, ""), "", READ).await?.runs;
    let mut attention: Vec<LastRun> =
        organisation_runs.iter().filter(|run| !is_fine(run)).take(SHOWN).cloned().collect();
    Ok(Overview {
        version: env!("CARGO_PKG_VERSION"),
        organisations,
        organisation_runs,
        repositories: count(store, REPOSITORY, &mut attention).await?,
        groups: count(store, GROUP, &mut attention).await?,
        holds: store.holds().await?.len(),
        queue: store.depth(now).await?,
        pauses: store.pauses(now).await?,
        failing_tasks: tasks.into_iter().filter(|task| task.failure.is_some()).collect(),
        attention,
    })
}

/// Returns whether nobody has to look at the key.
fn is_fine(run: &LastRun) -> bool {
    matches!(run.state, RunState::AsDeclared | RunState::Skipped)
}

async fn count(
    store: &dyn Store,
    kind: &'static str,
    attention: &mut Vec<LastRun>,
) -> Result<Counts, StoreError> {
    let mut counts = Counts::default();
    let mut after = String::new();
    loop {
        let page = LastRun::page(store, (kind, ""), &after, READ).await?;
        for run in page.runs {
            counts.total += 1;
            *counts.states.entry(run.state.as_str()).or_default() += 1;
            if !is_fine(&run) && attention.len() < SHOWN {
                attention.push(run);
            }
        }
        let Some(next) = page.next else { return Ok(counts) };
        after = next;
    }
}

impl Counts {
    fn html(&self, place: &'static str) -> Html {
        let mut pieces = vec![link(&Link::to(place), self.total)];
        for run_state in RunState::ALL {
            if let Some(count) = self.states.get(run_state.as_str()) {
                let to = Link::to(place).with("state", run_state.as_str());
                pieces.extend([text(" · "), link(&to, count), text(" "), state(run_state.as_str())]);
            }
        }
        joined(pieces)
    }
}

impl View for Overview {
    const PLACE: &'static str = "/";

    fn title(&self) -> String {
        "Overview".to_owned()
    }

    fn content(&self, now: Time) -> Vec<Html> {
        let due = Lane::ALL.map(|lane| format!("{} {lane}", self.queue.lane(lane))).join(", ");
        let queue = format!("{due} due, {} running, {} parked", self.queue.leased, self.queue.parked);
        let sums = facts(vec![
            ("Repositories", self.repositories.html("/repositories")),
            ("Groups", self.groups.html("/groups")),
            ("Held changes", link(&Link::to("/holds"), self.holds)),
            ("Queue", link(&Link::to("/queue"), queue)),
            ("Version", text(self.version)),
        ]);
        let organisation = |org: &OrganisationFacts| {
            let policy = if org.open { org.generation.as_deref().unwrap_or("-") } else { "not open" };
            let held = match org.held.len() {
                0 => text("none"),
                count => link(&Link::to("/policy"), count),
            };
            let run = self.organisation_runs.iter().find(|run| run.key.instance() == org.name);
            let its = run.map_or_else(|| text("-"), |run| state(run.state.as_str()));
            vec![text(&org.name), text(&org.mode), code(policy), held, its]
        };
        let task = |task: &TaskRecord| {
            let since = task.failing_since.map(|since| moment(since, now)).unwrap_or_default();
            vec![text(&task.name), text(task.failure.as_deref().unwrap_or_default()), since]
        };
        let pause = |pause: &Pause| vec![code(&pause.scope), moment(pause.until, now)];
        vec![
            sums,
            section(
                "Needs attention",
                [
                    table(
                        "Some of the organisations, repositories and groups that are not as declared",
                        &["Name", "State", "Why", "Last run"],
                        runs(&self.attention, now),
                        "Everything is as declared.",
                    ),
                    table(
                        "Background tasks that fail",
                        &["Task", "Error", "Since"],
                        self.failing_tasks.iter().map(task).collect(),
                        "No background task fails.",
                    ),
                    table(
                        "Pauses",
                        &["Paused", "Until"],
                        self.pauses.iter().map(pause).collect(),
                        "Nothing is paused.",
                    ),
                ],
            ),
            section(
                "Organisations",
                [table(
                    "The mode and the policy in force",
                    &[
                        "Organisation",
                        "Mode",
                        "Policy in force",
                        "Policies that the gate holds",
                        "Own settings",
                    ],
                    self.organisations.iter().map(organisation).collect(),
                    "The configuration has no organisation.",
                )],
            ),
            paragraph([text("The API has the same values as JSON: "), link(&Link::to(API), API)]),
        ]
    }
}

/// The address of the description of the API.
const API: &str = "/api/v1/openapi.json";
