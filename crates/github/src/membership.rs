//! Reads the invitations to an organisation, and changes the members and owners of the
//! organisation.
//!
//! <https://docs.github.com/rest/orgs/members>

use std::collections::HashMap;

use beadle_engine::{Class, Failure, Time};
use beadle_transport::{Method, Path, TransportError};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Reader;
use crate::api::Api;
use crate::fresh::{FRESH, TRIES, is_fresh};
use crate::members::{Member, names};
use crate::write::Writer;

/// An open invitation to an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invited {
    /// The login of the invited account.
    pub login: String,
    /// True if the account becomes an owner when it accepts the invitation.
    pub is_owner: bool,
}

#[derive(Deserialize)]
struct InvitationRow {
    login: Option<String>,
    role: String,
}

#[derive(Deserialize)]
struct AccountRow {
    id: u64,
    node_id: String,
    login: String,
    #[serde(rename = "type")]
    kind: String,
}

/// Returns the invitation in a row. Skips an invitation by mail, because it has no account. Skips
/// the invitation of a billing manager, because a billing manager is not a member.
fn invited(row: InvitationRow) -> Option<Invited> {
    let is_owner = match row.role.as_str() {
        "admin" => true,
        "direct_member" => false,
        _ => return None,
    };
    Some(Invited { login: row.login?, is_owner })
}

impl Reader {
    /// `GET /orgs/{org}/invitations`: returns the open invitations of accounts.
    pub async fn invitations(&self) -> Result<Vec<Invited>, Failure> {
        let path = Path::at("orgs").value(self.organisation()).then("invitations?per_page=100");
        let rows: Result<Vec<InvitationRow>, TransportError> = self.api().list(&path).await;
        let rows = rows.map_err(|error| Failure::from(error).during("reading the open invitations"))?;
        Ok(rows.into_iter().filter_map(invited).collect())
    }

    /// `GET /users/{username}`: returns the account of a person. Returns `None` if GitHub has no
    /// person with this login.
    pub async fn person(&self, login: &str) -> Result<Option<Member>, Failure> {
        let path = Path::at("users").value(login);
        let row: AccountRow = match self.api().get(&path).await {
            Ok(answer) => answer.json().map_err(Failure::from)?,
            Err(error) if error.status() == Some(404) => return Ok(None),
            Err(error) => return Err(Failure::from(error).during(format!("looking for the account {login}"))),
        };
        let AccountRow { id, node_id, login, kind } = row;
        let member = Member { id, node_id, login, is_owner: false, emails: Vec::new() };
        Ok((kind == "User").then_some(member))
    }
}

/// Changes the memberships of people in the organisation. Ids identify the people. Beadle looks up
/// their present logins at most five seconds before each write.
pub struct OrganisationMembers {
    api: Api,
    /// The node ids of all people in the writes.
    accounts: Vec<String>,
    known: tokio::sync::Mutex<Logins>,
}

/// The present logins of people, and when Beadle asked for them.
struct Logins {
    asked: Time,
    by_account: HashMap<u64, String>,
}

async fn look_up(api: &Api, accounts: &[String]) -> Result<Logins, Failure> {
    let asked = api.clock().now();
    let ids: Vec<&str> = accounts.iter().map(String::as_str).collect();
    let found = names(api, &ids).await?.accounts.into_iter();
    Ok(Logins { asked, by_account: found.map(|(account, (login, _))| (account, login)).collect() })
}

impl Writer {
    /// Prepares the writes to the memberships of people with these node ids.
    pub async fn organisation_members(&self, accounts: &[String]) -> Result<OrganisationMembers, Failure> {
        let known = look_up(self.api(), accounts).await?;
        Ok(OrganisationMembers {
            api: self.api().clone(),
            accounts: accounts.to_vec(),
            known: tokio::sync::Mutex::new(known),
        })
    }
}

impl OrganisationMembers {
    /// Returns the path of a membership, and the time until which the login in the path can be
    /// used. Returns `None` if the account no longer exists.
    async fn path(&self, account: u64) -> Result<Option<(Path, Time)>, Failure> {
        let mut known = self.known.lock().await;
        if !is_fresh(known.asked, self.api.clock().now()) {
            *known = look_up(&self.api, &self.accounts).await?;
        }
        let by = known.asked + FRESH;
        let memberships = Path::at("orgs").value(self.api.organisation()).then("memberships");
        Ok(known.by_account.get(&account).map(|login| (memberships.value(login), by)))
    }

    /// Writes to the membership of an account. If GitHub refuses the write, returns GitHub's
    /// reason. If the write has to wait, another account can take a login in the meantime. Beadle
    /// then looks up the logins again.
    async fn send(
        &self,
        method: Method,
        account: u64,
        body: Option<Value>,
    ) -> Result<Option<String>, Failure> {
        let mut tries = 0;
        loop {
            let Some((path, by)) = self.path(account).await? else {
                return Ok((method != Method::DELETE).then(|| "the account is gone".to_owned()));
            };
            match self.api.write_by(method.clone(), &path, body.clone(), by).await {
                Ok(_) => return Ok(None),
                Err(error) if error.is_late() && tries < TRIES => tries += 1,
                // If the account is no longer in the organisation, there is nothing to remove.
                Err(error) if error.status() == Some(404) && method == Method::DELETE => return Ok(None),
                Err(error) => {
                    let is_refusal = matches!(error.status(), Some(403 | 404 | 422));
                    let failure = Failure::from(error);
                    return match failure.class {
                        Class::Rejected if is_refusal => Ok(Some(failure.text)),
                        _ => Err(failure),
                    };
                }
            }
        }
    }

    /// `PUT /orgs/{org}/memberships/{username}`: invites an account, or changes the role of a
    /// member or of an open invitation. If GitHub refuses the write, the function returns GitHub's
    /// reason.
    pub async fn put(&self, account: u64, is_owner: bool) -> Result<Option<String>, Failure> {
        let role = if is_owner { "admin" } else { "member" };
        self.send(Method::PUT, account, Some(json!({ "role": role }))).await
    }

    /// `DELETE /orgs/{org}/memberships/{username}`: removes an account from the organisation, or
    /// withdraws the account's invitation. GitHub also removes the account from all teams, and
    /// deletes the account's forks of private repositories. If GitHub refuses the write, the
    /// function returns GitHub's reason.
    pub async fn remove(&self, account: u64) -> Result<Option<String>, Failure> {
        self.send(Method::DELETE, account, None).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_invitations_of_accounts_as_members_or_owners_count() {
        let row = |login: Option<&str>, role: &str| {
            invited(InvitationRow { login: login.map(str::to_owned), role: role.to_owned() })
        };
        let owner = Invited { login: "mona".into(), is_owner: true };
        assert_eq!(row(Some("mona"), "admin"), Some(owner.clone()));
        assert_eq!(row(Some("mona"), "direct_member"), Some(Invited { is_owner: false, ..owner }));
        assert_eq!(row(Some("mona"), "billing_manager"), None);
        assert_eq!(row(None, "direct_member"), None, "an invitation by mail");
    }
}
