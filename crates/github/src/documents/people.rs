//! The GraphQL documents about teams, members and identities, and the types of their answers.

use serde::Deserialize;

use super::Numbered;
use crate::shape::{object, optional, texts};

/// Reads the teams of an organisation. The nodes are [`TeamNode`].
pub(crate) const TEAM_NAMES: &str = "query ($org: String!, $after: String) {
    organization(login: $org) {
        teams(first: 100, after: $after, orderBy: {field: NAME, direction: ASC}) {
            totalCount pageInfo { hasNextPage endCursor }
            nodes {
                databaseId id slug name description privacy notificationSetting parentTeam { slug }
                childTeams(first: 1) { totalCount }
            }
        }
    }
}";

/// Reads the teams of one account. The nodes are [`Numbered`].
pub(crate) const TEAMS_OF: &str = "query ($org: String!, $login: String!, $after: String) {
    organization(login: $org) {
        teams(first: 100, after: $after, userLogins: [$login]) {
            totalCount pageInfo { hasNextPage endCursor } nodes { databaseId }
        }
    }
}";

/// Reads one team ([`TeamNode`]), its direct members ([`MemberEdge`]) and the people who are
/// invited to it ([`InvitationNode`]). The document asks for direct members only. By default,
/// GitHub also counts the members of the teams below the team.
pub(crate) const TEAM: &str = "query ($org: String!, $slug: String!) {
    organization(login: $org) {
        team(slug: $slug) {
            databaseId id slug name description privacy notificationSetting parentTeam { slug }
            childTeams(first: 1) { totalCount }
            members(first: 100, membership: IMMEDIATE) {
                totalCount pageInfo { hasNextPage endCursor } edges { role node { databaseId id login } }
            }
            invitations(first: 100) {
                totalCount pageInfo { hasNextPage endCursor } nodes { invitee { databaseId id login } }
            }
        }
    }
}";

/// A team, with the fields that the documents of this file read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TeamNode {
    pub(crate) database_id: u64,
    pub(crate) id: String,
    pub(crate) slug: String,
    pub(crate) name: String,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) description: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) privacy: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) notification_setting: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) parent_team: Option<ParentNode>,
    pub(crate) child_teams: Count,
}

/// The team above a team.
#[derive(Deserialize)]
pub(crate) struct ParentNode {
    pub(crate) slug: String,
}

/// The number of entries in a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Count {
    pub(crate) total_count: u64,
}

/// Reads the members of an organisation. The edges are [`MemberEdge`].
pub(crate) const MEMBERS: &str = "query ($org: String!, $after: String) {
    organization(login: $org) {
        membersWithRole(first: 100, after: $after) {
            totalCount pageInfo { hasNextPage endCursor }
            edges { role node { databaseId id login organizationVerifiedDomainEmails(login: $org) } }
        }
    }
}";

/// Reads a further page of a team's members ([`MemberEdge`]).
pub(crate) const TEAM_MEMBERS: &str = "query ($org: String!, $slug: String!, $after: String) {
    organization(login: $org) {
        team(slug: $slug) {
            members(first: 100, after: $after, membership: IMMEDIATE) {
                totalCount pageInfo { hasNextPage endCursor } edges { role node { databaseId id login } }
            }
        }
    }
}";

/// A member, with the member's role in the organisation (such as `ADMIN`) or in the team (such as
/// `MAINTAINER`).
#[derive(Deserialize)]
pub(crate) struct MemberEdge {
    pub(crate) role: String,
    pub(crate) node: MemberNode,
}

/// The account of a member or of an invited person.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberNode {
    pub(crate) database_id: u64,
    pub(crate) id: String,
    pub(crate) login: String,
    #[serde(default, deserialize_with = "texts")]
    pub(crate) organization_verified_domain_emails: Vec<String>,
}

/// Reads a further page of the people who are invited to a team ([`InvitationNode`]).
pub(crate) const TEAM_INVITATIONS: &str = "query ($org: String!, $slug: String!, $after: String) {
    organization(login: $org) {
        team(slug: $slug) {
            invitations(first: 100, after: $after) {
                totalCount pageInfo { hasNextPage endCursor } nodes { invitee { databaseId id login } }
            }
        }
    }
}";

/// An invitation to a team. A person who was invited by mail has no account yet.
#[derive(Deserialize)]
pub(crate) struct InvitationNode {
    pub(crate) invitee: MemberNode,
}

/// Reads the accounts that are linked to people of the organisation's identity provider. The nodes
/// are [`IdentityNode`].
pub(crate) const IDENTITIES: &str = "query ($org: String!, $after: String) {
    organization(login: $org) {
        samlIdentityProvider {
            externalIdentities(first: 100, after: $after) {
                totalCount pageInfo { hasNextPage endCursor }
                nodes { samlIdentity { nameId username } scimIdentity { username } user { databaseId } }
            }
        }
    }
}";

/// A person of the identity provider who has an account at GitHub.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IdentityNode {
    #[serde(default, deserialize_with = "object")]
    pub(crate) saml_identity: Option<SamlIdentity>,
    #[serde(default, deserialize_with = "object")]
    pub(crate) scim_identity: Option<ScimIdentity>,
    pub(crate) user: Numbered,
}

/// The names that the identity provider sent for a person by SAML.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SamlIdentity {
    #[serde(default, deserialize_with = "optional")]
    pub(crate) name_id: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    pub(crate) username: Option<String>,
}

/// The name that the identity provider sent for a person by SCIM.
#[derive(Deserialize)]
pub(crate) struct ScimIdentity {
    #[serde(default, deserialize_with = "optional")]
    pub(crate) username: Option<String>,
}

/// Reads the present names of a team and of people ([`NameNode`]). The answer also shows which of
/// these people are in the organisation.
pub(crate) const NAMES: &str = "query ($org: String!, $ids: [ID!]!) {
    nodes(ids: $ids) {
        __typename
        ... on Team { databaseId slug childTeams(first: 1) { totalCount } }
        ... on User { databaseId login organization(login: $org) { databaseId } }
    }
}";

/// A team or a person that still exists, with its present name.
#[derive(Deserialize)]
#[serde(tag = "__typename")]
pub(crate) enum NameNode {
    Team(TeamName),
    User(UserName),
}

/// The present name of a team, and whether there are teams below it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TeamName {
    pub(crate) database_id: u64,
    pub(crate) slug: String,
    #[serde(default, deserialize_with = "object")]
    pub(crate) child_teams: Option<Count>,
}

/// The present name of a person. The field `organization` is set if GitHub shows that the person is
/// in the organisation.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserName {
    pub(crate) database_id: u64,
    pub(crate) login: String,
    #[serde(default, deserialize_with = "object")]
    pub(crate) organization: Option<Numbered>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::shape::shape;

    /// Returns damaged copies of a row: without `field`, with null in `field`, and with a value of
    /// the wrong type in `field`.
    fn spoilt(row: &Value, field: &str) -> Vec<Value> {
        let spoil = |value: Option<Value>| {
            let mut row = row.clone();
            let fields = row.as_object_mut().unwrap();
            fields.remove(field);
            fields.extend(value.map(|value| (field.to_owned(), value)));
            row
        };
        vec![spoil(None), spoil(Some(Value::Null)), spoil(Some(json!(true)))]
    }

    fn account() -> Value {
        json!({ "databaseId": 9, "id": "U_9", "login": "mona" })
    }

    #[test]
    fn a_team_without_one_of_its_names_is_unreadable_and_its_description_may_be_missing() {
        let team = json!({
            "databaseId": 5, "id": "T_5", "slug": "platform", "name": "Platform", "description": "Builds",
            "childTeams": { "totalCount": 0 },
        });
        assert!(shape::<TeamNode>(&team).is_some());
        for field in ["databaseId", "id", "slug", "name", "childTeams"] {
            for row in spoilt(&team, field) {
                assert!(shape::<TeamNode>(&row).is_none(), "{row}");
            }
        }
        for row in spoilt(&team, "description") {
            assert_eq!(shape(&row).map(|team: TeamNode| team.description), Some(None), "{row}");
        }
    }

    #[test]
    fn a_member_without_an_identity_or_a_role_is_unreadable() {
        let edge = json!({ "role": "ADMIN", "node": account() });
        assert_eq!(shape(&edge).map(|edge: MemberEdge| edge.node.login), Some("mona".to_owned()));
        let accounts = ["databaseId", "id", "login"].into_iter().flat_map(|field| spoilt(&account(), field));
        let edges = accounts.map(|account| json!({ "role": "ADMIN", "node": account }));
        for row in edges.chain(spoilt(&edge, "role")).chain(spoilt(&edge, "node")) {
            assert!(shape::<MemberEdge>(&row).is_none(), "{row}");
        }
    }

    #[test]
    fn an_address_that_is_not_a_text_takes_no_member_along() {
        let mut row = account();
        row["organizationVerifiedDomainEmails"] = json!(["mona@acme.example", null, 7]);
        let emails = shape(&row).map(|member: MemberNode| member.organization_verified_domain_emails);
        assert_eq!(emails, Some(vec!["mona@acme.example".to_owned()]));
    }

    #[test]
    fn an_identity_needs_an_account_and_may_lack_each_name() {
        let row = json!({
            "samlIdentity": { "nameId": "mona@acme.example", "username": null }, "scimIdentity": null,
            "user": { "databaseId": 9 },
        });
        let identity: IdentityNode = shape(&row).unwrap();
        let saml = identity.saml_identity.unwrap();
        assert_eq!((saml.name_id.as_deref(), saml.username), (Some("mona@acme.example"), None));
        assert!(identity.scim_identity.is_none());
        for row in spoilt(&row, "user") {
            assert!(shape::<IdentityNode>(&row).is_none(), "{row}");
        }
    }

    #[test]
    fn a_team_or_a_person_that_is_gone_has_no_present_name() {
        let team = json!({ "__typename": "Team", "databaseId": 5, "slug": "platform", "childTeams": null });
        assert!(matches!(shape(&team), Some(NameNode::Team(TeamName { child_teams: None, .. }))));
        let user = json!({ "__typename": "User", "databaseId": 9, "login": "mona", "organization": { "databaseId": 1 } });
        assert!(matches!(shape(&user), Some(NameNode::User(UserName { organization: Some(_), .. }))));
        let spoilt = spoilt(&team, "slug").into_iter().chain(spoilt(&user, "login"));
        let others =
            [Value::Null, json!({ "__typename": "Bot", "databaseId": 7 }), json!({ "databaseId": 7 })];
        for row in spoilt.chain(others) {
            assert!(shape::<NameNode>(&row).is_none(), "{row}");
        }
    }
}
