//! `beadle sim`.

use std::time::Duration;

use anyhow::Context as _;
use beadle_sim::{Limits, Settings, Sim};

use crate::cli::SimArgs;
use crate::commands::FINE;
use crate::printer::Printer;

pub(crate) async fn run(args: &SimArgs, printer: &Printer) -> anyhow::Result<u8> {
    let state = match &args.state {
        None => None,
        Some(path) => {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Some(serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?)
        }
    };
    let limits = Limits { minute: Duration::from_secs(args.window), ..Limits::default() };
    let latency = Duration::from_millis(args.latency);
    let sim = Sim::start(args.github, Settings { limits, state, latency, record: false }).await?;
    let url = sim.url();
    printer.line(format!(
        "a simulated GitHub listens at {url} (GraphQL at {url}/graphql, REST also at {url}/api/v3)"
    ));
    printer.line(format!("App {}: its private key is at {url}/_sim/app.pem", beadle_sim::APP_ID));
    printer
        .line(format!("a personal token: curl -X POST {url}/_sim/tokens; the state: curl {url}/_sim/state"));
    tokio::signal::ctrl_c().await?;
    Ok(FINE)
}
