//! Tests that the client spreads its requests over the period for which the vendor counts points.

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Budgets, Clock, Failure, Resource, Time};
use beadle_transport::{Client, ClientSettings, ContentLimits, Exchanged, Method, Path, Request, Wire};
use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;

/// A vendor behind a slow network. The first requests take longest to arrive.
struct SlowWay {
    clock: Clock,
    ways: Mutex<Vec<Duration>>,
    arrived: Mutex<Vec<Time>>,
}

#[async_trait::async_trait]
impl Wire for SlowWay {
    async fn exchange(&self, _request: http::Request<Bytes>) -> Result<Exchanged, String> {
        let way = self.ways.lock().pop().unwrap_or_default();
        self.clock.sleep(way).await;
        self.arrived.lock().push(self.clock.now());
        Ok((200, HeaderMap::new(), Bytes::new()))
    }
}

fn request() -> Request {
    Request {
        method: Method::GET,
        path: Path::at("x"),
        accept: "application/json",
        authorization: None,
        headers: HeaderMap::new(),
        body: None,
        resource: Resource::Core,
        counted: false,
        writes: false,
    }
}

#[tokio::test(start_paused = true)]
async fn no_period_has_more_requests_than_allowed_even_if_the_first_ones_arrive_late() {
    const ALLOWED: usize = 5;
    let clock = Clock::simulated(Time(0));
    let late = vec![Duration::from_secs(3); ALLOWED];
    let wire = Arc::new(SlowWay { clock: clock.clone(), ways: Mutex::new(late), arrived: Mutex::default() });
    let settings = ClientSettings {
        rest_points: u32::try_from(ALLOWED).unwrap(),
        patient: true,
        wire: Some(wire.clone()),
        ..ClientSettings::default()
    };
    let period = settings.window;
    let client = Client::new("https://api.test", Budgets::new("pace", 0), clock, settings).unwrap();
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..2 * ALLOWED {
        let client = client.clone();
        requests.spawn(async move { client.send(&request()).await });
    }
    assert!(requests.join_all().await.iter().all(Result::is_ok));
    let arrived = wire.arrived.lock().clone();
    assert_eq!(arrived.len(), 2 * ALLOWED);
    assert!(arrived[ALLOWED].since(arrived[0]) >= period, "{arrived:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_that_create_content_keep_to_the_limits_of_a_minute_and_of_an_hour() {
    let clock = Clock::simulated(Time(0));
    let wire = Arc::new(SlowWay { clock: clock.clone(), ways: Mutex::default(), arrived: Mutex::default() });
    let settings = ClientSettings {
        content: Some(ContentLimits { minute: 3, hour: 5 }),
        patient: true,
        wire: Some(wire.clone()),
        ..ClientSettings::default()
    };
    let client = Client::new("https://api.test", Budgets::new("pace", 0), clock.clone(), settings).unwrap();
    let creation = Request { method: Method::POST, counted: true, writes: true, ..request() };
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (client, creation) = (client.clone(), creation.clone());
        requests.spawn(async move { client.send(&creation).await });
    }
    assert!(requests.join_all().await.iter().all(Result::is_ok));
    let arrived = wire.arrived.lock().clone();
    let are_apart = |count: usize, seconds: u64| {
        arrived.windows(count + 1).all(|some| some[count].since(some[0]) >= Duration::from_secs(seconds))
    };
    assert!(are_apart(3, 60) && are_apart(5, 3600), "{arrived:?}");
    // The limit per hour is used up, but writes that create no content do not wait for this limit.
    let before = clock.now();
    let change = Request { method: Method::PATCH, ..creation };
    assert!(client.send(&change).await.is_ok());
    assert!(clock.now().since(before) < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn only_a_request_that_creates_content_spares_the_others_when_it_has_to_wait() {
    let clock = Clock::simulated(Time(0));
    let wire = Arc::new(SlowWay { clock: clock.clone(), ways: Mutex::default(), arrived: Mutex::default() });
    let settings = ClientSettings {
        content: Some(ContentLimits { minute: 1, hour: 1 }),
        wire: Some(wire),
        ..ClientSettings::default()
    };
    let budgets = Budgets::new("pace", 0);
    let client = Client::new("https://api.test", budgets.clone(), clock.clone(), settings).unwrap();
    let creation = Request { method: Method::POST, counted: true, writes: true, ..request() };
    client.send(&creation).await.unwrap();
    let limited = Failure::from(client.send(&creation).await.unwrap_err());
    assert!(limited.spares_others, "{limited}");
    budgets.refuse(Resource::Core, Some(clock.now() + Duration::from_secs(60)), clock.now());
    let refused = Failure::from(client.send(&creation).await.unwrap_err());
    assert!(!refused.spares_others, "{refused}");
}
