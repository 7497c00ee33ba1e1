//! Tests that a change of access reaches the team or the account with the planned id, even if the
//! name has another owner at the time of the write.
#![expect(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use beadle_engine::{Budgets, Class, Clock, Resource, Time};
use beadle_github::{
    Actor, ActorKind, Api, Asks, Credential, Endpoint, Grantee, Permission, Reader, Team, Writer,
};
use beadle_transport::ClientSettings;
use beadle_transport::testing::Recorder;
use secrecy::SecretString;
use serde_json::{Value, json};

struct World {
    wire: Arc<Recorder>,
    budgets: Budgets,
    clock: Clock,
    api: Api,
}

impl World {
    /// Creates a simulated GitHub. `owner` takes the number of the request and returns the id of
    /// the name's owner.
    fn new(owner: fn(usize) -> u64) -> Self {
        let asked = AtomicUsize::new(0);
        let wire = Recorder::new(move |arrived| {
            if arrived.method != "POST" {
                return (204, Value::Null);
            }
            let document = arrived.body["query"].as_str().unwrap_or_default();
            if document.contains("nodes(ids") {
                let login = if owner(asked.fetch_add(1, Ordering::SeqCst)) == 7 { "mona" } else { "lisa" };
                let organisation = json!({ "databaseId": 1 });
                let account = json!({
                    "__typename": "User", "databaseId": 9, "login": login, "organization": organisation,
                });
                let below = json!({ "totalCount": 0 });
                let team = json!({
                    "__typename": "Team", "databaseId": 5, "slug": "platform", "childTeams": below,
                });
                return (200, json!({ "data": { "nodes": [team, account] } }));
            }
            if !document.contains("a0:") {
                let node = json!({ "databaseId": 1, "name": "shop", "owner": { "login": "acme" } });
                return (200, json!({ "data": { "node": node } }));
            }
            let id = owner(asked.fetch_add(1, Ordering::SeqCst));
            if id == 0 {
                let error = json!({ "type": "NOT_FOUND", "message": "nobody", "path": ["a0"] });
                return (200, json!({ "data": { "a0": null }, "errors": [error] }));
            }
            let team = json!({ "id": "T", "databaseId": id, "slug": "platform" });
            let found = json!({ "id": "U", "databaseId": id, "login": "mona", "team": team });
            (200, json!({ "data": { "a0": found } }))
        });
        let (clock, budgets) = (Clock::simulated(Time(1_000_000)), Budgets::new("acme", 0));
        let settings =
            ClientSettings { patient: true, wire: Some(wire.clone()), ..ClientSettings::default() };
        let token = Credential::Token(SecretString::from("token"));
        let endpoint = Endpoint::new("https://github.test");
        let api = Api::new(&endpoint, "acme", token, budgets.clone(), &clock, settings).unwrap();
        Self { wire, budgets, clock, api }
    }

    /// Returns the requests that REST got, and the number of requests that GraphQL got.
    fn sent(&self) -> (Vec<String>, usize) {
        let arrived = self.wire.arrived();
        let (asked, written): (Vec<_>, Vec<_>) = arrived.iter().partition(|one| one.method == "POST");
        let shown =
            |one: &&beadle_transport::testing::Arrived| format!("{} {}", one.method, one.segments.join("/"));
        (written.iter().map(shown).collect(), asked.len())
    }
}

fn push() -> Permission {
    "push".to_owned().into()
}

#[tokio::test(start_paused = true)]
async fn no_access_is_granted_to_a_new_owner_of_a_name() {
    let owners: [fn(usize) -> u64; 2] = [|_| 8, |_| 0];
    for owner in owners {
        let world = World::new(owner);
        let named = Writer::new(world.api.clone()).named(1, "R_1").await.unwrap();
        let team = named.put_team(&Grantee::team(7, "platform"), &push()).await.unwrap_err();
        let account = named.put_collaborator(&Grantee::user(7, "mona"), &push()).await.unwrap_err();
        for failure in [team, account] {
            assert_eq!(failure.class, Class::Conflict, "Beadle plans again: {failure}");
            assert!(failure.text.contains("nothing was written"), "{failure}");
        }
        assert_eq!(world.sent().0, [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn no_access_is_removed_from_a_new_owner_of_a_name() {
    let world = World::new(|_| 8);
    let named = Writer::new(world.api.clone()).named(1, "R_1").await.unwrap();
    named.remove_team(&Grantee::team(7, "platform")).await.unwrap_err();
    named.remove_collaborator(&Grantee::user(7, "mona")).await.unwrap_err();
    assert_eq!(world.sent().0, [""; 0]);
    // Nobody has this name, so a write that removes the access of this name affects nobody.
    let world = World::new(|_| 0);
    let named = Writer::new(world.api.clone()).named(1, "R_1").await.unwrap();
    named.remove_collaborator(&Grantee::user(7, "mona")).await.unwrap();
    assert_eq!(world.sent().0, ["DELETE repos/acme/shop/collaborators/mona"]);
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "the test needs a name that was resolved a moment ago")]
async fn a_fresh_name_costs_no_call_and_an_older_one_costs_one() {
    let world = World::new(|_| 7);
    let actor = Actor { kind: ActorKind::User, name: "mona".into(), id: None, number: None };
    let reader = Reader::new(world.api.clone(), Asks::default());
    let found = reader.resolve(&[actor]).await.unwrap().remove(0).unwrap();
    let mona = Grantee::resolved_user(&found);
    let writer = Writer::new(world.api.clone());
    writer.named(1, "R_1").await.unwrap().put_collaborator(&mona, &push()).await.unwrap();
    assert_eq!(world.sent().1, 2, "one question for the account in the plan, and one for the repository");
    world.clock.jump(6_000);
    writer.named(1, "R_1").await.unwrap().put_collaborator(&mona, &push()).await.unwrap();
    assert_eq!(world.sent(), (vec!["PUT repos/acme/shop/collaborators/mona".to_owned(); 2], 4));
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_waits_for_a_budget_does_not_reach_the_next_owner_of_the_name() {
    let world = World::new(|asked| if asked == 0 { 7 } else { 8 });
    let named = Writer::new(world.api.clone()).named(1, "R_1").await.unwrap();
    let now = world.clock.now();
    world.budgets.refuse(Resource::Core, Some(now + Duration::from_secs(60)), now);
    let refused = named.put_collaborator(&Grantee::user(7, "mona"), &push()).await.unwrap_err();
    assert!(refused.text.contains("has the id 8 now"), "{refused}");
    assert_eq!(world.sent().0, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_member_is_written_by_the_present_login() {
    // The account gets another login after Beadle prepared the writes to the team.
    let world = World::new(|asked| if asked == 0 { 7 } else { 8 });
    let team = Team {
        id: 5,
        node_id: "T_5".into(),
        slug: "platform".into(),
        name: "Platform".into(),
        description: String::new(),
        is_parent: false,
        privacy: None,
        notifications: None,
        parent: None,
    };
    let named = Writer::new(world.api.clone()).team(&team, &["U_9".to_owned()]).await.unwrap();
    named.put_member(9, false).await.unwrap();
    world.clock.jump(6_000);
    named.put_member(9, false).await.unwrap();
    let members = "PUT orgs/acme/teams/platform/memberships";
    assert_eq!(world.sent(), (vec![format!("{members}/mona"), format!("{members}/lisa")], 2));
    let failure = named.remove_member(10).await.unwrap_err();
    assert_eq!(failure.class, Class::Conflict, "an account that no longer exists has no name: {failure}");
}

#[tokio::test(start_paused = true)]
async fn a_team_removed_from_many_repositories_is_looked_up_once() {
    let world = World::new(|_| 7);
    let writer = Writer::new(world.api.clone());
    let team = Grantee::team(7, "platform");
    let lose = || async {
        let named = writer.named(1, "R_1").await.unwrap();
        named.remove_team(&team).await.unwrap();
    };
    futures::future::join_all((0..20).map(|_| lose())).await;
    let (written, asked) = world.sent();
    assert_eq!((written.len(), asked), (20, 21), "one question for each repository, and one for the team");
    world.clock.jump(6_000);
    lose().await;
    assert_eq!(world.sent().1, 23, "an answer is valid for five seconds");
}
