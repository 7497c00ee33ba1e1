//! Plans for people: grouped by repository, read like a review, unmistakable without colour.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use beadle_engine::{Change, Field, Key, Mode, Plan, Report, Risk, Risks, Step, StepResult};
use beadle_repositories::Shard;
use serde_json::{Value, json};

use crate::output::escape;
use crate::output::markdown::{Page, Piece};
use crate::output::printer::{Printer, Tone};

/// What a plan is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlanScope {
    /// An organisation's repositories, in this mode at most.
    Repositories(Mode),
    /// A target's groups; each mapping has a mode of its own.
    Groups,
}

impl PlanScope {
    /// What it is about.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Repositories(_) => "repositories",
            Self::Groups => "groups",
        }
    }
}

/// The plans of one organisation or target, without the means to write them.
pub(crate) struct WholePlan {
    pub(crate) of: String,
    pub(crate) half: PlanScope,
    pub(crate) plans: Vec<(Key, Plan<()>)>,
    pub(crate) short: Option<String>,
    pub(crate) unmatched: Vec<String>,
}

impl WholePlan {
    /// Keeps what is about one of these keys: a name may be another one's by the time that it is
    /// planned again.
    pub(crate) fn keep<W>(&mut self, plans: &mut Vec<Plan<W>>, keys: &BTreeSet<Key>) {
        let mut kept = self.plans.iter().map(|(key, _)| keys.contains(key)).collect::<Vec<_>>().into_iter();
        plans.retain(|_| kept.next().unwrap_or(false));
        self.plans.retain(|(key, _)| keys.contains(key));
    }

    /// Returns the keys of the plans.
    pub(crate) fn keys(&self) -> BTreeSet<Key> {
        self.plans.iter().map(|(key, _)| key.clone()).collect()
    }

    /// Whether anything is to be done, or is not known.
    pub(crate) fn is_pending(&self) -> bool {
        self.short.is_some()
            || self.plans.iter().any(|(_, plan)| !plan.changes.is_empty() || !plan.unknowns.is_empty())
    }

    /// How many repositories or groups it is about; the organisation has a plan of its own beside theirs.
    pub(crate) fn count(&self) -> usize {
        self.plans.iter().filter(|(key, _)| key.kind() != "organisation").count()
    }

    /// The number of repositories that can be written, if this is a plan of all of them, or of all
    /// of a shard.
    pub(crate) fn among(&self) -> Option<u32> {
        if self.short.is_some() || self.half == PlanScope::Groups {
            return None;
        }
        let open = |(key, plan): &&(Key, Plan<()>)| key.kind() == "repository" && plan.skipped.is_none();
        u32::try_from(self.plans.iter().filter(open).count()).ok()
    }

    /// What is printed above it.
    fn head(&self) -> String {
        match self.half {
            PlanScope::Repositories(mode) => format!("{} ({mode})", self.of),
            PlanScope::Groups => self.of.clone(),
        }
    }
}

fn sign(risk: Risk) -> &'static str {
    match risk {
        Risk::Adds => "+",
        Risk::Changes => "~",
        Risk::Weakens => "!",
        Risk::Exposes => "!!",
        Risk::Removes => "-",
    }
}

fn tone(risk: Risk) -> Tone {
    match risk {
        Risk::Adds => Tone::Good,
        Risk::Changes => Tone::Notice,
        Risk::Weakens | Risk::Exposes | Risk::Removes => Tone::Danger,
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::String(text) if text.is_empty() => "\"\"".into(),
        Value::String(text) => escape::cut(text, escape::VALUE),
        Value::Array(items) if items.is_empty() => "an empty list".into(),
        Value::Array(items) => items.iter().map(self::value).collect::<Vec<_>>().join(", "),
        other => escape::cut(&other.to_string(), escape::VALUE),
    }
}

fn difference(change: &Change<()>, field: &Field) -> String {
    let what = if change.what.is_empty() { String::new() } else { format!("{}: ", change.what) };
    match (field.risk, &field.before, &field.after) {
        (Risk::Adds, Value::Null, Value::Bool(true)) | (Risk::Removes, Value::Bool(true), Value::Null) => {
            format!("{what}{}", field.name)
        }
        (_, Value::Null, after) => format!("{what}{}: {}", field.name, value(after)),
        (Risk::Removes, before, Value::Null) => format!("{what}{}: {} → gone", field.name, value(before)),
        (_, before, after) => format!("{what}{}: {} → {}", field.name, value(before), value(after)),
    }
}

/// All that a change changes, in one line.
pub(crate) fn differences(change: &Change<()>) -> String {
    change.fields.iter().map(|field| difference(change, field)).collect::<Vec<_>>().join("; ")
}

/// One line a value, for people.
pub(crate) fn change_lines(printer: &Printer, change: &Change<()>) -> Vec<String> {
    let lines = change.fields.iter().map(|field| {
        let label = format!("{:>2} {:7}", sign(field.risk), field.risk);
        let asked = field.asked.as_ref().map(|asked| format!("  [{asked}]")).unwrap_or_default();
        let reaches = match change.reaches {
            1 => String::new(),
            reaches => printer.paint(Tone::Danger, format!("  reaches {reaches} repositories")),
        };
        format!(
            "  {} {:13} {}{reaches}{}",
            printer.paint(tone(field.risk), label),
            change.aspect,
            difference(change, field),
            printer.paint(Tone::Faint, asked)
        )
    });
    lines.collect()
}

/// What became of a change, in a word, with why.
pub(crate) fn outcome(printer: &Printer, result: &StepResult) -> String {
    match result {
        StepResult::Written => printer.paint(Tone::Good, "written"),
        StepResult::Withheld => printer.paint(Tone::Notice, "withheld by the mode"),
        StepResult::Held { digest, why } => {
            let text = format!("held: {why}; let it pass with `beadle approve {digest}`");
            printer.paint(Tone::Danger, text)
        }
        StepResult::Postponed(why) => printer.paint(Tone::Danger, format!("postponed: {why}")),
        StepResult::Blocked => printer.paint(Tone::Notice, "waits for a change that was not written"),
        StepResult::NotReached => printer.paint(Tone::Notice, "not reached"),
        StepResult::Failed(why) => printer.paint(Tone::Danger, format!("failed: {why}")),
    }
}

/// A whole plan, for people.
pub(crate) fn text(printer: &Printer, plan: &WholePlan) -> String {
    let mut text = String::new();
    for (_, repository) in &plan.plans {
        if repository.changes.is_empty() && repository.unknowns.is_empty() {
            continue;
        }
        let subject = escape::one_line(&repository.subject);
        let _ = writeln!(text, "{}", printer.paint(Tone::Heading, subject));
        for change in &repository.changes {
            for line in change_lines(printer, change) {
                let _ = writeln!(text, "{}", escape::one_line(&line));
            }
        }
        for unknown in &repository.unknowns {
            let label = printer.paint(Tone::Danger, " ? unknown");
            let why = escape::one_line(&unknown.why);
            let _ = writeln!(text, "  {label} {:13} {why}", unknown.aspect);
        }
        text.push('\n');
    }
    for what in &plan.unmatched {
        let _ = writeln!(text, "{} {what}", printer.paint(Tone::Notice, "note:"));
    }
    if let Some(short) = &plan.short {
        let said = format!("the list of {} is incomplete: {short}", plan.half.noun());
        let _ = writeln!(text, "{} {said}", printer.paint(Tone::Danger, "unknown:"));
    }
    text + &summary(printer, plan)
}

/// One line over a whole plan.
pub(crate) fn summary(printer: &Printer, plan: &WholePlan) -> String {
    let mut risks = Risks::default();
    let mut skipped: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut touched, mut unknown) = (0, 0);
    let mut itself = "";
    for (key, repository) in &plan.plans {
        risks.merge(&repository.risks());
        match repository.changes.is_empty() {
            true => {}
            false if key.kind() == "organisation" => itself = " and in the organisation itself",
            false => touched += 1,
        }
        unknown += repository.unknowns.len();
        if let Some(why) = &repository.skipped {
            *skipped.entry(why).or_default() += 1;
        }
    }
    let changes = risks.total();
    let head = printer.paint(Tone::Heading, plan.head());
    let noun = plan.half.noun();
    let mut text = if changes == 0 {
        format!("{head}: nothing to change in {} {noun}", plan.count())
    } else {
        let counts = Risk::ALL.into_iter().filter(|risk| risks.count(*risk) > 0);
        let counts: Vec<String> = counts.map(|risk| format!("{} {risk}", risks.count(risk))).collect();
        format!(
            "{head}: {changes} changes in {touched} of {} {noun}{itself}: {}",
            plan.count(),
            counts.join(", ")
        )
    };
    if unknown > 0 {
        let _ = write!(text, "; {}", printer.paint(Tone::Danger, format!("{unknown} unknown")));
    }
    for (why, count) in skipped {
        let _ = write!(text, "; {count} skipped ({why})");
    }
    text
}

/// For programs.
pub(crate) fn json(plans: &[WholePlan], shard: Shard) -> Value {
    let mut organisations = Vec::new();
    let mut targets = Vec::new();
    for plan in plans {
        let each: Vec<Value> = plan.plans.iter().map(|(key, plan)| one(key, plan)).collect();
        let mut shown =
            json!({ "pending": plan.is_pending(), "incomplete": plan.short, "unmatched": plan.unmatched });
        match plan.half {
            PlanScope::Repositories(mode) => {
                shown["organisation"] = json!(plan.of);
                shown["mode"] = json!(mode);
                shown["repositories"] = Value::Array(each);
                organisations.push(shown);
            }
            PlanScope::Groups => {
                shown["target"] = json!(plan.of);
                shown["groups"] = Value::Array(each);
                targets.push(shown);
            }
        }
    }
    json!({ "shard": shard.to_string(), "organisations": organisations, "targets": targets })
}

fn one(key: &Key, plan: &Plan<()>) -> Value {
    let changes = plan.changes.iter().map(|change| {
        let mut shown = json!(change);
        shown["digest"] = json!(change.digest(key));
        shown["risks"] = json!(change.risks());
        shown
    });
    json!({
        "key": key, "name": plan.subject, "changes": changes.collect::<Vec<_>>(),
        "unknowns": plan.unknowns, "skipped": plan.skipped,
    })
}

/// For pull requests and job summaries.
pub(crate) fn markdown(plan: &WholePlan) -> String {
    let printer = Printer::new(crate::cli::Color::Never);
    let mut page = Page::default();
    page.heading(2, &[Piece::value(&plan.of)]);
    page.paragraph(&[Piece::value(summary(&printer, plan))]);
    for (_, repository) in &plan.plans {
        if repository.changes.is_empty() && repository.unknowns.is_empty() {
            continue;
        }
        page.heading(3, &[Piece::value(&repository.subject)]);
        page.table(&["risk", "aspect", "change", "asked by"]);
        for change in &repository.changes {
            for field in &change.fields {
                let risk = Piece::own(field.risk.as_str());
                let risk = if field.risk.is_guarded() { risk.bold() } else { risk };
                let asked = field.asked.as_ref().map_or(Piece::own(""), Piece::value);
                let what = Piece::value(difference(change, field));
                page.row(&[risk, Piece::value(&change.aspect), what, asked]);
            }
        }
        for unknown in &repository.unknowns {
            let (aspect, why) = (Piece::value(&unknown.aspect), Piece::value(&unknown.why));
            page.row(&[Piece::own("unknown").bold(), aspect, why, Piece::own("")]);
        }
    }
    for what in &plan.unmatched {
        page.quote(&[Piece::value(what)]);
    }
    incomplete(&mut page, plan);
    page.text().to_owned()
}

/// Says that a list came back short.
pub(crate) fn incomplete(page: &mut Page, plan: &WholePlan) {
    if let Some(short) = &plan.short {
        let what = match plan.half {
            PlanScope::Repositories(_) => "The list of repositories is incomplete:",
            PlanScope::Groups => "The list of groups is incomplete:",
        };
        page.quote(&[Piece::own(what).bold(), Piece::value(short)]);
    }
}

/// What became of every change, for job summaries.
pub(crate) fn outcomes(page: &mut Page, reports: &[Report]) {
    let printer = Printer::new(crate::cli::Color::Never);
    for report in reports.iter().filter(|report| !report.steps.is_empty() || !report.unknowns.is_empty()) {
        page.heading(3, &[Piece::value(&report.subject)]);
        page.table(&["aspect", "change", "result"]);
        for step in &report.steps {
            let (what, result) = (differences(&step.change), outcome(&printer, &step.outcome));
            page.row(&[Piece::value(&step.change.aspect), Piece::value(what), Piece::value(result)]);
        }
        for unknown in &report.unknowns {
            let (aspect, why) = (Piece::value(&unknown.aspect), Piece::value(&unknown.why));
            page.row(&[aspect, why, Piece::own("unknown").bold()]);
        }
    }
}

/// One line a step that became something.
pub(crate) fn step(printer: &Printer, subject: &str, step: &Step) -> String {
    let what = differences(&step.change);
    format!("{subject}  {}  {what}  {}", step.change.aspect, outcome(printer, &step.outcome))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use beadle_engine::{PolicyLocation, Unknown};

    use super::*;

    fn plan() -> WholePlan {
        let asked = Some(PolicyLocation { file: Arc::from("settings.yml"), line: 4 });
        let field = |name: &str, before, after, risk| Field {
            name: name.into(),
            before,
            after,
            asked: asked.clone(),
            risk,
        };
        let change = |aspect: &str, what: &str, fields| Change {
            aspect: aspect.into(),
            what: what.into(),
            fields,
            mode: Mode::Observe,
            after: Vec::new(),
            stop: None,
            reaches: 1,
            write: (),
        };
        let mut drifted = Plan::new("acme/widgets");
        drifted.changes = vec![
            change(
                "settings",
                "",
                vec![field("visibility", json!("private"), json!("public"), Risk::Exposes)],
            ),
            change("teams", "team a", vec![field("permission", Value::Null, json!("push"), Risk::Adds)]),
            change("teams", "team z", vec![field("permission", json!("admin"), Value::Null, Risk::Removes)]),
        ];
        drifted.unknowns = vec![Unknown {
            aspect: "topics".into(),
            part: None,
            why: "the list came back short".into(),
            transient: true,
        }];
        let mut archived = Plan::new("acme/old");
        archived.skipped = Some("archived".into());
        WholePlan {
            of: "acme".into(),
            half: PlanScope::Repositories(Mode::Observe),
            plans: vec![
                (Key::new("repository", "acme", 1), drifted),
                (Key::new("repository", "acme", 2), archived),
            ],
            short: None,
            unmatched: vec!["repos/gone.yml: there is no repository `gone`".into()],
        }
    }

    #[test]
    fn a_plan_reads_like_a_review_without_colour() {
        let expected = "\
acme/widgets
  !! exposes settings      visibility: private → public  [settings.yml:4]
   + adds    teams         team a: permission: push  [settings.yml:4]
   - removes teams         team z: permission: admin → gone  [settings.yml:4]
   ? unknown topics        the list came back short

note: repos/gone.yml: there is no repository `gone`
acme (observe): 3 changes in 1 of 2 repositories: 1 adds, 1 exposes, 1 removes; 1 unknown; 1 skipped (archived)";
        assert_eq!(text(&Printer::plain(), &plan()), expected);
    }

    #[test]
    fn an_empty_list_is_called_one() {
        assert_eq!(value(&json!([])), "an empty list");
    }

    #[test]
    fn a_plan_as_markdown_marks_what_is_grave() {
        let text = markdown(&plan());
        assert!(
            text.contains("| **exposes** | `settings` | `visibility: private → public` | `settings.yml:4` |"),
            "{text}"
        );
    }
}
