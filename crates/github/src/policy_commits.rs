//! Lists the commits between two versions of a policy.
//!
//! <https://docs.github.com/rest/commits/commits#list-commits>

use beadle_engine::Failure;

use crate::policy_files::{Commit, CommitRow};
use crate::read::Reader;

/// The maximum number of commits in one answer.
const MOST: usize = 100;

impl Reader {
    /// Returns some commits of a repository, newest first. The list begins with `head` and ends
    /// before `base`. Both are ids of commits. Returns `None` if `base` is not one of the last 100
    /// commits. The read costs one call.
    pub async fn commits_after(
        &self,
        repository: &str,
        base: &str,
        head: &str,
    ) -> Result<Option<Vec<Commit>>, Failure> {
        let path = self.repository_path(repository).then("commits");
        let answer = self.api().read(&path.query("sha", head).query("per_page", MOST)).await;
        let answer = answer.map_err(|error| self.asked(repository, Some(head)).explain(error))?;
        let rows: Vec<CommitRow> = answer.json()?;
        after(rows, base)
    }
}

/// Returns the commits in the rows that come before the row of the commit `base`. Returns `None` if
/// no row has this commit.
fn after(rows: Vec<CommitRow>, base: &str) -> Result<Option<Vec<Commit>>, Failure> {
    let mut commits = Vec::new();
    for row in rows {
        let commit = row.into_commit()?;
        if commit.id == base {
            return Ok(Some(commits));
        }
        commits.push(commit);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_commits_since_the_policy_in_force_count_and_no_older_one() {
        let row = |id: char, login: &str| {
            json!({
                "sha": id.to_string().repeat(40), "commit": { "message": "Change it" },
                "author": { "login": login }, "committer": { "login": login }, "parents": [{}],
            })
        };
        let rows = || {
            let rows = json!([row('c', "ann"), row('b', "bob"), row('a', "cyd")]);
            serde_json::from_value::<Vec<CommitRow>>(rows).unwrap()
        };
        let people = |base: char| {
            let found = after(rows(), &base.to_string().repeat(40)).unwrap()?;
            Some(found.into_iter().map(|commit| commit.author).collect::<Vec<_>>())
        };
        assert_eq!(people('a'), Some(vec!["ann".to_owned(), "bob".to_owned()]));
        assert_eq!(people('c'), Some(Vec::new()));
        assert_eq!(people('d'), None);
    }
}
