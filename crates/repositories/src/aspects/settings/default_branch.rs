//! Renames or creates the declared default branch if this branch does not exist.
//!
//! Beadle renames or creates the branch after all other changes. So before a rename, the present
//! default branch gets its protection, and it keeps this protection under the new name. A new
//! branch is protected from the start, because Beadle has already written the protection rule.
//!
//! <https://docs.github.com/rest/branches/branches#rename-a-branch>,
//! <https://docs.github.com/rest/git/refs#create-a-reference>

use async_trait::async_trait;
use beadle_engine::{Failure, Risk};
use serde_json::{Value, json};

use crate::aspects::aspect::{AspectPlan, Stage, Step, WriteTarget, field};
use crate::policy::{MissingBranch, Want};

/// Adds a missing branch, and makes it the default branch.
enum Write {
    /// Renames the default branch.
    Rename { from: String, to: String },
    /// Creates a branch at the head of the default branch, and makes it the default branch.
    Create { from: String, to: String },
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        let named = to.named()?;
        match self {
            Self::Rename { from, to } => named.rename_branch(from, to).await,
            Self::Create { from, to } => {
                named.create_branch(to, from).await?;
                // If this write fails, the branch already exists. The next plan then needs only
                // this write.
                named.update(json!({ "default_branch": to })).await.map_err(Failure::after_a_part)
            }
        }
    }
}

/// Plans what the policy declares for a missing default branch: a rename or a creation. A rename is
/// a weakening, because rulesets and patterns with the former name do not protect the branch any
/// more.
pub(super) fn missing(what: MissingBranch, want: &Want, seen: &Value, plan: &mut AspectPlan) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (from, to) = (text(seen), text(&want.value));
    let (title, risk, write) = match what {
        MissingBranch::Report => {
            let why = format!(
                "the branch `{to}` does not exist, so it cannot become the default branch; to rename or create it, set \
                 `default_branch_when_missing` ({})",
                want.asked
            );
            return plan.cannot_resolve_part("default_branch", why);
        }
        MissingBranch::Rename => {
            (format!("rename of branch {from}"), Risk::Weakens, Write::Rename { from, to })
        }
        MissingBranch::Create => (format!("new branch {to}"), Risk::Changes, Write::Create { from, to }),
    };
    let fields = vec![field("default_branch", seen.clone(), want.value.clone(), Some(&want.asked), risk)];
    plan.change_at(Stage::Rename, title, fields, write);
}
