//! Reads the members of an organisation and of its teams. Also reads the members' names at the
//! identity provider.

use std::collections::HashMap;

use beadle_engine::{Class, Failure};
use beadle_transport::Path;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Reader;
use crate::api::Api;
use crate::connection::{Tally, each, entries};
use crate::documents::people::{
    self, IdentityNode, InvitationNode, MemberEdge, MemberNode, NameNode, TeamNode,
};
use crate::documents::{Nodes, Numbered};
use crate::graphql::run;
use crate::shape::shape;

/// A team of the organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    /// The immutable id of the team.
    pub id: u64,
    /// The node id of the team.
    pub node_id: String,
    /// The team's name in the paths of the API. The slug changes when somebody renames the team.
    pub slug: String,
    /// The name of the team, as people see it.
    pub name: String,
    /// The description. The text is empty if the team has no description.
    pub description: String,
    /// True if there are teams below this team.
    pub is_parent: bool,
    /// Who can see the team: `secret` or `closed`, as in the REST API. `None` if the privacy is
    /// unknown.
    pub privacy: Option<String>,
    /// Whether a mention of the team notifies its members. The values are those of the REST API.
    /// `None` if the setting is unknown.
    pub notifications: Option<String>,
    /// The slug of the team above this team.
    pub parent: Option<String>,
}

/// A member of an organisation, or an invited account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The immutable id of the account.
    pub id: u64,
    /// The node id of the account.
    pub node_id: String,
    /// The login. An account can change its login, and another account can then get the old login.
    pub login: String,
    /// True if the account owns the organisation. If an owner joins a team, GitHub makes the owner
    /// a maintainer of this team.
    pub is_owner: bool,
    /// The mail addresses of the account in the verified domains of the organisation.
    pub emails: Vec<String>,
}

/// An account that is linked to a person of the organisation's identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The immutable id of the account.
    pub account: u64,
    /// The names that the identity provider sent for the person, by SAML and by SCIM.
    pub names: Vec<String>,
}

/// A team, its direct members and its invited accounts. The list does not contain the members of
/// the teams below this team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamMembers {
    /// The team itself.
    pub team: Team,
    /// The members. The flag of a member is `true` if the member is a maintainer of the team.
    pub members: Vec<(Member, bool)>,
    /// The accounts that are invited to the team.
    pub invited: Vec<Member>,
}

fn team_of(node: TeamNode) -> Team {
    let privacy = node.privacy.map(|privacy| match privacy.as_str() {
        // GraphQL and REST have different values for this setting.
        "VISIBLE" => "closed".to_owned(),
        other => other.to_lowercase(),
    });
    Team {
        id: node.database_id,
        node_id: node.id,
        slug: node.slug,
        name: node.name,
        description: node.description.unwrap_or_default(),
        is_parent: node.child_teams.total_count > 0,
        privacy,
        notifications: node.notification_setting.map(|setting| setting.to_lowercase()),
        parent: node.parent_team.map(|parent| parent.slug),
    }
}

fn member_of(node: MemberNode, is_owner: bool) -> Member {
    let MemberNode { database_id, id, login, organization_verified_domain_emails: emails } = node;
    Member { id: database_id, node_id: id, login, is_owner, emails }
}

fn identity_of(node: IdentityNode) -> Identity {
    let (name_id, username) = node.saml_identity.map_or((None, None), |saml| (saml.name_id, saml.username));
    let scim = node.scim_identity.and_then(|scim| scim.username);
    let mut names: Vec<String> = [name_id, username, scim].into_iter().flatten().collect();
    names.dedup();
    Identity { account: node.user.database_id, names }
}

/// Returns every entry of a list. The list must be complete. `first` is the answer with the first
/// page, if the caller has already read this page. Returns `None` if the list does not exist.
async fn all(
    api: &Api,
    doing: &str,
    document: &str,
    mut variables: Value,
    list: &str,
    mut first: Option<Value>,
) -> Result<Option<Vec<Value>>, Failure> {
    let (mut rows, mut tally) = (Vec::new(), Tally::default());
    loop {
        let data = match first.take() {
            Some(read) => read,
            None => run(api, doing, document, variables.clone(), false).await?.whole(doing)?,
        };
        let page = data.pointer(list).unwrap_or(&Value::Null);
        if page.is_null() {
            return Ok(None);
        }
        let next = tally.page(page).map_err(|failure| failure.during(doing))?;
        rows.extend_from_slice(entries(page));
        match next {
            Some(cursor) => variables["after"] = cursor,
            None if tally.moved => {
                let text = format!("{doing}: the list changed while it was read");
                return Err(Failure::new(Class::Retry, text));
            }
            None => {
                tally.complete(doing)?;
                return Ok(Some(rows));
            }
        }
    }
}

/// Returns the rows of a list of the organisation. Returns an error if GitHub does not show the
/// organisation, because the list is then unknown.
fn shown(rows: Option<Vec<Value>>, doing: &str) -> Result<Vec<Value>, Failure> {
    rows.ok_or_else(|| Failure::new(Class::Retry, format!("{doing}: GitHub does not show the organisation")))
}

impl Reader {
    /// Returns all teams of the organisation.
    pub async fn all_teams(&self) -> Result<Vec<Team>, Failure> {
        const DOING: &str = "reading the organisation's teams";
        let variables = json!({ "org": self.organisation(), "after": null });
        let rows = all(self.api(), DOING, people::TEAM_NAMES, variables, "/organization/teams", None).await?;
        each(&shown(rows, DOING)?, DOING, |row| shape(row).map(team_of))
    }

    /// Returns the ids of an account's teams.
    pub async fn teams_of(&self, login: &str) -> Result<Vec<u64>, Failure> {
        let doing = format!("reading the teams of {login}");
        let variables = json!({ "org": self.organisation(), "login": login, "after": null });
        let rows = all(self.api(), &doing, people::TEAMS_OF, variables, "/organization/teams", None).await?;
        each(&shown(rows, &doing)?, &doing, |row| shape(row).map(|team: Numbered| team.database_id))
    }

    /// Returns all members of the organisation, including the owners.
    pub async fn members(&self) -> Result<Vec<Member>, Failure> {
        const DOING: &str = "reading the organisation's members";
        let variables = json!({ "org": self.organisation(), "after": null });
        let list = "/organization/membersWithRole";
        let rows = all(self.api(), DOING, people::MEMBERS, variables, list, None).await?;
        let member = |MemberEdge { role, node }| member_of(node, role == "ADMIN");
        each(&shown(rows, DOING)?, DOING, |row| shape(row).map(member))
    }

    /// Returns the accounts that are linked to people of the organisation's identity provider.
    /// Returns `None` if GitHub shows no provider. There are three reasons: there is no provider,
    /// the provider belongs to the enterprise, or the App cannot see the provider.
    ///
    /// <https://docs.github.com/graphql/reference/objects#organizationidentityprovider>
    pub async fn identities(&self) -> Result<Option<Vec<Identity>>, Failure> {
        const DOING: &str = "reading the organisation's external identities";
        let variables = json!({ "org": self.organisation(), "after": null });
        let list = "/organization/samlIdentityProvider/externalIdentities";
        let rows = all(self.api(), DOING, people::IDENTITIES, variables, list, None).await?;
        // Beadle skips the row of a person without an account, because the row does not fit the
        // type.
        Ok(rows.map(|rows| rows.iter().filter_map(shape).map(identity_of).collect()))
    }

    /// Returns all members of a team, or `None` if the team does not exist.
    pub async fn team_members(&self, slug: &str) -> Result<Option<TeamMembers>, Failure> {
        let doing = format!("reading the members of team {slug}");
        let variables = json!({ "org": self.organisation(), "slug": slug });
        let data = run(self.api(), &doing, people::TEAM, variables.clone(), false).await?.whole(&doing)?;
        let Some(node) = data.pointer("/organization/team").filter(|team| !team.is_null()) else {
            return Ok(None);
        };
        let incomplete = || Failure::new(Class::Retry, format!("{doing}: the answer is incomplete"));
        let team = shape(node).map(team_of).ok_or_else(incomplete)?;
        let further =
            |document, list| all(self.api(), &doing, document, variables.clone(), list, Some(data.clone()));
        let members =
            further(people::TEAM_MEMBERS, "/organization/team/members").await?.ok_or_else(incomplete)?;
        let member = |MemberEdge { role, node }| (member_of(node, false), role == "MAINTAINER");
        let members = each(&members, &doing, |row| shape(row).map(member))?;
        let invited =
            further(people::TEAM_INVITATIONS, "/organization/team/invitations").await?.unwrap_or_default();
        // Beadle skips an invitation by mail, because the account of the person is not known yet.
        let invited = invited.iter().filter_map(shape::<InvitationNode>);
        let invited = invited.map(|InvitationNode { invitee }| member_of(invitee, false)).collect();
        Ok(Some(TeamMembers { team, members, invited }))
    }

    /// Returns the system outside Beadle that sets the members of a team, or `None` if GitHub shows
    /// no such system. This system is the team synchronisation of the organisation or of the
    /// enterprise. An App has no permission to read the team synchronisation of the organisation.
    /// If this synchronisation is active, GitHub refuses the App's writes.
    ///
    /// <https://docs.github.com/enterprise-cloud@latest/rest/teams/external-groups> and
    /// <https://docs.github.com/enterprise-cloud@latest/rest/teams/team-sync>
    pub async fn kept_by(&self, slug: &str) -> Result<Option<String>, Failure> {
        #[derive(Deserialize)]
        struct Groups {
            #[serde(default)]
            groups: Vec<Group>,
        }
        #[derive(Deserialize)]
        struct Group {
            group_name: String,
        }
        let team = Path::at("orgs").value(self.organisation()).then("teams").value(slug);
        for list in ["external-groups", "team-sync/group-mappings"] {
            match self.api().get(&team.clone().then(list)).await {
                Ok(answer) => {
                    let found: Groups = answer.json().map_err(Failure::from)?;
                    if let Some(group) = found.groups.first() {
                        return Ok(Some(group.group_name.clone()));
                    }
                }
                // Some GitHub plans do not have this list, and some credentials lack the permission
                // to read it.
                Err(error) if matches!(error.status(), Some(400 | 403 | 404 | 422)) => {}
                Err(error) => return Err(Failure::from(error)),
            }
        }
        Ok(None)
    }
}

/// The present names of a team and of people.
pub(crate) struct Names {
    /// The id and the slug of the team, and whether there are teams below it. `None` if the team no
    /// longer exists.
    pub(crate) team: Option<(u64, String, bool)>,
    /// The accounts by their ids. Each entry has the login, and whether GitHub shows that the
    /// account is in the organisation.
    pub(crate) accounts: HashMap<u64, (String, bool)>,
}

/// Looks up the present names of the people with these node ids, and of the team if `ids` contains
/// the id of a team.
pub(crate) async fn names(api: &Api, ids: &[&str]) -> Result<Names, Failure> {
    const DOING: &str = "looking up the names of a team and its members";
    let variables = json!({ "org": api.organisation(), "ids": ids });
    let data = run(api, DOING, people::NAMES, variables, false).await?;
    // If an object no longer exists, GitHub returns null and an error. An error about a missing
    // object is not a failure.
    if let Some(error) = data.errors.iter().find(|error| !error.is_not_found()) {
        return Err(error.failure(DOING));
    }
    let mut found = Names { team: None, accounts: HashMap::new() };
    let nodes = shape(&data.data).map_or_else(Vec::new, |Nodes { nodes }| nodes);
    for node in nodes.iter().filter_map(shape::<NameNode>) {
        match node {
            NameNode::Team(team) => {
                let is_parent = team.child_teams.is_none_or(|below| below.total_count != 0);
                found.team = Some((team.database_id, team.slug, is_parent));
            }
            NameNode::User(user) => {
                found.accounts.insert(user.database_id, (user.login, user.organization.is_some()));
            }
        }
    }
    Ok(found)
}
