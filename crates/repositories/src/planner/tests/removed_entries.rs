//! Tests the line of the policy that a removal names.

use std::collections::BTreeSet;

use super::world::{World, plans};
use super::*;
use crate::policy::absent_entry;

/// A policy whose lists are not in brackets. Each list contains one entry that the repository has.
const POLICY: &str = "
repository:
  topics:
    - kept
teams:
  # Everybody.
  - name: platform
    permission: push
collaborators:
- username: mona
  permission: push
labels:
  exclude:
    - name: ^wip
  include:
    - name: kept
milestones:
  - title: kept
autolinks:
  - key_prefix: KEPT-
    url_template: https://kept/<num>
environments:
  - name: kept
    variables:
      - name: KEPT
        value: x
variables:
  - name: KEPT
    value: x
";

#[tokio::test(start_paused = true)]
async fn a_removal_names_the_line_of_the_list_and_not_the_line_of_another_entry() {
    let label = || json!({ "color": "d73a4a", "description": null });
    let link = |host: &str| json!({ "url_template": format!("https://{host}/<num>") });
    let mut state = acme(501, 601);
    state["users"]["eve"] = json!({ "id": 502 });
    state["orgs"]["acme"]["teams"]["ops"] = json!({ "id": 602 });
    state["orgs"]["acme"]["repos"]["shop"] = json!({
        "id": 101, "branches": { "main": {} }, "topics": ["kept", "old"],
        "teams": { "platform": "push", "ops": "push" },
        "collaborators": { "mona": "push", "eve": "push" },
        "labels": { "kept": label(), "old": label(), "wip": label() },
        "milestones": { "kept": { "state": "open" }, "old": { "state": "open" } },
        "autolinks": { "KEPT-": link("kept"), "OLD-": link("old") },
        "environments": { "kept": { "variables": { "KEPT": "x", "OLD": "x" } }, "old": {} },
        "variables": { "KEPT": "x", "OLD": "x" },
    });
    let world = World::new(state, POLICY).await;
    let (planner, _) = world.parts();
    let mut found = BTreeSet::new();
    for (_, plan) in plans(&planner).await {
        for change in plan.changes {
            for field in &change.fields {
                let Some(entry) = absent_entry(&change.aspect, &change.what, field) else { continue };
                let line = usize::try_from(field.asked.as_ref().unwrap().line).unwrap();
                let line = POLICY.lines().nth(line - 1).unwrap().trim();
                found.insert(format!("{line} {entry}"));
            }
        }
    }
    let expected = [
        "autolinks: the list `autolinks` does not have OLD-",
        "collaborators: the list `collaborators` does not have eve",
        "environments: the list `environments` does not have old",
        "include: the list `labels` does not have old",
        "milestones: the list `milestones` does not have old",
        "teams: the list `teams` does not have ops",
        "topics: the list `repository.topics` does not have old",
        "variables: the list `environments[kept].variables` does not have OLD",
        "variables: the list `variables` does not have OLD",
    ];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn an_added_topic_names_its_own_line() {
    let world = World::new(acme(501, 601), "repository:\n  topics:\n    - old\n    - new\n").await;
    let (planner, _) = world.parts();
    let fields = plans(&planner).await.into_iter().flat_map(|(_, plan)| plan.changes);
    let fields: Vec<_> = fields.flat_map(|change| change.fields).collect();
    let [field] = fields.as_slice() else { panic!("{fields:?}") };
    assert_eq!((field.name.as_str(), field.asked.as_ref().unwrap().line), ("new", 4));
}
