//! Plans and writes the rulesets that belong to a repository. The name identifies a ruleset. The
//! rulesets of the organisation are in `crate::organisation`.
//!
//! <https://docs.github.com/rest/repos/rules>

pub(crate) mod compare;
mod overlay;
mod reach;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use beadle_engine::{Failure, Field, Risk};
use beadle_github::{Asks, Below, Method, Path, Repository, Ruleset};
use serde_json::{Value, json};

use self::compare::Difference;
use self::overlay::{EXTERNALLY_DEFINED, list};
use super::aspect::{
    ADMINISTRATION, Aspect, AspectPlan, AspectPlanner, Context, Sections, Stage, Step, WriteTarget, field,
};
use crate::policy::shape::{Shape, key, never, required};
use crate::policy::shapes::{NAME, layered, listed};
use crate::policy::{CONDITIONS, Desired, Node, RULES, UNDESCRIBED};

/// The aspect for a repository's rulesets.
pub(crate) const RULESETS: Aspect = Aspect {
    name: "rulesets",
    sections: &[key(
        "rulesets",
        SHAPE,
        "Rulesets, in settings.yml of the organisation. Beadle removes others, unless the list is `additive`.",
    )],
    repository_keys: &[],
    permissions: &[ADMINISTRATION],
    events: &["repository_ruleset"],
    reads,
    stage: Stage::Body,
    is_apart: false,
    planner: &Rulesets,
};

const RULE_KINDS: [&str; RULES.len() + UNDESCRIBED.len()] = {
    let mut names = [""; RULES.len() + UNDESCRIBED.len()];
    let mut at = 0;
    while at < RULES.len() {
        names[at] = RULES[at].kind;
        at += 1;
    }
    while at < names.len() {
        names[at] = UNDESCRIBED[at - RULES.len()];
        at += 1;
    }
    names
};
/// The explanation for a ruleset that GitHub does not show completely.
const VEILED: &str = "GitHub shows who can bypass a ruleset only to an account that can change the ruleset; give the \
    GitHub App write access to the administration of the repository, or of the organisation if the ruleset is the \
    organisation's";

/// The explanation for a bypass actor that has no id in the policy.
const NAMED_ACTOR: &str =
    "Beadle knows actors by `actor_id` only, and leaves the bypass actors of this ruleset alone";
const ACTOR: Shape = Shape::Map(&[
    key(
        "actor_type",
        Shape::OneOf(&[
            "Integration",
            "OrganizationAdmin",
            "RepositoryRole",
            "Team",
            "DeployKey",
            "EnterpriseOwner",
            "EnterpriseRole",
            "User",
        ]),
        "The kind of actor.",
    ),
    key("actor_id", Shape::OrNull(&Shape::Int(0, i64::MAX)), "The id of the team, App or role."),
    key(
        "bypass_mode",
        Shape::OneOf(&["always", "pull_request", "exempt"]),
        "When the actor can bypass the ruleset.",
    ),
    never("name", NAMED_ACTOR),
]);
const ACTORS: Shape = layered!(ACTOR);
const RULE: Shape = Shape::Map(&[
    key("type", Shape::OneOf(&RULE_KINDS), "The type of the rule."),
    key("parameters", Shape::OrNull(&Shape::Free), "The parameters of the rule, as in REST."),
]);
const RULES_OF_ONE: Shape = layered!(RULE);
const ENTRY: Shape = Shape::Map(&[
    required(key("name", NAME, "The name of the ruleset.")),
    key("target", Shape::OneOf(&["branch", "tag", "push", "repository"]), "What the ruleset protects."),
    key(
        "enforcement",
        Shape::OneOf(&["active", "evaluate", "disabled"]),
        "Whether the ruleset is enforced. At least one layer must set it.",
    ),
    key("bypass_actors", ACTORS, "The only actors that can bypass the ruleset."),
    key("conditions", Shape::OrNull(&CONDITIONS), "The refs, and for an organisation the repositories."),
    key("rules", RULES_OF_ONE, "The rules. Rules of unknown types stay."),
]);
const SHAPE: Shape = listed!(ENTRY);

fn reads(sections: &Sections<'_>) -> Asks {
    Asks { rulesets: sections.has("rulesets"), ..Asks::default() }
}

struct Rulesets;

enum Write {
    Create(Value),
    Replace { id: u64, body: Value },
    Delete { id: u64 },
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        match self {
            Self::Create(body) => to.send(Method::POST, "rulesets", Some(body.clone())).await,
            Self::Replace { id, body } => {
                to.send(Method::PUT, Below::at("rulesets").id(*id), Some(body.clone())).await
            }
            Self::Delete { id } => to.send(Method::DELETE, Below::at("rulesets").id(*id), None).await,
        }
    }

    fn unshown(&self) -> Option<String> {
        match self {
            Self::Create(body) => Some(body.to_string()),
            Self::Replace { .. } | Self::Delete { .. } => None,
        }
    }
}

#[async_trait]
impl AspectPlanner for Rulesets {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(section) = context.desired.sections.get("rulesets") else { return Ok(()) };
        let Some(seen) = plan.read(&context.repository.rulesets) else { return Ok(()) };
        for want in section.items() {
            let Some(name) = want.get("name").and_then(Node::text) else { continue };
            if want.get("enforcement").is_none() {
                // The layers that apply to the repository set only a part of the ruleset. The other
                // parts are in a layer that does not apply to the repository.
                plan.cannot_resolve_part(name, without_base(want));
                continue;
            }
            if let Some(list) = checks(want).filter(|list| list.json() == json!([])) {
                plan.cannot_resolve_part(name, without_check(list));
                continue;
            }
            let Some(found) = seen.iter().find(|ruleset| ruleset.name == name) else {
                create(want, name, plan);
                continue;
            };
            if is_as_wanted(context, want, found) {
                continue;
            }
            // Only REST shows the whole ruleset. Beadle therefore compares the answer of REST, and
            // builds the body of a PUT from this answer.
            let whole = context.reader.below(context.repository, Path::at("rulesets").id(found.id)).await?;
            match whole {
                Some(whole) if match_policy(want, name, &whole, plan) => {
                    context.reader.settle(found, &want.json());
                }
                Some(_) => {}
                None => plan.cannot_read_part(name, "somebody deleted the ruleset while Beadle read it"),
            }
        }
        let listed = |name: &str| {
            section.items().iter().any(|want| want.get("name").and_then(Node::text) == Some(name))
        };
        for ruleset in seen.iter().filter(|ruleset| section.exclusive && !listed(&ruleset.name)) {
            remove(&ruleset.name, ruleset.id, &section.node, plan);
        }
        Ok(())
    }
}

/// Returns the reason why Beadle does not plan an incomplete ruleset. A ruleset is incomplete if no
/// layer that applies to this repository sets its `enforcement`.
fn without_base(want: &Node) -> String {
    format!(
        "no file that reaches this repository sets `enforcement` of the ruleset ({}): Beadle leaves the ruleset alone",
        want.asked
    )
}

/// The type of the rule that requires checks, and the name of the parameter that lists these
/// checks.
const CHECKS: &str = "required_status_checks";

/// Returns the list of required checks in a declared ruleset.
fn checks(want: &Node) -> Option<&Node> {
    let is_meant = |rule: &&Node| rule.get("type").and_then(Node::text) == Some(CHECKS);
    want.get("rules")?.items().iter().find(is_meant)?.get("parameters")?.get(CHECKS)
}

/// Returns the reason why Beadle does not plan a ruleset after a layer has removed all of its
/// required checks. GitHub refuses a ruleset whose rule for checks is empty.
fn without_check(list: &Node) -> String {
    format!(
        "no file that reaches this repository lists a check for the rule `{CHECKS}` ({}): Beadle leaves the ruleset \
         alone; to require no check, remove the rule",
        list.asked
    )
}

/// Returns whether Beadle omits the rule for required checks from a declared ruleset. Beadle omits
/// this rule if two conditions are true: the policy lists no check except the marker
/// `{{EXTERNALLY_DEFINED}}`, and the ruleset at GitHub does not have this rule.
pub(crate) fn leaves_out_checks(desired: &Desired, repository: &Repository, name: &str) -> bool {
    let Some(seen) = repository.rulesets.value() else { return false };
    let is_named = |want: &&Node| want.get("name").and_then(Node::text) == Some(name);
    let section = desired.sections.get("rulesets");
    let Some(want) = section.and_then(|section| section.items().iter().find(is_named)) else { return false };
    let is_own = |check: &Node| check.get("context").and_then(Node::text) != Some(EXTERNALLY_DEFINED);
    let has_own = checks(want).map(Node::items).unwrap_or_default().iter().any(is_own);
    let has_rule = |ruleset: &Ruleset| list(&ruleset.body["rules"]).iter().any(|rule| rule["type"] == CHECKS);
    !has_own && !seen.iter().any(|ruleset| ruleset.name == name && has_rule(ruleset))
}

/// Returns `true` if GraphQL shows the complete ruleset and this ruleset matches the policy.
fn is_as_wanted(context: &Context<'_>, want: &Node, found: &Ruleset) -> bool {
    let reader = context.reader;
    let changed = reader.has_changed(found);
    let is_whole =
        !found.is_veiled && (!is_blurred(want, &found.body) || reader.is_settled(found, &want.json()));
    !changed && is_whole && compare::differences(want, &found.body).is_empty()
}

/// The parameters that Beadle does not read by GraphQL, because some GitHub servers do not offer
/// them in GraphQL.
const REST_ONLY: &[&str] = &["dismissal_restriction", "required_reviewers"];

/// Returns whether the policy sets a value that Beadle cannot compare by GraphQL. Some GitHub
/// servers show the bypass modes `always` and `exempt` as the same value. GraphQL does not show
/// some parameters at all.
fn is_blurred(want: &Node, seen: &Value) -> bool {
    let actors = seen["bypass_actors"].as_array().into_iter().flatten();
    let bypass = want.get("bypass_actors").is_some()
        && actors.into_iter().any(|actor| actor["bypass_mode"] == "always");
    let rules = want.get("rules").map(Node::items).unwrap_or_default();
    let mut parameters = rules.iter().filter_map(|rule| rule.get("parameters"));
    bypass || parameters.any(|node| REST_ONLY.iter().any(|key| node.get(key).is_some()))
}

/// Adds a change that creates a ruleset.
pub(crate) fn create(want: &Node, name: &str, plan: &mut AspectPlan) {
    let rules = want.get("rules").map(Node::items).unwrap_or_default();
    let kinds: Vec<&str> = rules.iter().filter_map(|rule| rule.get("type")?.text()).collect();
    let fields = vec![field("new ruleset", Value::Null, json!(kinds), Some(&want.asked), Risk::Adds)];
    plan.change(format!("ruleset {name}"), fields, Write::Create(compare::new_body(want)));
}

/// Adds the changes that make a ruleset match the policy. Returns whether the ruleset already
/// matches. Each difference that the guard can hold becomes a separate change, so that the other
/// changes do not have to wait. If GitHub does not show the whole ruleset, the function plans no
/// change, because a write replaces the whole ruleset.
pub(crate) fn match_policy(want: &Node, name: &str, seen: &Value, plan: &mut AspectPlan) -> bool {
    let Some(id) = seen["id"].as_u64() else { return false };
    let differences = compare::differences(want, seen);
    if !compare::is_whole(seen) {
        let is_fine = differences.is_empty() && want.get("bypass_actors").is_none();
        if !is_fine {
            plan.cannot_resolve_part(name, VEILED.to_owned());
        }
        return is_fine;
    }
    let (guarded, plain): (Vec<Difference>, Vec<Difference>) =
        differences.into_iter().partition(Difference::is_guarded);
    let fields =
        |parts: &[Difference]| parts.iter().flat_map(|part| part.fields.clone()).collect::<Vec<Field>>();
    let what = format!("ruleset {name}");
    if !plain.is_empty() {
        let body = compare::body(seen, plain.iter());
        plan.change(what.clone(), fields(&plain), Write::Replace { id, body });
    }
    if !guarded.is_empty() {
        let body = compare::body(seen, plain.iter().chain(&guarded));
        plan.change(what, fields(&guarded), Write::Replace { id, body });
    }
    plain.is_empty() && guarded.is_empty()
}

/// Adds a change that deletes a ruleset.
pub(crate) fn remove(name: &str, id: u64, list: &Node, plan: &mut AspectPlan) {
    let fields = vec![field("ruleset", json!(true), Value::Null, Some(&list.asked), Risk::Removes)];
    plan.change(format!("ruleset {name}"), fields, Write::Delete { id });
}
