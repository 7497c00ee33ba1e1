//! `beadle sim`: runs simulated vendors until it is stopped.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use beadle_sim::okta::{self, OktaSim};
use beadle_sim::scim::{self, ScimSim};
use beadle_sim::{Limits, Settings, Sim};
use serde_json::Value;

use crate::cli::SimArgs;
use crate::commands::FINE;
use crate::output::printer::Printer;

pub(crate) async fn run(args: &SimArgs, printer: &Printer) -> anyhow::Result<u8> {
    let state = read(args.state.as_deref())?;
    let limits = Limits {
        minute: Duration::from_secs(args.window),
        content: Some(Limits::CONTENT),
        ..Limits::default()
    };
    let latency = Duration::from_millis(args.latency);
    let sim = Sim::start(args.github, Settings { limits, state, latency, record: false }).await?;
    let url = sim.url();
    printer.line(format!("simulated GitHub: {url} (GraphQL: {url}/graphql, REST also: {url}/api/v3)"));
    printer.line(format!("  private key of the App {}: curl {url}/_sim/app.pem", beadle_sim::APP_ID));
    printer.line(format!("  new token: curl -X POST {url}/_sim/tokens; state: curl {url}/_sim/state"));
    // A simulator ends when it is dropped.
    let mut _okta = None;
    if let Some(addr) = args.okta {
        let state = read(args.okta_state.as_deref())?;
        let sim =
            OktaSim::start(addr, okta::Settings { state, latency, ..okta::Settings::default() }).await?;
        let url = sim.url();
        printer.line(format!("simulated Okta: {url}; new token: curl -X POST {url}/_sim/tokens"));
        _okta = Some(sim);
    }
    let mut _scim = None;
    if let Some(addr) = args.scim {
        let state = read(args.scim_state.as_deref())?;
        let sim =
            ScimSim::start(addr, scim::Settings { state, latency, ..scim::Settings::default() }).await?;
        printer.line(format!(
            "simulated AWS IAM Identity Center: SCIM at {}; new token: curl -X POST {}/tokens",
            sim.url(),
            sim.control()
        ));
        _scim = Some(sim);
    }
    tokio::signal::ctrl_c().await?;
    Ok(FINE)
}

fn read(path: Option<&Path>) -> anyhow::Result<Option<Value>> {
    let Some(path) = path else { return Ok(None) };
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Some(serde_json::from_str(&text).with_context(|| format!("{} is not valid JSON", path.display()))?))
}
