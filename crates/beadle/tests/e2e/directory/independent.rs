//! Servers that others wrote: scim2-server, a strict RFC 7644, by index and by cursor; and scim2-tester, a checker, on our own
//! simulation.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use beadle_sim::okta::Hook;
use serde_json::{Value, json};

use super::world::{World, login, of, people};

fn tool(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/python/bin").join(name);
    assert!(path.exists(), "{} is missing: run `cargo xtask tools`", path.display());
    path
}

struct Server {
    child: Child,
    url: String,
    token: String,
    http: reqwest::Client,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

impl Server {
    async fn start(world: &World, cursor: bool) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let token = format!("{:032x}", rand::random::<u128>());
        let mut command = Command::new(tool("scim2-server"));
        command.args(["--port", &port.to_string(), "--bearer-token", &token]);
        if cursor {
            let config = json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
                "patch": { "supported": true }, "filter": { "supported": true, "maxResults": 1000 },
                "bulk": { "supported": false, "maxOperations": 0, "maxPayloadSize": 0 },
                "changePassword": { "supported": false }, "sort": { "supported": true }, "etag": { "supported": true },
                "pagination": { "cursor": true, "index": false, "defaultPaginationMethod": "cursor", "defaultPageSize": 20, "maxPageSize": 50 },
                "authenticationSchemes": [{ "type": "oauthbearertoken", "name": "bearer", "description": "a bearer token" }],
            });
            let path = world.path().join("provider.json");
            std::fs::write(&path, config.to_string()).unwrap();
            command.arg("--service-provider-config").arg(path);
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let url = format!("http://127.0.0.1:{port}/v2");
        let server = Self { child, url, token, http: reqwest::Client::new() };
        for _ in 0..400 {
            if server.get("ServiceProviderConfig").await.is_some() {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("scim2-server does not start");
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let request = self.http.get(format!("{}/{path}", self.url)).bearer_auth(&self.token);
        serde_json::from_str(&request.send().await.ok()?.text().await.ok()?).ok()
    }

    async fn post(&self, kind: &str, body: Value) {
        let request = self.http.post(format!("{}/{kind}", self.url)).bearer_auth(&self.token);
        let request = request.header("content-type", "application/scim+json").body(body.to_string());
        let status = request.send().await.unwrap().status();
        assert_eq!(status, 201);
    }

    /// Who is in a group, by login.
    async fn members(&self, name: &str) -> Option<(String, BTreeSet<String>)> {
        let filter = format!("Groups?filter=displayName%20eq%20%22{name}%22");
        let group = self.get(&filter).await?["Resources"].get(0)?.clone();
        let mut members = BTreeSet::new();
        for member in group["members"].as_array().into_iter().flatten() {
            let user = self.get(&format!("Users/{}", member["value"].as_str()?)).await?;
            members.insert(user["userName"].as_str()?.to_owned());
        }
        Some((group["id"].as_str()?.to_owned(), members))
    }

    async fn until_holds(&self, name: &str, wanted: impl IntoIterator<Item = usize>) -> String {
        let wanted: BTreeSet<String> = wanted.into_iter().map(login).collect();
        let mut found = None;
        for _ in 0..300 {
            found = self.members(name).await;
            if let Some((id, members)) = &found
                && *members == wanted
            {
                return id.clone();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{name} holds {found:?}, not {wanted:?}");
    }
}

async fn converges(dialect: &str, cursor: bool) {
    let groups = json!({
        "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..70) },
        "00g2": { "profile": { "name": "AWS_Says \"hi\" \\ & more" }, "members": of(0..2) },
    });
    let mut world = World::new([json!({ "users": people(120), "groups": groups }), json!({})]).await;
    let server = Server::start(&world, cursor).await;
    for n in 0..110 {
        let user = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": login(n),
                           "externalId": format!("00u{n:05}"), "active": true });
        server.post("Users", user).await;
    }
    world.scim = Some(server.url.clone());
    world.dialect = dialect.into();
    std::fs::write(world.path().join("aws.token"), &server.token).unwrap();
    world.groups += "users = \"provision\"\n";
    let probed = world.beadle(&["directory", "probe"]).await.expect(0).out;
    assert!(probed.contains("0 groups are listed"), "{probed}");
    let serving = world.serve().await;
    world.connect(&Hook::default());
    let id = server.until_holds("Ops", 0..70).await;
    // Joins (one who has to be made), leaves, a rename.
    let leave: serde_json::Map<String, Value> =
        (0..10).map(|n| (format!("00u{n:05}"), Value::Null)).collect();
    world.okta.patch(&json!({ "groups": { "00g1": { "members": leave } } }));
    server.until_holds("Ops", 10..70).await;
    world.okta.patch(&json!({ "groups": { "00g1": { "members": of(100..112), "profile": { "name": "AWS_Operations" } } } }));
    let renamed = server.until_holds("Operations", (10..70).chain(100..112)).await;
    assert_eq!(renamed, id, "it is another group");
    // One is called otherwise now, and one has to go.
    world.okta.patch(&json!({ "users": { "00u00020": { "profile": { "lastName": "Married" } } } }));
    world.okta.patch(&json!({ "users": { "00u00021": { "status": "SUSPENDED" } } }));
    server.until_holds("Operations", (10..21).chain(22..70).chain(100..112)).await;
    let user = |n: usize| format!("Users?filter=userName%20eq%20%22{}%22", login(n).replace('@', "%40"));
    for _ in 0..200 {
        if server.get(&user(20)).await.unwrap()["Resources"][0]["name"]["familyName"] == "Married" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.get(&user(20)).await.unwrap()["Resources"][0]["name"]["familyName"], "Married");
    assert_eq!(server.get(&user(21)).await.unwrap()["Resources"][0]["active"], json!(false));
    assert_eq!(serving.stop().await, Some(0));
    // Who joined a group that nothing happened to since is brought up to date by a sweep.
    world.beadle(&["sweep"]).await.expect(0);
    let plan = world.beadle(&["plan"]).await.expect(0).out;
    assert!(plan.contains("nothing to change in 2 groups"), "{plan}");
    let probed = world.beadle(&["directory", "probe"]).await.expect(0).out;
    assert!(probed.contains("is read with"), "{probed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_server_by_index() {
    converges("\"rfc7644\", page = 50", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_server_by_cursor() {
    converges("\"rfc7644\", paging = \"cursor\", page = 50", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialect_that_the_server_contradicts_is_refused() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..2) } });
    let mut world = World::new([json!({ "users": people(2), "groups": groups }), json!({})]).await;
    let server = Server::start(&world, true).await;
    world.scim = Some(server.url.clone());
    world.dialect = "\"rfc7644\"".into();
    std::fs::write(world.path().join("aws.token"), &server.token).unwrap();
    let swept = world.beadle(&["sweep"]).await.expect(1);
    assert!(swept.err.contains("say paging = \"cursor\""), "{}", swept.err);
    assert!(server.members("Ops").await.is_none());
}
