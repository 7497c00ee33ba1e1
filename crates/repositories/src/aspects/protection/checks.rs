//! The status checks that a branch rule requires. The name of a check, together with the App that
//! must report the check, identifies the check.

use beadle_engine::{Failure, Field, Risk};
use beadle_github::{Rule, StatusCheck};
use serde_json::{Value, json};

use super::translate::{Binding, DesiredRule, WantedCheck, app_node};
use crate::aspects::{Context, field};
use crate::identity::pair;

/// Compares the required checks of a live rule with the declared checks. Returns the difference,
/// and the complete list of checks that Beadle must write.
pub(super) fn checks(wanted: &DesiredRule, rule: Option<&Rule>) -> Option<(Field, Value)> {
    let (checks, asked) = wanted.checks.as_ref()?;
    let seen = rule.map(|rule| rule.checks.as_slice()).unwrap_or_default();
    let matched = pair(checks, seen, closeness);
    // The policy can declare the same check with an App and without an App. The live rule then
    // needs no entry for the declaration without an App, because the other declaration already
    // requires the check. If Beadle wrote both entries, they could become equal at GitHub. Beadle
    // would then read only one of them, and write the list again in each run.
    let is_covered = |at: usize| {
        let check = &checks[at];
        check.binding == Binding::Unsaid
            && matched.observed_of(at).is_none()
            && checks.iter().any(|other| other.context == check.context && other.binding != Binding::Unsaid)
    };
    if matched.only_desired.iter().all(|at| is_covered(*at)) && matched.only_observed.is_empty() {
        return None;
    }
    // The App that must report each check after the write.
    let bound = |at: usize| match (checks[at].binding, matched.observed_of(at)) {
        (Binding::Unsaid, Some(live)) => seen[live].app_id.map_or(Binding::Any, Binding::App),
        (binding, _) => binding,
    };
    let after = checks.iter().enumerate().filter(|(at, _)| !is_covered(*at));
    let after: Vec<(&str, Binding)> = after.map(|(at, check)| (check.context.as_str(), bound(at))).collect();
    // The rule does not become weaker if it still requires every live check from the same App. The
    // rule also does not become weaker if every App can report a live check now, and the policy
    // restricts this check to one App.
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
        // GitHub then binds the check to the App with the most recent report of the check.
        Binding::Unsaid => json!({ "context": context }),
    });
    let input: Vec<Value> = input.collect();
    let before = sorted(seen.iter().map(|check| label(&check.context, check.app_id)));
    let shown = sorted(after.iter().map(|(context, binding)| match binding {
        Binding::App(app) => label(context, Some(*app)),
        Binding::Any | Binding::Unsaid => label(context, None),
    }));
    let risk = if kept { Risk::Changes } else { Risk::Weakens };
    let shown = field("required_status_checks.checks", json!(before), json!(shown), Some(asked), risk);
    Some((shown, json!(input)))
}

/// If Beadle cannot write the list of checks, returns the reason. If the App of a check does not
/// exist, GitHub rejects the whole rule. An App in a live rule certainly exists. Beadle resolves
/// all other Apps with one call.
pub(super) async fn missing_apps(
    context: &Context<'_>,
    wanted: &DesiredRule,
    rules: &[Rule],
) -> Result<Option<String>, Failure> {
    let Some((checks, asked)) = &wanted.checks else { return Ok(None) };
    let unseen: Vec<(i64, &WantedCheck)> = unseen_apps(checks, rules);
    if unseen.is_empty() {
        return Ok(None);
    }
    let nodes: Vec<String> = unseen.iter().map(|(id, _)| app_node(*id)).collect();
    let exist = context.reader.are_apps(&nodes).await?;
    let missing = unseen.iter().zip(exist).filter(|(_, exists)| !exists).map(|((id, check), _)| {
        format!("there is no GitHub App with the id {id} (check `{}`)", check.context)
    });
    let missing: Vec<String> = missing.collect();
    if missing.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!("{} ({asked}); Beadle leaves the list of required checks as it is", missing.join(", "))))
}

/// Returns the Apps that a declared check names and that no live rule contains. Each App appears
/// only once in the result, together with the first check that names it.
fn unseen_apps<'a>(checks: &'a [WantedCheck], rules: &[Rule]) -> Vec<(i64, &'a WantedCheck)> {
    let mut unseen: Vec<(i64, &WantedCheck)> = Vec::new();
    for check in checks {
        let Binding::App(id) = check.binding else { continue };
        let is_live = rules.iter().flat_map(|rule| &rule.checks).any(|live| live.app_id == Some(id));
        if !is_live && !unseen.iter().any(|(other, _)| *other == id) {
            unseen.push((id, check));
        }
    }
    unseen
}

/// Returns how well a live check matches a declared check. The best match has the lowest number. A
/// declared check without an App gets only those live checks that match no other declared check.
/// Among these live checks, the best match is one that is bound to an App.
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

/// Returns the names in sorted order and without duplicates.
pub(super) fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use beadle_github::Allowances;
    use proptest::prelude::*;
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

    /// Returns the risk of the planned difference, and the list of checks that Beadle would write.
    fn planned(wanted: &str, live: &Rule) -> Option<(Risk, Value)> {
        let node =
            Node::parse("f.yml", &format!("required_status_checks: {{ checks: [{wanted}] }}")).unwrap();
        let (field, input) = checks(&DesiredRule::read(&node), Some(live))?;
        Some((field.risk, input))
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
    fn only_apps_that_no_live_rule_shows_are_asked_for_and_each_once() {
        let policy = "required_status_checks: { checks: [{ context: a, app_id: 7 }, { context: b, app_id: 7 }, \
                      { context: c, app_id: 8 }, { context: d, app_id: null }, { context: e }] }";
        let wanted = DesiredRule::read(&Node::parse("f.yml", policy).unwrap());
        let (wanted, _) = wanted.checks.unwrap();
        let ids =
            |rules: &[Rule]| -> Vec<i64> { unseen_apps(&wanted, rules).iter().map(|(id, _)| *id).collect() };
        assert_eq!(ids(&[]), [7, 8]);
        assert_eq!(ids(&[live(&[]), live(&[("other", Some(8))])]), [7]);
        assert_eq!(ids(&[live(&[("a", Some(7)), ("c", Some(8))])]), [0; 0]);
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

    #[test]
    fn a_check_with_its_app_and_the_same_check_without_an_app_come_to_rest() {
        let policy = "{ context: ci }, { context: ci, app_id: -1 }";
        let (_, input) = planned(policy, &live(&[])).unwrap();
        assert_eq!(input, json!([{ "context": "ci", "appId": "any" }]));
        assert_eq!(planned(policy, &live(&[("ci", None)])), None);
        // Each of the two declared entries matches one of the two live checks, so Beadle changes
        // nothing.
        assert_eq!(planned(policy, &live(&[("ci", None), ("ci", Some(7))])), None);
        // The check that every App can report is missing, so Beadle adds this check.
        let (risk, input) = planned(policy, &live(&[("ci", Some(7))])).unwrap();
        assert_eq!((risk, input.as_array().unwrap().len()), (Risk::Changes, 2));
    }

    /// Returns the checks that GitHub has after the write. If a check has no App, GitHub binds the
    /// check to the App with the most recent report of the check: `reporter`, if there is one.
    fn written(input: &Value, reporter: Option<i64>) -> Vec<(String, Option<i64>)> {
        let bound = |check: &Value| match check["appId"].as_str() {
            Some("any") => None,
            Some(node) => (0..10).find(|id| app_node(*id) == node),
            None => reporter,
        };
        let checks = input.as_array().unwrap().iter();
        let checks = checks.map(|check| (check["context"].as_str().unwrap().to_owned(), bound(check)));
        // Beadle reads each check only once, even if GitHub lists it twice.
        let checks: BTreeSet<(String, Option<i64>)> = checks.collect();
        checks.into_iter().collect()
    }

    fn rule_of(checks: &[(String, Option<i64>)]) -> Rule {
        live(&checks.iter().map(|(context, app)| (context.as_str(), *app)).collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn any_list_is_quiet_once_it_is_written_and_every_change_of_a_check_is_found(
            wanted in proptest::collection::vec((0u8..3, 0i64..5), 0..6),
            before in proptest::collection::btree_set((0u8..3, proptest::option::of(1i64..4)), 0..5),
            reporter in proptest::option::of(1i64..5),
        ) {
            let text: Vec<String> = wanted
                .iter()
                .map(|(name, app)| match app {
                    0 => format!("{{ context: c{name}, app_id: null }}"),
                    4 => format!("{{ context: c{name} }}"),
                    app => format!("{{ context: c{name}, app_id: {app} }}"),
                })
                .collect();
            let text = text.join(", ");
            let before: Vec<_> = before.into_iter().map(|(name, app)| (format!("c{name}"), app)).collect();
            let after = planned(&text, &rule_of(&before)).map_or(before, |(_, input)| written(&input, reporter));
            prop_assert_eq!(planned(&text, &rule_of(&after)), None);
            // If a declared check has no `app_id`, it matches a live check of any App. So the loop
            // below skips all live checks with the same name as such a declared check.
            let open: BTreeSet<String> =
                wanted.iter().filter(|(_, app)| *app == 4).map(|(name, _)| format!("c{name}")).collect();
            for at in (0..after.len()).filter(|at| !open.contains(&after[*at].0)) {
                let mut fewer = after.clone();
                fewer.remove(at);
                prop_assert!(planned(&text, &rule_of(&fewer)).is_some());
                let mut changed = after.clone();
                changed[at].1 = Some(8);
                prop_assert!(planned(&text, &rule_of(&changed)).is_some());
                let mut more = after.clone();
                more.push((after[at].0.clone(), Some(8)));
                prop_assert!(planned(&text, &rule_of(&more)).is_some());
            }
        }
    }
}
