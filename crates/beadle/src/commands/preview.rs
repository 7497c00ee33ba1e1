//! `beadle plan --base`: shows what a policy changes, compared with another version of it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use beadle_engine::{GateVerdict, Store};
use beadle_repositories::{Policy, Preview};
use serde_json::json;

use crate::app::application::App;
use crate::app::budget_share::SpawnedShare;
use crate::app::file_timeout::FileReader;
use crate::app::held_generation::HeldGeneration;
use crate::cli::{Format, PlanArgs};
use crate::commands::tally::code;
use crate::output::count::counted;
use crate::output::markdown::{Page, Piece};
use crate::output::printer::{Printer, Tone};
use crate::output::progress::Progress;
use crate::output::render::{self, PlanScope, WholePlan};

/// Plans what the configured policy changes, compared with the policy in the folder `base`.
pub(crate) async fn run(
    app: &App,
    base: &Path,
    args: &PlanArgs,
    store: Option<&Arc<dyn Store>>,
    printer: &Printer,
) -> anyhow::Result<u8> {
    let orgs = app.config.orgs(args.selection.org.as_deref())?;
    let [file] = orgs.as_slice() else {
        bail!(
            "`--base` needs one organisation, and the configuration has {}\nhint: add `--org NAME`",
            orgs.len()
        );
    };
    let (folder, home) = (base.to_owned(), file.policy_repository.clone());
    let before = FileReader::default().read(move |at| Policy::load_noting(&folder, &home, at)).await?;
    let before = before.with_context(|| format!("the policy in {}", base.display()))?;
    let org = app.organisation(file).await?;
    let after = org.policy.current();
    let shared = app.share_budget(&org).await;
    let progress = Progress::new(&format!("reading {}", file.name), printer);
    let planner = org.planner(store).only_looking();
    let at = |done, total| progress.at(done, total);
    let preview = Box::pin(planner.preview(Some(&before), &after, &at)).await;
    progress.end();
    SpawnedShare::end_all(shared).await;
    let Preview { plans, drift, affected, total, incomplete, due: _ } = preview?;
    let of = (file.name.as_str(), after.as_ref());
    let (shown, verdict) = HeldGeneration::judge(of, &plans, total, &file.gate_limits(), app.clock.now());
    let is_held = matches!(verdict, GateVerdict::Held { .. });
    let verdict =
        if is_held { format!("{verdict}; the service would hold this policy") } else { verdict.to_string() };
    let plan = WholePlan {
        of: file.name.clone(),
        scope: PlanScope::Repositories(file.mode),
        plans,
        short: (!incomplete.is_empty()).then(|| incomplete.join("; ")),
        unmatched: Vec::new(),
        links: org.links(),
    };
    let compared = format!(
        "compared with {}: {affected} of {} affected, {} left out as drift",
        base.display(),
        counted(total, "repository", "repositories"),
        counted(drift, "change", "changes")
    );
    let left = usize::from(plan.is_pending());
    match args.format {
        Format::Json => {
            let mut json = render::json(&[plan], args.selection.shard);
            json["preview"] = json!({
                "base": before.generation, "generation": after.generation, "affected": affected, "total": total,
                "drift": drift, "held": is_held, "verdict": verdict, "plan": shown.digest, "sums": shown.sums,
                "groups": shown.groups,
            });
            printer.json(&serde_json::to_string_pretty(&json)?);
        }
        Format::Text => {
            printer.lines(render::text(printer, &plan));
            printer.line(compared);
            printer.line(printer.paint(if is_held { Tone::Danger } else { Tone::Good }, verdict));
        }
        Format::Markdown => {
            printer.lines(sums(&shown, &compared, &verdict).text().trim_end());
            printer.line("");
            printer.lines(render::markdown(&plan).trim_end());
        }
    }
    Ok(code(0, left))
}

/// Returns a page with the verdict of the gate and the changes in groups, for pull requests.
fn sums(shown: &HeldGeneration, compared: &str, verdict: &str) -> Page {
    let mut page = Page::default();
    page.paragraph(&[Piece::value(verdict).bold()]);
    page.paragraph(&[Piece::value(compared)]);
    let text = "This page names repositories and teams that can be private, because a reviewer needs the whole plan. Show \
                it only to members of the organisation.";
    page.quote(&[Piece::own(text)]);
    if !shown.groups.is_empty() {
        page.table(&["risk", "aspect", "change", "repositories", "such as"]);
    }
    for group in &shown.groups {
        let risk = Piece::own(group.risk.as_str());
        page.row(&[
            if group.risk.is_guarded() { risk.bold() } else { risk },
            Piece::value(&group.aspect),
            Piece::value(&group.what),
            Piece::number(group.repositories),
            Piece::value(group.examples.join(", ")),
        ]);
    }
    page
}

#[cfg(test)]
mod tests {
    use beadle_engine::testing::change;
    use beadle_engine::{Key, Plan, Risk, Time};

    use super::*;

    #[test]
    fn a_page_names_the_verdict_and_each_group_once() {
        let change = change("teams", "team @acme/x|y", &[Risk::Removes]);
        let plan = |n: u64| {
            let plan = Plan { changes: vec![change.clone()], ..Plan::new(format!("acme/r{n}")) };
            (Key::new("repository", "acme", n), plan)
        };
        let plans: Vec<(Key, Plan<()>)> = (0..3).map(plan).collect();
        let shown = HeldGeneration::new(("acme", "g1"), &plans, 3, Time(0));
        let page = sums(&shown, "compared with a", "the gate lets this policy pass");
        let rows: Vec<&str> = page.text().lines().filter(|line| line.starts_with("| ")).collect();
        assert_eq!(
            rows,
            [
                "| risk | aspect | change | repositories | such as |",
                "| **removes** | `teams` | `team @acme/x`&#124;`y` | 3 | `acme/r0, acme/r1, acme/r2` |",
            ]
        );
        assert!(page.text().starts_with("**`the gate lets this policy pass`**"), "{}", page.text());
    }
}
