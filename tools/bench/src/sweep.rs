//! Measures sweeps of a running service with 10,000 repositories that match the policy. The limits
//! per minute are the same as GitHub's.

use std::time::Duration;

use beadle_sim::{Limits, Settings};
use serde_json::Value;

use crate::calls::{POLICY, organisation};
use crate::clock::now;
use crate::service::Service;
use crate::sizes::{float, size};

/// The maximum duration of one sweep.
const PATIENCE: Duration = Duration::from_secs(3600);

pub(crate) async fn run() -> anyhow::Result<()> {
    let repositories = size("SWEEP_REPOSITORIES", 10_000)?;
    let latency = Duration::from_millis(u64::try_from(size("SWEEP_LATENCY_MS", 100)?)?);
    // The gate and two sweeps together might need more calls than GitHub allows in an hour.
    let limits = Limits { core: 1_000_000, graphql: 1_000_000, ..Limits::default() };
    let state = Some(organisation(repositories));
    let settings = Settings { limits, state, latency, ..Settings::default() };
    let mut service = Service::begin(settings, POLICY).await?;
    println!(
        "{repositories} repositories as declared, {} ms a call, GitHub's limits for a minute\n",
        latency.as_millis()
    );
    println!("{:28} {:>8} {:>8} {:>8} {:>8} {:>8}", "", "calls", "GraphQL", "a repo", "s", "MiB");
    // The gate plans the first policy for all repositories before the sweep.
    sweep(&service, "gate and first sweep", 1, repositories).await?;
    let id = service.sim.state()["orgs"]["acme"]["id"].to_string();
    service.sim.forget_calls();
    service.retry(&format!("sweep:acme:{id}"))?;
    sweep(&service, "second sweep", 2, repositories).await?;
    service.stop()
}

/// Waits until the service has ended this number of sweeps, and prints the figures of the last
/// sweep. The memory is the peak since the start of the service.
async fn sweep(service: &Service, name: &str, ended: usize, repositories: usize) -> anyhow::Result<()> {
    let (started, mut seen, mut last) = (now(), 0, Duration::ZERO);
    while service.log()?.matches("sweep ended").count() < ended {
        anyhow::ensure!(started.elapsed() < PATIENCE, "the sweep did not end");
        // The log shows the end of the sweep with a delay of up to 10 s. So the benchmark uses the
        // time of the last call as the end.
        let calls = service.sim.call_count();
        if calls != seen {
            (seen, last) = (calls, started.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let calls = service.sim.calls();
    let count = |is: &dyn Fn(&&Value) -> bool| calls.iter().filter(is).count();
    let queries = count(&|call| call["path"].as_str().is_some_and(|path| path.ends_with("/graphql")));
    let refused = count(&|call| call["status"] == 403 || call["status"] == 429);
    let writes = count(&|call| call["writes"] == Value::Bool(true));
    anyhow::ensure!(refused == 0, "GitHub had to refuse {refused} calls");
    anyhow::ensure!(writes == 0, "the sweep wrote {writes} times");
    println!(
        "{name:28} {:>8} {queries:>8} {:>8.3} {:>8.1} {:>8}",
        calls.len(),
        float(calls.len())? / float(repositories)?,
        last.as_secs_f64(),
        service.peak()?
    );
    Ok(())
}
