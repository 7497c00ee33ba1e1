//! Changes one team of the organisation: its name, its description and its members.
//!
//! <https://docs.github.com/rest/teams>

use std::collections::HashMap;

use beadle_engine::{Class, Failure, Time};
use beadle_transport::{Method, Path, TransportError};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::fresh::{FRESH, TRIES, is_fresh};
use crate::members::{Team, names};
use crate::write::Writer;

/// A team that Beadle is going to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTeam<'a> {
    /// The name of the new team.
    pub name: &'a str,
    /// The description of the new team.
    pub description: &'a str,
    /// The id of the team above the new team.
    pub parent: Option<u64>,
    /// True if only the members of the new team can see the team. A team below another team cannot
    /// be secret.
    pub is_secret: bool,
}

impl NewTeam<'_> {
    /// Returns the body of the request that creates the team.
    fn body(&self) -> Value {
        let privacy = if self.is_secret && self.parent.is_none() { "secret" } else { "closed" };
        let mut body = json!({ "name": self.name, "description": self.description, "privacy": privacy });
        if let Some(parent) = self.parent {
            body["parent_team_id"] = json!(parent);
        }
        body
    }
}

/// Changes one team. Ids identify the team and its people. Beadle looks up their present names at
/// most five seconds before each write.
pub struct NamedTeam {
    api: Api,
    team: Team,
    /// The node ids of all people in the writes.
    accounts: Vec<String>,
    is_parent: bool,
    known: tokio::sync::Mutex<TeamNow>,
}

/// The part of a team that a write changes.
#[derive(Clone, Copy)]
enum Place {
    Team,
    /// The membership of the account with this id.
    Membership(u64),
    ExternalGroups,
}

/// The present names of a team and of people, and when Beadle asked for them.
struct TeamNow {
    asked: Time,
    slug: String,
    is_parent: bool,
    /// The login of each account, and whether GitHub shows that the account is in the organisation.
    accounts: HashMap<u64, (String, bool)>,
}

/// Looks up the present names of a team and of people. Returns an error if the team no longer has
/// the planned id.
async fn look_up(api: &Api, team: &Team, accounts: &[String]) -> Result<TeamNow, Failure> {
    let asked = api.clock().now();
    let ids: Vec<&str> =
        std::iter::once(team.node_id.as_str()).chain(accounts.iter().map(String::as_str)).collect();
    let found = names(api, &ids).await?;
    match found.team {
        Some((id, slug, is_parent)) if id == team.id => {
            Ok(TeamNow { asked, slug, is_parent, accounts: found.accounts })
        }
        _ => {
            let text = format!("team {} no longer exists; nothing was written", team.name);
            Err(Failure::new(Class::Conflict, text))
        }
    }
}

#[derive(Deserialize)]
struct Made {
    id: u64,
    node_id: String,
    slug: String,
    name: String,
    description: Option<String>,
    privacy: Option<String>,
    notification_setting: Option<String>,
    parent: Option<MadeBelow>,
}

#[derive(Deserialize)]
struct MadeBelow {
    slug: String,
}

impl Writer {
    /// `POST /orgs/{org}/teams`: creates a team. All members of the organisation can see a team
    /// that is not secret. GitHub does not allow a team to be secret if there is a team above or
    /// below it. Returns `None` if a team already has this name.
    pub async fn create_team(&self, new: &NewTeam<'_>) -> Result<Option<Team>, Failure> {
        let api = self.api();
        let path = Path::at("orgs").value(api.organisation()).then("teams");
        match api.write(Method::POST, &path, Some(new.body())).await {
            Ok(answer) => {
                let made: Made = answer.json().map_err(Failure::from)?;
                Ok(Some(Team {
                    id: made.id,
                    node_id: made.node_id,
                    slug: made.slug,
                    name: made.name,
                    description: made.description.unwrap_or_default(),
                    is_parent: false,
                    privacy: made.privacy,
                    notifications: made.notification_setting,
                    parent: made.parent.map(|parent| parent.slug),
                }))
            }
            Err(error) if error.status() == Some(422) && error.to_string().contains("unique") => Ok(None),
            Err(error) => Err(Failure::from(error).during(format!("creating the team {}", new.name))),
        }
    }

    /// Prepares the writes to a team and to people. Returns an error if the team no longer has the
    /// planned id.
    pub async fn team(&self, team: &Team, accounts: &[String]) -> Result<NamedTeam, Failure> {
        let known = look_up(self.api(), team, accounts).await?;
        Ok(NamedTeam {
            api: self.api().clone(),
            team: team.clone(),
            accounts: accounts.to_vec(),
            is_parent: known.is_parent,
            known: tokio::sync::Mutex::new(known),
        })
    }
}

impl NamedTeam {
    /// Returns the present names. Asks GitHub again if the last answer is too old.
    async fn known(&self) -> Result<tokio::sync::MutexGuard<'_, TeamNow>, Failure> {
        let mut known = self.known.lock().await;
        if !is_fresh(known.asked, self.api.clock().now()) {
            *known = look_up(&self.api, &self.team, &self.accounts).await?;
        }
        Ok(known)
    }

    /// Returns the path of a write, and the time until which the names in the path can be used.
    async fn path(&self, place: Place) -> Result<(Path, Time), Failure> {
        let known = self.known().await?;
        let team = Path::at("orgs").value(self.api.organisation()).then("teams").value(&known.slug);
        let path = match place {
            Place::Team => team,
            Place::ExternalGroups => team.then("external-groups"),
            Place::Membership(account) => {
                let Some((login, _)) = known.accounts.get(&account) else {
                    let text = format!("account {account} no longer exists; nothing was written");
                    return Err(Failure::new(Class::Conflict, text));
                };
                team.then("memberships").value(login)
            }
        };
        Ok((path, known.asked + FRESH))
    }

    /// Writes to the team, or to a path below it. If the write has to wait, another team or account
    /// can take one of the names in the meantime. Beadle then looks up the names again.
    async fn send(
        &self,
        method: Method,
        place: Place,
        body: Option<Value>,
    ) -> Result<Result<(), TransportError>, Failure> {
        let mut tries = 0;
        loop {
            let (path, by) = self.path(place).await?;
            match self.api.write_by(method.clone(), &path, body.clone(), by).await {
                Err(error) if error.is_late() && tries < TRIES => tries += 1,
                written => return Ok(written.map(drop)),
            }
        }
    }

    async fn write(&self, method: Method, body: Option<Value>) -> Result<(), Failure> {
        self.send(method, Place::Team, body).await?.map_err(Failure::from)
    }

    /// Returns whether there are teams below the team.
    pub fn is_parent(&self) -> bool {
        self.is_parent
    }

    /// Returns whether an account still exists.
    pub async fn has_account(&self, account: u64) -> Result<bool, Failure> {
        Ok(self.known().await?.accounts.contains_key(&account))
    }

    /// Returns whether an account is in the organisation now. If GraphQL does not show the
    /// membership, the function asks REST.
    ///
    /// <https://docs.github.com/rest/orgs/members#check-organization-membership-for-a-user>
    pub async fn is_member(&self, account: u64) -> Result<bool, Failure> {
        let found = self.known().await?.accounts.get(&account).cloned();
        let Some((login, is_member)) = found else { return Ok(false) };
        if is_member {
            return Ok(true);
        }
        let path = Path::at("orgs").value(self.api.organisation()).then("members").value(&login);
        match self.api.get(&path).await {
            Ok(answer) => Ok(answer.status == 204),
            Err(error) if matches!(error.status(), Some(302 | 404)) => Ok(false),
            Err(error) => Err(Failure::from(error)),
        }
    }

    /// `PATCH /orgs/{org}/teams/{team_slug}`: sets another name. A new name changes the slug, so
    /// this method consumes the writer.
    pub async fn rename(self, name: &str) -> Result<(), Failure> {
        self.write(Method::PATCH, Some(json!({ "name": name }))).await
    }

    /// `PATCH /orgs/{org}/teams/{team_slug}`: sets another description.
    pub async fn describe(&self, description: &str) -> Result<(), Failure> {
        self.write(Method::PATCH, Some(json!({ "description": description }))).await
    }

    /// `PATCH /orgs/{org}/teams/{team_slug}`: sets `privacy`, `notification_setting` and
    /// `parent_team_id`, if `settings` has them.
    pub async fn configure(&self, settings: &Value) -> Result<(), Failure> {
        self.write(Method::PATCH, Some(settings.clone())).await
    }

    /// `PATCH /orgs/{org}/teams/{team_slug}/external-groups`: connects the team to the identity
    /// provider's group with the id `group`. If `group` is `None`, the call ends the connection.
    pub async fn connect(&self, group: Option<u64>) -> Result<(), Failure> {
        let (method, body) = match group {
            Some(id) => (Method::PATCH, Some(json!({ "group_id": id }))),
            None => (Method::DELETE, None),
        };
        self.send(method, Place::ExternalGroups, body).await?.map_err(Failure::from)
    }

    /// `PUT /orgs/{org}/teams/{team_slug}/memberships/{username}`: adds an account to the team, or
    /// changes the account's role in the team. If the account is not in the organisation, GitHub
    /// invites the account. If GitHub refuses the write, the function returns GitHub's reason.
    pub async fn put_member(&self, account: u64, is_maintainer: bool) -> Result<Option<String>, Failure> {
        let role = if is_maintainer { "maintainer" } else { "member" };
        match self.send(Method::PUT, Place::Membership(account), Some(json!({ "role": role }))).await? {
            Err(error) if matches!(error.status(), Some(404 | 422)) => Ok(Some(error.to_string())),
            sent => sent.map(|()| None).map_err(Failure::from),
        }
    }

    /// `DELETE /orgs/{org}/teams/{team_slug}/memberships/{username}`: removes an account from the
    /// team, or withdraws the account's invitation. If GitHub refuses the write, the function
    /// returns GitHub's reason.
    pub async fn remove_member(&self, account: u64) -> Result<Option<String>, Failure> {
        match self.send(Method::DELETE, Place::Membership(account), None).await? {
            // If the account is no longer in the team, there is nothing to remove.
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) if error.status() == Some(422) => Ok(Some(error.to_string())),
            sent => sent.map(|()| None).map_err(Failure::from),
        }
    }

    /// `DELETE /orgs/{org}/teams/{team_slug}`: deletes the team and every team below it.
    pub async fn delete(self) -> Result<(), Failure> {
        self.write(Method::DELETE, None).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_team_is_secret_from_the_start() {
        for (parent, is_secret, privacy) in [
            (None, false, "closed"),
            (None, true, "secret"),
            (Some(7), false, "closed"),
            (Some(7), true, "closed"),
        ] {
            let new = NewTeam { name: "Ops", description: "", parent, is_secret };
            assert_eq!(new.body()["privacy"], privacy, "{parent:?} {is_secret}");
        }
    }
}
