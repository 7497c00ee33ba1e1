//! Makes an organisation for a policy that declares everything. Every repository matches the
//! policy. Beadle applies the policy to one repository, and the other repositories are copies of
//! it.

use std::time::Duration;

use beadle_sim::{Limits, Settings, Sim};
use serde_json::{Value, json};

use crate::folder::Folder;
use crate::generated::name;

/// A policy with every section of a repository that GitHub shows. The tests of `beadle import` use
/// the same policy.
pub(crate) const POLICY: &str = include_str!("../../../crates/repositories/src/planner/tests/everything.yml");

/// The sections that [`POLICY`] does not have. The lists of deploy keys and secrets are empty,
/// because each deploy key can belong to only one repository, and nobody can copy a secret.
pub(crate) const LAYER: &str = "
pages: { build_type: workflow }
deploy_keys: []
secrets: { exclusive: [] }
dependabot_secrets: { exclusive: [] }
codespaces_secrets: { exclusive: [] }
security: { code_scanning_default_setup: { state: not-configured } }
rulesets:
  - name: main
    target: branch
    enforcement: active
    conditions: { ref_name: { include: ['~DEFAULT_BRANCH'], exclude: [] } }
    rules: [{ type: deletion }, { type: non_fast_forward }]
";

/// The maximum number of times that Beadle applies the policy until the repository matches the
/// policy.
const ROUNDS: usize = 4;
/// The parts of a repository that have entries with ids.
const WITH_IDS: &[&str] =
    &["labels", "milestones", "autolinks", "rulesets", "hooks", "protection", "environments"];

/// Returns an organisation with this number of identical repositories.
pub(crate) async fn organisation(repositories: usize) -> anyhow::Result<Value> {
    let limits = Limits { minute: Duration::from_secs(1), ..Limits::default() };
    let new = json!({ name(0): { "branches": { "main": {} }, "visibility": "private" } });
    let settings = Settings { limits, state: Some(with_repositories(&new)), ..Settings::default() };
    let sim = Sim::start(([127, 0, 0, 1], 0).into(), settings).await?;
    let folder = Folder::enforcing(&sim, POLICY, "unused", "1s")?;
    folder.layer(LAYER)?;
    for _ in 0..ROUNDS {
        folder.run(&["apply", "--yes"]).await?;
        if folder.run(&["plan"]).await?.status.code() == Some(0) {
            return Ok(copies(&sim.state(), repositories));
        }
    }
    anyhow::bail!("the repository is not as declared after {ROUNDS} applies")
}

/// Returns an organisation with these repositories. The organisation also contains all things that
/// the policy mentions.
pub(crate) fn with_repositories(repositories: &Value) -> Value {
    let tier = json!({ "value_type": "single_select", "allowed_values": ["gold", "lead"] });
    json!({
        "orgs": { "acme": {
            "repos": repositories,
            "members": ["mona"], "teams": { "core": {}, "guards": {} },
            "property_definitions": { "tier": tier, "owner": { "value_type": "string" } },
        } },
        "users": { "mona": {} },
        "apps": { "beadle-app": { "id": beadle_sim::APP_ID }, "gate": { "id": 777 } },
    })
}

/// Returns the state with this number of copies of its only repository.
fn copies(state: &Value, repositories: usize) -> Value {
    let mut state = state.clone();
    let all = &mut state["orgs"]["acme"]["repos"];
    let model = all[name(0)].clone();
    *all = (0..repositories).map(|n| (name(n), copy(&model, n))).collect();
    state
}

/// Returns a copy of a repository. The simulated GitHub gives ids to the copy and to its entries.
fn copy(model: &Value, n: usize) -> Value {
    let mut copy = model.clone();
    if let Some(fields) = copy.as_object_mut() {
        fields.retain(|key, _| !["id", "node_id", "name"].contains(&key.as_str()));
    }
    copy["created_at"] = json!(format!("2024-01-01T{:02}:{:02}:{:02}Z", n / 3600, n / 60 % 60, n % 60));
    for part in WITH_IDS {
        for (_, entry) in copy[*part].as_object_mut().into_iter().flatten() {
            entry["id"] = Value::Null;
        }
    }
    copy
}
