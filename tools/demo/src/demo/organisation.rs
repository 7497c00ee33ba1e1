//! The organisation and the policy of the demo, and a check that compares them independently of
//! Beadle.

use std::path::Path;
use std::time::Duration;

use beadle_sim::Sim;
use serde_json::{Value, json};

use super::service::Ports;

/// The number of repositories in the demo.
const REPOSITORIES: usize = 40;

const SETTINGS: &str = "\
repository:
  visibility: private
  has_wiki: false
  delete_branch_on_merge: true
  allow_squash_merge: true

teams:
  - name: platform
    permission: admin
  - name: engineering
    permission: push

branches:
  - name: default
    protection:
      required_pull_request_reviews:
        required_approving_review_count: 1
        dismiss_stale_reviews: true
      enforce_admins: true
      allow_force_pushes: false
      allow_deletions: false
";

const WEB: &str = "\
suborgrepos:
  - web-*
repository:
  topics: [web]
";

const HANDBOOK: &str = "\
repository:
  visibility: public # everybody may read this one
";

/// Returns the name of the repository with this number.
pub(super) fn name(n: usize) -> String {
    match n {
        0 => "handbook".into(),
        1..8 => format!("web-{n:02}"),
        _ => format!("service-{n:02}"),
    }
}

fn rule() -> Value {
    json!({
        "required_pull_request_reviews": { "required_approving_review_count": 1, "dismiss_stale_reviews": true },
        "enforce_admins": true,
    })
}

/// Returns the first state of the organisation. Most repositories match the policy, and some have
/// drift.
pub(super) fn state() -> Value {
    let mut repositories = json!({});
    for n in 0..REPOSITORIES {
        let name = name(n);
        repositories[&name] = json!({
            "created_at": format!("2024-01-01T00:{n:02}:00Z"),
            "visibility": if n == 0 { "public" } else { "private" },
            "has_wiki": false,
            "delete_branch_on_merge": true,
            "topics": if (1..8).contains(&n) { json!(["web"]) } else { json!([]) },
            "branches": { "main": {} },
            "protection": { "main": rule() },
            "teams": { "platform": "admin", "engineering": "push" },
        });
    }
    repositories["service-10"]["has_wiki"] = json!(true);
    repositories["service-11"]["protection"] = json!({});
    repositories["service-12"]["teams"] = json!({ "platform": "admin" });
    repositories["service-13"]["teams"]["contractors"] = json!("admin");
    repositories["service-14"]["protection"]["main"]["required_pull_request_reviews"] = json!(null);
    repositories["web-03"]["topics"] = json!([]);
    repositories["service-15"]["archived"] = json!(true);
    json!({
        "orgs": { "acme": {
            "teams": { "platform": {}, "engineering": {}, "contractors": {} },
            "members": ["octocat"],
            "repos": repositories,
        } },
        "users": { "octocat": {} },
        "apps": { "beadle-app": { "id": beadle_sim::APP_ID } },
    })
}

/// Writes the configuration and the policy files, as a user would write them.
pub(super) fn write_files(
    folder: &Path,
    sim: &Sim,
    secret: &str,
    ports: Ports,
    minute: Duration,
) -> anyhow::Result<()> {
    let policy = folder.join("policy");
    std::fs::create_dir_all(policy.join("suborgs"))?;
    std::fs::create_dir_all(policy.join("repos"))?;
    std::fs::write(policy.join("settings.yml"), SETTINGS)?;
    std::fs::write(policy.join("suborgs/web.yml"), WEB)?;
    std::fs::write(policy.join("repos/handbook.yml"), HANDBOOK)?;
    std::fs::write(folder.join("app.pem"), sim.app_pem())?;
    std::fs::write(folder.join("webhook.secret"), secret)?;
    let [listen, operator] = ports;
    // The demo lets Beadle repair 24 of 40 repositories at the same time. With the default limits,
    // the gate would hold the first policy. The guard would hold removals too, because by default
    // it allows the removals of one aspect in at most a fifth of the repositories, or in 10.
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:{listen}\"\noperator = \"127.0.0.1:{operator}\"\n\n\
         [worker]\nconcurrency = 4\nlease = \"3s\"\n\n\
         [[org]]\nname = \"acme\"\napi = \"{}\"\napp = {{ id = {}, key = \"file:app.pem\" }}\n\
         webhook_secrets = [\"file:webhook.secret\"]\npolicy = \"policy\"\nmode = \"enforce\"\n\n\
         [org.budget]\nminute = \"{}s\"\n\n[org.guard]\npercent = 100\n[org.gate]\npercent = 100\n",
        sim.url(),
        beadle_sim::APP_ID,
        minute.as_secs()
    );
    std::fs::write(folder.join("beadle.toml"), config)?;
    Ok(())
}

/// Returns all differences between the state and the policy. This function shares no code with
/// Beadle, so it can show errors in Beadle's own comparison.
pub(super) fn violations(state: &Value) -> Vec<String> {
    let repositories = state["orgs"]["acme"]["repos"].as_object().into_iter().flatten();
    repositories.flat_map(|(name, repository)| violations_of(name, repository)).collect()
}

/// Returns all differences between one repository and the policy.
pub(super) fn violations_of(name: &str, repository: &Value) -> Vec<String> {
    if repository["archived"] == json!(true) {
        return Vec::new();
    }
    let visibility = if name == "handbook" { "public" } else { "private" };
    let main = &repository["protection"]["main"];
    let mut wrong = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            wrong.push(format!("{name}: {what}"));
        }
    };
    must(repository["visibility"] == visibility, "visibility");
    must(repository["has_wiki"] == json!(false), "wiki");
    must(repository["delete_branch_on_merge"] == json!(true), "merged branches are kept");
    must(repository["teams"] == json!({ "platform": "admin", "engineering": "push" }), "teams");
    must(main["enforce_admins"] == json!(true), "rules for administrators");
    let reviews = &main["required_pull_request_reviews"];
    must(reviews["required_approving_review_count"].as_i64().is_some_and(|count| count >= 1), "approvals");
    must(reviews["dismiss_stale_reviews"] == json!(true), "stale reviews");
    must(main["allow_force_pushes"] == json!(false), "force pushes");
    must(!name.starts_with("web-") || repository["topics"] == json!(["web"]), "topics");
    wrong
}
