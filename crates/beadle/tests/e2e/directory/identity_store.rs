//! Tests with the Identity Store of moto. The store has the same group members as the simulated
//! AWS.

use beadle_emulate::Moto;
use serde_json::{Value, json};

use super::world::{World, login, of, people};
use crate::world::Ran;

const STORE: &str = "d-1234567890";

/// Calls the Identity Store of moto. The store has the same ids as the simulated SCIM server.
async fn call(moto: &Moto, operation: &str, mut body: Value) -> Value {
    body["IdentityStoreId"] = json!(STORE);
    moto.call("identitystore", &format!("AWSIdentityStore.{operation}"), &body).await
}

async fn add(moto: &Moto, group: &str, user: &str) {
    call(moto, "CreateGroupMembership", json!({ "GroupId": group, "MemberId": { "UserId": user } })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_identity_store_returns_the_members_of_a_group_in_pages() {
    const PEOPLE: usize = 230;
    let moto = Moto::start().await;
    let group = call(&moto, "CreateGroup", json!({ "DisplayName": "Ops" })).await["GroupId"].clone();
    let group = group.as_str().unwrap();
    let (mut users, mut ids) = (json!({}), Vec::new());
    for n in 0..PEOPLE {
        let name = json!({ "GivenName": "P", "FamilyName": "Example" });
        let user = json!({ "UserName": login(n), "DisplayName": login(n), "Name": name });
        let id = call(&moto, "CreateUser", user).await["UserId"].as_str().unwrap().to_owned();
        users[&id] = json!({
            "userName": login(n), "externalId": format!("00u{n:05}"), "displayName": login(n),
            "name": { "givenName": "P", "familyName": "Example" },
        });
        ids.push(id);
    }
    for id in &ids[..PEOPLE - 10] {
        add(&moto, group, id).await;
    }
    // The source group does not contain the first three members of the target's group. The source
    // group contains two members that the target's group does not contain.
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(3..PEOPLE - 8) } });
    let target = json!({ "users": users, "groups": { group: { "displayName": "Ops" } } });
    let mut world = World::new([json!({ "users": people(PEOPLE), "groups": groups }), target]).await;
    world.groups += "adopt = true\n";
    let store = |id: &str| {
        format!(
            "\"aws-identity-center\", identity_store = {{ id = \"{id}\", region = \"eu-west-1\", endpoint = \"{}\" }}",
            moto.url
        )
    };
    let run = async |world: &World, args: &[&str]| {
        let mut command = world.command();
        let secret = format!("{:032x}", rand::random::<u128>());
        command.env("AWS_ACCESS_KEY_ID", "any").env("AWS_SECRET_ACCESS_KEY", secret);
        Ran::of(command, args).await
    };
    world.dialect = store(STORE);
    let probed = run(&world, &["targets", "probe"]).await.expect(0).out;
    assert!(probed.contains("the Identity Store shows 220 members of Ops"), "{probed}");
    let plan = run(&world, &["plan"]).await;
    assert!(plan.out.contains(&format!("remove: {}", login(0))), "{}{}", plan.out, plan.err);
    assert!(plan.out.contains(&format!("add: {}", login(PEOPLE - 10))), "{}", plan.out);
    assert!(!plan.out.contains(&login(100)), "{}", plan.out);
    // This emulated store does not show the writes that Beadle makes with SCIM. So the second plan
    // is not empty, and the exit code is 2.
    run(&world, &["apply", "--yes"]).await.expect(2);
    let writes = world.writes();
    let operations: Vec<&Value> = writes
        .iter()
        .flat_map(|call| call["request"]["Operations"].as_array().into_iter().flatten())
        .collect();
    let values = |op: &str| -> usize {
        let of = operations.iter().filter(|operation| operation["op"] == op);
        of.map(|operation| operation["value"].as_array().map_or(0, Vec::len)).sum()
    };
    assert_eq!((values("add"), values("remove")), (2, 3), "{operations:?}");
    // If the Identity Store does not answer, the members are unknown. Beadle removes nobody, and
    // the group still exists.
    let before = world.writes().len();
    world.dialect = store(STORE).replace(&moto.url, "http://127.0.0.1:1");
    let plan = run(&world, &["apply", "--yes"]).await;
    assert!(plan.err.contains("in the Identity Store"), "{}{}", plan.out, plan.err);
    assert_eq!(world.writes().len(), before);
}
