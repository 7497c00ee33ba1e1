//! `beadle reload`: makes the running service read its configuration again.

use anyhow::{Context as _, bail};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::commands::healthcheck::reachable;
use crate::commands::{FINE, PENDING};
use crate::config::Config;
use crate::output::count::counted;
use crate::output::printer::Printer;

/// The changes of a reload, as the service answers them.
#[derive(Debug, Deserialize)]
struct Reloaded {
    /// The keys whose values differ from the ones that the service used before.
    changed: Vec<String>,
    /// The keys among them whose new value the service uses only after a restart.
    needs_restart: Vec<String>,
}

pub(crate) async fn run(config: &Config, json: bool, printer: &Printer) -> anyhow::Result<u8> {
    if config.is_at_aws() {
        bail!("`reload` needs a running service; on AWS, deploy the functions with the new configuration");
    }
    let url = format!("http://{}/reload", reachable(config.file.server.operator));
    // This request has no timeout, because the service first ends its runs in progress.
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
    let reloaded: Reloaded = serde_json::from_str(&text)?;
    if json {
        printer.json(&text);
    } else {
        for line in lines(&reloaded) {
            printer.line(line);
        }
    }
    Ok(if reloaded.needs_restart.is_empty() { FINE } else { PENDING })
}

/// Returns the lines about a reload.
fn lines(reloaded: &Reloaded) -> Vec<String> {
    let names = |keys: &[&String]| keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let (fixed, used): (Vec<&String>, Vec<&String>) =
        reloaded.changed.iter().partition(|key| reloaded.needs_restart.contains(key));
    let mut lines = vec![match used.len() {
        0 => "configuration and secrets read again, no value changed".to_owned(),
        count => format!(
            "configuration and secrets read again, {} changed: {}",
            counted(count as u64, "value", "values"),
            names(&used)
        ),
    }];
    if !fixed.is_empty() {
        lines.push(format!("restart the service to use the new values of {}", names(&fixed)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_says_what_changed_and_what_needs_a_restart() {
        let shown = |changed: &[&str], needs_restart: &[&str]| {
            let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<String>>();
            lines(&Reloaded { changed: owned(changed), needs_restart: owned(needs_restart) }).join("\n")
        };
        assert_eq!(shown(&[], &[]), "configuration and secrets read again, no value changed");
        assert_eq!(
            shown(&["org.acme.mode", "server.listen"], &["server.listen"]),
            "configuration and secrets read again, 1 value changed: `org.acme.mode`\n\
             restart the service to use the new values of `server.listen`"
        );
    }
}
