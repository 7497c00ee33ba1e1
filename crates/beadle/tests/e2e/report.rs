//! Tests reports about a given time. A report about a given time shows the records that the service
//! made until this time, including records from before a restart.

use std::time::Duration;

use serde_json::{Value, json};

use crate::repair::{POLICY, declared, is_declared};
use crate::world::{Ran, World, acme};

const CONTROL: &str = "branches.main.enforce_admins";
/// The maximum number of times that a test checks a condition. All checks together take at least a
/// minute.
const LOOKS: usize = 600;

/// Returns the present time with milliseconds.
fn now() -> String {
    jiff::Timestamp::now().to_string()
}

async fn report(world: &World, at: &str, format: &str) -> Ran {
    world.beadle(&["report", "--control", CONTROL, "--at", at, "--format", format]).await
}

/// Waits until the present report has a status.
async fn until_status(world: &World, status: &str) {
    let mut last = Value::Null;
    for _ in 0..LOOKS {
        last = report(world, &now(), "json").await.json();
        if last["status"] == status {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the status `{status}` did not come true: {last:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_shows_for_each_moment_what_was_recorded_then() {
    let mut drifted = declared();
    drifted["protection"]["main"]["enforce_admins"] = json!(false);
    let mut world = World::new(acme(json!({ "widgets": drifted }))).await;
    world.mode = "observe";
    world.policy("settings.yml", POLICY);
    let before = now();

    let serving = world.serve().await;
    world.until_swept(&serving).await;
    world.until_idle().await;
    assert_eq!(serving.stop().await, Some(0));
    let drift = now();

    world.mode = "enforce";
    let serving = world.serve().await;
    world.until("widgets", "the repair", is_declared).await;
    until_status(&world, "met").await;
    world.until_idle().await;
    assert_eq!(serving.stop().await, Some(0));
    let repair = now();

    let waive = ["waive", "acme/widgets", "--keys", CONTROL, "--until", "2d", "--reason", "=release"];
    world.beadle(&waive).await.expect(0);
    let serving = world.serve().await;
    until_status(&world, "waived").await;
    world.until_idle().await;
    assert_eq!(serving.stop().await, Some(0));
    let waiver = now();

    let row = report(&world, &before, "json").await.expect(2).json();
    assert_eq!((&row["status"], &row["repository"]), (&json!("not recorded"), &json!("acme/widgets")));
    let row = report(&world, &drift, "json").await.expect(2).json();
    assert_eq!(row["status"], "not met", "{row:#}");
    assert_eq!(row["control"], "branches[default].protection.enforce_admins");
    assert_eq!((&row["policy"], &row["value"]), (&json!("settings.yml:14"), &json!("true")));
    assert_eq!(row["cause"], "the mode does not allow the repair");
    let row = report(&world, &repair, "json").await.expect(0).json();
    assert_eq!((&row["status"], &row["cause"]), (&json!("met"), &json!("")), "{row:#}");
    let row = report(&world, &waiver, "json").await.expect(0).json();
    assert_eq!((&row["status"], &row["reason"]), (&json!("waived"), &json!("=release")), "{row:#}");
    assert!(row["until"].is_string() && row["owner"].is_string(), "{row:#}");

    let csv = report(&world, &waiver, "csv").await.expect(0).out;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 2, "{csv}");
    assert!(lines[0].starts_with("repository,control,status,cause,since,until,reason,owner,"), "{csv}");
    assert!(lines[1].contains(",'=release,"), "a spreadsheet must not compute the reason: {csv}");
    let table = report(&world, &drift, "table").await.expect(2).out;
    assert!(table.starts_with("acme/widgets\n") && table.contains("not met"), "{table}");
    assert!(table.contains("1 not met"), "{table}");
    let all = world.beadle(&["report", "--at", repair.as_str()]).await.expect(0).out;
    assert!(all.contains("teams[platform].permission") && all.contains("repository.topics"), "{all}");

    let future = world.beadle(&["report", "--at", "2999-01-01"]).await.expect(1).err;
    assert!(future.contains("it is in the future"), "{future}");
    let unknown = world.beadle(&["report", "--control", "branchs"]).await.expect(1).err;
    assert!(unknown.contains("did you mean `branches`?"), "{unknown}");
}
