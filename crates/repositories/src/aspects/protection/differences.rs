//! Compares a live branch rule with the declared rule. A restriction and its exceptions are one
//! difference, so that Beadle writes either both or neither of them.

use std::collections::BTreeMap;

use beadle_engine::{Failure, Field, PolicyLocation, Risk};
use beadle_github::{Actor, ActorKind, Allowances, NameKind, Permission, Rule};
use futures::future::join_all;
use serde_json::{Value, json};

use super::checks::{checks, missing_apps, sorted};
use super::translate::{DesiredRule, FLAGS, LISTS, List, OF_REVIEWS, REVIEWS, better, resolved};
use crate::aspects::{Context, field};

/// A group of rule values that Beadle must write together.
pub(super) struct Difference {
    /// The fields that differ, as a plan shows them.
    pub(super) fields: Vec<Field>,
    /// The input fields of the mutation, with their values.
    pub(super) input: Vec<(&'static str, Value)>,
}

impl Difference {
    /// Returns whether the guard limits the difference.
    pub(super) fn is_guarded(&self) -> bool {
        self.fields.iter().any(|field| field.risk.is_guarded())
    }
}

/// The reason why Beadle could not plan a list of actors. The second value is `true` if a retry
/// might help.
pub(super) type UnresolvedList = (String, bool);

/// The differences in a rule, and the lists that Beadle could not plan.
pub(super) type Compared = (Vec<Difference>, Vec<UnresolvedList>);

/// Returns the differences between the policy and the live `rule`, and the lists that Beadle could
/// not plan. `rules` contains all live rules of the repository.
pub(super) async fn differences(
    context: &Context<'_>,
    wanted: &DesiredRule,
    rules: &[Rule],
    rule: Option<&Rule>,
) -> Result<Compared, Failure> {
    let (mut found, mut unresolved) = (Vec::new(), Vec::new());
    flags(context, wanted, rule, &mut found, &mut unresolved);
    if let Some((shown, checks)) = checks(wanted, rule) {
        if let Some(why) = missing_apps(context, wanted, rules).await? {
            unresolved.push((why, false));
        } else {
            let input = vec![("requiredStatusChecks", checks)];
            found.push(Difference { fields: vec![shown], input });
        }
    }
    if !context.reader.lacks("requiredDeploymentEnvironments") {
        environments(wanted, rule, &mut found);
    }
    let lists: Vec<_> = LISTS.iter().map(|list| list_of(context, wanted, rule, list)).collect();
    for read in join_all(lists).await {
        let (difference, unresolved_list) = read?;
        found.extend(difference);
        unresolved.extend(unresolved_list);
    }
    Ok((found, unresolved))
}

/// Compares one list of actors. If Beadle cannot plan a part of the list, the function adds the
/// reason to `unresolved`.
async fn list_of(
    context: &Context<'_>,
    wanted: &DesiredRule,
    rule: Option<&Rule>,
    list: &List,
) -> Result<(Option<Difference>, Vec<UnresolvedList>), Failure> {
    let mut unresolved = Vec::new();
    let none = Allowances::default();
    let allowances = rule.map_or(&none, |rule| &rule.allowances);
    let hidden = rule.is_some_and(|rule| rule.hidden.iter().any(|name| name == list.connection));
    let off =
        list.flag.is_some_and(|flag| wanted.fields.get(flag).is_some_and(|(on, _)| on == &json!(false)));
    if hidden && !off && wanted.lists.contains_key(list.graphql) {
        let text = format!(
            "GitHub does not show everybody in `{}` of the rule: Beadle leaves the list as it is",
            list.rest
        );
        return Ok((None, vec![(text, false)]));
    }
    let seen = (list.seen)(allowances);
    let powerless = if list.rest == "restrictions" && !off {
        powerless(context, wanted, list, seen).await?
    } else {
        Vec::new()
    };
    let difference = match actors(context, wanted, rule, list, seen, &powerless).await? {
        Ok(difference) => difference,
        Err(why) => {
            unresolved.push((why, false));
            None
        }
    };
    for actor in &powerless {
        let kind = if actor.kind == ActorKind::Team { "team" } else { "user" };
        let text = format!(
            "{kind} `{}` has no write access to the repository: GitHub leaves it out of `{}`",
            actor.name, list.rest
        );
        unresolved.push((text, false));
    }
    Ok((difference, unresolved))
}

fn seen_flag(rule: Option<&Rule>, graphql: &str) -> Value {
    rule.and_then(|rule| rule.fields.get(graphql).cloned()).unwrap_or(Value::Null)
}

fn flags(
    context: &Context<'_>,
    wanted: &DesiredRule,
    rule: Option<&Rule>,
    found: &mut Vec<Difference>,
    unresolved: &mut Vec<UnresolvedList>,
) {
    for flag in FLAGS {
        // Some flags turn a list on or off. Beadle writes such a flag together with its list.
        if LISTS.iter().any(|list| list.flag == Some(flag.graphql)) {
            continue;
        }
        let Some((value, asked)) = wanted.fields.get(flag.graphql) else { continue };
        if context.reader.lacks(flag.graphql) {
            unresolved.push((format!("this GitHub server does not know `{}` ({asked})", flag.rest), false));
            continue;
        }
        let seen = seen_flag(rule, flag.graphql);
        let value = &resolved(value, &seen);
        // If GitHub does not show a flag of a live rule, the flag is off. But if the write also turns
        // on the required reviews, GitHub chooses the hidden number of approvals itself.
        let is_off = |value: &Value| value == &json!(false) || value == &json!(0);
        let is_hidden = rule.is_some() && seen.is_null() && is_off(value);
        let is_chosen = flag.graphql == "requiredApprovingReviewCount" && turns_on_reviews(wanted, rule);
        if seen == *value || (is_hidden && !is_chosen) {
            continue;
        }
        let risk = if better(&seen, value, flag.strict) { Risk::Changes } else { Risk::Weakens };
        let mut fields = vec![field(flag.rest, seen, value.clone(), Some(asked), risk)];
        if flag.rest == REVIEWS && *value == json!(false) {
            fields.extend(lost_with_reviews(rule, asked));
        }
        found.push(Difference { fields, input: vec![(flag.graphql, value.clone())] });
    }
}

/// Returns the requirements of a live rule that end together with its required reviews. Beadle writes
/// only the flag of the reviews, but the plan and the guard know each requirement that is lost.
fn lost_with_reviews(rule: Option<&Rule>, asked: &PolicyLocation) -> Vec<Field> {
    let inner = FLAGS.iter().filter(|flag| OF_REVIEWS.contains(&flag.rest));
    let lost = inner.filter_map(|flag| {
        let seen = seen_flag(rule, flag.graphql);
        let off = match &seen {
            Value::Bool(true) => json!(false),
            // Without required reviews, GitHub shows no number.
            Value::Number(count) if count.as_i64() > Some(0) => Value::Null,
            _ => return None,
        };
        Some(field(flag.rest, seen, off, Some(asked), Risk::Weakens))
    });
    lost.collect()
}

/// Returns whether a write turns on the required reviews of a live rule.
fn turns_on_reviews(wanted: &DesiredRule, rule: Option<&Rule>) -> bool {
    const REVIEWS: &str = "requiresApprovingReviews";
    let is_wanted = wanted.fields.get(REVIEWS).is_some_and(|(value, _)| *value == json!(true));
    is_wanted && rule.is_some() && seen_flag(rule, REVIEWS) != json!(true)
}

fn environments(wanted: &DesiredRule, rule: Option<&Rule>, found: &mut Vec<Difference>) {
    let Some((environments, asked)) = &wanted.environments else { return };
    let before = sorted(rule.map(|rule| rule.environments.clone()).unwrap_or_default().into_iter());
    let after = sorted(environments.iter().cloned());
    if before == after {
        return;
    }
    let kept = before.iter().all(|name| after.contains(name));
    let risk = if kept { Risk::Changes } else { Risk::Weakens };
    found.push(Difference {
        fields: vec![field(
            "required_deployment_environments",
            json!(before),
            json!(after),
            Some(asked),
            risk,
        )],
        input: vec![("requiredDeploymentEnvironments", json!(after))],
    });
}

/// Returns whether two values mean the same actor.
fn same(one: &Actor, other: &Actor) -> bool {
    one.kind == other.kind && one.name.eq_ignore_ascii_case(&other.name)
}

/// Returns whether a permission certainly includes write access. Beadle does not know what a custom
/// role permits. For a custom role, the function returns `false`, and the caller asks GitHub.
fn writes(permission: &Permission) -> bool {
    permission.rank() >= Permission::Push.rank()
}

/// Returns whether the policy gives write access to an actor, and the run writes this access. An App
/// gets its access from its installation, not from the policy.
fn is_granted(context: &Context<'_>, actor: &Actor) -> bool {
    let is =
        |name: &str, permission: &Permission| name.eq_ignore_ascii_case(&actor.name) && writes(permission);
    let desired = context.desired;
    match actor.kind {
        ActorKind::App => true,
        ActorKind::Team => desired
            .teams
            .as_ref()
            .filter(|_| context.teams_are_written)
            .is_some_and(|teams| teams.items.iter().any(|team| is(&team.slug, &team.permission))),
        // An invited account has no access yet.
        ActorKind::User => {
            let seen = context.repository.collaborators.value();
            let has_joined = |login: &str| {
                seen.is_some_and(|seen| seen.iter().any(|other| other.login.eq_ignore_ascii_case(login)))
            };
            let people = desired.collaborators.as_ref().filter(|_| context.collaborators_are_written);
            people.is_some_and(|people| {
                let mut people = people.items.iter();
                people.any(|person| is(&person.login, &person.permission) && has_joined(&person.login))
            })
        }
    }
}

/// Returns the actors without write access among the new exceptions of a push restriction. GitHub
/// silently removes such actors. Without this check, Beadle would try to add these actors in every
/// run.
async fn powerless(
    context: &Context<'_>,
    wanted: &DesiredRule,
    list: &List,
    seen: &[Actor],
) -> Result<Vec<Actor>, Failure> {
    let Some((actors, _)) = wanted.lists.get(list.graphql) else { return Ok(Vec::new()) };
    let is_new = |actor: &&Actor| !seen.iter().any(|other| same(actor, other)) && !is_granted(context, actor);
    let asked: Vec<Actor> = actors.iter().filter(is_new).cloned().collect();
    let (owner, name) = (&context.repository.owner, &context.repository.name);
    let mut powerless = Vec::new();
    for actor in asked {
        let may_write = if actor.kind == ActorKind::Team {
            context.reader.team_writes(&actor.name, owner, name).await?
        } else {
            context.reader.user_writes(&actor.name, owner, name).await?
        };
        if !may_write {
            powerless.push(actor);
        }
    }
    if powerless.is_empty() {
        return Ok(powerless);
    }
    // Another check reports actors that do not exist, so this function omits such actors.
    let powerless: Vec<(Actor, Option<&PolicyLocation>)> =
        powerless.into_iter().map(|actor| (actor, None)).collect();
    let exist = context.names.resolve(context.reader, &powerless).await?;
    Ok(powerless.into_iter().zip(exist).filter(|(_, id)| id.is_ok()).map(|((actor, _), _)| actor).collect())
}

/// Compares one list of actors, and the flag that turns the list on. If an actor does not exist,
/// the function returns `Err` with a reason that contains the actor's name. Like GitHub, Beadle
/// omits actors without write access. If no actor remains, Beadle does not write the restriction.
async fn actors(
    context: &Context<'_>,
    wanted: &DesiredRule,
    rule: Option<&Rule>,
    list: &List,
    seen: &[Actor],
    powerless: &[Actor],
) -> Result<Result<Option<Difference>, String>, Failure> {
    let mut difference = Difference { fields: Vec::new(), input: Vec::new() };
    let mut turned_on = false;
    if let Some(flag) = list.flag
        && let Some((value, asked)) = wanted.fields.get(flag)
    {
        let before = seen_flag(rule, flag);
        let on = value == &json!(true);
        if before != *value {
            turned_on = on;
            let risk = if on { Risk::Changes } else { Risk::Weakens };
            // A new rule starts without restrictions, so it is not necessary to turn a restriction
            // off.
            if on || rule.is_some() {
                difference.fields.push(field(list.rest, before, value.clone(), Some(asked), risk));
                difference.input.push((flag, value.clone()));
            }
        }
        if !on {
            // While the restriction is off, its exceptions have no effect.
            return Ok(Ok((!difference.fields.is_empty()).then_some(difference)));
        }
    }
    let Some((actors, asked)) = wanted.lists.get(list.graphql) else { return Ok(Ok(None)) };
    let mut others = Vec::new();
    for actor in actors {
        // Beadle also stores the ids of the actors in the live list. Before the next run, a
        // different account might get the name of one of these actors.
        let number = seen.iter().find(|other| same(actor, other)).and_then(|other| other.number);
        if let (Some(number), Some(kind)) = (number, NameKind::of(actor.kind)) {
            others.extend(context.names.another_owner(kind, &actor.name, number, None).await?);
        }
    }
    if !others.is_empty() {
        return Ok(Err(format!("{} ({asked}); Beadle leaves this list as it is", others.join(", "))));
    }
    let able: Vec<Actor> =
        actors.iter().filter(|actor| !powerless.iter().any(|other| same(actor, other))).cloned().collect();
    if able.is_empty() && !actors.is_empty() {
        let why =
            format!("nobody in `{}` has write access ({asked}); Beadle leaves this list as it is", list.rest);
        return Ok(Err(why));
    }
    let (before, after) = (labels(seen), labels(&able));
    if before != after {
        let ids = match ids(context, &able, seen, asked).await? {
            Ok(ids) => ids,
            Err(why) => return Ok(Err(why)),
        };
        let more = after.iter().any(|actor| !before.contains(actor));
        let risk = if more && !turned_on { Risk::Weakens } else { Risk::Changes };
        let name = format!("{} to", list.rest);
        let name = if list.flag.is_some() { name.as_str() } else { list.rest };
        difference.fields.push(field(name, json!(before), json!(after), Some(asked), risk));
        difference.input.push((list.graphql, json!(ids)));
    }
    Ok(Ok((!difference.fields.is_empty()).then_some(difference)))
}

/// Returns the node ids of actors. For actors in a live rule, Beadle already knows the ids. For all
/// other actors, GitHub resolves the names.
async fn ids(
    context: &Context<'_>,
    actors: &[Actor],
    seen: &[Actor],
    asked: &PolicyLocation,
) -> Result<Result<Vec<String>, String>, Failure> {
    let known: BTreeMap<usize, String> = actors
        .iter()
        .enumerate()
        .filter_map(|(at, actor)| Some((at, seen.iter().find(|other| same(actor, other))?.id.clone()?)))
        .collect();
    let unknown: Vec<Actor> = actors
        .iter()
        .enumerate()
        .filter(|(at, _)| !known.contains_key(at))
        .map(|(_, actor)| actor.clone())
        .collect();
    let mut ids: Vec<String> = known.into_values().collect();
    if !unknown.is_empty() {
        let mut missing = Vec::new();
        let unknown: Vec<(Actor, Option<&PolicyLocation>)> =
            unknown.into_iter().map(|actor| (actor, None)).collect();
        for found in context.names.resolve(context.reader, &unknown).await? {
            match found {
                Ok(found) => ids.push(found.node_id),
                Err(why) => missing.push(why),
            }
        }
        if !missing.is_empty() {
            return Ok(Err(format!("{} ({asked}); Beadle leaves this list as it is", missing.join(", "))));
        }
    }
    Ok(Ok(ids))
}

/// Returns the names that plans show for actors.
pub(super) fn labels(actors: &[Actor]) -> Vec<String> {
    sorted(actors.iter().map(|actor| format!("{:?} {}", actor.kind, actor.name).to_lowercase()))
}
