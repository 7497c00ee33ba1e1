//! Tests with software of other authors. scim2-server is a strict RFC 7644 server. Its clients can
//! ask for pages by index or by cursor. scim2-tester checks the simulated server.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use beadle_scim::{Dialect, Paging};
use beadle_sim::okta::Hook;
use serde_json::{Value, json};

use super::world::{World, login, of, people};

pub(super) fn tool(name: &str) -> PathBuf {
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
        let _ = self.child.kill(); // the process may have ended by itself
        let _ = self.child.wait();
    }
}

impl Server {
    async fn start(world: &World, cursor: bool) -> Self {
        let port = beadle_emulate::free_port();
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
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let url = format!("http://127.0.0.1:{port}/v2");
        let server = Self { child, url, token, http: crate::world::http_client() };
        for _ in 0..1600 {
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

    /// Returns the id of a group, and the logins of its members.
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
        for _ in 0..1200 {
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
    let probed = world.beadle(&["targets", "probe"]).await.expect(0).out;
    assert!(probed.contains("the target lists 0 groups"), "{probed}");
    let serving = world.serve().await;
    world.connect(&Hook::default());
    let id = server.until_holds("Ops", 0..70).await;
    // Some people leave, some people without an account join, and the group gets a new name.
    let leave: serde_json::Map<String, Value> =
        (0..10).map(|n| (format!("00u{n:05}"), Value::Null)).collect();
    world.okta.patch(&json!({ "groups": { "00g1": { "members": leave } } }));
    server.until_holds("Ops", 10..70).await;
    world.okta.patch(&json!({ "groups": { "00g1": { "members": of(100..112), "profile": { "name": "AWS_Operations" } } } }));
    let renamed = server.until_holds("Operations", (10..70).chain(100..112)).await;
    assert_eq!(renamed, id, "it is another group");
    // One person has a new last name, and one person must leave.
    world.okta.patch(&json!({ "users": { "00u00020": { "profile": { "lastName": "Married" } } } }));
    world.okta.patch(&json!({ "users": { "00u00021": { "status": "SUSPENDED" } } }));
    server.until_holds("Operations", (10..21).chain(22..70).chain(100..112)).await;
    let user = |n: usize| format!("Users?filter=userName%20eq%20%22{}%22", login(n).replace('@', "%40"));
    for _ in 0..800 {
        if server.get(&user(20)).await.unwrap()["Resources"][0]["name"]["familyName"] == "Married" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.get(&user(20)).await.unwrap()["Resources"][0]["name"]["familyName"], "Married");
    assert_eq!(server.get(&user(21)).await.unwrap()["Resources"][0]["active"], json!(false));
    assert_eq!(serving.stop().await, Some(0));
    // No further event arrives. A sweep adds the members to the group.
    world.beadle(&["sweep"]).await.expect(0);
    let plan = world.beadle(&["plan"]).await.expect(0).out;
    assert!(plan.contains("nothing to change in 2 groups"), "{plan}");
    let probed = world.beadle(&["targets", "probe"]).await.expect(0).out;
    assert!(probed.contains("read group"), "{probed}");
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
async fn a_group_that_changed_after_its_read_is_read_again_before_a_write() {
    let world = World::new([json!({}), json!({})]).await;
    let server = Server::start(&world, true).await;
    let sides = || {
        let dialect = Dialect { paging: Paging::Cursor, ..Dialect::named("rfc7644").unwrap() };
        let budgets = beadle_engine::Budgets::new("scim", 0);
        let (clock, settings) = (beadle_engine::Clock::system(), beadle_transport::ClientSettings::default());
        let token = server.token.clone().into();
        let api = beadle_scim::Api::new(&server.url, &token, dialect, budgets, &clock, settings).unwrap();
        (beadle_scim::Reader::new(api.clone()), beadle_scim::Writer::new(api))
    };
    let ((reader, writer), (_, other)) = (sides(), sides());
    reader.probe().await.unwrap();
    let mut people = Vec::new();
    for n in 0..3 {
        let user = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": login(n) });
        server.post("Users", user).await;
        people.push(reader.user_named(&login(n)).await.unwrap().one().unwrap().id);
    }
    let group = writer.create_group("Ops", "one").await.unwrap().unwrap().id;
    reader.group(&group).await.unwrap();
    other.add_members(&group, &people[..1]).await.unwrap();
    let refused = writer.add_members(&group, &people[1..2]).await.unwrap_err();
    assert!(refused.text.contains("412"), "{}", refused.text);
    let read = reader.group(&group).await.unwrap().unwrap();
    assert_eq!(read.members, people[..1]);
    // After a new read, the write succeeds. After a successful write, the writer uses the version
    // from the answer to this write.
    writer.add_members(&group, &people[1..2]).await.unwrap();
    writer.add_members(&group, &people[2..]).await.unwrap();
    assert_eq!(reader.group(&group).await.unwrap().unwrap().members.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialect_that_does_not_match_the_server_is_refused() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..2) } });
    let mut world = World::new([json!({ "users": people(2), "groups": groups }), json!({})]).await;
    let server = Server::start(&world, true).await;
    world.scim = Some(server.url.clone());
    world.dialect = "\"rfc7644\"".into();
    std::fs::write(world.path().join("aws.token"), &server.token).unwrap();
    let swept = world.beadle(&["sweep"]).await.expect(1);
    assert!(swept.err.contains("set paging = \"cursor\""), "{}", swept.err);
    assert!(server.members("Ops").await.is_none());
}

/// The differences between AWS and the RFC. Each entry has a check, a resource, a message and a
/// reason. The simulation copies AWS.
const DEPARTURES: &[(&str, Option<&str>, &str, &str)] = &[
    (
        "service_provider_config_endpoint_methods",
        None,
        "returned 404 instead of 405",
        "nothing is said of other methods",
    ),
    ("query_all_resource_types", None, "Resource not found", "AWS has no /ResourceTypes"),
    ("resource_types_endpoint_methods", None, "returned 404 instead of 405", "AWS has no /ResourceTypes"),
    ("query_all_schemas", None, "Resource not found", "AWS has no /Schemas"),
    ("schemas_endpoint_methods", None, "returned 404 instead of 405", "AWS has no /Schemas"),
    (
        "object_query_with_attributes",
        Some("User"),
        "excluded attribute",
        "attributes and excludedAttributes are unsupported",
    ),
    (
        "object_list_with_attributes",
        Some("User"),
        "attributes is not supported",
        "attributes are unsupported",
    ),
    (
        "object_list_with_attributes",
        Some("Group"),
        "attributes is not supported",
        "attributes are unsupported",
    ),
    ("search_with_attributes", Some("User"), "Resource not found", "there is no /.search"),
    ("search_with_attributes", Some("Group"), "Resource not found", "there is no /.search"),
    ("object_replacement", Some("Group"), "the method is not supported", "groups have no PUT"),
    (
        "check_add_attribute",
        Some("Group"),
        "Attribute 'members' was not added",
        "members always come back empty",
    ),
    (
        "check_remove_attribute",
        Some("Group"),
        "remove of externalId is not supported",
        "only the members' removal is described",
    ),
    (
        "check_remove_attribute",
        Some("Group"),
        "members without a list of them",
        "all members at once cannot be removed",
    ),
    (
        "check_replace_attribute",
        Some("Group"),
        "replace of members is not supported",
        "members cannot be replaced",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_simulated_aws_differs_from_the_rfc_only_where_aws_does() {
    let world = World::new([json!({}), json!({})]).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/directory/aws_tester.py");
    let mut command = Command::new(tool("python"));
    let url = world.aws.url();
    command.arg(script).arg(url.trim_end_matches('/')).arg(world.aws.token());
    let output = crate::process::output(command).await;
    let results: Vec<Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let fine = results.iter().filter(|one| one["status"] == "SUCCESS").count();
    assert!(fine > 40, "{fine}");
    let mut seen = BTreeSet::new();
    for one in results.iter().filter(|one| one["status"] != "SUCCESS") {
        let is_it = |(check, of, says, _): &(&str, Option<&str>, &str, &str)| {
            one["check"] == *check
                && one["of"].as_str() == *of
                && one["reason"].as_str().unwrap().contains(says)
        };
        let known = DEPARTURES.iter().position(is_it);
        seen.insert(known.unwrap_or_else(|| panic!("this is no departure of AWS: {one}")));
    }
    let unseen: Vec<_> =
        (0..DEPARTURES.len()).filter(|at| !seen.contains(at)).map(|at| DEPARTURES[at]).collect();
    assert!(unseen.is_empty(), "these are departures no more: {unseen:?}");
}
