//! Tests that a call without an access token fails. Okta can answer the request for the token with
//! 404. If a call treated this answer as an answer about a group or a user, the group or the user
//! would seem not to exist.

use beadle_engine::{Class, Clock, Failure, Time};
use beadle_okta::{Credential, Okta};
use beadle_secrets::testing::signing_key;
use beadle_transport::ClientSettings;
use beadle_transport::testing::Recorder;
use serde_json::json;

/// Makes the calls for which a 404 answer about their resource is a valid result. Returns the
/// failure of each call.
async fn failures(okta: &Okta) -> [(&'static str, Option<Failure>); 4] {
    [
        ("group", okta.group("00g1").await.err()),
        ("members", okta.members("00g1").await.err()),
        ("user", okta.user("00u1").await.err()),
        ("groups_of", okta.groups_of("00u1").await.err()),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_for_a_token_is_no_answer_about_a_group_or_a_user() -> Result<(), String> {
    let key = signing_key();
    for status in [400, 401, 403, 404, 410] {
        for patient in [false, true] {
            let wire = Recorder::new(move |_| (status, json!({ "error": "invalid_client" })));
            let settings = ClientSettings { wire: Some(wire.clone()), patient, ..ClientSettings::default() };
            let credential = Credential::App {
                client: "client".into(),
                key_id: None,
                key: key.clone(),
                scopes: vec!["okta.groups.read".into()],
            };
            let clock = Clock::simulated(Time(1_000_000_000_000));
            let okta = Okta::new("https://okta.test", "corp", credential, 0, &clock, &settings)?;
            for (call, failure) in Box::pin(failures(&okta)).await {
                let Some(failure) = failure else { panic!("{call}: {status} is an answer") };
                let is_denied = matches!(failure.class, Class::RateLimited { .. });
                assert_eq!(is_denied, !patient, "{call}: {status}: {failure:?}");
                assert!(is_denied || failure.class == Class::Retry, "{call}: {status}: {failure:?}");
            }
            assert_eq!(wire.arrived().len(), 1, "the other calls get the same refusal: {status}, {patient}");
            for arrived in wire.arrived() {
                assert_eq!(arrived.segments, ["oauth2", "v1", "token"]);
            }
        }
    }
    Ok(())
}
