//! Tests which data the sweeps of the service read again, and for which data they use earlier
//! answers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{Serving, World, acme};

const POLICY: &str =
    "autolinks: [{ key_prefix: T-, url_template: 'https://t/<num>', is_alphanumeric: false }]\n";
/// The maximum number of attempts until the next sweep has begun.
const ATTEMPTS: usize = 600;

fn linked(host: &str) -> Value {
    let link = json!({ "url_template": format!("https://{host}/<num>"), "is_alphanumeric": false });
    json!({ "autolinks": { "T-": link } })
}

/// Waits until the service has done another sweep.
async fn until_next_sweep(world: &World, serving: &Serving) {
    let begun = || serving.log().matches("sweep started").count();
    let before = begun();
    for _ in 0..ATTEMPTS {
        if begun() > before {
            return world.until_idle().await;
        }
        world.run_task("sweep%20of%20acme").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no sweep has begun:\n{}", serving.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_does_not_read_again_what_only_rest_shows_and_an_event_does() {
    let mut shop = linked("t");
    shop["branches"] = json!({ "main": {} });
    let mut world = World::new(acme(json!({ "shop": shop }))).await;
    // The reread period of every part is longer than the test.
    world.org_lines = "sweep_every = \"1s\"\nreread = \"3650d\"\n".into();
    world.policy("settings.yml", POLICY);
    world.connect();
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    // If something other than the first sweep made the repository due, only the second sweep
    // records its reads.
    until_next_sweep(&world, &serving).await;
    let reads = || world.sim.calls_that(|call| call["path"] == "/repos/acme/shop/autolinks").len();
    let first = reads();
    assert!(first > 0, "the first sweep reads everything");
    world.patch(json!({ "shop": linked("evil") }), false).await;
    until_next_sweep(&world, &serving).await;
    assert_eq!(reads(), first, "the list is not due");
    world.patch(json!({ "shop": { "description": "A shop" } }), true).await;
    let is_repaired = |shop: &Value| shop["autolinks"]["T-"]["url_template"] == "https://t/<num>";
    world.until("shop", "the event makes Beadle read everything", is_repaired).await;
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_period_every_sweep_reads_everything() {
    let mut shop = linked("t");
    shop["branches"] = json!({ "main": {} });
    let mut world = World::new(acme(json!({ "shop": shop }))).await;
    world.org_lines = "sweep_every = \"1s\"\nreread = \"0s\"\n".into();
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    world.patch(json!({ "shop": linked("evil") }), false).await;
    until_next_sweep(&world, &serving).await;
    let is_repaired = |shop: &Value| shop["autolinks"]["T-"]["url_template"] == "https://t/<num>";
    world.until("shop", "the sweep reads the list", is_repaired).await;
    assert_eq!(serving.stop().await, Some(0));
}
