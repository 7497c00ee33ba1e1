//! `beadle reload`: makes the running service read its configuration again.

use anyhow::{Context as _, bail};
use secrecy::ExposeSecret as _;

use crate::app::operations::reload_result::ReloadResult;
use crate::commands::healthcheck::reachable;
use crate::commands::{FINE, PENDING};
use crate::config::Config;
use crate::output::printer::Printer;

pub(crate) async fn run(config: &Config, json: bool, printer: &Printer) -> anyhow::Result<u8> {
    if config.is_at_aws() {
        bail!("`reload` needs a running service; on AWS, deploy the functions with the new configuration");
    }
    let url = format!("http://{}/reload", reachable(config.file.server.operator));
    // This request has no timeout, because the service waits for the end of its current runs first.
    let mut request = reqwest::Client::builder().no_proxy().build()?.post(&url);
    if let Some(token) = &config.file.server.operator_token {
        request = request.bearer_auth(config.secret(token, "the operator token")?.expose_secret());
    }
    let answer =
        request.send().await.with_context(|| format!("no answer from {url}; is `beadle serve` running?"))?;
    let status = answer.status();
    let text = answer.text().await?;
    if !status.is_success() {
        let hint = "hint: if `server.operator_token` changed, send SIGHUP to the service";
        bail!("configuration not reloaded, the service keeps the previous one: {}\n{hint}", text.trim_end());
    }
    let reloaded: ReloadResult = serde_json::from_str(&text)?;
    if json {
        printer.json(&text);
    } else {
        for line in reloaded.lines() {
            printer.line(line);
        }
    }
    Ok(if reloaded.needs_restart.is_empty() { FINE } else { PENDING })
}
