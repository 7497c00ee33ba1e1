//! `beadle plan-total`: adds up the plans of all shards. So Beadle can check the total before any
//! shard writes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use beadle_engine::{Change, Limits, Risk, Risks};
use beadle_repositories::Shard;
use serde::Deserialize;

use crate::cli::PlanTotalArgs;
use crate::commands::shared::tally::code;
use crate::commands::sweep::append;
use crate::config::Config;
use crate::output::markdown::{Page, Piece};
use crate::output::plans_and_results;
use crate::output::printer::{Printer, Tone};

/// The JSON output of `beadle plan`, reduced to the parts that this command needs.
#[derive(Deserialize)]
struct Plans {
    shard: String,
    organisations: Vec<PrintedPlan>,
    #[serde(default)]
    targets: Vec<PrintedPlan>,
}

/// The plan of one organisation or one target in the output of `beadle plan`.
#[derive(Deserialize)]
struct PrintedPlan {
    #[serde(rename = "organisation", alias = "target")]
    name: String,
    incomplete: Option<String>,
    /// The number of repositories that Beadle can write. `None` for a target, and for a plan of
    /// named repositories.
    #[serde(default)]
    among: Option<u32>,
    #[serde(rename = "repositories", alias = "groups")]
    plans: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    name: String,
    changes: Vec<Planned>,
}

#[derive(Deserialize)]
struct Planned {
    digest: String,
    risks: Risks,
    #[serde(flatten)]
    change: Change<()>,
}

#[derive(Default)]
struct Total {
    /// The number of values to write, by risk. The guard counts values, not changes.
    risks: Risks,
    /// For each risk, the number of planned values that the mode does not allow Beadle to write.
    kept: Risks,
    /// For each risk, the number of values that Beadle only observes. An undo restored these
    /// values.
    undone: Risks,
    incomplete: Vec<String>,
    /// The number of repositories that Beadle can write, in all shards.
    among: Option<u32>,
    /// The changes that count for the limits of the guard, and that an operator can approve. Each
    /// entry has the digest, the subject and the change.
    guarded: Vec<(String, String, Change<()>)>,
}

impl Total {
    /// Adds a plan to the total. If the plan has an approved change, removes the digest of this
    /// change from `unknown`.
    fn count(&mut self, plan: PrintedPlan, approved: &[String], unknown: &mut BTreeSet<&String>) {
        self.incomplete.extend(plan.incomplete);
        self.among = plan.among.map(|among| among.saturating_add(self.among.unwrap_or(0))).or(self.among);
        for one in plan.plans {
            for Planned { digest, risks, change } in one.changes {
                if let Some(approved) = approved.iter().find(|approved| **approved == digest) {
                    unknown.remove(approved);
                } else if change.undone {
                    self.undone.merge(&risks);
                } else if !change.mode.allows(&risks) {
                    self.kept.merge(&risks);
                } else {
                    self.risks.merge(&risks);
                    if risks.is_guarded() {
                        self.guarded.push((digest, one.name.clone(), change));
                    }
                }
            }
        }
    }

    /// Returns a text if one aspect would lose or weaken something in too many repositories.
    fn share_exceeded(&self, limits: Limits) -> Option<String> {
        let (allowed, among) = Limits { among: self.among, ..limits }.share()?;
        let mut reached: BTreeMap<&str, BTreeMap<&str, u32>> = BTreeMap::new();
        for (_, subject, change) in &self.guarded {
            let risks = change.risks();
            if risks.removes > 0 || risks.weakens > 0 {
                let most = reached.entry(&change.aspect).or_default().entry(subject).or_default();
                *most = change.reaches.max(*most);
            }
        }
        reached.into_iter().find_map(|(aspect, subjects)| {
            let count: u64 = subjects.values().map(|reaches| u64::from(*reaches)).sum();
            (count > allowed).then(|| {
                format!(
                    "changes of `{aspect}` would remove or weaken something in {count} of {among} repositories, more than \
                     the guard limit of {allowed}"
                )
            })
        })
    }

    /// Returns which limit the total exceeds.
    fn exceeded(&self, limits: Limits) -> Option<String> {
        let over = limits.exceeded_by(&Risks::default(), &self.risks);
        over.map(|(risk, limit)| format!("over the guard limit of {limit} {}", risk.noun(limit)))
            .or_else(|| self.share_exceeded(limits))
    }
}

/// The totals. Organisations come before targets.
type Totals = BTreeMap<(Kind, String), Total>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Organisation,
    Target,
}

pub(crate) fn run(config: &Config, args: &PlanTotalArgs, printer: &Printer) -> anyhow::Result<u8> {
    let mut totals = Totals::new();
    let mut shards: Vec<Shard> = Vec::new();
    let mut unknown: BTreeSet<&String> = args.approve.iter().collect();
    for path in &args.plans {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let plans: Plans = serde_json::from_str(&text)
            .with_context(|| format!("{} is not an output of `beadle plan --format json`", path.display()))?;
        let shard = plans.shard.parse::<Shard>().map_err(anyhow::Error::msg);
        shards.push(shard.with_context(|| format!("{}", path.display()))?);
        let organisations = plans.organisations.into_iter().map(|plan| (Kind::Organisation, plan));
        let targets = plans.targets.into_iter().map(|plan| (Kind::Target, plan));
        for (kind, plan) in organisations.chain(targets) {
            let total = totals.entry((kind, plan.name.clone())).or_default();
            total.count(plan, &args.approve, &mut unknown);
        }
    }
    ensure_whole(shards)?;
    for digest in &unknown {
        printer.error(&format!("no plan has a change with the digest `{digest}`"));
    }
    let (mut wrong, mut over) = (unknown.len(), 0);
    let mut page = Page::default();
    for ((kind, name), total) in &totals {
        wrong += total.incomplete.len();
        over += usize::from(tell(name, limits(config, *kind, name)?, total, printer, &mut page));
    }
    if let Some(path) = &args.summary {
        append(path, &format!("{}\n", page.text()))?;
    }
    Ok(code(wrong, over))
}

/// Returns an error if a shard is missing or occurs more than once.
fn ensure_whole(mut shards: Vec<Shard>) -> anyhow::Result<()> {
    shards.sort_by_key(|shard| shard.index());
    let of = shards.first().map_or(1, |shard| shard.of());
    let whole = shards.iter().map(|shard| (shard.index(), shard.of())).eq((1..=of).map(|index| (index, of)));
    if !whole {
        let given: Vec<String> = shards.iter().map(ToString::to_string).collect();
        anyhow::bail!("expected each shard exactly once, got {}", given.join(", "));
    }
    Ok(())
}

fn limits(config: &Config, kind: Kind, name: &str) -> anyhow::Result<Limits> {
    match kind {
        Kind::Organisation => Ok(config.orgs(Some(name))?[0].limits()),
        Kind::Target => {
            let target = config.file.target.iter().find(|target| target.name == name);
            let target = target.with_context(|| format!("the configuration has no target `{name}`"))?;
            Ok(target.limits())
        }
    }
}

/// Prints the total of one organisation or target, and adds the total to the Markdown page. Returns
/// whether the total exceeds a limit.
fn tell(name: &str, limits: Limits, total: &Total, printer: &Printer, page: &mut Page) -> bool {
    // The guard counts values, but `beadle plan` counts changes, so the text has both numbers.
    let mut text = format!("values to write: {}", counts(&total.risks));
    if total.kept.total() > 0 {
        text = format!("{text}; skipped by the mode: {}", counts(&total.kept));
    }
    if total.undone.total() > 0 {
        text = format!("{text}; skipped because of an undo: {}", counts(&total.undone));
    }
    printer.line(format!("{}: {text}", printer.paint(Tone::Heading, name)));
    page.heading(2, &[Piece::own("Total of"), Piece::value(name)]);
    page.paragraph(&[Piece::value(text)]);
    for why in &total.incomplete {
        printer.error(&format!("{name}: a plan is incomplete: {why}"));
        page.quote(&[Piece::own("A plan is incomplete:").bold(), Piece::value(why)]);
    }
    let Some(exceeded) = total.exceeded(limits) else { return false };
    let text = format!("{name}: {exceeded}; do not write any shard");
    printer.line(printer.paint(Tone::Danger, &text));
    page.quote(&[Piece::value(text).bold()]);
    page.table(&["digest", "of", "aspect", "change"]);
    for (digest, of, change) in &total.guarded {
        printer.line(format!("  {digest}  {of}"));
        for line in plans_and_results::change_lines(printer, change) {
            printer.line(format!("  {line}"));
        }
        let what = Piece::value(plans_and_results::differences(change));
        page.row(&[Piece::value(digest), Piece::value(of), Piece::value(&change.aspect), what]);
    }
    printer.line("hint: to approve a change, add `--approve DIGEST` here and to the sweep of every shard");
    true
}

/// Returns the number of values for each risk, such as `2 additions, 1 removal`.
fn counts(risks: &Risks) -> String {
    let found = Risk::ALL.into_iter().map(|risk| (risk, risks.count(risk))).filter(|(_, count)| *count > 0);
    let texts: Vec<String> = found.map(|(risk, count)| format!("{count} {}", risk.noun(count))).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn half(mode: &str, digest: &str) -> PrintedPlan {
        let field = json!({
            "name": "permission", "before": "push", "after": Value::Null, "asked": Value::Null, "risk": "removes",
        });
        let change = json!({
            "digest": digest, "risks": { "adds": 0, "changes": 0, "weakens": 0, "exposes": 0, "removes": 1 },
            "aspect": "teams", "what": "team a", "fields": [field], "mode": mode, "after": [], "write": Value::Null,
        });
        let groups = json!([{ "key": "k", "name": "aws/Ops", "changes": [change], "unknowns": [] }]);
        serde_json::from_value(json!({ "target": "aws", "incomplete": Value::Null, "groups": groups }))
            .unwrap()
    }

    #[test]
    fn groups_and_skipped_changes_count_and_no_digest_is_ignored() {
        let approved = ["d3".to_owned(), "mistyped".to_owned()];
        let mut unknown: BTreeSet<&String> = approved.iter().collect();
        let mut total = Total::default();
        for (mode, digest) in [("enforce", "d1"), ("observe", "d2"), ("enforce", "d3")] {
            total.count(half(mode, digest), &approved, &mut unknown);
        }
        let mut undone = half("observe", "d4");
        undone.plans[0].changes[0].change.undone = true;
        total.count(undone, &approved, &mut unknown);
        assert_eq!((total.risks.removes, total.kept.removes, total.undone.removes), (1, 1, 1));
        assert_eq!(total.guarded.len(), 1);
        assert_eq!(unknown.into_iter().collect::<Vec<_>>(), ["mistyped"]);
    }

    #[test]
    fn the_share_of_repositories_is_a_limit_of_the_total() {
        let exceeded = |repositories: usize, among: u32| {
            let mut total = Total { among: Some(among), ..Total::default() };
            for n in 0..repositories {
                let mut plan = half("enforce", &format!("d{n}"));
                plan.plans[0].name = format!("acme/r{n}");
                total.count(plan, &[], &mut BTreeSet::new());
            }
            total.exceeded(Limits { percent: 20, repositories: 2, ..Limits::default() })
        };
        assert_eq!(exceeded(4, 20), None);
        let why = exceeded(5, 20).unwrap();
        assert!(why.contains("`teams` would remove or weaken something in 5 of 20"), "{why}");
        assert_eq!(exceeded(2, 3), None, "two repositories are always allowed");
    }

    #[test]
    fn a_total_over_a_limit_lists_the_guarded_changes() {
        let mut total = Total::default();
        total.count(half("enforce", "8f0c1d2e3a4b"), &[], &mut BTreeSet::new());
        total.count(half("observe", "1a2b3c4d5e6f"), &[], &mut BTreeSet::new());
        total.incomplete.push("the list has only some entries (2 of 3)".into());
        let mut page = Page::default();
        let limits = Limits { removes: 0, ..Limits::default() };
        assert!(tell("aws", limits, &total, &Printer::plain(), &mut page));
        insta::assert_snapshot!(page.text());
    }
}
