//! Tests lists that are longer than one page of GitHub's answers. Beadle must also read the later
//! entries.

use std::fmt::Write as _;

use super::world::World;
use super::*;

#[tokio::test(start_paused = true)]
async fn entries_after_the_first_page_count() {
    let people: Vec<String> = (0..31).map(|n| format!("person{n:02}")).collect();
    let teams: Vec<String> = (0..101).map(|n| format!("team{n:03}")).collect();
    let all = |names: &[String]| -> Value {
        names.iter().map(|name| (name.clone(), json!("push"))).collect::<serde_json::Map<_, _>>().into()
    };
    let empty = |names: &[String]| -> Value {
        names.iter().map(|name| (name.clone(), json!({}))).collect::<serde_json::Map<_, _>>().into()
    };
    let reviews = json!({ "required_approving_review_count": 1, "bypass_pull_request_allowances": { "users": people[..12] } });
    let mut widgets = json!({
        "branches": { "main": {} }, "teams": all(&teams), "collaborators": all(&people),
        "protection": { "bypass": { "required_pull_request_reviews": reviews } },
    });
    let rows = |key: &str, names: &[String]| -> String {
        names.iter().fold(String::new(), |mut rows, name| {
            // A write to a string never fails.
            let _ = writeln!(rows, "  - {{ {key}: {name}, permission: push }}");
            rows
        })
    };
    let mut policy =
        format!("teams:\n{}collaborators:\n{}branches:\n", rows("name", &teams), rows("username", &people));
    for n in 0..6 {
        let _ = writeln!(policy, "  - {{ name: release/{n}, protection: {{ enforce_admins: true }} }}");
        widgets["protection"][format!("release/{n}")] = json!({ "enforce_admins": true });
    }
    let _ = writeln!(
        policy,
        "  - name: bypass\n    protection:\n      required_pull_request_reviews:\n        \
         bypass_pull_request_allowances:\n          users: [{}]",
        people[..12].join(", ")
    );
    let state = json!({
        "orgs": { "acme": { "members": people, "teams": empty(&teams), "repos": { "widgets": widgets } } },
        "users": empty(&people),
        "apps": { "beadle-app": { "id": beadle_sim::APP_ID } },
    });
    let world = World::new(state, &policy).await;
    assert_eq!(world.changes().await, Vec::<String>::new());
    for (patch, what) in [
        (json!({ "teams": { "team100": "admin" } }), "team team100"),
        (json!({ "collaborators": { "person30": "admin" } }), "collaborator person30"),
        (json!({ "protection": { "release/5": { "enforce_admins": false } } }), "rule release/5"),
        (
            json!({ "protection": { "bypass": { "required_pull_request_reviews": {
                "bypass_pull_request_allowances": { "users": people[..13] } } } } }),
            "bypass_pull_request_allowances",
        ),
    ] {
        world.control("PATCH", &json!({ "orgs": { "acme": { "repos": { "widgets": patch } } } })).await;
        let changes = world.changes().await;
        assert!(changes.len() == 1 && changes[0].contains(what), "{what}: {changes:?}");
        world.apply().await;
        assert_eq!(world.changes().await, Vec::<String>::new(), "{what}");
    }
    world.check_calls();
}
