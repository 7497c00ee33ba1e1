//! Writes an environment.

use async_trait::async_trait;
use beadle_engine::Failure;
use beadle_github::{Below, Method};
use serde_json::{Value, json};

use crate::aspects::aspect::{Step, WriteTarget};

/// The write requests for one environment. Beadle writes the settings first, then the new patterns
/// and rules, and then the removals. So at any time, a branch can deploy only if the old or the new
/// patterns allow the branch.
#[derive(Default)]
pub(super) struct Write {
    pub(super) name: String,
    /// The body of the settings. `None` if the settings do not change.
    pub(super) settings: Option<Value>,
    /// The new patterns. Each pattern has a type.
    pub(super) new_patterns: Vec<(String, String)>,
    pub(super) old_patterns: Vec<u64>,
    /// The ids of the Apps that get a rule.
    pub(super) new_rules: Vec<u64>,
    pub(super) old_rules: Vec<u64>,
}

/// Deletes an environment. GitHub also deletes the environment's variables and secrets.
pub(super) struct Delete(pub(super) String);

const PATTERNS: &str = "deployment-branch-policies";
const RULES: &str = "deployment_protection_rules";

impl Write {
    /// Returns the requests.
    fn requests(&self) -> Vec<(Method, Below, Option<Value>)> {
        let environment = || Below::environment(&self.name);
        let mut all = Vec::new();
        if let Some(body) = &self.settings {
            all.push((Method::PUT, environment(), Some(body.clone())));
        }
        for app in &self.new_rules {
            let body = json!({ "integration_id": app });
            all.push((Method::POST, environment().then(RULES), Some(body)));
        }
        for (name, kind) in &self.new_patterns {
            let body = json!({ "name": name, "type": kind });
            all.push((Method::POST, environment().then(PATTERNS), Some(body)));
        }
        all.extend(
            self.old_patterns.iter().map(|id| (Method::DELETE, environment().then(PATTERNS).id(*id), None)),
        );
        all.extend(self.old_rules.iter().map(|id| (Method::DELETE, environment().then(RULES).id(*id), None)));
        all
    }
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        for (at, (method, path, body)) in self.requests().into_iter().enumerate() {
            let sent = to.named()?.send(method, path, body).await;
            sent.map_err(|failure| if at > 0 { failure.after_a_part() } else { failure })?;
        }
        Ok(())
    }
}

#[async_trait]
impl Step for Delete {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        to.named()?.send(Method::DELETE, Below::environment(&self.0), None).await
    }
}
