//! Tests several processes of `beadle serve` that use one database.

mod kills;
mod partition;
mod rolling;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{Ran, Serving, World};

/// A log line of the process that runs the background tasks from now on.
const CHOSEN: &str = "this process runs the background tasks now";

/// One process, which has its own ports and takes all other configuration keys from the world.
struct Peer {
    ports: [u16; 2],
    config: PathBuf,
    url: String,
    serving: Option<Serving>,
}

impl Peer {
    fn new(world: &World, name: &str, url: &str) -> Self {
        let ports = [(); 2].map(|()| beadle_emulate::free_port());
        let mut text = std::fs::read_to_string(world.config()).unwrap();
        // All processes have the same address of the pages, as they would have behind a load
        // balancer.
        for (key, at) in [("listen", 0), ("operator", 1)] {
            let line = |port: u16| format!("{key} = \"127.0.0.1:{port}\"");
            assert!(text.contains(&line(world.ports[at])), "{text}");
            text = text.replace(&line(world.ports[at]), &line(ports[at]));
        }
        let config = world.path().join(format!("{name}.toml"));
        std::fs::write(&config, text).unwrap();
        Self { ports, config, url: url.to_owned(), serving: None }
    }

    /// Starts the process without waiting. `points` are further fail points.
    fn spawn(&mut self, world: &World, points: &str) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_beadle"));
        command.arg("--config").arg(&self.config).stdin(Stdio::null()).env("BEADLE_STORE", &self.url);
        command.env("FAILPOINTS", format!("settle=return;first-generation=return{points}"));
        self.serving = Some(Serving::start(command, world.path()));
    }

    /// Starts the process, and waits until it accepts deliveries.
    async fn start(&mut self, world: &World) {
        self.spawn(world, "");
        let serving = self.serving.take().unwrap();
        self.serving = Some(serving.ready(self.ports[1]).await);
    }

    fn kill(&mut self) {
        self.serving.take().unwrap().kill();
    }

    /// Stops the process with SIGTERM.
    async fn stop(&mut self) {
        assert_eq!(self.serving.take().unwrap().stop().await, Some(0));
    }

    /// Sends a delivery. Returns the status of the answer, if it comes in time.
    async fn deliver(&self, world: &World, id: &str, body: &str) -> Option<u16> {
        deliver(world, self.ports[0], id, body).await
    }
}

/// Sends a delivery about a repository. Returns the status of the answer, if it comes in time.
async fn deliver(world: &World, port: u16, id: &str, body: &str) -> Option<u16> {
    let asked = world.delivery_to(port, id, "repository", body.as_bytes()).timeout(Duration::from_secs(10));
    Some(asked.send().await.ok()?.status().as_u16())
}

/// Starts processes on one database.
async fn start_all(world: &World, urls: &[&str]) -> Vec<Peer> {
    let mut peers = Vec::new();
    for (n, url) in urls.iter().enumerate() {
        let mut peer = Peer::new(world, &format!("peer{n}"), url);
        peer.start(world).await;
        peers.push(peer);
    }
    peers
}

/// Returns the body of a delivery about a repository.
fn body_of(world: &World, name: &str) -> String {
    let id = world.repository(name)["id"].as_u64().unwrap();
    let repository = json!({ "id": id, "node_id": format!("R_kgDO{id:08}"), "owner": { "login": "acme" } });
    json!({ "action": "edited", "organization": { "login": "acme" }, "repository": repository }).to_string()
}

/// Runs a command with the state in the database.
async fn beadle(world: &World, url: &str, args: &[&str]) -> Ran {
    let mut command = world.command();
    command.env("BEADLE_STORE", url);
    Ran::of(command, args).await
}

/// Returns the ids of the stored deliveries.
async fn stored(world: &World, url: &str) -> Vec<String> {
    let listed = beadle(world, url, &["deliveries", "--json", "--limit", "1000000"]).await.expect(0).out;
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
    listed.lines().map(id).collect()
}

/// Waits until no key is due or running.
async fn until_idle(world: &World, url: &str) {
    let mut queue = String::new();
    for _ in 0..600 {
        queue = beadle(world, url, &["queue"]).await.expect(0).out;
        if queue.starts_with("0 event, 0 manual, 0 sweep due, 0 running") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the processes have work left: {queue}");
}

/// Returns how often a text is in the log of all processes.
fn logged(world: &World, text: &str) -> usize {
    std::fs::read_to_string(world.path().join("serve.log")).unwrap_or_default().matches(text).count()
}

/// Waits until a text is in the log of all processes this number of times.
async fn until_logged(world: &World, text: &str, times: usize) {
    for _ in 0..3000 {
        if logged(world, text) >= times {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let log = std::fs::read_to_string(world.path().join("serve.log")).unwrap_or_default();
    panic!("the log does not have `{text}` {times} times:\n{log}");
}
