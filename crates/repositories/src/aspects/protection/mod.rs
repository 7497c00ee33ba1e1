//! Branch protection rules by pattern, over GraphQL: so that also a branch that does not exist yet is protected, and a
//! rule is changed in place, never deleted and made again.
//!
//! <https://docs.github.com/graphql/reference/mutations#updatebranchprotectionrule>

mod translate;

use async_trait::async_trait;
use beadle_engine::{Asked, Failure, Field, Risk};
use beadle_github::{Actor, Allowances, Rule, StatusCheck};
use serde_json::{Map, Value, json};

use self::translate::{FLAGS, LISTS, Wanted, app_node, better};
use super::{Aspect, Context, Sheet, Step, Target, field};

/// The repository's branch protection rules.
pub struct Protection;

enum Write {
    Create(Value),
    Update(Value),
    Delete(String),
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &Target) -> Result<(), Failure> {
        match self {
            Self::Create(input) => to.writer.create_rule(input.clone()).await,
            Self::Update(input) => to.writer.update_rule(input.clone()).await,
            Self::Delete(id) => to.writer.delete_rule(id).await,
        }
    }
}

/// A field of a rule, with what it puts into the mutation's input.
struct Difference {
    field: Field,
    input: Vec<(&'static str, Value)>,
}

#[async_trait]
impl Aspect for Protection {
    fn name(&self) -> &'static str {
        "protection"
    }

    fn owns(&self, section: &str) -> bool {
        section == "branches"
    }

    async fn plan(&self, context: &Context<'_>, sheet: &mut Sheet) -> Result<(), Failure> {
        if context.desired.branches.is_empty() {
            return Ok(());
        }
        let rules = match &context.repository.protection {
            Some(Ok(rules)) => rules,
            Some(Err(why)) => {
                sheet.unreadable(why.clone());
                return Ok(());
            }
            None => return Ok(()),
        };
        // The branch that the policy makes the default one, else the one that is.
        let wanted = context.desired.settings.iter().find(|want| want.key == "default_branch");
        let default =
            wanted.and_then(|want| want.value.as_str()).or(context.repository.default_branch.as_deref());
        for (at, branch) in context.desired.branches.iter().enumerate() {
            let Some(pattern) = branch.pattern.as_deref().or(default) else {
                sheet.unreadable("GitHub does not say what the default branch is called");
                continue;
            };
            // A rule that names the branch says more than one for `default`.
            let named = |other: &crate::policy::BranchWant| other.pattern.as_deref() == Some(pattern);
            let repeated = context.desired.branches.iter().skip(at + 1).any(named);
            if branch.pattern.is_none() && context.desired.branches.iter().any(named) || repeated {
                continue;
            }
            let rule = rules.iter().find(|rule| rule.pattern == pattern);
            let what = format!("rule {pattern}");
            match (&branch.protection, rule) {
                (None, None) => {}
                (None, Some(rule)) => {
                    let fields =
                        vec![field("rule", json!(true), Value::Null, Some(&branch.asked), Risk::Weakens)];
                    sheet.change(what, fields, Write::Delete(rule.id.clone()));
                }
                (Some(protection), rule) => {
                    let wanted = Wanted::read(protection);
                    plan_rule(context, &what, pattern, &wanted, rule, &branch.asked, sheet).await?;
                }
            }
        }
        Ok(())
    }
}

async fn plan_rule(
    context: &Context<'_>,
    what: &str,
    pattern: &str,
    wanted: &Wanted,
    rule: Option<&Rule>,
    asked: &Asked,
    sheet: &mut Sheet,
) -> Result<(), Failure> {
    let mut differences = Vec::new();
    flags(wanted, rule, &mut differences);
    checks(wanted, rule, &mut differences);
    environments(wanted, rule, &mut differences);
    if let Err(why) = actors(context, wanted, rule, &mut differences).await? {
        // The rule is still kept, without the list that names somebody unknown.
        sheet.unresolved(why);
    }
    let Some(rule) = rule else {
        let mut input = Map::from_iter([
            ("repositoryId".to_owned(), json!(context.repository.node_id)),
            ("pattern".to_owned(), json!(pattern)),
        ]);
        let mut fields = vec![field("rule", Value::Null, json!(pattern), Some(asked), Risk::Adds)];
        for difference in differences {
            input.extend(difference.input.into_iter().map(|(name, value)| (name.to_owned(), value)));
            fields.push(Field { before: Value::Null, risk: Risk::Adds, ..difference.field });
        }
        sheet.change(what, fields, Write::Create(Value::Object(input)));
        return Ok(());
    };
    // What the guard may hold goes apart, so that nothing else waits for it.
    let (guarded, plain): (Vec<_>, Vec<_>) = differences.into_iter().partition(|d| d.field.risk.is_guarded());
    for part in [plain, guarded] {
        if part.is_empty() {
            continue;
        }
        let mut input = Map::from_iter([("branchProtectionRuleId".to_owned(), json!(rule.id))]);
        let mut fields = Vec::new();
        for difference in part {
            input.extend(difference.input.into_iter().map(|(name, value)| (name.to_owned(), value)));
            fields.push(difference.field);
        }
        sheet.change(what, fields, Write::Update(Value::Object(input)));
    }
    Ok(())
}

fn flags(wanted: &Wanted, rule: Option<&Rule>, differences: &mut Vec<Difference>) {
    for flag in FLAGS {
        let Some((value, asked)) = wanted.fields.get(flag.graphql) else { continue };
        let seen =
            rule.map_or(Value::Null, |rule| rule.fields.get(flag.graphql).cloned().unwrap_or(Value::Null));
        if seen == *value {
            continue;
        }
        let risk = if better(&seen, value, flag.strict) { Risk::Changes } else { Risk::Weakens };
        differences.push(Difference {
            field: field(flag.rest, seen, value.clone(), Some(asked), risk),
            input: vec![(flag.graphql, value.clone())],
        });
    }
}

fn checks(wanted: &Wanted, rule: Option<&Rule>, differences: &mut Vec<Difference>) {
    let Some((checks, asked)) = &wanted.checks else { return };
    let seen = rule.map(|rule| rule.checks.clone()).unwrap_or_default();
    let label = |check: &StatusCheck| match check.app_id {
        Some(app) => format!("{} (app {app})", check.context),
        None => check.context.clone(),
    };
    let sorted = |checks: &[StatusCheck]| {
        let mut labels: Vec<String> = checks.iter().map(label).collect();
        labels.sort();
        labels.dedup();
        labels
    };
    let (before, after) = (sorted(&seen), sorted(checks));
    if before == after {
        return;
    }
    // Every check that was required still is, from the same source: then nothing is weaker.
    let kept = seen.iter().all(|old| {
        checks
            .iter()
            .any(|new| new.context == old.context && (old.app_id.is_none() || old.app_id == new.app_id))
    });
    let input: Vec<Value> = checks
        .iter()
        .map(|check| {
            let known =
                seen.iter().find(|old| old.app_id == check.app_id).and_then(|old| old.app_node.clone());
            let app = check.app_id.map(|id| known.unwrap_or_else(|| app_node(id)));
            json!({ "context": check.context, "appId": app.unwrap_or_else(|| "any".into()) })
        })
        .collect();
    let risk = if kept { Risk::Changes } else { Risk::Weakens };
    differences.push(Difference {
        field: field("required_status_checks.checks", json!(before), json!(after), Some(asked), risk),
        input: vec![("requiredStatusChecks", json!(input))],
    });
}

fn environments(wanted: &Wanted, rule: Option<&Rule>, differences: &mut Vec<Difference>) {
    let Some((environments, asked)) = &wanted.environments else { return };
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort();
        names
    };
    let before = sorted(&rule.map(|rule| rule.environments.clone()).unwrap_or_default());
    let after = sorted(environments);
    if before == after {
        return;
    }
    let kept = before.iter().all(|name| after.contains(name));
    let risk = if kept { Risk::Changes } else { Risk::Weakens };
    differences.push(Difference {
        field: field("required_deployment_environments", json!(before), json!(after), Some(asked), risk),
        input: vec![("requiredDeploymentEnvironments", json!(after))],
    });
}

/// The four lists of actors. `Err` names somebody who does not exist; the other lists are planned all the same.
async fn actors(
    context: &Context<'_>,
    wanted: &Wanted,
    rule: Option<&Rule>,
    differences: &mut Vec<Difference>,
) -> Result<Result<(), String>, Failure> {
    let none = Allowances::default();
    let allowances = rule.map_or(&none, |rule| &rule.allowances);
    let mut doubt = Ok(());
    for list in LISTS {
        let Some((actors, asked)) = wanted.lists.get(list.graphql) else { continue };
        let seen = (list.seen)(allowances);
        let (before, after) = (labels(seen), labels(actors));
        if before == after {
            continue;
        }
        let mut ids = Vec::with_capacity(actors.len());
        let mut unknown = Vec::new();
        for actor in actors {
            let known = seen.iter().find(|other| same(actor, other)).and_then(|other| other.id.clone());
            match known {
                Some(id) => ids.push(id),
                None => unknown.push(actor.clone()),
            }
        }
        if !unknown.is_empty() {
            let resolved: Result<Vec<String>, String> =
                context.reader.resolve(&unknown).await?.into_iter().collect();
            match resolved {
                Ok(resolved) => ids.extend(resolved),
                Err(why) => {
                    doubt = Err(format!("{why} ({asked}); this list stays as it is"));
                    continue;
                }
            }
        }
        let more = after.iter().any(|actor| !before.contains(actor));
        let risk = if more { Risk::Weakens } else { Risk::Changes };
        differences.push(Difference {
            field: field(list.rest, json!(before), json!(after), Some(asked), risk),
            input: vec![(list.graphql, json!(ids))],
        });
    }
    Ok(doubt)
}

fn same(one: &Actor, other: &Actor) -> bool {
    one.kind == other.kind && one.name.eq_ignore_ascii_case(&other.name)
}

fn labels(actors: &[Actor]) -> Vec<String> {
    let mut labels: Vec<String> =
        actors.iter().map(|actor| format!("{:?} {}", actor.kind, actor.name).to_lowercase()).collect();
    labels.sort();
    labels.dedup();
    labels
}
