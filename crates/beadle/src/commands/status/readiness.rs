//! Asks the operator listener of this machine whether the service is ready.

use std::time::Duration;

use reqwest::StatusCode;
use secrecy::ExposeSecret as _;

use crate::commands::healthcheck::reachable;
use crate::config::Config;

/// The maximum time that a healthy service needs for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Returns the first line of the listener's answer, and whether the service is ready. Returns
/// `None` if no service listens on this machine, if another program listens at the address, or if
/// the service consists of functions on AWS.
pub(super) async fn answer(config: &Config) -> Option<(String, bool)> {
    if config.is_at_aws() {
        return None;
    }
    let url = format!("http://{}/readyz", reachable(config.file.server.operator));
    let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().ok()?;
    let mut request = http.get(url);
    // Even if the service refuses a token, the answer shows that the service listens. So the
    // command needs no token.
    if let Some(reference) = &config.file.server.operator_token
        && let Ok(token) = config.secret(reference, "the operator token")
    {
        request = request.bearer_auth(token.expose_secret());
    }
    let answer = request.send().await.ok()?;
    let is_ready = readiness(answer.status())?;
    let text = answer.text().await.unwrap_or_default();
    Some((text.lines().next().unwrap_or_default().to_owned(), is_ready))
}

/// Returns whether a service is ready if it answers `/readyz` with `status`. Returns `None` if a
/// service never answers with this status.
fn readiness(status: StatusCode) -> Option<bool> {
    match status {
        StatusCode::OK | StatusCode::UNAUTHORIZED => Some(true),
        StatusCode::SERVICE_UNAVAILABLE => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_program_on_the_port_is_no_service() {
        for (status, expected) in [
            (StatusCode::OK, Some(true)),
            (StatusCode::UNAUTHORIZED, Some(true)),
            (StatusCode::SERVICE_UNAVAILABLE, Some(false)),
            (StatusCode::NOT_FOUND, None),
            (StatusCode::FOUND, None),
            (StatusCode::BAD_GATEWAY, None),
        ] {
            assert_eq!(readiness(status), expected, "{status}");
        }
    }
}
