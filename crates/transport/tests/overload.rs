//! Tests what a client does if a server answers 503 and asks for a wait.

use std::sync::Arc;

use beadle_engine::{Budgets, Clock, Resource, Time};
use beadle_transport::{Client, ClientSettings, Exchanged, Method, Path, Request, TransportError, Wire};
use bytes::Bytes;
use http::HeaderMap;

const START: Time = Time(1_700_000_000_000);

/// A server that answers each request with 503 and asks for a wait of 40 seconds.
struct Overloaded;

#[async_trait::async_trait]
impl Wire for Overloaded {
    async fn exchange(&self, _: http::Request<Bytes>) -> Result<Exchanged, String> {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", 40.into());
        Ok((503, headers, Bytes::new()))
    }
}

fn request(method: Method, writes: bool) -> Request {
    Request {
        method,
        path: Path::at("list"),
        accept: "application/json",
        authorization: None,
        headers: HeaderMap::new(),
        body: None,
        resource: Resource::Core,
        counted: true,
        writes,
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_meets_an_overload_has_an_unknown_result_and_the_next_request_waits() {
    let settings = ClientSettings { wire: Some(Arc::new(Overloaded)), ..ClientSettings::default() };
    let client =
        Client::new("https://vendor.test/", Budgets::new("acme", 0), Clock::simulated(START), settings)
            .unwrap();
    // The server might have carried out the write.
    let written = client.send(&request(Method::PUT, true)).await.unwrap_err();
    assert!(matches!(written, TransportError::Status { status: 503, .. }), "{written:?}");
    for writes in [false, true] {
        let method = if writes { Method::PUT } else { Method::GET };
        match client.send(&request(method, writes)).await.unwrap_err() {
            TransportError::Budget(wait) => assert!(wait.until.since(START).as_secs() >= 39, "{wait:?}"),
            other => panic!("the request was sent: {other:?}"),
        }
    }
}
