//! Tests every call of the client, in both dialects, with hostile values in the directory and in
//! the server's answers. These values must change neither the resource of a request nor the
//! comparison in a filter.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use beadle_engine::{Budgets, Clock, Time};
use beadle_scim::{Api, Attribute, Dialect, NewUser, Reader, User, Writer, probe_writes};
use beadle_transport::ClientSettings;
use beadle_transport::testing::{Arrived, Entry, Recorder, Texts, holds_all, hostile, walk};
use secrecy::SecretString;
use serde_json::{Value, json};

const fn entry(call: &'static str, texts: &'static [&'static str], sends: &'static [&'static str]) -> Entry {
    Entry { call, texts, sends }
}

/// The calls that send the same requests in both dialects.
const BOTH: [Entry; 17] = [
    entry("Reader::groups", &[], &["GET /Groups"]),
    entry("Reader::group", &["group"], &["GET /Groups/group"]),
    entry("Reader::group_named", &["name"], &["GET /Groups"]),
    entry("Reader::group_with_external_id", &["external"], &["GET /Groups"]),
    entry("Reader::users", &[], &["GET /Users"]),
    entry("Reader::user", &["user"], &["GET /Users/user"]),
    entry("Reader::user_with_external_id", &["external"], &["GET /Users"]),
    entry("Reader::user_named", &["name"], &["GET /Users"]),
    entry("Reader::groups_of", &["user"], &["GET /Groups"]),
    entry("Writer::create_group", &["name", "external"], &["POST /Groups"]),
    entry("Writer::rename_group", &["group", "name"], &["PATCH /Groups/group"]),
    entry("Writer::delete_group", &["group"], &["DELETE /Groups/group"]),
    entry("Writer::add_members", &["group", "user"], &["PATCH /Groups/group"]),
    entry("Writer::remove_members", &["group", "user"], &["PATCH /Groups/group"]),
    entry("Writer::create_user", &["name", "external", "given", "email"], &["POST /Users"]),
    entry("Writer::update_user", &["user", "given"], &["PATCH /Users/user"]),
    entry("Writer::set_attributes", &["user", "given"], &["PATCH /Users/user"]),
];

/// The calls of the AWS dialect. This dialect reads the members of a group in the list of users.
const AWS: [Entry; 4] = [
    entry("Reader::members", &["group"], &["GET /Users"]),
    entry("Reader::is_member", &["user"], &["GET /Groups"]),
    entry(
        "Reader::probe",
        &["group"],
        &["GET /ServiceProviderConfig", "GET /Groups", "GET /Users", "GET /Users", "GET /Groups/group"],
    ),
    entry(
        "probe_writes",
        &["group", "user"],
        &[
            "GET /Groups",
            "GET /Users",
            "POST /Groups",
            "PATCH /Groups/group",
            "GET /Users",
            "GET /Users",
            "GET /Users",
            "DELETE /Groups/group",
            "GET /Groups/group",
        ],
    ),
];

/// The calls of the RFC 7644 dialect. This dialect reads the members in the group itself.
const RFC7644: [Entry; 4] = [
    entry("Reader::members", &["group"], &["GET /Groups/group"]),
    entry("Reader::is_member", &["group"], &["GET /Groups/group"]),
    entry(
        "Reader::probe",
        &["group"],
        &[
            "GET /ServiceProviderConfig",
            "GET /Groups",
            // The filters with values that no record has.
            "GET /Users",
            "GET /Users",
            "GET /Groups",
            "GET /Groups",
            // Two pages with one user each.
            "GET /Users",
            "GET /Users",
            // The members of a group that does not exist.
            "GET /Users",
            "GET /Groups/group",
            "GET /Users",
        ],
    ),
    entry(
        "probe_writes",
        &["group", "user"],
        &[
            "GET /Groups",
            "GET /Users",
            "POST /Groups",
            "PATCH /Groups/group",
            "GET /Groups/group",
            "GET /Groups/group",
            "GET /Groups/group",
            "DELETE /Groups/group",
            "GET /Groups/group",
        ],
    ),
];

fn entries(own: &[Entry]) -> Vec<Entry> {
    [&BOTH[..], own].concat()
}

/// Returns the answer of a server that has three users, and one group without members.
fn answer(arrived: &Arrived, texts: &Texts) -> (u16, Value) {
    let group = json!({ "id": texts.pick("group"), "displayName": "Group", "members": [] });
    let user = |id: &str| json!({ "id": id, "userName": id });
    let list = |rows: Vec<Value>| json!({ "totalResults": rows.len(), "Resources": rows });
    let has_filter = arrived.query.iter().any(|(name, _)| name == "filter");
    let path: Vec<&str> = arrived.segments.iter().map(String::as_str).collect();
    let body = match (arrived.method.as_str(), path.as_slice()) {
        ("GET", ["ServiceProviderConfig"]) => json!({}),
        ("GET", ["Groups" | "Users"]) if has_filter => list(Vec::new()),
        ("GET", ["Groups"]) => list(vec![group]),
        ("GET", ["Users"]) => list(vec![user(texts.pick("user")), user("second"), user("third")]),
        ("GET", ["Groups", _]) => group,
        ("GET", ["Users", _]) => user("somebody"),
        ("POST", ["Groups"]) => return (201, group),
        ("POST", ["Users"]) => return (201, user("somebody")),
        _ => return (204, Value::Null),
    };
    (200, body)
}

fn api(wire: &Arc<Recorder>, dialect: Dialect) -> Api {
    let settings =
        ClientSettings { rest_points: u32::MAX, wire: Some(wire.clone()), ..ClientSettings::default() };
    let (token, clock) = (SecretString::from("token"), Clock::simulated(Time(0)));
    Api::new("https://scim.test", &token, dialect, Budgets::new("walk", 0), &clock, settings).unwrap()
}

async fn perform(dialect: Dialect, call: &str, texts: &Texts) -> Vec<Arrived> {
    let answers = texts.clone();
    let recorder = Recorder::new(move |arrived| answer(arrived, &answers));
    let api = api(&recorder, dialect);
    let (reader, writer) = (Reader::new(api.clone()), Writer::new(api));
    let text = |name: &'static str| texts.pick(name);
    let _is_done = match call {
        "Reader::groups" => reader.groups().await.is_ok(),
        "Reader::group" => reader.group(text("group")).await.is_ok(),
        "Reader::group_named" => reader.group_named(text("name")).await.is_ok(),
        "Reader::group_with_external_id" => reader.group_with_external_id(text("external")).await.is_ok(),
        "Reader::users" => reader.users().await.is_ok(),
        "Reader::user" => reader.user(text("user")).await.is_ok(),
        "Reader::user_with_external_id" => reader.user_with_external_id(text("external")).await.is_ok(),
        "Reader::user_named" => reader.user_named(text("name")).await.is_ok(),
        "Reader::members" => reader.members(text("group")).await.is_ok(),
        "Reader::groups_of" => reader.groups_of(text("user")).await.is_ok(),
        "Reader::is_member" => reader.is_member(text("group"), text("user")).await.is_ok(),
        "Reader::probe" => reader.probe().await.is_ok(),
        "probe_writes" => probe_writes(&reader, &writer).await.is_ok(),
        "Writer::create_group" => writer.create_group(text("name"), text("external")).await.is_ok(),
        "Writer::rename_group" => writer.rename_group(text("group"), text("name")).await.is_ok(),
        "Writer::delete_group" => writer.delete_group(text("group")).await.is_ok(),
        "Writer::add_members" => writer.add_members(text("group"), &[text("user").to_owned()]).await.is_ok(),
        "Writer::remove_members" => {
            writer.remove_members(text("group"), &[text("user").to_owned()]).await.is_ok()
        }
        "Writer::create_user" => {
            let user = NewUser {
                user_name: text("name").to_owned(),
                external_id: text("external").to_owned(),
                given: text("given").to_owned(),
                family: "Family".into(),
                display: "Display".into(),
                email: Some(text("email").to_owned()),
                attributes: Vec::new(),
            };
            writer.create_user(&user).await.is_ok()
        }
        "Writer::update_user" => {
            let values = [("name.givenName", json!(text("given")))];
            writer.update_user(text("user"), &values).await.is_ok()
        }
        "Writer::set_attributes" => {
            let user = User {
                id: text("user").to_owned(),
                user_name: "ada".into(),
                external_id: None,
                active: true,
                other: serde_json::Map::new(),
            };
            let title = Attribute::named("title").unwrap();
            writer.set_attributes(&user, &[(title, json!(text("given")))]).await.is_ok()
        }
        other => panic!("the walk does not know how to call {other}"),
    };
    recorder.arrived()
}

#[tokio::test(start_paused = true)]
async fn no_value_changes_which_resource_a_request_to_aws_names() {
    let perform = async |call: &str, texts: &Texts| Box::pin(perform(Dialect::AWS, call, texts)).await;
    walk(&entries(&AWS), &[], &perform).await;
}

#[tokio::test(start_paused = true)]
async fn no_value_changes_which_resource_a_request_to_a_server_of_the_rfc_names() {
    let perform = async |call: &str, texts: &Texts| Box::pin(perform(Dialect::RFC7644, call, texts)).await;
    walk(&entries(&RFC7644), &[], &perform).await;
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_no_header_is_sent_in_no_other_form() {
    for version in hostile() {
        let shown = version.clone();
        let recorder = Recorder::new(move |arrived| {
            let segments: Vec<&str> = arrived.segments.iter().map(String::as_str).collect();
            match segments.as_slice() {
                ["ServiceProviderConfig"] => (200, json!({ "etag": { "supported": true } })),
                ["Groups", _] if arrived.method == "GET" => {
                    (200, json!({ "id": "g", "displayName": "Group", "meta": { "version": shown } }))
                }
                ["Groups" | "Users"] => (200, json!({ "totalResults": 0, "Resources": [] })),
                _ => (204, Value::Null),
            }
        });
        let api = api(&recorder, Dialect::AWS);
        let (reader, writer) = (Reader::new(api.clone()), Writer::new(api));
        reader.probe().await.unwrap();
        reader.group("g").await.unwrap();
        writer.delete_group("g").await.unwrap();
        let sent = recorder.arrived();
        let deleted = sent.iter().find(|arrived| arrived.method == "DELETE").unwrap();
        let condition = deleted.headers.get("if-match").map(|value| value.as_bytes().to_vec());
        assert!(condition.is_none_or(|condition| condition == version.as_bytes()), "{version:?}");
    }
}

#[test]
fn the_walk_knows_every_call() {
    holds_all(&entries(&AWS), env!("CARGO_MANIFEST_DIR"));
    holds_all(&entries(&RFC7644), env!("CARGO_MANIFEST_DIR"));
}
