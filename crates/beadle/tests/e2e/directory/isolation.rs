//! Tests that a failing group does not stop the other groups. One source can have several target
//! groups, and one target group can have several sources.

use std::time::Duration;

use beadle_sim::okta::Hook;
use beadle_sim::{Fault, okta, scim};
use serde_json::{Value, json};

use super::world::{World, accounts, of, people, state};

#[tokio::test(flavor = "multi_thread")]
async fn one_failing_group_of_500_is_parked_and_the_others_are_updated() {
    const GROUPS: usize = 500;
    let mut groups = json!({});
    for n in 0..GROUPS {
        groups[format!("00g{n:04}")] =
            json!({ "profile": { "name": format!("AWS_G{n}") }, "members": of([n % 20, 20 + n % 7]) });
    }
    // One of these two people has no account at the target. The target refuses the other person.
    groups["00g0007"]["members"]["00u00040"] = json!(true);
    groups["00g0008"]["members"]["00u00030"] = json!(true);
    let states = [json!({ "users": people(41), "groups": groups }), json!({ "users": accounts(40) })];
    let okta = okta::Settings { record: true, limit: 1_000_000, ..okta::Settings::default() };
    let mut world = World::with(states, okta, scim::Settings::default()).await;
    world.groups += "on_missing_user = \"error\"\n";
    world.target_lines = "budget = { write_every = \"0s\", points = 1000000 }\n".into();
    world.aws.fault(Fault {
        method: Some("PATCH".into()),
        contains: "a00030".into(),
        status: Some(400),
        ..Fault::default()
    });
    let serving = world.serve().await;
    for n in 0..GROUPS {
        world.until_holds(&format!("G{n}"), [n % 20, 20 + n % 7]).await;
    }
    let mut parked = String::new();
    for _ in 0..2400 {
        parked = world.beadle(&["queue"]).await.expect(0).out;
        if parked.contains("2 parked") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        parked.contains("target-group:aws:corp/00g0007") && parked.contains("p40@acme.example"),
        "{parked}"
    );
    assert!(
        parked.contains("target-group:aws:corp/00g0008") && parked.contains("a00030"),
        "{parked}\n{}",
        serving.log()
    );
    assert!(parked.contains("0 event, 0 manual, 0 sweep due"), "{parked}");
    world.until_swept(&serving).await;
    let log = serving.log();
    assert!(
        log.contains(
            "sweep ended of=\"corp\" checked=500 drifted=500 repaired=500 held=0 failed=2 unknown=1"
        ),
        "{log}"
    );
    // After the fault has ended, a new event makes the group due again.
    world.aws.no_faults();
    world.connect(&Hook::default());
    world.okta.patch(&json!({ "groups": { "00g0008": { "members": of([31]) } } }));
    world.until_holds("G8", [8, 21, 30, 31]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_groups_fill_one_common_group_and_their_own_groups() {
    let groups = json!({
        "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..10) },
        "00g2": { "profile": { "name": "AWS_Dev" }, "members": of(8..20) },
    });
    let mut world = World::new(state(21, &groups)).await;
    world.groups += "\n[[groups]]\nsource = \"corp\"\ntarget = \"aws\"\ninclude = [\"AWS_Ops\", \"/^AWS_D/\"]\n\
                     into = \"Engineers\"\nmode = \"enforce\"\non_missing_group = \"create\"\n";
    let serving = world.serve().await;
    world.connect(&Hook::default());
    world.until_holds("Ops", 0..10).await;
    world.until_holds("Dev", 8..20).await;
    world.until_holds("Engineers", 0..20).await;
    // A person in both groups stays a member at the target as long as one of the two groups
    // contains this person.
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00008": null, "00u00000": null } } } }));
    world.until_holds("Engineers", 1..20).await;
    world.until_holds("Ops", [1, 2, 3, 4, 5, 6, 7, 9]).await;
    // One of the sources is no longer part of a mapping. The members of this source stay in the
    // target's group.
    assert_eq!(serving.stop().await, Some(0));
    world.groups = world.groups.replace(", \"/^AWS_D/\"", "");
    let swept = world.beadle(&["sweep"]).await.expect(2);
    assert!(
        swept.out.contains("corp/00g2 was a source of the group, and no mapping includes it now"),
        "{}",
        swept.out
    );
    world.until_holds("Engineers", 1..20).await;
    let held = world.beadle(&["holds", "--json"]).await.expect(0).out;
    let hold: Value = serde_json::from_str(held.lines().next().unwrap()).unwrap();
    world.beadle(&["approve", hold["digest"].as_str().unwrap(), "--reason", "as meant"]).await.expect(0);
    world.beadle(&["sweep"]).await.expect(0);
    world.until_holds("Engineers", [1, 2, 3, 4, 5, 6, 7, 9]).await;
    world.beadle(&["plan"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_group_is_taken_over_only_if_the_mapping_allows_it() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..3) } });
    let mut world = World::new(state(3, &groups)).await;
    // The group at the target looks like a group that Okta has pushed.
    world
        .aws
        .patch(&json!({ "groups": { "t1": { "displayName": "Ops", "externalId": "00g1", "members": {} } } }));
    let plan = world.beadle(&["plan"]).await.expect(2).out;
    assert!(plan.contains("that Beadle did not create; set adopt = true"), "{plan}");
    world.beadle(&["sweep"]).await.expect(1);
    world.until_holds("Ops", 0..0).await;
    world.groups += "adopt = true\n";
    world.beadle(&["sweep"]).await.expect(0);
    world.until_holds("Ops", 0..3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_groups_of_one_name_at_the_target_never_share_it() {
    let groups = json!({
        "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..3) },
        "00g2": { "profile": { "name": "aws ops" }, "members": of(3..5) },
    });
    let mut world = World::new(state(5, &groups)).await;
    world.groups = "include = [\"AWS_*\", \"aws *\"]\nreplace = [[\"(?i)^aws.\", \"\"]]\ncase = \"lower\"\nmode = \"enforce\"\n\
                    on_missing_group = \"create\"\nadopt = true\n"
        .into();
    for _ in 0..2 {
        let swept = world.beadle(&["sweep"]).await.expect(1);
        assert!(swept.out.contains("unknown"), "{}", swept.out);
        let plan = world.beadle(&["plan"]).await.expect(2).out;
        assert!(plan.contains("already belongs to corp/00g"), "{plan}");
        let held = world.members("ops").unwrap();
        assert!(held.len() == 3 || held.len() == 2, "{held:?}");
    }
    assert_eq!(world.writes().len(), 2, "made, and filled once: {:?}", world.writes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_without_its_source_is_kept_and_reported_by_default() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..3) } });
    let mut world = World::new(state(3, &groups)).await;
    world.beadle(&["sweep"]).await.expect(0);
    world.okta.patch(&json!({ "groups": { "00g1": null } }));
    let plan = world.beadle(&["plan"]).await.expect(0).out;
    assert!(
        plan.contains(
            "1 skipped (the source group no longer exists; Beadle keeps the group as it is (on_delete = keep))"
        ),
        "{plan}"
    );
    world.groups += "on_delete = \"delete\"\n";
    let swept = world.beadle(&["sweep"]).await.expect(2).out;
    let digest = swept.split("`beadle approve ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    world.until_holds("Ops", 0..3).await;
    world.beadle(&["approve", &digest, "--reason", "as meant"]).await.expect(0);
    world.beadle(&["sweep"]).await.expect(0);
    assert_eq!(world.members("Ops"), None);
    world.beadle(&["plan"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_mappings_of_a_file_come_into_force_and_invalid_ones_do_not() {
    let groups = json!({
        "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..3) },
        "00g2": { "profile": { "name": "Team Dev" }, "members": of(0..2) },
    });
    let mut world = World::new(state(3, &groups)).await;
    let file = world.path().join("groups.toml");
    let mapping = |include: &str| {
        format!(
            "[[groups]]\nsource = \"corp\"\ntarget = \"aws\"\ninclude = [\"{include}\"]\nmode = \"enforce\"\non_missing_group = \"create\"\n"
        )
    };
    std::fs::write(&file, mapping("Nothing")).unwrap();
    world.first = "groups_from = [\"groups.toml\"]\n".into();
    let serving = world.serve().await;
    world.until_holds("Ops", 0..3).await;
    assert_eq!(world.members("Team Dev"), None);
    std::fs::write(&file, mapping("Team *")).unwrap();
    world.until_holds("Team Dev", 0..2).await;
    std::fs::write(&file, "[[groups]]\nsource = \"crop\"\n").unwrap();
    for _ in 0..1600 {
        if serving.log().contains("previous mappings stay in force") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = serving.log();
    assert!(log.contains("groups.toml") && log.contains("previous mappings stay in force"), "{log}");
    world.connect(&Hook::default());
    world.okta.patch(&json!({ "groups": { "00g2": { "members": of([2]) } } }));
    world.until_holds("Team Dev", 0..3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_okta_pushes_is_only_observed() {
    let groups = json!({
        "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..3) },
        "00g2": { "profile": { "name": "AWS_Dev" }, "members": of(0..2) },
    });
    let [mut directory, target] = state(3, &groups);
    directory["pushes"] = json!({ "0oa1": { "gPm1": { "sourceGroupId": "00g1" }, "gPm2": { "sourceGroupId": "00g2", "status": "INACTIVE" } } });
    let mut world = World::new([directory, target]).await;
    world.okta_lines = "push_apps = [\"0oa1\"]\n".into();
    let said = world.beadle(&["targets", "probe"]).await.expect(0).out;
    assert!(said.contains("Okta pushes 1 group into 0oa1, which Beadle only observes: 00g1"), "{said}");
    let plan = world.beadle(&["plan"]).await.expect(2).out;
    assert!(
        plan.contains("1 skipped (the directory pushes corp/00g1 itself; Beadle only observes the group)"),
        "{plan}"
    );
    let serving = world.serve().await;
    world.connect(&Hook::default());
    world.until_holds("Dev", 0..2).await;
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00000": null } } } }));
    world.until_idle().await;
    assert_eq!(world.members("Ops"), None);
    assert_eq!(serving.stop().await, Some(0));
    // Without the OAuth scope, these groups are unknown, and Beadle reports this.
    world.okta.fault(Fault { path: "/apps/".into(), status: Some(403), ..Fault::default() });
    let plan = world.beadle(&["plan"]).await.expect(2);
    assert!(plan.err.contains("groups that Okta pushes itself are unknown"), "{}", plan.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_a_hook_is_found_once_in_the_system_log() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..3) } });
    let mut world = World::new(state(9, &groups)).await;
    world.okta_lines = "log_every = \"1s\"\n".into();
    let serving = world.serve().await;
    world.connect(&Hook { loss: 1.0, ..Hook::default() });
    world.until_holds("Ops", 0..3).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    world.okta.patch(&json!({ "groups": { "00g1": { "members": of([3]) } } }));
    world.until_holds("Ops", 0..4).await;
    assert_eq!(serving.stop().await, Some(0));
    // The service does not run, so the hook gets no answer. Then the service starts again.
    world.okta.patch(&json!({ "groups": { "00g1": { "members": of([4]) } } }));
    let log = std::fs::read_to_string(world.path().join("serve.log")).unwrap();
    assert!(log.contains("missed events found in the System Log"), "{log}");
    world.aws.forget_calls();
    let _serving = world.serve().await;
    world.until_holds("Ops", 0..5).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(world.writes().len(), 1, "{:?}", world.writes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_without_hook_and_log_entry_is_found_between_sweeps() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..3) } });
    let mut world = World::new(state(5, &groups)).await;
    world.okta_lines = "changes_every = \"1s\"\nlog_every = \"1s\"\n".into();
    world.okta.fault(Fault { path: "/logs".into(), status: Some(500), ..Fault::default() });
    let _serving = world.serve().await;
    world.until_holds("Ops", 0..3).await;
    world.okta.patch(&json!({ "groups": { "00g1": { "members": of([3]) } } }));
    world.until_holds("Ops", 0..4).await;
    // Beadle does not process an event twice.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    world.aws.forget_calls();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(world.aws.calls().is_empty(), "{:?}", world.aws.calls());
    world.okta.patch(&json!({ "groups": { "00g1": { "members": of([4]) } } }));
    world.until_holds("Ops", 0..5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_app_signs_its_requests_and_a_hook_without_its_secret_is_refused() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..3) } });
    let mut world = World::new(state(3, &groups)).await;
    world.okta_lines = "app = { client_id = \"beadle\", key = \"file:okta.pem\" }\n".into();
    let _serving = world.serve().await;
    world.until_holds("Ops", 0..3).await;
    let challenge = world
        .http
        .get(world.hook_url())
        .header("x-okta-verification-challenge", "a\"b")
        .send()
        .await
        .unwrap();
    assert_eq!(challenge.json_value().await, json!({ "verification": "a\"b" }));
    assert_eq!(world.http.get(world.hook_url()).send().await.unwrap().status(), 400);
    let post = |headers: Vec<(String, String)>, body: &'static str| {
        let request = headers
            .into_iter()
            .fold(world.http.post(world.hook_url()), |request, (name, value)| request.header(name, value));
        async move { request.body(body).send().await.unwrap().status().as_u16() }
    };
    let both = world.headers().to_vec();
    let whole = r#"{"eventId":"e1","data":{"events":[]}}"#;
    assert_eq!(post(both.clone(), whole).await, 202);
    assert_eq!(post(both.clone(), whole).await, 200);
    assert_eq!(post(both[..1].to_vec(), whole).await, 401);
    assert_eq!(post(vec![("authorization".into(), "wrong".into()), both[1].clone()], whole).await, 401);
    assert_eq!(post(both.clone(), "{").await, 400);
}

trait JsonValue {
    async fn json_value(self) -> Value;
}

impl JsonValue for reqwest::Response {
    async fn json_value(self) -> Value {
        serde_json::from_str(&self.text().await.unwrap()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_person_leaves_although_a_rule_keeps_them_in_the_group() {
    let [mut directory, target] =
        state(10, &json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of([0]) } }));
    directory["rules"] = json!({ "0pr1": { "profile": { "title": "Engineer" }, "groups": ["00g1"] } });
    for n in 1..6 {
        directory["users"][format!("00u{n:05}")]["profile"]["title"] = json!("Engineer");
    }
    let world = World::new([directory, target]).await;
    let _serving = world.serve().await;
    world.connect(&Hook::default());
    world.until_holds("Ops", 0..6).await;
    // The group has a rule. The rule adds or removes a person according to this person's profile.
    let title = |title: Value| json!({ "profile": { "title": title } });
    world
        .okta
        .patch(&json!({ "users": { "00u00007": title(json!("Engineer")), "00u00002": title(Value::Null) } }));
    world.until_holds("Ops", [0, 1, 3, 4, 5, 7]).await;
    world.okta.patch(&json!({ "users": { "00u00003": { "status": "DEPROVISIONED" } } }));
    world.until_holds("Ops", [0, 1, 4, 5, 7]).await;
    let members = world.okta.state()["groups"]["00g1"]["members"].clone();
    assert!(members.get("00u00003").is_some(), "Okta leaves them in: {members}");
}
