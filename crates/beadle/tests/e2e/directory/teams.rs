//! Tests groups of the directory that become teams of a GitHub organisation.

use std::time::Duration;

use beadle_sim::okta::Hook;
use serde_json::{Value, json};

use super::world::{World, login, of, people};

/// Creates this number of people in the directory and in the organisation. The identity provider
/// links each person to a login.
pub(super) fn acme(count: usize, teams: &Value) -> Value {
    let (mut users, mut identities) = (json!({}), json!({}));
    for n in 0..count {
        users[format!("octo{n}")] = json!({ "id": 5000 + n, "verified_emails": [login(n)] });
        identities[login(n)] = json!(format!("octo{n}"));
    }
    let members: Vec<String> = (0..count).map(|n| format!("octo{n}")).collect();
    let org = json!({ "id": 77, "members": members, "identities": identities, "teams": teams, "repos": {} });
    json!({ "org": org, "users": users })
}

pub(super) fn hold(members: impl IntoIterator<Item = usize>) -> Value {
    let members = members.into_iter().map(|n| (format!("octo{n}"), json!("member")));
    Value::Object(members.collect())
}

pub(super) fn directory(count: usize, groups: &Value) -> Value {
    json!({ "users": people(count), "groups": groups })
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..1200 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: it does not happen");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_creates_renames_and_keeps_its_team() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..9) } });
    let mut world = World::of_teams(directory(12, &groups), acme(12, &json!({ "all": { "id": 900 } }))).await;
    world.groups += "parent = \"all\"\ndescription = \"Whoever is in {group}\"\n";
    let serving = world.serve().await;
    world.connect(&Hook::default());
    world.connect_github();
    world.until_team("ops", &hold(0..9)).await;
    let team = world.github().state()["orgs"]["acme"]["teams"]["ops"].clone();
    assert_eq!(team["parent"], "all");
    assert_eq!(team["description"], "Whoever is in AWS_Ops (beadle:corp/00g1)");
    assert_eq!(team["name"], "Ops");
    // One person joins, one person leaves, and one person is suspended.
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00010": true, "00u00003": null } } } }));
    world.until_team("ops", &hold([0, 1, 2, 4, 5, 6, 7, 8, 10])).await;
    world.okta.patch(&json!({ "users": { "00u00004": { "status": "SUSPENDED" } } }));
    world.until_team("ops", &hold([0, 1, 2, 5, 6, 7, 8, 10])).await;
    // Another person changes the team, and Beadle repairs the team immediately.
    world
        .patch_github(
            json!({ "teams": { "ops": { "members": { "octo11": "member", "octo0": null } } } }),
            true,
        )
        .await;
    world.until_team("ops", &hold([0, 1, 2, 5, 6, 7, 8, 10])).await;
    // If the group in the directory gets a new name, the team of this group at GitHub gets the same
    // name.
    world.okta.patch(&json!({ "groups": { "00g1": { "profile": { "name": "AWS_Site Reliability" } } } }));
    world.until_team("site-reliability", &hold([0, 1, 2, 5, 6, 7, 8, 10])).await;
    let teams = world.github().state()["orgs"]["acme"]["teams"].clone();
    assert!(teams.get("ops").is_none(), "{teams}");
    assert_eq!(teams["site-reliability"]["id"], team["id"]);
    until("the description follows", async || {
        let team = &world.github().state()["orgs"]["acme"]["teams"]["site-reliability"];
        team["description"] == "Whoever is in AWS_Site Reliability (beadle:corp/00g1)"
    })
    .await;
    // If somebody renames the team at GitHub, Beadle changes the name back.
    let renamed = json!({ "teams": { "site-reliability": null, "pirates": {
        "id": team["id"], "name": "Pirates", "parent": "all", "members": hold([0, 1, 2, 5, 6, 7, 8, 10]),
        "description": "Whoever is in AWS_Site Reliability (beadle:corp/00g1)",
    } } });
    world.patch_github(renamed, true).await;
    world.until_team("site-reliability", &hold([0, 1, 2, 5, 6, 7, 8, 10])).await;
    assert!(world.team("pirates").is_none());
    // If Beadle itself creates a team, GitHub's event about the new team makes no repository due.
    world
        .okta
        .patch(&json!({ "groups": { "00g2": { "profile": { "name": "AWS_Later" }, "members": of([1]) } } }));
    world.until_team("later", &hold([1])).await;
    let id = world.github().state()["orgs"]["acme"]["teams"]["later"]["id"].clone();
    let listed = world.beadle(&["deliveries", "--json"]).await.expect(0).out;
    let mut made = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let made = made.find(|row| row["event"] == "team.created").unwrap();
    assert_eq!(made["keys"], json!([format!("team:acme:{id}")]), "{made}\n{}", serving.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_is_one_write_and_few_reads() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..40) } });
    let mut world = World::of_teams(directory(50, &groups), acme(50, &json!({}))).await;
    world.okta_lines = "log_every = \"1h\"\nchanges_every = \"1h\"\n".into();
    let _serving = world.serve().await;
    world.until_team("ops", &hold(0..40)).await;
    world.connect(&Hook::default());
    until("the sweep ends", async || {
        world.beadle(&["queue"]).await.expect(0).out.contains("0 event, 0 manual, 0 sweep due")
    })
    .await;
    let before = world.github().calls().len();
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00045": true } } } }));
    world.until_team("ops", &hold((0..40).chain([45]))).await;
    let calls = world.github().calls().split_off(before);
    let calls: Vec<String> = calls
        .iter()
        .filter(|call| call["path"] != "/app/hook/deliveries")
        .map(|call| format!("{} {} {}", call["method"], call["path"], call["operation"]))
        .collect();
    let writes = calls.iter().filter(|call| call.starts_with("\"PUT\"")).count();
    // Beadle reads three things: the team, the present names, and other facts that can prevent the
    // write. Then Beadle writes.
    assert!(writes == 1 && calls.len() <= 6, "{}", calls.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn maintainers_come_from_the_sources_and_owners_are_left_alone() {
    let groups = json!({
        "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..6) },
        "00g2": { "profile": { "name": "Leads" }, "members": of([1, 2]) },
    });
    let mut acme = acme(8, &json!({}));
    acme["org"]["owners"] = json!(["octo5"]);
    let mut world = World::of_teams(directory(8, &groups), acme).await;
    world.groups = "include = [\"AWS_Ops\"]\ninto = \"Ops\"\nmode = \"enforce\"\non_missing_group = \"create\"\n\n\
                    [[groups]]\nsource = \"corp\"\ntarget = \"teams\"\ninclude = [\"Leads\"]\ninto = \"Ops\"\n\
                    mode = \"enforce\"\non_missing_group = \"create\"\nrole = \"maintainer\"\n"
        .into();
    let _serving = world.serve().await;
    world.connect(&Hook::default());
    let mut wanted = hold(0..6);
    for maintainer in ["octo1", "octo2", "octo5"] {
        wanted[maintainer] = json!("maintainer");
    }
    world.until_team("ops", &wanted).await;
    // One person becomes a maintainer, and another person is no longer a maintainer.
    world.okta.patch(&json!({ "groups": { "00g2": { "members": { "00u00003": true, "00u00001": null } } } }));
    wanted["octo3"] = json!("maintainer");
    wanted["octo1"] = json!("member");
    world.until_team("ops", &wanted).await;
    // A team without a maintainer might be a mistake, so the guard holds the change.
    world.okta.patch(&json!({ "groups": { "00g2": { "members": { "00u00003": null, "00u00002": null } } } }));
    until("it is held", async || {
        world.beadle(&["holds"]).await.out.contains("the group would have no maintainer")
    })
    .await;
    assert_eq!(world.team("ops"), Some(wanted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_without_an_account_is_reported_and_removes_nobody() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of([0, 1, 2, 3, 6]) } });
    let teams = json!({ "ops": { "id": 900, "members": hold([0, 1, 2, 3, 4, 5]) } });
    let mut acme = acme(6, &teams);
    // Beadle does not know who uses the login octo5. The missing person might use this login. octo4
    // belongs to another person.
    acme["org"]["identities"].as_object_mut().unwrap().remove(&login(5));
    let mut world = World::of_teams(directory(8, &groups), acme).await;
    world.groups += "adopt = true\n";
    let plan = world.beadle(&["plan", "--group", "AWS_Ops"]).await;
    assert!(plan.out.contains("no member of acme belongs to p6@acme.example (saml)"), "{}", plan.out);
    assert!(plan.out.contains("octo4"), "{}", plan.out);
    assert!(
        plan.out.contains("octo5 may belong to a person in the source"),
        "who is held back is named: {}",
        plan.out
    );
    // All runs share one read of the organisation's members.
    let asks = |what: &str| {
        let calls = world.github().calls();
        calls
            .iter()
            .filter(|call| call["request"]["query"].as_str().is_some_and(|query| query.contains(what)))
            .count()
    };
    assert_eq!((asks("membersWithRole"), asks("externalIdentities")), (1, 1));
    let _serving = world.serve().await;
    world.until_team("ops", &hold([0, 1, 2, 3, 5])).await;
    // The missing person is octo5.
    world.patch_github(json!({ "identities": { login(6): "octo5" } }), false).await;
    world.beadle(&["apply", "--yes", "--group", "AWS_Ops"]).await.expect(0);
    assert_eq!(world.team("ops"), Some(hold([0, 1, 2, 3, 5])));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_also_found_by_mail_or_file_and_nobody_is_invited() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..5) } });
    let mut acme = acme(6, &json!({}));
    acme["org"]["identities"] = Value::Null;
    acme["users"]["octo3"]["verified_emails"] = json!([]);
    acme["org"]["members"].as_array_mut().unwrap().retain(|member| member != "octo4");
    let mut world = World::of_teams(directory(6, &groups), acme).await;
    // Without an identity provider, Beadle cannot match any person.
    let probed = world.beadle(&["targets", "probe"]).await.expect(1);
    assert!(
        probed.out.contains("teams of acme") && probed.out.contains("match by \"mail\" or \"file\""),
        "{}",
        probed.out
    );
    let plan = world.beadle(&["plan", "--group", "AWS_Ops"]).await;
    assert!(plan.err.contains("GitHub shows no SAML identity provider of acme"), "{}{}", plan.out, plan.err);
    world.teams = "match = [\"mail\", \"file\"], users_from = \"users.toml\"".into();
    let list = "\"p3@acme.example\" = \"octo3\"\n\"p4@acme.example\" = \"octo4\"\n";
    std::fs::write(world.path().join("users.toml"), list).unwrap();
    let probed = world.beadle(&["targets", "probe"]).await.expect(0);
    assert!(
        probed.out.contains("5 of the 5 members of acme have a name that the directory knows"),
        "{}",
        probed.out
    );
    let applied = world.beadle(&["apply", "--yes", "--group", "AWS_Ops"]).await;
    assert_eq!(world.team("ops"), Some(hold(0..4)), "{}{}", applied.out, applied.err);
    assert!(
        applied.out.contains(
            "p4@acme.example has the GitHub account octo4, which is not a member of the organisation acme"
        ),
        "{}",
        applied.out
    );
    // Somebody has already invited these people. Beadle can do no more, so the plan has no change.
    let invited = json!({ "teams": { "ops": { "invitations": [{ "login": "octo4", "role": "member" }, { "email": "x@acme.example" }] } } });
    world.patch_github(invited, false).await;
    world.beadle(&["plan", "--group", "AWS_Ops"]).await.expect(0);
    // This invited person should not be a member any more. So Beadle does not wait for the person.
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00004": null } } } }));
    world.beadle(&["apply", "--yes", "--group", "AWS_Ops"]).await.expect(0);
    let left = world.github().state()["orgs"]["acme"]["teams"]["ops"]["invitations"].clone();
    assert_eq!(left, json!([{ "email": "x@acme.example" }]));
    // If Beadle cannot read the list, it removes nobody.
    std::fs::write(world.path().join("users.toml"), "\"p3@acme.example\" = 7\n").unwrap();
    let plan = world.beadle(&["plan", "--group", "AWS_Ops"]).await;
    assert!(plan.err.contains("users.toml:1"), "{}", plan.err);
    // If the list is empty, Beadle removes nobody either.
    std::fs::write(world.path().join("users.toml"), "").unwrap();
    let plan = world.beadle(&["plan", "--group", "AWS_Ops"]).await;
    assert!(plan.out.contains("no member of acme belongs to p3@acme.example"), "{}", plan.out);
    assert!(!plan.out.contains("- removes"), "{}", plan.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_github_synchronises_is_only_observed() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..3) } });
    let teams = json!({ "ops": { "id": 900, "members": hold([0, 1]), "external_group": "okta-ops" } });
    let mut world = World::of_teams(directory(5, &groups), acme(5, &teams)).await;
    world.groups += "adopt = true\n";
    let applied = world.beadle(&["apply", "--yes", "--group", "AWS_Ops"]).await;
    assert!(
        applied.out.contains(
            "GitHub synchronises the team with the group okta-ops of the identity provider; Beadle only observes the group"
        ),
        "{}{}",
        applied.out,
        applied.err
    );
    assert_eq!(world.team("ops"), Some(hold([0, 1])));
    let calls = world.github().calls();
    assert!(calls.iter().all(|call| call["writes"] != true), "{calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_child_team_do_not_count_and_a_parent_team_is_not_deleted() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..3) } });
    let teams = json!({
        "ops": { "id": 900, "members": hold([0, 1]) },
        "night": { "id": 901, "members": hold([2, 4]), "parent": "ops" },
    });
    let mut world = World::of_teams(directory(5, &groups), acme(5, &teams)).await;
    world.groups += "adopt = true\non_delete = \"delete\"\n";
    world.beadle(&["apply", "--yes", "--group", "AWS_Ops"]).await.expect(0);
    assert_eq!(world.team("ops"), Some(hold(0..3)));
    assert_eq!(world.team("night"), Some(hold([2, 4])));
    world.okta.patch(&json!({ "groups": { "00g1": null } }));
    let applied = world.beadle(&["apply", "--yes", "--group", "Ops"]).await;
    let holds = world.beadle(&["holds", "--json"]).await.out;
    let held: Value = serde_json::from_str(holds.lines().next().unwrap()).unwrap();
    let digest = held["digest"].as_str().unwrap_or_else(|| panic!("{holds}{}", applied.out)).to_owned();
    world.beadle(&["approve", &digest, "--reason", "as meant"]).await.expect(0);
    let applied = world.beadle(&["apply", "--yes", "--group", "Ops"]).await;
    assert!(
        applied.out.contains("the team Ops has child teams, and GitHub would delete them too"),
        "{}",
        applied.out
    );
    assert!(world.team("ops").is_some() && world.team("night").is_some());
    world.patch_github(json!({ "teams": { "night": null } }), false).await;
    world.beadle(&["apply", "--yes", "--group", "Ops"]).await.expect(0);
    assert!(world.team("ops").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_or_invalid_answer_removes_nobody() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..9) } });
    let teams = json!({ "ops": { "id": 900, "name": "Ops", "members": hold(0..10) } });
    let mut world = World::of_teams(directory(12, &groups), acme(12, &teams)).await;
    world.groups += "adopt = true\n";
    let fault = async |fault: Value| {
        let url = format!("{}/_sim/faults", world.github().url());
        world.http.delete(&url).send().await.unwrap();
        assert!(world.http.post(&url).body(fault.to_string()).send().await.unwrap().status().is_success());
    };
    let broken = [
        json!({ "contains": "membership: IMMEDIATE", "shorten": "members" }),
        json!({ "contains": "membersWithRole", "shorten": "membersWithRole" }),
        json!({ "contains": "externalIdentities", "shorten": "externalIdentities" }),
        json!({ "contains": "externalIdentities", "body": { "data": { "organization": { "samlIdentityProvider": null } } }, "status": 200 }),
        json!({ "contains": "membersWithRole", "body": { "data": { "organization": null } }, "status": 200 }),
        json!({ "contains": "membership: IMMEDIATE", "status": 500 }),
        json!({ "contains": "membership: IMMEDIATE", "truncate": true }),
    ];
    for broken in broken {
        let mut broken = broken;
        broken["path"] = json!("/graphql");
        fault(broken.clone()).await;
        let ran = world.beadle(&["apply", "--yes", "--group", "AWS_Ops"]).await;
        assert_ne!(ran.code, 0, "{broken}: {}{}", ran.out, ran.err);
        assert!(!ran.out.contains("remove"), "{broken}: {}", ran.out);
        assert_eq!(world.team("ops"), Some(hold(0..10)), "{broken}");
    }
    world.http.delete(format!("{}/_sim/faults", world.github().url())).send().await.unwrap();
    world.beadle(&["apply", "--yes", "--group", "AWS_Ops"]).await.expect(0);
    assert_eq!(world.team("ops"), Some(hold(0..9)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_whose_creation_was_interrupted_is_found_by_its_description() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..3) } });
    let made = json!({ "id": 900, "name": "Ops", "description": "Its members (beadle:corp/00g1)" });
    let world = World::of_teams(directory(5, &groups), acme(5, &json!({ "ops": made }))).await;
    world.beadle(&["apply", "--yes", "--group", "AWS_Ops"]).await.expect(0);
    assert_eq!(world.team("ops"), Some(hold(0..3)));
    // The team has the name of the group, but Beadle did not create the team.
    let state = json!({ "ops": { "id": 900, "name": "Ops", "description": "Ours" } });
    let world = World::of_teams(directory(5, &groups), acme(5, &state)).await;
    let applied = world.beadle(&["apply", "--yes", "--group", "AWS_Ops"]).await;
    assert!(applied.out.contains("that Beadle did not create; set adopt = true"), "{}", applied.out);
    assert_eq!(world.team("ops"), Some(json!({})));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_teams_do_not_support_are_refused_with_their_line() {
    let mut world = World::of_teams(json!({}), acme(1, &json!({}))).await;
    let whole = (world.groups.clone(), world.teams.clone());
    let check = async |world: &World, says: &str| {
        let ran = world.beadle(&["plan"]).await.expect(1);
        assert!(ran.err.contains(says), "{says}: {}", ran.err);
    };
    world.groups = format!("{}users = \"provision\"\n", whole.0);
    check(&world, "`groups.users` must not be `provision` for teams of GitHub").await;
    world.groups.clone_from(&whole.0);
    world.teams = "match = []".into();
    check(&world, "`target.github.match` must have at least one of").await;
    world.teams = "match = [\"file\"]".into();
    check(&world, "`target.github.match` has \"file\", so `users_from` is required").await;
    world.teams = "match = [\"male\"]".into();
    check(&world, "male").await;
    world.teams = "match = [\"file\"], users_from = \"nowhere.toml\"".into();
    check(&world, "nowhere.toml (users_from)").await;
    world.teams.clone_from(&whole.1);
    world.target_lines = "budget = { points = 1 }".into();
    check(&world, "`target.budget` is only for SCIM: teams use the budget of [[org]] `acme`").await;
    world.target_lines =
        "\n[[target]]\nname = \"more\"\ngithub = { org = \"acme\", match = [\"mail\"] }".into();
    check(&world, "found `acme`, which target `").await;
    // The configuration key `role` is only valid for teams.
    let mut world = World::new([json!({}), json!({})]).await;
    world.groups += "role = \"maintainer\"\n";
    check(&world, "`groups.role` is only for teams of GitHub").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_left_the_organisation_is_not_invited_again() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..5) } });
    let mut world = World::of_teams(directory(6, &groups), acme(6, &json!({}))).await;
    world.teams = "match = [\"file\"], users_from = \"users.toml\"".into();
    let list: Vec<String> = (0..6).map(|n| format!("\"{}\" = \"octo{n}\"", login(n))).collect();
    std::fs::write(world.path().join("users.toml"), list.join("\n")).unwrap();
    let serving = world.serve().await;
    world.connect(&Hook::default());
    world.connect_github();
    world.until_team("ops", &hold(0..5)).await;
    // octo3 leaves the organisation. Okta does not know about this change, and earlier answers do
    // not show the change.
    let members: Vec<String> = [0, 1, 2, 4, 5].map(|n| format!("octo{n}")).into();
    world
        .patch_github(
            json!({ "members": members, "teams": { "ops": { "members": { "octo3": null } } } }),
            true,
        )
        .await;
    until("it is noticed", async || serving.log().contains("octo3 left the organisation")).await;
    until("it is said", async || {
        let log = serving.log();
        log.contains(
            "p3@acme.example has the GitHub account octo3, which is not a member of the organisation acme",
        )
    })
    .await;
    let team = world.github().state()["orgs"]["acme"]["teams"]["ops"].clone();
    assert_eq!((&team["members"], &team["invitations"]), (&hold([0, 1, 2, 4]), &json!([])));
    let put = |call: &Value| call["method"] == "PUT" && call["path"].as_str().unwrap().ends_with("/octo3");
    assert_eq!(world.github().calls().iter().filter(|call| put(call)).count(), 1, "the first one");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_equals_the_login_of_another_person_does_not_match() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Deployers" }, "members": of([0, 1, 7]) } });
    let mut directory = directory(8, &groups);
    // A service user has the same e-mail address as its owner. For another person, GitHub knows
    // only the e-mail address.
    directory["users"]["00u00007"]["profile"]["email"] = json!(login(5));
    directory["users"]["00u00001"]["profile"] = json!({ "login": "one", "email": login(1) });
    // The other person is still in the team.
    let deployers = json!({ "id": 900, "name": "deployers", "members": hold([0, 5]) });
    let mut acme = acme(7, &json!({ "deployers": deployers }));
    acme["org"]["identities"].as_object_mut().unwrap().remove("p7@acme.example");
    let mut world = World::of_teams(directory, acme).await;
    // The new name has the same slug as the existing team.
    world.groups += "adopt = true\ncase = \"upper\"\n";
    let applied = world.beadle(&["apply", "--yes", "--group", "AWS_Deployers"]).await;
    assert!(
        applied.out.contains("the login of another person; Beadle does not use the account"),
        "{}",
        applied.out
    );
    assert!(applied.out.contains("add: one (octo1)"), "{}", applied.out);
    assert_eq!(world.team("deployers"), Some(hold([0, 1])), "{}", applied.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_of_the_policy_have_the_members_that_its_file_names() {
    let teams = json!({ "ops": { "id": 901, "name": "Ops", "members": hold([0, 1, 5]) } });
    let mut world = World::of_teams(directory(1, &json!({})), acme(8, &teams)).await;
    world.teams += ", teams_from_policy = true";
    let path = world.path().join("policy/teams.yml");
    let write = |text: &str| crate::world::replace_file(&path, text);
    write(
        "teams:\n  - { name: Ops, members: [octo0, Octo1, octo2] }\n  \
         - { name: Docs, parent: Ops, notifications: false, members: [octo3], maintainers: [octo4] }\n",
    );
    let serving = world.serve().await;
    world.until_team("ops", &hold([0, 1, 2])).await;
    world.until_team("docs", &json!({ "octo3": "member", "octo4": "maintainer" })).await;
    let docs = world.github().state()["orgs"]["acme"]["teams"]["docs"].clone();
    assert_eq!(
        (&docs["parent"], &docs["privacy"], &docs["notification_setting"]),
        (&json!("ops"), &json!("closed"), &json!("notifications_disabled"))
    );
    // If the name of a team changes in the file, Beadle renames the existing team.
    write("teams:\n  - { name: Operations, previously: [Ops], members: [octo0, octo1] }\n");
    world.read_policy().await;
    world.until_team("operations", &hold([0, 1])).await;
    let state = world.github().state()["orgs"]["acme"]["teams"].clone();
    assert_eq!(state["operations"]["id"], 901);
    assert!(state.get("docs").is_some(), "the file no longer names this team: Beadle leaves it alone");
    assert_eq!(serving.stop().await, Some(0));
    // A misspelled login, an empty list and an empty file remove nobody.
    for text in [
        "teams:\n  - { name: Operations, previously: [Ops], members: [octo0, octo99] }\n",
        "teams:\n  - { name: Operations, previously: [Ops], members: [] }\n",
        "teams: []\n",
        "",
    ] {
        write(text);
        let swept = world.beadle(&["sweep"]).await;
        assert_eq!(world.team("operations"), Some(hold([0, 1])), "{text}\n{}{}", swept.out, swept.err);
    }
    let checked = world.beadle(&["check"]).await.expect(1);
    let said = format!("{}{}", checked.out, checked.err);
    assert!(said.contains("teams.yml:1"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_okta_and_the_policy_declare_is_an_error_that_names_both() {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..2) } });
    let mut world = World::of_teams(directory(4, &groups), acme(4, &json!({}))).await;
    world.teams += ", teams_from_policy = true";
    let path = world.path().join("policy/teams.yml");
    crate::world::replace_file(&path, "teams:\n  - { name: Ops, members: [octo3] }\n");
    world.beadle(&["sweep"]).await;
    let before = world.team("ops");
    let plan = world.beadle(&["plan"]).await;
    assert!(plan.out.contains("the target's group Ops already belongs to "), "{}{}", plan.out, plan.err);
    assert!(plan.out.contains("corp/00g1") || plan.out.contains("teams/ops"), "{}", plan.out);
    assert_eq!(world.team("ops"), before);
}
