//! A running `beadle serve` for a simulated organisation. The simulated GitHub sends its webhooks
//! to this service.

use std::process::Child;
use std::time::Duration;

use beadle_sim::{Hook, Settings, Sim};
use serde_json::Value;

use crate::folder::Folder;

/// The service, and the simulated GitHub that it uses.
pub(crate) struct Service {
    pub(crate) client: reqwest::Client,
    child: Child,
    /// The folder of the service. It is deleted when it is dropped, so it must be kept while the
    /// service runs.
    _folder: Folder,
    pub(crate) sim: Sim,
}

impl Service {
    /// Starts the service in mode `enforce`, and waits until its first sweep has ended.
    pub(crate) async fn start(settings: Settings, policy: &str) -> anyhow::Result<Self> {
        let sim = Sim::start(([127, 0, 0, 1], 0).into(), settings).await?;
        let secret = format!("{:032x}", rand::random::<u128>());
        let folder = Folder::enforcing(&sim, policy, &secret, "60s")?;
        let child = folder.beadle(&["serve"]).spawn()?;
        let client = reqwest::Client::new();
        folder.until_ready(&client).await;
        tokio::time::sleep(Duration::from_secs(5)).await; // the first sweep ends within this time
        let url = format!("http://127.0.0.1:{}/hooks/github", folder.ports[0]);
        sim.send_webhooks_to(Hook { url, secret, organisation: false });
        Ok(Self { client, child, _folder: folder, sim })
    }

    /// Changes the state of the simulated GitHub, which then sends webhooks for the change.
    pub(crate) async fn change(&self, patch: &Value) -> anyhow::Result<()> {
        let url = format!("{}/_sim/state?webhooks=true", self.sim.url());
        self.client.patch(url).body(patch.to_string()).send().await?;
        Ok(())
    }

    /// Ends the service. The simulated GitHub continues to run.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}
