//! The people who wrote the policy in force, by their present logins.

use beadle_engine::{Class, Failure};
use beadle_repositories::Policy;

use crate::app::application::App;
use crate::app::approval_rules::authors;
use crate::app::policy_part::PolicyPart;
use crate::config::OrgConfig;

/// Returns the logins of the authors and the committers of the commits that the policy comes from.
/// Beadle reads the commits again, because a person can change the login after the policy came into
/// force, and could then approve the own policy. Returns an empty list if one of them is not known.
pub(crate) async fn policy_authors(
    app: &App,
    file: &OrgConfig,
    policy: &Policy,
) -> Result<Vec<String>, Failure> {
    let Some(source) = file.policy.repository() else { return Ok(Vec::new()) };
    let configured = app.repository_policy(file, source);
    let configured = configured.map_err(|error| Failure::new(Class::Retry, format!("{error:#}")))?;
    let parts: Vec<&PolicyPart> = std::iter::once(&configured.own).chain(&configured.base).collect();
    let mut commits = Vec::new();
    for origin in policy.origin.iter().chain(&policy.base) {
        let part = parts.iter().find(|part| part.repository() == origin.repository);
        let Some(part) = part else { return Ok(Vec::new()) };
        match part.reader.commit(&part.source.repository, &origin.commit.id).await {
            Ok(commit) => commits.push(commit),
            // The repository, or the commit, no longer exists.
            Err(failure) if failure.class == Class::Rejected => return Ok(Vec::new()),
            Err(failure) => return Err(failure),
        }
    }
    Ok(authors(&commits))
}
