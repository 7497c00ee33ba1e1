//! Tests names that have a new owner, and names that are listed twice after a rename.

use super::world::World;
use super::*;

#[tokio::test(start_paused = true)]
async fn who_takes_a_login_or_a_slug_gets_no_role_of_the_organisation_and_unblocks_nobody() {
    let policy = "organization:
  organization_roles: [{ name: security_manager, teams: [core], users: [mona] }]
  blocked_users: [spammer]
";
    let people = json!({ "mona": { "id": 501 }, "spammer": { "id": 502 } });
    let roles = |team: &str, user: &str| json!({ "security_manager": { "teams": [team], "users": [user] } });
    let state = json!({ "users": people, "orgs": { "acme": {
        "id": 1, "members": ["mona"], "teams": { "core": { "id": 601 } }, "blocks": ["spammer"],
        "organization_roles": roles("core", "mona"),
    } } });
    let world = World::new(state, policy).await;
    world.apply().await;
    assert_eq!(world.changes().await, Vec::<String>::new());
    let taken = json!({
        "users": {
            "mona": { "id": 901 }, "mona-x": { "id": 501 }, "spammer": { "id": 902 }, "evil": { "id": 502 },
        },
        "orgs": { "acme": {
            "members": ["mona-x", "mona"],
            "teams": { "core": { "id": 903 }, "kernel": { "id": 601 } },
            "blocks": ["evil"],
            "organization_roles": roles("kernel", "mona-x"),
        } },
    });
    world.control("PATCH", &taken).await;
    let (changes, unknowns) = world.changes_and_doubts().await;
    assert!(changes.is_empty(), "{changes:?}");
    for (what, name) in [("team", "core"), ("user", "mona"), ("user", "spammer")] {
        let hint = format!("run `beadle rebind acme --{what} {name}` (settings.yml:");
        assert!(unknowns.iter().any(|why| why.contains(&hint)), "{name}: {unknowns:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn if_the_policy_lists_an_old_name_and_the_new_name_the_new_name_decides() {
    let old = "teams: [{ name: platform, permission: pull }]\n\
               collaborators: [{ username: lisa, permission: pull }]\n";
    let both = "teams: [{ name: platform, permission: pull }, { name: kernel, permission: push }]\n\
                collaborators: [{ username: lisa, permission: pull }, { username: lisa-x, permission: push }]\n";
    let mut state = acme(501, 601);
    state["users"] = json!({ "lisa": { "id": 501 } });
    let mut world = World::new(state, old).await;
    world.apply().await;
    let mut state = world.sim.state();
    state["users"] = json!({ "lisa-x": { "id": 501 } });
    state["orgs"]["acme"]["teams"] = json!({ "kernel": { "id": 601 } });
    let shop = &mut state["orgs"]["acme"]["repos"]["shop"];
    shop["invitations"] = json!([]);
    shop["teams"] = json!({ "kernel": "pull" });
    shop["collaborators"] = json!({ "lisa-x": "pull" });
    world.control("PUT", &state).await;
    world.replace_policy(&[("settings.yml".to_owned(), both.to_owned())].into());
    let (changes, unknowns) = world.changes_and_doubts().await;
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert!(changes.iter().any(|change| change.starts_with("team kernel ")), "{changes:?}");
    assert!(changes.iter().any(|change| change.starts_with("collaborator lisa-x ")), "{changes:?}");
    for name in ["platform", "lisa"] {
        let advice = format!("remove the entry `{name}` (settings.yml:");
        assert!(unknowns.iter().any(|why| why.contains(&advice)), "{name}: {unknowns:?}");
    }
    let raised = json!({ "teams": { "kernel": "push" }, "collaborators": { "lisa-x": "push" } });
    world.control("PATCH", &json!({ "orgs": { "acme": { "repos": { "shop": raised } } } })).await;
    let (changes, _) = world.changes_and_doubts().await;
    assert!(changes.is_empty(), "the old names take nothing back: {changes:?}");
}
