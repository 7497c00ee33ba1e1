//! Tests sweeps: of a shard, on a schedule, with an empty budget, and with one summary. Some tests
//! check contested changes.

use std::collections::BTreeSet;
use std::fs::File;
use std::time::{Duration, Instant};

use beadle_sim::{Limits, Settings};
use serde_json::{Value, json};

use crate::process::{output, output_with_log};
use crate::repair::{POLICY, declared, is_declared};
use crate::world::{World, acme};

fn many(count: usize, drift: bool) -> Value {
    let mut repositories = json!({});
    for n in 0..count {
        let mut repository = declared();
        if drift {
            repository["teams"]["contractors"] = json!("admin");
        }
        repositories[format!("r{n:03}")] = repository;
    }
    repositories
}

fn all_declared(world: &World) -> bool {
    world.sim.look(|state| state["orgs"]["acme"]["repos"].as_object().unwrap().values().all(is_declared))
}

fn refused(world: &World) -> usize {
    world.sim.calls_that(|call| call["status"] == 403 || call["status"] == 429).len()
}

/// Stops the simulator's hour, or lets it continue. While the hour is stopped, it does not end,
/// even on a slow machine. GitHub's answers then contain a reset time that is one hour of the
/// simulator from now.
async fn hold_the_hour(world: &World, held: bool) {
    let url = format!("{}/_sim/limits", world.sim.url());
    let body = json!({ "held": held }).to_string();
    assert!(world.http.put(url).body(body).send().await.unwrap().status().is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shards_of_a_plan_have_each_repository_exactly_once() {
    let world = World::new(acme(many(40, true))).await;
    let own = "rulesets: [{ name: tags, target: tag, enforcement: active, rules: [{ type: deletion }], conditions: { \
               ref_name: { include: [~ALL], exclude: [] }, repository_name: { include: [~ALL], exclude: [] } } }]\n";
    world.policy("settings.yml", &format!("{POLICY}{own}"));
    let mut seen = BTreeSet::new();
    for index in 1..=3 {
        let shard = format!("{index}/3");
        let plan = world.beadle(&["plan", "--shard", &shard, "--format", "json"]).await.expect(2).json();
        for repository in plan["organisations"][0]["repositories"].as_array().unwrap() {
            let key = repository["key"].as_str().unwrap().to_owned();
            assert!(seen.insert(key), "{repository} is in two shards");
        }
    }
    assert_eq!(seen.len(), 41, "the organisation, and every repository");
    world.beadle(&["plan", "--shard", "4/3"]).await.expect(1);
}

/// The team contractors has access to every repository. After Beadle has read the first page of
/// this list, the test removes the first entry. Then the first entry of the second page moves to
/// the first page.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_changes_between_its_pages_loses_no_entry() {
    let world = World::new(acme(many(150, true))).await;
    world.policy("settings.yml", POLICY);
    world.fault(json!({ "path": "/graphql", "contains": "\"slug\":\"contractors\"", "delay_ms": 1500, "count": 1 })).await;
    let mut command = world.command();
    command.args(["plan", "--format", "json"]);
    let plan = tokio::spawn(output(command));
    for _ in 0..1600 {
        if world.sim.calls().iter().any(|call| call["request"].to_string().contains("teams(first")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.patch(json!({ "r000": { "teams": { "contractors": null } } }), false).await;
    let plan: Value = serde_json::from_slice(&plan.await.unwrap().stdout).unwrap();
    let mut drifted = Vec::new();
    for repository in plan["organisations"][0]["repositories"].as_array().unwrap() {
        if repository["changes"].as_array().is_some_and(|changes| !changes.is_empty()) {
            drifted.push(repository["key"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(drifted.len(), 149, "{drifted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shards_of_a_sweep_repair_all_repositories_and_end_with_one_summary() {
    let mut world = World::new(acme(many(20, true))).await;
    world.org_lines = "[org.guard]\nremoves = 12\npercent = 100\n".into();
    world.policy("settings.yml", POLICY);
    world.fault(json!({ "method": "DELETE", "path": "repos/acme/r003", "status": 403 })).await;
    let summary = world.path().join("summary.md");
    let swept = world.beadle(&["sweep", "--json", "--summary", summary.to_str().unwrap()]).await.expect(1);
    let told: Value = serde_json::from_str(swept.out.lines().last().unwrap()).unwrap();
    let expected =
        json!({ "checked": 20, "drifted": 20, "repaired": 12, "held": 7, "failed": 1, "unknown": 0 });
    assert_eq!(told["summary"], expected, "{}", swept.out);
    let markdown = std::fs::read_to_string(summary).unwrap();
    assert!(markdown.contains("| checked | drifted | repaired | held | failed | unknown |"), "{markdown}");
    assert!(markdown.contains("held: guard limit reached"), "{markdown}");
    world.no_faults().await;
    world.org_lines = "[org.guard]\npercent = 100\n".into();
    for shard in ["1/3", "2/3", "3/3"] {
        world.patch(json!({}), false).await;
        let swept = world.beadle(&["sweep", "--shard", shard, "--without-store"]).await.expect(0);
        assert!(swept.out.contains(&format!("shard {shard}")), "{}", swept.out);
    }
    assert!(all_declared(&world));
    let calls = world.writes().len();
    world.beadle(&["sweep"]).await.expect(0);
    assert_eq!(world.writes().len(), calls, "a second run writes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_list_of_repositories_makes_the_sweep_incomplete() {
    let mut world = World::new(acme(many(4, false))).await;
    world.policy("settings.yml", POLICY);
    world
        .fault(
            json!({ "path": "/graphql", "contains": "rganization(login: $org)", "shorten": "repositories" }),
        )
        .await;
    let swept = world.beadle(&["sweep"]).await.expect(1);
    assert!(swept.err.contains("the list has only some entries (3 of 4)"), "{} {}", swept.out, swept.err);
    world.no_faults().await;
    world.fault(json!({ "path": "/graphql", "contains": "rganization(login: $org)", "shorten": "repositories", "count": 1 })).await;
    world.beadle(&["sweep"]).await.expect(0);
    world.checked = false; // GitHub's description does not allow a list that is shorter than its count
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_has_a_summary_of_the_services_sweep_and_the_cause_of_drift() {
    let world = World::new(acme(many(3, true))).await;
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.connect();
    world.until_swept(&serving).await;
    let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0);
    let line = journal.out.lines().find(|line| line.contains("\"kind\":\"sweep\"")).unwrap();
    let entry: Value = serde_json::from_str(line).unwrap();
    let summary = &entry["detail"]["summary"];
    assert_eq!((&summary["checked"], &summary["repaired"]), (&json!(3), &json!(3)), "{entry}");
    assert!(all_declared(&world));
    world.patch(json!({ "r001": { "teams": { "contractors": "admin" } } }), true).await;
    world.until("r001", "repair", is_declared).await;
    world.until_idle().await;
    for _ in 0..800 {
        let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0);
        if journal.out.contains("\"by\":\"octocat\"") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("who caused the drift is not in the journal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_another_writer_undoes_becomes_contested() {
    let mut world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.org_lines = "[org.guard]\nrepeats = 3\n".into();
    world.policy("settings.yml", POLICY);
    let _serving = world.serve().await;
    world.connect();
    for _ in 0..3 {
        world.patch(json!({ "widgets": { "teams": { "contractors": "admin" } } }), true).await;
        world.until("widgets", "repair", is_declared).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    world.patch(json!({ "widgets": { "teams": { "contractors": "admin" }, "has_wiki": true } }), true).await;
    world
        .until("widgets", "repair of what nobody fights over", |found| found["has_wiki"] == json!(false))
        .await;
    assert_eq!(world.repository("widgets")["teams"]["contractors"], "admin", "it is left alone");
    let holds = world.beadle(&["holds", "--json"]).await.expect(0);
    assert!(holds.out.contains("contested: Beadle made the same change 3 times"), "{}", holds.out);
    let hold: Value = serde_json::from_str(holds.out.lines().next().unwrap()).unwrap();
    world.beadle(&["approve", hold["digest"].as_str().unwrap(), "--reason", "as meant"]).await.expect(0);
    world.until("widgets", "repair after an approval", is_declared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_writes_are_spaced_and_writes_for_an_event_are_not() {
    let mut world = World::new(acme(many(3, true))).await;
    world.org_lines = "[org.budget]\nwrite_every = \"1s\"\n".into();
    world.policy("settings.yml", POLICY);
    let started = Instant::now();
    world.beadle(&["sweep"]).await.expect(0);
    assert!(started.elapsed() >= Duration::from_secs(2), "three writes are two seconds apart at least");
    let serving = world.serve().await;
    world.connect();
    world.until_swept(&serving).await;
    let started = Instant::now();
    let mut worse = declared();
    worse["teams"] = json!({});
    worse["protection"] = json!({});
    world.patch(json!({ "fresh": { "branches": { "main": {} } } }), true).await;
    world.until("fresh", "repair", is_declared).await;
    let writes = world.writes().len();
    assert!(
        writes >= 8 && started.elapsed() < Duration::from_secs(20),
        "{writes} writes burst for a new repository"
    );
}

/// The hour (9 s) ends after the command has begun to wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_waits_for_the_reset_and_continues() {
    let limits = Limits { minute: Duration::from_millis(150), core: 60, graphql: 200, ..Limits::default() };
    let settings = Settings { record: true, limits, ..Settings::default() };
    let mut world = World::with(acme(many(30, false)), settings).await;
    world.org_lines = "[org.budget]\nminute = \"1s\"\nconcurrency = 4\n".into();
    world.policy("settings.yml", &format!("{POLICY}autolinks: []\nactions: {{ enabled: true }}\n"));
    hold_the_hour(&world, true).await;
    // The command needs 60 calls. Sweeps can use only 48 of the 60 calls of an hour.
    let log = world.path().join("sweep.log");
    let mut command = world.command();
    command.arg("sweep");
    let running = tokio::spawn(output_with_log(command, File::create(&log).unwrap()));
    let logged = || std::fs::read_to_string(&log).unwrap();
    while !logged().contains("API budget used up, request waits for the reset") {
        assert!(!running.is_finished(), "it did not wait: {}", logged());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    hold_the_hour(&world, false).await;
    let swept = running.await.unwrap();
    let out = String::from_utf8_lossy(&swept.stdout).into_owned();
    assert_eq!(swept.status.code(), Some(0), "{out}\n{}", logged());
    assert!(out.contains("30 checked, 0 drifted"), "{out}");
    assert_eq!(refused(&world), 0, "GitHub had to refuse calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_together_stay_below_the_limits_of_one_credential() {
    for without_store in [false, true] {
        let minute = Duration::from_secs(2);
        let limits = Limits { minute, rest_points: 120, ..Limits::default() };
        let settings = Settings { record: true, limits, ..Settings::default() };
        let mut world = World::with(acme(many(80, false)), settings).await;
        world.org_lines = "[org.budget]\nminute = \"2s\"\nrest_points = 80\n".into();
        world.policy("settings.yml", &format!("{POLICY}autolinks: []\nactions: {{ enabled: true }}\n"));
        world.make_store().await;
        let run = |shard: &'static str| {
            let mut command = world.command();
            command.args(["sweep", "--shard", shard]);
            if without_store {
                command.arg("--without-store");
            }
            output(command)
        };
        let (one, two) = tokio::join!(run("1/2"), run("2/2"));
        for output in [one, two] {
            let err = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(0), "{err}");
        }
        assert_eq!(refused(&world), 0, "GitHub had to refuse calls (without a store: {without_store})");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_command_shows_the_remaining_budget_and_costs_nothing() {
    let world = World::new(acme(many(1, false))).await;
    world.policy("settings.yml", POLICY);
    let told = world.beadle(&["budget"]).await.expect(0);
    assert!(told.out.contains("core     5000 of 5000 left, 4000 of them for sweeps"), "{}", told.out);
    let told = world.beadle(&["budget", "--json"]).await.expect(0).json();
    assert_eq!(told["resources"]["graphql"]["remaining"], 5000, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_budget_delays_the_sweep_but_no_event() {
    let minute = Duration::from_millis(500); // an hour is 30 s, and ends when the test lets it end
    let limits = Limits { minute, core: 100, graphql: 100, rest_points: 9000, ..Limits::default() };
    let settings = Settings { record: true, limits, ..Settings::default() };
    // A repair takes two calls, and a sweep can use 80 of the 100 calls.
    let mut world = World::with(acme(many(50, true)), settings).await;
    world.org_lines = "[org.budget]\nminute = \"1s\"\n[org.guard]\npercent = 100\n".into();
    world.policy("settings.yml", POLICY);
    hold_the_hour(&world, true).await;
    let serving = world.serve().await;
    world.connect();
    let waits = async || world.beadle(&["queue"]).await.expect(0).out.contains("not before");
    for _ in 0..800 {
        if waits().await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!all_declared(&world), "the budget was enough for everything");
    world.patch(json!({ "fresh": { "branches": { "main": {} } } }), true).await;
    world.until("fresh", "repair on the reserve", is_declared).await;
    assert!(!all_declared(&world), "the event waited for the sweep");
    hold_the_hour(&world, false).await;
    for _ in 0..3000 {
        if all_declared(&world) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(all_declared(&world), "{}", serving.log());
    assert_eq!(refused(&world), 0, "GitHub had to refuse calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_during_a_burst_of_500_events_loses_no_event() {
    let mut world = World::unlimited(acme(many(500, false))).await;
    world.lines = "[worker]\nlease = \"1s\"\n[recovery]\nevery = \"1s\"\n".into();
    world.org_lines += "[org.guard]\nremoves = 100000\npercent = 100\n";
    world.checked = false; // other tests make the same calls; their bodies would fill the memory
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.connect();
    world.until_swept(&serving).await;
    let mut drift = json!({});
    for n in 0..500 {
        drift[format!("r{n:03}")] = json!({ "teams": { "contractors": "admin" } });
    }
    world.patch(drift, true).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    serving.kill();
    // Webhooks that arrive before the next start get no answer, and GitHub does not send them
    // again.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let serving = world.serve().await;
    for _ in 0..3000 {
        if all_declared(&world) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let queue = world.beadle(&["queue"]).await.out;
    assert!(all_declared(&world), "{queue}\n{}", serving.log());
    let url = format!("{}/_sim/deliveries", world.sim.url());
    let sent = world.http.get(url).send().await.unwrap().text().await.unwrap();
    let sent: Vec<Value> = serde_json::from_str(&sent).unwrap();
    let listed = world.beadle(&["deliveries", "--json", "--limit", "100000"]).await.expect(0);
    let stored: BTreeSet<String> = listed
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    for row in sent.iter().filter(|row| row["event"] == "team_add" || row["status"] == "OK") {
        assert!(stored.contains(row["guid"].as_str().unwrap()), "{row} is not in the inbox");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unchanged_answers_cost_nothing_and_changed_answers_are_read() {
    let mut repositories = many(10, false);
    for (_, repository) in repositories.as_object_mut().unwrap() {
        repository["autolinks"] =
            json!({ "T-": { "url_template": "https://t/<num>", "is_alphanumeric": true } });
    }
    // These limits are too low for Beadle to read everything twice within the hour.
    let limits = Limits { core: 40, ..Limits::default() };
    let settings = Settings { record: true, limits, ..Settings::default() };
    let world = World::with(acme(repositories), settings).await;
    world.policy(
        "settings.yml",
        &format!("{POLICY}autolinks: [{{ key_prefix: T-, url_template: 'https://t/<num>' }}]\n"),
    );
    world.beadle(&["sweep"]).await.expect(0);
    let delete = |part: &str| world.http.delete(format!("{}/_sim/{part}", world.sim.url())).send();
    let units = || -> u64 {
        let calls = world.sim.calls();
        let links = calls.iter().filter(|call| call["path"].as_str().unwrap().ends_with("/autolinks"));
        links.map(|call| call["cost"].as_u64().unwrap()).sum()
    };
    assert_eq!(units(), 10, "at first everything is read");
    for part in ["calls", "tokens"] {
        delete(part).await.unwrap();
    }
    world.beadle(&["sweep"]).await.expect(0);
    assert_eq!(units(), 0, "the tags were not computed anew for the new token");
    world
        .patch(json!({ "r003": { "autolinks": { "T-": { "url_template": "https://evil/<num>" } } } }), false)
        .await;
    for part in ["calls", "limits"] {
        delete(part).await.unwrap();
    }
    let swept = world.beadle(&["sweep"]).await.expect(0);
    assert!(
        swept.out.contains("autolink T-: url_template: https://evil/<num> → https://t/<num>"),
        "{}",
        swept.out
    );
    assert_eq!(world.repository("r003")["autolinks"]["T-"]["url_template"], "https://t/<num>");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_full_page_can_have_a_new_next_page() {
    let names: Vec<String> = (0..100).map(|n| format!("guest{n:03}")).collect();
    let invited = |at: usize, login: &str| json!({ "id": 1000 + at, "login": login, "permissions": "write", "created_at": "2026-01-01T00:00:00Z" });
    let mut invitations: Vec<Value> =
        names.iter().enumerate().map(|(at, login)| invited(at, login)).collect();
    let mut state = acme(json!({ "shop": { "invitations": invitations } }));
    for name in &names {
        state["users"][name] = json!({});
    }
    let world = World::new(state).await;
    let rows: Vec<String> =
        names.iter().map(|name| format!("- {{ username: {name}, permission: push }}")).collect();
    world.policy("settings.yml", &format!("collaborators:\n{}\n", rows.join("\n")));
    let first = world.beadle(&["sweep"]).await.expect(0);
    assert!(first.out.contains("0 drifted"), "{}", first.out);
    invitations.push(invited(100, "eve"));
    world.patch(json!({ "shop": { "invitations": invitations } }), false).await;
    world.beadle(&["sweep"]).await.expect(0);
    let left = world.repository("shop")["invitations"].as_array().unwrap().len();
    assert_eq!(left, 100, "the second page was not read");
}
