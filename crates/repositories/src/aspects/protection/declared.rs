//! Converts a live rule to the form that a policy uses. `beadle import` uses this module.

use beadle_github::{Actor, ActorKind, Rule};
use serde_json::{Map, Value, json};

use super::differences::labels;
use super::translate::{FLAGS, Flag, LISTS, OF_REVIEWS, OWN};

/// Returns the rule in the form that a policy uses. The function omits the default values of a new
/// rule. The second part of the result contains the names of those lists of actors that GitHub does
/// not show completely.
pub(crate) fn declared(rule: &Rule) -> (Value, Vec<&'static str>) {
    let seen = |rest: &str| {
        let flag = FLAGS.iter().find(|flag| flag.rest == rest);
        flag.and_then(|flag| rule.fields.get(flag.graphql)).unwrap_or(&Value::Null)
    };
    let is_on = |rest: &str| *seen(rest) == json!(true);
    let mut hidden = Vec::new();
    let mut protection = Map::new();
    for key in OWN.iter().filter(|key| is_on(key)) {
        protection.insert((*key).to_owned(), json!(true));
    }
    if is_on("required_status_checks") {
        let checks =
            rule.checks.iter().map(|check| json!({ "context": check.context, "app_id": check.app_id }));
        let checks: Vec<Value> = checks.collect();
        let strict = is_on("required_status_checks.strict");
        protection.insert("required_status_checks".into(), json!({ "strict": strict, "checks": checks }));
    }
    if is_on("required_pull_request_reviews") {
        let mut reviews = Map::new();
        for key in OF_REVIEWS {
            let value = seen(key);
            if value.is_number() || *value == json!(true) {
                reviews.insert((*key).to_owned(), value.clone());
            }
        }
        if is_on("dismissal_restrictions") {
            insert(
                &mut reviews,
                "dismissal_restrictions",
                actors(rule, "dismissal_restrictions", &mut hidden),
            );
        }
        let bypass = actors(rule, "bypass_pull_request_allowances", &mut hidden);
        insert(&mut reviews, "bypass_pull_request_allowances", bypass.filter(|bypass| *bypass != nobody()));
        protection.insert("required_pull_request_reviews".into(), Value::Object(reviews));
    }
    if is_on("restrictions") {
        insert(&mut protection, "restrictions", actors(rule, "restrictions", &mut hidden));
    }
    let pushers = actors(rule, "force_push_allowances", &mut hidden);
    insert(&mut protection, "force_push_allowances", pushers.filter(|pushers| *pushers != nobody()));
    if is_on("required_deployment_environments") && !rule.environments.is_empty() {
        let mut environments = rule.environments.clone();
        environments.sort();
        protection.insert("required_deployment_environments".into(), json!(environments));
    }
    if protection.is_empty() {
        // In a policy, an empty block removes the rule.
        protection.insert("allow_deletions".into(), json!(false));
    }
    (Value::Object(protection), hidden)
}

/// Returns the live flags, numbers and lists of a rule. The keys are the names that plans show. The
/// name of a list ends with ` list`. Returns `None` if GitHub hides a member of a list.
pub(crate) fn shown(rule: &Rule) -> Option<Vec<(String, Value)>> {
    let flag = |flag: &Flag| rule.fields.get(flag.graphql).cloned().unwrap_or_default();
    let flags = FLAGS.iter().map(|one| (one.rest.to_owned(), flag(one)));
    let mut shown: Vec<(String, Value)> = flags.collect();
    for list in LISTS {
        if rule.hidden.iter().any(|name| name == list.connection) {
            return None;
        }
        let kind = if list.flag.is_some() { "to list" } else { "list" };
        shown.push((format!("{} {kind}", list.rest), json!(labels((list.seen)(&rule.allowances)))));
    }
    let checks: Vec<&str> = rule.checks.iter().map(|check| check.context.as_str()).collect();
    shown.push(("required_status_checks.checks list".to_owned(), json!(checks)));
    shown.push(("required_deployment_environments list".to_owned(), json!(rule.environments)));
    Some(shown)
}

fn insert(block: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        block.insert(key.to_owned(), value);
    }
}

/// Returns an empty list of actors.
fn nobody() -> Value {
    json!({ "users": [], "teams": [] })
}

/// Returns a list of actors. If GitHub does not show all actors, the function returns `None` and
/// adds the list to `hidden`.
fn actors(rule: &Rule, rest: &str, hidden: &mut Vec<&'static str>) -> Option<Value> {
    let list = LISTS.iter().find(|list| list.rest == rest)?;
    if rule.hidden.iter().any(|name| name == list.connection) {
        hidden.push(list.rest);
        return None;
    }
    let seen = (list.seen)(&rule.allowances);
    let names = |kind: ActorKind| {
        let names = seen.iter().filter(|actor| actor.kind == kind);
        let mut names: Vec<&str> = names.map(|actor: &Actor| actor.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        json!(names)
    };
    let mut actors = json!({ "users": names(ActorKind::User), "teams": names(ActorKind::Team) });
    if seen.iter().any(|actor| actor.kind == ActorKind::App) {
        actors["apps"] = names(ActorKind::App);
    }
    Some(actors)
}

#[cfg(test)]
mod tests {
    use beadle_github::Allowances;

    use super::*;
    use crate::aspects::protection::translate::DesiredRule;
    use crate::policy::Node;

    fn rule(fields: Value) -> Rule {
        let Value::Object(fields) = fields else { panic!("{fields}") };
        Rule {
            id: "R".into(),
            pattern: "main".into(),
            fields,
            checks: Vec::new(),
            environments: Vec::new(),
            allowances: Allowances::default(),
            hidden: Vec::new(),
        }
    }

    #[test]
    fn every_flag_of_a_rule_is_declared() {
        let is_count = |graphql: &str| graphql == "requiredApprovingReviewCount";
        let fields: Map<String, Value> = FLAGS
            .iter()
            .map(|flag| {
                (flag.graphql.to_owned(), if is_count(flag.graphql) { json!(2) } else { json!(true) })
            })
            .collect();
        let live = Rule { environments: vec!["production".into()], ..rule(Value::Object(fields.clone())) };
        let (protection, hidden) = declared(&live);
        assert!(hidden.is_empty());
        let read = DesiredRule::read(&Node::parse("f.yml", &protection.to_string()).unwrap());
        let read: Map<String, Value> =
            read.fields.into_iter().map(|(name, (value, _))| (name.to_owned(), value)).collect();
        assert_eq!(read, fields);
    }

    #[test]
    fn a_rule_without_any_restriction_is_not_an_empty_block() {
        let (protection, _) = declared(&rule(json!({ "isAdminEnforced": false })));
        assert_eq!(protection, json!({ "allow_deletions": false }));
    }

    #[test]
    fn a_list_that_github_does_not_show_is_left_out_by_name() {
        let fields = json!({ "restrictsPushes": true, "isAdminEnforced": true });
        let live = Rule { hidden: vec!["pushAllowances".into()], ..rule(fields) };
        assert_eq!(declared(&live), (json!({ "enforce_admins": true }), vec!["restrictions"]));
    }
}
