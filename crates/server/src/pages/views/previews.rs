//! `/policy/previews`: the open pull requests of policies, and the effects of each merge.

use beadle_engine::{Risk, Time};
use serde::Serialize;

use crate::pages::asked::{Asked, Refused};
use crate::pages::facts::{
    ChangedRepositories, CheckedRepositories, Facts, HeldChanges, MergeFacts, PullFacts,
};
use crate::pages::html::{Html, joined, text};
use crate::pages::link::Link;
use crate::pages::parts::{
    code, counted, existing_drift, facts, folded, link, list, moment, paragraph, repository as page_of,
    state, table,
};
use crate::pages::view::View;

/// The path of the page.
pub(in crate::pages) const PATH: &str = "/policy/previews";
/// The maximum number of pull requests.
const MOST: usize = 100;
/// The maximum number of kinds of changes in the list of one pull request.
const FEW: usize = 5;
/// The number of digits that the page shows of a commit's id.
const DIGITS: usize = 12;
/// The explanation of drift that exists already.
const DRIFT: &str = "The policy without this pull request asks for these changes too, so this pull request does not \
                     cause them, and the gate does not count them.";
/// The columns of a table of changes.
pub(super) const CHANGE_COLUMNS: [&str; 4] = ["Change", "Risk", "Policy line", "Repositories"];

/// The open pull requests of the policies, or only one pull request.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct Previews {
    /// The pull requests. The pull request with the latest check comes first.
    pulls: Vec<PullFacts>,
    /// The number of further pull requests that `pulls` does not contain.
    more: usize,
    /// True if the request selects one pull request.
    #[serde(skip)]
    is_one: bool,
}

/// Reads the results of the checks. If `asked.key` is set, returns only this pull request, and all
/// its changes.
pub(in crate::pages) async fn load(facts: &dyn Facts, asked: &Asked) -> Result<Previews, Refused> {
    let mut pulls = facts.pulls().await?;
    if !asked.key.is_empty() {
        pulls.retain(|pull| pull.key == asked.key);
        if pulls.is_empty() {
            let why = format!("no open pull request of a policy with the key `{}` is checked", asked.key);
            return Err(Refused::NotFound(why));
        }
        for pull in &mut pulls {
            let CheckedRepositories { changes, drifted } = facts.checked_repositories(pull).await?;
            let Some(merge) = &mut pull.merge else { continue };
            for (change, ChangedRepositories { names, more }) in merge.changes.iter_mut().zip(changes) {
                (change.names, change.more_names) = (names, more);
            }
            (merge.drifted, merge.more_drifted) = (drifted.names, drifted.more);
        }
        return Ok(Previews { pulls, more: 0, is_one: true });
    }
    pulls.retain(|pull| asked.instance.is_empty() || pull.organisation == asked.instance);
    let more = pulls.len().saturating_sub(MOST);
    pulls.truncate(MOST);
    for merge in pulls.iter_mut().filter_map(|pull| pull.merge.as_mut()) {
        merge.more_changes += merge.changes.len().saturating_sub(FEW);
        merge.changes.truncate(FEW);
    }
    Ok(Previews { pulls, more, is_one: false })
}

fn short(commit: &str) -> Html {
    code(commit.chars().take(DIGITS).collect::<String>())
}

/// Returns the rows of a table with [`CHANGE_COLUMNS`].
pub(super) fn change_rows(changes: &[HeldChanges]) -> Vec<Vec<Html>> {
    let row = |change: &HeldChanges| {
        let more = (change.more_asked > 0).then(|| text(format!("and {} more", change.more_asked)));
        let lines: Vec<Html> = change.asked.iter().map(code).chain(more).collect();
        vec![
            text(format!("{} {}", change.aspect, change.what)),
            state(change.risk.as_str()),
            if lines.is_empty() { text("not known") } else { list(lines) },
            repositories(change),
        ]
    };
    changes.iter().map(row).collect()
}

/// Returns the number and the names of the repositories with a change.
fn repositories(change: &HeldChanges) -> Html {
    let all = usize::try_from(change.repositories).unwrap_or(usize::MAX);
    let names = if change.names.is_empty() { &change.examples } else { &change.names };
    let count = counted(all, "repository", "repositories");
    let shown = folded(&count, names.iter().map(|name| (name.as_str(), text(name))), change.more_names);
    if names.len() == 1 && all > 1 && change.more_names == 0 {
        // A change of the organisation itself reaches many repositories.
        return joined([text(format!("{count}: ")), shown]);
    }
    shown
}

/// Returns the number and the names of the repositories that drifted before the merge.
fn drifted(merge: &MergeFacts) -> Html {
    let count = counted(merge.drifted.len() + merge.more_drifted, "repository", "repositories");
    // The page of a repository shows its drift. The organisation itself has no page of its own.
    let page = |name: &str| page_of(name).map_or_else(|| text(name), |to| link(&to, name));
    folded(&count, merge.drifted.iter().map(|name| (name.as_str(), page(name))), merge.more_drifted)
}

fn gate(merge: Option<&MergeFacts>) -> String {
    match merge {
        None => "no preview".to_owned(),
        Some(MergeFacts { held: Some(why), .. }) => format!("holds the policy: {why}"),
        Some(merge) if merge.incomplete > 0 => "waits until Beadle can plan every part".to_owned(),
        Some(_) => "lets the policy pass".to_owned(),
    }
}

/// If the gate would hold the policy, returns a paragraph about a merge.
fn after_merge(merge: Option<&MergeFacts>) -> Html {
    if merge.is_none_or(|merge| merge.held.is_none()) {
        return Html::default();
    }
    paragraph([
        text(
            "A merge changes only Git: Beadle keeps the earlier policy in force until somebody approves the new one. To \
             approve it after the merge, open ",
        ),
        link(&Link::to("/policy"), "the held policies"),
        text(", or run the command that "),
        code("beadle holds"),
        text(" prints."),
    ])
}

fn row(pull: &PullFacts, now: Time) -> Vec<Html> {
    vec![
        link(&Link::to(PATH).with("key", &pull.key), &pull.name),
        text(&pull.pull_title),
        text(pull.author.as_deref().unwrap_or_default()),
        text(&pull.title),
        joined([text(gate(pull.merge.as_ref())), outdated(pull.merge.as_ref())]),
        short(&pull.head),
        moment(pull.checked, now),
    ]
}

/// If the check did not compare the pull request with the policy in force, returns a paragraph that
/// says so.
fn outdated(merge: Option<&MergeFacts>) -> Html {
    match merge.and_then(|merge| merge.compared.as_ref()) {
        Some(compared) => paragraph([text(compared)]),
        None => Html::default(),
    }
}

/// Returns the link to a pull request at GitHub. If the address cannot become a link, returns only
/// the name.
fn at_github(address: &str, name: &str) -> Html {
    Link::outside(address).map_or_else(|| text(name), |to| link(&to, name))
}

/// Returns all facts about one pull request.
fn whole(pull: &PullFacts, now: Time) -> Html {
    let mut rows = vec![
        (
            "Pull request",
            pull.link.as_deref().map_or_else(|| text(&pull.name), |link| at_github(link, &pull.name)),
        ),
        ("Title", text(&pull.pull_title)),
        ("Author", text(pull.author.as_deref().unwrap_or("not known"))),
        ("Organisation", text(&pull.organisation)),
        ("Checked commit", short(&pull.head)),
        ("Checked", moment(pull.checked, now)),
        ("Result", text(format!("{}: {}", pull.conclusion, pull.title))),
        ("Gate", joined([text(gate(pull.merge.as_ref())), after_merge(pull.merge.as_ref())])),
    ];
    if pull.is_from_fork {
        rows.push((
            "Fork",
            text("the pull request comes from a fork, so this page does not name the groups"),
        ));
    }
    let Some(merge) = &pull.merge else {
        let why = pull.no_preview.as_deref().unwrap_or("The check shows no changes; see the pull request.");
        return joined([facts(rows), paragraph([text(why)])]);
    };
    let sums = Risk::ALL.into_iter().rev().map(|risk| (risk, merge.sums.risks.count(risk)));
    let sums = sums.filter(|(_, count)| *count > 0);
    let sums: Vec<String> = sums.map(|(risk, count)| format!("{count} {}", risk.noun(count))).collect();
    if let Some(compared) = &merge.compared {
        rows.push(("Compared policy", text(compared)));
    }
    rows.extend([
        ("Changes", text(if sums.is_empty() { "none".to_owned() } else { sums.join(", ") })),
        ("Repositories whose declared values differ", text(format!("{} of {}", merge.affected, merge.total))),
        ("Groups with a change", text(merge.changed_groups)),
    ]);
    // The merge does not cause this drift, so the drift comes after the changes.
    let mut existing =
        vec![("Drift that exists already", existing_drift(merge.drift, DRIFT, &pull.organisation))];
    if merge.drifted.len() + merge.more_drifted > 0 {
        existing.push(("Repositories with this drift", drifted(merge)));
    }
    if merge.incomplete > 0 {
        rows.push(("Parts that could not be planned", text(merge.incomplete)));
    }
    let changes = table(
        "What the merge would change",
        &CHANGE_COLUMNS,
        change_rows(&merge.changes),
        "The merge would change nothing.",
    );
    let left_out = match merge.more_changes {
        0 => Html::default(),
        count => paragraph([text(format!("{count} more kinds of changes are left out."))]),
    };
    joined([facts(rows), changes, left_out, facts(existing)])
}

impl View for Previews {
    const PLACE: &'static str = "/policy";

    fn title(&self) -> String {
        match self.pulls.first().filter(|_| self.is_one) {
            Some(pull) => pull.name.clone(),
            None => "Open pull requests of the policy".to_owned(),
        }
    }

    fn content(&self, now: Time) -> Vec<Html> {
        if self.is_one {
            return self.pulls.iter().map(|pull| whole(pull, now)).collect();
        }
        let left_out = match self.more {
            0 => Html::default(),
            more => {
                let pulls = counted(more, "older pull request", "older pull requests");
                paragraph([text(format!("{pulls} left out."))])
            }
        };
        vec![
            table(
                "What a merge would change, by the last check of each pull request",
                &["Pull request", "Title", "Author", "Changes", "The gate", "Checked commit", "Checked"],
                self.pulls.iter().map(|pull| row(pull, now)).collect(),
                "No open pull request that changes a policy is checked.",
            ),
            left_out,
        ]
    }
}
