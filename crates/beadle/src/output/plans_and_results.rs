//! Shows plans and results as text, JSON and Markdown. In text, the changes are grouped by
//! repository. The text is complete without colour.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use beadle_engine::{Change, Field, Key, Mode, Plan, Report, Risk, Step, StepResult, Waived, value_text};
use beadle_repositories::Shard;
use beadle_repositories::creation::{creation_key, name_in};
use serde_json::{Value, json};

use crate::output::escape;
use crate::output::markdown::{Page, Piece};
use crate::output::plural::counted;
use crate::output::policy_links::PolicyLinks;
use crate::output::printer::{Printer, Tone};

/// The things in a plan: repositories or groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlanScope {
    /// The repositories of an organisation, with the organisation's mode.
    Repositories(Mode),
    /// The groups of a target. The mappings set the modes.
    Groups,
    /// The undo of writes to repositories, with the organisation's mode.
    Undo(Mode),
}

impl PlanScope {
    /// Returns the plural noun for the things in the plan.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Repositories(_) | Self::Undo(_) => "repositories",
            Self::Groups => "groups",
        }
    }

    /// Returns a number with the noun for the things in the plan, such as `1 group`.
    fn counted(self, number: usize) -> String {
        match self {
            Self::Repositories(_) | Self::Undo(_) => counted(number, "repository", "repositories"),
            Self::Groups => counted(number, "group", "groups"),
        }
    }

    /// Returns whether the plan restores earlier values.
    pub(crate) fn is_undo(self) -> bool {
        matches!(self, Self::Undo(_))
    }
}

/// The plans of one organisation or target, for printing only. The plans do not contain the steps
/// that write the changes.
pub(crate) struct WholePlan {
    pub(crate) of: String,
    pub(crate) scope: PlanScope,
    pub(crate) plans: Vec<(Key, Plan<()>)>,
    pub(crate) short: Option<String>,
    pub(crate) unmatched: Vec<String>,
    /// The place of the policy at GitHub. `None` if the policy comes from a folder.
    pub(crate) links: Option<PolicyLinks>,
}

impl WholePlan {
    /// Keeps only the plans with a key in `keys`. When Beadle plans again, a name might belong to a
    /// different repository than in the earlier plan. So the function identifies a plan by its key.
    /// If Beadle created a repository after the earlier plan, the earlier plan had the key of a
    /// creation. In this case, the function also keeps the new plan of this repository.
    pub(crate) fn keep<W>(&mut self, plans: &mut Vec<Plan<W>>, keys: &BTreeSet<Key>) {
        let is_kept = |(key, plan): &(Key, Plan<()>)| {
            let name = plan.subject.rsplit('/').next().unwrap_or_default();
            keys.contains(key)
                || (key.kind() == "repository" && keys.contains(&creation_key(key.instance(), name)))
        };
        let mut kept = self.plans.iter().map(is_kept).collect::<Vec<_>>().into_iter();
        plans.retain(|_| kept.next().unwrap_or(false));
        self.plans.retain(is_kept);
    }

    /// Returns the keys of the plans.
    pub(crate) fn keys(&self) -> BTreeSet<Key> {
        self.plans.iter().map(|(key, _)| key.clone()).collect()
    }

    /// Returns whether the plan has at least one change or one unknown part.
    pub(crate) fn is_pending(&self) -> bool {
        self.short.is_some()
            || self.plans.iter().any(|(_, plan)| !plan.changes.is_empty() || !plan.unknowns.is_empty())
    }

    /// Returns the number of repositories or groups in the plan. The plan of the organisation
    /// itself does not count.
    pub(crate) fn count(&self) -> usize {
        self.plans.iter().filter(|(key, _)| key.kind() != "organisation").count()
    }

    /// Returns the number of repositories that Beadle can write. If the plan does not cover a whole
    /// organisation or a whole shard, returns `None`.
    pub(crate) fn among(&self) -> Option<u32> {
        if self.short.is_some() || self.scope == PlanScope::Groups {
            return None;
        }
        // A repository that does not exist yet must not raise the limits of the guard. Beadle only
        // plans to create it.
        let exists = |key: &Key| key.kind() == "repository" && name_in(key).is_none();
        let open = |(key, plan): &&(Key, Plan<()>)| exists(key) && plan.skipped.is_none();
        u32::try_from(self.plans.iter().filter(open).count()).ok()
    }

    /// Returns the first words of the summary line.
    fn head(&self) -> String {
        match self.scope {
            PlanScope::Repositories(mode) => format!("{} ({mode})", self.of),
            PlanScope::Groups => self.of.clone(),
            PlanScope::Undo(mode) => format!("undo in {} ({mode})", self.of),
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

/// Returns the word for a risk. If an undo adds a thing, the word is `restores`.
fn word(risk: Risk, is_undo: bool) -> &'static str {
    match risk {
        Risk::Adds if is_undo => "restores",
        risk => risk.as_str(),
    }
}

/// Returns the first columns of a line. All lines of a plan have the same width.
pub(crate) fn label(sign: &str, word: &str, is_undo: bool) -> String {
    let width = if is_undo { 8 } else { 7 };
    format!("{sign:>2} {word:width$}")
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
        Value::String(text) if text.is_empty() => "\"\"".into(),
        Value::String(text) => escape::cut(text, escape::VALUE),
        Value::Array(items) if items.is_empty() => "an empty list".into(),
        Value::Array(items) => items.iter().map(self::value).collect::<Vec<_>>().join(", "),
        other => escape::cut(&value_text(other), escape::VALUE),
    }
}

fn difference(change: &Change<()>, field: &Field) -> String {
    let what = if change.what.is_empty() { String::new() } else { format!("{}: ", change.what) };
    match (&field.before, &field.after) {
        _ if is_only_a_name(field) => format!("{what}{}", field.name),
        (Value::Null, after) => format!("{what}{}: {}", field.name, value(after)),
        (before, after) => format!("{what}{}: {} → {}", field.name, value(before), value(after)),
    }
}

/// Returns whether a change adds or removes a name that has no value, such as a topic.
pub(crate) fn is_only_a_name(field: &Field) -> bool {
    matches!(
        (field.risk, &field.before, &field.after),
        (Risk::Adds, Value::Null, Value::Bool(true)) | (Risk::Removes, Value::Bool(true), Value::Null)
    )
}

/// Returns one line with all values of a change.
pub(crate) fn differences(change: &Change<()>) -> String {
    change.fields.iter().map(|field| difference(change, field)).collect::<Vec<_>>().join("; ")
}

/// Returns the text of a change. Each value has one line.
pub(crate) fn change_lines(printer: &Printer, change: &Change<()>) -> Vec<String> {
    lines_of(printer, change, false)
}

/// Returns the text of a change, for a plan or for the plan of an undo. Each value has one line.
pub(crate) fn lines_of(printer: &Printer, change: &Change<()>, is_undo: bool) -> Vec<String> {
    let lines = change.fields.iter().map(|field| {
        let label = label(sign(field.risk), word(field.risk, is_undo), is_undo);
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

/// Returns the result of a change's write, with the reason.
pub(crate) fn outcome(printer: &Printer, change: &Change<()>, result: &StepResult) -> String {
    match result {
        StepResult::Written => printer.paint(Tone::Good, "written"),
        StepResult::Withheld => {
            let text = match change.mode {
                _ if change.undone => {
                    "skipped: an operator undid this, and Beadle only observes it".to_owned()
                }
                Mode::Observe => "skipped: mode `observe` writes nothing".to_owned(),
                mode => format!("skipped: mode `{mode}` does not allow {}", most_severe(change).noun(2)),
            };
            printer.paint(Tone::Notice, text)
        }
        StepResult::Held { digest, why } => {
            let command = format!("beadle approve {digest} --reason \"TEXT\"");
            printer.paint(Tone::Danger, format!("held: {why}; to approve it: `{command}`"))
        }
        StepResult::Postponed(why) => printer.paint(Tone::Danger, format!("postponed: {why}")),
        StepResult::Blocked => {
            printer.paint(Tone::Notice, "skipped: it depends on a change that was not written")
        }
        StepResult::NotReached => printer.paint(Tone::Notice, "not tried: the run ended before this change"),
        StepResult::Failed(why) => printer.paint(Tone::Danger, format!("failed: {why}")),
    }
}

/// Returns the most severe risk of a change.
fn most_severe(change: &Change<()>) -> Risk {
    change.fields.iter().map(|field| field.risk).max().unwrap_or(Risk::Changes)
}

/// Returns the number of changes for each risk, such as `2 additions, 1 removal`. The function
/// counts a change with several risks only under its most severe risk.
///
/// So the sum of these numbers is the number of changes. `beadle apply` and the journal count
/// changes in the same way. In an undo, the word for an addition is "restoration", and the risks that
/// give access come first.
pub(crate) fn by_risk<'a>(changes: impl Iterator<Item = &'a Change<()>>, is_undo: bool) -> String {
    let mut counts = BTreeMap::<Risk, u32>::new();
    for change in changes {
        *counts.entry(most_severe(change)).or_default() += 1;
    }
    let order = if is_undo { Risk::OF_UNDO } else { Risk::ALL };
    let found = order.into_iter().filter_map(|risk| Some((risk, *counts.get(&risk)?)));
    let texts = found.map(|(risk, count)| match risk {
        Risk::Adds if is_undo => counted(count, "restoration", "restorations"),
        risk => format!("{count} {}", risk.noun(count)),
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// Returns a whole plan as text, sorted by repository. `undo_plan::text` shows the plan of an undo.
pub(crate) fn text(printer: &Printer, plan: &WholePlan) -> String {
    let mut text = String::new();
    for (_, repository) in &plan.plans {
        if repository.is_silent() && repository.waived.is_empty() {
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
            let label = printer.paint(Tone::Danger, label("?", "unknown", false));
            let why = escape::one_line(&unknown.why);
            let _ = writeln!(text, "  {label} {:13} {why}", unknown.aspect);
        }
        for wait in &repository.waits {
            let label = printer.paint(Tone::Notice, label("~", "waits", false));
            let _ = writeln!(text, "  {label} {:13} {}", wait.aspect, escape::one_line(&wait.why));
        }
        for waived in &repository.waived {
            let _ = writeln!(text, "  {}", waived_line(printer, waived));
        }
        text.push('\n');
    }
    for what in &plan.unmatched {
        let _ = writeln!(text, "{} {what}", printer.paint(Tone::Notice, "note:"));
    }
    if let Some(short) = &plan.short {
        let why = format!("the list of {} is incomplete: {short}", plan.scope.noun());
        let _ = writeln!(text, "{} {why}", printer.paint(Tone::Danger, "unknown:"));
    }
    text + &summary(printer, plan)
}

/// Returns the key, the end and the reason of a waiver.
pub(crate) fn waived_until(waived: &Waived) -> String {
    format!("{} until {}: {} ({})", waived.key, waived.until, waived.reason, waived.owner)
}

/// Returns the line of text about a key that a waiver exempts.
pub(crate) fn waived_line(printer: &Printer, waived: &Waived) -> String {
    let label = printer.paint(Tone::Notice, " ~ waived ");
    let place = waived.asked.as_ref().map_or_else(|| "beadle waive".to_owned(), ToString::to_string);
    let text = escape::one_line(&waived_until(waived));
    format!("{label} {text}{}", printer.paint(Tone::Faint, format!("  [{}]", escape::one_line(&place))))
}

/// Returns the summary line of a whole plan.
pub(crate) fn summary(printer: &Printer, plan: &WholePlan) -> String {
    let mut skipped: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut touched, mut unknown, mut waits, mut waived) = (0, 0, 0, 0_usize);
    let mut itself = "";
    for (key, repository) in &plan.plans {
        match repository.changes.is_empty() {
            true => {}
            false if key.kind() == "organisation" => itself = " and in the organisation itself",
            false => touched += 1,
        }
        unknown += repository.unknowns.len();
        waits += repository.waits.len();
        waived += usize::from(!repository.waived.is_empty());
        if let Some(why) = &repository.skipped {
            *skipped.entry(why).or_default() += 1;
        }
    }
    let changes: Vec<&Change<()>> = plan.plans.iter().flat_map(|(_, plan)| &plan.changes).collect();
    let values: usize = changes.iter().map(|change| change.fields.len()).sum();
    let head = printer.paint(Tone::Heading, plan.head());
    let all = plan.scope.counted(plan.count());
    let mut text = if changes.is_empty() {
        format!("{head}: nothing to change in {all}")
    } else {
        // The lines above show one line for each value, but `apply` counts changes. So the summary
        // shows both numbers if they differ.
        let shown = if values == changes.len() {
            String::new()
        } else {
            format!(" ({})", counted(values, "value", "values"))
        };
        format!(
            "{head}: {}{shown} in {touched} of {all}{itself}: {}",
            counted(changes.len(), "change", "changes"),
            by_risk(changes.into_iter(), plan.scope.is_undo())
        )
    };
    if unknown > 0 {
        let _ = write!(text, "; {}", printer.paint(Tone::Danger, format!("{unknown} unknown")));
    }
    if waits > 0 {
        let _ = write!(text, "; {waits} waiting for a person");
    }
    if waived > 0 {
        let _ = write!(text, "; waivers in {}", plan.scope.counted(waived));
    }
    for (why, count) in skipped {
        let _ = write!(text, "; {count} skipped ({why})");
    }
    text
}

/// Returns plans as JSON.
pub(crate) fn json(plans: &[WholePlan], shard: Shard) -> Value {
    let mut organisations = Vec::new();
    let mut targets = Vec::new();
    for plan in plans {
        let links = plan.links.as_ref();
        let each: Vec<Value> = plan.plans.iter().map(|(key, plan)| one(key, plan, links)).collect();
        let mut shown =
            json!({ "pending": plan.is_pending(), "incomplete": plan.short, "unmatched": plan.unmatched });
        match plan.scope {
            PlanScope::Repositories(mode) | PlanScope::Undo(mode) => {
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

fn one(key: &Key, plan: &Plan<()>, links: Option<&PolicyLinks>) -> Value {
    let changes = plan.changes.iter().map(|change| {
        let mut shown = json!(change);
        for (at, field) in change.fields.iter().enumerate() {
            if let (Some(links), Some(asked)) = (links, &field.asked) {
                shown["fields"][at]["asked"]["link"] = json!(links.link(asked));
            }
        }
        shown["digest"] = json!(change.digest(key));
        shown["risks"] = json!(change.risks());
        shown
    });
    let mut shown = json!({
        "key": key, "name": plan.subject, "changes": changes.collect::<Vec<_>>(),
        "unknowns": plan.unknowns, "skipped": plan.skipped,
    });
    if !plan.waits.is_empty() {
        shown["waits"] = json!(plan.waits);
    }
    if !plan.waived.is_empty() {
        shown["waived"] = json!(plan.waived);
    }
    shown
}

/// Returns a plan as Markdown, for pull requests and job summaries.
pub(crate) fn markdown(plan: &WholePlan) -> String {
    let printer = Printer::new(crate::cli::Color::Never);
    let mut page = Page::default();
    page.heading(2, &[Piece::value(&plan.of)]);
    page.paragraph(&[Piece::value(summary(&printer, plan))]);
    for (_, repository) in &plan.plans {
        if repository.is_silent() && repository.waived.is_empty() {
            continue;
        }
        page.heading(3, &[Piece::value(&repository.subject)]);
        page.table(&["risk", "aspect", "change", "asked by"]);
        for change in &repository.changes {
            for field in &change.fields {
                let risk = Piece::own(word(field.risk, plan.scope.is_undo()));
                let risk = if field.risk.is_guarded() { risk.bold() } else { risk };
                let asked = field.asked.as_ref().map_or(Piece::own(""), |asked| match &plan.links {
                    Some(links) => Piece::value(asked).link(&links.link(asked)),
                    None => Piece::value(asked),
                });
                let what = Piece::value(difference(change, field));
                page.row(&[risk, Piece::value(&change.aspect), what, asked]);
            }
        }
        for unknown in &repository.unknowns {
            let (aspect, why) = (Piece::value(&unknown.aspect), Piece::value(&unknown.why));
            page.row(&[Piece::own("unknown").bold(), aspect, why, Piece::own("")]);
        }
        for wait in &repository.waits {
            let (aspect, why) = (Piece::value(&wait.aspect), Piece::value(&wait.why));
            page.row(&[Piece::own("waits"), aspect, why, Piece::own("")]);
        }
        for waived in &repository.waived {
            let what = Piece::value(waived_until(waived));
            let asked = waived.asked.as_ref().map_or(Piece::own(""), Piece::value);
            page.row(&[Piece::own("waived"), Piece::own(""), what, asked]);
        }
    }
    for what in &plan.unmatched {
        page.quote(&[Piece::value(what)]);
    }
    incomplete(&mut page, plan);
    page.text().to_owned()
}

/// Adds a warning to the page if the list of repositories or groups is incomplete.
pub(crate) fn incomplete(page: &mut Page, plan: &WholePlan) {
    if let Some(short) = &plan.short {
        let what = match plan.scope {
            PlanScope::Repositories(_) | PlanScope::Undo(_) => "The list of repositories is incomplete:",
            PlanScope::Groups => "The list of groups is incomplete:",
        };
        page.quote(&[Piece::own(what).bold(), Piece::value(short)]);
    }
}

/// Adds the result of every write to the page, for job summaries.
pub(crate) fn outcomes(page: &mut Page, reports: &[Report]) {
    let printer = Printer::new(crate::cli::Color::Never);
    for report in reports.iter().filter(|report| !report.steps.is_empty() || !report.unknowns.is_empty()) {
        page.heading(3, &[Piece::value(&report.subject)]);
        page.table(&["aspect", "change", "result"]);
        for step in &report.steps {
            let (what, result) = (differences(&step.change), outcome(&printer, &step.change, &step.outcome));
            page.row(&[Piece::value(&step.change.aspect), Piece::value(what), Piece::value(result)]);
        }
        for unknown in &report.unknowns {
            let (aspect, why) = (Piece::value(&unknown.aspect), Piece::value(&unknown.why));
            page.row(&[aspect, why, Piece::own("unknown").bold()]);
        }
    }
}

/// Returns the result of a change's write as one line for the output of `apply`.
pub(crate) fn step(printer: &Printer, subject: &str, step: &Step) -> String {
    let what = differences(&step.change);
    format!("{subject}  {}  {what}  {}", step.change.aspect, outcome(printer, &step.change, &step.outcome))
}

#[cfg(test)]
mod tests;
