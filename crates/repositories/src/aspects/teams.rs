//! Plans and writes the access of teams to a repository, and the permission of each team.
//!
//! <https://docs.github.com/rest/teams/teams#add-or-update-team-repository-permissions>

use std::collections::BTreeSet;

use async_trait::async_trait;
use beadle_engine::{Failure, PolicyLocation, Risk};
use beadle_github::{Actor, ActorKind, Asks, Grantee, NameKind, Permission, TeamPermission};
use serde_json::{Value, json};

use super::aspect::{
    ADMINISTRATION, AppPermission, Aspect, AspectPlan, AspectPlanner, Context, Sections, Stage, Step,
    WriteTarget, field,
};
use crate::policy::TeamWant;
use crate::policy::shape::{Shape, key, never, required};
use crate::policy::shapes::{EXCLUDE, INCLUDE, PERMISSION, SLUG, listed};

/// The aspect for a repository's teams.
pub(crate) const TEAMS: Aspect = Aspect {
    name: "teams",
    sections: &[key(
        "teams",
        SHAPE,
        "Teams with access. Beadle removes others, unless the list is `additive`.",
    )],
    repository_keys: &[],
    permissions: &[ADMINISTRATION, AppPermission::read("members", "members (organisation)")],
    events: &["team", "team_add"],
    reads,
    stage: Stage::Access,
    is_apart: true,
    planner: &Teams,
};

const ENTRY: Shape = Shape::Map(&[
    required(key("name", SLUG, "The slug of the team.")),
    PERMISSION,
    INCLUDE,
    EXCLUDE,
    never("description", OF_THE_TEAM),
    never("privacy", OF_THE_TEAM),
    never("visibility", OF_THE_TEAM),
    never("notification_setting", OF_THE_TEAM),
    never("parent_team_id", OF_THE_TEAM),
    never("parent_team_slug", OF_THE_TEAM),
    never("maintainers", OF_THE_TEAM),
    never("repo_names", "write `include`"),
    never("external_group", "write `external_group` of the team in teams.yml"),
]);
/// The explanation for keys that Beadle does not use here. safe-settings uses these keys to create
/// a team.
const OF_THE_TEAM: &str =
    "this section changes only the access of a team; teams.yml declares the team itself";
const SHAPE: Shape = listed!(ENTRY);

fn reads(sections: &Sections<'_>) -> Asks {
    Asks { teams: sections.has("teams"), ..Asks::default() }
}

struct Teams;

enum Write {
    Put { team: Grantee, permission: Permission },
    Remove { team: Grantee },
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        match self {
            Self::Put { team, permission } => to.named()?.put_team(team, permission).await,
            Self::Remove { team } => to.named()?.remove_team(team).await,
        }
    }
}

/// Returns the risk of replacing one permission with another.
pub(super) fn change_of(before: &Permission, after: &Permission) -> Risk {
    match (before.rank(), after.rank()) {
        (Some(before), Some(after)) if after < before => Risk::Removes,
        // The team gets a higher permission than before, or a custom role. A custom role can permit
        // anything.
        _ => Risk::Exposes,
    }
}

#[async_trait]
impl AspectPlanner for Teams {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(wanted) = &context.desired.teams else { return Ok(()) };
        let Some(seen) = plan.read(&context.repository.teams) else { return Ok(()) };
        let (mut missing, mut paired) = (Vec::new(), BTreeSet::new());
        for want in &wanted.items {
            let found = match meant(context, want, &wanted.items, seen, plan).await? {
                Meant::Present(found) => found,
                Meant::Missing => {
                    missing.push(want);
                    continue;
                }
                Meant::Outdated => continue,
            };
            paired.insert(found.id);
            if let Some(before) = names_another(context, want, found.id).await? {
                plan.cannot_resolve(before);
                continue;
            }
            if !want.is_stated
                || is_covered(seen, found, &want.permission)
                || same(context, want, found).await?
            {
                continue;
            }
            // Beadle does not know what a custom role permits, so it cannot compare the two
            // permissions.
            let is_custom = |above: &Permission| above.rank().is_none() || want.permission.rank().is_none();
            if above(seen, found).is_some_and(is_custom) {
                let why = format!(
                    "team `{}` has access by its parent team: GitHub does not show whether the team also has the role `{}` \
                     itself ({})",
                    found.slug, want.permission, want.asked
                );
                plan.cannot_resolve_part(&want.slug, why);
                continue;
            }
            let risk = change_of(&found.permission, &want.permission);
            let fields = vec![field(
                "permission",
                json!(found.permission.as_str()),
                json!(want.permission.as_str()),
                Some(&want.asked),
                risk,
            )];
            let team = Grantee::team(found.id, &found.slug);
            let write = Write::Put { team, permission: want.permission.clone() };
            plan.change(format!("team {}", found.slug), fields, write);
        }
        add(context, &missing, plan).await?;
        let is_gone = |team: &&TeamPermission| !paired.contains(&team.id) && above(seen, team).is_none();
        for team in seen.iter().filter(|_| wanted.exclusive).filter(is_gone) {
            let before = json!(team.permission.as_str());
            let fields = vec![field("permission", before, Value::Null, Some(&wanted.asked), Risk::Removes)];
            let write = Write::Remove { team: Grantee::team(team.id, &team.slug) };
            plan.change(format!("team {}", team.slug), fields, write);
        }
        Ok(())
    }
}

/// What an entry of the policy means at GitHub.
enum Meant<'a> {
    Present(&'a TeamPermission),
    /// The repository has no such team.
    Missing,
    /// The team was renamed, and another entry of the list contains the new name. That entry
    /// decides, so this entry has no effect.
    Outdated,
}

/// Finds the team that an entry of the policy names. Beadle looks for the slug first. If the team
/// was renamed, Beadle finds the team by the stored id.
async fn meant<'a>(
    context: &Context<'_>,
    want: &TeamWant,
    all: &[TeamWant],
    seen: &'a [TeamPermission],
    plan: &mut AspectPlan,
) -> Result<Meant<'a>, Failure> {
    if let Some(found) = seen.iter().find(|team| team.slug.eq_ignore_ascii_case(&want.slug)) {
        return Ok(Meant::Present(found));
    }
    let id = context.names.remembered(NameKind::Team, &want.slug).await?;
    let Some(found) = seen.iter().find(|team| Some(team.id) == id) else { return Ok(Meant::Missing) };
    let newer = all.iter().find(|other| other.slug.eq_ignore_ascii_case(&found.slug));
    plan.cannot_resolve_part(
        &want.slug,
        renamed("team", &want.slug, &want.asked, &found.slug, newer.map(|newer| &newer.asked)),
    );
    Ok(if newer.is_some() { Meant::Outdated } else { Meant::Present(found) })
}

/// Returns a text about an entry of the policy whose name is an old name. `newer` is the line of an
/// entry that contains the new name.
pub(super) fn renamed(
    what: &str,
    old: &str,
    asked: &PolicyLocation,
    now: &str,
    newer: Option<&PolicyLocation>,
) -> String {
    match newer {
        None => format!("{what} `{old}` is called `{now}` now; change the policy ({asked})"),
        Some(newer) => format!(
            "{what} `{old}` is called `{now}` now, and the policy lists `{now}` too ({newer}); remove the entry \
             `{old}` ({asked})"
        ),
    }
}

/// If the slug in an entry now belongs to another team, returns a text about this problem.
async fn names_another(context: &Context<'_>, want: &TeamWant, id: u64) -> Result<Option<String>, Failure> {
    Ok(context.names.another_owner(NameKind::Team, &want.slug, id, Some(&want.asked)).await?)
}

/// Returns the permission of the parent team on the repository, if this permission hides the
/// permission of the team itself. GitHub then does not show the team's own permission, even if
/// somebody changed or removed that permission.
pub(crate) fn above<'a>(seen: &'a [TeamPermission], team: &TeamPermission) -> Option<&'a Permission> {
    let parent = team.parent.as_deref()?;
    let above = &seen.iter().find(|other| other.slug.eq_ignore_ascii_case(parent))?.permission;
    let reaches = match (above.rank(), team.permission.rank()) {
        (Some(above), Some(shown)) => above >= shown,
        _ => *above == team.permission,
    };
    reaches.then_some(above)
}

/// Returns whether the parent team already has at least the wanted permission. In this case, GitHub
/// would not show the team's own permission. Beadle does not know what a custom role permits, so
/// only `admin` counts as higher than a custom role.
fn is_covered(seen: &[TeamPermission], team: &TeamPermission, wanted: &Permission) -> bool {
    let above = above(seen, team).and_then(Permission::rank);
    let wanted = wanted.rank().or(Permission::Admin.rank());
    above.is_some_and(|above| wanted.is_some_and(|wanted| wanted <= above))
}

/// Returns whether the team has the wanted permission. If the team has a custom role, GraphQL and
/// the lists of REST might show only the base role. If the policy declares a custom role, Beadle
/// therefore reads the team's role with a separate call.
async fn same(context: &Context<'_>, want: &TeamWant, found: &TeamPermission) -> Result<bool, Failure> {
    if found.permission == want.permission {
        return Ok(true);
    }
    if want.permission.rank().is_some() {
        return Ok(false);
    }
    let repository = context.repository;
    let role = context.reader.team_role(&found.slug, &repository.owner, &repository.name).await?;
    Ok(role.as_ref().is_some_and(|role| *role == want.permission))
}

/// Plans access for the teams that exist. If the policy lists a slug that does not exist, the whole
/// aspect is unknown.
async fn add(context: &Context<'_>, missing: &[&TeamWant], plan: &mut AspectPlan) -> Result<(), Failure> {
    if missing.is_empty() {
        return Ok(());
    }
    let actors: Vec<(Actor, Option<&PolicyLocation>)> = missing
        .iter()
        .map(|want| {
            let actor = Actor { kind: ActorKind::Team, name: want.slug.clone(), id: None, number: None };
            (actor, Some(&want.asked))
        })
        .collect();
    for (want, found) in missing.iter().zip(context.names.resolve(context.reader, &actors).await?) {
        let team = match found {
            Ok(found) => Grantee::resolved_team(&found),
            Err(why) => {
                plan.cannot_resolve(format!(
                    "{why}; until this is fixed, Beadle removes no team of this repository"
                ));
                continue;
            }
        };
        let after = json!(want.permission.as_str());
        let fields = vec![field("permission", Value::Null, after, Some(&want.asked), Risk::Adds)];
        let write = Write::Put { team, permission: want.permission.clone() };
        plan.change(format!("team {}", want.slug), fields, write);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn team(slug: &str, permission: &str, parent: Option<&str>) -> TeamPermission {
        let parent = parent.map(str::to_owned);
        let id = slug.len() as u64;
        TeamPermission { id, slug: slug.to_owned(), permission: permission.to_owned().into(), parent }
    }

    #[test]
    fn a_child_below_a_team_with_more_access_is_at_rest() {
        let covered =
            |seen: &[TeamPermission], wanted: &str| is_covered(seen, &seen[1], &wanted.to_owned().into());
        let seen = [team("platform", "admin", None), team("child", "admin", Some("platform"))];
        assert!(covered(&seen, "triage") && covered(&seen, "auditor"));
        // If the policy lists only the parent team, Beadle does not remove the child team.
        assert!(above(&seen, &seen[1]).is_some());
        let seen = [team("platform", "pull", None), team("child", "push", Some("platform"))];
        assert!(!covered(&seen, "triage") && above(&seen, &seen[1]).is_none());
        let seen = [team("platform", "pull", None), team("child", "pull", Some("platform"))];
        assert!(!covered(&seen, "push"));
    }

    #[test]
    fn a_team_without_one_above_it_that_has_access_is_judged_by_itself() {
        let seen = [team("child", "admin", Some("platform"))];
        assert!(above(&seen, &seen[0]).is_none());
    }
}
