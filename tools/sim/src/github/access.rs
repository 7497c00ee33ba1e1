//! The permissions of people and teams on a repository, and the sources of the permissions. A team
//! inherits the permissions of its parent team.
//!
//! <https://docs.github.com/organizations/organizing-members-into-teams/about-teams#nested-teams>

use serde_json::{Value, json};

use crate::github::world::World;

/// Returns the rank of a permission. A custom role has the rank of `pull`, because all custom roles
/// in the simulator are based on `pull`.
fn rank(permission: &str) -> u8 {
    match permission {
        "triage" => 1,
        "push" | "write" => 2,
        "maintain" => 3,
        "admin" => 4,
        _ => 0,
    }
}

/// Returns the highest permission that any of these teams has on the repository.
pub(crate) fn granted(repository: &Value, teams: &[String]) -> Option<String> {
    let held = teams.iter().filter_map(|slug| repository["teams"][slug].as_str());
    held.max_by_key(|role| rank(role)).map(str::to_owned)
}

impl World {
    /// Returns a team and all teams above it, in ascending order. The team itself comes first.
    pub(crate) fn lineage(&self, org: &str, slug: &str) -> Vec<String> {
        let mut lineage = vec![slug.to_owned()];
        let above = |slug: &str| self.team(org, slug).and_then(|team| team["parent"].as_str());
        while let Some(parent) = lineage.last().and_then(|slug| above(slug.as_str())) {
            // If the parents form a circle, the loop must still end.
            if lineage.iter().any(|slug| slug == parent) {
                break;
            }
            lineage.push(parent.to_owned());
        }
        lineage
    }

    /// Returns the permission of a team on a repository. GitHub shows the higher of two
    /// permissions: the permission of the team itself, and the permission of the teams above it.
    pub(crate) fn team_access(&self, org: &str, repository: &Value, slug: &str) -> Option<String> {
        granted(repository, &self.lineage(org, slug))
    }

    /// Returns the highest permission of a person on a repository, considering all sources.
    pub(crate) fn person_access(&self, org: &str, repository: &Value, login: &str) -> Option<String> {
        if self.is_owner(org, login) {
            return Some("admin".into());
        }
        let people = repository["collaborators"].as_object().into_iter().flatten();
        let mut all: Vec<String> = people
            .filter(|(other, _)| other.eq_ignore_ascii_case(login))
            .filter_map(|(_, role)| role.as_str().map(str::to_owned))
            .collect();
        let teams = self.org(org).and_then(|org| org["teams"].as_object()).into_iter().flatten();
        for (slug, team) in teams {
            let members = team["members"].as_object().into_iter().flatten();
            if members.into_iter().any(|(member, _)| member.eq_ignore_ascii_case(login)) {
                all.extend(self.team_access(org, repository, slug));
                all.extend(team["organization_role"].as_str().map(str::to_owned));
            }
        }
        all.into_iter().max_by_key(|role| rank(role))
    }

    /// Removes the people and the teams that have no write access from the push restriction of a
    /// rule. GitHub also removes them and reports no error. The function does not remove Apps.
    pub(crate) fn drop_powerless(&self, org: &str, repository: &Value, rule: &mut Value) {
        let writes = |access: Option<String>| access.is_some_and(|role| rank(&role) >= 2);
        if let Some(people) = rule.pointer_mut("/restrictions/users").and_then(Value::as_array_mut) {
            people.retain(|login| {
                writes(self.person_access(org, repository, login.as_str().unwrap_or_default()))
            });
        }
        if let Some(teams) = rule.pointer_mut("/restrictions/teams").and_then(Value::as_array_mut) {
            teams.retain(|slug| {
                let slug = slug.as_str().unwrap_or_default();
                let role = self.team(org, slug).and_then(|team| team["organization_role"].as_str());
                writes(self.team_access(org, repository, slug)) || writes(role.map(str::to_owned))
            });
        }
    }

    /// Moves the permissions of a renamed team to the team's new name. If somebody deleted the team
    /// (`to` is `None`), removes its permissions.
    pub(crate) fn move_grants(&mut self, org: &str, from: &str, to: Option<&str>) {
        let Some(repositories) = self.org_mut(org).and_then(|org| org["repos"].as_object_mut()) else {
            return;
        };
        for (_, repository) in repositories {
            let held = repository["teams"].as_object_mut().and_then(|teams| teams.remove(from));
            if let (Some(held), Some(to)) = (held, to) {
                repository["teams"][to] = held;
            }
            for (_, rule) in repository["protection"].as_object_mut().into_iter().flatten() {
                for list in [
                    "/restrictions/teams",
                    "/force_push_allowances/teams",
                    "/required_pull_request_reviews/dismissal_restrictions/teams",
                    "/required_pull_request_reviews/bypass_pull_request_allowances/teams",
                ] {
                    let Some(teams) = rule.pointer_mut(list).and_then(Value::as_array_mut) else { continue };
                    if let Some(to) = to {
                        for slug in teams.iter_mut().filter(|slug| **slug == *from) {
                            *slug = json!(to);
                        }
                    } else {
                        teams.retain(|slug| *slug != *from);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> World {
        World::from(json!({
            "orgs": { "acme": {
                "members": ["ann", "bob"], "owners": ["olive"],
                "teams": { "platform": {}, "child": { "parent": "platform", "members": { "bob": "member" } }, "other": {} },
                "repos": { "svc": {
                    "branches": { "main": {} }, "teams": { "platform": "admin", "child": "triage", "other": "pull" },
                    "protection": { "main": { "restrictions": { "users": [], "teams": ["child"], "apps": [] } } },
                } },
            } },
            "users": { "ann": {}, "bob": {}, "olive": {} },
        }))
    }

    #[test]
    fn a_child_team_has_the_permission_of_its_parent() {
        let world = world();
        let svc = world.repository("acme", "svc").unwrap();
        assert_eq!(world.team_access("acme", svc, "child").as_deref(), Some("admin"));
        assert_eq!(world.team_access("acme", svc, "other").as_deref(), Some("pull"));
        assert_eq!(world.person_access("acme", svc, "bob").as_deref(), Some("admin"));
        assert_eq!(world.person_access("acme", svc, "ann"), None);
    }

    #[test]
    fn a_push_restriction_loses_actors_without_write_access() {
        let world = world();
        let svc = world.repository("acme", "svc").unwrap();
        let mut rule = json!({ "restrictions": {
            "users": ["ann", "bob", "olive"], "teams": ["child", "other"], "apps": ["ci"] } });
        world.drop_powerless("acme", svc, &mut rule);
        let kept = json!({ "users": ["bob", "olive"], "teams": ["child"], "apps": ["ci"] });
        assert_eq!(rule["restrictions"], kept);
    }

    #[test]
    fn a_renamed_team_keeps_its_permissions_and_a_deleted_team_loses_them() {
        let mut world = world();
        world.move_grants("acme", "child", Some("kid"));
        let svc = world.repository("acme", "svc").unwrap();
        assert_eq!(svc["teams"], json!({ "platform": "admin", "kid": "triage", "other": "pull" }));
        assert_eq!(svc["protection"]["main"]["restrictions"]["teams"], json!(["kid"]));
        world.move_grants("acme", "kid", None);
        let svc = world.repository("acme", "svc").unwrap();
        assert_eq!(svc["teams"], json!({ "platform": "admin", "other": "pull" }));
        assert_eq!(svc["protection"]["main"]["restrictions"]["teams"], json!([]));
    }
}
