//! `beadle sim`.

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
    printer.line(format!(
        "a simulated GitHub listens at {url} (GraphQL at {url}/graphql, REST also at {url}/api/v3)"
    ));
    printer.line(format!("App {}: its private key is at {url}/_sim/app.pem", beadle_sim::APP_ID));
    printer
        .line(format!("a personal token: curl -X POST {url}/_sim/tokens; the state: curl {url}/_sim/state"));
    // They end when they are dropped.
    let mut _okta = None;
    if let Some(addr) = args.okta {
        let state = read(args.okta_state.as_deref())?;
        let sim =
            OktaSim::start(addr, okta::Settings { state, latency, ..okta::Settings::default() }).await?;
        let url = sim.url();
        printer.line(format!("a simulated Okta listens at {url}; a token: curl -X POST {url}/_sim/tokens"));
        _okta = Some(sim);
    }
    let mut _scim = None;
    if let Some(addr) = args.scim {
        let state = read(args.scim_state.as_deref())?;
        let sim =
            ScimSim::start(addr, scim::Settings { state, latency, ..scim::Settings::default() }).await?;
        printer.line(format!(
            "a simulated AWS IAM Identity Center has its SCIM at {}; a token: curl -X POST {}/tokens",
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
    Ok(Some(serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?))
}
