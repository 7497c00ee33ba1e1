//! The installations of an App. Only the App itself can list its installations.
//!
//! <https://docs.github.com/rest/apps/apps#list-installations-for-the-authenticated-app>

use beadle_engine::{Class, Failure};
use beadle_transport::Path;
use serde::Deserialize;
use serde_json::Value;

use crate::connection::Distinct;
use crate::read::Reader;

/// GitHub marks the account of an organisation with this word. Installations with other account
/// types belong to people and enterprises.
const ORGANISATION: &str = "Organization";

/// An installation of the App in an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The id of the installation.
    pub id: u64,
    /// The id of the organisation.
    pub organisation: u64,
    /// The login of the organisation.
    pub login: String,
    /// True if an owner suspended the installation.
    pub is_suspended: bool,
}

/// The installations of an App in organisations, from one read of GitHub's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallationList {
    /// The installations.
    pub installations: Vec<Installation>,
    /// The number of requests that the read needed. GitHub's list also has the installations of
    /// people.
    pub requests: u32,
}

#[derive(Deserialize)]
struct Row {
    id: u64,
    target_type: String,
    account: Option<Account>,
    suspended_at: Option<String>,
}

#[derive(Deserialize)]
struct Account {
    id: Option<u64>,
    login: Option<String>,
}

fn unknown(why: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Retry, format!("reading the installations of the App: {why}"))
}

/// Reads a row of the list. Returns `None` for the installation of a person or an enterprise.
fn read(row: Value) -> Result<Option<Installation>, Failure> {
    let row: Row = serde_json::from_value(row).map_err(unknown)?;
    if row.target_type != ORGANISATION {
        return Ok(None);
    }
    let account = row.account.and_then(|account| Some((account.id?, account.login?)));
    let (organisation, login) =
        account.ok_or_else(|| unknown(format_args!("the installation {} has no account", row.id)))?;
    Ok(Some(Installation { id: row.id, organisation, login, is_suspended: row.suspended_at.is_some() }))
}

impl Reader {
    /// Returns the installations of the App in organisations, page by page. Returns an error if the
    /// list is incomplete, or if the credential is a token.
    pub async fn installations(&self) -> Result<InstallationList, Failure> {
        let mut next = Some(Path::at("app/installations?per_page=100"));
        let (mut installations, mut distinct, mut requests) = (Vec::new(), Distinct::default(), 0);
        while let Some(path) = next {
            requests += 1;
            let answer = self.api().get_as_app(path).await?;
            let rows: Vec<Value> = answer.json().map_err(Failure::from)?;
            distinct.page(&rows, answer.next()).map_err(unknown)?;
            for row in rows {
                installations.extend(read(row)?);
            }
            next = answer.next().map(Path::given);
        }
        Ok(InstallationList { installations, requests })
    }

    /// Returns whether the App has this installation. Returns an error if the credential is a
    /// token.
    pub async fn has_installation(&self, id: u64) -> Result<bool, Failure> {
        match self.api().get_as_app(Path::at("app/installations").id(id)).await {
            Ok(_) => Ok(true),
            Err(error) if error.status() == Some(404) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_an_organisation_with_its_identity_or_unknown() {
        let row = |kind: &str, account: Value, suspended: Value| {
            read(json!({ "id": 9, "target_type": kind, "account": account, "suspended_at": suspended }))
        };
        let acme = json!({ "id": 3, "login": "acme" });
        let found = row("Organization", acme.clone(), Value::Null).unwrap().unwrap();
        let expected = Installation { id: 9, organisation: 3, login: "acme".into(), is_suspended: false };
        assert_eq!(found, expected);
        let since = json!("2026-01-01T00:00:00Z");
        assert!(row("Organization", acme.clone(), since).unwrap().unwrap().is_suspended);
        assert_eq!(row("User", acme, Value::Null).unwrap(), None);
        assert_eq!(row("Enterprise", json!({ "id": 4, "slug": "big" }), Value::Null).unwrap(), None);
        for account in [Value::Null, json!({ "id": 3 }), json!({ "login": "acme" })] {
            assert!(row("Organization", account.clone(), Value::Null).is_err(), "{account}");
        }
        assert!(read(json!({ "target_type": "Organization" })).is_err());
    }
}
