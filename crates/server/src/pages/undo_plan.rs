//! Shows the plan of an undo, and the form that confirms the plan.

use beadle_engine::Change;
use beadle_engine::guard::short_undo;

use super::detail;
use super::html::{Html, joined, text};
use super::operation_forms::confirm_undo_form;
use super::parts::{counted, facts, list, paragraph, section, short_list, subject, table_of};
use crate::sign_in::{KeyPlan, UndoPreview, Visitor};

/// The maximum number of plans on the page. A person cannot confirm a plan that the page does not
/// show.
const MOST: usize = 1000;

/// Returns the number of changes that Beadle would write.
fn writes(preview: &UndoPreview) -> usize {
    let changes = preview.plans.iter().flat_map(|one| &one.plan.changes);
    changes.filter(|change| is_written(change)).count()
}

/// Returns whether the mode allows Beadle to write a change.
fn is_written(change: &Change<()>) -> bool {
    change.mode.allows(&change.risks())
}

fn change(change: &Change<()>) -> Html {
    let shown = detail::undo(change);
    if is_written(change) {
        return shown;
    }
    joined([shown, text(format!("skipped: mode {} does not allow it", change.mode))])
}

/// Returns a list with all items. Returns nothing if there are no items.
fn items(all: impl Iterator<Item = Html>) -> Html {
    let mut all = all.peekable();
    if all.peek().is_none() { Html::default() } else { short_list(all, usize::MAX) }
}

fn row(one: &KeyPlan) -> Vec<Html> {
    let plan = &one.plan;
    let mut changes: Vec<&Change<()>> = plan.changes.iter().collect();
    changes.sort_by_key(|change| change.undo_place());
    let waits = plan.waits.iter().map(|wait| text(format!("{}: {}", wait.aspect, wait.why)));
    let unknowns = plan.unknowns.iter().map(|unknown| text(format!("{}: {}", unknown.aspect, unknown.why)));
    let skipped = plan.skipped.iter().map(text);
    vec![
        subject(one.key.as_str(), &plan.subject),
        items(changes.into_iter().map(change)),
        items(skipped.chain(waits).chain(unknowns)),
    ]
}

/// Returns the content of the page. The repositories to which the undo gives access come first.
pub(super) fn content(preview: &UndoPreview, visitor: &Visitor) -> Vec<Html> {
    let count = writes(preview);
    let sum = counted(count, "change", "changes");
    let mut ordered: Vec<&KeyPlan> = preview.plans.iter().collect();
    ordered.sort_by_key(|one| one.plan.undo_place());
    let rows = ordered.into_iter().map(row).collect();
    let plans = table_of(
        "What the undo would change",
        &["Name", "Changes", "Left alone"],
        (rows, MOST),
        "Beadle wrote nothing that it can undo.",
    );
    let left = preview.left.iter().map(text);
    let left = section("Not undone", [list(left)]);
    let confirm = match count {
        0 => paragraph([text("There is nothing to write.")]),
        _ if preview.plans.len() > MOST => {
            let why = "This page does not show all plans, so nobody can confirm them here: limit the undo to \
                       fewer repositories, or use `beadle undo`.";
            paragraph([text(why)])
        }
        _ => confirm_undo_form(visitor, preview),
    };
    let mut about = vec![("Undo", text(short_undo(&preview.name))), ("To write", text(sum))];
    if !preview.summary.is_empty() {
        about.push(("Whole plan", items(preview.summary.iter().map(text))));
    }
    let left = if preview.left.is_empty() { Html::default() } else { left };
    vec![facts(about), plans, left, confirm]
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Key, Mode, Plan, Risk, Waiting, testing};

    use super::*;
    use crate::sign_in::{Role, UndoRequest};

    const HOSTILE: &str = "<img src=x onerror=alert(1)>";

    fn preview(mode: Mode) -> UndoPreview {
        let mut plan = Plan::new(HOSTILE);
        plan.changes.push(Change { mode, ..testing::change(HOSTILE, HOSTILE, &[Risk::Removes]) });
        plan.waits.push(Waiting { aspect: HOSTILE.into(), why: HOSTILE.into() });
        UndoPreview {
            name: HOSTILE.into(),
            plan: "0a1b2c3d4e5f".into(),
            summary: vec![HOSTILE.into()],
            request: UndoRequest { runs: vec![HOSTILE.into()], ..UndoRequest::default() },
            plans: vec![KeyPlan { key: Key::new("repository", "acme", 7), plan }],
            left: vec![HOSTILE.into()],
        }
    }

    fn shown(mode: Mode) -> String {
        joined(content(&preview(mode), &Visitor::example(Role::Approver))).as_str().to_owned()
    }

    #[test]
    fn no_value_of_a_plan_becomes_html() {
        let shown = shown(Mode::Enforce);
        assert!(!shown.contains("<img"), "{shown}");
        assert!(shown.contains("name=\"plan\" value=\"0a1b2c3d4e5f\""), "{shown}");
        assert!(shown.contains("1 change<"), "{shown}");
    }

    #[test]
    fn only_a_plan_that_the_page_shows_as_a_whole_can_be_confirmed() {
        let mut preview = preview(Mode::Enforce);
        let changes = (0..60).map(|n| testing::change("labels", &format!("label {n:02}"), &[Risk::Adds]));
        preview.plans[0].plan.changes = changes.collect();
        let one = preview.plans[0].clone();
        let shown = |preview: &UndoPreview| {
            joined(content(preview, &Visitor::example(Role::Approver))).as_str().to_owned()
        };
        preview.plans = vec![one.clone(); 200];
        let page = shown(&preview);
        assert_eq!(page.matches("label 59").count(), 200);
        assert!(page.contains("<form") && !page.contains("left out"));
        preview.plans = vec![KeyPlan { plan: Plan::new("acme/shop"), ..one.clone() }; MOST];
        preview.plans.push(one);
        let page = shown(&preview);
        assert!(!page.contains("<form") && page.contains("1 row is left out"));
    }

    #[test]
    fn what_gives_access_comes_first() {
        let mut preview = preview(Mode::Enforce);
        let of = |name: &str, risks: &[(&str, Risk)]| {
            let changes = risks.iter().map(|(what, risk)| testing::change("teams", what, &[*risk]));
            KeyPlan {
                key: Key::new("repository", "acme", 7),
                plan: Plan { changes: changes.collect(), ..Plan::new(name) },
            }
        };
        preview.plans = vec![
            of("acme/silent", &[]),
            of("acme/wiki", &[("team changed", Risk::Changes)]),
            of("acme/shop", &[("team removed", Risk::Removes), ("team restored", Risk::Adds)]),
            of("acme/public", &[("team exposed", Risk::Exposes)]),
        ];
        let page = joined(content(&preview, &Visitor::example(Role::Approver))).as_str().to_owned();
        let places = ["team exposed", "team restored", "team removed", "team changed", "acme/silent"];
        let places = places.map(|name| page.find(name).unwrap_or_else(|| panic!("no {name}: {page}")));
        assert!(places.is_sorted(), "{places:?}: {page}");
    }

    #[test]
    fn a_plan_without_a_write_cannot_be_confirmed() {
        let shown = shown(Mode::Observe);
        assert!(shown.contains("skipped: mode observe"), "{shown}");
        assert!(!shown.contains("<form") && shown.contains("nothing to write"), "{shown}");
    }
}
