//! The held changes that wait for an approval, and the form that approves all of them.

use beadle_engine::Hold;
use beadle_engine::guard::{HoldGroup, HoldState, is_undo};

use super::html::{Attribute, Html, Tag, element, joined, text};
use super::parts::{code, counted, faint, paragraph};
use super::ruling_form::{MOST_CHANGES, approval_form};
use crate::sign_in::{Role, Visitor};

/// The maximum number of groups that one form approves. A form contains the code of each group, and
/// must not exceed the size of a request.
const MOST_GROUPS: usize = 500;
/// The maximum number of codes in the command that a person without the right to approve sees.
const CODES: usize = 10;

/// The groups that wait for an approval.
#[derive(Debug, Default)]
pub(super) struct WaitingChanges {
    /// The codes of the groups.
    codes: Vec<String>,
    /// The number of changes in these groups.
    changes: usize,
    /// The number of further changes, which nobody can approve on a page.
    elsewhere: usize,
}

/// Returns whether a person can approve a change on a page. On a page, the author of a policy must
/// not approve the policy's changes. A change of an undo or of a target has no policy, so nobody
/// can approve it on a page.
pub(super) fn is_for_pages(hold: &Hold) -> bool {
    !is_undo(&hold.generation) && matches!(hold.key.kind(), "repository" | "organisation")
}

impl WaitingChanges {
    /// Returns the groups in `groups` that wait for an approval.
    pub(super) fn of(groups: &[HoldGroup]) -> Self {
        let mut waiting = Self::default();
        for group in groups.iter().filter(|group| group.state == HoldState::Open) {
            if group.holds.iter().all(is_for_pages) {
                waiting.codes.push(group.code.clone());
                waiting.changes += group.holds.len();
            } else {
                waiting.elsewhere += group.holds.len();
            }
        }
        waiting
    }

    /// Returns the number of changes, and the form that approves all of them. A person without the
    /// right to approve sees the command in place of the form. `is_filtered` is true if the page
    /// shows only the changes that match a filter.
    pub(super) fn html(&self, visitor: Option<&Visitor>, is_filtered: bool) -> Html {
        let elsewhere = (self.elsewhere > 0).then(|| {
            let changes = counted(self.elsewhere, "change", "changes");
            paragraph([faint(format!("To approve {changes} of an undo or a target, use `beadle approve`."))])
        });
        if self.changes == 0 {
            return elsewhere.unwrap_or_default();
        }
        let changes = counted(self.changes, "change", "changes");
        let wait = if self.changes == 1 { "waits" } else { "wait" };
        let matching = if is_filtered { " of this filter" } else { "" };
        let sum = text(format!("{changes}{matching} {wait} for approval."));
        let sum = element(Tag::P, &[Attribute::Class("call")], [sum]);
        let limit = "The limits of the guard do not apply to approved changes: Beadle writes all of them.";
        let sum = joined([sum, paragraph([faint(limit)])]);
        joined([Some(sum), Some(self.decide(visitor)), elsewhere].into_iter().flatten())
    }

    /// Returns the form that approves all changes, or the command that does the same.
    fn decide(&self, visitor: Option<&Visitor>) -> Html {
        let is_approver = visitor.is_some_and(|visitor| visitor.role >= Role::Approver);
        if !is_approver {
            if self.codes.len() > CODES {
                return Html::default();
            }
            let command = code(format!("beadle approve {} --reason \"TEXT\"", self.codes.join(" ")));
            return paragraph([text("To approve all of them, run "), command]);
        }
        if self.changes > MOST_CHANGES || self.codes.len() > MOST_GROUPS {
            let why = format!(
                "One approval can have at most {MOST_CHANGES} changes in {MOST_GROUPS} groups. Use the filter to choose \
                 a part of the changes."
            );
            return paragraph([text(why)]);
        }
        let next = "The next page shows what Beadle would write, and asks you to confirm.";
        let form = approval_form(visitor, &self.codes.join(","), self.changes);
        // A single change without a long value needs no confirmation.
        let next = if self.changes == 1 { Html::default() } else { paragraph([faint(next)]) };
        joined([form, next])
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::guard::{Rejection, group_holds};
    use beadle_engine::{Key, Risk, Time, testing};

    use super::*;

    /// Returns held changes of several groups. One change is rejected, one is approved, one belongs to
    /// an undo, and one to a target.
    fn holds(count: u64) -> Vec<Hold> {
        let rejection = Rejection { by: "mona".into(), reason: None, at: Time(2) };
        let label = testing::change("labels", "label <old>", &[Risk::Removes]);
        let mut holds: Vec<Hold> = (0..count).map(testing::hold).collect();
        holds.push(Hold { change: label, ..testing::hold(10_001) });
        holds.push(Hold { rejected: Some(rejection), ..testing::hold(10_002) });
        holds.push(Hold { approved_by: Some("mona".into()), ..testing::hold(10_003) });
        holds.push(Hold { generation: "undo of 7".into(), ..testing::hold(10_004) });
        holds.push(Hold { key: Key::new("target-group", "aws", 5), ..testing::hold(10_005) });
        holds
    }

    fn shown(groups: &[HoldGroup], role: Option<Role>, is_filtered: bool) -> String {
        let visitor = role.map(Visitor::example);
        WaitingChanges::of(groups).html(visitor.as_ref(), is_filtered).as_str().to_owned()
    }

    #[test]
    fn one_form_approves_exactly_the_groups_that_wait() {
        let groups = group_holds(holds(170));
        let shown_to = |role| shown(&groups, role, false);
        let page = shown_to(Some(Role::Approver));
        for part in [
            "<p class=\"call\">171 changes wait for approval.</p>",
            ">Approve 171 changes</button>",
            "To approve 2 changes of an undo or a target, use &#96;beadle approve&#96;.",
        ] {
            assert!(page.contains(part), "`{part}` is not in {page}");
        }
        let is_open = |group: &&HoldGroup| {
            group.state == HoldState::Open && group.generation == "g" && group.instance == "acme"
        };
        let codes: Vec<&str> = groups.iter().filter(is_open).map(|group| group.code.as_str()).collect();
        assert_eq!(codes.len(), 2);
        assert!(page.contains(&format!("name=\"code\" value=\"{}\"", codes.join(","))), "{page}");
        assert!(!page.contains("Reject"), "{page}");
        let filtered = shown(&groups, Some(Role::Approver), true);
        assert!(filtered.contains("171 changes of this filter wait for approval."), "{filtered}");
        for role in [None, Some(Role::Viewer), Some(Role::Operator)] {
            let page = shown_to(role);
            let command =
                format!("<code>beadle approve {} --reason &quot;TEXT&quot;</code>", codes.join(" "));
            assert!(page.contains(&command) && !page.contains("<form"), "{role:?}: {page}");
        }
    }

    #[test]
    fn a_form_has_a_maximum_number_of_changes_and_nothing_waits_without_open_changes() {
        let whole = shown(&group_holds(holds(999)), Some(Role::Approver), false);
        assert!(whole.contains("Approve 1000 changes"), "{whole}");
        let large = shown(&group_holds(holds(1000)), Some(Role::Approver), false);
        assert!(!large.contains("<form") && large.contains("Use the filter"), "{large}");
        assert_eq!(shown(&[], Some(Role::Approver), false), "");
    }
}
