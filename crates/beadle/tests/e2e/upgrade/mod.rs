//! Tests an older version of Beadle and this version with the same stored state.
//!
//! `cargo xtask upgrade --from COMMIT` builds the program of an older commit. The command sets the
//! variable `BEADLE_OLD_PROGRAM` to the path of this program. If the variable is not set, these
//! tests do nothing.

#[cfg(feature = "aws")]
mod dynamodb;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "aws", feature = "postgres"))]
mod rolling;
mod sqlite;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::notify::Receiver;
use crate::repair::{POLICY, declared};
use crate::world::{Ran, Serving, World, acme};

/// The variable with the path of the older version's program.
const OLD: &str = "BEADLE_OLD_PROGRAM";
/// The program of this version.
const NEW: &str = env!("CARGO_BIN_EXE_beadle");
/// The number of repositories that drift.
const REPOSITORIES: usize = 4;

/// Returns the older version's program. If there is no such program, prints that the test is
/// skipped.
#[expect(clippy::print_stderr, reason = "a developer must see that nothing was tested")]
fn old_program() -> Option<String> {
    let program = std::env::var(OLD).ok();
    if program.is_none() {
        eprintln!("left out: {OLD} is not set");
    }
    program
}

/// The place of the state, as environment variables.
struct Place {
    env: Vec<(&'static str, String)>,
}

impl Place {
    fn command(&self, program: &str, config: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg("--config").arg(config).stdin(Stdio::null());
        command.env("FAILPOINTS", "settle=return;first-generation=return");
        command.envs(self.env.iter().map(|(name, value)| (*name, value.as_str())));
        command
    }

    /// Runs a command of an operator with one of the programs, and returns its output.
    async fn ask(&self, program: &str, world: &World, args: &[&str]) -> String {
        Ran::of(self.command(program, &world.config()), args).await.expect(0).out
    }

    /// Runs a command that prints JSON lines. Returns one field of each line.
    async fn listed(&self, program: &str, world: &World, args: &[&str], field: &str) -> BTreeSet<String> {
        let out = self.ask(program, world, args).await;
        let value = |line: &str| match &serde_json::from_str::<Value>(line).unwrap()[field] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        out.lines().map(value).collect()
    }
}

/// A service of one of the two versions. The service has its own ports, and takes all other
/// configuration keys from the world.
struct Process {
    ports: [u16; 2],
    serving: Serving,
}

impl Process {
    /// Starts a service, and waits until it accepts deliveries. The log of the service is in a
    /// folder. `name` is the name of this folder.
    async fn start(place: &Place, program: &str, world: &World, name: &str) -> Self {
        let ports = [(); 2].map(|()| beadle_emulate::free_port());
        let mut text = std::fs::read_to_string(world.config()).unwrap();
        for (old, new) in world.ports.iter().zip(ports) {
            text = text.replace(&format!("127.0.0.1:{old}\""), &format!("127.0.0.1:{new}\""));
        }
        let config = world.path().join(format!("{name}.toml"));
        std::fs::write(&config, text).unwrap();
        let folder = world.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let serving = Serving::start(place.command(program, &config), &folder).ready(ports[1]).await;
        Self { ports, serving }
    }

    /// Changes a repository, and sends a delivery about the drift. The service must accept the
    /// delivery.
    async fn drift(&self, world: &World, name: &str, id: &str) {
        world.patch(json!({ name: { "has_wiki": true } }), false).await;
        self.deliver(world, name, id).await;
    }

    async fn deliver(&self, world: &World, name: &str, id: &str) {
        let number = world.repository(name)["id"].as_u64().unwrap();
        let repository =
            json!({ "id": number, "node_id": format!("R_kgDO{number:08}"), "owner": { "login": "acme" } });
        let body =
            json!({ "action": "edited", "organization": { "login": "acme" }, "repository": repository });
        let sent = world.delivery_to(self.ports[0], id, "repository", body.to_string().as_bytes());
        let status = sent.timeout(Duration::from_secs(10)).send().await.unwrap().status().as_u16();
        assert!(matches!(status, 200 | 202), "{id}: {status}");
    }

    /// Asks the service to send notifications now. Only the process that runs the background tasks
    /// sends notifications.
    async fn notify(&self, world: &World) {
        let url = format!("http://127.0.0.1:{}/tasks/notifications/run", self.ports[1]);
        world.http.post(url).send().await.unwrap();
    }

    /// Stops the service with SIGTERM.
    async fn stop(self) {
        assert_eq!(self.serving.stop().await, Some(0));
    }
}

/// Returns a world with repositories that are as declared. Beadle wants to remove a team from the
/// repository `held`, and the guard holds this change. The receiver gets a message about the hold.
async fn world() -> (World, Arc<Receiver>) {
    let mut repositories = json!({ "held": declared() });
    repositories["held"]["teams"]["contractors"] = json!("admin");
    for n in 0..REPOSITORIES {
        repositories[format!("r{n}")] = declared();
    }
    let mut world = World::unlimited(acme(repositories)).await;
    let receiver = Receiver::start(&mut world).await;
    world.lines = format!("[worker]\nlease = \"2s\"\n{}", world.lines);
    world.org_lines += "[org.guard]\nremoves = 0\nrepeats = 0\n";
    world.policy("settings.yml", POLICY);
    world.checked = false; // other tests make the same calls
    (world, receiver)
}

/// Checks that the receiver got exactly one message about the hold.
fn is_told_once(receiver: &Receiver) {
    let is_opened =
        |topics: &Value| topics.as_array().unwrap().iter().any(|topic| topic["state"] == "opened");
    let messages = receiver.messages();
    let opened: BTreeSet<&String> =
        messages.iter().filter(|(_, topics)| is_opened(topics)).map(|(id, _)| id).collect();
    assert_eq!(opened.len(), 1, "{messages:?}");
}
