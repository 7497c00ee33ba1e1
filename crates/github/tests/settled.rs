//! Tests what Beadle knows about the parts of a ruleset that GraphQL does not show. After Beadle
//! has compared a policy with REST's answer, it knows these parts only for this policy.

use beadle_engine::{Budgets, Clock, Time};
use beadle_github::{Api, Asks, Credential, Endpoint, Reader, Ruleset};
use beadle_transport::ClientSettings;
use secrecy::SecretString;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn a_ruleset_settled_for_one_policy_is_not_settled_for_another() -> Result<(), String> {
    let token = Credential::Token(SecretString::from("token"));
    let (clock, budgets) = (Clock::simulated(Time(0)), Budgets::new("acme", 0));
    let endpoint = Endpoint::new("https://github.test");
    let api = Api::new(&endpoint, "acme", token, budgets, &clock, ClientSettings::default())?;
    let reader = Reader::new(api, Asks::default());
    let ruleset = |updated_at: &str| Ruleset {
        id: 5,
        name: "main".into(),
        updated_at: updated_at.into(),
        body: json!({}),
        is_veiled: false,
    };
    // GraphQL shows `exempt` as `always`, so only REST shows the difference between the two values.
    let wanted =
        |mode: &str| json!({ "bypass_actors": [{ "actor_type": "DeployKey", "bypass_mode": mode }] });
    reader.settle(&ruleset("2030-01-01"), &wanted("exempt"));
    assert!(reader.is_settled(&ruleset("2030-01-01"), &wanted("exempt")));
    assert!(!reader.is_settled(&ruleset("2030-01-01"), &wanted("always")), "another policy");
    assert!(!reader.is_settled(&ruleset("2030-01-02"), &wanted("exempt")), "it was changed");
    assert!(!reader.has_changed(&ruleset("2030-01-01")));
    Ok(())
}
