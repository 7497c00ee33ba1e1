//! The writes to one team.
//!
//! <https://docs.github.com/rest/teams>

use std::collections::HashMap;
use std::time::Duration;

use beadle_engine::{Class, Failure, Time};
use beadle_transport::{Method, Path, TransportError};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::members::{Team, names};
use crate::write::Writer;

/// A team that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTeam<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its description.
    pub description: &'a str,
    /// The id of the team above it.
    pub parent: Option<u64>,
}

/// How long names count as the team's and the people's. A write that had to wait for longer is not sent.
const FRESH: Duration = Duration::from_secs(60);

/// A team and people, by the names that they had when this was made.
pub struct NamedTeam {
    api: Api,
    /// When the names were looked up.
    asked: Time,
    slug: String,
    is_parent: bool,
    accounts: HashMap<u64, (String, bool)>,
}

#[derive(Deserialize)]
struct Made {
    id: u64,
    node_id: String,
    slug: String,
    name: String,
    description: Option<String>,
}

impl Writer {
    /// `POST /orgs/{org}/teams`: visible to the organisation, as teams below and above others have to be. `None`: there is a
    /// team of this name.
    pub async fn create_team(&self, new: &NewTeam<'_>) -> Result<Option<Team>, Failure> {
        let api = self.api();
        let mut body = json!({ "name": new.name, "description": new.description, "privacy": "closed" });
        if let Some(parent) = new.parent {
            body["parent_team_id"] = json!(parent);
        }
        let path = Path::at("orgs").value(api.organisation()).then("teams");
        match api.write(Method::POST, &path, Some(body)).await {
            Ok(answer) => {
                let Made { id, node_id, slug, name, description } = answer.json().map_err(Failure::from)?;
                let description = description.unwrap_or_default();
                Ok(Some(Team { id, node_id, slug, name, description, is_parent: false }))
            }
            Err(error) if error.status() == Some(422) && error.to_string().contains("unique") => Ok(None),
            Err(error) => Err(Failure::from(error).during(format!("making the team {}", new.name))),
        }
    }

    /// Looks up what a team and people are called now. The team must be the one that was planned for.
    pub async fn team(&self, team: &Team, accounts: &[String]) -> Result<NamedTeam, Failure> {
        let asked = self.api().clock().now();
        let found = names(self.api(), &team.node_id, accounts).await?;
        match found.team {
            Some((id, slug, is_parent)) if id == team.id => {
                Ok(NamedTeam { api: self.api().clone(), asked, slug, is_parent, accounts: found.accounts })
            }
            _ => {
                let text = format!("team {} is gone since it was read; nothing was written", team.name);
                Err(Failure::new(Class::Conflict, text))
            }
        }
    }
}

impl NamedTeam {
    async fn send(
        &self,
        method: Method,
        below: Option<Path>,
        body: Option<Value>,
    ) -> Result<(), TransportError> {
        let team = Path::at("orgs").value(self.api.organisation()).then("teams").value(&self.slug);
        let path = match below {
            Some(below) => team.then(below),
            None => team,
        };
        self.api.write_by(method, &path, body, self.asked + FRESH).await.map(drop)
    }

    async fn write(&self, method: Method, body: Option<Value>) -> Result<(), Failure> {
        self.send(method, None, body).await.map_err(Failure::from)
    }

    /// Whether other teams are below it.
    pub fn is_parent(&self) -> bool {
        self.is_parent
    }

    /// What an account is called; `None` where it is gone.
    pub fn login(&self, account: u64) -> Option<&str> {
        self.accounts.get(&account).map(|(login, _)| login.as_str())
    }

    /// Whether an account is in the organisation now. Where GraphQL does not show it, REST is asked.
    ///
    /// <https://docs.github.com/rest/orgs/members#check-organization-membership-for-a-user>
    pub async fn is_member(&self, account: u64) -> Result<bool, Failure> {
        let Some((login, is_member)) = self.accounts.get(&account) else { return Ok(false) };
        if *is_member {
            return Ok(true);
        }
        let path = Path::at("orgs").value(self.api.organisation()).then("members").value(login);
        match self.api.get(&path).await {
            Ok(answer) => Ok(answer.status == 204),
            Err(error) if matches!(error.status(), Some(302 | 404)) => Ok(false),
            Err(error) => Err(Failure::from(error)),
        }
    }

    /// `PATCH /orgs/{org}/teams/{team_slug}`: another name. It changes the slug, and nothing else can be written by this one.
    pub async fn rename(self, name: &str) -> Result<(), Failure> {
        self.write(Method::PATCH, Some(json!({ "name": name }))).await
    }

    /// `PATCH /orgs/{org}/teams/{team_slug}`: another description.
    pub async fn describe(&self, description: &str) -> Result<(), Failure> {
        self.write(Method::PATCH, Some(json!({ "description": description }))).await
    }

    /// `PUT /orgs/{org}/teams/{team_slug}/memberships/{username}`: takes somebody in, or changes their role. Somebody who is
    /// not in the organisation would be invited to it.
    /// Gives why GitHub does not take them, if it does not.
    pub async fn put_member(&self, login: &str, is_maintainer: bool) -> Result<Option<String>, Failure> {
        let role = if is_maintainer { "maintainer" } else { "member" };
        let path = Path::at("memberships").value(login);
        match self.send(Method::PUT, Some(path), Some(json!({ "role": role }))).await {
            Err(error) if matches!(error.status(), Some(404 | 422)) => Ok(Some(error.to_string())),
            sent => sent.map(|()| None).map_err(Failure::from),
        }
    }

    /// `DELETE /orgs/{org}/teams/{team_slug}/memberships/{username}`: takes somebody out, or withdraws the invitation.
    /// Gives why GitHub does not, if it does not.
    pub async fn remove_member(&self, login: &str) -> Result<Option<String>, Failure> {
        match self.send(Method::DELETE, Some(Path::at("memberships").value(login)), None).await {
            // Who is not in it is out.
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) if error.status() == Some(422) => Ok(Some(error.to_string())),
            sent => sent.map(|()| None).map_err(Failure::from),
        }
    }

    /// `DELETE /orgs/{org}/teams/{team_slug}`: and every team below it.
    pub async fn delete(self) -> Result<(), Failure> {
        self.write(Method::DELETE, None).await
    }
}
