//! `/policy`: the generations of the policies, and the generations that the gate holds.

use beadle_engine::{Entry, EntryKind, Risk, Store, Time};
use serde::Serialize;

use super::previews::{CHANGE_COLUMNS, change_rows};
use super::{journal, previews};
use crate::pages::asked::{Asked, Refused, number};
use crate::pages::detail;
use crate::pages::facts::{HeldPolicy, OrganisationFacts, WaiverFacts};
use crate::pages::html::{Html, joined, text};
use crate::pages::lines::Lines;
use crate::pages::link::Link;
use crate::pages::newest::newest_of;
use crate::pages::operation_forms::{end_waiver_form, policy_form, undo_policy_button};
use crate::pages::parts::{code, existing_drift, facts, link, list, moment, more, paragraph, section, table};
use crate::pages::unreadable::unreadable_list;
use crate::pages::view::View;
use crate::pages::write_results::WriteResults;
use crate::sign_in::Visitor;

/// The number of journal entries on the page.
const ENTRIES: usize = 50;
/// The explanation of drift that exists already.
const DRIFT: &str = "The policy in force asks for these changes too, so this policy does not cause them.";

/// The policies of all organisations.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct Policies {
    organisations: Vec<OrganisationFacts>,
    /// The newest journal entries about generations. The newest entry comes first.
    history: Vec<Entry>,
    /// The page with older entries shows only entries that have smaller numbers than this. `None`
    /// if there are no older entries.
    older: Option<u64>,
    /// The signed-in person who looks at the page.
    #[serde(skip)]
    visitor: Option<Visitor>,
}

impl Policies {
    /// Sets the visitor of the page, and returns the page.
    pub(in crate::pages) fn for_visitor(self, visitor: Option<Visitor>) -> Self {
        Self { visitor, ..self }
    }
}

/// Reads the policies.
pub(in crate::pages) async fn load(
    store: &dyn Store,
    organisations: Vec<OrganisationFacts>,
    asked: &Asked,
) -> Result<Policies, Refused> {
    let before = number("before", &asked.before)?;
    let kind = Some(EntryKind::Policy);
    let found = newest_of(store, kind, ("", before), ENTRIES, &|_: &Entry| true).await?;
    Ok(Policies { organisations, history: found.entries, older: found.older, visitor: None })
}

/// Returns the generation of the policy in force, and how to undo what this policy wrote. Returns
/// `None` if the organisation is not open.
pub(super) fn policy_with_undo(org: &OrganisationFacts, visitor: Option<&Visitor>) -> Option<Html> {
    let generation = org.generation.as_deref()?;
    let undo = undo_policy_button(visitor, (&org.name, generation));
    Some(joined([code(generation), undo]))
}

/// Returns a policy of this organisation that the gate holds.
fn held((organisation, held): (&str, &HeldPolicy), now: Time, visitor: Option<&Visitor>) -> Html {
    let sums = Risk::ALL.into_iter().rev().map(|risk| (risk, held.sums.risks.count(risk)));
    let sums = sums.filter(|(_, count)| *count > 0);
    let sums: Vec<String> = sums.map(|(risk, count)| format!("{count} {}", risk.noun(count))).collect();
    let approval = match &held.approved_by {
        Some(by) => text(format!("approved by {by}")),
        None => code(format!("beadle approve {} --reason \"TEXT\"", held.generation)),
    };
    let mut rows = vec![
        ("Generation", code(&held.generation)),
        ("Held by", text(held.held_by)),
        ("Held since", moment(held.since, now)),
        ("Why", text(&held.why)),
        ("Plan", code(&held.plan)),
        ("Changes", text(sums.join(", "))),
        ("Removes, weakens or exposes something in", text(&held.places)),
        ("Drift that exists already", existing_drift(held.drift, DRIFT, organisation)),
        ("Approval", approval),
    ];
    if !held.delayed.is_empty() {
        rows.push(("Changes that wait", list(held.delayed.iter().map(text))));
    }
    rows.extend(held.commit.as_ref().map(|commit| ("Commit", detail::commit(commit))));
    let groups = table(
        "What the policy would change",
        &CHANGE_COLUMNS,
        change_rows(&held.groups),
        "The hold lists no change.",
    );
    let left_out = match held.more_groups {
        0 => Html::default(),
        count => paragraph([text(format!("{count} more kinds of changes are left out."))]),
    };
    let form = match &held.approved_by {
        Some(_) => Html::default(),
        None => policy_form(visitor, (&held.plan, &held.generation)),
    };
    joined([facts(rows), groups, left_out, form])
}

/// Returns the row of a waiver in a [`waiver_table`]. If the visitor has the right to end the
/// waiver, the row contains a form for this.
pub(in crate::pages) fn waiver_row(
    organisation: &str,
    waiver: &WaiverFacts,
    (now, visitor): (Time, Option<&Visitor>),
) -> Vec<Html> {
    let form = if waiver.can_end { end_waiver_form(visitor, &waiver.code) } else { Html::default() };
    let names = waiver.repositories.iter().map(|name| text(format!("{organisation}/{name}")));
    vec![
        list(names),
        list(waiver.keys.iter().map(code)),
        text(if waiver.in_force { "in force" } else { "not in force" }),
        moment(waiver.until, now),
        text(format!("{} ({})", waiver.reason, waiver.owner)),
        joined([code(&waiver.declared_by), text(" "), code(&waiver.code), form]),
    ]
}

/// Returns a table of waivers. If there are no rows, returns the sentence `empty`.
pub(in crate::pages) fn waiver_table(rows: Vec<Vec<Html>>, empty: &'static str) -> Html {
    table(
        "Keys that Beadle does not compare for a time",
        &["Repositories", "Keys", "State", "Until", "Reason and owner", "Declared by"],
        rows,
        empty,
    )
}

fn waivers(organisations: &[OrganisationFacts], now: Time, visitor: Option<&Visitor>) -> Html {
    let mut rows = Vec::new();
    for org in organisations {
        rows.extend(org.waivers.iter().map(|waiver| waiver_row(&org.name, waiver, (now, visitor))));
    }
    waiver_table(
        rows,
        "There is no waiver. The page of a repository has the form that exempts a key of the repository.",
    )
}

impl View for Policies {
    const PLACE: &'static str = "/policy";

    fn title(&self) -> String {
        "Policy".to_owned()
    }

    fn content(&self, now: Time) -> Vec<Html> {
        let organisation = |org: &OrganisationFacts| {
            let generation = policy_with_undo(org, self.visitor.as_ref());
            let generation = generation.unwrap_or_else(|| text("the organisation is not open"));
            let commit = org.commit.as_ref().map(detail::commit).unwrap_or_default();
            let modes: Vec<String> =
                org.modes.iter().map(|(aspect, mode)| format!("{aspect}: {mode}")).collect();
            vec![text(&org.name), text(&org.mode), text(modes.join(", ")), generation, commit]
        };
        let all = self.organisations.iter().flat_map(|org| org.held.iter().map(|of| (org.name.as_str(), of)));
        let gate: Vec<Html> = all.map(|of| held(of, now, self.visitor.as_ref())).collect();
        let gate = if gate.is_empty() { vec![paragraph([text("The gate holds no policy.")])] } else { gate };
        let unreadable = self.organisations.iter().flat_map(|org| org.unreadable_waivers.iter().cloned());
        let unreadable: Vec<String> = unreadable.collect();
        let waivers = waivers(&self.organisations, now, self.visitor.as_ref());
        let older = self.older.map(|before| Link::to(Self::PLACE).with("before", &before.to_string()));
        vec![
            table(
                "The policies in force",
                &["Organisation", "Mode", "Modes of aspects", "Generation", "Commit"],
                self.organisations.iter().map(organisation).collect(),
                "The configuration has no organisation.",
            ),
            paragraph([link(&Link::to(previews::PATH), "What merging an open pull request would change")]),
            section("The gate", gate),
            section("Waivers", [waivers, unreadable_list(&unreadable)]),
            section(
                "Generations",
                [
                    table(
                        "The newest entries first",
                        &journal::COLUMNS,
                        journal::rows(
                            (&self.history, &Lines::default(), &WriteResults::default()),
                            &[],
                            now,
                            self.visitor.as_ref(),
                        ),
                        "The journal has no entry of a policy.",
                    ),
                    more(older, "Older entries"),
                ],
            ),
        ]
    }
}
