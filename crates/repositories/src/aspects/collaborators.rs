//! People with direct access, and invitations that they have not accepted yet.
//!
//! <https://docs.github.com/rest/collaborators>

use async_trait::async_trait;
use beadle_engine::{Failure, Risk};
use beadle_github::{Collaborator, Invitation, Permission};
use serde_json::{Value, json};

use super::teams::change_of;
use super::{Aspect, Context, Sheet, Step, Target, field};
use crate::policy::{CollaboratorWant, Listed};

/// The repository's direct collaborators.
pub struct Collaborators;

enum Write {
    /// Invites, or changes what somebody may do. An expired invitation is withdrawn before.
    Put {
        login: String,
        permission: Permission,
        expired: Option<u64>,
    },
    Remove {
        login: String,
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
    async fn write(&self, to: &Target) -> Result<(), Failure> {
        match self {
            Self::Put { login, permission, expired } => {
                if let Some(invitation) = expired {
                    to.named()?.withdraw_invitation(*invitation).await?;
                }
                to.named()?.put_collaborator(login, permission).await
            }
            Self::Remove { login } => to.named()?.remove_collaborator(login).await,
            Self::Change { invitation, permission } => {
                to.named()?.change_invitation(*invitation, permission).await
            }
            Self::Withdraw { invitation } => to.named()?.withdraw_invitation(*invitation).await,
        }
    }
}

#[async_trait]
impl Aspect for Collaborators {
    fn name(&self) -> &'static str {
        "collaborators"
    }

    fn owns(&self, section: &str) -> bool {
        section == "collaborators"
    }

    async fn plan(&self, context: &Context<'_>, sheet: &mut Sheet) -> Result<(), Failure> {
        let Some(wanted) = &context.desired.collaborators else { return Ok(()) };
        let repository = context.repository;
        let (seen, pending) = match (&repository.collaborators, &repository.invitations) {
            (Some(Ok(seen)), Some(Ok(pending))) => (seen, pending),
            (Some(Err(why)), _) | (_, Some(Err(why))) => {
                sheet.unreadable(why.clone());
                return Ok(());
            }
            _ => return Ok(()),
        };
        for want in &wanted.items {
            present(context, want, seen, pending, sheet);
        }
        if wanted.exclusive {
            absent(wanted, seen, pending, sheet);
        }
        Ok(())
    }
}

fn present(
    context: &Context<'_>,
    want: &CollaboratorWant,
    seen: &[Collaborator],
    pending: &[Invitation],
    sheet: &mut Sheet,
) {
    let after = json!(want.permission.as_str());
    let change = |before: &Permission| {
        let before_text = json!(before.as_str());
        vec![field(
            "permission",
            before_text,
            after.clone(),
            Some(&want.asked),
            change_of(before, &want.permission),
        )]
    };
    let put =
        |expired| Write::Put { login: want.login.clone(), permission: want.permission.clone(), expired };
    let what = format!("collaborator {}", want.login);
    if let Some(found) = seen.iter().find(|found| found.login.eq_ignore_ascii_case(&want.login)) {
        let coarse = matches!(want.permission.rank(), None | Some(1 | 3)) && context.reader.lacks("roleName");
        if found.permission != want.permission && coarse {
            sheet.part_unresolved(&want.login, format!("this GitHub does not show roles ({})", want.asked));
        } else if found.permission != want.permission {
            sheet.change(what, change(&found.permission), put(None));
        }
        return;
    }
    let invited = |invitation: &&Invitation| {
        invitation.login.as_ref().is_some_and(|login| login.eq_ignore_ascii_case(&want.login))
    };
    let add = || vec![field("permission", Value::Null, after.clone(), Some(&want.asked), Risk::Adds)];
    match pending.iter().find(invited) {
        Some(invitation) if invitation.expired => sheet.change(what, add(), put(Some(invitation.id))),
        // An invitation shows the role that a custom one is based on: it is compared when it was accepted.
        Some(_) if want.permission.rank().is_none() => {}
        Some(invitation) if invitation.permission != want.permission => {
            let write = Write::Change { invitation: invitation.id, permission: want.permission.clone() };
            sheet.change(format!("invitation of {}", want.login), change(&invitation.permission), write);
        }
        Some(_) => {}
        None => sheet.change(what, add(), put(None)),
    }
}

fn absent(
    wanted: &Listed<CollaboratorWant>,
    seen: &[Collaborator],
    pending: &[Invitation],
    sheet: &mut Sheet,
) {
    let listed = |login: &str| wanted.items.iter().any(|want| want.login.eq_ignore_ascii_case(login));
    let gone = |before: &Permission| {
        vec![field("permission", json!(before.as_str()), Value::Null, Some(&wanted.asked), Risk::Removes)]
    };
    for found in seen.iter().filter(|found| !listed(&found.login)) {
        let write = Write::Remove { login: found.login.clone() };
        sheet.change(format!("collaborator {}", found.login), gone(&found.permission), write);
    }
    for invitation in pending {
        // Whom an invitation by mail is for cannot be told: it is left alone.
        if let Some(login) = invitation.login.as_ref().filter(|login| !listed(login)) {
            let write = Write::Withdraw { invitation: invitation.id };
            sheet.change(format!("invitation of {login}"), gone(&invitation.permission), write);
        }
    }
}
