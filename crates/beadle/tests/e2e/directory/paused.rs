//! Tests that a pause of an organisation stops all writes to this organisation.

use serde_json::json;

use super::world::{World, login, of, people};

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_of_an_organisation_also_covers_its_teams() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..2) } });
    let users = json!({
        "octo0": { "id": 5000, "verified_emails": [login(0)] }, "octo1": { "id": 5001, "verified_emails": [login(1)] },
    });
    let org = json!({
        "id": 77, "members": ["octo0", "octo1"], "identities": { login(0): "octo0", login(1): "octo1" },
        "teams": {}, "repos": {},
    });
    let directory = json!({ "users": people(2), "groups": groups });
    let world = World::of_teams(directory, json!({ "org": org, "users": users })).await;
    world.make_store();
    let paused = async |scope: &str| {
        let queue = world.beadle(&["queue"]).await.expect(0).out;
        queue.lines().any(|line| line.starts_with("paused") && line.split_whitespace().nth(1) == Some(scope))
    };
    world.beadle(&["pause", "--org", "acme", "--for", "1h"]).await.expect(0);
    assert!(paused("acme").await && paused("teams").await);
    let refused = world.beadle(&["apply", "--yes", "--group", "AWS_Ops"]).await.expect(1);
    assert!(refused.err.contains("teams is paused until"), "{}{}", refused.out, refused.err);
    world.beadle(&["resume", "--org", "acme"]).await.expect(0);
    assert!(!paused("acme").await && !paused("teams").await);
    let applied = world.beadle(&["apply", "--yes", "--group", "AWS_Ops"]).await;
    assert!(!applied.err.contains("paused"), "{}", applied.err);
    // The target itself has a longer pause. This longer pause stays in force.
    world.beadle(&["pause", "--target", "teams", "--for", "2h"]).await.expect(0);
    world.beadle(&["pause", "--org", "acme", "--for", "1h"]).await.expect(0);
    world.beadle(&["resume", "--org", "acme"]).await.expect(0);
    assert!(!paused("acme").await && paused("teams").await);
}
