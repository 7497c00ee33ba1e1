//! Plans and writes a repository's deployment environments, including their variables and secrets.
//! GitHub ignores the case of an environment's name.
//!
//! One call reads up to 30 environments of a repository. Beadle does not use GraphQL here, because
//! GraphQL does not show the Apps and the branches that can deploy. Four parts need one more call
//! each: the branch patterns, the Apps, the variables and the secrets. Beadle makes the call for
//! one of these parts only if the policy declares the part. If the answer to a call has not
//! changed, the call does not count toward the hourly limit.
//!
//! <https://docs.github.com/rest/deployments/environments>,
//! <https://docs.github.com/rest/deployments/branch-policies>,
//! <https://docs.github.com/rest/deployments/protection-rules>

mod keys;
mod observed;
mod reviewers;
mod write;

use std::collections::BTreeSet;

use async_trait::async_trait;
use beadle_engine::{Class, Failure, Field, PolicyLocation, Risk};
use beadle_github::Path;
use serde_json::{Value, json};

pub(crate) use self::observed::{Deployers, Observed};
use self::write::{Delete, Write};
use super::aspect::{
    ADMINISTRATION, AppPermission, Aspect, AspectPlan, AspectPlanner, Context, Stage, field, reads_nothing,
};
use super::place::Place;
use super::{secrets, variables};
use crate::identity::{kind, pair_entries};
use crate::policy::Node;
use crate::policy::shape::{Shape, key};
use crate::policy::shapes::listed;

/// The aspect for a repository's environments.
pub(crate) const ENVIRONMENTS: Aspect = Aspect {
    name: "environments",
    sections: &[key(
        "environments",
        SHAPE,
        "Deployment environments. Beadle removes others, unless the list is `additive`.",
    )],
    repository_keys: &[],
    permissions: &[
        ADMINISTRATION,
        AppPermission::read("actions", "actions (repository)"),
        AppPermission::write("environments", "environments (repository)"),
    ],
    events: &[],
    reads: reads_nothing,
    stage: Stage::Body,
    is_apart: false,
    planner: &Environments,
};

const SHAPE: Shape = listed!(keys::ENTRY);

/// The name of the list. A policy, GitHub's answers and the paths of the API all use this name.
const LIST: &str = "environments";
/// The environment that GitHub creates for a Pages site. If somebody removes this environment,
/// GitHub creates it again.
const OF_PAGES: &str = "github-pages";

/// The names of three fields in plans.
const DEPLOYERS: &str = "deployment_branch_policy";
const PATTERNS: &str = "custom_branch_policies";
const RULES: &str = "deployment_protection_rules";

struct Environments;

#[async_trait]
impl AspectPlanner for Environments {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(section) = context.desired.sections.get(LIST) else { return Ok(()) };
        let rows = context.reader.rows_below(context.repository, LIST, LIST, &["name"]).await?;
        let matched = pair_entries(kind(LIST), section.items(), &rows);
        for (at, want) in section.items().iter().enumerate() {
            let Some(name) = want.get("name").and_then(Node::text) else { continue };
            let row = matched.observed_of(at).and_then(|found| rows.get(found));
            let seen = row.map(Observed::read);
            if let Some(None) = seen {
                let why = "GitHub shows only a part of the environment's settings: Beadle leaves it as it is";
                plan.cannot_read_part(&part(name), why);
                continue;
            }
            environment(context, want, name, seen.flatten(), plan).await?;
        }
        let asked = &section.node.asked;
        for row in matched.only_observed.iter().filter_map(|found| rows.get(*found)) {
            let name = row["name"].as_str().filter(|name| section.exclusive && *name != OF_PAGES);
            if let Some(name) = name {
                remove(context, name, asked, plan).await?;
            }
        }
        Ok(())
    }
}

/// Returns the name that plans show for an environment.
fn part(name: &str) -> String {
    format!("environment {name}")
}

/// Plans the changes of one declared environment. `seen` is `None` if GitHub does not have the
/// environment yet.
async fn environment(
    context: &Context<'_>,
    want: &Node,
    name: &str,
    seen: Option<Observed>,
    plan: &mut AspectPlan,
) -> Result<(), Failure> {
    let is_new = seen.is_none();
    let seen = seen.unwrap_or_else(|| Observed::new(name));
    let (part, place) = (part(&seen.name), Place::Environment(seen.name.clone()));
    let mut change = Change {
        part: &part,
        wanted: seen.clone(),
        fields: Vec::new(),
        write: Write { name: seen.name.clone(), ..Write::default() },
    };
    let is_known = change.settings(context, want, &seen, plan).await?
        && change.branches(context, want, (&seen, &place), plan).await?
        && change.rules(context, want, (is_new, &place), plan).await?;
    if !is_known {
        return Ok(());
    }
    if is_new {
        let Change { wanted, write, .. } = change;
        let fields = vec![field("environment", Value::Null, wanted.body(), Some(&want.asked), Risk::Adds)];
        plan.change(part, fields, Write { settings: Some(wanted.body()), ..write });
    } else {
        for (fields, write) in change.writes(&seen) {
            plan.change(part.clone(), fields, write);
        }
    }
    if let Some(list) = want.get("variables").filter(|list| !list.is_null()) {
        let known = if is_new { Vec::new() } else { variables::read(context, &place).await? };
        let wanted = variables::Wanted { items: list.items(), is_exclusive: true, asked: &list.asked };
        variables::compare(&place, &wanted, &known, plan);
    }
    if let Some(list) = want.get("secrets").filter(|list| !list.is_null()) {
        let known = if is_new { Vec::new() } else { secrets::read(context, &place).await? };
        secrets::compare(context, (&place, list.items(), None), &known, plan).await?;
    }
    Ok(())
}

/// The change of one environment. Beadle compares the environment part by part, and adds each
/// difference to this change.
struct Change<'a> {
    part: &'a str,
    wanted: Observed,
    fields: Vec<Field>,
    write: Write,
}

impl Change<'_> {
    /// Returns the writes that change an existing environment: first the tightenings, then the
    /// weakenings. So a tightening does not wait for the approval of a weakening.
    fn writes(self, seen: &Observed) -> Vec<(Vec<Field>, Write)> {
        let Self { wanted, fields, write, .. } = self;
        let guarded: Vec<String> =
            fields.iter().filter(|field| field.risk.is_guarded()).map(|field| field.name.clone()).collect();
        // GitHub has patterns only while the environment uses patterns.
        let waits = |field: &Field| {
            guarded.contains(&field.name)
                || (field.name == PATTERNS && guarded.iter().any(|name| name == DEPLOYERS))
        };
        let (late, early): (Vec<Field>, Vec<Field>) = fields.into_iter().partition(waits);
        let is_late = |name: &str| late.iter().any(|field| field.name == name);
        let mut first = seen.clone();
        if !is_late("wait_timer") {
            first.wait_timer = wanted.wait_timer;
        }
        if !is_late("reviewers") {
            first.reviewers.clone_from(&wanted.reviewers);
        }
        if !is_late("prevent_self_review") {
            first.prevent_self_review = wanted.prevent_self_review;
        }
        if !is_late(DEPLOYERS) {
            first.deployers = wanted.deployers;
        }
        let settings = |before: &Observed, after: &Observed| (before != after).then(|| after.body());
        let (mut one, mut two) = (
            Write { name: write.name.clone(), settings: settings(seen, &first), ..Write::default() },
            Write { name: write.name, settings: settings(&first, &wanted), ..Write::default() },
        );
        let of_patterns = if is_late(PATTERNS) { &mut two } else { &mut one };
        (of_patterns.new_patterns, of_patterns.old_patterns) = (write.new_patterns, write.old_patterns);
        let of_rules = if is_late(RULES) { &mut two } else { &mut one };
        (of_rules.new_rules, of_rules.old_rules) = (write.new_rules, write.old_rules);
        [(early, one), (late, two)].into_iter().filter(|(fields, _)| !fields.is_empty()).collect()
    }

    fn differs(&mut self, name: &str, before: Value, after: Value, at: &PolicyLocation, is_weaker: bool) {
        let risk = if is_weaker { Risk::Weakens } else { Risk::Changes };
        self.fields.push(field(name, before, after, Some(at), risk));
    }

    /// Compares the reviewers and the wait timer. Returns `false` if a part is unknown.
    async fn settings(
        &mut self,
        context: &Context<'_>,
        want: &Node,
        seen: &Observed,
        plan: &mut AspectPlan,
    ) -> Result<bool, Failure> {
        if let Some(list) = want.get("reviewers").filter(|list| !list.is_null()) {
            let found = reviewers::reviewers(context, self.part, list, &seen.reviewers, plan).await?;
            let Some(found) = found else { return Ok(false) };
            let mut wanted: Vec<observed::Reviewer> = Vec::new();
            for reviewer in found {
                if !wanted.iter().any(|other| other.is(&reviewer)) {
                    wanted.push(reviewer);
                }
            }
            let is_same = wanted.len() == seen.reviewers.len()
                && wanted.iter().all(|one| seen.reviewers.iter().any(|other| other.is(one)));
            if !is_same {
                let shown = |all: &[observed::Reviewer]| {
                    let mut all: Vec<String> = all.iter().map(observed::Reviewer::shown).collect();
                    all.sort();
                    json!(all)
                };
                // GitHub needs only one approval. So a new reviewer, who could not approve before
                // this change, can now approve alone.
                let is_weaker = !seen.reviewers.is_empty();
                self.differs("reviewers", shown(&seen.reviewers), shown(&wanted), &list.asked, is_weaker);
                self.wanted.reviewers = wanted;
            }
        }
        let timer = want.get("wait_timer").and_then(|node| Some((node, u64::try_from(node.int()?).ok()?)));
        if let Some((node, timer)) = timer.filter(|(_, timer)| *timer != seen.wait_timer) {
            let is_weaker = timer < seen.wait_timer;
            self.differs("wait_timer", json!(seen.wait_timer), json!(timer), &node.asked, is_weaker);
            self.wanted.wait_timer = timer;
        }
        if let Some((node, prevents)) =
            want.get("prevent_self_review").and_then(|node| Some((node, node.bool()?)))
        {
            if self.wanted.reviewers.is_empty() {
                // GitHub stores `prevent_self_review` together with the reviewers.
                if prevents {
                    let why =
                        format!("`prevent_self_review` has an effect only with reviewers ({})", node.asked);
                    plan.cannot_resolve_part(self.part, why);
                }
            } else if prevents != seen.prevent_self_review {
                let before = json!(seen.prevent_self_review);
                self.differs("prevent_self_review", before, json!(prevents), &node.asked, !prevents);
                self.wanted.prevent_self_review = prevents;
            }
        }
        Ok(true)
    }

    /// Compares the branches and tags that can deploy. Returns `false` if a part is unknown.
    async fn branches(
        &mut self,
        context: &Context<'_>,
        want: &Node,
        (seen, place): (&Observed, &Place),
        plan: &mut AspectPlan,
    ) -> Result<bool, Failure> {
        let Some(node) = want.get("deployment_branch_policy") else { return Ok(true) };
        let Some((deployers, patterns)) = deployers(node) else {
            let why = format!(
                "an environment cannot have both `protected_branches` and `custom_branch_policies` ({})",
                node.asked
            );
            plan.cannot_resolve_part(self.part, why);
            return Ok(false);
        };
        if deployers != seen.deployers {
            let is_weaker = seen.deployers != Deployers::All;
            let (before, after) = (seen.deployers.body(), deployers.body());
            self.differs(DEPLOYERS, before, after, &node.asked, is_weaker);
            self.wanted.deployers = deployers;
        }
        let Some(patterns) = patterns else { return Ok(true) };
        let known = if seen.deployers == Deployers::Matching {
            let path = place.path("deployment-branch-policies");
            context.reader.rows_below(context.repository, path, "branch_policies", &["id", "name"]).await?
        } else {
            Vec::new()
        };
        let of_row = |row: &Value| {
            let kind = row["type"].as_str().unwrap_or("branch").to_owned();
            (row["name"].as_str().unwrap_or_default().to_owned(), kind)
        };
        let present: Vec<(String, String)> = known.iter().map(of_row).collect();
        let new: Vec<_> = patterns.iter().filter(|pattern| !present.contains(pattern)).cloned().collect();
        let gone = known.iter().zip(&present).filter(|(_, pattern)| !patterns.contains(pattern));
        let gone: Vec<u64> = gone.filter_map(|(row, _)| row["id"].as_u64()).collect();
        if !new.is_empty() || !gone.is_empty() {
            let shown = |all: &[(String, String)]| {
                let mut all: Vec<String> = all.iter().map(|(name, kind)| format!("{kind} {name}")).collect();
                all.sort();
                json!(all)
            };
            let is_weaker = seen.deployers == Deployers::Matching && !new.is_empty();
            let (before, after) = (shown(&present), shown(&patterns));
            self.differs(PATTERNS, before, after, &node.asked, is_weaker);
        }
        (self.write.new_patterns, self.write.old_patterns) = (new, gone);
        Ok(true)
    }

    /// Compares the Apps that must allow a deployment. Returns `false` if a part is unknown.
    async fn rules(
        &mut self,
        context: &Context<'_>,
        want: &Node,
        (is_new, place): (bool, &Place),
        plan: &mut AspectPlan,
    ) -> Result<bool, Failure> {
        let list = want.get("deployment_protection_rules").filter(|list| !list.is_null());
        let Some(list) = list else { return Ok(true) };
        let mut known = Vec::new();
        if !is_new {
            let read = context.reader.below(context.repository, place.path("deployment_protection_rules"));
            let answer = read.await?.unwrap_or_default();
            let Some(rules) = answer["custom_deployment_protection_rules"].as_array() else {
                plan.cannot_read_part(self.part, "GitHub does not show the environment's protection rules");
                return Ok(false);
            };
            if !rules.iter().all(reviewers::is_whole) {
                plan.cannot_read_part(self.part, "GitHub shows a protection rule without its App");
                return Ok(false);
            }
            // Beadle removes a rule by the rule's id, so a wrong id would remove the rule of
            // another App.
            let ids: BTreeSet<u64> = rules.iter().filter_map(|rule| rule["id"].as_u64()).collect();
            if ids.len() != rules.len() || answer["total_count"] != json!(rules.len()) {
                plan.cannot_read_part(
                    self.part,
                    "GitHub shows only some of the environment's protection rules",
                );
                return Ok(false);
            }
            known.clone_from(rules);
        }
        let wanted = reviewers::apps(context, self.part, list, &known, plan).await?;
        let Some(wanted) = wanted else { return Ok(false) };
        let app = |rule: &Value| rule["app"]["id"].as_u64();
        let has = |id: u64| known.iter().any(|rule| app(rule) == Some(id));
        let mut new: Vec<u64> = wanted.iter().map(|(id, _)| *id).filter(|id| !has(*id)).collect();
        new.sort_unstable();
        new.dedup();
        let gone = known.iter().filter(|rule| !wanted.iter().any(|(id, _)| app(rule) == Some(*id)));
        let gone: Vec<u64> = gone.filter_map(|rule| rule["id"].as_u64()).collect();
        if !new.is_empty() || !gone.is_empty() {
            let before: Vec<Value> = known.iter().map(|rule| rule["app"]["slug"].clone()).collect();
            let after: Vec<&str> = wanted.iter().map(|(_, slug)| slug.as_str()).collect();
            let (before, after, is_weaker) = (json!(before), json!(after), !gone.is_empty());
            self.differs(RULES, before, after, &list.asked, is_weaker);
        }
        (self.write.new_rules, self.write.old_rules) = (new, gone);
        Ok(true)
    }
}

/// The patterns for branches and tags. Each pattern has a type.
type Patterns = Vec<(String, String)>;

/// Returns which branches and tags can deploy. If the policy lists patterns, also returns these
/// patterns. Returns `None` if the policy contradicts itself.
fn deployers(node: &Node) -> Option<(Deployers, Option<Patterns>)> {
    let is_protected = node.get("protected_branches").and_then(Node::bool) == Some(true);
    let custom = node.get("custom_branch_policies").filter(|custom| !custom.is_null());
    let list = custom.filter(|custom| custom.bool().is_none());
    let is_custom = match (custom.and_then(Node::bool), list) {
        (Some(is_on), _) => is_on,
        (None, Some(list)) => !is_protected || !list.items().is_empty(),
        (None, None) => false,
    };
    let patterns = list.filter(|_| is_custom).map(|list| patterns(list.items()));
    match (is_protected, is_custom) {
        (true, true) => None,
        (true, false) => Some((Deployers::Protected, None)),
        (false, true) => Some((Deployers::Matching, patterns)),
        (false, false) => Some((Deployers::All, None)),
    }
}

fn patterns(items: &[Node]) -> Patterns {
    let mut all = Vec::new();
    for item in items {
        let kind = item.get("type").and_then(Node::text).unwrap_or("branch");
        let one = item.text().or_else(|| item.get("name").and_then(Node::text)).map(str::to_owned);
        let several = item.get("names").map(Node::texts).unwrap_or_default();
        for name in one.into_iter().chain(several) {
            let pattern = (name, kind.to_owned());
            if !all.contains(&pattern) {
                all.push(pattern);
            }
        }
    }
    all
}

/// Plans the removal of an environment. The plan shows the names of the variables and secrets that
/// GitHub deletes together with the environment.
async fn remove(
    context: &Context<'_>,
    name: &str,
    asked: &PolicyLocation,
    plan: &mut AspectPlan,
) -> Result<(), Failure> {
    let place = Place::Environment(name.to_owned());
    let read = |list: &'static str| {
        let path: Path = place.path(list);
        context.reader.rows_below(context.repository, path, list, &["name"])
    };
    let (variables, secrets) = futures::join!(read("variables"), read("secrets"));
    let lost = match (variables, secrets) {
        (Ok(variables), Ok(secrets)) => {
            let names = |rows: &[Value]| rows.iter().map(|row| row["name"].clone()).collect::<Value>();
            json!({ "variables": names(&variables), "secrets": names(&secrets) })
        }
        (Err(failure), _) | (_, Err(failure)) => {
            if matches!(failure.class, Class::RateLimited { .. } | Class::Fatal) {
                return Err(failure);
            }
            let why = format!("Beadle cannot read what the environment has: {}", failure.text);
            plan.cannot_read_part(&part(name), why);
            return Ok(());
        }
    };
    let fields = vec![field("environment", lost, Value::Null, Some(asked), Risk::Removes)];
    plan.change(part(name), fields, Delete(name.to_owned()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_branches_is_understood() {
        let listed = |patterns: &[(&str, &str)]| {
            let owned = |(name, kind): &(&str, &str)| ((*name).to_owned(), (*kind).to_owned());
            Some((Deployers::Matching, Some(patterns.iter().map(owned).collect::<Patterns>())))
        };
        let (all, protected) = (Some((Deployers::All, None)), Some((Deployers::Protected, None)));
        for (text, expected) in [
            ("null", all.clone()),
            ("{}", all.clone()),
            ("{ protected_branches: false, custom_branch_policies: false }", all.clone()),
            ("{ protected_branches: false, custom_branch_policies: null }", all),
            ("{ protected_branches: true }", protected.clone()),
            ("{ protected_branches: true, custom_branch_policies: false }", protected.clone()),
            ("{ protected_branches: true, custom_branch_policies: [] }", protected),
            ("{ custom_branch_policies: true }", Some((Deployers::Matching, None))),
            ("{ custom_branch_policies: [] }", listed(&[])),
            ("{ custom_branch_policies: [main, main] }", listed(&[("main", "branch")])),
            (
                "{ custom_branch_policies: [{ name: 'v*', type: tag }, { names: [a, b], type: branch }] }",
                listed(&[("v*", "tag"), ("a", "branch"), ("b", "branch")]),
            ),
            ("{ protected_branches: true, custom_branch_policies: [main] }", None),
            ("{ protected_branches: true, custom_branch_policies: true }", None),
        ] {
            assert_eq!(deployers(&Node::parse("a.yml", text).unwrap()), expected, "{text}");
        }
    }
}
