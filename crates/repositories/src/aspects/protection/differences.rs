//! How a rule differs from what is asked for. What belongs together (a restriction and who is excepted from it) is one
//! difference, so that it is written together or not at all.

use std::collections::BTreeMap;

use beadle_engine::{Asked, Failure, Field, Risk};
use beadle_github::{Actor, Allowances, Rule, StatusCheck};
use serde_json::{Value, json};

use super::translate::{Binding, FLAGS, LISTS, List, Wanted, WantedCheck, app_node, better};
use crate::aspects::{Context, field};
use crate::identity::pair;

/// Values that are written together.
pub(super) struct Difference {
    /// What differs.
    pub(super) fields: Vec<Field>,
    /// What it puts into the mutation's input.
    pub(super) input: Vec<(&'static str, Value)>,
}

impl Difference {
    /// Whether the guard has to look.
    pub(super) fn is_guarded(&self) -> bool {
        self.fields.iter().any(|field| field.risk.is_guarded())
    }
}

/// A list that could not be planned, and whether that may pass by itself.
pub(super) type Doubt = (String, bool);

/// Everything that differs, and what is in doubt.
pub(super) async fn differences(
    context: &Context<'_>,
    wanted: &Wanted,
    rule: Option<&Rule>,
) -> Result<(Vec<Difference>, Vec<Doubt>), Failure> {
    let (mut found, mut doubts) = (Vec::new(), Vec::new());
    flags(context, wanted, rule, &mut found, &mut doubts);
    checks(wanted, rule, &mut found);
    if !context.reader.lacks("requiredDeploymentEnvironments") {
        environments(wanted, rule, &mut found);
    }
    let none = Allowances::default();
    let allowances = rule.map_or(&none, |rule| &rule.allowances);
    for list in LISTS {
        let hidden = rule.is_some_and(|rule| rule.hidden.iter().any(|name| name == list.connection));
        let off =
            list.flag.is_some_and(|flag| wanted.fields.get(flag).is_some_and(|(on, _)| on == &json!(false)));
        if hidden && !off && wanted.lists.contains_key(list.graphql) {
            let text = format!(
                "GitHub does not show everybody in `{}` of the rule; the list stays as it is",
                list.rest
            );
            doubts.push((text, false));
            continue;
        }
        match actors(context, wanted, rule, list, (list.seen)(allowances)).await? {
            Ok(difference) => found.extend(difference),
            Err(why) => doubts.push((why, false)),
        }
    }
    Ok((found, doubts))
}

fn seen_flag(rule: Option<&Rule>, graphql: &str) -> Value {
    rule.and_then(|rule| rule.fields.get(graphql).cloned()).unwrap_or(Value::Null)
}

fn flags(
    context: &Context<'_>,
    wanted: &Wanted,
    rule: Option<&Rule>,
    found: &mut Vec<Difference>,
    doubts: &mut Vec<Doubt>,
) {
    for flag in FLAGS {
        // A flag with a list is written with its list.
        if LISTS.iter().any(|list| list.flag == Some(flag.graphql)) {
            continue;
        }
        let Some((value, asked)) = wanted.fields.get(flag.graphql) else { continue };
        if context.reader.lacks(flag.graphql) {
            doubts.push((format!("this GitHub does not know `{}` ({asked})", flag.rest), false));
            continue;
        }
        let seen = seen_flag(rule, flag.graphql);
        // Of a rule that is there, a flag that GitHub does not fill in is off.
        let is_off = |value: &Value| value == &json!(false) || value == &json!(0);
        if seen == *value || (rule.is_some() && seen.is_null() && is_off(value)) {
            continue;
        }
        let risk = if better(&seen, value, flag.strict) { Risk::Changes } else { Risk::Weakens };
        found.push(Difference {
            fields: vec![field(flag.rest, seen, value.clone(), Some(asked), risk)],
            input: vec![(flag.graphql, value.clone())],
        });
    }
}

fn checks(wanted: &Wanted, rule: Option<&Rule>, found: &mut Vec<Difference>) {
    let Some((checks, asked)) = &wanted.checks else { return };
    let seen = rule.map(|rule| rule.checks.as_slice()).unwrap_or_default();
    let matched = pair(checks, seen, closeness);
    if matched.only_desired.is_empty() && matched.only_observed.is_empty() {
        return;
    }
    // What each check is bound to, once it is written.
    let bound = |at: usize| match (checks[at].binding, matched.observed_of(at)) {
        (Binding::Unsaid, Some(live)) => seen[live].app_id.map_or(Binding::Any, Binding::App),
        (binding, _) => binding,
    };
    let after: Vec<(&str, Binding)> =
        checks.iter().enumerate().map(|(at, check)| (check.context.as_str(), bound(at))).collect();
    // Every check that was required still is, from the same source or a certain one: then nothing is weaker.
    let kept = seen.iter().all(|old| {
        let keeps = |binding: Binding| match (binding, old.app_id) {
            (Binding::App(new), Some(old)) => new == old,
            (_, None) => true,
            (Binding::Any | Binding::Unsaid, Some(_)) => false,
        };
        after.iter().any(|(context, binding)| *context == old.context && keeps(*binding))
    });
    let input = after.iter().map(|(context, binding)| match binding {
        Binding::App(id) => {
            json!({ "context": context, "appId": known_node(seen, *id).unwrap_or_else(|| app_node(*id)) })
        }
        Binding::Any => json!({ "context": context, "appId": "any" }),
        // GitHub takes the App that reported it last.
        Binding::Unsaid => json!({ "context": context }),
    });
    let input: Vec<Value> = input.collect();
    let before = sorted(seen.iter().map(|check| label(&check.context, check.app_id)));
    let shown = sorted(after.iter().map(|(context, binding)| match binding {
        Binding::App(app) => label(context, Some(*app)),
        Binding::Any | Binding::Unsaid => label(context, None),
    }));
    let risk = if kept { Risk::Changes } else { Risk::Weakens };
    found.push(Difference {
        fields: vec![field("required_status_checks.checks", json!(before), json!(shown), Some(asked), risk)],
        input: vec![("requiredStatusChecks", json!(input))],
    });
}

/// How close a live check is to a wanted one: a check is its name and its source. One whose source the policy leaves out
/// takes what the others leave, and rather one that is bound to an App.
fn closeness(wanted: &WantedCheck, live: &StatusCheck) -> Option<u8> {
    if wanted.context != live.context {
        return None;
    }
    match (wanted.binding, live.app_id) {
        (Binding::Any, None) => Some(0),
        (Binding::App(wanted), Some(app)) if wanted == app => Some(0),
        (Binding::Unsaid, Some(_)) => Some(1),
        (Binding::Unsaid, None) => Some(2),
        _ => None,
    }
}

fn known_node(seen: &[StatusCheck], app: i64) -> Option<String> {
    seen.iter().find(|check| check.app_id == Some(app)).and_then(|check| check.app_node.clone())
}

fn label(context: &str, app: Option<i64>) -> String {
    app.map_or_else(|| context.to_owned(), |app| format!("{context} (app {app})"))
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}

fn environments(wanted: &Wanted, rule: Option<&Rule>, found: &mut Vec<Difference>) {
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

/// One list of actors, with the flag that makes it count. `Err` names somebody who does not exist.
async fn actors(
    context: &Context<'_>,
    wanted: &Wanted,
    rule: Option<&Rule>,
    list: &List,
    seen: &[Actor],
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
            // A new rule restricts nobody by itself.
            if on || rule.is_some() {
                difference.fields.push(field(list.rest, before, value.clone(), Some(asked), risk));
                difference.input.push((flag, value.clone()));
            }
        }
        if !on {
            // Without the restriction nobody is excepted from it: the list is not looked at.
            return Ok(Ok((!difference.fields.is_empty()).then_some(difference)));
        }
    }
    let Some((actors, asked)) = wanted.lists.get(list.graphql) else { return Ok(Ok(None)) };
    let (before, after) = (labels(seen), labels(actors));
    if before != after {
        let ids = match ids(context, actors, seen, asked).await? {
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

/// The node ids of actors: those that are there already are known, the others are looked up.
async fn ids(
    context: &Context<'_>,
    actors: &[Actor],
    seen: &[Actor],
    asked: &Asked,
) -> Result<Result<Vec<String>, String>, Failure> {
    let same =
        |one: &Actor, other: &Actor| one.kind == other.kind && one.name.eq_ignore_ascii_case(&other.name);
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
        let resolved: Result<Vec<String>, String> =
            context.reader.resolve(&unknown).await?.into_iter().collect();
        match resolved {
            Ok(resolved) => ids.extend(resolved),
            Err(why) => return Ok(Err(format!("{why} ({asked}); this list stays as it is"))),
        }
    }
    Ok(Ok(ids))
}

fn labels(actors: &[Actor]) -> Vec<String> {
    sorted(actors.iter().map(|actor| format!("{:?} {}", actor.kind, actor.name).to_lowercase()))
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::policy::Node;

    fn live(checks: &[(&str, Option<i64>)]) -> Rule {
        let check = |(context, app_id): &(&str, Option<i64>)| StatusCheck {
            context: (*context).to_owned(),
            app_id: *app_id,
            app_node: None,
        };
        Rule {
            id: "R".into(),
            pattern: "main".into(),
            fields: Map::new(),
            checks: checks.iter().map(check).collect(),
            environments: Vec::new(),
            allowances: Allowances::default(),
            hidden: Vec::new(),
        }
    }

    /// The risk of what differs, and the checks that are written.
    fn planned(wanted: &str, live: &Rule) -> Option<(Risk, Value)> {
        let node =
            Node::parse("f.yml", &format!("required_status_checks: {{ checks: [{wanted}] }}")).unwrap();
        let mut found = Vec::new();
        checks(&Wanted::read(&node), Some(live), &mut found);
        let found = found.pop()?;
        Some((found.fields[0].risk, found.input[0].1.clone()))
    }

    #[test]
    fn two_checks_of_one_name_and_two_apps_are_two() {
        let both = "{ context: build, app_id: 15368 }, { context: build, app_id: 12345 }";
        let (one, other) = (("build", Some(15368)), ("build", Some(12345)));
        assert_eq!(planned(both, &live(&[other, one])), None);
        assert!(planned(both, &live(&[one])).is_some());
        let (_, input) = planned(both, &live(&[one, one])).unwrap();
        assert_eq!(input.as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn a_check_of_another_app_beside_the_declared_one_is_found() {
        let seen = live(&[("ci", Some(15368)), ("ci", Some(666))]);
        let (risk, input) = planned("{ context: ci, app_id: 15368 }", &seen).unwrap();
        assert_eq!(risk, Risk::Weakens, "one check less");
        assert_eq!(input.as_array().map(Vec::len), Some(1));
        assert!(planned("{ context: ci }", &seen).is_some(), "one check, and not two");
    }

    #[test]
    fn any_app_is_not_a_certain_one_and_a_source_that_is_left_out_is_githubs_choice() {
        let bound = live(&[("ci", Some(666))]);
        assert!(planned("{ context: ci, app_id: null }", &bound).is_some());
        assert!(planned("{ context: ci, app_id: -1 }", &bound).is_some());
        assert_eq!(planned("{ context: ci }", &bound), None);
        let any = live(&[("ci", None)]);
        assert_eq!(planned("{ context: ci }", &any), None);
        assert_eq!(planned("{ context: ci, app_id: null }", &any), None);
        assert_eq!(planned("{ context: ci, app_id: 7 }", &any).unwrap().0, Risk::Changes, "stricter");
    }

    #[test]
    fn a_check_keeps_its_source_while_others_change() {
        let seen = live(&[("build", Some(15368)), ("lint", None)]);
        let (risk, input) =
            planned("{ context: build }, { context: lint }, { context: new }", &seen).unwrap();
        assert_eq!(risk, Risk::Changes);
        let apps: Vec<&Value> = input.as_array().unwrap().iter().map(|check| &check["appId"]).collect();
        assert_eq!(apps, [&json!(app_node(15368)), &json!("any"), &Value::Null]);
    }
}
