//! A vendor that answers without a network, in simulated time.

use std::sync::Arc;

use beadle_transport::{ClientSettings, Exchanged, Wire};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};

/// The host of all vendors.
const HOST: &str = "vendor.test";
/// The address of all vendors.
pub(crate) const ADDRESS: &str = "https://vendor.test";

thread_local! {
    /// All inputs share one runtime, because creating a runtime takes longer than most inputs.
    static RUNTIME: Runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("the runtime needs nothing that could be missing");
}

/// Runs asynchronous work to its end. Waits take no time.
pub(crate) fn finish<T>(work: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(work))
}

/// A function that answers a request. The function gets the address and the body of the request.
type Answering = dyn Fn(&str, &[u8]) -> Exchanged + Send + Sync;

/// A vendor.
pub(crate) struct Vendor {
    answer: Box<Answering>,
    /// The addresses of all requests.
    asked: Mutex<Vec<String>>,
}

impl Vendor {
    pub(crate) fn new(answer: impl Fn(&str, &[u8]) -> Exchanged + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { answer: Box::new(answer), asked: Mutex::default() })
    }

    /// Returns settings for a client. With these settings, the client sends its requests to this
    /// vendor.
    pub(crate) fn settings(self: &Arc<Self>) -> ClientSettings {
        ClientSettings {
            rest_points: u32::MAX,
            graphql_points: u32::MAX,
            wire: Some(self.clone()),
            ..ClientSettings::default()
        }
    }

    /// Returns the addresses of all requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

#[async_trait::async_trait]
impl Wire for Vendor {
    async fn exchange(&self, request: Request<Bytes>) -> Result<Exchanged, String> {
        assert_eq!(request.uri().host(), Some(HOST), "a request leaves the configured origin");
        let address = request.uri().to_string();
        self.asked.lock().push(address.clone());
        Ok((self.answer)(&address, request.body()))
    }
}

/// Returns the value of a parameter in the query of an address.
pub(crate) fn parameter(address: &str, name: &str) -> Option<String> {
    let (_, query) = address.split_once('?')?;
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Returns the headers of an answer that links to a next page.
pub(crate) fn link(next: &str) -> HeaderMap {
    let value = format!("<{next}>; rel=\"next\"").parse::<HeaderValue>();
    value.map(|value| HeaderMap::from_iter([(http::header::LINK, value)])).unwrap_or_default()
}
