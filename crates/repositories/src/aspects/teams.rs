//! Teams and what they may do.
//!
//! <https://docs.github.com/rest/teams/teams#add-or-update-team-repository-permissions>

use async_trait::async_trait;
use beadle_engine::{Failure, Risk};
use beadle_github::{Actor, ActorKind, Permission, TeamPermission};
use serde_json::{Value, json};

use super::{Aspect, Context, Sheet, Step, Target, field};
use crate::policy::TeamWant;

/// The repository's teams.
pub struct Teams;

enum Write {
    Put { slug: String, permission: Permission },
    Remove { slug: String },
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &Target) -> Result<(), Failure> {
        match self {
            Self::Put { slug, permission } => to.named()?.put_team(slug, permission).await,
            Self::Remove { slug } => to.named()?.remove_team(slug).await,
        }
    }
}

/// What it means to others when a permission changes.
pub(super) fn change_of(before: &Permission, after: &Permission) -> Risk {
    match (before.rank(), after.rank()) {
        (Some(before), Some(after)) if after < before => Risk::Removes,
        // More than before, or a custom role, of which nobody here knows how far it reaches.
        _ => Risk::Exposes,
    }
}

#[async_trait]
impl Aspect for Teams {
    fn name(&self) -> &'static str {
        "teams"
    }

    fn owns(&self, section: &str) -> bool {
        section == "teams"
    }

    async fn plan(&self, context: &Context<'_>, sheet: &mut Sheet) -> Result<(), Failure> {
        let Some(wanted) = &context.desired.teams else { return Ok(()) };
        let repository = context.repository;
        let mut seen = match &repository.teams {
            Some(Ok(seen)) => seen.clone(),
            Some(Err(why)) => {
                sheet.unreadable(why.clone());
                return Ok(());
            }
            None => return Ok(()),
        };
        if repository.teams_have_age && differs(&wanted.items, &seen, wanted.exclusive) {
            // The snapshot has an age: nothing is changed because of it before this repository was read again.
            seen = context.reader.teams(&repository.owner, &repository.name).await?;
        }
        let mut missing = Vec::new();
        for want in &wanted.items {
            let Some(found) = find(&seen, &want.slug) else {
                missing.push(want);
                continue;
            };
            if is_covered(&seen, found, &want.permission) || same(context, want, found).await? {
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
            let write = Write::Put { slug: found.slug.clone(), permission: want.permission.clone() };
            sheet.change(format!("team {}", found.slug), fields, write);
        }
        add(context, &missing, sheet).await?;
        if wanted.exclusive {
            for team in seen.iter().filter(|team| above(&seen, team).is_none()) {
                if !wanted.items.iter().any(|want| want.slug.eq_ignore_ascii_case(&team.slug)) {
                    let before = json!(team.permission.as_str());
                    let fields =
                        vec![field("permission", before, Value::Null, Some(&wanted.asked), Risk::Removes)];
                    sheet.change(
                        format!("team {}", team.slug),
                        fields,
                        Write::Remove { slug: team.slug.clone() },
                    );
                }
            }
        }
        Ok(())
    }
}

fn find<'a>(seen: &'a [TeamPermission], slug: &str) -> Option<&'a TeamPermission> {
    seen.iter().find(|team| team.slug.eq_ignore_ascii_case(slug))
}

/// What the team above may do, where it is all that GitHub shows of a team. A grant of the team's own would not show, and
/// neither changing nor removing it would.
fn above<'a>(seen: &'a [TeamPermission], team: &TeamPermission) -> Option<&'a Permission> {
    let above = &find(seen, team.parent.as_deref()?)?.permission;
    let reaches = match (above.rank(), team.permission.rank()) {
        (Some(above), Some(shown)) => above >= shown,
        _ => *above == team.permission,
    };
    reaches.then_some(above)
}

/// Whether the team above may do what is wanted already, so that a grant of the team's own would show nothing. How far a
/// custom role reaches is not known: only administrators may do all of it.
fn is_covered(seen: &[TeamPermission], team: &TeamPermission, wanted: &Permission) -> bool {
    let above = above(seen, team).and_then(Permission::rank);
    let wanted = wanted.rank().or(Permission::Admin.rank());
    above.is_some_and(|above| wanted.is_some_and(|wanted| wanted <= above))
}

fn differs(wanted: &[TeamWant], seen: &[TeamPermission], exclusive: bool) -> bool {
    let is_so = |want: &TeamWant| {
        find(seen, &want.slug).is_some_and(|team| {
            team.permission == want.permission || is_covered(seen, team, &want.permission)
        })
    };
    let is_wanted = |team: &TeamPermission| {
        above(seen, team).is_some() || wanted.iter().any(|want| want.slug.eq_ignore_ascii_case(&team.slug))
    };
    !wanted.iter().all(is_so) || (exclusive && !seen.iter().all(is_wanted))
}

/// GraphQL, and REST's lists, show a custom role as the one that it is based on: whoever asks for one is looked at alone.
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

/// Adds teams that exist; a slug that resolves to none leaves the whole aspect in doubt.
async fn add(context: &Context<'_>, missing: &[&TeamWant], sheet: &mut Sheet) -> Result<(), Failure> {
    if missing.is_empty() {
        return Ok(());
    }
    let actor = |want: &&TeamWant| Actor { kind: ActorKind::Team, name: want.slug.clone(), id: None };
    let actors: Vec<Actor> = missing.iter().map(actor).collect();
    for (want, id) in missing.iter().zip(context.reader.resolve(&actors).await?) {
        match id {
            Ok(_) => {
                let after = json!(want.permission.as_str());
                let fields = vec![field("permission", Value::Null, after, Some(&want.asked), Risk::Adds)];
                let write = Write::Put { slug: want.slug.clone(), permission: want.permission.clone() };
                sheet.change(format!("team {}", want.slug), fields, write);
            }
            Err(why) => {
                sheet.unresolved(format!("{why} ({}); no team is removed while this is so", want.asked));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use beadle_engine::Asked;

    use super::*;

    fn team(slug: &str, permission: &str, parent: Option<&str>) -> TeamPermission {
        let parent = parent.map(str::to_owned);
        TeamPermission { slug: slug.to_owned(), permission: permission.to_owned().into(), parent }
    }

    fn want(slug: &str, permission: &str) -> TeamWant {
        let permission = permission.to_owned().into();
        TeamWant { slug: slug.to_owned(), permission, asked: Asked { file: "settings.yml".into(), line: 1 } }
    }

    #[test]
    fn a_child_below_a_team_with_more_access_is_at_rest() {
        let seen = [team("platform", "admin", None), team("child", "admin", Some("platform"))];
        assert!(!differs(&[want("platform", "admin"), want("child", "triage")], &seen, true));
        assert!(!differs(&[want("platform", "admin"), want("child", "auditor")], &seen, true));
        // It is no stray either, where only the team above is asked for.
        assert!(!differs(&[want("platform", "admin")], &seen, true));
        let seen = [team("platform", "pull", None), team("child", "push", Some("platform"))];
        assert!(differs(&[want("platform", "pull"), want("child", "triage")], &seen, true));
        assert!(differs(&[want("platform", "pull")], &seen, true));
        let seen = [team("platform", "pull", None), team("child", "pull", Some("platform"))];
        assert!(differs(&[want("platform", "pull"), want("child", "push")], &seen, true));
    }

    #[test]
    fn a_team_without_one_above_it_that_has_access_is_judged_by_itself() {
        let seen = [team("child", "admin", Some("platform"))];
        assert!(differs(&[want("child", "triage")], &seen, false));
        assert!(differs(&[], &seen, true));
    }
}
