//! Tests that a call without a token fails. GitHub can answer the request for the token with 404.
//! If a call treated this answer as an answer about its resource, the resource would seem not to
//! exist.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use beadle_engine::{Budgets, Class, Clock, Failure, Time};
use beadle_github::{Api, Asks, Credential, Endpoint, Reader};
use beadle_secrets::SigningKey;
use beadle_secrets::testing::signing_key;
use beadle_transport::ClientSettings;
use beadle_transport::testing::Recorder;
use serde_json::json;

/// Creates a reader of an App. If `patient` is true, the reader belongs to a command.
fn reader(
    wire: &Arc<Recorder>,
    key: SigningKey,
    installation: Option<u64>,
    patient: bool,
) -> Result<Reader, String> {
    let settings = ClientSettings { wire: Some(wire.clone()), patient, ..ClientSettings::default() };
    let (clock, budgets) = (Clock::simulated(Time(1_000_000_000_000)), Budgets::new("acme", 0));
    let credential = Credential::App { id: 7, key, installation };
    let endpoint = Endpoint::new("https://github.test");
    let api = Api::new(&endpoint, "acme", credential, budgets, &clock, settings)?;
    Ok(Reader::new(api, Asks::default()))
}

/// Makes calls that treat a 403 or a 404 about their resource as a valid result. Returns the
/// failure of each call.
async fn failures(reader: &Reader) -> [(&'static str, Option<Failure>); 9] {
    [
        ("pull", reader.pull("policy", 7).await.err()),
        ("is_in_team", reader.is_in_team("team", "mona").await.err()),
        ("user_writes", reader.user_writes("mona", "acme", "shop").await.err()),
        ("team_role", reader.team_role("team", "acme", "shop").await.err()),
        ("team_writes", reader.team_writes("team", "acme", "shop").await.err()),
        ("person", reader.person("mona").await.err()),
        ("kept_by", reader.kept_by("team").await.err()),
        ("merge_base", reader.merge_base("policy", "a", "b").await.err()),
        ("of_organisation", reader.of_organisation("hooks").await.err()),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_for_a_token_is_no_answer_about_a_resource() -> Result<(), Box<dyn Error>> {
    let key = signing_key();
    for status in [400, 401, 403, 404, 410, 422] {
        // GitHub refuses one of three requests: the request for a configured installation's token,
        // the look-up of the installation, or the request for the token after this look-up.
        for (installation, is_found) in [(Some(1), false), (None, false), (None, true)] {
            for patient in [false, true] {
                let wire = Recorder::new(move |arrived| {
                    if is_found && arrived.segments == ["orgs", "acme", "installation"] {
                        return (200, json!({ "id": 1 }));
                    }
                    (status, json!({ "message": "Not Found" }))
                });
                let reader = reader(&wire, key.clone(), installation, patient)?;
                for (call, failure) in Box::pin(failures(&reader)).await {
                    let case = format!("{call}: {status}, {installation:?}, {is_found}, {patient}");
                    let Some(failure) = failure else { panic!("{case}: no failure") };
                    // In the service, all keys of the organisation wait. A command retries nothing,
                    // but it must not treat the failure as GitHub's refusal of one request.
                    let is_denied = matches!(failure.class, Class::RateLimited { .. });
                    assert_eq!(is_denied, !patient, "{case}: {failure:?}");
                    assert!(is_denied || failure.class == Class::Retry, "{case}: {failure:?}");
                }
                // The first call requests the token. The other calls get the same refusal. After a
                // 404, Beadle looks up the installation again, because somebody might have
                // installed the App again.
                let sent = match (is_found, status) {
                    (true, 404) => 4,
                    (true, _) => 2,
                    (false, _) => 1,
                };
                assert_eq!(wire.arrived().len(), sent, "{status}, {installation:?}, {is_found}, {patient}");
                for arrived in wire.arrived() {
                    let is_for_the_token = arrived.segments == ["orgs", "acme", "installation"]
                        || arrived.segments == ["app", "installations", "1", "access_tokens"];
                    assert!(is_for_the_token, "{arrived:?}");
                }
            }
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_requested_again_only_after_a_wait() -> Result<(), Box<dyn Error>> {
    for patient in [false, true] {
        let wire = Recorder::new(|_| (404, json!({ "message": "Not Found" })));
        let reader = reader(&wire, signing_key(), Some(1), patient)?;
        for waits in 1..=3 {
            let parallel = [Box::pin(failures(&reader)), Box::pin(failures(&reader))];
            for failures in futures::future::join_all(parallel).await {
                assert!(failures.iter().all(|(_, failure)| failure.is_some()), "{failures:?}");
            }
            assert_eq!(wire.arrived().len(), waits, "patient: {patient}");
            // The waits of the service become longer. The wait of a command stays the same.
            reader.clock().sleep(Duration::from_secs(60)).await;
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_uninstalled_during_a_command_makes_nothing_disappear() -> Result<(), Box<dyn Error>> {
    let sent = AtomicUsize::new(0);
    let wire = Recorder::new(move |_| match sent.fetch_add(1, Ordering::SeqCst) {
        0 => (201, json!({ "token": "one", "expires_at": "2001-09-09T02:46:40Z" })),
        1 => (200, json!({ "state": "active" })),
        2 => (401, json!({ "message": "Bad credentials" })),
        _ => (404, json!({ "message": "Not Found" })),
    });
    let reader = reader(&wire, signing_key(), Some(1), true)?;
    assert!(reader.is_in_team("team", "mona").await?);
    let Err(failure) = reader.is_in_team("team", "mona").await else { panic!("the member disappeared") };
    assert!(failure.text.contains("the App is not installed on acme"), "{failure}");
    assert_eq!(wire.arrived().len(), 4);
    Ok(())
}
