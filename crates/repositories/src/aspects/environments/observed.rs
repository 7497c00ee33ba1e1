//! An environment in the form that GitHub returns.

use serde_json::{Value, json};

/// A team or a user that can approve a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reviewer {
    /// `Team` or `User`.
    pub(crate) kind: String,
    pub(crate) id: u64,
    /// The slug or the login. `None` if the policy contains only the id.
    pub(crate) name: Option<String>,
}

impl Reviewer {
    /// Returns whether both reviewers are the same team or user.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.kind == other.kind && self.id == other.id
    }

    /// Returns the reviewer in the form that a request uses.
    pub(super) fn body(&self) -> Value {
        json!({ "type": self.kind, "id": self.id })
    }

    /// Returns the name of the reviewer in plans.
    pub(super) fn shown(&self) -> String {
        let name = self.name.clone().unwrap_or_else(|| self.id.to_string());
        format!("{} {name}", self.kind)
    }
}

/// The branches and tags that can deploy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deployers {
    All,
    Protected,
    /// Only the branches and tags that match one of the environment's patterns.
    Matching,
}

impl Deployers {
    /// Returns the value of `deployment_branch_policy` at GitHub.
    pub(super) fn body(self) -> Value {
        match self {
            Self::All => Value::Null,
            Self::Protected => json!({ "protected_branches": true, "custom_branch_policies": false }),
            Self::Matching => json!({ "protected_branches": false, "custom_branch_policies": true }),
        }
    }
}

/// The settings of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Observed {
    /// The name in GitHub's spelling.
    pub(crate) name: String,
    pub(crate) wait_timer: u64,
    pub(crate) prevent_self_review: bool,
    pub(crate) reviewers: Vec<Reviewer>,
    pub(crate) deployers: Deployers,
}

impl Observed {
    /// Returns the settings of a new environment.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            wait_timer: 0,
            prevent_self_review: false,
            reviewers: Vec::new(),
            deployers: Deployers::All,
        }
    }

    /// Reads a row of GitHub's list. Returns `None` if a part of the row is missing or unknown.
    /// Beadle must not treat a missing part as empty. If Beadle sent the empty part, GitHub would
    /// remove the reviewers or let all branches deploy.
    pub(crate) fn read(row: &Value) -> Option<Self> {
        let mut seen = Self::new(row["name"].as_str()?);
        for rule in row["protection_rules"].as_array()? {
            match rule["type"].as_str()? {
                "wait_timer" => seen.wait_timer = rule["wait_timer"].as_u64()?,
                "required_reviewers" => {
                    seen.prevent_self_review = rule["prevent_self_review"] == json!(true);
                    let reviewers = rule["reviewers"].as_array()?.iter().map(reviewer);
                    seen.reviewers = reviewers.collect::<Option<_>>()?;
                }
                // The field `deployment_branch_policy` shows the branches, and another list shows
                // the Apps.
                _ => {}
            }
        }
        let policy = row.get("deployment_branch_policy")?;
        let is = |key: &str| policy[key] == json!(true);
        seen.deployers = match (is("protected_branches"), is("custom_branch_policies")) {
            _ if policy.is_null() => Deployers::All,
            (true, false) => Deployers::Protected,
            (false, true) => Deployers::Matching,
            _ => return None,
        };
        Some(seen)
    }

    /// Returns the body that gives an environment these settings. If a setting is missing in a
    /// body, GitHub resets the setting. So this body contains all settings.
    pub(super) fn body(&self) -> Value {
        let reviewers: Vec<Value> = self.reviewers.iter().map(Reviewer::body).collect();
        json!({
            "wait_timer": self.wait_timer,
            "prevent_self_review": self.prevent_self_review,
            "reviewers": if reviewers.is_empty() { Value::Null } else { json!(reviewers) },
            "deployment_branch_policy": self.deployers.body(),
        })
    }
}

fn reviewer(entry: &Value) -> Option<Reviewer> {
    let kind = entry["type"].as_str()?;
    let who = &entry["reviewer"];
    let name = if kind == "Team" { &who["slug"] } else { &who["login"] };
    Some(Reviewer { kind: kind.to_owned(), id: who["id"].as_u64()?, name: name.as_str().map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_as_a_whole_or_not_at_all() {
        let row = json!({
            "name": "prod",
            "protection_rules": [
                { "id": 1, "type": "wait_timer", "wait_timer": 30 },
                { "id": 2, "type": "required_reviewers", "prevent_self_review": true, "reviewers": [
                    { "type": "Team", "reviewer": { "id": 5, "slug": "core" } },
                    { "type": "User", "reviewer": { "id": 5, "login": "mona" } },
                ] },
                { "id": 3, "type": "branch_policy" },
            ],
            "deployment_branch_policy": { "protected_branches": false, "custom_branch_policies": true },
        });
        let seen = Observed::read(&row).unwrap();
        let shown: Vec<String> = seen.reviewers.iter().map(Reviewer::shown).collect();
        assert_eq!(shown, ["Team core", "User mona"]);
        assert_eq!((seen.wait_timer, seen.prevent_self_review), (30, true));
        assert_eq!(seen.deployers, Deployers::Matching);
        assert_eq!(
            seen.body(),
            json!({
                "wait_timer": 30, "prevent_self_review": true,
                "reviewers": [{ "type": "Team", "id": 5 }, { "type": "User", "id": 5 }],
                "deployment_branch_policy": { "protected_branches": false, "custom_branch_policies": true },
            })
        );
        for path in ["/name", "/protection_rules/0/wait_timer", "/protection_rules/1/reviewers/0/reviewer/id"]
        {
            let mut short = row.clone();
            *short.pointer_mut(path).unwrap() = Value::Null;
            assert_eq!(Observed::read(&short), None, "{path}");
        }
        for key in ["protection_rules", "deployment_branch_policy"] {
            let mut short = row.clone();
            short.as_object_mut().unwrap().remove(key);
            assert_eq!(Observed::read(&short), None, "{key}");
        }
        let none = json!({ "name": "dev", "protection_rules": [], "deployment_branch_policy": null });
        assert_eq!(Observed::read(&none), Some(Observed::new("dev")));
    }
}
