//! Tests commands whose arguments contain the name of a group.

use beadle_sim::{Fault, okta};
use serde_json::json;

use super::world::{World, of, state};

async fn world() -> World {
    let groups = json!({
        "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..3) },
        "00g2": { "profile": { "name": "AWS_Dev" }, "members": of(0..2) },
    });
    World::new(state(4, &groups)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_accept_the_name_of_a_group() {
    let world = world().await;
    let plan = world.beadle(&["plan", "--group", "aws_ops"]).await.expect(2).out;
    assert!(plan.contains("aws/Ops") && !plan.contains("aws/Dev"), "{plan}");
    let wrong = world.beadle(&["plan", "--group", "Opps"]).await.expect(1).out;
    assert!(wrong.contains("no mapping to aws has a group `Opps`"), "{wrong}");
    world.beadle(&["apply", "--group", "Ops", "--yes"]).await.expect(0);
    world.until_holds("Ops", 0..3).await;
    assert_eq!(world.members("Dev"), None);
    let explained = world.beadle(&["explain", "--group", "Ops"]).await.expect(0).out;
    for said in ["target-group:aws:corp/00g1", "corp/00g1 (AWS_Ops)", "[beadle.toml:", "AWS_*", "enforce"] {
        assert!(explained.contains(said), "`{said}` is not in\n{explained}");
    }
    let json = world.beadle(&["explain", "--group", "Ops", "--json"]).await.expect(0).json();
    assert_eq!(json["sources"][0][0], "corp/00g1 (AWS_Ops)");
    let journal = world.beadle(&["journal", "--group", "Ops", "--format", "ndjson"]).await.expect(0).out;
    assert!(
        journal.lines().count() >= 4 && journal.lines().all(|line| line.contains("corp/00g1")),
        "{journal}"
    );
    world.beadle(&["queue", "--group", "AWS_Ops"]).await.expect(0);
    let wrong = world.beadle(&["queue", "--group", "Opz"]).await.expect(1).err;
    assert!(wrong.contains("did you mean `Ops`"), "{wrong}");
    let first = world.beadle(&["sweep", "--json"]).await.expect(0);
    let is_json = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok();
    assert!(first.out.lines().all(is_json), "{}", first.out);
    assert!(first.err.contains("written"), "each write is on standard error: {}", first.err);
    world.until_holds("Dev", 0..2).await;
    let swept = world.beadle(&["sweep", "--json"]).await.expect(0).json();
    assert_eq!(swept["target"], "aws");
    assert_eq!(swept["summary"]["checked"], 2);
    assert_eq!(swept["summary"]["drifted"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_target_is_not_changed() {
    let world = world().await;
    world.make_store();
    world.beadle(&["pause", "--target", "aws", "--for", "1h"]).await.expect(0);
    let applied = world.beadle(&["apply", "--yes"]).await.expect(1);
    assert!(applied.err.contains("aws is paused until"), "{}", applied.err);
    assert!(world.writes().is_empty());
    world.beadle(&["resume", "--target", "aws"]).await.expect(0);
    world.beadle(&["apply", "--yes"]).await.expect(0);
    world.until_holds("Ops", 0..3).await;
    let wrong = world.beadle(&["pause", "--target", "awss", "--for", "1h"]).await.expect(1);
    assert!(wrong.err.contains("did you mean `aws`"), "{}", wrong.err);
    let checked = world.beadle(&["check"]).await.expect(0).out;
    assert!(checked.contains("are valid: 1 mapping"), "{checked}");
    let doctor = world.beadle(&["doctor"]).await.expect(0).out;
    assert!(doctor.contains("read the System Log"), "{doctor}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_probe_reports_valid_and_invalid_parts() {
    let mut world = world().await;
    world.beadle(&["sweep"]).await.expect(0);
    let said = world.beadle(&["targets", "probe"]).await.expect(0).out;
    for fine in ["read 2 groups", "read all members", "read the System Log", "read group", "set `token_ends`"]
    {
        assert!(said.contains(fine), "`{fine}` is not in\n{said}");
    }
    world.okta.fault(Fault { path: "/logs".into(), status: Some(403), ..Fault::default() });
    let said = world.beadle(&["targets", "probe"]).await.expect(1).out;
    assert!(said.contains("the scope okta.logs.read is required"), "{said}");
    world.okta.no_faults();
    std::fs::write(world.path().join("aws.token"), "wrong").unwrap();
    let said = world.beadle(&["targets", "probe"]).await.expect(1).out;
    assert!(said.contains("Session token not found or invalid"), "{said}");
    // Beadle reports a token that expires soon.
    std::fs::write(world.path().join("aws.token"), world.aws.token()).unwrap();
    world.dialect += ", token_ends = \"2020-01-01\"";
    let said = world.beadle(&["targets", "probe"]).await.expect(1).out;
    assert!(said.contains("the token of the target has expired"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_the_wrong_line_of_the_configuration() {
    let mut world = world().await;
    for (lines, why) in [
        ("include = [\"/(/\"]", "invalid pattern"),
        ("include = [\"AWS_*\"]\nmood = \"enforce\"", "did you mean `mode`"),
        ("include = [\"AWS_*\"]\non_delete = \"dlete\"", "did you mean `delete`"),
        (
            "include = [\"AWS_*\"]\n[[groups]]\nsource = \"crop\"\ntarget = \"aws\"\ninclude = []",
            "did you mean `corp`",
        ),
    ] {
        world.groups = lines.into();
        let said = world.beadle(&["check"]).await.expect(1).err;
        assert!(said.contains(why) && said.contains("beadle.toml:"), "{said}");
    }
    world.groups = "include = [\"AWS_*\"]".into();
    world.dialect = "\"rfc7643\"".into();
    let said = world.beadle(&["check"]).await.expect(1).err;
    assert!(said.contains("did you mean `rfc7644`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn beadle_waits_for_the_limits_of_okta() {
    let minute = std::time::Duration::from_secs(3);
    // Beadle uses half of the 20 calls, and a fifth of that half is the reserve for events.
    let okta = okta::Settings { record: true, limit: 20, minute, ..okta::Settings::default() };
    let mut groups = json!({});
    for n in 0..12 {
        groups[format!("00g{n:02}")] =
            json!({ "profile": { "name": format!("AWS_G{n}") }, "members": of(0..2) });
    }
    let world = World::with(state(2, &groups), okta, beadle_sim::scim::Settings::default()).await;
    let swept = world.beadle(&["sweep"]).await.expect(0);
    assert!(swept.err.contains("API budget used up, request waits for the reset"), "{}", swept.err);
    let refused = world.okta.calls().into_iter().filter(|call| call["status"] == 429).count();
    assert_eq!(refused, 0, "Okta had to refuse calls");
    world.until_holds("G11", 0..2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_names_the_administrator_who_changed_a_group_of_the_directory() {
    let world = world().await;
    let _serving = world.serve().await;
    world.until_holds("Ops", 0..3).await;
    world.connect(&okta::Hook::default());
    world.okta.patch(&json!({ "groups": { "00g1": { "members": of([3]) } } }));
    world.until_holds("Ops", 0..4).await;
    world.until_idle().await;
    let journal =
        world.beadle(&["journal", "--group", "Ops", "--who", "admin@acme.example"]).await.expect(0).out;
    for part in ["aws/Ops", "added ", "after a change by admin@acme.example (group.user_membership.add"] {
        assert!(journal.contains(part), "`{part}` is not in {journal}");
    }
}
