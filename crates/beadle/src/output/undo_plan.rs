//! Shows the plan of an undo as text. An undo can revert the same change in hundreds of repositories,
//! so the text shows the equal changes of several repositories only once.

use std::fmt::Write as _;

use beadle_engine::{UndoPart, undo_parts};

use crate::output::equal_lines::{self, noun};
use crate::output::escape;
use crate::output::plans_and_results::{WholePlan, label, lines_of, summary, waived_until};
use crate::output::printer::{Printer, Tone};

/// Returns the plan of an undo as text. The changes that give access come first. `most` is the
/// maximum number of names that the text shows for the equal changes of several repositories.
pub(crate) fn text(printer: &Printer, plan: &WholePlan, most: usize) -> String {
    let mut text = String::new();
    for part in undo_parts(plan.plans.iter().map(|(key, plan)| (key, plan))) {
        let lines = lines(printer, &part);
        if lines.is_empty() {
            continue;
        }
        let heading = escape::one_line(&heading(&part, most));
        let _ = writeln!(text, "{}", printer.paint(Tone::Heading, heading));
        for line in lines {
            let _ = writeln!(text, "{}", escape::one_line(&line));
        }
        text.push('\n');
    }
    text + &summary(printer, plan)
}

/// Returns whether [`text`] leaves out names of repositories.
pub(crate) fn leaves_names_out(plan: &WholePlan, most: usize) -> bool {
    let parts = undo_parts(plan.plans.iter().map(|(key, plan)| (key, plan)));
    parts.iter().any(|part| part.subjects.len() > most && !lines(&Printer::plain(), part).is_empty())
}

/// Returns the name of the only repository, or the number of the repositories and some of their
/// names.
fn heading(part: &UndoPart<'_>, most: usize) -> String {
    let kind = part.subjects.first().map_or("repository", |(key, _)| key.kind());
    equal_lines::heading(&part.names(), noun(kind), most)
}

/// Returns the lines of a part.
fn lines(printer: &Printer, part: &UndoPart<'_>) -> Vec<String> {
    let changes = part.changes.iter().flat_map(|change| lines_of(printer, change, true));
    let unknowns = part.unknowns.iter().map(|unknown| {
        let label = printer.paint(Tone::Danger, label("?", "unknown", true));
        format!("  {label} {:13} {}", unknown.aspect, unknown.why)
    });
    let waits = part.waits.iter().map(|wait| {
        let label = printer.paint(Tone::Notice, label("~", "waits", true));
        format!("  {label} {:13} {}", wait.aspect, wait.why)
    });
    let waived = part.waived.iter().map(|waived| {
        let label = printer.paint(Tone::Notice, label("~", "waived", true));
        format!("  {label} {}; a waiver does not stop an undo", waived_until(waived))
    });
    changes.chain(unknowns).chain(waits).chain(waived).collect()
}

#[cfg(test)]
mod tests {
    use beadle_engine::testing::change;
    use beadle_engine::{Change, Key, Mode, Plan, Risk, Unknown, Waiting, Waived};
    use serde_json::{Value, json};

    use super::*;
    use crate::output::equal_lines::EXAMPLES;
    use crate::output::plans_and_results::PlanScope;

    fn team(name: &str, permission: &str) -> Change<()> {
        let mut change = change("teams", &format!("team {name}"), &[Risk::Adds]);
        let field = &mut change.fields[0];
        (field.name, field.before, field.after) = ("permission".into(), Value::Null, json!(permission));
        change
    }

    fn whole(plans: Vec<Plan<()>>) -> WholePlan {
        let keyed = |(n, plan): (u64, Plan<()>)| (Key::new("repository", "acme", n), plan);
        WholePlan {
            of: "acme".into(),
            scope: PlanScope::Undo(Mode::Enforce),
            plans: (0..).zip(plans).map(keyed).collect(),
            short: None,
            unmatched: Vec::new(),
            links: None,
        }
    }

    #[test]
    fn equal_changes_of_many_repositories_are_shown_once() {
        let plan = |n: u64| {
            let mut changes = vec![team("security", "push")];
            if n == 3 {
                changes.push(change("labels", "label a", &[Risk::Removes]));
            }
            Plan { changes, ..Plan::new(format!("acme/r{n:03}")) }
        };
        for (count, expected) in [(4, false), (5, false), (6, true)] {
            let found = leaves_names_out(&whole((10..10 + count).map(plan).collect()), EXAMPLES);
            assert_eq!(found, expected, "{count}");
        }
        let silent = (0..9).map(|n| Plan::new(format!("acme/r{n}"))).collect();
        assert!(!leaves_names_out(&whole(silent), EXAMPLES), "a plan without lines has no names");
        let shown = text(&Printer::plain(), &whole((0..170).map(plan).collect()), EXAMPLES);
        assert_eq!(
            shown,
            "170 repositories: acme/r000, acme/r001, acme/r002, acme/r003, acme/r004 and 165 more\n   \
             + restores teams         team security: permission: push\n\n\
             acme/r003\n   \
             - removes  labels        label a: x\n\n\
             undo in acme (enforce): 171 changes in 170 of 170 repositories: 170 restorations, 1 removal"
        );
        let all = text(&Printer::plain(), &whole((0..170).map(plan).collect()), usize::MAX);
        assert!((0..170).all(|n| all.contains(&format!("acme/r{n:03}"))), "{all}");
    }

    #[test]
    fn a_single_repository_has_all_of_its_lines_under_its_name() {
        let mut plan = Plan { changes: vec![team("a", "pull")], ..Plan::new("acme/shop\nx") };
        plan.changes.push(change("visibility", "", &[Risk::Exposes]));
        let why = "incomplete list of topics\nhint".to_owned();
        plan.unknowns.push(Unknown { aspect: "topics".into(), part: None, why, transient: true });
        plan.waits.push(Waiting { aspect: "secrets".into(), why: "secret T is not restored".into() });
        plan.waived.push(Waived {
            key: "teams[a]".into(),
            until: "2026-12-01T00:00:00Z".into(),
            reason: "release\nx".into(),
            owner: "mona".into(),
            asked: None,
        });
        let silent = Plan::new("acme/silent");
        let shown = text(&Printer::plain(), &whole(vec![plan, silent]), EXAMPLES);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines[..6],
            [
                "acme/shop\\nx",
                "  !! exposes  visibility    x: true → none",
                "   + restores teams         team a: permission: pull",
                "   ? unknown  topics        incomplete list of topics\\nhint",
                "   ~ waits    secrets       secret T is not restored",
                "   ~ waived   teams[a] until 2026-12-01T00:00:00Z: release\\nx (mona); a waiver does not stop an undo",
            ]
        );
        assert!(!shown.contains("acme/silent"), "{shown}");
        let numbers = "1 exposure, 1 restoration; 1 unknown; 1 waiting for a person; waivers in 1 repository";
        assert!(lines[7].contains(numbers), "{shown}");
    }
}
