//! Finds out whether every change of a branch needs an approving review.
//!
//! <https://docs.github.com/rest/repos/rules#get-rules-for-a-branch>,
//! <https://docs.github.com/rest/branches/branch-protection>

use beadle_engine::Failure;
use beadle_transport::Path;
use serde_json::Value;

use crate::read::Reader;
use crate::refusal::{ADMINISTRATION, Asked};

impl Reader {
    /// Returns whether every change of a branch needs an approving review. The review can be
    /// required by a ruleset, or by a branch protection that includes administrators. GitHub's
    /// answers do not show who can bypass a ruleset.
    pub async fn needs_review(&self, repository: &str, branch: &str) -> Result<bool, Failure> {
        let organisation = self.organisation();
        let asked = Asked { organisation, repository, reference: None, permission: ADMINISTRATION };
        let repository = Path::at("repos").value(organisation).value(repository);
        let rules = repository.clone().then("rules/branches").value(branch).query("per_page", 100);
        let rules = self.api().get(&rules).await.map_err(|error| asked.explain(error))?;
        let rules: Vec<Value> = rules.json().map_err(Failure::from)?;
        if rules.iter().any(|rule| rule["type"] == "pull_request" && has_count(&rule["parameters"])) {
            return Ok(true);
        }
        let protection = repository.then("branches").value(branch).then("protection");
        match self.api().get(&protection).await {
            Ok(answer) => {
                let rule: Value = answer.json().map_err(Failure::from)?;
                let includes_admins = rule["enforce_admins"]["enabled"] == true;
                Ok(includes_admins && has_count(&rule["required_pull_request_reviews"]))
            }
            // A 404 means that the branch has no protection.
            Err(error) if error.status() == Some(404) => Ok(false),
            Err(error) => Err(asked.explain(error)),
        }
    }
}

/// Returns whether a rule about pull requests demands at least one approving review.
fn has_count(rule: &Value) -> bool {
    rule["required_approving_review_count"].as_u64().is_some_and(|count| count > 0)
}
