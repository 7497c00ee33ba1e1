//! Renders one group of equal changes as Markdown: the values, the repositories, and the lines of the
//! policy.

use super::change_groups::{Group, Shown};
use super::change_kinds::DIFFERENT;
use crate::output::markdown::{Page, Piece};

/// The number of names that the line of a group shows directly.
const FIRST: usize = 5;
/// The maximum number of further names in the folded part of a group.
const FOLDED: usize = 200;
/// The maximum number of lines of the policy.
const LINES: usize = 3;

/// Returns the lines of a group. Shows the first names directly. Puts the other names into a folded
/// part, or shows only their number.
pub(super) fn group_lines(group: &Group<'_>, with_names: bool) -> Page {
    let mut page = Page::default();
    let kind = &group.kind;
    let verb = Piece::own(kind.risk.as_str());
    let verb = if kind.risk.is_guarded() { verb.bold() } else { verb };
    let (first, further) = group.names.split_at(group.names.len().min(FIRST));
    let mut line = vec![verb, Piece::value(kind.aspect)];
    if !kind.what.is_empty() {
        line.push(Piece::value(&kind.what));
    }
    line.extend(values(&group.before, &kind.after));
    line.extend([Piece::own("in"), Piece::counted(group.reaches, "repository", "repositories")]);
    if !first.is_empty() {
        line.extend([Piece::own("—"), Piece::values(first)]);
    }
    let more = further.len() as u64;
    if more > 0 && !with_names {
        line.extend([Piece::own("and"), Piece::number(more), Piece::own("more")]);
    }
    line.extend(policy_lines(group));
    page.item(&line);
    if more > 0 && with_names {
        let (shown, left) = further.split_at(further.len().min(FOLDED));
        let mut names = vec![Piece::values(shown)];
        if !left.is_empty() {
            names.extend([Piece::own("and"), Piece::number(left.len() as u64), Piece::own("more")]);
        }
        let summary = Piece::counted(more, "more repository", "more repositories");
        page.folded(&summary, &Piece::joined(&names, " "));
    }
    page
}

/// Returns the old and the new value. Shows only the new value if there was no old value.
fn values(before: &Shown, after: &Shown) -> Vec<Piece> {
    match (before, after) {
        (Shown::Nothing, Shown::Nothing) => Vec::new(),
        (Shown::Nothing, after) => vec![Piece::own("→"), value(after)],
        (before, after) => vec![value(before), Piece::own("→"), value(after)],
    }
}

fn value(shown: &Shown) -> Piece {
    match shown {
        Shown::Nothing => Piece::own("none"),
        Shown::Same(text) => Piece::value(text),
        Shown::Different => Piece::own(DIFFERENT),
    }
}

/// Returns the lines of the policy that ask for the changes. The name of a file comes from the
/// author of the pull request.
fn policy_lines(group: &Group<'_>) -> Vec<Piece> {
    if group.asked.is_empty() {
        return Vec::new();
    }
    let shown: Vec<Piece> = group.asked.iter().take(LINES).map(Piece::value).collect();
    let mut pieces = vec![Piece::own("— policy:"), Piece::joined(&shown, ", ")];
    let more = group.asked.len() - shown.len();
    if more > 0 {
        pieces.extend([Piece::own("and"), Piece::number(more as u64), Piece::own("more")]);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use beadle_engine::{PolicyLocation, Risk};
    use serde_json::{Value, json};

    use super::super::change_groups::{GroupReaders, groups};
    use super::super::findings::tests::{change, preview};
    use super::*;

    /// Returns the lines of the change of a permission in the repositories `a` and `b`.
    fn lines(values: [(Value, Value); 2], files: &[&str]) -> String {
        let [(before, after), (other_before, other_after)] = values;
        let names = ["a".to_owned(), "b".to_owned()];
        let mut plans = preview(&names, &[change("", Risk::Changes, &before, &after)]).plans;
        plans[1].1.changes[0].fields[0].before = other_before;
        plans[1].1.changes[0].fields[0].after = other_after;
        let field = plans[0].1.changes[0].fields[0].clone();
        plans[0].1.changes[0].fields = files
            .iter()
            .map(|file| {
                let asked = Some(PolicyLocation { file: (*file).into(), line: 7 });
                beadle_engine::Field { asked, ..field.clone() }
            })
            .collect();
        let groups = groups("acme", &plans, GroupReaders::default());
        groups.iter().map(|group| group_lines(group, true).text().to_owned()).collect()
    }

    #[test]
    fn a_line_shows_the_old_and_the_new_value_and_the_line_of_the_policy() {
        let files: &[&str] = &["settings.yml"];
        let end = "in 2 repositories — `a`, `b` — policy: `settings.yml:7`";
        for (before, other, after, expected) in [
            (json!(false), json!(false), json!(true), "`false` → `true`"),
            (json!(true), json!(true), json!(false), "`true` → `false`"),
            (json!("push"), json!("admin"), Value::Null, "different values → none"),
            (json!("push"), json!("push"), Value::Null, "`push` → none"),
            (Value::Null, Value::Null, json!("push"), "→ `push`"),
            (json!(false), Value::Null, json!(true), "different values → `true`"),
            (json!([]), json!([]), json!(["x", "y"]), r#"`[]` → `["x","y"]`"#),
        ] {
            let text = lines([(before, after.clone()), (other, after)], files);
            assert!(text.contains(&format!("- changes `teams` `permission` {expected} {end}")), "{text}");
        }
    }

    #[test]
    fn different_new_values_have_separate_lines() {
        let text = lines([(json!(1), json!(2)), (json!(1), json!(3))], &["settings.yml"]);
        assert!(text.contains("`1` → `2` in 1 repository — `a` — policy: `settings.yml:7`"), "{text}");
        assert!(text.contains("`1` → `3` in 1 repository — `b`\n"), "{text}");
    }

    #[test]
    fn many_lines_of_the_policy_are_counted() {
        let same = || (json!(1), json!(2));
        let text = lines([same(), same()], &["a.yml", "b.yml", "c.yml", "d.yml", "e.yml"]);
        assert!(text.contains("— policy: `a.yml:7`, `b.yml:7`, `c.yml:7` and 2 more"), "{text}");
    }

    #[test]
    fn a_value_and_the_name_of_a_file_cannot_break_out_of_the_line() {
        let hostile = "x` </details> @acme/owners\n# forged";
        let same = || (json!(hostile), json!(format!("{hostile}2")));
        let text = lines([same(), same()], &[hostile]);
        assert!(!text.lines().any(|line| line.starts_with("# forged")), "{text}");
        assert_eq!(text.matches("``x` </details> @acme/owners").count(), 3, "{text}");
    }
}
