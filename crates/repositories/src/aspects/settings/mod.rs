//! Plans and writes the settings of a repository. The settings are the body fields of `PATCH
//! /repos/{owner}/{repo}`. Beadle writes the settings in a safe order.
//!
//! <https://docs.github.com/rest/repos/repos#update-a-repository>

mod default_branch;
mod keys;
mod reviewers;

use async_trait::async_trait;
use beadle_engine::{Class, Failure, Field, PolicyLocation, Risk};
use beadle_github::{Asks, Known, Repository, Visibility};
use serde_json::{Map, Value, json};

use super::aspect::{
    ADMINISTRATION, Aspect, AspectPlan, AspectPlanner, Context, Sections, Stage, Step, WriteTarget, field,
};
use crate::policy::{Desired, Node, Want};

/// How a setting affects the safety of the repository if the setting is on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// The setting does not change how safe the repository is.
    Plain,
    /// With `true`, the repository is better protected.
    Protects,
    /// With `true`, more people can do or see something.
    Opens,
}

use Direction::{Opens, Plain, Protects};

/// All settings. Each setting comes with its effect on the repository's safety. The third value is
/// `true` if only REST shows the setting.
const KEYS: &[(&str, Direction, bool)] = &[
    ("name", Plain, false),
    ("description", Plain, false),
    ("homepage", Plain, false),
    ("private", Plain, false),
    ("visibility", Plain, false),
    ("has_issues", Plain, false),
    ("has_projects", Plain, false),
    ("has_wiki", Plain, false),
    ("has_discussions", Plain, false),
    ("has_pull_requests", Plain, true),
    ("pull_request_creation_policy", Plain, true),
    ("is_template", Plain, false),
    ("default_branch", Plain, false),
    ("allow_squash_merge", Plain, false),
    ("allow_merge_commit", Plain, false),
    ("allow_rebase_merge", Plain, false),
    ("allow_auto_merge", Plain, false),
    ("delete_branch_on_merge", Plain, false),
    ("allow_update_branch", Plain, false),
    ("use_squash_pr_title_as_default", Plain, true),
    ("squash_merge_commit_title", Plain, false),
    ("squash_merge_commit_message", Plain, false),
    ("merge_commit_title", Plain, false),
    ("merge_commit_message", Plain, false),
    ("archived", Plain, false),
    ("allow_forking", Opens, false),
    ("web_commit_signoff_required", Protects, false),
    ("security_and_analysis", Protects, true),
];

/// Returns whether the key `key` of a policy is a setting of this aspect.
pub(crate) fn is_setting(key: &str) -> bool {
    KEYS.iter().any(|(name, ..)| *name == key)
}

/// Returns whether REST shows a setting and GraphQL does not.
pub(crate) fn is_rest_only(key: &str) -> bool {
    KEYS.iter().any(|(name, _, rest_only)| *name == key && *rest_only)
}

/// The aspect for a repository's settings.
pub(crate) const SETTINGS: Aspect = Aspect {
    name: "settings",
    sections: &[],
    repository_keys: keys::KEYS,
    permissions: &[ADMINISTRATION],
    events: &["repository", "public", "create", "push", "security_and_analysis"],
    reads,
    stage: Stage::Access,
    is_apart: false,
    planner: &Settings,
};

fn reads(sections: &Sections<'_>) -> Asks {
    let entries = sections.get("repository").map(Node::entries).unwrap_or_default();
    let rest_settings = entries.iter().filter_map(|(key, _)| key.text()).any(is_rest_only);
    Asks { rest_settings, ..Asks::default() }
}

struct Settings;

struct Patch(Map<String, Value>);

#[async_trait]
impl Step for Patch {
    /// Writes the body. If one field is wrong, GitHub might reject the whole body. If GitHub
    /// rejects the body, Beadle writes the parts of the body one by one, so that the valid parts
    /// take effect.
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        let named = to.named()?;
        let whole = Value::Object(self.0.clone());
        if self.0.contains_key("name") {
            return named.update(whole).await;
        }
        let Some(refusal) = named.try_update(whole).await? else { return Ok(()) };
        let parts = parts(&self.0);
        if parts.len() == 1 {
            return Err(Failure::new(Class::Rejected, refusal));
        }
        let mut refused = Refused::default();
        for part in parts {
            let keys = part.keys().cloned().collect();
            if let Some(refusal) = named.try_update(Value::Object(part)).await? {
                refused.add(keys, refusal);
            }
        }
        if refused.0.is_empty() { Ok(()) } else { Err(Failure::new(Class::Rejected, refused.text())) }
    }
}

/// GitHub's refusals of parts of a body. Each refusal consists of the refused settings and GitHub's
/// text.
#[derive(Default)]
struct Refused(Vec<(Vec<String>, String)>);

impl Refused {
    /// Adds GitHub's text about some refused settings.
    fn add(&mut self, keys: Vec<String>, refusal: String) {
        match self.0.iter_mut().find(|(_, known)| *known == refusal) {
            Some((known, _)) => known.extend(keys),
            None => self.0.push((keys, refusal)),
        }
    }

    /// Returns a text such as `has_projects, has_wiki: 422 Validation Failed`. The text contains
    /// each of GitHub's texts only once.
    fn text(&self) -> String {
        let each = self.0.iter().map(|(keys, refusal)| format!("{}: {refusal}", keys.join(", ")));
        each.collect::<Vec<_>>().join("; ")
    }
}

/// The merge methods, with their titles and messages. Beadle writes these settings together for two
/// reasons: at least one method must stay on, and a message needs its title.
const MERGES: &[&str] = &[
    "allow_squash_merge",
    "allow_merge_commit",
    "allow_rebase_merge",
    "use_squash_pr_title_as_default",
    "squash_merge_commit_title",
    "squash_merge_commit_message",
    "merge_commit_title",
    "merge_commit_message",
];

/// Splits a body into parts that GitHub accepts independently of each other.
fn parts(body: &Map<String, Value>) -> Vec<Map<String, Value>> {
    let mut merges = Map::new();
    let mut parts = Vec::new();
    for (key, value) in body {
        if MERGES.contains(&key.as_str()) {
            merges.insert(key.clone(), value.clone());
        } else {
            parts.push(Map::from_iter([(key.clone(), value.clone())]));
        }
    }
    if !merges.is_empty() {
        parts.push(merges);
    }
    parts
}

#[async_trait]
impl AspectPlanner for Settings {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let mut plain = Differences::default();
        let wants = &context.desired.settings;
        let last_method = last_method(context);
        if let Some(want) = last_method {
            let why = format!(
                "at least one merge method must stay on, and `{}: false` turns off the last one ({})",
                want.key, want.asked
            );
            plan.cannot_resolve_part(&want.key, why);
        }
        for want in wants {
            let Some(seen) = seen(context, want, plan) else { continue };
            match want.key.as_str() {
                "private" | "visibility" => visibility(context, want, plan),
                "archived" if seen != want.value => archived(want, seen, plan),
                "name" if seen != want.value => {
                    let fields =
                        vec![field("name", seen, want.value.clone(), Some(&want.asked), Risk::Changes)];
                    plan.change_at(Stage::Rename, "", fields, patch("name", want.value.clone()));
                }
                // An empty repository gets its default branch with the first push, so Beadle does
                // not set the default branch.
                "default_branch" if seen.is_null() || seen == want.value => {}
                "default_branch" => default_branch(context, want, seen, plan).await?,
                // Anyone can fork a public repository, so Beadle does not set `allow_forking` for
                // public repositories.
                "allow_forking" if context.repository.visibility == Visibility::Public => {}
                key if last_method.is_some() && METHODS.contains(&key) => {}
                key if off(context.desired, context.repository, key) => {}
                "security_and_analysis" => {
                    security(context, want, &seen, plan);
                    let change = reviewers::change(context, want, &seen, plan).await?;
                    if let Some((fields, features)) = change {
                        let body = patch("security_and_analysis", features);
                        plan.change_at(Stage::Security, reviewers::OPTIONS, fields, body);
                    }
                }
                _ if same(&seen, &want.value) => {}
                key => {
                    let risk = risk(key, &seen, &want.value);
                    let fields = vec![field(key, seen, want.value.clone(), Some(&want.asked), risk)];
                    if risk.is_guarded() || ALONE.contains(&key) {
                        // A setting is a separate change if the guard can hold it, or if the
                        // organisation can forbid it. The other changes then do not have to wait.
                        plan.change("", fields, patch(key, want.value.clone()));
                    } else {
                        plain.fields.extend(fields);
                        plain.body.insert(key.to_owned(), sent(&want.value));
                        // GitHub accepts a message only in a body that also contains the title of
                        // the message.
                        if let Some(title) = key.strip_suffix("_message").map(|stem| format!("{stem}_title"))
                        {
                            let live =
                                context.repository.settings.get(&title).cloned().unwrap_or(Value::Null);
                            let wanted =
                                wants.iter().find(|want| want.key == title).map(|want| want.value.clone());
                            plain.body.insert(title, wanted.unwrap_or(live));
                        }
                    }
                }
            }
        }
        if !plain.fields.is_empty() {
            plan.change("", plain.fields, Patch(plain.body));
        }
        Ok(())
    }
}

/// The settings that an organisation can forbid.
const ALONE: &[&str] = &["allow_forking", "has_projects"];

/// The merge methods. GitHub requires that at least one merge method is on.
const METHODS: [&str; 3] = ["allow_squash_merge", "allow_merge_commit", "allow_rebase_merge"];

/// If the policy would turn off all merge methods, returns one of the settings that turn off a
/// method. A method that is missing in the policy might already be off at GitHub.
fn last_method<'a>(context: &Context<'a>) -> Option<&'a Want> {
    let wants = &context.desired.settings;
    let wanted = |method: &str| wants.iter().find(|want| want.key == method);
    let is_off = |method: &&str| {
        let value = wanted(method).map(|want| &want.value);
        value.or(context.repository.settings.get(*method)) == Some(&json!(false))
    };
    if METHODS.iter().all(is_off) { METHODS.iter().find_map(|method| wanted(method)) } else { None }
}

/// Returns whether a setting belongs to a merge method that is off. GitHub rejects such a setting.
/// A method also counts as off if the policy turns it off.
fn off(desired: &Desired, repository: &Repository, key: &str) -> bool {
    let method = match key {
        "squash_merge_commit_title" | "squash_merge_commit_message" => "allow_squash_merge",
        "merge_commit_title" | "merge_commit_message" => "allow_merge_commit",
        _ => return false,
    };
    let wanted = desired.settings.iter().find(|want| want.key == method).map(|want| &want.value);
    wanted.or(repository.settings.get(method)) == Some(&json!(false))
}

/// Returns whether Beadle compares a setting in this repository. Beadle ignores settings that the
/// repository cannot have.
pub(crate) fn is_compared(desired: &Desired, repository: &Repository, key: &str) -> bool {
    match key {
        "allow_forking" => repository.visibility != Visibility::Public,
        "default_branch" => repository.default_branch.is_some(),
        key => !off(desired, repository, key),
    }
}

async fn default_branch(
    context: &Context<'_>,
    want: &Want,
    seen: Value,
    plan: &mut AspectPlan,
) -> Result<(), Failure> {
    let branch = want.value.as_str().unwrap_or_default();
    if !context.reader.branch_exists(&context.repository.node_id, branch).await? {
        default_branch::missing(context.desired.missing_branch, want, &seen, plan);
        return Ok(());
    }
    let fields = vec![field("default_branch", seen, want.value.clone(), Some(&want.asked), Risk::Changes)];
    plan.change("", fields, patch("default_branch", want.value.clone()));
    Ok(())
}

#[derive(Default)]
struct Differences {
    fields: Vec<Field>,
    body: Map<String, Value>,
}

/// Returns the observed value of a setting. If the value is unknown, the function records the
/// reason and returns `None`.
fn seen(context: &Context<'_>, want: &Want, plan: &mut AspectPlan) -> Option<Value> {
    let key = want.key.as_str();
    if !is_rest_only(key) {
        let seen = context.repository.settings.get(key).cloned();
        if seen.is_none() {
            plan.cannot_resolve_part(
                key,
                format!("this GitHub server does not show `{key}` ({})", want.asked),
            );
        }
        return seen;
    }
    let why = match &context.repository.rest_settings {
        Known::Known(settings) => match settings.get(key) {
            Some(value) => return Some(value.clone()),
            None => format!(
                "GitHub does not show `{key}` of this repository; the App may lack the permission `administration: read`"
            ),
        },
        Known::Unknown(unsure) => unsure.why.clone(),
        Known::NotAsked => format!("`{key}` was not read"),
    };
    plan.cannot_read_part(key, why);
    None
}

fn patch(key: &str, value: Value) -> Patch {
    Patch(Map::from_iter([(key.to_owned(), value)]))
}

/// Returns a value in the form that GitHub accepts. In this form, null becomes an empty text.
fn sent(value: &Value) -> Value {
    if value.is_null() { json!("") } else { value.clone() }
}

/// Returns whether two values mean the same. GitHub shows an empty text as null.
fn same(seen: &Value, wanted: &Value) -> bool {
    let empty = |value: &Value| value.is_null() || value == "";
    seen == wanted || (empty(seen) && empty(wanted))
}

fn risk(key: &str, seen: &Value, wanted: &Value) -> Risk {
    let direction = KEYS.iter().find(|(name, ..)| *name == key).map_or(Plain, |(_, direction, _)| *direction);
    match (direction, wanted.as_bool()) {
        (Opens, Some(true)) => Risk::Exposes,
        (Protects, Some(false)) => Risk::Weakens,
        _ if key == "pull_request_creation_policy" && wanted == "all" => Risk::Exposes,
        _ if seen.is_null() => Risk::Adds,
        _ => Risk::Changes,
    }
}

fn visibility(context: &Context<'_>, want: &Want, plan: &mut AspectPlan) {
    let seen = context.repository.visibility;
    let wanted = match want.value.as_bool() {
        // An internal repository also matches `private: true`. GitHub also shows `private: true`
        // for an internal repository.
        Some(true) if seen != Visibility::Public => return,
        Some(true) => Visibility::Private,
        Some(false) => Visibility::Public,
        None => match want.value.as_str().unwrap_or_default().parse() {
            Ok(wanted) => wanted,
            Err(why) => return plan.cannot_resolve(why),
        },
    };
    if seen == wanted {
        return;
    }
    if context.repository.fork {
        let why = format!("GitHub does not change the visibility of a fork ({})", want.asked);
        return plan.cannot_resolve_part("visibility", why);
    }
    let (stage, risk) =
        if wanted > seen { (Stage::Widen, Risk::Exposes) } else { (Stage::Narrow, Risk::Removes) };
    let (before, after) = (json!(seen.as_str()), json!(wanted.as_str()));
    let fields = vec![field("visibility", before, after.clone(), Some(&want.asked), risk)];
    plan.change_at(stage, "", fields, patch("visibility", after));
}

fn archived(want: &Want, seen: Value, plan: &mut AspectPlan) {
    // Nobody can write to an archived repository. If Beadle unarchives the repository, all people
    // with write access can write again.
    let (stage, risk) =
        if want.value == json!(true) { (Stage::Close, Risk::Removes) } else { (Stage::Open, Risk::Exposes) };
    let fields = vec![field("archived", seen, want.value.clone(), Some(&want.asked), risk)];
    plan.change_at(stage, "", fields, patch("archived", want.value.clone()));
}

fn security(context: &Context<'_>, want: &Want, seen: &Value, plan: &mut AspectPlan) {
    for (feature, wanted) in want.value.as_object().into_iter().flatten() {
        let (before, after) = (&seen[feature]["status"], &wanted["status"]);
        if before == after || after.is_null() {
            continue;
        }
        if before.is_null() {
            // In public repositories, this feature is always on, and GitHub does not show its
            // state.
            let always =
                feature == "advanced_security" && context.repository.visibility == Visibility::Public;
            if !always && after != "disabled" {
                let place = &want.asked;
                plan.cannot_resolve_part(
                    feature,
                    format!(
                        "`{feature}` is not available in this repository; it may need a licence ({place})"
                    ),
                );
            }
            continue;
        }
        let risk = if after == "disabled" { Risk::Weakens } else { Risk::Changes };
        let name = format!("security_and_analysis.{feature}");
        let asked: &PolicyLocation = &want.asked;
        let fields = vec![field(&name, before.clone(), after.clone(), Some(asked), risk)];
        let body = patch("security_and_analysis", json!({ feature: { "status": after } }));
        // Some features are available only in a public repository, so Beadle writes the features in
        // a later stage. No other change depends on these features.
        plan.change_at(Stage::Security, feature.clone(), fields, body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_described() {
        let settings: Vec<&str> = KEYS.iter().map(|(name, ..)| *name).collect();
        let described: Vec<&str> = keys::KEYS.iter().map(|key| key.name).collect();
        assert_eq!(settings, described);
    }

    #[test]
    fn equal_refusals_of_several_settings_are_one_text() {
        let mut refused = Refused::default();
        for (key, refusal) in [("description", "422 a"), ("has_wiki", "422 b"), ("homepage", "422 a")] {
            refused.add(vec![key.to_owned()], refusal.to_owned());
        }
        assert_eq!(refused.text(), "description, homepage: 422 a; has_wiki: 422 b");
    }

    #[test]
    fn a_key_that_may_be_refused_is_a_part_of_its_own_and_ways_to_merge_are_one() {
        let body = json!({
            "has_wiki": false, "web_commit_signoff_required": true, "allow_squash_merge": true,
            "allow_merge_commit": false, "squash_merge_commit_title": "PR_TITLE", "squash_merge_commit_message": "PR_BODY",
        });
        let parts = parts(body.as_object().unwrap());
        let mut sizes: Vec<usize> = parts.iter().map(Map::len).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 1, 4]);
        let keys: usize = parts.iter().map(Map::len).sum();
        assert_eq!(keys, body.as_object().unwrap().len(), "nothing is left out");
    }
}
