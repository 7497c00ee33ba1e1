//! `beadle previews`: shows the open pull requests of a policy, and what each merge would change.
//! The command uses the results of the last checks.

use beadle_engine::{Clock, Risk, Time};

use crate::app::gate::held_generation::HeldGroup;
use crate::app::store;
use crate::cli::PreviewsArgs;
use crate::commands::{FAILED, FINE, ago};
use crate::config::Config;
use crate::output::count::counted;
use crate::output::escape;
use crate::output::printer::Printer;
use crate::pull_request::check_results::{CheckedPull, Merge};

/// The number of digits of a commit.
const DIGITS: usize = 12;

pub(crate) async fn run(config: &Config, args: &PreviewsArgs, printer: &Printer) -> anyhow::Result<u8> {
    let now = Clock::system().now();
    let store = store::open_existing(config).await?;
    let mut pulls = CheckedPull::all(store.as_ref()).await?;
    pulls.retain(|pull| args.org.as_ref().is_none_or(|org| pull.organisation.eq_ignore_ascii_case(org)));
    if let Some(number) = args.pull {
        pulls.retain(|pull| pull.number == number);
        if pulls.is_empty() {
            printer.error(&format!(
                "no check of an open pull request {number} is stored\nhint: the check of a pull request stores its \
                 result; see `beadle previews`"
            ));
            return Ok(FAILED);
        }
    }
    if pulls.is_empty() && !args.json {
        printer.line("no open pull request that changes a policy is checked");
    }
    for pull in &pulls {
        if args.json {
            printer.json(&serde_json::to_string(pull)?);
        } else {
            for line in lines(pull, now) {
                printer.line(line);
            }
        }
    }
    Ok(FINE)
}

/// Returns the lines about a pull request.
fn lines(pull: &CheckedPull, now: Time) -> Vec<String> {
    let CheckedPull { name, organisation, head, checked, title, .. } = pull;
    let head: String = head.chars().take(DIGITS).collect();
    let checked = ago(*checked, now);
    let mut lines = vec![format!("{name}  {organisation}  commit {head}, checked {checked} ago: {title}")];
    match &pull.merge {
        Some(merge) => lines.extend(merge_lines(merge)),
        None => lines.push("  the check shows no changes; see the pull request".to_owned()),
    }
    lines.into_iter().map(|line| escape::one_line(&line)).collect()
}

fn merge_lines(merge: &Merge) -> Vec<String> {
    let risks = Risk::ALL.into_iter().rev().map(|risk| (risk, merge.sums.risks.count(risk)));
    let risks = risks.filter(|(_, count)| *count > 0);
    let sums: Vec<String> = risks.map(|(risk, count)| format!("{count} {}", risk.noun(count))).collect();
    let sums = if sums.is_empty() { "no change".to_owned() } else { sums.join(", ") };
    let affected =
        format!("{} of {} affected", merge.affected, counted(merge.total, "repository", "repositories"));
    let drift = counted(merge.drift, "value", "values");
    let mut lines = vec![format!("  {sums}; {affected}; drift that exists already: {drift}")];
    lines.push(match &merge.held {
        Some(why) => format!("  the gate would hold this policy: {why}"),
        None if merge.incomplete > 0 => "  the gate would wait until Beadle can plan every part".to_owned(),
        None => "  the gate would let this policy pass".to_owned(),
    });
    if merge.incomplete > 0 {
        let parts = counted(merge.incomplete, "part", "parts");
        lines.push(format!("  incomplete: {parts} could not be planned"));
    }
    lines.extend(merge.changes.iter().map(HeldGroup::line).map(|line| format!("  {line}")));
    if merge.more_changes > 0 {
        lines.push(format!("  and {} more", merge.more_changes));
    }
    lines
}

#[cfg(test)]
mod tests {
    use beadle_engine::{GateSums, Risks};

    use super::*;

    #[test]
    fn a_pull_request_shows_its_changes_the_gate_and_the_drift_apart() {
        let merge = Merge {
            sums: GateSums { risks: Risks { removes: 30, ..Risks::default() }, repositories: 30 },
            affected: 30,
            total: 40,
            changed_groups: 0,
            drift: 1,
            held: Some("30 removals, at most 5 allowed".into()),
            incomplete: 0,
            changes: vec![HeldGroup {
                risk: Risk::Removes,
                aspect: "teams".into(),
                what: "team core\nadds nothing".into(),
                repositories: 30,
                examples: vec!["acme/r00".into()],
            }],
            more_changes: 2,
        };
        let pull = CheckedPull {
            key: "check:acme:9/7".into(),
            organisation: "acme".into(),
            name: "acme/admin#7".into(),
            number: 7,
            head: "b".repeat(40),
            checked: Time(0),
            conclusion: "action_required".into(),
            title: "The gate would hold this policy".into(),
            is_from_fork: false,
            merge: Some(merge),
        };
        let shown = lines(&pull, Time(5_000));
        assert_eq!(
            shown[..3],
            [
                "acme/admin#7  acme  commit bbbbbbbbbbbb, checked 5 s ago: The gate would hold this policy",
                "  30 removals; 30 of 40 repositories affected; drift that exists already: 1 value",
                "  the gate would hold this policy: 30 removals, at most 5 allowed",
            ]
        );
        assert!(shown[3].starts_with("  removes teams: team core\\nadds nothing in 30"), "{shown:?}");
        assert_eq!(shown[4], "  and 2 more");
        let merge = pull.merge.map(|merge| Merge { held: None, incomplete: 1, ..merge });
        let shown = lines(&CheckedPull { merge, ..pull }, Time(5_000));
        assert_eq!(shown[2], "  the gate would wait until Beadle can plan every part");
    }
}
