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
            let now = context.reader.teams(&repository.owner, &repository.name).await?;
            seen = name_roles(context, &seen, now).await?;
        }
        let mut missing = Vec::new();
        for want in &wanted.items {
            let Some(found) = find(&seen, &want.slug) else {
                missing.push(want);
                continue;
            };
            if same(context, want, found).await? {
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
            for team in &seen {
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

fn differs(wanted: &[TeamWant], seen: &[TeamPermission], exclusive: bool) -> bool {
    wanted.iter().any(|want| find(seen, &want.slug).is_none_or(|team| team.permission != want.permission))
        || (exclusive && seen.len() > wanted.len())
        || (exclusive
            && seen.iter().any(|team| !wanted.iter().any(|want| want.slug.eq_ignore_ascii_case(&team.slug))))
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

/// What the snapshot named a custom role, and this list shows as another one, is asked for by itself: a list may show the
/// role that it is based on.
async fn name_roles(
    context: &Context<'_>,
    before: &[TeamPermission],
    mut now: Vec<TeamPermission>,
) -> Result<Vec<TeamPermission>, Failure> {
    let repository = context.repository;
    for team in &mut now {
        let custom = find(before, &team.slug).is_some_and(|team| team.permission.rank().is_none());
        if custom && team.permission.rank().is_some() {
            let role = context.reader.team_role(&team.slug, &repository.owner, &repository.name).await?;
            team.permission = role.unwrap_or_else(|| team.permission.clone());
        }
    }
    Ok(now)
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
