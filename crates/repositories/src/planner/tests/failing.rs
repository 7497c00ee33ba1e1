//! Tests reads that fail. Beadle repeats the read, and if it still fails, the plan fails.

use super::world::World;
use super::*;

#[tokio::test(start_paused = true)]
async fn a_failing_read_is_retried_and_then_reported() {
    let widgets = json!({ "has_wiki": true, "branches": { "main": {} } });
    let state = json!({ "orgs": { "acme": { "repos": { "widgets": widgets } } } });
    let world = World::new(state, "repository: { has_wiki: false }\n").await;
    let graphql = || Fault { path: "/graphql".into(), ..Fault::default() };
    let html = Some(json!("<html>Bad Gateway</html>"));
    world.sim.fault(Fault { status: Some(502), count: Some(2), body: html, ..graphql() });
    assert_eq!(world.changes().await.len(), 1);
    let forbidden = json!({ "data": { "organization": null }, "errors": [
        { "type": "FORBIDDEN", "message": "Resource not accessible by integration", "path": ["organization"] },
    ] });
    for fault in [
        Fault { status: Some(500), ..graphql() },
        Fault { reset: true, ..graphql() },
        Fault { truncate: true, ..graphql() },
        Fault { status: Some(200), body: Some(json!({ "data": null })), ..graphql() },
        Fault { status: Some(200), body: Some(json!([1, 2, 3])), ..graphql() },
        Fault { status: Some(200), body: Some(forbidden), ..graphql() },
    ] {
        world.sim.fault(fault.clone());
        let (planner, _) = world.parts();
        let planned = planner.organisation("acme", &[], Shard::default(), &|_, _| {}).await;
        assert!(planned.is_err(), "{fault:?}");
        world.sim.no_faults();
    }
    assert!(world.sim.calls_that(|call| call["writes"] == true).is_empty());
    world.check_calls();
}
