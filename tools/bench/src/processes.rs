//! Several processes of the service, with the same configuration and the same store.

use std::process::Child;
use std::time::Duration;

use anyhow::Context as _;

use crate::folder::{Folder, free_ports, peak, until_ready};

/// The maximum time until a process is ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// Running processes. The processes are killed when this value is dropped.
pub(crate) struct Processes {
    children: Vec<Child>,
    /// The ports that receive the webhooks of the processes.
    pub(crate) ports: Vec<u16>,
}

impl Processes {
    /// Starts processes one after the other, and waits until each is ready. All use the store at
    /// the address `store`.
    pub(crate) async fn start(folder: &Folder, store: &str, count: usize) -> anyhow::Result<Self> {
        let client = reqwest::Client::new();
        let mut started = Self { children: Vec::new(), ports: Vec::new() };
        let config = std::fs::read_to_string(folder.config())?;
        for n in 0..count {
            let [intake, operator] = free_ports()?;
            let own = config
                .replace(&address(folder.ports[0]), &address(intake))
                .replace(&address(folder.ports[1]), &address(operator));
            let file = folder.path.path().join(format!("process-{n}.toml"));
            std::fs::write(&file, own)?;
            started.children.push(folder.beadle_of(&file, &["--store", store, "serve"]).spawn()?);
            let ready = tokio::time::timeout(PATIENCE, until_ready(&client, operator)).await;
            ready.with_context(|| format!("the service on {store} is not ready"))?;
            started.ports.push(intake);
        }
        Ok(started)
    }

    /// Returns the peak memory of the process with the highest peak, in MiB.
    pub(crate) fn peak(&self) -> anyhow::Result<u64> {
        self.children.iter().try_fold(0, |most, child| Ok(peak(child.id())?.max(most)))
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill(); // this fails if the process has ended
            let _ = child.wait();
        }
    }
}

fn address(port: u16) -> String {
    format!("\"127.0.0.1:{port}\"")
}
