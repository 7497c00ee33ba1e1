//! Tests reads that fail. Beadle retries a failed read. If the retry also fails, the plan fails.

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

#[tokio::test(start_paused = true)]
async fn an_entry_with_the_id_of_another_entry_removes_nothing() {
    let mut state = acme(501, 601);
    let url = "https://tickets.example/<num>";
    let live = |id: u64| json!({ "id": id, "url_template": url, "is_alphanumeric": true });
    state["orgs"]["acme"]["repos"]["shop"]["autolinks"] = json!({ "A-": live(9001), "B-": live(9002) });
    let policy = format!("autolinks: [{{ key_prefix: A-, url_template: '{url}' }}]\n");
    let world = World::new(state, &policy).await;
    assert_eq!(world.changes().await.len(), 1, "the policy does not list B-");
    let row = |prefix: &str| json!({ "id": 9001, "key_prefix": prefix, "url_template": url, "is_alphanumeric": true });
    world.sim.fault(Fault {
        method: Some("GET".into()),
        path: "/autolinks".into(),
        status: Some(200),
        body: Some(json!([row("A-"), row("B-")])),
        ..Fault::default()
    });
    let (changes, doubts) = world.changes_and_doubts().await;
    assert_eq!(changes, Vec::<String>::new(), "the removal of B- would remove A-");
    assert!(doubts[0].contains("an entry of the list, or its id, appears twice"), "{doubts:?}");
}
