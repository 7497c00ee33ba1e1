//! `beadle previews`: shows the open pull requests of a policy, and what each merge would change.
//! The command uses the results of the last checks.

use beadle_engine::{Clock, Risk, Time};
use serde_json::Value;

use crate::app::gate::held_generation::HeldGroup;
use crate::app::policy::store as policy_store;
use crate::app::store;
use crate::cli::PreviewsArgs;
use crate::commands::{FAILED, FINE, ago};
use crate::config::Config;
use crate::output::escape;
use crate::output::plural::counted;
use crate::output::printer::Printer;
use crate::pull_request::stored_check_results::{CheckedPull, Merge};

/// The number of digits of a commit's id.
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
        let in_force = policy_store::in_force(store.as_ref(), &pull.organisation).await?;
        let in_force = in_force.map(|kept| kept.generation());
        if args.json {
            printer.json(&json(pull, in_force.as_deref())?.to_string());
        } else {
            for line in lines(pull, in_force.as_deref(), now) {
                printer.line(line);
            }
        }
    }
    Ok(FINE)
}

/// Returns a pull request as JSON. Sets the field `base_in_force` to `true` if the check used the
/// policy in force as its base.
fn json(pull: &CheckedPull, in_force: Option<&str>) -> serde_json::Result<Value> {
    let mut shown = serde_json::to_value(pull)?;
    if let Some(merge) = &pull.merge {
        shown["merge"]["base_in_force"] = merge.is_of(in_force).into();
    }
    Ok(shown)
}

/// Returns the lines of text that describe a pull request. `in_force` is the generation of the
/// policy in force.
fn lines(pull: &CheckedPull, in_force: Option<&str>, now: Time) -> Vec<String> {
    let CheckedPull { name, organisation, head, checked, title, pull_title, .. } = pull;
    let head: String = head.chars().take(DIGITS).collect();
    let checked = ago(*checked, now);
    let mut lines = vec![format!("{name}  {organisation}  commit {head}, checked {checked} ago: {title}")];
    if !pull_title.is_empty() {
        lines.push(format!("  title: {pull_title}"));
    }
    lines.extend(pull.author.as_ref().map(|author| format!("  author: {author}")));
    lines.extend(pull.link.as_ref().map(|link| format!("  {link}")));
    match (&pull.merge, pull.no_preview) {
        (Some(merge), _) => lines.extend(merge_lines(merge, in_force)),
        (None, Some(why)) => lines.push(format!("  no preview: {}", why.text())),
        (None, None) => lines.push("  the check shows no changes; see the pull request".to_owned()),
    }
    lines.into_iter().map(|line| escape::one_line(&line)).collect()
}

fn merge_lines(merge: &Merge, in_force: Option<&str>) -> Vec<String> {
    let risks = Risk::ALL.into_iter().rev().map(|risk| (risk, merge.sums.risks.count(risk)));
    let risks = risks.filter(|(_, count)| *count > 0);
    let sums: Vec<String> = risks.map(|(risk, count)| format!("{count} {}", risk.noun(count))).collect();
    let sums = if sums.is_empty() { "no change".to_owned() } else { sums.join(", ") };
    let affected =
        format!("{} of {} affected", merge.affected, counted(merge.total, "repository", "repositories"));
    let drift = counted(merge.drift, "value", "values");
    let mut lines = Vec::new();
    if !merge.is_of(in_force) {
        lines.push(format!("  {}", merge.compared(in_force)));
    }
    lines.push(format!("  {sums}; {affected}; drift that exists already: {drift}"));
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
    use crate::pull_request::stored_check_results::NoPreview;

    #[test]
    fn a_pull_request_shows_its_changes_the_gate_and_the_drift_apart() {
        let merge = Merge {
            base: Some("aaaaaaaaaaaa".into()),
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
            pull_title: "Remove\na team".into(),
            author: Some("mona".into()),
            link: Some("https://github.com/acme/admin/pull/7".into()),
            is_from_fork: false,
            no_preview: None,
            merge: Some(merge),
        };
        let in_force = Some("aaaaaaaaaaaa");
        let shown = lines(&pull, in_force, Time(5_000));
        assert_eq!(
            shown[..6],
            [
                "acme/admin#7  acme  commit bbbbbbbbbbbb, checked 5 s ago: The gate would hold this policy",
                "  title: Remove\\na team",
                "  author: mona",
                "  https://github.com/acme/admin/pull/7",
                "  30 removals; 30 of 40 repositories affected; drift that exists already: 1 value",
                "  the gate would hold this policy: 30 removals, at most 5 allowed",
            ]
        );
        assert!(shown[6].starts_with("  removes teams: team core\\nadds nothing in 30"), "{shown:?}");
        assert_eq!(shown[7], "  and 2 more");
        assert_eq!(json(&pull, in_force).unwrap()["merge"]["base_in_force"], true);
        // Another policy came into force after the check.
        let shown = lines(&pull, Some("cccccccccccc"), Time(5_000));
        let base = "  made against the policy aaaaaaaaaaaa, which is not in force; the policy cccccccccccc is in force";
        assert_eq!(shown[4], base);
        assert_eq!(json(&pull, Some("cccccccccccc")).unwrap()["merge"]["base_in_force"], false);
        let merge = pull.merge.clone().map(|merge| Merge { held: None, incomplete: 1, ..merge });
        let shown = lines(&CheckedPull { merge, ..pull.clone() }, in_force, Time(5_000));
        assert_eq!(shown[5], "  the gate would wait until Beadle can plan every part");
        let invalid = CheckedPull { merge: None, no_preview: Some(NoPreview::Invalid), ..pull };
        let shown = lines(&invalid, in_force, Time(5_000));
        assert_eq!(shown[4], "  no preview: The policy is invalid, so Beadle cannot plan its changes.");
        assert_eq!(json(&invalid, in_force).unwrap()["merge"], Value::Null);
    }
}
