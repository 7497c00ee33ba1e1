//! Tests how often a client requests a token after a failure.
#![expect(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use beadle_engine::{Budgets, Class, Clock, Failure, Time};
use beadle_transport::{Client, ClientSettings, Exchanged, TransportError, Wire};
use bytes::Bytes;

/// The tests send no request.
struct NoNetwork;

#[async_trait::async_trait]
impl Wire for NoNetwork {
    async fn exchange(&self, _: http::Request<Bytes>) -> Result<Exchanged, String> {
        Err("the test sends no request".to_owned())
    }
}

fn client(patient: bool) -> Client {
    let settings = ClientSettings { wire: Some(Arc::new(NoNetwork)), patient, ..ClientSettings::default() };
    let clock = Clock::simulated(Time(1_000_000_000_000));
    Client::new("https://vendor.test/", Budgets::new("acme", 0), clock, settings).unwrap()
}

/// Requests a token three times, and then once more after a wait. Every request fails with `error`.
/// Returns the numbers of requests before and after the wait, and the failure of the third request.
async fn requests(client: &Client, error: &TransportError) -> (usize, usize, Failure) {
    let sent = AtomicUsize::new(0);
    let request = async || {
        let failing = async {
            sent.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(error.clone())
        };
        Failure::from(TransportError::from(client.token(failing).await.unwrap_err()))
    };
    request().await;
    request().await;
    let third = request().await;
    let before = sent.load(Ordering::SeqCst);
    client.clock().sleep(Duration::from_secs(11)).await;
    request().await;
    (before, sent.load(Ordering::SeqCst), third)
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_requested_once_in_ten_seconds_and_a_lost_answer_stops_nobody() {
    let request = || "POST token".to_owned();
    let refused = TransportError::Status { request: request(), status: 400, message: "invalid".into() };
    let unusable = TransportError::Credential { request: request(), why: "the key cannot sign".into() };
    let lost = TransportError::Timeout { request: request(), seconds: 30 };
    for patient in [false, true] {
        let (before, after, failure) = requests(&client(patient), &refused).await;
        assert_eq!((before, after), (1, 2), "patient: {patient}");
        assert_eq!(matches!(failure.class, Class::RateLimited { .. }), !patient, "{failure:?}");
        let (before, after, failure) = requests(&client(patient), &unusable).await;
        assert_eq!((before, after), (1, 2), "patient: {patient}");
        assert_eq!((failure.class, failure.not_sent), (Class::Retry, true), "{failure:?}");
        let (before, after, _) = requests(&client(patient), &lost).await;
        assert_eq!((before, after), (3, 4), "patient: {patient}");
    }
    // After the first token, the client forgets the refusal.
    let client = client(true);
    assert!(client.token(async { Err::<(), _>(refused) }).await.is_err());
    client.clock().sleep(Duration::from_secs(11)).await;
    assert_eq!(client.token(async { Ok(7) }).await, Ok(7));
    assert_eq!(client.token(async { Ok(8) }).await, Ok(8));
}
