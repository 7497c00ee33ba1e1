//! Writes the teams of an organisation.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::{Class, Failure, Lane};
use beadle_github::{Member, NamedTeam, NewTeam, Team, Writer};
use serde_json::{Map, Value, json};

use super::{SURE, TeamReader, described, id_of, lock, organisation, target};
use crate::mapping::Role;
use crate::membership::GROUP;
use crate::sources::Person;
use crate::targets::{
    EXTERNAL_GROUP, NewGroup, Refused, StopNote, TargetAccount, TargetGroup, TargetReader as _, TargetWriter,
};

/// Writes the teams of an organisation.
pub struct TeamWriter {
    github: Writer,
    reader: Arc<TeamReader>,
}

impl TeamWriter {
    /// Creates a writer for the organisation's teams.
    pub fn new(github: Writer, reader: Arc<TeamReader>) -> Self {
        Self { github, reader }
    }

    async fn team(&self, id: &str) -> Result<Team, Failure> {
        let team = self.reader.team(id_of(id)?).await?;
        team.ok_or_else(|| {
            Failure::new(Class::Conflict, "the team was deleted after the read; Beadle reads it again")
        })
    }

    fn accounts(&self, ids: &[String]) -> Result<Vec<Member>, Failure> {
        let seen = lock(&self.reader.seen);
        let member = |id: &String| {
            let unseen = || {
                Failure::new(
                    Class::Conflict,
                    format!("the account {id} is unknown; Beadle reads the team again"),
                )
            };
            seen.accounts.get(&id_of(id)?).cloned().ok_or_else(unseen)
        };
        ids.iter().map(member).collect()
    }

    fn remember(&self, team: Team) {
        if let Some((_, teams)) = &mut lock(&self.reader.seen).teams {
            teams.insert(team.id, team);
        }
    }

    /// Sets the role of each account in the team. The requests contain the accounts' present
    /// logins. If `role` is `None`, removes the accounts.
    async fn each(&self, group: &str, ids: &[String], role: Option<Role>) -> Result<Vec<Refused>, Failure> {
        if group == GROUP {
            let written = organisation::write(&self.github, self.accounts(ids)?, role).await;
            // The write changes who can be a member of a team, so Beadle forgets the remembered
            // members of the organisation.
            lock(&self.reader.seen).people = None;
            return written;
        }
        let team = self.team(group).await?;
        let members = self.accounts(ids)?;
        let nodes: Vec<String> = members.iter().map(|member| member.node_id.clone()).collect();
        let named = self.github.team(&team, &nodes).await?;
        let (mut refused, mut left) = (Vec::new(), Vec::new());
        for member in members {
            let exists = named.has_account(member.id).await?;
            let why = match role {
                Some(_) if !exists => Some("the account is gone".to_owned()),
                Some(role) if self.may_join(&named, team.id, member.id).await? => {
                    named.put_member(member.id, role == Role::Maintainer).await?
                }
                Some(_) => {
                    left.push(member.login.clone());
                    None
                }
                None if exists => named.remove_member(member.id).await?,
                None => None,
            };
            let account = member.login.clone();
            refused.extend(why.map(|why| Refused { account, why }));
        }
        if left.is_empty() {
            return Ok(refused);
        }
        lock(&self.reader.seen).people = None;
        let text = format!(
            "{} left the organisation, and GitHub would send an invitation; Beadle reads the organisation again",
            left.join(", ")
        );
        Err(Failure::new(Class::Conflict, text))
    }

    /// Returns whether Beadle can add an account to the team without an invitation to the
    /// organisation. This is possible if the account is a member of the organisation, or if
    /// somebody has already invited the account to the team.
    async fn may_join(&self, named: &NamedTeam, team: u64, account: u64) -> Result<bool, Failure> {
        let is_invited = lock(&self.reader.seen).invited.get(&team).is_some_and(|all| all.contains(&account));
        Ok(is_invited || named.is_member(account).await?)
    }
}

#[async_trait]
impl TargetWriter for TeamWriter {
    fn in_lane(&self, lane: Lane) -> Arc<dyn TargetWriter> {
        Arc::new(Self { github: self.github.in_lane(lane), reader: Arc::new(self.reader.with_lane(lane)) })
    }

    async fn create(&self, new: &NewGroup<'_>) -> Result<TargetGroup, Failure> {
        let parent = match new.parent {
            None => None,
            Some(slug) => {
                let teams = self.reader.teams(SURE).await?;
                let parent =
                    teams.values().find(|team| team.slug.eq_ignore_ascii_case(slug)).map(|team| team.id);
                Some(parent.ok_or_else(|| {
                    let text = format!("parent: the organisation has no team with the slug `{slug}`");
                    Failure::new(Class::Rejected, text)
                })?)
            }
        };
        let description = new.description.unwrap_or("Its members are those of the directory's group");
        let description = described(description, new.external_id);
        let team = NewTeam { name: new.name, description: &description, parent, is_secret: new.is_secret };
        if let Some(made) = self.github.create_team(&team).await? {
            let made_target = target(&made);
            self.remember(made);
            return Ok(made_target);
        }
        self.reader.reload_teams().await?;
        self.reader.group_owned_as(new.external_id).await?.ok_or_else(|| {
            let text = format!(
                "the organisation has a team {} that Beadle did not create; rename one of them, or set adopt = true",
                new.name
            );
            Failure::new(Class::Rejected, text)
        })
    }

    async fn rename(
        &self,
        group: &str,
        name: &str,
        _: &BTreeMap<String, String>,
    ) -> Result<Option<String>, Failure> {
        let team = self.team(group).await?;
        self.github.team(&team, &[]).await?.rename(name).await?;
        // A new name gives the team a new slug, so Beadle reads the teams again.
        self.reader.reload_teams().await?;
        Ok(None)
    }

    async fn describe(&self, group: &str, external_id: &str, description: &str) -> Result<(), Failure> {
        let team = self.team(group).await?;
        let description = described(description, external_id);
        self.github.team(&team, &[]).await?.describe(&description).await?;
        self.remember(Team { description, ..team });
        Ok(())
    }

    async fn configure(&self, group: &str, settings: &[(&'static str, Value)]) -> Result<(), Failure> {
        let team = self.team(group).await?;
        let (mut body, mut external) = (Map::new(), None);
        for (name, value) in settings {
            match (*name, value.as_str()) {
                ("parent", Some(slug)) => {
                    let teams = self.reader.teams(SURE).await?;
                    let parent = teams.values().find(|team| team.slug.eq_ignore_ascii_case(slug));
                    let parent = parent.map(|parent| parent.id).ok_or_else(|| {
                        let text = format!("parent: the organisation has no team with the slug `{slug}` yet");
                        Failure::new(Class::Conflict, text)
                    })?;
                    body.insert("parent_team_id".into(), json!(parent));
                }
                ("parent", None) => {
                    body.insert("parent_team_id".into(), Value::Null);
                }
                (EXTERNAL_GROUP, None) => external = Some(None),
                (EXTERNAL_GROUP, Some(name)) => {
                    external = Some(Some(self.reader.external_group_named(name).await?));
                }
                (name, _) => {
                    body.insert(name.to_owned(), value.clone());
                }
            }
        }
        let named = self.github.team(&team, &[]).await?;
        if !body.is_empty() {
            named.configure(&Value::Object(body)).await?;
        }
        if let Some(external) = external {
            named.connect(external).await?;
            lock(&self.reader.seen).kept.remove(&team.id);
        }
        // A new parent also changes the teams above and below this team, so Beadle reads the teams
        // again.
        self.reader.reload_teams().await.map(drop)
    }

    async fn add(
        &self,
        group: &str,
        accounts: &[String],
        role: Role,
        _: &dyn StopNote,
    ) -> Result<Vec<Refused>, Failure> {
        self.each(group, accounts, Some(role)).await
    }

    async fn remove(
        &self,
        group: &str,
        accounts: &[String],
        _: &dyn StopNote,
    ) -> Result<Vec<Refused>, Failure> {
        self.each(group, accounts, None).await
    }

    async fn delete(&self, group: &str) -> Result<(), Failure> {
        let team = self.team(group).await?;
        let named = self.github.team(&team, &[]).await?;
        if named.is_parent() {
            let text = format!(
                "the team {} has child teams, and GitHub would delete them too; move them first",
                team.name
            );
            return Err(Failure::new(Class::Rejected, text));
        }
        named.delete().await?;
        self.reader.reload_teams().await.map(drop)
    }

    async fn provision(&self, person: &Person) -> Result<TargetAccount, Failure> {
        Err(not_changed_here(&person.login))
    }

    async fn update(&self, account: &str, _: &[(&'static str, Value)]) -> Result<(), Failure> {
        Err(not_changed_here(account))
    }
}

fn not_changed_here(who: &str) -> Failure {
    Failure::new(Class::Rejected, format!("Beadle creates and changes no GitHub accounts: {who}"))
}
