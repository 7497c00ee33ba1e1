//! `/`: the present problems.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use beadle_engine::guard::{group_holds, is_undo};
use beadle_engine::{Depth, EntryKind, HoldList, Lane, Pause, Store, TaskRecord, Time, one_line};
use serde::Serialize;

use super::attention::{Problem, problems, rows};
use super::last_sweeps::{SweepToUndo, last_sweeps};
use super::needing::needing_attention;
use super::open_pulls::OpenPulls;
use super::policy::policy_with_undo;
use super::things::{GROUP, REPOSITORY};
use crate::pages::asked::Refused;
use crate::pages::condition::{Condition, Thing, Trouble, things};
use crate::pages::facts::{Facts, InstallationFacts, OrganisationFacts};
use crate::pages::html::{Attribute, Html, Tag, element, hidden, joined, text};
use crate::pages::link::Link;
use crate::pages::names::{Names, names, paused_keys};
use crate::pages::parts::{
    THING_COLUMNS, code, counted, facts, faint, field, filter, link, moment, paragraph, paused, section,
    states, table,
};
use crate::pages::unreadable::unreadable_list;
use crate::pages::view::View;
use crate::sign_in::Visitor;

/// The kind of an organisation's own key.
const ORGANISATION: &str = "organisation";
/// The maximum number of keys in the API's list of keys that need attention.
const SHOWN: usize = 20;

/// The numbers of repositories or groups.
#[derive(Debug, Default, Serialize)]
struct Counts {
    /// The number of all repositories or groups.
    total: usize,
    /// The number for each state. A repository or group with several problems counts for each of
    /// them. So the sum of these numbers can exceed `total`.
    states: BTreeMap<&'static str, usize>,
}

/// The state of the whole process.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct Overview {
    /// The version of Beadle.
    version: &'static str,
    organisations: Vec<OrganisationFacts>,
    /// The known installations of the App in `[installations]`.
    installations: Vec<InstallationFacts>,
    /// The state of each organisation itself, after its first run.
    organisation_settings: Vec<Thing>,
    /// For each organisation, the newest sweep during which Beadle wrote something.
    sweeps: Vec<SweepToUndo>,
    repositories: Counts,
    groups: Counts,
    /// The number of held changes that wait for a decision.
    holds: usize,
    /// The number of those held changes that this version can read. A person can decide only about
    /// these changes.
    #[serde(skip)]
    waiting: usize,
    queue: Depth,
    pauses: Vec<Pause>,
    /// The known names of the paused keys.
    names: Names,
    failing_tasks: Vec<TaskRecord>,
    /// The stored holds, waivers and rows of the queue that this version cannot read.
    unreadable: Vec<String>,
    /// Some of the organisations, repositories and groups that are not as declared. The most
    /// important state comes first.
    attention: Vec<Thing>,
    /// The problems of all keys that need attention. If several keys have the same problem, the
    /// list has one entry for them.
    problems: Vec<Problem>,
    open_pulls: OpenPulls,
    /// The signed-in person who looks at the page.
    #[serde(skip)]
    visitor: Option<Visitor>,
}

impl Overview {
    /// Sets the visitor of the page, and returns the page.
    pub(in crate::pages) fn for_visitor(self, visitor: Option<Visitor>) -> Self {
        Self { visitor, ..self }
    }
}

/// Reads the state of the whole process.
pub(in crate::pages) async fn load(
    store: &dyn Store,
    known: &dyn Facts,
    tasks: Vec<TaskRecord>,
    now: Time,
) -> Result<Overview, Refused> {
    let organisations = known.organisations().await?;
    let instances: Vec<String> = organisations.iter().map(|org| org.name.clone()).collect();
    let list = store.all_holds().await?;
    let trouble = Trouble::read(store, &list.holds, now).await?;
    let organisation_settings = things(store, ORGANISATION, &instances, &trouble).await?;
    let repositories = things(store, REPOSITORY, &instances, &trouble).await?;
    let groups = things(store, GROUP, &known.targets(), &trouble).await?;
    let holds_to_decide = list.count_waiting();
    let waiting = holds_to_decide - list.unreadable.len();
    let HoldList { holds, mut unreadable } = list;
    unreadable.extend(organisations.iter().flat_map(|org| org.unreadable_waivers.iter().cloned()));
    unreadable.extend(trouble.unreadable);
    let all = organisation_settings.iter().chain(&repositories).chain(&groups);
    let needing = needing_attention(all, &holds);
    let attention = needing.iter().take(SHOWN).map(|thing| (*thing).clone()).collect();
    let held = holds.iter().map(|hold| &hold.generation).filter(|name| is_undo(name));
    let held: BTreeSet<String> = held.cloned().collect();
    let problems = problems(&needing, &group_holds(holds));
    let pauses = store.pauses(now).await?;
    let paused = paused_keys(&pauses);
    let names = names(store, paused.iter().collect()).await?;
    Ok(Overview {
        version: env!("CARGO_PKG_VERSION"),
        organisations,
        installations: known.installations().await?,
        repositories: Counts::of(&repositories),
        groups: Counts::of(&groups),
        organisation_settings,
        sweeps: last_sweeps(store, &instances, &held).await?,
        holds: holds_to_decide,
        waiting,
        queue: store.depth(now).await?,
        pauses,
        names,
        failing_tasks: tasks.into_iter().filter(|task| task.failure.is_some()).collect(),
        unreadable,
        attention,
        problems,
        open_pulls: OpenPulls::of(known.pulls().await?),
        visitor: None,
    })
}

impl Counts {
    fn of(things: &[Thing]) -> Self {
        let mut counts = Self { total: things.len(), states: BTreeMap::new() };
        for thing in things {
            for state in Condition::ALL.into_iter().filter(|state| thing.is_in(*state)) {
                *counts.states.entry(state.as_str()).or_default() += 1;
            }
        }
        counts
    }

    /// Returns the numbers as links to the lists. `one` is the noun for one repository or group.
    fn html(&self, place: &'static str, one: &str) -> Html {
        let mut pieces = vec![link(&Link::to(place), self.total)];
        for name in Condition::ALL.map(Condition::as_str) {
            if let Some(count) = self.states.get(name) {
                let to = Link::to(place).with("state", name);
                pieces.extend([text(" · "), link(&to, format!("{count} {name}"))]);
            }
        }
        if self.states.values().sum::<usize>() > self.total {
            pieces.push(faint(format!(" (a {one} with several problems counts for each of them)")));
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
        let held_policies = self.organisations.iter().flat_map(|org| &org.held);
        let held_policies = held_policies.filter(|held| held.approved_by.is_none()).count();
        let sums = facts(vec![
            ("Repositories", self.repositories.html("/repositories", "repository")),
            ("Groups", self.groups.html("/groups", "group")),
            ("Held changes", link(&Link::to("/holds"), self.holds)),
            ("Held policies", link(&Link::to("/policy"), held_policies)),
            ("Waivers in force", link(&Link::to("/policy"), waivers)),
            ("Queue", link(&Link::to("/queue"), queue)),
            ("Version", text(self.version)),
        ]);
        let own: HashMap<&str, &Thing> =
            self.organisation_settings.iter().map(|own| (own.key.instance(), own)).collect();
        let organisation = |org: &OrganisationFacts| {
            let policy = if org.open { org.generation.as_deref().unwrap_or("-") } else { "not open" };
            let held = match org.held.iter().filter(|held| held.approved_by.is_none()).count() {
                0 => text("none"),
                count => link(&Link::to("/policy"), count),
            };
            let its = own.get(org.name.as_str()).map_or_else(|| text("-"), |own| states(own));
            vec![text(&org.name), text(&org.mode), code(policy), held, its]
        };
        let task = |task: &TaskRecord| {
            let since = task.failing_since.map(|since| moment(since, now)).unwrap_or_default();
            vec![text(&task.name), text(one_line(task.failure.as_deref().unwrap_or_default())), since]
        };
        let pause = |pause: &Pause| vec![paused(pause, &self.names), moment(pause.until, now)];
        let installation =
            |one: &InstallationFacts| vec![text(&one.login), text(&one.standing), moment(one.since, now)];
        let installations = section(
            "Installations of the App",
            [table(
                "The organisations in which the App of [installations] is or was installed",
                &["Organisation", "State", "Since"],
                self.installations.iter().map(installation).collect(),
                "Beadle knows no installation.",
            )],
        );
        vec![
            calls(self.waiting, held_policies),
            sums,
            section(
                "Needs attention",
                [
                    table(
                        "Some of the organisations, repositories and groups that are not as declared, by their problem",
                        &THING_COLUMNS,
                        rows(&self.problems, now),
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
                    unreadable_list(&self.unreadable),
                ],
            ),
            self.undos(now),
            self.open_pulls.html(now),
            section("Find who changed what", [search()]),
            section("Exempt a repository", [exemption()]),
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
            if self.installations.is_empty() { Html::default() } else { installations },
            paragraph([text("The API has the same values as JSON: "), link(&Link::to(API), API)]),
        ]
    }
}

impl Overview {
    /// Returns the section with the last writes of each organisation, and how to undo them.
    fn undos(&self, now: Time) -> Html {
        let visitor = self.visitor.as_ref();
        let row = |org: &OrganisationFacts| {
            let sweep = self.sweeps.iter().find(|sweep| sweep.organisation == org.name);
            let sweep = sweep.map_or_else(|| text("-"), |sweep| sweep.html(now, visitor));
            vec![text(&org.name), sweep, policy_with_undo(org, visitor).unwrap_or_else(|| text("-"))]
        };
        let writes = table(
            "How to undo the last writes of Beadle",
            &["Organisation", "Last sweep with repairs", "Policy in force"],
            self.organisations.iter().map(row).collect(),
            "The configuration has no organisation.",
        );
        section("Undo", [writes])
    }
}

/// Returns a form that finds writes in the journal. Each write names its policy and the author of the
/// policy.
fn search() -> Html {
    filter(
        "/journal",
        vec![
            hidden("kind", EntryKind::Intent.as_str()),
            field("key", "Repository or group", ""),
            field("text", "Team, label, setting, author of the policy or other text", ""),
        ],
    )
}

/// Returns how to exempt a repository from the policy.
fn exemption() -> Html {
    paragraph([
        text(
            "To exempt a repository, waive some of its settings until a time, or pause it. Open its page in ",
        ),
        link(&Link::to("/repositories"), "the list of repositories"),
        text(", or run "),
        code("beadle waive"),
        text(" or "),
        code("beadle pause"),
        text(". The waivers are on "),
        link(&Link::to("/policy"), "the page of the policy"),
        text(", and the pauses are on "),
        link(&Link::to("/queue"), "the page of the queue"),
        text("."),
    ])
}

/// Returns the links to the changes and the policies that wait for an approval.
fn calls(changes: usize, policies: usize) -> Html {
    let call = |count: usize, (one, many): (&str, &str), place: &'static str| {
        let wait = if count == 1 { "waits" } else { "wait" };
        let shown = format!("{} {wait} for approval", counted(count, one, many));
        let attributes = [Attribute::Class("call")];
        (count > 0).then(|| element(Tag::P, &attributes, [link(&Link::to(place), shown)]))
    };
    let changes = call(changes, ("change", "changes"), "/holds");
    let policies = call(policies, ("policy", "policies"), "/policy");
    joined([changes, policies].into_iter().flatten())
}

/// The address of the API description.
const API: &str = "/api/v1/openapi.json";

#[cfg(test)]
mod tests {
    use beadle_engine::{Finding, Key};

    use super::*;

    #[test]
    fn the_form_finds_the_writes_of_a_repository_or_a_group() {
        let form = search();
        let start = "<form action=\"/journal\"><input type=\"hidden\" name=\"kind\" value=\"intent\">";
        assert!(form.as_str().starts_with(start), "{}", form.as_str());
        for name in ["name=\"key\"", "name=\"text\""] {
            assert!(form.as_str().contains(name), "{}", form.as_str());
        }
    }

    #[test]
    fn a_person_who_looks_for_an_exemption_finds_waivers_and_pauses() {
        let shown = exemption();
        for part in [
            "To exempt a repository, waive some of its settings until a time, or pause it.",
            "<a href=\"/repositories\">",
            "<code>beadle waive</code> or <code>beadle pause</code>",
        ] {
            assert!(shown.as_str().contains(part), "`{part}` is not in {}", shown.as_str());
        }
    }

    #[test]
    fn the_changes_and_policies_that_wait_are_one_click_away() {
        let shown = |changes, policies| calls(changes, policies).as_str().to_owned();
        assert_eq!(
            shown(170, 0),
            "<p class=\"call\"><a href=\"/holds\">170 changes wait for approval</a></p>"
        );
        assert_eq!(shown(0, 1), "<p class=\"call\"><a href=\"/policy\">1 policy waits for approval</a></p>");
        assert_eq!(shown(0, 0), "");
    }

    #[test]
    fn a_repository_counts_for_each_of_its_problems() {
        let thing = |id: u64, state, pending| {
            let (key, subject) = (Key::new("repository", "acme", id), format!("acme/r{id}"));
            Thing { key, subject, state, why: String::new(), since: Time(1), pending, further: Vec::new() }
        };
        let further = |state: Condition| Finding { state, why: String::new(), since: Time(1) };
        let counts = Counts::of(&[
            thing(1, Condition::Held, 2),
            thing(2, Condition::Drifted, 1),
            thing(3, Condition::Unknown, 0),
            Thing { further: vec![further(Condition::Contested)], ..thing(4, Condition::Held, 2) },
            // Two reasons for the same state count once.
            Thing { further: vec![further(Condition::Drifted)], ..thing(5, Condition::Drifted, 2) },
        ]);
        let expected = BTreeMap::from([("contested", 1), ("drifted", 2), ("held", 2), ("unknown", 1)]);
        let said = "(a repository with several problems counts for each of them)";
        assert!(counts.html("/repositories", "repository").as_str().contains(said));
        assert_eq!((counts.total, counts.states), (5, expected));
        let apart = Counts::of(&[thing(1, Condition::Held, 2), thing(2, Condition::AsDeclared, 0)]);
        assert!(!apart.html("/repositories", "repository").as_str().contains("several problems"));
    }
}
