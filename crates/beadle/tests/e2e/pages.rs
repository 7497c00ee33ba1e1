//! Tests that the pages of the operator listener show the work of the service. A name must never
//! become HTML.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::repair::{POLICY, declared};
use crate::world::{World, acme};

/// A hostile text. A page that contained this text without encoding would run a script.
const HOSTILE: &str = "<script>alert(1)</script>";

/// Every page of the service in this test.
const PAGES: [&str; 12] = [
    "/",
    "/repositories",
    "/repositories?state=held&instance=acme&text=wid",
    "/repositories/acme/widgets",
    "/groups",
    "/holds",
    "/journal",
    "/deliveries",
    "/queue",
    "/tasks",
    "/policy",
    "/policy/previews",
];

/// Sends a request to the operator listener in the same way as a browser. Returns the status, the
/// headers and the text.
async fn open(world: &World, path: &str) -> (u16, reqwest::header::HeaderMap, String) {
    let url = format!("http://127.0.0.1:{}{path}", world.operator());
    let answer = world.http.get(url).header("accept", "text/html,*/*;q=0.8").send().await.unwrap();
    (answer.status().as_u16(), answer.headers().clone(), answer.text().await.unwrap())
}

async fn api(world: &World, path: &str) -> Value {
    let url = format!("http://127.0.0.1:{}/api/v1{path}", world.operator());
    world.http.get(url).send().await.unwrap().text().await.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_page_of_a_running_service_shows_hostile_names_as_text() {
    let mut widgets = declared();
    widgets["teams"]["contractors"] = json!("admin");
    widgets["labels"] = json!({ HOSTILE: { "color": "ff0000", "description": HOSTILE } });
    let mut world = World::new(acme(json!({ "widgets": widgets, "gadgets": declared() }))).await;
    // The removals of the team and of the label are held.
    world.org_lines = "[org.guard]\nremoves = 0\n".into();
    let labels = format!("labels:\n  - {{ name: \"bug {HOSTILE}\", color: \"00ff00\" }}\n");
    world.policy("settings.yml", &format!("{POLICY}{labels}"));
    let _serving = world.serve().await;
    world.connect();
    world.patch(json!({ "gadgets": { "has_wiki": true } }), true).await;
    world.until("widgets", "label", |repository| repository["labels"].to_string().contains("bug")).await;
    world.until_idle().await;
    // The state of a key is stored at the end of its run.
    let mut held = Value::Null;
    for _ in 0..500 {
        held = api(&world, "/repositories?state=held").await;
        if held["rows"].as_array().is_some_and(|rows| !rows.is_empty()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(held["rows"][0]["subject"], "acme/widgets", "{held}");
    for path in PAGES {
        let (status, headers, page) = open(&world, path).await;
        assert_eq!(status, 200, "{path}: {page}");
        assert!(page.starts_with("<!DOCTYPE html>"), "{path}: {page}");
        let page = page.replace("<script defer src=\"/assets/live.js\"></script>", "");
        assert!(!page.contains("<script"), "{path}: {page}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';"), "{path}: {policy}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        assert!(!headers.contains_key("set-cookie"), "{path}");
    }
    let shown = "&lt;script&gt;alert(1)&lt;/script&gt;";
    for (path, expected) in [
        ("/", "acme/widgets"),
        ("/holds", shown),
        ("/holds", "beadle approve"),
        ("/repositories/acme/widgets", shown),
        ("/repositories/ACME/Widgets", "Held changes"),
        ("/journal?kind=intent", shown),
        ("/repositories?text=gadgets", "/repositories/acme/gadgets"),
        ("/deliveries", "<a href=\"/repositories/acme/"),
        ("/tasks", "policy of acme"),
        ("/policy", "enforce"),
        ("/policy/previews", "No open pull request"),
    ] {
        let (_, _, page) = open(&world, path).await;
        assert!(page.contains(expected), "{expected} in {path}: {page}");
    }
    let (status, _, page) = open(&world, "/repositories/acme/nothing").await;
    assert_eq!(status, 404, "{page}");
    let overview = api(&world, "/overview").await;
    assert_eq!(overview["repositories"]["total"], 2, "{overview}");
    assert_eq!(overview["organisations"][0]["mode"], "enforce", "{overview}");
    let holds = api(&world, "/holds").await;
    let of = |group: &Value| group["aspect"].as_str().unwrap().to_owned();
    let aspects: BTreeSet<String> = holds["groups"].as_array().unwrap().iter().map(of).collect();
    assert_eq!(aspects, BTreeSet::from(["labels".to_owned(), "teams".to_owned()]), "{holds}");
    // A program still gets the records of the tasks.
    let url = format!("http://127.0.0.1:{}/tasks", world.operator());
    let tasks: Value = world.http.get(url).send().await.unwrap().text().await.unwrap().parse().unwrap();
    assert!(tasks.as_array().is_some_and(|tasks| !tasks.is_empty()), "{tasks}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_website_cannot_read_the_pages_by_another_name_of_this_machine() {
    let world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let _serving = world.serve().await;
    for path in [
        "/",
        "/journal",
        "/live?part=holds",
        "/api/v1/journal",
        "/assets/style.css",
        "/assets/live.js",
        "/tasks",
        "/metrics",
        "/readyz",
    ] {
        let url = format!("http://127.0.0.1:{}{path}", world.operator());
        let answer = world.http.get(url).header("host", "evil.example").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 403, "{path}");
        assert!(answer.text().await.unwrap().contains("`Host` must name this machine"), "{path}");
    }
}
