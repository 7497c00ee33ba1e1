//! Tests the members of an organisation. The policy of the organisation declares these members.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::teams::{acme, directory};
use super::world::World;

/// Returns the logins in a list of the organisation.
fn logins(world: &World, list: &str) -> BTreeSet<String> {
    let state = world.github().state();
    let rows = state["orgs"]["acme"][list].as_array().cloned().unwrap_or_default();
    let login = |row: &Value| row.as_str().or_else(|| row["login"].as_str()).map(str::to_owned);
    rows.iter().filter_map(login).collect()
}

fn octo(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
    numbers.into_iter().map(|n| format!("octo{n}")).collect()
}

fn text(members: impl IntoIterator<Item = usize>, owners: impl IntoIterator<Item = usize>) -> String {
    let list = |logins: BTreeSet<String>| logins.into_iter().collect::<Vec<_>>().join(", ");
    format!("members: [{}]\nowners: [{}]\n", list(octo(members)), list(octo(owners)))
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_the_policy_join_and_leave_and_no_mistake_removes_anybody() {
    let mut acme = acme(12, &json!({ "ops": { "id": 901, "members": { "octo11": "member" } } }));
    acme["org"]["owners"] = json!(["octo0", "octo1", "octo2"]);
    acme["org"]["invitations"] = json!([{ "id": 950, "login": "octo21", "role": "direct_member" }]);
    acme["users"]["octo20"] = json!({ "id": 5020 });
    acme["users"]["octo21"] = json!({ "id": 5021 });
    let mut world = World::of_teams(directory(1, &json!({})), acme).await;
    world.teams += ", members_from_policy = true, required_owners = [\"octo0\"]";
    let path = world.path().join("policy/members.yml");
    let write = |text: &str| crate::world::replace_file(&path, text);
    write(&text((3..11).chain([20, 21]), 0..3));
    let serving = world.serve().await;
    let (members, invited) = (octo(0..11), octo([20, 21]));
    for _ in 0..1200 {
        if logins(&world, "members") == members && logins(&world, "invitations") == invited {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(logins(&world, "members"), members, "octo11 left\n{}", serving.log());
    assert_eq!(logins(&world, "invitations"), invited, "octo21 was already invited");
    assert_eq!(world.team("ops"), Some(json!({})), "GitHub also removes the person from all teams");
    assert_eq!(serving.stop().await, Some(0));
    for wrong in [
        String::new(),
        "members: []\nowners: []\n".into(),
        // The list of members is empty.
        text(0..0, 0..3),
        // The login of an owner is misspelled.
        text((3..11).chain([20, 21]), [0, 2, 99]),
        // The required owner is missing.
        text((3..11).chain([20, 21]), 1..3),
        // There are too few owners.
        text((1..11).chain([20, 21]), [0]),
        // The share of members that Beadle would remove is too large.
        text(5..11, 0..3),
    ] {
        write(&wrong);
        let swept = world.beadle(&["sweep"]).await;
        let said = format!("{wrong}\n{}{}", swept.out, swept.err);
        assert_eq!(logins(&world, "members"), members, "{said}");
        assert_eq!(logins(&world, "owners"), octo(0..3), "{said}");
        assert_eq!(logins(&world, "invitations"), invited, "{said}");
    }
    // The file now declares one owner as an ordinary member. GitHub leaves out the last row of its
    // lists.
    write(&text((2..11).chain([20, 21]), 0..2));
    let faults = format!("{}/_sim/faults", world.github().url());
    for fault in [
        json!({ "path": "/graphql", "contains": "membersWithRole", "shorten": "membersWithRole" }),
        json!({ "path": "/graphql", "contains": "membersWithRole", "lies": ["row_missing"], "connection": "membersWithRole" }),
        json!({ "path": "/graphql", "contains": "membersWithRole", "lies": ["ends_early"], "connection": "membersWithRole" }),
        json!({ "path": "/orgs/acme/members", "status": 200, "body": [] }),
        json!({ "path": "/orgs/acme/invitations", "lies": ["row_missing"] }),
    ] {
        assert!(world.http.post(&faults).body(fault.to_string()).send().await.unwrap().status().is_success());
        let swept = world.beadle(&["sweep"]).await;
        let said = format!("{fault}\n{}{}", swept.out, swept.err);
        assert_eq!(logins(&world, "members"), members, "{said}");
        assert_eq!(logins(&world, "invitations"), invited, "{said}");
        assert!(logins(&world, "owners").is_superset(&octo(0..2)), "{said}");
        world.http.delete(&faults).send().await.unwrap();
    }
    write(&text(1..11, [0]));
    let checked = world.beadle(&["check"]).await.expect(1);
    let said = format!("{}{}", checked.out, checked.err);
    assert!(said.contains("at least 2 logins (min_owners), found 1"), "{said}");
    write(&text(5..11, 0..3));
    let (plan, swept) = (world.beadle(&["plan"]).await, world.beadle(&["sweep"]).await);
    let said = format!("{}{}{}{}", plan.out, plan.err, swept.out, swept.err);
    assert!(said.contains("remove, with their teams and their forks"), "{said}");
    assert!(said.contains("4 of 13 members would leave"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_a_login_that_became_free_gets_neither_a_membership_nor_a_team() {
    let mut acme = acme(6, &json!({ "ops": { "id": 901, "members": { "octo3": "member" } } }));
    acme["org"]["owners"] = json!(["octo0", "octo1", "octo2"]);
    let mut world = World::of_teams(directory(1, &json!({})), acme).await;
    world.teams += ", members_from_policy = true, teams_from_policy = true, required_owners = [\"octo0\"]";
    world.policy("members.yml", &text(3..6, 0..3));
    world.policy("teams.yml", "teams:\n- { name: Ops, members: [octo3] }\n");
    world.beadle(&["sweep"]).await.expect(0);
    // Two people rename their accounts. A stranger and another member take the free logins.
    let renamed = json!({ "users": { "octo2": { "id": 9666 }, "old-two": { "id": 5002 }, "octo3": { "id": 5005 },
        "old-three": { "id": 5003 }, "octo5": null }, "orgs": { "acme": {
        "members": ["octo0", "octo1", "old-two", "old-three", "octo4", "octo3"],
        "owners": ["octo0", "octo1", "old-two"],
        "teams": { "ops": { "members": { "octo3": null, "old-three": "member" } } } } } });
    let state = format!("{}/_sim/state?webhooks=false", world.github().url());
    let answer = world.http.patch(state).body(renamed.to_string()).send().await.unwrap();
    assert!(answer.status().is_success());
    let (plan, swept) = (world.beadle(&["plan"]).await, world.beadle(&["sweep"]).await);
    let said = format!("{}{}{}{}", plan.out, plan.err, swept.out, swept.err);
    for login in ["octo2", "octo3"] {
        assert!(said.contains(&format!("run `beadle rebind acme --user {login}`")), "{login}: {said}");
    }
    assert_eq!(logins(&world, "invitations"), BTreeSet::new(), "{said}");
    assert_eq!(world.team("ops"), Some(json!({ "old-three": "member" })), "{said}");
    let owners: Vec<String> = logins(&world, "owners").into_iter().collect();
    assert_eq!(owners, ["octo0", "octo1", "old-two"], "{said}");
}
