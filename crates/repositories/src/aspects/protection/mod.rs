//! Plans and writes the branch protection rules of a repository. The pattern for branch names
//! identifies a rule. Beadle writes the rules with GraphQL, because GraphQL can protect a branch
//! that does not exist yet, and can update a rule without deleting it.
//!
//! <https://docs.github.com/graphql/reference/mutations#updatebranchprotectionrule>

mod checks;
mod declared;
mod differences;
mod keys;
mod translate;

use async_trait::async_trait;
use beadle_engine::{Failure, Field, PolicyLocation, Risk, check_glob};
use beadle_github::{Asks, Rule};
use futures::future::join_all;
use globset::GlobBuilder;
use serde_json::{Map, Value, json};

pub(crate) use self::declared::{declared, shown};
use self::differences::{Compared, Difference, differences};
use self::keys::ENTRY;
use self::translate::DesiredRule;
use super::aspect::{
    ADMINISTRATION, Aspect, AspectPlan, AspectPlanner, Context, Sections, Stage, Step, WriteTarget, field,
};
use crate::policy::shape::{Shape, key};
use crate::policy::shapes::layered;
use crate::policy::{BranchWant, MissingBranch, Node, merge};

/// The aspect for a repository's branch protection rules.
pub(crate) const PROTECTION: Aspect = Aspect {
    name: "protection",
    sections: &[key("branches", SHAPE, "Branch protection rules. Beadle keeps rules that are not listed.")],
    repository_keys: &[],
    permissions: &[ADMINISTRATION],
    events: &["branch_protection_rule", "branch_protection_configuration", "create", "push"],
    reads,
    stage: Stage::Body,
    is_apart: false,
    planner: &Protection,
};

const SHAPE: Shape = layered!(ENTRY);

fn reads(sections: &Sections<'_>) -> Asks {
    Asks { protection: sections.has("branches"), ..Asks::default() }
}

struct Protection;

enum Write {
    Create(Value),
    Update(Value),
    Delete(String),
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        match self {
            Self::Create(input) => to.writer.create_rule(input.clone()).await,
            Self::Update(input) => to.writer.update_rule(input.clone()).await,
            Self::Delete(id) => to.writer.delete_rule(id).await,
        }
    }

    fn unshown(&self) -> Option<String> {
        match self {
            Self::Create(body) => Some(body.to_string()),
            Self::Update(_) | Self::Delete(_) => None,
        }
    }
}

/// The declared protection for one pattern, merged from all layers. If the entry `default` applies
/// to the same branch, the merge includes the values of this entry.
struct PatternWant<'a> {
    pattern: &'a str,
    protection: Option<Node>,
    asked: &'a PolicyLocation,
}

#[async_trait]
impl AspectPlanner for Protection {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        if context.desired.branches.is_empty() {
            return Ok(());
        }
        let Some(rules) = plan.read(&context.repository.protection) else { return Ok(()) };
        let defaults = default_branches(context).await?;
        let asked = patterns(&context.desired.branches, &defaults, plan);
        let reads: Vec<_> = asked.iter().map(|want| compared(context, want, rules)).collect();
        for (wanted, read) in asked.iter().zip(join_all(reads).await) {
            match (read?, rule_of(wanted, rules)) {
                (None, None) => {}
                (None, Some(rule)) => {
                    let fields =
                        vec![field("rule", json!(true), Value::Null, Some(wanted.asked), Risk::Weakens)];
                    plan.change(format!("rule {}", rule.pattern), fields, Write::Delete(rule.id.clone()));
                }
                (Some(differences), rule) => plan_rule(context, wanted, differences, rules, rule, plan),
            }
        }
        Ok(())
    }
}

/// Returns the branches to which the entry `default` applies. Usually, `default` means the present
/// default branch. But if the policy declares a different branch as the default branch, and this
/// branch exists, the same run makes it the default branch. `default` then means only the declared
/// branch. Otherwise, Beadle would create a rule for the wrong branch after somebody changed the
/// default branch by hand. If the mode does not let the run change the default branch, `default`
/// means both branches.
async fn default_branches(context: &Context<'_>) -> Result<Vec<String>, Failure> {
    let repository = context.repository;
    let mut branches: Vec<String> = repository.default_branch.iter().cloned().collect();
    let wanted = context.desired.settings.iter().find(|want| want.key == "default_branch");
    if let Some(wanted) = wanted.and_then(|want| want.value.as_str())
        && !branches.iter().any(|branch| branch == wanted)
    {
        let writes = context.settings_are_written;
        if context.reader.branch_exists(&repository.node_id, wanted).await? {
            if writes {
                branches.clear();
            }
            branches.push(wanted.to_owned());
        } else if writes && !branches.is_empty() && context.desired.missing_branch == MissingBranch::Create {
            // The run creates the rule first and then the new branch. Until then, the present
            // default branch must stay protected.
            branches.push(wanted.to_owned());
        }
    }
    Ok(branches)
}

/// Returns the declared patterns. A layer of higher rank wins over a layer of lower rank. In the
/// same layer, an entry that names the branch wins over the entry `default`.
fn patterns<'a>(
    branches: &'a [BranchWant],
    defaults: &'a [String],
    plan: &mut AspectPlan,
) -> Vec<PatternWant<'a>> {
    let mut patterns: Vec<PatternWant<'a>> = Vec::new();
    let mut ordered: Vec<&BranchWant> = branches.iter().collect();
    ordered.sort_by_key(|branch| (branch.rank, branch.pattern.is_some()));
    for branch in ordered {
        let names: Vec<&str> = match &branch.pattern {
            Some(pattern) => vec![pattern],
            None => defaults.iter().map(String::as_str).collect(),
        };
        if names.is_empty() {
            plan.cannot_read("GitHub does not show the name of the default branch");
        }
        for pattern in names {
            let (protection, asked) = (branch.protection.clone(), &branch.asked);
            match patterns.iter_mut().find(|other| other.pattern == pattern) {
                Some(other) => {
                    other.protection = match (&other.protection, protection) {
                        (Some(under), Some(over)) => Some(merge(under, &over)),
                        (_, over) => over,
                    };
                    other.asked = asked;
                }
                None => patterns.push(PatternWant { pattern, protection, asked }),
            }
        }
    }
    patterns
}

/// Returns the live rule for a pattern, or `None` if the pattern has no live rule.
fn rule_of<'a>(want: &PatternWant<'_>, rules: &'a [Rule]) -> Option<&'a Rule> {
    rules.iter().find(|rule| rule.pattern == want.pattern)
}

/// Compares the live rule for a pattern with the declared rule. Returns `None` if the policy
/// declares no rule for the pattern.
async fn compared(
    context: &Context<'_>,
    want: &PatternWant<'_>,
    rules: &[Rule],
) -> Result<Option<Compared>, Failure> {
    let Some(protection) = &want.protection else { return Ok(None) };
    differences(context, &DesiredRule::read(protection), rules, rule_of(want, rules)).await.map(Some)
}

fn plan_rule(
    context: &Context<'_>,
    want: &PatternWant<'_>,
    (found, unresolved): Compared,
    rules: &[Rule],
    rule: Option<&Rule>,
    plan: &mut AspectPlan,
) {
    let what = format!("rule {}", want.pattern);
    for (why, transient) in unresolved {
        // Even if a part of the rule is unknown, Beadle writes the known parts.
        if transient { plan.cannot_read(why) } else { plan.cannot_resolve(why) }
    }
    let Some(rule) = rule else {
        let mut input = Map::from_iter([
            ("repositoryId".to_owned(), json!(context.repository.node_id)),
            ("pattern".to_owned(), json!(want.pattern)),
        ]);
        let shadowed = rules.iter().find(|rule| shadows(want.pattern, &rule.pattern));
        // GitHub applies only one rule to a branch, and a rule with the exact name wins over a
        // pattern.
        let rule = match shadowed {
            Some(shadowed) => {
                let before = json!(format!("protected by {}", shadowed.pattern));
                field("new rule", before, json!("a rule of its own"), Some(want.asked), Risk::Weakens)
            }
            None => field("new rule", Value::Null, json!(true), Some(want.asked), Risk::Adds),
        };
        let mut fields = vec![rule];
        for difference in found {
            input.extend(difference.input.into_iter().map(|(name, value)| (name.to_owned(), value)));
            // All flags of a new rule are off at first. A plan therefore does not show flags that
            // stay off.
            let added = difference.fields.into_iter().filter(|field| field.after != json!(false));
            fields.extend(added.map(|field| Field { before: Value::Null, risk: Risk::Adds, ..field }));
        }
        plan.change(what, fields, Write::Create(Value::Object(input)));
        return;
    };
    // The guard can hold some of these differences. These differences become a separate change, so
    // that the other changes do not have to wait.
    let (guarded, plain): (Vec<_>, Vec<_>) = found.into_iter().partition(Difference::is_guarded);
    for part in [plain, guarded] {
        if part.is_empty() {
            continue;
        }
        let mut input = Map::from_iter([("branchProtectionRuleId".to_owned(), json!(rule.id))]);
        let mut fields = Vec::new();
        for difference in part {
            input.extend(difference.input.into_iter().map(|(name, value)| (name.to_owned(), value)));
            fields.extend(difference.fields);
        }
        plan.change(what.clone(), fields, Write::Update(Value::Object(input)));
    }
}

/// Returns whether a new rule for the branch `name` would replace an existing rule for `pattern`.
fn shadows(name: &str, pattern: &str) -> bool {
    // Another tool might have written the live pattern. The pattern might then have a form that
    // Beadle does not accept.
    if name == pattern || check_glob(pattern).is_err() {
        return false;
    }
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    glob.is_ok_and(|glob| glob.compile_matcher().is_match(name))
}
