//! The HTTP client that the clients of all vendors use. The client enforces budgets, pace,
//! deadlines and allowed origins, and decides which errors Beadle retries.

mod answer;
mod client;
mod content;
mod error;
mod pace;
pub mod path;
mod request;
pub mod sharing;
mod spans;
#[cfg(feature = "testing")]
pub mod testing;
mod wire;

pub use answer::Answer;
pub use client::{Client, ClientSettings, RateLimitHeaders};
pub use content::ContentLimits;
pub use error::{TokenError, TransportError};
pub use http::Method;
pub use path::Path;
pub use request::{Body, Request};
pub use sharing::Sharing;
pub use wire::{Exchanged, Wire};
