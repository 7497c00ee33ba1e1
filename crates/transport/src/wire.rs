//! The transport of requests to the vendor: the network or, in simulated time, a simulated vendor.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request};

/// The maximum size of an answer's body, in bytes.
const LARGEST: usize = 64 * 1024 * 1024;

/// An answer as it arrived: the status, the headers and the whole body.
pub type Exchanged = (u16, HeaderMap, Bytes);

/// Carries a request to its address, and returns the answer.
#[async_trait::async_trait]
pub trait Wire: Send + Sync + 'static {
    /// Sends a request and waits for the answer. The error is a text that explains what failed.
    async fn exchange(&self, request: Request<Bytes>) -> Result<Exchanged, String>;
}

/// The real network.
pub(crate) struct Network(reqwest::Client);

impl Network {
    pub(crate) fn new() -> Result<Self, String> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("beadle/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .build();
        http.map(Self).map_err(|error| format!("cannot create the HTTP client: {error}"))
    }
}

#[async_trait::async_trait]
impl Wire for Network {
    async fn exchange(&self, request: Request<Bytes>) -> Result<Exchanged, String> {
        let request = reqwest::Request::try_from(request).map_err(|error| causes(&error))?;
        let mut response = self.0.execute(request).await.map_err(|error| causes(&error))?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| causes(&error))? {
            if body.len() + chunk.len() > LARGEST {
                return Err(format!("the answer has more than {LARGEST} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, headers, body.freeze()))
    }
}

/// Returns the message of an error and the messages of its causes. The message of reqwest itself
/// does not name a cause.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
