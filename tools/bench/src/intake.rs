//! Measures how many deliveries of 9 KB the intake stores in a second, and the 99th percentile of
//! the answer times. The benchmark uses 64 connections. The benchmark measures SQLite and
//! PostgreSQL, with 1, 2 and 4 processes on one store. In the same run, it compares the results
//! with a minimal handler that only checks the HMAC.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use beadle_sim::{Settings, Sim};
use serde_json::json;

use crate::folder::{Folder, free_ports};
use crate::load::{self, Load, Measured};
use crate::processes::Processes;
use crate::sizes::{size, sizes};
use crate::stores;

/// Returns a payload about one repository. This payload has the size and the form of a real GitHub
/// payload.
fn body(repository: usize) -> String {
    let node = format!("R_kgDO{repository:08}");
    let mut payload = json!({ "action": "edited", "organization": { "login": "acme" },
        "repository": { "id": repository, "node_id": node, "owner": { "login": "acme" } } });
    let mut n = 0;
    while payload.to_string().len() < 9 * 1024 {
        payload["repository"][format!("field_{n}_url")] =
            json!(format!("https://api.github.com/repos/acme/r{n}/part"));
        n += 1;
    }
    payload.to_string()
}

/// A child process. The process is killed when this value is dropped.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill(); // this fails if the process has ended
        let _ = self.0.wait();
    }
}

/// The body of a request, and its signature for the header.
struct Signed {
    body: String,
    tag: String,
}

/// The requests of this benchmark, and the handler that the benchmark compares with the service.
struct Intake {
    /// One request for each connection. Each request is about another repository, because many
    /// simultaneous events of one repository are rare.
    requests: Vec<Signed>,
    time: Duration,
    rounds: usize,
    /// The port of the minimal handler, which only checks the HMAC.
    bare: u16,
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let secret = "a secret of the benchmark";
    let state = json!({ "orgs": { "acme": { "repos": {} } } });
    let sim = Sim::start(([127, 0, 0, 1], 0).into(), Settings { state: Some(state), ..Settings::default() })
        .await?;
    let folder = Folder::new(&sim, "repository: { has_wiki: false }\n", secret, "60s")?;
    let connections = size("INTAKE_CONNECTIONS", 64)?;
    let signed = |repository| {
        let body = body(repository);
        Signed { tag: beadle_hooks::github::sign(secret, body.as_bytes()), body }
    };
    let intake = Intake {
        requests: (1..=connections).map(signed).collect(),
        time: Duration::from_secs(u64::try_from(size("INTAKE_SECONDS", 8)?)?),
        rounds: size("INTAKE_ROUNDS", 3)?,
        bare: free_ports()?[0],
    };
    let processes = sizes("INTAKE_PROCESSES", &[1, 2, 4])?;
    let cluster = stores::cluster().await;

    let mut bare = Command::new(std::env::current_exe()?)
        .args(["bare", &intake.bare.to_string()])
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = bare.stdin.take() {
        stdin.write_all(secret.as_bytes())?;
    }
    let _bare = Running(bare);

    println!(
        "{} bytes a delivery, {connections} connections, {} s a round, sender and servers on the same cores\n",
        body(1).len(),
        intake.time.as_secs()
    );
    println!(
        "{:12} {:>9} {:>14} {:>8} {:>8} {:>8} {:>6}",
        "", "processes", "deliveries/s", "p50 ms", "p99 ms", "to bare", "MiB"
    );
    for count in &processes {
        let file = folder.path.path().join(format!("{count}.db")).display().to_string();
        intake.measure(&folder, ("SQLite", &file), *count).await?;
    }
    if let Some(cluster) = &cluster {
        for count in &processes {
            intake.measure(&folder, ("PostgreSQL", &cluster.url()), *count).await?;
        }
    }
    Ok(())
}

impl Intake {
    /// Measures two services in turn: the minimal handler, and the processes that use the store at
    /// an address.
    async fn measure(
        &self,
        folder: &Folder,
        (name, store): (&str, &str),
        count: usize,
    ) -> anyhow::Result<()> {
        let served = Processes::start(folder, store, count).await?;
        // The benchmark measures only the intake. While the organisation is paused, the worker does
        // nothing.
        let pause = ["--store", store, "pause", "--org", "acme", "--for", "1h"];
        anyhow::ensure!(folder.beadle(&pause).status()?.success(), "the pause failed");
        for round in 0..self.rounds {
            let ids = format!("{name}-{count}-{round}");
            let bare = self.load(&[self.bare], &ids).await?;
            show("bare", 1, &bare);
            println!();
            let durable = self.load(&served.ports, &ids).await?;
            show(name, count, &durable);
            println!(" {:>8.2} {:>6}", durable.rate / bare.rate, served.peak()?);
        }
        Ok(())
    }

    /// Sends each of the requests over its own connection. The ports get equal shares of the
    /// connections.
    async fn load(&self, ports: &[u16], ids: &str) -> anyhow::Result<Measured> {
        let loads = self.requests.iter().zip(ports.iter().cycle()).enumerate();
        let loads = loads.map(|(n, (Signed { body, tag }, port))| async move {
            let ids = format!("{ids}-{n}");
            load::run(&Load { port: *port, body, tag, ids: &ids, connections: 1, time: self.time }).await
        });
        Ok(Measured::together(futures::future::try_join_all(loads).await?))
    }
}

/// Prints the beginning of a row.
fn show(name: &str, processes: usize, measured: &Measured) {
    print!(
        "{name:12} {processes:>9} {:>14.0} {:>8.2} {:>8.2}",
        measured.rate,
        measured.percentile(50),
        measured.percentile(99)
    );
}
