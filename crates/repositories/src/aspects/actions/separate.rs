//! Plans and writes the Actions settings that each have a separate API address. Beadle makes one
//! conditional REST call for each repository and each declared key. Beadle makes no call for a key
//! that the policy does not declare.
//!
//! <https://docs.github.com/rest/actions/permissions#get-the-level-of-access-for-workflows-outside-of-the-repository>,
//! <https://docs.github.com/rest/actions/permissions#get-artifact-and-log-retention-settings-for-a-repository>,
//! <https://docs.github.com/rest/actions/permissions#get-fork-pr-contributor-approval-permissions-for-a-repository>,
//! <https://docs.github.com/rest/actions/permissions#get-private-repo-fork-pr-workflow-settings-for-a-repository>

use async_trait::async_trait;
use beadle_engine::{Failure, Risk};
use beadle_github::Method;
use futures::future::join_all;
use serde_json::{Map, Value, json};

use super::super::aspect::{AspectPlan, Context, Step, WriteTarget, field};
use crate::policy::Node;

/// The repositories to which a setting applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    All,
    Public,
    /// Private and internal repositories.
    Hidden,
}

/// A setting that has a separate address at GitHub.
#[derive(Debug)]
struct Setting {
    /// The key of the policy.
    key: &'static str,
    /// The path below the repository.
    path: &'static str,
    /// The field of the request body that contains the value.
    field: &'static str,
    of: Of,
}

/// The key of the settings for forks of private repositories. The value of this key contains the
/// fields of the request body.
const FORKS: &str = "fork_pr_workflows_private_repos";
/// The main field of [`FORKS`]. If this field is off, the other fields have no effect.
const RUN: &str = "run_workflows_from_fork_pull_requests";
/// The field of [`FORKS`] that gives secrets to workflows of forks.
const SEND_SECRETS: &str = "send_secrets_and_variables";

const SETTINGS: &[Setting] = &[
    Setting {
        key: "access_level",
        path: "actions/permissions/access",
        field: "access_level",
        of: Of::Hidden,
    },
    Setting {
        key: "artifact_and_log_retention_days",
        path: "actions/permissions/artifact-and-log-retention",
        field: "days",
        of: Of::All,
    },
    Setting {
        key: "fork_pr_contributor_approval",
        path: "actions/permissions/fork-pr-contributor-approval",
        field: "approval_policy",
        of: Of::Public,
    },
    Setting {
        key: FORKS,
        path: "actions/permissions/fork-pr-workflows-private-repos",
        field: "",
        of: Of::Hidden,
    },
];

/// The access levels for a repository's workflows, ordered from access for the fewest repositories
/// to access for the most.
const LEVELS: &[&str] = &["none", "user", "organization", "enterprise"];
/// The groups of contributors who need an approval, ordered from the smallest group to the largest.
const APPROVALS: &[&str] =
    &["first_time_contributors_new_to_github", "first_time_contributors", "all_external_contributors"];

/// Writes one setting.
struct Put {
    path: &'static str,
    body: Value,
}

#[async_trait]
impl Step for Put {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        to.named()?.send(Method::PUT, self.path, Some(self.body.clone())).await
    }
}

/// Adds the changes of these settings to the plan. `section` is the section `actions`.
pub(super) async fn plan(
    context: &Context<'_>,
    section: &Node,
    plan: &mut AspectPlan,
) -> Result<(), Failure> {
    let applies = |setting: &Setting| match setting.of {
        Of::All => true,
        Of::Public => context.stays_public(),
        Of::Hidden => context.stays_hidden(),
    };
    let wanted: Vec<(&'static Setting, &Node)> = SETTINGS
        .iter()
        .filter(|setting| applies(setting))
        .filter_map(|setting| Some((setting, section.get(setting.key)?)))
        .collect();
    let reads: Vec<_> =
        wanted.iter().map(|(setting, _)| context.reader.below(context.repository, setting.path)).collect();
    let reads = join_all(reads).await;
    for ((setting, want), read) in wanted.into_iter().zip(reads) {
        match read {
            Ok(Some(seen)) if setting.key == FORKS => forks(setting, want, &seen, plan),
            Ok(Some(seen)) => one(setting, want, &seen, plan),
            Ok(None) => plan.cannot_resolve_part(
                setting.key,
                format!("GitHub does not offer this setting for this repository ({})", want.asked),
            ),
            Err(failure) => plan.part_failed(setting.key, &failure)?,
        }
    }
    Ok(())
}

/// Compares a setting that is a single value.
fn one(setting: &'static Setting, want: &Node, seen: &Value, plan: &mut AspectPlan) {
    let (before, after) = (&seen[setting.field], want.json());
    if *before == after {
        return;
    }
    if before.is_null() {
        plan.cannot_read_part(setting.key, format!("GitHub does not show `{}`", setting.field));
        return;
    }
    if let (Some(most), Some(days)) = (seen["maximum_allowed_days"].as_i64(), want.int())
        && days > most
    {
        plan.cannot_resolve_part(
            setting.key,
            format!("this repository keeps artifacts and logs for at most {most} days ({})", want.asked),
        );
        return;
    }
    let risk = risk(setting.key, before, &after);
    let fields = vec![field(setting.key, before.clone(), after.clone(), Some(&want.asked), risk)];
    let body = json!({ setting.field: after });
    plan.change(setting.key, fields, Put { path: setting.path, body });
}

fn risk(key: &str, before: &Value, after: &Value) -> Risk {
    let place = |order: &[&str], value: &Value| order.iter().position(|known| value == known);
    match key {
        // The wanted value lets more repositories use the workflows and actions of this repository.
        "access_level" if place(LEVELS, before) < place(LEVELS, after) => Risk::Exposes,
        // A shorter retention is a weakening, because logs are evidence. An unknown number of days
        // counts as a longer retention.
        "artifact_and_log_retention_days"
            if before.as_i64().is_none_or(|days| after.as_i64().is_none_or(|other| other < days)) =>
        {
            Risk::Weakens
        }
        "fork_pr_contributor_approval"
            if place(APPROVALS, before)
                .is_none_or(|known| place(APPROVALS, after).is_none_or(|other| other < known)) =>
        {
            Risk::Weakens
        }
        _ => Risk::Changes,
    }
}

/// Compares the settings for forks of private repositories.
fn forks(setting: &'static Setting, want: &Node, seen: &Value, plan: &mut AspectPlan) {
    let entries = want.entries().iter().filter_map(|(key, value)| Some((key.text()?, value)));
    let wanted: Vec<(&str, &Node)> = entries.filter(|(_, value)| value.bool().is_some()).collect();
    let runs = wanted.iter().find(|(key, _)| *key == RUN).and_then(|(_, value)| value.bool());
    let is_off = !runs.unwrap_or(seen[RUN] == json!(true));
    let sends = wanted.iter().find(|(key, _)| *key == SEND_SECRETS).and_then(|(_, value)| value.bool());
    let sends = sends.unwrap_or(seen[SEND_SECRETS] == json!(true));
    let mut body: Map<String, Value> =
        seen.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    body.retain(|_, value| value.is_boolean());
    body.entry(RUN).or_insert(json!(false));
    let mut fields = Vec::new();
    for (key, value) in wanted {
        // While no workflow of a fork runs, the other settings have no effect.
        if is_off && key != RUN {
            continue;
        }
        let after = value.json();
        if seen[key] != after {
            let is_stricter = (key == "require_approval_for_fork_pr_workflows") == (after == json!(true));
            let risk = match key {
                _ if is_stricter => Risk::Changes,
                SEND_SECRETS => Risk::Exposes,
                // The field [`SEND_SECRETS`] can be on even while no workflow of a fork runs.
                RUN if sends => Risk::Exposes,
                _ => Risk::Weakens,
            };
            let name = format!("{FORKS}.{key}");
            fields.push(field(&name, seen[key].clone(), after.clone(), Some(&value.asked), risk));
        }
        body.insert(key.to_owned(), after);
    }
    if !fields.is_empty() {
        plan.change(FORKS, fields, Put { path: setting.path, body: Value::Object(body) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_protection_and_more_access_have_the_stricter_risk() {
        let (new, first, all) = (APPROVALS[0], APPROVALS[1], APPROVALS[2]);
        for (key, before, after, expected) in [
            ("access_level", json!("none"), json!("organization"), Risk::Exposes),
            ("access_level", Value::Null, json!("organization"), Risk::Exposes),
            ("access_level", json!("enterprise"), json!("organization"), Risk::Changes),
            ("artifact_and_log_retention_days", json!(90), json!(30), Risk::Weakens),
            ("artifact_and_log_retention_days", Value::Null, json!(30), Risk::Weakens),
            ("artifact_and_log_retention_days", json!(30), json!(90), Risk::Changes),
            ("fork_pr_contributor_approval", json!(all), json!(first), Risk::Weakens),
            ("fork_pr_contributor_approval", Value::Null, json!(first), Risk::Weakens),
            ("fork_pr_contributor_approval", json!(new), json!(all), Risk::Changes),
        ] {
            assert_eq!(risk(key, &before, &after), expected, "{key}: {before} to {after}");
        }
    }

    fn setting(key: &str) -> &'static Setting {
        SETTINGS.iter().find(|setting| setting.key == key).unwrap()
    }

    #[test]
    fn a_value_that_github_does_not_show_is_unknown() {
        let want = Node::parse("settings.yml", "30").unwrap();
        let mut plan = AspectPlan::default();
        one(setting("artifact_and_log_retention_days"), &want, &json!({}), &mut plan);
        assert_eq!((plan.changes.len(), plan.unresolved.len()), (0, 1));
    }

    #[test]
    fn workflows_of_forks_that_would_get_secrets_are_an_exposure() {
        let want = Node::parse("settings.yml", &format!("{RUN}: true")).unwrap();
        for (sends, expected) in [(false, Risk::Weakens), (true, Risk::Exposes)] {
            let mut plan = AspectPlan::default();
            forks(setting(FORKS), &want, &json!({ RUN: false, SEND_SECRETS: sends }), &mut plan);
            assert_eq!(plan.changes[0].change.fields[0].risk, expected, "{sends}");
        }
    }
}
