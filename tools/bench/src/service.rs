//! A running `beadle serve` for a simulated organisation. The simulated GitHub sends its webhooks
//! to this service.

use std::process::Child;
use std::time::Duration;

use beadle_sim::{Hook, Settings, Sim};
use serde_json::Value;

use crate::clock::now;
use crate::folder::{Folder, peak};

/// The name of the log file.
const LOG: &str = "serve.log";
/// The maximum time that a measurement waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// If the service makes no call for this duration, it has nothing left to do. The service checks
/// its policy every 10 s.
const QUIET: Duration = Duration::from_secs(4);

/// The service, and the simulated GitHub that it uses.
pub(crate) struct Service {
    pub(crate) client: reqwest::Client,
    child: Child,
    /// The folder of the service. The folder is deleted when this value is dropped, so the value
    /// must exist while the service runs.
    folder: Folder,
    pub(crate) sim: Sim,
}

impl Service {
    /// Starts the service in mode `enforce`, and waits until its first sweep has ended.
    pub(crate) async fn start(settings: Settings, policy: &str) -> anyhow::Result<Self> {
        let sim = Sim::start(([127, 0, 0, 1], 0).into(), settings).await?;
        let secret = format!("{:032x}", rand::random::<u128>());
        let folder = Folder::enforcing(&sim, policy, &secret, "60s")?;
        let service = Self::serve(sim, folder).await?;
        tokio::time::sleep(Duration::from_secs(5)).await; // the first sweep ends within this time
        service.connect(secret);
        Ok(service)
    }

    /// Starts the service in mode `enforce`, and waits until it makes no more calls. The policy is
    /// in the repository `admin`.
    pub(crate) async fn of_git(settings: Settings) -> anyhow::Result<Self> {
        let sim = Sim::start(([127, 0, 0, 1], 0).into(), settings).await?;
        let secret = format!("{:032x}", rand::random::<u128>());
        let folder = Folder::of_git(&sim, &secret)?;
        let service = Self::serve(sim, folder).await?;
        service.until_logged("sweep started", 1).await?;
        service.until_quiet().await;
        service.connect(secret);
        Ok(service)
    }

    /// Starts the service in mode `enforce`, and waits until it is ready. The simulated GitHub
    /// sends no webhooks to this service.
    pub(crate) async fn begin(settings: Settings, policy: &str) -> anyhow::Result<Self> {
        let sim = Sim::start(([127, 0, 0, 1], 0).into(), settings).await?;
        let folder = Folder::enforcing(&sim, policy, "unused", "60s")?;
        Self::serve(sim, folder).await
    }

    async fn serve(sim: Sim, folder: Folder) -> anyhow::Result<Self> {
        let log = std::fs::File::create(folder.path.path().join(LOG))?;
        let child = folder.beadle(&["serve"]).stderr(log).spawn()?;
        let client = reqwest::Client::new();
        folder.until_ready(&client).await;
        Ok(Self { client, child, folder, sim })
    }

    fn connect(&self, secret: String) {
        let url = format!("http://127.0.0.1:{}/hooks/github", self.folder.ports[0]);
        self.sim.send_webhooks_to(Hook { url, secret, organisation: false });
    }

    /// Returns the log that the service has written so far.
    pub(crate) fn log(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.folder.path.path().join(LOG))?)
    }

    /// Waits until the log contains `text` at least `times` times.
    pub(crate) async fn until_logged(&self, text: &str, times: usize) -> anyhow::Result<()> {
        let started = now();
        while self.log()?.matches(text).count() < times {
            anyhow::ensure!(started.elapsed() < PATIENCE, "the log does not have `{text}` {times} times");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until the service makes no more calls.
    pub(crate) async fn until_quiet(&self) {
        let (started, mut before) = (now(), None);
        while started.elapsed() < PATIENCE && before != Some(self.sim.call_count()) {
            before = Some(self.sim.call_count());
            tokio::time::sleep(QUIET).await;
        }
    }

    /// Changes the state of the simulated GitHub. The simulated GitHub then sends webhooks for the
    /// change.
    pub(crate) async fn change(&self, patch: &Value) -> anyhow::Result<()> {
        let url = format!("{}/_sim/state?webhooks=true", self.sim.url());
        self.client.patch(url).body(patch.to_string()).send().await?;
        Ok(())
    }

    /// Makes a key due.
    pub(crate) fn retry(&self, key: &str) -> anyhow::Result<()> {
        let made_due = self.folder.beadle(&["queue", "--retry", key]).status()?;
        anyhow::ensure!(made_due.success(), "`beadle queue --retry {key}` failed: {made_due}");
        Ok(())
    }

    /// Returns the peak memory of the service in MiB.
    pub(crate) fn peak(&self) -> anyhow::Result<u64> {
        peak(self.child.id())
    }

    /// Returns whether a plan has no changes.
    pub(crate) async fn is_as_declared(&self) -> anyhow::Result<bool> {
        Ok(self.folder.run(&["plan"]).await?.status.code() == Some(0))
    }

    /// Ends the service. The simulated GitHub continues to run.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill(); // this fails if the service has ended
        let _ = self.child.wait();
    }
}
