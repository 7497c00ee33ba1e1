//! `beadle sim`: runs simulated vendors until it is stopped.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use beadle_sim::okta::{self, OktaSim};
use beadle_sim::scim::{self, ScimSim};
use beadle_sim::{Limits, Settings, Sim};
use serde_json::Value;

use beadle::output::Printer;
use clap::Args;

use crate::FINE;

#[derive(Debug, Args)]
pub(crate) struct SimArgs {
    /// Address of the simulated GitHub
    #[arg(long, default_value = "127.0.0.1:7070", value_name = "ADDR")]
    pub(crate) github: std::net::SocketAddr,
    /// Initial state of the simulated GitHub, a JSON file
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Address of a simulated Okta, such as `127.0.0.1:7071`
    #[arg(long, value_name = "ADDR")]
    pub(crate) okta: Option<std::net::SocketAddr>,
    /// Initial state of the simulated Okta, a JSON file
    #[arg(long, value_name = "FILE", requires = "okta")]
    pub(crate) okta_state: Option<PathBuf>,
    /// Address of a simulated AWS IAM Identity Center, such as `127.0.0.1:7072`
    #[arg(long, value_name = "ADDR")]
    pub(crate) scim: Option<std::net::SocketAddr>,
    /// Initial state of the simulated Identity Center, a JSON file
    #[arg(long, value_name = "FILE", requires = "scim")]
    pub(crate) scim_state: Option<PathBuf>,
    /// Delay of each answer, in milliseconds
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub(crate) latency: u64,
    /// Length of the minute of the rate limits, in seconds; an hour has 60 of these minutes
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) window: u64,
}

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
    // A simulator ends when it is dropped, so these variables keep the simulators running until the
    // end.
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
