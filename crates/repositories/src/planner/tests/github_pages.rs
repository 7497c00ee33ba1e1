//! Tests GitHub Pages sites.

use super::world::World;
use super::*;

fn site_of(world: &World) -> Value {
    world.sim.state()["orgs"]["acme"]["repos"]["shop"]["pages"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_site_is_published_kept_and_removed() {
    let policy = "pages: { source: { branch: main, path: /docs }, cname: docs.example.com }\n";
    let world = World::new(acme(501, 601), policy).await;
    let changes = world.changes().await;
    assert!(changes.len() == 1 && changes[0].contains("Exposes"), "{changes:?}");
    world.apply().await;
    let site = site_of(&world);
    assert_eq!(site["source"], json!({ "branch": "main", "path": "/docs" }));
    assert_eq!(site["cname"], "docs.example.com");
    let other = json!({ "cname": null, "source": { "path": "/" } });
    let state = json!({ "orgs": { "acme": { "repos": { "shop": { "pages": other } } } } });
    world.control("PATCH", &state).await;
    assert_eq!(world.changes().await.len(), 2);
    world.apply().await;
    assert_eq!(site_of(&world), site);
    world.check_calls();
    let mut state = acme(501, 601);
    state["orgs"]["acme"]["repos"]["shop"]["pages"] = site;
    let world = World::new(state, "pages: { enabled: false }\n").await;
    assert!(world.changes().await[0].contains("Removes"));
    world.apply().await;
    assert_eq!(site_of(&world), Value::Null);
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_workflow_needs_no_source_and_a_branch_must_exist() {
    let world = World::new(acme(501, 601), "pages: { build_type: workflow, public: true }\n").await;
    world.apply().await;
    assert_eq!(site_of(&world)["build_type"], "workflow");
    world.check_calls();
    for policy in ["pages: { source: { branch: gone } }\n", "pages: { cname: docs.example.com }\n"] {
        let world = World::new(acme(501, 601), policy).await;
        let (planner, _) = world.parts();
        let plans = planner.organisation("acme", &[], Shard::default(), &|_, _| {}).await.unwrap().plans;
        let plan = &plans.iter().find(|(_, plan)| plan.subject.ends_with("shop")).unwrap().1;
        assert_eq!((plan.changes.len(), plan.unknowns.len()), (0, 1), "{policy}");
        world.check_calls();
    }
}
