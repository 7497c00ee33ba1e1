//! Resolves a policy with many layers for 10,000 repositories, in a separate process.

use std::path::Path;
use std::sync::Arc;

use beadle_github::{Known, Permission, Repository, TeamPermission, Visibility};
use beadle_repositories::Policy;
use beadle_repositories::policy::{OverrideStatus, Verdict};
use serde_json::{Map, json};

use crate::clock::now;
use crate::folder::peak;
use crate::generated::{LAYERS, name};

const REPOSITORIES: usize = 10_000;

/// Returns a repository. Layers select this repository by its name, a team, a custom property and a
/// topic.
fn repository(n: usize) -> Repository {
    let team = TeamPermission {
        id: 1,
        slug: format!("team-{}", n % LAYERS),
        permission: Permission::Push,
        parent: None,
    };
    let tier = ("tier".to_owned(), json!(format!("tier-{}", n % LAYERS)));
    Repository {
        id: n as u64,
        node_id: format!("R_{n}"),
        name: name(n),
        owner: "acme".into(),
        archived: false,
        fork: false,
        visibility: Visibility::Private,
        settings: Map::new(),
        rest_settings: Known::NotAsked,
        default_branch: Some("main".into()),
        topics: Known::Known(vec![format!("topic-{}", n % LAYERS)]),
        teams: Known::Known(vec![team]),
        has_age: false,
        last_seen: None,
        missing: Arc::default(),
        collaborators: Known::NotAsked,
        invitations: Known::NotAsked,
        protection: Known::NotAsked,
        created_at: "2024-01-01T00:00:00Z".into(),
        vulnerability_alerts: None,
        labels: Known::NotAsked,
        milestones: Known::NotAsked,
        deploy_keys: Known::NotAsked,
        rulesets: Known::NotAsked,
        properties: Known::Known([tier].into()),
    }
}

/// Prints three figures: the time to load the policy in a folder, the time to resolve the policy
/// for all repositories, and the peak memory of this process.
pub(crate) fn run(folder: &Path) -> anyhow::Result<()> {
    let started = now();
    let policy = Policy::load(folder, "admin")?;
    let loaded = started.elapsed().as_secs_f64();
    let repositories: Vec<Repository> = (0..REPOSITORIES).map(repository).collect();
    let started = now();
    let mut settings = 0;
    for repository in &repositories {
        match policy.resolve(repository, &OverrideStatus::default()) {
            Verdict::Reached(layers) => settings += policy.desired(&layers, repository).settings.len(),
            Verdict::Skipped(why) => anyhow::bail!("{} is skipped: {why}", repository.name),
        }
    }
    let resolved = started.elapsed().as_secs_f64();
    anyhow::ensure!(settings >= REPOSITORIES, "the layers do not reach the repositories");
    println!(
        "{REPOSITORIES} repositories resolved with a policy of {} files: {resolved:.2} s, at most {} MiB ({loaded:.2} s to load \
         the policy, {settings} settings)",
        policy.sources.len(),
        peak(std::process::id())?
    );
    Ok(())
}
