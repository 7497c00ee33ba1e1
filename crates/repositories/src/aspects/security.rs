//! Plans and writes the security features of a repository. An organisation has a switch "enable for
//! all". Beadle does not use this switch, because no API shows whether it is on. Secret scanning
//! and push protection belong to the settings (`repository.security_and_analysis`).
//!
//! <https://docs.github.com/rest/repos/repos#enable-vulnerability-alerts>,
//! <https://docs.github.com/rest/code-scanning/code-scanning#get-a-code-scanning-default-setup-configuration>

use async_trait::async_trait;
use beadle_engine::{Failure, Risk};
use beadle_github::Method;
use futures::future::{OptionFuture, join_all};
use serde_json::{Map, Value, json};

use super::aspect::{
    ADMINISTRATION, Aspect, AspectPlan, AspectPlanner, Context, Stage, Step, WriteTarget, field,
    reads_nothing,
};
use crate::policy::Node;
use crate::policy::shape::{Shape, key};
use crate::policy::shapes::{OPTIONAL_TEXT, layered};

/// The aspect for a repository's security features.
pub(crate) const SECURITY: Aspect = Aspect {
    name: "security",
    sections: &[key("security", SHAPE, "Security features.")],
    repository_keys: &[key(
        "security",
        Shape::Map(&[
            key("enableVulnerabilityAlerts", Shape::Bool, "Dependabot alerts."),
            key("enableAutomatedSecurityFixes", Shape::Bool, "Dependabot security updates."),
        ]),
        "Dependabot. The section `security` has these features and more.",
    )],
    permissions: &[ADMINISTRATION],
    events: &["security_and_analysis"],
    reads: reads_nothing,
    stage: Stage::Body,
    is_apart: false,
    planner: &Security,
};

const LANGUAGES: Shape = layered!(Shape::Text);
const SHAPE: Shape = Shape::Map(&[
    key("dependabot_alerts", Shape::Bool, "Alerts for vulnerable dependencies."),
    key(
        "dependabot_security_updates",
        Shape::Bool,
        "Pull requests that fix vulnerable dependencies. They need the alerts.",
    ),
    key(
        "private_vulnerability_reporting",
        Shape::Bool,
        "Private reports of vulnerabilities, in public repositories only.",
    ),
    key(
        "code_scanning_default_setup",
        Shape::Map(&[
            key(
                "state",
                Shape::OneOf(&["configured", "not-configured"]),
                "Whether the default setup is on. Default: `configured`.",
            ),
            key("query_suite", Shape::OneOf(&["default", "extended"]), "The set of queries."),
            key("languages", LANGUAGES, "The languages. Default: GitHub chooses."),
            key(
                "threat_model",
                Shape::OneOf(&["remote", "remote_and_local"]),
                "The sources that are not trusted.",
            ),
            key("runner_type", Shape::OneOf(&["standard", "labeled"]), "The kind of runner."),
            key("runner_label", OPTIONAL_TEXT, "The label of the runner."),
        ]),
        "Code scanning by GitHub's default setup.",
    ),
]);

struct Security;

struct Write {
    method: Method,
    path: &'static str,
    body: Option<Value>,
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        to.named()?.send(self.method.clone(), self.path, self.body.clone()).await
    }
}

/// The features that can be on or off. Each feature has a key in the policy, a key in
/// safe-settings, and a path in the API.
const SWITCHES: &[(&str, &str, &str)] = &[
    ("dependabot_alerts", "enableVulnerabilityAlerts", "vulnerability-alerts"),
    ("dependabot_security_updates", "enableAutomatedSecurityFixes", "automated-security-fixes"),
    ("private_vulnerability_reporting", "", "private-vulnerability-reporting"),
];

/// The switch for the alerts of Dependabot.
const ALERTS: &str = "dependabot_alerts";
/// The switch for the security updates of Dependabot. GitHub turns it on only if the alerts are on.
const UPDATES: &str = "dependabot_security_updates";
/// The path for code scanning's default setup, below the repository.
const CODE_SCANNING: &str = "code-scanning/default-setup";

#[async_trait]
impl AspectPlanner for Security {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let own = context.desired.sections.get("security").map(|section| &section.node);
        let incumbent = context.desired.security.as_ref();
        let mut wants = Vec::new();
        for (key, old, path) in SWITCHES {
            // If the desired state still has a key of safe-settings, this key has priority. If a
            // layer of higher rank sets the same feature in `security`, Beadle has already removed
            // the safe-settings key.
            let want =
                incumbent.and_then(|node| node.get(old)).or_else(|| own.and_then(|node| node.get(key)));
            if let Some((want, wanted)) = want.and_then(|node| Some((node, node.bool()?))) {
                wants.push((*key, *path, want, wanted));
            }
        }
        let alerts_wanted = wants.iter().any(|(key, _, _, wanted)| *key == ALERTS && *wanted);
        let reads: Vec<_> = wants.iter().map(|(key, path, ..)| known(context, key, path)).collect();
        let scanning = own.and_then(|node| node.get("code_scanning_default_setup"));
        let setup = scanning.map(|_| context.reader.below(context.repository, CODE_SCANNING));
        let (reads, setup) = futures::join!(join_all(reads), OptionFuture::from(setup));
        for ((key, path, want, wanted), read) in wants.into_iter().zip(reads) {
            let seen = match read {
                Ok(Some(seen)) => seen,
                // GitHub offers this feature only for public repositories.
                Ok(None) => continue,
                Err(failure) => {
                    plan.part_failed(key, &failure)?;
                    continue;
                }
            };
            if key == UPDATES
                && wanted
                && context.repository.vulnerability_alerts == Some(false)
                && !alerts_wanted
            {
                let why = format!(
                    "GitHub needs the Dependabot alerts, which are off; add `dependabot_alerts: true` ({})",
                    want.asked
                );
                plan.cannot_resolve_part(key, why);
                continue;
            }
            if seen != wanted {
                let (method, risk) =
                    if wanted { (Method::PUT, Risk::Changes) } else { (Method::DELETE, Risk::Weakens) };
                let fields = vec![field(key, json!(seen), json!(wanted), Some(&want.asked), risk)];
                plan.change_at(Stage::Security, "", fields, Write { method, path, body: None });
            }
        }
        match (scanning, setup) {
            (Some(want), Some(read)) => code_scanning(want, read, plan),
            _ => Ok(()),
        }
    }
}

/// Returns whether a feature is on at GitHub. Returns `None` if the repository cannot have the
/// feature.
async fn known(context: &Context<'_>, key: &str, path: &'static str) -> Result<Option<bool>, Failure> {
    let repository = context.repository;
    if key == ALERTS
        && let Some(on) = repository.vulnerability_alerts
    {
        return Ok(Some(on));
    }
    if key == "private_vulnerability_reporting" && !context.stays_public() {
        return Ok(None);
    }
    let seen = context.reader.below(repository, path).await?;
    Ok(Some(match seen {
        // If the alerts are on, GitHub's answer is empty. If the alerts are off, GitHub
        // answers 404.
        Some(Value::Null) => true,
        Some(seen) => seen["enabled"] == json!(true),
        None => false,
    }))
}

fn code_scanning(
    want: &Node,
    read: Result<Option<Value>, Failure>,
    plan: &mut AspectPlan,
) -> Result<(), Failure> {
    const PART: &str = "code_scanning_default_setup";
    let seen = match read {
        Ok(Some(seen)) => seen,
        Ok(None) => {
            plan.cannot_resolve_part(
                PART,
                format!("this repository has no default setup of code scanning ({})", want.asked),
            );
            return Ok(());
        }
        Err(failure) => return plan.part_failed(PART, &failure),
    };
    let off = want.get("state").and_then(Node::text) == Some("not-configured");
    let mut wanted = want.json();
    if wanted["state"].is_null() {
        wanted["state"] = json!("configured");
    }
    let (mut fields, mut body) = (Vec::new(), Map::new());
    for (key, after) in wanted.as_object().into_iter().flatten() {
        if off && key != "state" {
            continue;
        }
        let set = |value: &Value| {
            let mut items: Vec<String> =
                value.as_array().into_iter().flatten().map(ToString::to_string).collect();
            items.sort();
            items
        };
        let same = if after.is_array() { set(&seen[key]) == set(after) } else { seen[key] == *after };
        body.insert(key.clone(), after.clone());
        if !same {
            let fewer = set(&seen[key]).iter().any(|language| !set(after).contains(language));
            let weaker = *after == "not-configured"
                || (key == "query_suite" && *after == "default" && seen[key] == "extended")
                || (key == "languages" && fewer)
                || (key == "threat_model" && *after == "remote" && seen[key] == "remote_and_local");
            let risk = if weaker { Risk::Weakens } else { Risk::Changes };
            let asked = want.get(key).map_or(&want.asked, |node| &node.asked);
            fields.push(field(&format!("{PART}.{key}"), seen[key].clone(), after.clone(), Some(asked), risk));
        }
    }
    if !fields.is_empty() {
        let write = Write { method: Method::PATCH, path: CODE_SCANNING, body: Some(Value::Object(body)) };
        plan.change_at(Stage::Security, "", fields, write);
    }
    Ok(())
}
