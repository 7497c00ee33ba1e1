//! `/metrics` shows the condition of an organisation: what is unknown, whether the newest policy is
//! rejected, the mode, the pauses and the sweeps.

use serde_json::json;

use crate::repair::{POLICY, declared};
use crate::world::{World, acme};

/// Returns the metrics after the service has read the condition again.
async fn scraped(world: &World) -> String {
    world.beadle(&["tasks", "run", "metrics"]).await.expect(0);
    let url = format!("http://127.0.0.1:{}/metrics", world.ports[1]);
    world.http.get(url).send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_part_a_rejected_policy_and_a_pause_are_metrics_until_they_end() {
    let world = World::new(acme(json!({ "a": declared(), "b": declared(), "c": declared() }))).await;
    let with_ghosts = POLICY.replace("teams:\n", "teams:\n  - { name: ghosts, permission: pull }\n");
    world.policy("settings.yml", &with_ghosts);
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    world.until_idle().await;
    let metrics = scraped(&world).await;
    let version = format!("beadle_build_info{{version=\"{}\"}} 1\n", env!("CARGO_PKG_VERSION"));
    for line in [
        version.as_str(),
        "beadle_keys_unknown{name=\"acme\",aspect=\"teams\"} 3\n",
        "beadle_mode{name=\"acme\",mode=\"enforce\"} 1\n",
        "beadle_mode{name=\"acme\",mode=\"observe\"} 0\n",
        "beadle_policy_rejected{name=\"acme\"} 0\n",
        "beadle_paused{name=\"acme\"} 0\n",
        "beadle_last_sweep_timestamp_seconds{name=\"acme\"} ",
        "beadle_next_sweep_timestamp_seconds{name=\"acme\"} ",
        "beadle_generation_timestamp_seconds{name=\"acme\"} ",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    world.policy("settings.yml", "repository:\n  has_wikki: true\n");
    world.beadle(&["tasks", "run", "policy of acme"]).await.expect(1);
    world.beadle(&["pause", "--org", "acme", "--for", "1h"]).await.expect(0);
    let metrics = scraped(&world).await;
    for line in ["beadle_policy_rejected{name=\"acme\"} 1\n", "beadle_paused{name=\"acme\"} 1\n"] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    world.policy("settings.yml", &with_ghosts);
    world.beadle(&["tasks", "run", "policy of acme"]).await.expect(0);
    let metrics = scraped(&world).await;
    assert!(metrics.contains("beadle_policy_rejected{name=\"acme\"} 0\n"), "{metrics}");
}
