//! `/policy/previews`: the open pull requests of policies, and the effects of each merge.

use beadle_engine::{Risk, Time};
use serde::Serialize;

use crate::pages::asked::{Asked, Refused};
use crate::pages::facts::{Facts, HeldChanges, MergeFacts, PullFacts};
use crate::pages::html::{Html, joined, text};
use crate::pages::link::Link;
use crate::pages::parts::{code, counted, facts, link, moment, paragraph, state, table};
use crate::pages::view::View;

/// The path of the page.
pub(in crate::pages) const PATH: &str = "/policy/previews";
/// The maximum number of pull requests.
const MOST: usize = 100;
/// The maximum number of kinds of changes that a list shows for each pull request.
const FEW: usize = 5;
/// The number of digits of a commit's id that the page shows.
const DIGITS: usize = 12;

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

fn gate(merge: Option<&MergeFacts>) -> String {
    match merge {
        None => "no preview".to_owned(),
        Some(MergeFacts { held: Some(why), .. }) => format!("holds the policy: {why}"),
        Some(merge) if merge.incomplete > 0 => "waits until Beadle can plan every part".to_owned(),
        Some(_) => "lets the policy pass".to_owned(),
    }
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
        ("Gate", text(gate(pull.merge.as_ref()))),
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
        ("Drift that exists already", text(format!("{} (not part of the changes)", merge.drift))),
    ]);
    if merge.incomplete > 0 {
        rows.push(("Parts that could not be planned", text(merge.incomplete)));
    }
    let row = |change: &HeldChanges| {
        vec![
            text(format!("{} {}", change.aspect, change.what)),
            state(change.risk.as_str()),
            text(change.repositories),
            text(change.examples.join(", ")),
        ]
    };
    let changes = table(
        "What the merge would change",
        &["Change", "Risk", "Repositories", "Examples"],
        merge.changes.iter().map(row).collect(),
        "The merge would change nothing.",
    );
    let left_out = match merge.more_changes {
        0 => Html::default(),
        count => paragraph([text(format!("{count} more kinds of changes are left out."))]),
    };
    joined([facts(rows), changes, left_out])
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
