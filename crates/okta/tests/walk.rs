//! Tests every call of the client with hostile values in a hook, in the configuration and in Okta's
//! answers. These values must change neither the resource of a request nor the comparison in a
//! filter.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use beadle_engine::{Clock, Time};
use beadle_okta::{Credential, Okta, Since};
use beadle_transport::ClientSettings;
use beadle_transport::testing::{Arrived, Entry, Recorder, Texts, holds_all, hostile, walk};
use secrecy::SecretString;
use serde_json::{Value, json};

const fn entry(call: &'static str, texts: &'static [&'static str], sends: &'static [&'static str]) -> Entry {
    Entry { call, texts, sends }
}

const ENTRIES: &[Entry] = &[
    entry("Okta::groups", &[], &["GET /api/v1/groups"]),
    entry("Okta::groups_and_clock", &[], &["GET /api/v1/groups"]),
    entry("Okta::group", &["group"], &["GET /api/v1/groups/group"]),
    entry("Okta::count", &["group"], &["GET /api/v1/groups"]),
    entry("Okta::groups_changed_since", &["moment"], &["GET /api/v1/groups"]),
    entry("Okta::members", &["group"], &["GET /api/v1/groups/group/users"]),
    entry("Okta::users", &[], &["GET /api/v1/users"]),
    entry("Okta::users_within", &[], &["GET /api/v1/users"]),
    entry("Okta::user", &["user"], &["GET /api/v1/users/user"]),
    entry("Okta::groups_of", &["user"], &["GET /api/v1/users/user/groups"]),
    entry("Okta::pushed", &["app"], &["GET /api/v1/apps/app/group-push/mappings"]),
    // The cursor is an address from Okta. Another test in this file checks the cursor.
    entry("Okta::events", &[], &["GET /api/v1/logs"]),
];

fn okta(wire: &Arc<Recorder>) -> Okta {
    let settings =
        ClientSettings { rest_points: u32::MAX, wire: Some(wire.clone()), ..ClientSettings::default() };
    let token = Credential::Token(SecretString::from("token"));
    Okta::new("https://okta.test", "corp", token, 0, &Clock::system(), &settings).unwrap()
}

fn answer(arrived: &Arrived) -> (u16, Value) {
    let path: Vec<&str> = arrived.segments.iter().map(String::as_str).collect();
    let body = match path.as_slice() {
        ["api", "v1", "groups", _] => json!({ "id": "00g1", "profile": { "name": "Group" } }),
        ["api", "v1", "users", _] => json!({ "id": "00u1", "profile": { "login": "ada" } }),
        _ => json!([]),
    };
    (200, body)
}

async fn perform(call: &str, texts: &Texts) -> Vec<Arrived> {
    let recorder = Recorder::new(answer);
    let okta = okta(&recorder);
    let text = |name: &'static str| texts.pick(name);
    let _is_answered = match call {
        "Okta::groups" => okta.groups().await.is_ok(),
        "Okta::groups_and_clock" => okta.groups_and_clock().await.is_ok(),
        "Okta::group" => okta.group(text("group")).await.is_ok(),
        "Okta::count" => okta.count(text("group")).await.is_ok(),
        "Okta::groups_changed_since" => okta.groups_changed_since(text("moment")).await.is_ok(),
        "Okta::members" => okta.members(text("group")).await.is_ok(),
        "Okta::users" => okta.users().await.is_ok(),
        "Okta::users_within" => okta.users_within(1).await.is_ok(),
        "Okta::user" => okta.user(text("user")).await.is_ok(),
        "Okta::groups_of" => okta.groups_of(text("user")).await.is_ok(),
        "Okta::pushed" => okta.pushed(text("app")).await.is_ok(),
        "Okta::events" => okta.events(&Since::Time(Time::from_seconds(0))).await.is_ok(),
        other => panic!("the walk does not know how to call {other}"),
    };
    recorder.arrived()
}

#[tokio::test(start_paused = true)]
async fn no_value_changes_which_resource_a_request_names() {
    walk(ENTRIES, &[], &perform).await;
}

#[tokio::test(start_paused = true)]
async fn a_cursor_leads_to_no_other_server() {
    let elsewhere = [
        "https://evil.test/",
        "//evil.test/x",
        "\\\\evil.test/x",
        "/\\evil.test/x",
        "https://okta.test@evil.test/",
        "https://okta.test:444/",
    ];
    for link in hostile().into_iter().chain(elsewhere.map(str::to_owned)) {
        let recorder = Recorder::new(answer);
        // The call can fail.
        let _ = okta(&recorder).events(&Since::Cursor(link.clone())).await;
        for arrived in recorder.arrived() {
            assert_eq!(arrived.authority(), "okta.test", "{link:?}");
            assert_eq!(arrived.method, "GET", "{link:?}");
        }
    }
}

#[test]
fn the_walk_knows_every_call() {
    holds_all(ENTRIES, env!("CARGO_MANIFEST_DIR"));
}
