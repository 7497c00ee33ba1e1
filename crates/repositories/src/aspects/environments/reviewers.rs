//! Resolves the names of an environment's reviewers and Apps to ids.

use beadle_engine::{Failure, PolicyLocation};
use beadle_github::{Actor, ActorKind, NameKind};
use serde_json::Value;

use super::observed::Reviewer;
use crate::aspects::aspect::{AspectPlan, Context};
use crate::policy::Node;

/// Returns the reviewers that the policy lists. If a name does not exist, or if it now belongs to
/// another team or user, the function records the reason and returns `None`. If GitHub already
/// shows a reviewer with this name, the function makes no call.
pub(super) async fn reviewers(
    context: &Context<'_>,
    part: &str,
    list: &Node,
    seen: &[Reviewer],
    plan: &mut AspectPlan,
) -> Result<Option<Vec<Reviewer>>, Failure> {
    let (mut found, mut missing, mut is_known) = (Vec::new(), Vec::new(), true);
    for item in list.items() {
        let kind = item.get("type").and_then(Node::text).unwrap_or_default();
        let id = item.get("id").and_then(Node::int).and_then(|id| u64::try_from(id).ok());
        if let Some(id) = id {
            let name = seen.iter().find(|other| other.kind == kind && other.id == id);
            let name = name.and_then(|other| other.name.clone());
            found.push(Reviewer { kind: kind.to_owned(), id, name });
            continue;
        }
        let (key, named) = if kind == "Team" { ("slug", NameKind::Team) } else { ("login", NameKind::User) };
        let Some(name) = item.get(key).and_then(Node::text) else {
            plan.cannot_resolve_part(part, format!("a reviewer has no `{key}` and no `id` ({})", item.asked));
            is_known = false;
            continue;
        };
        let is_called =
            |other: &&Reviewer| other.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name));
        if let Some(present) = seen.iter().filter(|other| other.kind == kind).find(is_called) {
            let asked = Some(&item.asked);
            match context.names.another_owner(named, name, present.id, asked).await? {
                None => found.push(present.clone()),
                Some(why) => {
                    plan.cannot_resolve_part(part, why);
                    is_known = false;
                }
            }
            continue;
        }
        let remembered = context.names.remembered(named, name).await?;
        let renamed = seen.iter().find(|other| other.kind == kind && Some(other.id) == remembered);
        if let Some(renamed) = renamed {
            let what = named.as_str();
            let now = renamed.name.clone().unwrap_or_default();
            let why = format!("{what} `{name}` is called `{now}` now; change the policy ({})", item.asked);
            plan.cannot_resolve_part(part, why);
            found.push(renamed.clone());
            continue;
        }
        missing.push((item, kind, name));
    }
    let actors: Vec<(Actor, Option<&PolicyLocation>)> = missing
        .iter()
        .map(|(item, kind, name)| {
            let kind = if *kind == "Team" { ActorKind::Team } else { ActorKind::User };
            (Actor { kind, name: (*name).to_owned(), id: None, number: None }, Some(&item.asked))
        })
        .collect();
    let resolved = context.names.resolve(context.reader, &actors).await?;
    for ((_, kind, _), owner) in missing.into_iter().zip(resolved) {
        match owner {
            Ok(owner) => found.push(Reviewer { kind: kind.to_owned(), id: owner.id, name: Some(owner.name) }),
            Err(why) => {
                plan.cannot_resolve_part(part, why);
                is_known = false;
            }
        }
    }
    Ok(is_known.then_some(found))
}

/// Returns whether GitHub shows the App of a protection rule. If GitHub does not show the App,
/// Beadle must not remove the rule.
pub(super) fn is_whole(rule: &Value) -> bool {
    rule["id"].is_u64() && rule["app"]["id"].is_u64()
}

/// Returns the id of each App that the policy lists. If an App does not exist, the function records
/// the reason and returns `None`. `seen` contains the rules at GitHub.
pub(super) async fn apps(
    context: &Context<'_>,
    part: &str,
    list: &Node,
    seen: &[Value],
    plan: &mut AspectPlan,
) -> Result<Option<Vec<(u64, String)>>, Failure> {
    let (mut found, mut is_known) = (Vec::new(), true);
    for item in list.items() {
        let id = item.get("app_id").and_then(Node::int).and_then(|id| u64::try_from(id).ok());
        if let Some(id) = id {
            let shown = seen.iter().find(|rule| rule["app"]["id"].as_u64() == Some(id));
            let shown = shown.and_then(|rule| rule["app"]["slug"].as_str());
            found.push((id, shown.map_or_else(|| id.to_string(), str::to_owned)));
            continue;
        }
        let Some(slug) = item.get("app").and_then(Node::text) else {
            plan.cannot_resolve_part(part, format!("a rule has no `app` and no `app_id` ({})", item.asked));
            is_known = false;
            continue;
        };
        let is_its = |rule: &&Value| {
            rule["app"]["slug"].as_str().is_some_and(|other| other.eq_ignore_ascii_case(slug))
        };
        if let Some(id) = seen.iter().find(is_its).and_then(|rule| rule["app"]["id"].as_u64()) {
            found.push((id, slug.to_owned()));
            continue;
        }
        let app = Actor { kind: ActorKind::App, name: slug.to_owned(), id: None, number: None };
        let resolved = context.names.resolve(context.reader, &[(app, Some(&item.asked))]).await?;
        match resolved.into_iter().next() {
            Some(Ok(app)) => found.push((app.id, app.name)),
            Some(Err(why)) => {
                plan.cannot_resolve_part(part, why);
                is_known = false;
            }
            None => is_known = false,
        }
    }
    Ok(is_known.then_some(found))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_without_its_app_is_not_whole() {
        assert!(is_whole(&json!({ "id": 1, "enabled": true, "app": { "id": 7, "slug": "gate" } })));
        for short in [json!({ "id": 1, "app": null }), json!({ "id": 1 }), json!({ "app": { "id": 7 } })] {
            assert!(!is_whole(&short), "{short}");
        }
    }
}
