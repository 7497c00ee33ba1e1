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
use crate::pull_request::merge_of_held_policy::{AFTER_MERGE, HOW_TO_APPROVE};
use crate::pull_request::stored_check_results::{CheckedPull, Merge};
use crate::pull_request::stored_repository_names::NamesOfKind;

/// The number of digits of a commit's id.
const DIGITS: usize = 12;
/// The maximum number of repositories in a line of the list of all pull requests.
const FEW: usize = 5;
/// The maximum number of repositories in a line, if the command shows one pull request.
const MANY: usize = 50;
/// The explanation of drift that exists already.
const DRIFT: &str = "the policy without this pull request asks for these changes too, so this pull request does not \
                     cause them: see `beadle plan`";

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
    let most = if args.pull.is_some() { MANY } else { FEW };
    let mut is_cut = false;
    for pull in &pulls {
        let in_force = policy_store::in_force(store.as_ref(), &pull.organisation).await?;
        let in_force = in_force.map(|kept| kept.generation());
        let names = pull.names_of_kinds(store.as_ref()).await?;
        if args.json {
            printer.json(&json(pull, names, in_force.as_deref())?.to_string());
            continue;
        }
        for line in lines(pull, (&names, most), in_force.as_deref(), now) {
            printer.line(line);
        }
        is_cut |= names.iter().any(|kind| kind.names.len() + kind.more > most);
    }
    if is_cut {
        printer.note("to see all repositories, run `beadle previews --pull NUMBER --json`");
    }
    Ok(FINE)
}

/// Returns a pull request as JSON. Sets the field `base_in_force` to `true` if the check used the
/// policy in force as its base. Adds the names of the repositories to each kind of change.
fn json(pull: &CheckedPull, names: Vec<NamesOfKind>, in_force: Option<&str>) -> serde_json::Result<Value> {
    let mut shown = serde_json::to_value(pull)?;
    if let Some(merge) = &pull.merge {
        shown["merge"]["base_in_force"] = merge.is_of(in_force).into();
    }
    let changes = shown.pointer_mut("/merge/changes").and_then(Value::as_array_mut).into_iter().flatten();
    for (change, NamesOfKind { names, more }) in changes.zip(names) {
        change["names"] = names.into();
        change["more_names"] = more.into();
    }
    Ok(shown)
}

/// Returns the lines of text that describe a pull request. `names` are the names of the
/// repositories for each kind of change. Each line contains at most `most` names. `in_force` is the
/// generation of the policy in force.
fn lines(
    pull: &CheckedPull,
    (names, most): (&[NamesOfKind], usize),
    in_force: Option<&str>,
    now: Time,
) -> Vec<String> {
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
        (Some(merge), _) => lines.extend(merge_lines(merge, (names, most), in_force)),
        (None, Some(why)) => lines.push(format!("  no preview: {}", why.text())),
        (None, None) => lines.push("  the check shows no changes; see the pull request".to_owned()),
    }
    lines.into_iter().map(|line| escape::one_line(&line)).collect()
}

fn merge_lines(merge: &Merge, (names, most): (&[NamesOfKind], usize), in_force: Option<&str>) -> Vec<String> {
    let risks = Risk::ALL.into_iter().rev().map(|risk| (risk, merge.sums.risks.count(risk)));
    let risks = risks.filter(|(_, count)| *count > 0);
    let sums: Vec<String> = risks.map(|(risk, count)| format!("{count} {}", risk.noun(count))).collect();
    let sums = if sums.is_empty() { "no change".to_owned() } else { sums.join(", ") };
    let affected =
        format!("{} of {} affected", merge.affected, counted(merge.total, "repository", "repositories"));
    let mut lines = Vec::new();
    if !merge.is_of(in_force) {
        lines.push(format!("  {}", merge.compared(in_force)));
    }
    lines.push(format!("  {sums}; {affected}"));
    if merge.drift > 0 {
        let drift = counted(merge.drift, "value", "values");
        lines.push(format!("  drift that exists already: {drift}; {DRIFT}"));
    }
    lines.push(match &merge.held {
        Some(why) => format!("  the gate would hold this policy: {why}"),
        None if merge.incomplete > 0 => "  the gate would wait until Beadle can plan every part".to_owned(),
        None => "  the gate would let this policy pass".to_owned(),
    });
    if merge.held.is_some() {
        lines.extend([AFTER_MERGE, HOW_TO_APPROVE].map(|text| format!("    {text}")));
    }
    if merge.incomplete > 0 {
        let parts = counted(merge.incomplete, "part", "parts");
        lines.push(format!("  incomplete: {parts} could not be planned"));
    }
    lines.extend(merge.changes.iter().zip(names).map(|(kind, names)| line(kind, names, most)));
    if merge.more_changes > 0 {
        lines.push(format!("  and {} more", merge.more_changes));
    }
    lines
}

/// Returns the line of one kind of change: its values, the lines of the policy that ask for it, and
/// the names of at most `most` repositories.
fn line(kind: &HeldGroup, names: &NamesOfKind, most: usize) -> String {
    let HeldGroup { risk, aspect, what, repositories, .. } = kind;
    let repositories = counted(*repositories, "repository", "repositories");
    let sources = kind.sources().map(|lines| format!(" [{lines}]")).unwrap_or_default();
    let shown: Vec<&str> = names.names.iter().take(most).map(String::as_str).collect();
    let more = match names.names.len() + names.more - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("  {risk} {aspect}: {what} in {repositories}{sources}: {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use beadle_engine::{GateSums, PolicyLocation, Risks};

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
                asked: vec![PolicyLocation { file: "settings.yml".into(), line: 12 }],
                more_asked: 0,
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
        let names = [NamesOfKind { names: (0..30).map(|n| format!("acme/r{n:02}")).collect(), more: 0 }];
        let lines = |pull: &CheckedPull, in_force: Option<&str>, most: usize| {
            lines(pull, (&names, most), in_force, Time(5_000))
        };
        let json = |pull: &CheckedPull, in_force| json(pull, names.to_vec(), in_force).unwrap();
        let shown = lines(&pull, in_force, 2);
        assert_eq!(
            shown[..9],
            [
                "acme/admin#7  acme  commit bbbbbbbbbbbb, checked 5 s ago: The gate would hold this policy",
                "  title: Remove\\na team",
                "  author: mona",
                "  https://github.com/acme/admin/pull/7",
                "  30 removals; 30 of 40 repositories affected",
                "  drift that exists already: 1 value; the policy without this pull request asks for these changes \
                   too, so this pull request does not cause them: see `beadle plan`",
                "  the gate would hold this policy: 30 removals, at most 5 allowed",
                "    A merge changes only Git: Beadle keeps the earlier policy in force until somebody approves the \
                 new one.",
                "    To approve it after the merge, run the command that `beadle holds` prints, or open the page \
                 `/policy`.",
            ]
        );
        assert_eq!(
            shown[9],
            "  removes teams: team core\\nadds nothing in 30 repositories [settings.yml:12]: acme/r00, acme/r01 and 28 \
             more"
        );
        assert_eq!(shown[10], "  and 2 more");
        assert!(lines(&pull, in_force, 50)[9].ends_with(", acme/r28, acme/r29"), "all of them");
        let as_json = json(&pull, in_force);
        assert_eq!(as_json["merge"]["base_in_force"], true);
        assert_eq!(as_json["merge"]["changes"][0]["names"].as_array().map(Vec::len), Some(30));
        // A newer policy came into force after the check.
        let shown = lines(&pull, Some("cccccccccccc"), 2);
        let base = "  made against the policy aaaaaaaaaaaa, which is not in force; the policy cccccccccccc is in force";
        assert_eq!(shown[4], base);
        assert_eq!(json(&pull, Some("cccccccccccc"))["merge"]["base_in_force"], false);
        let merge = pull.merge.clone().map(|merge| Merge { held: None, incomplete: 1, drift: 0, ..merge });
        let shown = lines(&CheckedPull { merge, ..pull.clone() }, in_force, 2);
        assert_eq!(shown[5], "  the gate would wait until Beadle can plan every part");
        assert!(!shown.iter().any(|line| line.contains("A merge changes only Git")), "{shown:?}");
        let invalid = CheckedPull { merge: None, no_preview: Some(NoPreview::Invalid), ..pull };
        let shown = lines(&invalid, in_force, 2);
        assert_eq!(shown[4], "  no preview: The policy is invalid, so Beadle cannot plan its changes.");
        assert_eq!(json(&invalid, in_force)["merge"], Value::Null);
    }
}
