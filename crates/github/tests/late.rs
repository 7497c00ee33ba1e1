//! Tests that a write uses the present name of its repository, even if the write had to wait for a
//! long time.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use beadle_engine::{Budgets, Clock, Resource, Time};
use beadle_github::{Api, Below, Credential, Endpoint, Method, Writer};
use beadle_transport::ClientSettings;
use beadle_transport::testing::Recorder;
use secrecy::SecretString;
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn a_write_that_waits_for_a_budget_goes_to_the_present_name() -> Result<(), Box<dyn Error>> {
    let asked = AtomicUsize::new(0);
    let wire = Recorder::new(move |arrived| {
        if arrived.method != "POST" {
            return (204, Value::Null);
        }
        let name = if asked.fetch_add(1, Ordering::SeqCst) == 0 { "old" } else { "new" };
        let node = json!({ "__typename": "Repository", "databaseId": 1, "name": name, "owner": { "login": "acme" } });
        (200, json!({ "data": { "node": node } }))
    });
    let (clock, budgets) = (Clock::simulated(Time(0)), Budgets::new("acme", 0));
    let settings = ClientSettings { patient: true, wire: Some(wire.clone()), ..ClientSettings::default() };
    let token = Credential::Token(SecretString::from("token"));
    let endpoint = Endpoint::new("https://github.test");
    let api = Api::new(&endpoint, "acme", token, budgets.clone(), &clock, settings)?;
    let named = Writer::new(api).named(1, "R_1").await?;
    // A command waits for the budget. This wait is longer than the time for which Beadle trusts a
    // resolved name.
    budgets.refuse(Resource::Core, Some(clock.now() + Duration::from_secs(60)), clock.now());
    named.replace_topics(&["rust".to_owned()]).await?;
    let arrived = wire.arrived();
    let sent: Vec<String> =
        arrived.iter().map(|one| format!("{} {}", one.method, one.segments.join("/"))).collect();
    assert_eq!(sent, ["POST graphql", "POST graphql", "PUT repos/acme/new/topics"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_body_that_waited_longer_than_its_plan_is_valid_is_not_sent() -> Result<(), Box<dyn Error>> {
    let wire = Recorder::new(|arrived| {
        if arrived.method != "POST" {
            return (204, Value::Null);
        }
        let node = json!({ "databaseId": 1, "name": "shop", "owner": { "login": "acme" } });
        (200, json!({ "data": { "node": node, "updateBranchProtectionRule": {} } }))
    });
    let (clock, budgets) = (Clock::simulated(Time(0)), Budgets::new("acme", 0));
    let settings = ClientSettings { patient: true, wire: Some(wire.clone()), ..ClientSettings::default() };
    let token = Credential::Token(SecretString::from("token"));
    let endpoint = Endpoint::new("https://github.test");
    let api = Api::new(&endpoint, "acme", token, budgets.clone(), &clock, settings)?;
    let writer = Writer::new(api);
    for call in 0..4 {
        let now = clock.now();
        let writer = writer.until(now + Duration::from_secs(120));
        let named = writer.named(1, "R_1").await?;
        let before = wire.arrived().len();
        // During these five minutes, somebody can change the values that the body replaces.
        for resource in [Resource::Core, Resource::GraphQl] {
            budgets.refuse(resource, Some(now + Duration::from_secs(300)), now);
        }
        let body = || Some(json!({ "rules": [] }));
        let sent = match call {
            0 => named.replace_topics(&["rust".to_owned()]).await,
            1 => named.send(Method::PUT, Below::at("rulesets").id(5), body()).await,
            2 => writer.to_organisation(Method::PUT, Below::at("rulesets").id(5), body()).await,
            _ => writer.update_rule(json!({ "branchProtectionRuleId": "BPR_1" })).await,
        };
        let failure = sent.err().ok_or("it was sent")?;
        assert!(failure.asks_for_another_plan(clock.now()), "{failure}");
        let after = wire.arrived();
        let document =
            |at: usize| after[at].body["query"].as_str().unwrap_or_default().starts_with("mutation");
        assert!((before..after.len()).all(|at| after[at].method == "POST" && !document(at)), "{call}");
    }
    Ok(())
}
