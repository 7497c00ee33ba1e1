//! Tests that an open page gets changed values. The page gets these values only as long as the
//! person is allowed to read them.

use std::time::Duration;

use serde_json::json;

use crate::repair::{POLICY, declared};
use crate::sign_in::{Browser, change, lines, person, url};
use crate::world::{World, acme};

/// The maximum time that a test waits for an event. The time is long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// The events that a page gets.
struct Events(reqwest::Response);

impl Events {
    /// Returns the text up to and including the next event with this name. Returns `None` if the
    /// service ended the events before this event.
    async fn until(&mut self, name: &str) -> Option<String> {
        let (mut text, line) = (String::new(), format!("event: {name}\n"));
        let read = async {
            loop {
                // If the connection was cut, this read fails.
                text += std::str::from_utf8(&self.0.chunk().await.unwrap()?).unwrap();
                if text.contains(&line) {
                    return Some(text);
                }
            }
        };
        let read = tokio::time::timeout(PATIENCE, read).await;
        read.unwrap_or_else(|_| panic!("no event `{name}` arrived in time"))
    }
}

/// Opens a page, and then its events.
async fn open(browser: &Browser<'_>, world: &World, part: &str) -> Events {
    let page = browser.get(&format!("{}/{part}", url(world)), &browser.session).await;
    let page = page.text().await.unwrap();
    let version = page.split("data-version=\"").nth(1).and_then(|rest| rest.split('"').next());
    let version = version.unwrap_or_else(|| panic!("{page}"));
    let address = format!("{}/live?part={part}&version={version}", url(world));
    let events = browser.get(&address, &browser.session).await;
    assert_eq!(events.status().as_u16(), 200);
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    Events(events)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_gets_an_event_after_a_hold_and_after_its_approval_and_a_stop_ends_the_events() {
    let mut world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.org_lines = "[org.guard]\nremoves = 0\n".into();
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.connect();
    world.until_idle().await;
    let browser = Browser::new(&world);
    let mut holds = open(&browser, &world, "holds").await;
    let mut queue = open(&browser, &world, "queue").await;
    world.patch(json!({ "widgets": { "has_wiki": true, "teams": { "contractors": "admin" } } }), true).await;
    let event = holds.until("changed").await.unwrap();
    assert!(event.contains("\ndata: ") && !event.contains("contractors"), "{event}");
    let address = format!("{}/api/v1/holds", url(&world));
    let listed = browser.get(&address, "").await.text().await.unwrap();
    let listed: serde_json::Value = listed.parse().unwrap();
    assert_eq!(listed["total"], 1, "{listed}");
    let code = listed["groups"][0]["code"].as_str().unwrap();
    world.beadle(&["approve", code, "--reason", "read it"]).await.expect(0);
    holds.until("changed").await.unwrap();
    let is_removed = |found: &serde_json::Value| found["teams"].get("contractors").is_none();
    world.until("widgets", "the approved removal", is_removed).await;
    assert_eq!(serving.stop().await, Some(0));
    for events in [&mut holds, &mut queue] {
        assert_eq!(events.until("end").await, None, "only the end of a session has an event");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_end_with_the_session_and_with_its_role() {
    let mut state = acme(json!({ "widgets": declared() }));
    state["orgs"]["acme"]["teams"]["security"]["members"] = json!({ "ann": "member", "dan": "member" });
    let mut world = World::unlimited(state).await;
    world.policy("settings.yml", POLICY);
    let provider = "[server.sign_in.github]\norg = \"acme\"\nclient_id = \"Iv1.1\"";
    world.lines = lines(&world, "approvers = [\"security\"]", provider);
    let serving = world.serve().await;
    world.until_idle().await;
    assert_eq!(Browser::new(&world).status("/live?part=holds").await, 401);

    let (ann, status) = person(&world, "ann").await;
    assert_eq!(status, 303);
    let (dan, status) = person(&world, "dan").await;
    assert_eq!(status, 303);
    let mut of_ann = open(&ann, &world, "queue").await;
    let mut of_dan = open(&dan, &world, "queue").await;
    assert_eq!(ann.send("/sign-out", "").await.0, 303);
    assert!(of_ann.until("end").await.is_some());
    assert_eq!(of_ann.until("end").await, None);
    assert_eq!(ann.status("/live?part=holds").await, 401);

    let members = json!({ "security": { "members": { "dan": null } } });
    change(&world, &json!({ "orgs": { "acme": { "teams": members } } })).await;
    // Because of the decision, Beadle reads the role of the person again.
    let now = jiff::Timestamp::now().as_millisecond();
    let form = format!("ruling=reject&code=d1&shown={now}&reason=read+it");
    assert_eq!(dan.send("/holds/decide", &form).await.0, 403);
    assert!(of_dan.until("end").await.is_some());
    assert_eq!(serving.stop().await, Some(0));
}
