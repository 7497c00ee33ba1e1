//! Reads answers and lists from the REST API. The paths are below a repository or the organisation.

use beadle_engine::Failure;
use beadle_transport::Path;
use serde_json::Value;

use crate::connection::each;
use crate::read::Reader;
use crate::repository::Repository;

/// The number of rows on one page, if the list is part of a JSON object. The number is GitHub's
/// maximum for lists of variables.
const ROWS_PER_PAGE: u32 = 30;

impl Reader {
    /// Returns REST's answer at `path` below a repository, or `None` if nothing exists there. The
    /// read costs nothing from the budget if the answer has not changed since the last read.
    pub async fn below(
        &self,
        repository: &Repository,
        path: impl Into<Path>,
    ) -> Result<Option<Value>, Failure> {
        match self.below_repository(repository).read(&below(repository, path)).await {
            Ok(answer) if answer.body.is_empty() => Ok(Some(Value::Null)),
            Ok(answer) => answer.json().map(Some).map_err(Failure::from),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns all rows of a list below a repository. If a row lacks one of the fields in
    /// `identity`, the list is unknown.
    pub async fn list_below(
        &self,
        repository: &Repository,
        path: impl Into<Path>,
        identity: &[&str],
    ) -> Result<Vec<Value>, Failure> {
        identified(self.below_repository(repository).list(&below(repository, path)).await?, identity)
    }

    /// Returns all rows of a list below a repository, like `list_below`. The store does not keep
    /// the answer.
    pub async fn list_anew_below(
        &self,
        repository: &Repository,
        path: impl Into<Path>,
        identity: &[&str],
    ) -> Result<Vec<Value>, Failure> {
        identified(self.below_repository(repository).list_anew(&below(repository, path)).await?, identity)
    }

    /// Returns all rows of a list below a repository. The list is part of a JSON object. The key
    /// `key` of the object contains the rows, and the key `total_count` contains their number. If
    /// this number is wrong, or if a row lacks one of the fields in `identity`, the list is
    /// unknown. A page that has not changed since the last read costs nothing from the budget.
    pub async fn rows_below(
        &self,
        repository: &Repository,
        path: impl Into<Path>,
        key: &str,
        identity: &[&str],
    ) -> Result<Vec<Value>, Failure> {
        let path = below(repository, path).query("per_page", ROWS_PER_PAGE);
        identified(self.below_repository(repository).list_in(&path, key).await?, identity)
    }

    /// Returns REST's answer at `path` below the organisation.
    pub async fn of_organisation(&self, path: impl Into<Path>) -> Result<Value, Failure> {
        let path = Path::at("orgs").value(self.organisation()).then(path);
        self.api().read(&path).await?.json().map_err(Failure::from)
    }

    /// Returns all rows of a list below the organisation. If a row lacks one of the fields in
    /// `identity`, the list is unknown.
    pub async fn list_of_organisation(
        &self,
        path: impl Into<Path>,
        identity: &[&str],
    ) -> Result<Vec<Value>, Failure> {
        let path = Path::at("orgs").value(self.organisation()).then(path);
        identified(self.api().list(&path).await?, identity)
    }

    /// Returns all rows of a list below the organisation, like `list_of_organisation`. The store
    /// does not keep the answer.
    pub async fn list_anew_of_organisation(
        &self,
        path: impl Into<Path>,
        identity: &[&str],
    ) -> Result<Vec<Value>, Failure> {
        let path = Path::at("orgs").value(self.organisation()).then(path);
        identified(self.api().list_anew(&path).await?, identity)
    }

    /// Returns all rows of a list below the organisation, like `rows_below`. The list is part of a
    /// JSON object.
    pub async fn rows_of_organisation(
        &self,
        path: impl Into<Path>,
        key: &str,
        identity: &[&str],
    ) -> Result<Vec<Value>, Failure> {
        let path = Path::at("orgs").value(self.organisation()).then(path);
        identified(self.api().list_in(&path, key).await?, identity)
    }
}

/// Returns the rows. Returns an error if a row lacks one of the fields in `identity`.
fn identified(rows: Vec<Value>, identity: &[&str]) -> Result<Vec<Value>, Failure> {
    each(&rows, "reading a list", |row| identity.iter().all(|key| !row[*key].is_null()).then_some(()))?;
    Ok(rows)
}

fn below(repository: &Repository, path: impl Into<Path>) -> Path {
    Path::at("repos").value(&repository.owner).value(&repository.name).then(path)
}
