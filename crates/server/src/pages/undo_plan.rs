//! Shows the plan of an undo, and the form that confirms the plan.

use beadle_engine::guard::short_undo;
use beadle_engine::{Change, Key, Plan, UndoPart, Waived, examples, undo_parts};

use super::detail;
use super::html::{Html, Tag, element, joined, text};
use super::operation_forms::{confirm_undo_form, undo_again_link};
use super::parts::{counted, facts, list, paragraph, section, short_list, subject, table_of};
use crate::sign_in::{UndoPreview, Visitor};

/// The limit for three numbers: the plans on the page, the rows, and the names in a row. A person
/// cannot confirm a plan that the page does not show.
const MOST: usize = 1000;
/// The number of names that a row shows at first, if the row is about several repositories.
const EXAMPLES: usize = 3;

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

/// Returns the names of the repositories in one part of the plan. If there are several
/// repositories, the row shows the first names, and the person can open the list of all names.
fn names(part: &UndoPart<'_>) -> Html {
    let of = |(key, name): &(&Key, &str)| subject(key.as_str(), name);
    if let [only] = part.subjects.as_slice() {
        return of(only);
    }
    let (one, many) = match part.subjects.first().map(|(key, _)| key.kind()) {
        Some("organisation") => ("organisation", "organisations"),
        _ => ("repository", "repositories"),
    };
    let sum = counted(part.subjects.len(), one, many);
    let summary = text(format!("{sum}: {}", examples(&part.names(), EXAMPLES)));
    let all = short_list(part.subjects.iter().map(of), MOST);
    element(Tag::Details, &[], [element(Tag::Summary, &[], [summary]), all])
}

fn row(part: &UndoPart<'_>) -> Vec<Html> {
    let waits = part.waits.iter().map(|wait| text(format!("{}: {}", wait.aspect, wait.why)));
    let unknowns = part.unknowns.iter().map(|unknown| text(format!("{}: {}", unknown.aspect, unknown.why)));
    let skipped = part.skipped.iter().map(text);
    let waived = part.waived.iter().map(|waived| {
        let Waived { key, until, reason, owner, .. } = waived;
        text(format!("{key} is waived until {until}: {reason} ({owner}); a waiver does not stop an undo"))
    });
    vec![
        names(part),
        items(part.changes.iter().map(|one| change(one)).chain(waived)),
        items(skipped.chain(waits).chain(unknowns)),
    ]
}

/// Returns a sentence with the number of repositories that the table leaves out, because the undo
/// finds nothing in these repositories. Returns nothing if there are none.
fn silent(preview: &UndoPreview) -> Html {
    let is_silent = |plan: &Plan<()>| plan.is_silent() && plan.skipped.is_none();
    let count = preview.plans.iter().filter(|one| is_silent(&one.plan)).count();
    if count == 0 {
        return Html::default();
    }
    let which = counted(count, "further repository", "further repositories");
    paragraph([text(format!("In {which}, the undo has nothing to change."))])
}

/// Returns the content of the page. The changes that give access come first. Identical changes of
/// several repositories share one row.
pub(super) fn content(preview: &UndoPreview, visitor: &Visitor) -> Vec<Html> {
    let count = writes(preview);
    let sum = counted(count, "change", "changes");
    let parts = undo_parts(preview.plans.iter().map(|one| (&one.key, &one.plan)));
    let plans = table_of(
        "What the undo would change",
        &["Name", "Changes", "Left alone"],
        (parts.iter().map(row).collect(), MOST),
        "Beadle wrote nothing that it can undo.",
    );
    let left = section("Not undone", [list(preview.left.iter().map(text))]);
    let left = if preview.left.is_empty() { Html::default() } else { left };
    let notes = section("Notes", [short_list(preview.notes.iter().map(text), MOST)]);
    let notes = if preview.notes.is_empty() { Html::default() } else { notes };
    let guard = section("Held by the guard", [short_list(preview.guard.iter().map(text), MOST)]);
    let guard = if preview.guard.is_empty() { Html::default() } else { guard };
    let afterwards = section("After the undo", [short_list(preview.afterwards.iter().map(text), MOST)]);
    let afterwards = if preview.afterwards.is_empty() || count == 0 { Html::default() } else { afterwards };
    let confirm = match count {
        0 => paragraph([text("There is nothing to write.")]),
        _ if preview.plans.len() > MOST || parts.len() > MOST => {
            let why = "This page does not show all plans, so nobody can confirm them here: limit the undo to \
                       fewer repositories, or use `beadle undo`.";
            paragraph([text(why)])
        }
        _ => confirm_undo_form(visitor, preview),
    };
    let mut about = vec![("Undo", text(short_undo(&preview.name))), ("To write", text(sum))];
    if !preview.request.keys.is_empty() {
        about.push(("Only the keys", items(preview.request.keys.iter().map(text))));
    }
    if !preview.summary.is_empty() {
        about.push(("Whole plan", items(preview.summary.iter().map(text))));
    }
    let earlier = earlier_undos(preview);
    vec![facts(about), earlier, notes, plans, silent(preview), left, guard, afterwards, confirm]
}

/// Returns the section about the undos that already reverted some of the writes. Returns nothing if
/// there are none.
fn earlier_undos(preview: &UndoPreview) -> Html {
    if preview.earlier_undos.is_empty() {
        return Html::default();
    }
    let numbers: Vec<u64> = preview.earlier_undos.iter().map(|undo| undo.number).collect();
    let sentences = preview.earlier_undos.iter().map(|undo| text(&undo.sentence));
    section("Already undone", [short_list(sentences, MOST), undo_again_link(&numbers)])
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Mode, Risk, Waiting, testing};

    use super::*;
    use crate::sign_in::{EarlierUndo, KeyPlan, Role, UndoRequest};

    const HOSTILE: &str = "<img src=x onerror=alert(1)>";

    fn preview(mode: Mode) -> UndoPreview {
        let mut plan = Plan::new(HOSTILE);
        plan.changes.push(Change { mode, ..testing::change(HOSTILE, HOSTILE, &[Risk::Removes]) });
        plan.waits.push(Waiting { aspect: HOSTILE.into(), why: HOSTILE.into() });
        plan.waived.push(Waived {
            key: HOSTILE.into(),
            until: HOSTILE.into(),
            reason: HOSTILE.into(),
            owner: HOSTILE.into(),
            asked: None,
        });
        let request =
            UndoRequest { runs: vec![HOSTILE.into()], keys: vec![HOSTILE.into()], ..UndoRequest::default() };
        UndoPreview {
            name: HOSTILE.into(),
            plan: "0a1b2c3d4e5f".into(),
            summary: vec![HOSTILE.into()],
            request,
            plans: vec![KeyPlan { key: key(7), plan }],
            left: vec![HOSTILE.into()],
            notes: vec![HOSTILE.into()],
            earlier_undos: vec![EarlierUndo { number: 60, sentence: HOSTILE.into() }],
            guard: vec![HOSTILE.into()],
            afterwards: vec![HOSTILE.into()],
        }
    }

    fn key(id: u64) -> Key {
        Key::new("repository", "acme", id)
    }

    fn page(preview: &UndoPreview) -> String {
        joined(content(preview, &Visitor::example(Role::Approver))).as_str().to_owned()
    }

    #[test]
    fn no_value_of_a_plan_becomes_html() {
        let mut preview = preview(Mode::Enforce);
        // A second repository has the same change.
        let again = KeyPlan { key: key(8), ..preview.plans[0].clone() };
        preview.plans.push(again);
        let shown = page(&preview);
        assert!(!shown.contains("<img"), "{shown}");
        assert!(shown.contains("name=\"plan\" value=\"0a1b2c3d4e5f\""), "{shown}");
        assert!(shown.contains("name=\"keys\" value=\"&lt;img"), "{shown}");
        assert!(shown.contains("2 changes<") && shown.contains("After the undo"), "{shown}");
        assert!(shown.contains("Held by the guard") && shown.contains(" is waived until "), "{shown}");
        preview.guard.clear();
        assert!(!page(&preview).contains("Held by the guard"));
    }

    #[test]
    fn a_plan_of_undone_writes_leads_to_the_undo_of_their_undo() {
        let mut preview = preview(Mode::Enforce);
        let shown = page(&preview);
        assert!(shown.contains("Already undone"), "{shown}");
        assert!(shown.contains("href=\"/undo?runs=60\"") && shown.contains("Undo this undo"), "{shown}");
        preview.earlier_undos.clear();
        let shown = page(&preview);
        assert!(!shown.contains("Already undone") && !shown.contains("Undo this undo"), "{shown}");
    }

    #[test]
    fn equal_changes_of_several_repositories_have_one_row_with_all_names() {
        let mut preview = preview(Mode::Enforce);
        let of = |n: u64| {
            let changes = vec![testing::change("teams", "team security", &[Risk::Adds])];
            KeyPlan { key: key(n), plan: Plan { changes, ..Plan::new(format!("acme/r{n:03}")) } }
        };
        preview.plans = (0..170).map(of).collect();
        let page = page(&preview);
        assert_eq!(page.matches("team security").count(), 1, "{page}");
        let summary = "<summary>170 repositories: acme/r000, acme/r001, acme/r002 and 167 more</summary>";
        assert!(page.contains(summary), "{page}");
        assert!((0..170).all(|n| page.contains(&format!("/repositories/acme/r{n:03}\""))), "{page}");
    }

    #[test]
    fn only_a_plan_that_the_page_shows_as_a_whole_can_be_confirmed() {
        let mut preview = preview(Mode::Enforce);
        let of = |n: usize, labels: usize| {
            let name = |label: usize| format!("label {n:04}-{label:02}");
            let changes = (0..labels).map(|label| testing::change("labels", &name(label), &[Risk::Adds]));
            let plan = Plan { changes: changes.collect(), ..Plan::new(format!("acme/r{n}")) };
            KeyPlan { key: key(n as u64), plan }
        };
        preview.plans = (0..200).map(|n| of(n, 60)).collect();
        let shown = page(&preview);
        assert_eq!(shown.matches("-59").count(), 200);
        assert!(shown.contains("<form") && !shown.contains("left out"));
        preview.plans = (0..=MOST).map(|n| of(n, 1)).collect();
        let shown = page(&preview);
        assert!(!shown.contains("<form") && shown.contains("1 row is left out"));
        // The same change in too many repositories is one row, but the row does not show all names.
        let same = of(0, 1).plan.changes;
        for one in &mut preview.plans {
            one.plan.changes.clone_from(&same);
        }
        let shown = page(&preview);
        assert!(!shown.contains("<form") && shown.contains("and 1 more</li>"), "{shown}");
    }

    #[test]
    fn what_gives_access_comes_first() {
        let mut preview = preview(Mode::Enforce);
        let of = |(id, name): (u64, &str), risks: &[(&str, Risk)]| {
            let changes = risks.iter().map(|(what, risk)| testing::change("teams", what, &[*risk]));
            KeyPlan { key: key(id), plan: Plan { changes: changes.collect(), ..Plan::new(name) } }
        };
        preview.plans = vec![
            of((1, "acme/silent"), &[]),
            of((2, "acme/wiki"), &[("team changed", Risk::Changes)]),
            of((3, "acme/shop"), &[("team removed", Risk::Removes), ("team restored", Risk::Adds)]),
            of((4, "acme/public"), &[("team exposed", Risk::Exposes)]),
        ];
        let page = page(&preview);
        let places =
            ["team exposed", "team restored", "team removed", "team changed", "In 1 further repository,"];
        let places = places.map(|name| page.find(name).unwrap_or_else(|| panic!("no {name}: {page}")));
        assert!(places.is_sorted(), "{places:?}: {page}");
        assert!(!page.contains("acme/silent"), "{page}");
    }

    #[test]
    fn a_plan_without_a_write_cannot_be_confirmed() {
        let shown = page(&preview(Mode::Observe));
        assert!(shown.contains("skipped: mode observe"), "{shown}");
        assert!(!shown.contains("<form") && shown.contains("nothing to write"), "{shown}");
    }
}
