//! moto's Identity Store, which tells who is in the groups of our simulated AWS.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::independent::tool;
use super::world::{World, login, of, people};
use crate::world::Ran;

/// An Identity Store of moto, in front of which our simulated SCIM has the same ids.
struct Moto {
    child: Child,
    url: String,
    http: reqwest::Client,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

const STORE: &str = "d-1234567890";

impl Moto {
    async fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(tool("moto_server"));
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let moto = Self { child, url: format!("http://127.0.0.1:{port}"), http: reqwest::Client::new() };
        for _ in 0..600 {
            if moto.http.get(&moto.url).send().await.is_ok() {
                return moto;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("moto_server does not start");
    }

    async fn call(&self, operation: &str, mut body: Value) -> Value {
        body["IdentityStoreId"] = json!(STORE);
        let scope = "20260101/eu-west-1/identitystore/aws4_request";
        let request =
            self.http.post(&self.url).header("x-amz-target", format!("AWSIdentityStore.{operation}"));
        let request = request
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential=any/{scope}, SignedHeaders=host, Signature=0"),
            )
            .header("content-type", "application/x-amz-json-1.1")
            .body(body.to_string());
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{operation}: {}", answer.text().await.unwrap());
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default()
    }

    async fn add(&self, group: &str, user: &str) {
        self.call("CreateGroupMembership", json!({ "GroupId": group, "MemberId": { "UserId": user } })).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_identity_store_tells_who_is_in_a_group_page_by_page() {
    const PEOPLE: usize = 230;
    let moto = Moto::start().await;
    let group = moto.call("CreateGroup", json!({ "DisplayName": "Ops" })).await["GroupId"].clone();
    let group = group.as_str().unwrap();
    let (mut users, mut ids) = (json!({}), Vec::new());
    for n in 0..PEOPLE {
        let name = json!({ "GivenName": "P", "FamilyName": "Example" });
        let user = json!({ "UserName": login(n), "DisplayName": login(n), "Name": name });
        let id = moto.call("CreateUser", user).await["UserId"].as_str().unwrap().to_owned();
        users[&id] = json!({
            "userName": login(n), "externalId": format!("00u{n:05}"), "displayName": login(n),
            "name": { "givenName": "P", "familyName": "Example" },
        });
        ids.push(id);
    }
    for id in &ids[..PEOPLE - 10] {
        moto.add(group, id).await;
    }
    // Of those who are in it the source lacks the first three, and has two more.
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
    let probed = run(&world, &["directory", "probe"]).await.expect(0).out;
    assert!(probed.contains("the Identity Store shows 220 members of Ops"), "{probed}");
    let plan = run(&world, &["plan"]).await;
    assert!(plan.out.contains(&format!("remove: {}", login(0))), "{}{}", plan.out, plan.err);
    assert!(plan.out.contains(&format!("add: {}", login(PEOPLE - 10))), "{}", plan.out);
    assert!(!plan.out.contains(&login(100)), "{}", plan.out);
    run(&world, &["apply", "--yes"]).await.expect(0);
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
    // A store that is not there is unknown, and takes nobody out: the group is not gone because of it.
    let before = world.writes().len();
    world.dialect = store(STORE).replace(&moto.url, "http://127.0.0.1:1");
    let plan = run(&world, &["apply", "--yes"]).await;
    assert!(plan.err.contains("the Identity Store's members of"), "{}{}", plan.out, plan.err);
    assert_eq!(world.writes().len(), before);
}
