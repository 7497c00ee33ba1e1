//! The client that sends webhooks.

/// Creates the client that sends webhooks. The client opens a new connection for each webhook. If
/// the client used an idle connection again, the receiver could close this connection at the same
/// moment. The webhook would then be lost without a reason.
pub(crate) fn webhook_client() -> reqwest::Client {
    reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap_or_default()
}
