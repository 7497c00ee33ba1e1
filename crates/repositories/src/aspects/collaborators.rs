//! Plans and writes the accounts that have direct access to a repository, and the open invitations
//! to this repository.
//!
//! <https://docs.github.com/rest/collaborators>

use std::collections::BTreeSet;

use async_trait::async_trait;
use beadle_engine::{Failure, PolicyLocation, Risk};
use beadle_github::{Actor, ActorKind, Asks, Collaborator, Grantee, Invitation, NameKind, Permission};
use serde_json::{Value, json};

use super::aspect::{
    ADMINISTRATION, Aspect, AspectPlan, AspectPlanner, Context, Sections, Stage, Step, WriteTarget, field,
};
use super::teams::{change_of, renamed};
use crate::policy::shape::{Shape, key, required};
use crate::policy::shapes::{EXCLUDE, INCLUDE, LOGIN, PERMISSION, listed};
use crate::policy::{CollaboratorWant, Listed};

/// The aspect for a repository's direct collaborators.
pub(crate) const COLLABORATORS: Aspect = Aspect {
    name: "collaborators",
    sections: &[key(
        "collaborators",
        SHAPE,
        "People with direct access. Beadle removes others, unless the list is `additive`.",
    )],
    repository_keys: &[],
    permissions: &[ADMINISTRATION],
    events: &["member", "organization"],
    reads,
    stage: Stage::Access,
    is_apart: true,
    planner: &Collaborators,
};

const ENTRY: Shape =
    Shape::Map(&[required(key("username", LOGIN, "The login of the person.")), PERMISSION, INCLUDE, EXCLUDE]);
const SHAPE: Shape = listed!(ENTRY);

fn reads(sections: &Sections<'_>) -> Asks {
    Asks { collaborators: sections.has("collaborators"), ..Asks::default() }
}

struct Collaborators;

enum Write {
    /// Invites an account, or changes the account's permission. If the account has an expired
    /// invitation, Beadle withdraws this invitation first.
    Put {
        account: Grantee,
        permission: Permission,
        expired: Option<u64>,
    },
    Remove {
        account: Grantee,
    },
    Change {
        invitation: u64,
        permission: Permission,
    },
    Withdraw {
        invitation: u64,
    },
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        match self {
            Self::Put { account, permission, expired } => {
                if let Some(invitation) = expired {
                    to.named()?.withdraw_invitation(*invitation).await?;
                }
                let put = to.named()?.put_collaborator(account, permission).await;
                // If this request fails, the change is half done: Beadle has already withdrawn the
                // expired invitation.
                put.map_err(|failure| if expired.is_some() { failure.after_a_part() } else { failure })
            }
            Self::Remove { account } => to.named()?.remove_collaborator(account).await,
            Self::Change { invitation, permission } => {
                to.named()?.change_invitation(*invitation, permission).await
            }
            Self::Withdraw { invitation } => to.named()?.withdraw_invitation(*invitation).await,
        }
    }
}

#[async_trait]
impl AspectPlanner for Collaborators {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(wanted) = &context.desired.collaborators else { return Ok(()) };
        let repository = context.repository;
        let Some(seen) = plan.read(&repository.collaborators) else { return Ok(()) };
        let Some(pending) = plan.read(&repository.invitations) else { return Ok(()) };
        let mut paired = BTreeSet::new();
        let mut missing = Vec::new();
        for want in &wanted.items {
            match meant(context, want, &wanted.items, (seen, pending), plan).await? {
                Some((id, found)) => {
                    paired.insert(id);
                    present(context, want, (id, &found), plan);
                }
                None => missing.push(want),
            }
        }
        paired.extend(invite(context, &missing, plan).await?);
        if wanted.exclusive {
            absent(wanted, &paired, seen, pending, plan);
        }
        Ok(())
    }
}

/// The present access of an account to the repository.
enum Found<'a> {
    Access(&'a Collaborator),
    Invitation(&'a Invitation),
    /// The login in the policy now belongs to another account. Beadle changes nothing for this
    /// other account.
    Another,
    /// The account was renamed, and another entry of the list contains the new login. That entry
    /// decides, so this entry has no effect.
    Outdated,
}

/// Finds the account that an entry of the policy names. Beadle looks for the login first. If the
/// account was renamed, Beadle finds the account by the stored id.
async fn meant<'a>(
    context: &Context<'_>,
    want: &CollaboratorWant,
    wants: &[CollaboratorWant],
    (seen, pending): (&'a [Collaborator], &'a [Invitation]),
    plan: &mut AspectPlan,
) -> Result<Option<(u64, Found<'a>)>, Failure> {
    let access = seen.iter().map(|found| (found.id, found.login.as_str(), Found::Access(found)));
    let invited = pending
        .iter()
        .filter_map(|found| Some((found.account?, found.login.as_deref()?, Found::Invitation(found))));
    let mut all: Vec<(u64, &str, Found<'_>)> = access.chain(invited).collect();
    if let Some(at) = all.iter().position(|(_, login, _)| login.eq_ignore_ascii_case(&want.login)) {
        let (id, _, found) = all.swap_remove(at);
        return Ok(Some(match names_another(context, want, id).await? {
            Some(why) => {
                plan.cannot_resolve(why);
                (id, Found::Another)
            }
            None => (id, found),
        }));
    }
    let remembered = context.names.remembered(NameKind::User, &want.login).await?;
    let Some(at) = all.iter().position(|(id, ..)| Some(*id) == remembered) else { return Ok(None) };
    let (id, login, found) = all.swap_remove(at);
    let newer = wants.iter().find(|other| other.login.eq_ignore_ascii_case(login));
    let why = renamed("user", &want.login, &want.asked, login, newer.map(|newer| &newer.asked));
    plan.cannot_resolve_part(&want.login, why);
    Ok(Some((id, if newer.is_some() { Found::Outdated } else { found })))
}

/// If the login in an entry now belongs to another account, returns a text about this problem.
async fn names_another(
    context: &Context<'_>,
    want: &CollaboratorWant,
    id: u64,
) -> Result<Option<String>, Failure> {
    Ok(context.names.another_owner(NameKind::User, &want.login, id, Some(&want.asked)).await?)
}

fn put(account: Grantee, want: &CollaboratorWant, expired: Option<u64>) -> Write {
    Write::Put { account, permission: want.permission.clone(), expired }
}

fn present(
    context: &Context<'_>,
    want: &CollaboratorWant,
    (id, found): (u64, &Found<'_>),
    plan: &mut AspectPlan,
) {
    let change = |before: &Permission| {
        let (before_text, after) = (json!(before.as_str()), json!(want.permission.as_str()));
        let risk = change_of(before, &want.permission);
        vec![field("permission", before_text, after, Some(&want.asked), risk)]
    };
    match found {
        Found::Access(_) if !want.is_stated => {}
        Found::Access(found) if found.permission == want.permission => {}
        Found::Access(found) => {
            let coarse =
                matches!(want.permission.rank(), None | Some(1 | 3)) && context.reader.lacks("roleName");
            if coarse {
                plan.cannot_resolve_part(
                    &want.login,
                    format!("this GitHub server does not show custom roles ({})", want.asked),
                );
            } else {
                let what = format!("collaborator {}", found.login);
                let account = Grantee::user(found.id, &found.login);
                plan.change(what, change(&found.permission), put(account, want, None));
            }
        }
        Found::Invitation(invitation) if invitation.expired => {
            let what = format!("collaborator {}", want.login);
            // The policy might still contain the account's old login.
            let login = invitation.login.as_deref().unwrap_or(&want.login);
            plan.change(what, added(want), put(Grantee::user(id, login), want, Some(invitation.id)));
        }
        // In an invitation to a custom role, GitHub shows only the base role. So Beadle compares
        // the custom role only after the account has accepted the invitation.
        Found::Invitation(_) if want.permission.rank().is_none() || !want.is_stated => {}
        Found::Invitation(invitation) if invitation.permission != want.permission => {
            let write = Write::Change { invitation: invitation.id, permission: want.permission.clone() };
            plan.change(format!("invitation of {}", want.login), change(&invitation.permission), write);
        }
        Found::Another | Found::Outdated | Found::Invitation(_) => {}
    }
}

fn added(want: &CollaboratorWant) -> Vec<beadle_engine::Field> {
    let after = json!(want.permission.as_str());
    vec![field("permission", Value::Null, after, Some(&want.asked), Risk::Adds)]
}

/// Plans an invitation for each account that exists, and returns the ids of these accounts. If a
/// login does not exist, the whole list is unknown: the login might be misspelled, or it might be
/// the former login of an account that has access.
async fn invite(
    context: &Context<'_>,
    missing: &[&CollaboratorWant],
    plan: &mut AspectPlan,
) -> Result<Vec<u64>, Failure> {
    let mut ids = Vec::new();
    if missing.is_empty() {
        return Ok(ids);
    }
    let actors: Vec<(Actor, Option<&PolicyLocation>)> = missing
        .iter()
        .map(|want| {
            let actor = Actor { kind: ActorKind::User, name: want.login.clone(), id: None, number: None };
            (actor, Some(&want.asked))
        })
        .collect();
    for (want, found) in missing.iter().zip(context.names.resolve(context.reader, &actors).await?) {
        match found {
            Err(why) => {
                plan.cannot_resolve(format!(
                    "{why}; until this is fixed, Beadle removes no collaborator of this repository"
                ));
            }
            Ok(found) => {
                ids.push(found.id);
                let write = put(Grantee::resolved_user(&found), want, None);
                plan.change(format!("collaborator {}", want.login), added(want), write);
            }
        }
    }
    Ok(ids)
}

fn absent(
    wanted: &Listed<CollaboratorWant>,
    paired: &BTreeSet<u64>,
    seen: &[Collaborator],
    pending: &[Invitation],
    plan: &mut AspectPlan,
) {
    let gone = |before: &Permission| {
        vec![field("permission", json!(before.as_str()), Value::Null, Some(&wanted.asked), Risk::Removes)]
    };
    for found in seen.iter().filter(|found| !paired.contains(&found.id)) {
        let write = Write::Remove { account: Grantee::user(found.id, &found.login) };
        plan.change(format!("collaborator {}", found.login), gone(&found.permission), write);
    }
    for invitation in pending {
        // If a person was invited by mail, GitHub does not show the person's account. Beadle does
        // not change such an invitation.
        let account = invitation.account.filter(|account| !paired.contains(account));
        if let (Some(_), Some(login)) = (account, &invitation.login) {
            let write = Write::Withdraw { invitation: invitation.id };
            plan.change(format!("invitation of {login}"), gone(&invitation.permission), write);
        }
    }
}
