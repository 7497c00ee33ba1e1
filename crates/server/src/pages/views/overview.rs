//! `/`: what is wrong now.

use std::collections::BTreeMap;

use beadle_engine::{Depth, Hold, Lane, Pause, Store, TaskRecord, Time};
use serde::Serialize;

use super::things::{GROUP, REPOSITORY};
use crate::pages::asked::Refused;
use crate::pages::condition::{Condition, Thing, Trouble, things};
use crate::pages::facts::OrganisationFacts;
use crate::pages::html::{Html, joined, text};
use crate::pages::link::Link;
use crate::pages::parts::{
    THING_COLUMNS, code, facts, link, moment, paragraph, section, state, table, thing_rows,
};
use crate::pages::view::View;

/// The kind of the keys of the organisations themselves.
const ORGANISATION: &str = "organisation";
/// The maximum number of keys that need attention on the page.
const SHOWN: usize = 20;

/// The numbers of repositories or groups.
#[derive(Debug, Default, Serialize)]
struct Counts {
    /// The number of all of them.
    total: usize,
    /// The numbers by state.
    states: BTreeMap<&'static str, usize>,
}

/// The state of the whole process.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct Overview {
    /// The version of Beadle.
    version: &'static str,
    organisations: Vec<OrganisationFacts>,
    /// The state of each organisation itself, after its first run.
    organisation_settings: Vec<Thing>,
    repositories: Counts,
    groups: Counts,
    /// The number of held changes that wait for a decision.
    holds: usize,
    queue: Depth,
    pauses: Vec<Pause>,
    failing_tasks: Vec<TaskRecord>,
    /// Some of the organisations, repositories and groups that are not as declared, with the most
    /// important state first.
    attention: Vec<Thing>,
}

/// Reads the state of the whole process. `targets` are the names of the targets of groups.
pub(in crate::pages) async fn load(
    store: &dyn Store,
    organisations: Vec<OrganisationFacts>,
    targets: &[String],
    tasks: Vec<TaskRecord>,
    now: Time,
) -> Result<Overview, Refused> {
    let names: Vec<String> = organisations.iter().map(|org| org.name.clone()).collect();
    let trouble = Trouble::read(store).await?;
    let organisation_settings = things(store, ORGANISATION, &names, &trouble).await?;
    let repositories = things(store, REPOSITORY, &names, &trouble).await?;
    let groups = things(store, GROUP, targets, &trouble).await?;
    let all = organisation_settings.iter().chain(&repositories).chain(&groups);
    let mut attention: Vec<&Thing> = all.filter(|thing| !thing.state.is_fine()).collect();
    attention.sort_by_key(|thing| thing.state.rank());
    let attention = attention.into_iter().take(SHOWN).cloned().collect();
    Ok(Overview {
        version: env!("CARGO_PKG_VERSION"),
        organisations,
        repositories: Counts::of(&repositories),
        groups: Counts::of(&groups),
        organisation_settings,
        holds: store.holds().await?.iter().filter(|hold| is_waiting(hold)).count(),
        queue: store.depth(now).await?,
        pauses: store.pauses(now).await?,
        failing_tasks: tasks.into_iter().filter(|task| task.failure.is_some()).collect(),
        attention,
    })
}

/// Returns whether a held change waits for a decision of an operator.
fn is_waiting(hold: &Hold) -> bool {
    hold.approved_by.is_none() && hold.rejected.is_none()
}

impl Counts {
    fn of(things: &[Thing]) -> Self {
        let mut counts = Self { total: things.len(), states: BTreeMap::new() };
        for thing in things {
            *counts.states.entry(thing.state.as_str()).or_default() += 1;
        }
        counts
    }

    fn html(&self, place: &'static str) -> Html {
        let mut pieces = vec![link(&Link::to(place), self.total)];
        for name in Condition::ALL.map(Condition::as_str) {
            if let Some(count) = self.states.get(name) {
                let to = Link::to(place).with("state", name);
                pieces.extend([text(" · "), link(&to, format!("{count} {name}"))]);
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
        let waivers = self.organisations.iter().flat_map(|org| &org.waivers);
        let waivers = waivers.filter(|waiver| waiver.in_force).count();
        let sums = facts(vec![
            ("Repositories", self.repositories.html("/repositories")),
            ("Groups", self.groups.html("/groups")),
            ("Held changes", link(&Link::to("/holds"), self.holds)),
            ("Waivers in force", link(&Link::to("/policy"), waivers)),
            ("Queue", link(&Link::to("/queue"), queue)),
            ("Version", text(self.version)),
        ]);
        let organisation = |org: &OrganisationFacts| {
            let policy = if org.open { org.generation.as_deref().unwrap_or("-") } else { "not open" };
            let held = match org.held.len() {
                0 => text("none"),
                count => link(&Link::to("/policy"), count),
            };
            let own = self.organisation_settings.iter().find(|own| own.key.instance() == org.name);
            let its = own.map_or_else(|| text("-"), |own| state(own.state.as_str()));
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
                        &THING_COLUMNS,
                        thing_rows(&self.attention, now),
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
                        "Organisation itself",
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
