//! Finds the state of each commit of a policy. One commit is in force. The gate might hold another
//! commit, and a third commit might be invalid.

use anyhow::Context as _;
use beadle_engine::{Store, StoreError};
use beadle_github::{Asks, CheckWriter, Reader};

use crate::app::application::App;
use crate::app::gate::held_generation::HeldGeneration;
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::app::organisations::served_organisation::ServedOrganisation;
use crate::config::{OrgConfig, RepositorySource};

/// The state of the policy at a commit.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// The policy is in force.
    InForce {
        /// The name of the generation.
        generation: String,
    },
    /// The gate holds the policy until an operator approves it.
    Held(Box<HeldGeneration>),
    /// Beadle cannot use the policy.
    Rejected {
        /// The reason.
        why: String,
    },
}

impl Fate {
    /// Returns the word for this state in a note.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::InForce { .. } => "in-force",
            Self::Held(_) => "held",
            Self::Rejected { .. } => "rejected",
        }
    }
}

/// A commit in the repository that contains an organisation's policy.
#[derive(Clone, Debug)]
pub(crate) struct PolicyCommit {
    /// The id of the commit.
    pub(crate) id: String,
    /// The state of the policy at this commit.
    pub(crate) fate: Fate,
}

/// Returns the commits with a known state of the policy. Each commit occurs only once. If the
/// policy has a base, one commit can belong to two generations, with different commits of the base.
/// If one of the two generations is in force and the other one is held, the commit counts as in
/// force.
pub(crate) async fn policy_commits(
    store: &dyn Store,
    organisation: &ServedOrganisation,
    org: &GithubOrganisation,
) -> Result<Vec<PolicyCommit>, StoreError> {
    let file = &organisation.file;
    let Some(source) = file.policy.repository() else { return Ok(Vec::new()) };
    // The policy in force and the held policy might come from a repository that the configuration
    // no longer specifies.
    let home = format!("{}/{}", source.owner(&file.name), source.repository);
    let mut commits: Vec<PolicyCommit> = Vec::new();
    let policy = org.policy.current();
    if let Some(origin) = policy.origin.as_ref().filter(|_| !organisation.is_first())
        && origin.repository.eq_ignore_ascii_case(&home)
    {
        let fate = Fate::InForce { generation: policy.generation.clone() };
        commits.push(PolicyCommit { id: origin.commit.id.clone(), fate });
    }
    let held = HeldGeneration::note(&file.name).get(store).await?;
    if let Some(held) = held.filter(|held| held.approved.is_none())
        && let Some(commit) = held.commit.clone()
        && commit.repository.eq_ignore_ascii_case(&home)
    {
        commits.push(PolicyCommit { id: commit.commit, fate: Fate::Held(Box::new(held)) });
    }
    if let Some((id, why)) = organisation.looked.lock().await.refused() {
        let fate = Fate::Rejected { why: why.to_owned() };
        commits.push(PolicyCommit { id: id.to_owned(), fate });
    }
    Ok(each_once(commits))
}

/// Returns the list with only the first entry of each commit.
fn each_once(commits: Vec<PolicyCommit>) -> Vec<PolicyCommit> {
    let mut once: Vec<PolicyCommit> = Vec::new();
    for commit in commits {
        if !once.iter().any(|known| known.id == commit.id) {
            once.push(commit);
        }
    }
    once
}

/// Opens the reader and the writer of the check runs in the repository of a policy. Also returns
/// the id of the App that writes the check runs. Sends no request.
pub(crate) fn check_runs(
    app: &App,
    file: &OrgConfig,
    source: &RepositorySource,
) -> anyhow::Result<(Reader, CheckWriter, u64)> {
    let home = app.config.orgs(Some(source.owner(&file.name)))?[0];
    let id = home.app.as_ref().map(|app| app.id).context("a check run needs an organisation with an App")?;
    let (api, _) = app.client_of(home)?;
    Ok((Reader::new(api.clone(), Asks::default()), CheckWriter::new(api, &source.repository), id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_has_one_fate() {
        let commit = |id: &str, fate: Fate| PolicyCommit { id: id.to_owned(), fate };
        let in_force = Fate::InForce { generation: "g".into() };
        let rejected = || Fate::Rejected { why: "the base is invalid".into() };
        let once = each_once(vec![commit("a", in_force), commit("a", rejected()), commit("b", rejected())]);
        let words: Vec<(&str, &str)> =
            once.iter().map(|commit| (commit.id.as_str(), commit.fate.word())).collect();
        assert_eq!(words, [("a", "in-force"), ("b", "rejected")]);
    }
}
