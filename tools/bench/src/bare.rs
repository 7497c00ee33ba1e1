//! A minimal webhook handler, which checks the HMAC and stores nothing. The benchmark compares the
//! intake with this handler.

use std::io::Read as _;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, StatusCode};
use sha2::Sha256;

pub(crate) async fn run(port: u16) -> anyhow::Result<()> {
    let mut secret = String::new();
    std::io::stdin().read_to_string(&mut secret)?;
    let router =
        axum::Router::new().route("/hooks/github", post(handle)).with_state(Arc::<str>::from(secret.trim()));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, router).await?;
    Ok(())
}

async fn handle(State(secret): State<Arc<str>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let tag = headers.get("x-hub-signature-256").and_then(|tag| tag.to_str().ok()).unwrap_or_default();
    let bytes: Vec<u8> = tag
        .trim_start_matches("sha256=")
        .as_bytes()
        .chunks(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return StatusCode::UNAUTHORIZED;
    };
    mac.update(&body);
    if mac.verify_slice(&bytes).is_ok() { StatusCode::ACCEPTED } else { StatusCode::UNAUTHORIZED }
}
