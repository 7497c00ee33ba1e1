//! `beadle healthcheck`: checks that the service answers. The container image needs this command,
//! because the image contains no HTTP client such as `curl`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::commands::FINE;
use crate::config::Config;
use crate::output::printer::Printer;

/// The maximum time that a healthy service needs for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn run(config: &Config, printer: &Printer) -> anyhow::Result<u8> {
    let url = format!("http://{}/healthz", reachable(config.file.server.listen));
    let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
    let answer = http
        .get(&url)
        .send()
        .await
        .with_context(|| format!("no answer from {url}; is `beadle serve` running?"))?;
    if !answer.status().is_success() {
        bail!("{url} answers {}", answer.status());
    }
    printer.line(format!("{url} answers"));
    Ok(FINE)
}

/// Returns an address at which this machine can reach the listener. If the service listens at all
/// addresses, returns the loopback address.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other.ip(),
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_reached_on_loopback() {
        for (listen, asked) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.1:1", "10.0.0.1:1")]
        {
            assert_eq!(reachable(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
