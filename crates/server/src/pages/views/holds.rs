//! `/holds`: the held changes, sorted into groups.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::guard::{HoldGroup, HoldState, group_holds, is_undo};
use beadle_engine::journal::PolicyInForce;
use beadle_engine::{Change, FirstHeld, Hold, HoldList, PolicyLocation, Risk, Store, Time, VoidApproval};
use serde::Serialize;

use crate::pages::asked::{Asked, Refused, contains, number};
use crate::pages::detail;
use crate::pages::facts::{AskedLine, HoldFacts};
use crate::pages::group_names::{unique, with_line};
use crate::pages::html::{Html, joined, text};
use crate::pages::lines::{HasLines, Lines, changes_of_holds, of_holds};
use crate::pages::link::Link;
use crate::pages::parts::{
    code, counted, faint, field, filter, link, list, moment, more, paragraph, state, subject, table,
};
use crate::pages::ruling_form::ruling_form;
use crate::pages::unreadable::unreadable_list;
use crate::pages::view::View;
use crate::pages::waiting_changes::{WaitingChanges, is_for_pages};
use crate::sign_in::Visitor;

/// The number of rows on a page. A row is a group, or a change in one group.
const ROWS: usize = 50;
/// The number of repositories or groups that a page shows as examples for a group of changes.
const EXAMPLES: usize = 5;

/// Held changes with the same title, the same policy line and the same cause.
#[derive(Debug, Serialize)]
struct Group {
    /// The code of the group. An operator uses the code to decide about the whole group.
    code: String,
    instance: String,
    generation: String,
    risk: Risk,
    aspect: String,
    title: String,
    /// The policy line that asks for the changes, if there is one.
    asked: Option<PolicyLocation>,
    /// The decision of the operators: `open`, `approved` or `rejected`.
    decision: &'static str,
    /// The operator who decided.
    by: Option<String>,
    /// The reason of the operator.
    reason: Option<String>,
    why: String,
    /// The time at which the oldest hold began.
    since: Time,
    /// The number of changes.
    changes: usize,
    /// The first changes of the group.
    examples: Vec<Hold>,
    /// An earlier approval of one of the examples. This approval is no longer valid, because the
    /// plan changed.
    void: Option<VoidApproval>,
    /// The policy that was in force when the guard began to hold the first example. The page
    /// searches for this policy only if the request selects one group.
    first_held: Option<FirstHeld>,
}

/// One page of held changes.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct HoldsPage {
    /// The number of all changes in the matching groups.
    total: usize,
    /// The groups. Groups that wait for a decision come first, in the order of their severity.
    groups: Vec<Group>,
    /// The changes of the group in the request, sorted by name. Empty if the request does not
    /// select a group.
    holds: Vec<Hold>,
    /// The held changes that this version cannot read. These changes belong to no group.
    unreadable: Vec<String>,
    /// The number of approved changes that Beadle has not written yet. `total` includes these
    /// changes.
    approved: usize,
    /// The number of rows to skip for the next page. `None` on the last page.
    next: Option<usize>,
    #[serde(skip)]
    asked: Asked,
    /// The matching groups that wait for an approval, including the groups on other pages. Empty if
    /// the request selects a group.
    #[serde(skip)]
    waiting: WaitingChanges,
    /// The links and texts of the policy lines on the page.
    #[serde(skip)]
    lines: Lines,
    /// The signed-in person who looks at the page.
    #[serde(skip)]
    visitor: Option<Visitor>,
}

impl HasLines for HoldsPage {
    fn asked_lines(&self) -> BTreeSet<AskedLine> {
        of_holds(self.groups.iter().flat_map(|group| &group.examples).chain(&self.holds))
    }

    fn changes(&self) -> Vec<&Change<()>> {
        changes_of_holds(self.groups.iter().flat_map(|group| &group.examples).chain(&self.holds))
    }

    fn holds(&self) -> Vec<&Hold> {
        self.groups.iter().flat_map(|group| &group.examples).chain(&self.holds).collect()
    }

    fn with_lines(self, lines: Lines) -> Self {
        Self { lines, ..self }
    }
}

impl HoldsPage {
    /// Sets the visitor of the page, and returns the page.
    pub(in crate::pages) fn for_visitor(self, visitor: Option<Visitor>) -> Self {
        Self { visitor, ..self }
    }
}

/// Reads one page of groups, or one page of the changes in one group.
pub(in crate::pages) async fn load(store: &dyn Store, asked: &Asked) -> Result<HoldsPage, Refused> {
    let skip = number("skip", &asked.skip)?.map_or(0, |skip| usize::try_from(skip).unwrap_or(usize::MAX));
    // The code of a group depends on all its changes. So Beadle forms the groups before the search.
    let HoldList { holds, unreadable } = store.all_holds().await?;
    let mut groups = group_holds(holds);
    let next = |rows: usize| Some(skip.saturating_add(ROWS)).filter(|next| *next < rows);
    let asked = asked.clone();
    if !asked.group.is_empty() {
        groups.retain(|group| group.code == asked.group);
        let Some(group) = groups.pop() else { return Err(no_group(&asked.group)) };
        let (total, approved) = (group.holds.len(), approved(std::slice::from_ref(&group)));
        let holds = group.holds.iter().skip(skip).take(ROWS).cloned().collect();
        let first_held = match group.holds.first() {
            Some(hold) => FirstHeld::of(store, hold).await?,
            None => None,
        };
        let (mut groups, next) = (vec![Group { first_held, ..Group::of(group) }], next(total));
        Group::find_void(&mut groups, store).await?;
        let (waiting, lines) = (WaitingChanges::default(), Lines::default());
        return Ok(HoldsPage {
            total,
            groups,
            holds,
            unreadable,
            approved,
            next,
            asked,
            waiting,
            lines,
            visitor: None,
        });
    }
    let wanted = asked.text.to_lowercase();
    groups.retain(|group| is_wanted(group, &wanted));
    let (total, approved) = (groups.iter().map(|group| group.holds.len()).sum(), approved(&groups));
    let (next, waiting) = (next(groups.len()), WaitingChanges::of(&groups));
    let mut groups: Vec<Group> = groups.into_iter().skip(skip).take(ROWS).map(Group::of).collect();
    Group::find_void(&mut groups, store).await?;
    let (holds, lines) = (Vec::new(), Lines::default());
    Ok(HoldsPage { total, groups, holds, unreadable, approved, next, asked, waiting, lines, visitor: None })
}

/// Returns the number of approved changes in these groups.
fn approved(groups: &[HoldGroup]) -> usize {
    let approved = groups.iter().filter(|group| matches!(group.state, HoldState::Approved { .. }));
    approved.map(|group| group.holds.len()).sum()
}

/// Returns whether the title, the aspect, a name or a reason of the group contains this text.
fn is_wanted(group: &HoldGroup, wanted: &str) -> bool {
    let of_group = [&group.title, &group.aspect].into_iter().any(|text| contains(text, wanted));
    let is_named = |hold: &Hold| contains(&hold.subject, wanted) || contains(&hold.why, wanted);
    of_group || group.holds.iter().any(is_named)
}

/// Returns the name of a decision, the operator and the reason.
fn parts(state: HoldState) -> (&'static str, Option<String>, Option<String>) {
    match state {
        HoldState::Open => ("open", None, None),
        HoldState::Approved { by, reason } => ("approved", Some(by), reason),
        HoldState::Rejected { by, reason } => ("rejected", Some(by), reason),
    }
}

fn no_group(code: &str) -> Refused {
    Refused::NotFound(format!(
        "no group of held changes has the code `{code}`; a group that changes gets another code"
    ))
}

impl Group {
    fn of(group: HoldGroup) -> Self {
        let (since, why) = (group.since(), group.why().to_owned());
        let (decision, by, reason) = parts(group.state);
        Self {
            code: group.code,
            instance: group.instance,
            generation: group.generation,
            risk: group.risk,
            aspect: group.aspect,
            title: group.title,
            asked: group.asked,
            decision,
            by,
            reason,
            why,
            since,
            changes: group.holds.len(),
            examples: group.holds.into_iter().take(EXAMPLES).collect(),
            void: None,
            first_held: None,
        }
    }

    /// Searches for earlier approvals of each group's examples. If an approval is no longer valid
    /// because the plan changed, adds this approval to the group.
    async fn find_void(groups: &mut [Self], store: &dyn Store) -> Result<(), Refused> {
        let examples: Vec<Hold> = groups.iter().flat_map(|group| group.examples.iter().cloned()).collect();
        let mut found = VoidApproval::of(store, &examples).await?.into_iter();
        for group in groups {
            let its = found.by_ref().take(group.examples.len());
            // The iterator must pass all examples of the group.
            group.void = its.fold(None, Option::or);
        }
        Ok(())
    }

    /// Returns the name of the link to all changes of the group. Another group can have the same
    /// name.
    fn link_name(&self) -> String {
        let changes = counted(self.changes, "change", "changes");
        let title = format!("{changes}: {} {}: {}", self.risk, self.aspect, self.title);
        with_line(title, self.asked.as_ref())
    }

    /// Returns the row of the group. `name` is the name of the link to all its changes.
    fn row(&self, name: &str, lines: &Lines, now: Time, visitor: Option<&Visitor>) -> Vec<Html> {
        let title = text(format!(" {}: {}", self.aspect, self.title));
        let mut what = vec![state(self.risk.as_str()), title];
        let names = list(self.examples.iter().map(|hold| subject(hold.key.as_str(), &hold.subject)));
        let mut places = vec![names];
        if let [hold] = self.examples.as_slice() {
            // Each value of the change has its own line.
            what.extend(self.asked.iter().flat_map(|asked| [text(" "), code(asked)]));
            what.push(detail::values(&hold.change, &lines.of_hold(hold)));
        } else {
            // All changes of the group have the same policy.
            let of_group = self.examples.first().map(|hold| lines.of_hold(hold)).unwrap_or_default();
            what.extend(self.asked.iter().flat_map(|asked| [text(" "), of_group.place(asked)]));
            let all = Link::to(HoldsPage::PLACE).with("group", &self.code);
            places.push(link(&all, name));
        }
        let decision = decided(self.decision, (self.by.as_deref(), self.reason.as_deref()), &self.code);
        let can_approve = self.examples.iter().all(is_for_pages);
        let form = ruling_form(visitor, (&self.code, self.changes), self.decision, can_approve);
        let mut since = vec![moment(self.since, now), asked_by(&self.examples, self.changes, lines)];
        if let Some(first) = &self.first_held {
            let policy = [text(", when the policy was commit "), detail::commit(&first.policy.from)];
            let held = [text("first held "), moment(first.at, now)];
            since.push(paragraph(held.into_iter().chain(policy)));
        }
        let void = self.void.as_ref().map(|void| paragraph([faint(void)])).unwrap_or_default();
        let why = why(self.decision, &self.generation, &self.why);
        vec![joined(what), joined(places), why, joined(since), joined([decision, void, form])]
    }
}

/// Returns the policy that most recently planned these held changes, or the name of an undo. All of
/// these changes have the same generation. Often an earlier policy first asked for a change, and a
/// later policy planned the change again. So the line also names the policies that first asked for
/// the changes. `changes` is the number of all these changes. `holds` might contain only some of
/// these changes.
fn asked_by(holds: &[Hold], changes: usize, lines: &Lines) -> Html {
    let Some(Hold { generation, .. }) = holds.first() else { return Html::default() };
    if is_undo(generation) {
        return faint(format!(" {generation}"));
    }
    let known: Vec<&HoldFacts> = holds.iter().filter_map(|hold| lines.asked_for(hold)).collect();
    let latest = known.iter().find_map(|facts| facts.policy.as_ref());
    let earlier = |facts: &&HoldFacts| Some((facts.first_asked.clone()?, facts.first.clone()));
    let earlier: BTreeMap<String, Option<PolicyInForce>> = known.iter().filter_map(earlier).collect();
    let asked =
        if holds.len() < changes { ", some of them first asked for by " } else { ", first asked for by " };
    let first = earlier
        .iter()
        .map(|(generation, policy)| joined([text(asked), detail::policy(generation, policy.as_ref())]));
    let own = [text("planned with "), detail::policy(generation, latest)];
    paragraph(own.into_iter().chain(first))
}

/// Returns why Beadle has not written the change. If the change is approved, returns the next step
/// instead of the cause of the hold.
fn why(decision: &str, generation: &str, cause: &str) -> Html {
    match decision {
        "approved" if is_undo(generation) => text("approved: request the undo again to write it"),
        "approved" => text("approved: Beadle writes it in its next run"),
        _ => text(cause),
    }
}

/// Returns the decision of an operator, or the command for an approval.
fn decided(decision: &'static str, (by, reason): (Option<&str>, Option<&str>), approved: &str) -> Html {
    let Some(by) = by else { return code(format!("beadle approve {approved} --reason \"TEXT\"")) };
    let because = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    text(format!("{decision} by {by}{because}"))
}

/// Returns a table of single changes. The table contains the visitor's forms for decisions.
pub(in crate::pages) fn table_of(
    holds: &[Hold],
    lines: &Lines,
    now: Time,
    visitor: Option<&Visitor>,
) -> Html {
    let row = |hold: &Hold| {
        let (decision, by, reason) = parts(HoldState::of(hold));
        vec![
            subject(hold.key.as_str(), &hold.subject),
            detail::change(&hold.change, &lines.of_hold(hold)),
            why(decision, &hold.generation, &hold.why),
            joined([moment(hold.since, now), asked_by(std::slice::from_ref(hold), 1, lines)]),
            joined([
                decided(decision, (by.as_deref(), reason.as_deref()), &hold.digest),
                ruling_form(visitor, (&hold.digest, 1), decision, is_for_pages(hold)),
            ]),
        ]
    };
    table(
        "Held changes",
        &["Name", "Change", "Why", "Since", "Decision"],
        holds.iter().map(row).collect(),
        "The guard holds no change.",
    )
}

impl View for HoldsPage {
    const PLACE: &'static str = "/holds";

    fn title(&self) -> String {
        "Holds".to_owned()
    }

    fn content(&self, now: Time) -> Vec<Html> {
        let Asked { group, text: wanted, .. } = &self.asked;
        let next = self.next.map(|next| {
            let link = Link::to(Self::PLACE).with("group", group).with("text", wanted);
            link.with("skip", &next.to_string())
        });
        let empty = match wanted.as_str() {
            "" => "The guard holds no change.",
            _ => "No held change matches.",
        };
        let names: Vec<(&str, String)> =
            self.groups.iter().map(|group| (group.code.as_str(), group.link_name())).collect();
        let named = self.groups.iter().zip(unique(&names));
        let row = |(group, name): (&Group, String)| group.row(&name, &self.lines, now, self.visitor.as_ref());
        let groups = table(
            "The groups that wait for a decision come first",
            &["Change", "Where", "Why", "Since", "Decision"],
            named.map(row).collect(),
            empty,
        );
        let held = counted(self.total, "held change", "held changes");
        let sum = match self.approved {
            0 => held,
            approved => format!("{held}, {approved} of them approved and not written yet"),
        };
        let sum = paragraph([text(sum)]);
        if !group.is_empty() {
            let back = paragraph([link(&Link::to(Self::PLACE), "All held changes")]);
            let changes = table_of(&self.holds, &self.lines, now, self.visitor.as_ref());
            return vec![back, sum, groups, changes, more(next, "Next page")];
        }
        let search = filter(Self::PLACE, vec![field("text", "Name, change or reason contains", wanted)]);
        let waiting = self.waiting.html(self.visitor.as_ref(), !wanted.is_empty());
        vec![waiting, search, sum, unreadable_list(&self.unreadable), groups, more(next, "Next page")]
    }
}

#[cfg(test)]
mod tests;
