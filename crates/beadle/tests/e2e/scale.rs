//! Tests an unchanged organisation with 1,000 repositories. Beadle makes few calls and no writes,
//! and needs little memory.

use std::fs::File;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::LIMIT;
use crate::repair::{POLICY, declared};
use crate::world::{World, acme};

const REPOSITORIES: usize = 1000;

async fn thousand() -> World {
    let mut repositories = json!({});
    for n in 0..REPOSITORIES {
        repositories[format!("r{n:04}")] = declared();
    }
    let limits = beadle_sim::Limits { minute: Duration::from_secs(1), ..beadle_sim::Limits::default() };
    let settings = beadle_sim::Settings { limits, ..beadle_sim::Settings::default() };
    let mut world = World::with(acme(repositories), settings).await;
    world.org_lines = "[org.budget]\nminute = \"1s\"\n".into();
    world.checked = false; // other tests make the same calls; their bodies would fill the memory
    world
}

/// Runs `plan` and returns its peak memory in MiB, if the system reports it.
async fn plan(world: &World) -> Option<u64> {
    let log = world.path().join("plan.log");
    let mut command = tokio::process::Command::from(world.command());
    command.arg("plan").stdout(Stdio::null()).stderr(File::create(&log).unwrap());
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    let process = child.id().unwrap();
    let (begun, mut peak) = (Instant::now(), None);
    let status = loop {
        if let Ok(text) = std::fs::read_to_string(format!("/proc/{process}/status")) {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            peak = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).or(peak);
        }
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < LIMIT, "the plan did not end");
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    let told = std::fs::read_to_string(&log).unwrap();
    assert_eq!(status.code(), Some(0), "nothing is to be done: {told}");
    peak.map(|kib| kib / 1024)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_1000_repositories_takes_a_tenth_of_a_call_for_each() {
    let world = thousand().await;
    world.policy("settings.yml", POLICY);
    let peak = plan(&world).await;
    let calls = world.sim.calls().len();
    assert!(calls <= REPOSITORIES / 10, "{calls} calls");
    assert_eq!(world.writes(), Vec::<Value>::new());
    assert!(peak.is_none_or(|mib| mib < 150), "{peak:?} MiB");
    eprintln!("{calls} calls, {peak:?} MiB at most");
}

#[tokio::test(flavor = "multi_thread")]
async fn collaborators_cost_one_more_call_for_each_repository() {
    let world = thousand().await;
    world.policy("settings.yml", &format!("{POLICY}collaborators: []\n"));
    let peak = plan(&world).await;
    let calls = world.sim.calls().len();
    assert!(calls <= REPOSITORIES * 11 / 10, "{calls} calls");
    assert_eq!(world.writes(), Vec::<Value>::new());
    assert!(peak.is_none_or(|mib| mib < 150), "{peak:?} MiB");
}
