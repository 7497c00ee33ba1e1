//! The service of the demo. The service is this program in a child process, so that the demo can
//! kill the process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::process::{Child, Command};

/// The ports of the service's two listeners.
pub(super) type Ports = [u16; 2];

/// Returns two free ports.
pub(super) fn free_ports() -> anyhow::Result<Ports> {
    let one = std::net::TcpListener::bind("127.0.0.1:0")?;
    let other = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok([one.local_addr()?.port(), other.local_addr()?.port()])
}

/// Returns a command that runs this program with the demo's configuration.
pub(super) fn command(folder: &Path) -> anyhow::Result<Command> {
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let mut command = Command::new(program);
    command.arg("--config").arg(folder.join("beadle.toml"));
    command.stdin(std::process::Stdio::null()).kill_on_drop(true);
    Ok(command)
}

/// A running `beadle serve`.
pub(super) struct Service {
    folder: PathBuf,
    ports: Ports,
    child: Child,
}

impl Service {
    pub(super) async fn start(folder: &Path, ports: Ports) -> anyhow::Result<Self> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("serve.log"))?;
        let child = command(folder)?.arg("serve").stderr(log).spawn()?;
        let service = Self { folder: folder.to_owned(), ports, child };
        for _ in 0..200 {
            let ready = reqwest::get(format!("http://127.0.0.1:{}/readyz", ports[1])).await;
            if ready.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(service);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(folder.join("serve.log")).unwrap_or_default();
        bail!("the service did not start:\n{log}")
    }

    /// Returns the address for a vendor's webhooks.
    pub(super) fn hook(&self, vendor: &str) -> String {
        format!("http://127.0.0.1:{}/hooks/{vendor}", self.ports[0])
    }

    /// Kills the service with SIGKILL. The service cannot finish its work or store further data.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        Ok(())
    }

    pub(super) async fn again(&mut self) -> anyhow::Result<()> {
        *self = Self::start(&self.folder.clone(), self.ports).await?;
        Ok(())
    }

    pub(super) async fn stop(&mut self) {
        let _ = self.child.kill().await; // the demo ends in any case
    }
}
