//! Finds the present logins of the people who wrote a policy.

use std::collections::BTreeSet;

use beadle_engine::guard::Hold;
use beadle_engine::journal::{PolicyCommitted, PolicyInForce};
use beadle_engine::{AskingPolicies, Class, Failure, Store, asking_policies};
use beadle_repositories::Policy;

use crate::app::application::App;
use crate::app::operations::approval_rules::authors;
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::app::policy::generations::newest_generations;
use crate::app::policy::repository::PolicyPart;
use crate::output::policy_links::PolicyLinks;

/// The maximum number of policies whose authors Beadle reads for one approval. Each policy costs
/// one call to GitHub. If more policies came into force after Beadle planned a change, the authors
/// of the change are not known.
const MOST: usize = 50;

/// Returns the logins of the authors and committers of these commits. Each commit is in the
/// repository of the policy or of its base. If one of the people is unknown, returns an empty list.
/// Beadle reads the commits again, because an author can change their login after the policy came
/// into force. If the list contained the old login, this author could approve their own policy.
async fn authors_of(
    app: &App,
    open: &GithubOrganisation,
    commits: &BTreeSet<(&str, &str)>,
) -> Result<Vec<String>, Failure> {
    let Some(source) = open.file.policy.repository() else { return Ok(Vec::new()) };
    let configured = app.repository_policy(&open.file, source);
    let configured = configured.map_err(|error| Failure::new(Class::Retry, format!("{error:#}")))?;
    let parts: Vec<&PolicyPart> = std::iter::once(&configured.own).chain(&configured.base).collect();
    let mut found = Vec::new();
    for (repository, id) in commits {
        let part = parts.iter().find(|part| part.repository() == *repository);
        let Some(part) = part else { return Ok(Vec::new()) };
        match part.reader.commit(&part.source.repository, id).await {
            Ok(commit) => found.push(commit),
            // The repository or the commit no longer exists.
            Err(failure) if failure.class == Class::Rejected => return Ok(Vec::new()),
            Err(failure) => return Err(failure),
        }
    }
    Ok(authors(&found))
}

/// Returns the logins of the people who wrote the policies that might have asked for held changes.
/// These policies are the policy in force, and each policy that came into force since the beginning
/// of the last sweep whose plans did not contain these changes. A list of only the people who wrote
/// the policy in force is not enough. If another person wrote the policy in force, the author of an
/// earlier policy could then approve the changes that the earlier policy asked for.
///
/// `web` is the GitHub server of the approver's login, if the server is known. If one of the people
/// is unknown at this server, returns an empty list.
pub(crate) async fn change_authors(
    app: &App,
    (open, web): (&GithubOrganisation, Option<&str>),
    (policy, holds): (&Policy, &[&Hold]),
    store: &dyn Store,
) -> Result<Vec<String>, Failure> {
    if let (Some(web), Some(links)) = (web, open.links())
        && !is_at(web, &links)
    {
        return Ok(Vec::new());
    }
    let origins = policy.origin.iter().chain(&policy.base);
    let mut commits: BTreeSet<(&str, &str)> =
        origins.map(|origin| (origin.repository.as_str(), origin.commit.id.as_str())).collect();
    // If the policy in force does not come from a commit, its authors are not known.
    if commits.is_empty() {
        return Ok(Vec::new());
    }
    let Some(earlier) = earlier_policies(store, &open.file.name, (policy, holds)).await? else {
        return Ok(Vec::new());
    };
    let earlier = earlier.iter().flat_map(|policy| std::iter::once(&policy.from).chain(&policy.base));
    commits.extend(earlier.map(|from| (from.repository.as_str(), from.commit.as_str())));
    authors_of(app, open, &commits).await
}

/// Returns the policies that might have asked for held changes and that are older than the policy
/// in force. `name` is the name of the organisation. Returns `None` if the journal does not have
/// all these policies, or if there are more than [`MOST`].
async fn earlier_policies(
    store: &dyn Store,
    name: &str,
    (policy, holds): (&Policy, &[&Hold]),
) -> Result<Option<Vec<PolicyInForce>>, Failure> {
    let mut earlier: Vec<PolicyInForce> = Vec::new();
    if holds.is_empty() {
        return Ok(Some(earlier));
    }
    let AskingPolicies { since, mut generations } = asking_policies(store, holds).await?;
    generations.remove(policy.generation.as_str());
    let read = newest_generations(store, |(instance, at), policy| {
        if instance == name && (generations.remove(&policy.in_force) || at >= since) {
            earlier.push(policy);
        }
        (at < since && generations.is_empty()) || earlier.len() > MOST
    });
    read.await?;
    Ok((generations.is_empty() && earlier.len() <= MOST).then_some(earlier))
}

/// Returns the logins of the people who wrote a held policy. These people are the authors and the
/// committers of all commits from the policy in force to the held policy. A list of only the people
/// of the last commit is not enough. If another person wrote the last commit, the author of an
/// earlier commit could then approve their own commit. A hold does not contain the commit of the
/// base. So if the policy has a base, the people are not known.
pub(crate) async fn held_authors(
    app: &App,
    (open, web): (&GithubOrganisation, Option<&str>),
    held: &PolicyCommitted,
) -> Result<Vec<String>, Failure> {
    let Some(source) = open.file.policy.repository() else { return Ok(Vec::new()) };
    if open.file.base.is_some() || web.is_some_and(|web| web != open.policy_web()) {
        return Ok(Vec::new());
    }
    let configured = app.repository_policy(&open.file, source);
    let part = configured.map_err(|error| Failure::new(Class::Retry, format!("{error:#}")))?.own;
    if part.repository() != held.repository {
        return Ok(Vec::new());
    }
    let (policy, repository) = (open.policy.current(), &part.source.repository);
    let commits = match &policy.origin {
        Some(before) if before.repository != held.repository => return Ok(Vec::new()),
        Some(before) if before.commit.id != held.commit => {
            let commits = part.reader.commits_after(repository, &before.commit.id, &held.commit).await;
            commits.map(Option::unwrap_or_default)
        }
        _ => part.reader.commit(repository, &held.commit).await.map(|commit| vec![commit]),
    };
    match commits {
        Ok(commits) => Ok(authors(&commits)),
        Err(failure) if failure.class == Class::Rejected => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

/// Returns whether a policy and its base are at this GitHub server. At another server, the same
/// person might have another login.
fn is_at(web: &str, links: &PolicyLinks) -> bool {
    links.web == web && links.base.iter().all(|(server, _)| server == web)
}

#[cfg(test)]
mod tests {
    use beadle_github::Commit;
    use beadle_repositories::policy::PolicyOrigin;

    use super::*;

    #[test]
    fn the_logins_of_one_server_say_nothing_about_another_one() {
        let origin = || {
            let (id, author, subject) = ("a".repeat(40), "ann".to_owned(), String::new());
            let commit = Commit { id, author, logins: vec!["ann".to_owned()], subject };
            PolicyOrigin { repository: "acme/admin".to_owned(), path: String::new(), commit }
        };
        let (own, other) = ("https://github.com", "https://ghe.example");
        for (policy, base, expected) in [
            (own, None, true),
            (own, Some(own), true),
            (other, None, false),
            (own, Some(other), false),
            (other, Some(own), false),
        ] {
            let base = base.map(|web: &str| (web.to_owned(), origin()));
            let links = PolicyLinks { web: policy.to_owned(), origin: origin(), base };
            assert_eq!(is_at(own, &links), expected, "{policy} {:?}", links.base);
        }
    }
}
